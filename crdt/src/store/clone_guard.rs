//! The line of a child: which machine is the one that this node knows.
//!
//! At each welcome a child is given a fresh token, and presents it the next time. Kept are the
//! token it presented last (`confirmed`) and the one it was given since (`pending`): it may not
//! have got that one. Any other token means that two machines use one identity, each with tokens
//! of its own, or that an old state of the machine came back. Then neither is let in until a
//! person has released the child, and then the one that asks to be certified anew. The other, whose
//! certificate is thereby replaced, stays out.
//!
//! There is one exception: a token that this very node gave, *later* than both that it knows
//! ([`cunlian_protocol::session::lineage`]). It can only be this node that was set back, to a state
//! from before it gave that token, and so what it remembers of the child is out of date, a mark
//! included: a child that was marked is given no token before somebody released it. Two machines
//! are noticed all the same: the token given to the first of them that comes is later than that of
//! the other. A machine whose certificate was replaced is not believed even then: the one that it
//! was replaced by may have got its token later. A person decides.

use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::session::lineage::GIVEN_AT_BYTES;
use cunlian_protocol::sync::{Certified, Verdict};
use cunlian_protocol::wire::LineageToken;
use rusqlite::{Connection, OptionalExtension as _};

/// No mark, two machines, released by a person.
const SINGLE: u8 = 0;
const FORKED: u8 = 1;
const RELEASED: u8 = 2;

/// What a child presents.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    pub(super) subject: PublicKey,
    pub(super) lineage: LineageToken,
    /// Whether this node gave it that, at whatever time.
    pub(super) given: bool,
    /// What it will be given.
    pub(super) fresh: LineageToken,
    /// Whether it says itself that it came back from a copy.
    pub(super) renewing: bool,
    pub(super) certified: Certified,
    /// Whether another machine with its key is in session.
    pub(super) elsewhere: bool,
}

struct Lineage {
    confirmed: LineageToken,
    pending: LineageToken,
    mark: u8,
}

/// Decides, and keeps what follows.
pub(super) fn admit(connection: &Connection, child: &Presented) -> rusqlite::Result<Verdict> {
    let lineage = lineage_of(connection, &child.subject)?;
    let outdated = lineage.as_ref().is_some_and(|lineage| is_outdated(lineage, child));
    if outdated && child.certified == Certified::Replaced {
        mark(connection, &child.subject, FORKED)?;
        return Ok(Verdict::Forked);
    }
    let verdict = match lineage.as_ref().filter(|_| !outdated) {
        // A machine that was replaced by another keeps presenting what was current for it; that
        // is no news about the other.
        Some(lineage) if !child.renewing && !presents(lineage, child) => {
            if child.certified == Certified::Current && lineage.mark != RELEASED {
                mark(connection, &child.subject, FORKED)?;
            }
            return Ok(Verdict::Forked);
        }
        // The one that was left when a person had decided for the other.
        Some(lineage)
            if child.certified == Certified::Replaced
                && lineage.mark == SINGLE
                && !presents(lineage, child) =>
        {
            return Ok(Verdict::Forked);
        }
        // It knows itself that it is a copy, and the original is at work.
        Some(lineage) if child.renewing && child.elsewhere && lineage.mark != RELEASED => {
            mark(connection, &child.subject, FORKED)?;
            return Ok(Verdict::Forked);
        }
        Some(Lineage { mark: FORKED, .. }) => return Ok(Verdict::Forked),
        Some(Lineage { mark: RELEASED, .. }) if !child.renewing => return Ok(Verdict::Forked),
        _ if child.renewing
            || child.certified != Certified::Current
            || is_pending(connection, &child.subject)? =>
        {
            Verdict::Renew
        }
        _ => Verdict::Open,
    };
    let confirmed = match &lineage {
        Some(_) => child.lineage,
        None => LineageToken::default(),
    };
    let sql = "INSERT OR REPLACE INTO line VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute((child.subject.0, confirmed, child.fresh, SINGLE))?;
    Ok(verdict)
}

/// Whether one further below is the machine that came before with this certificate; if it is,
/// keeps what it is given. Nobody is marked: its parent decides who it is.
pub(super) fn admit_below(
    connection: &Connection,
    serial: &Serial,
    presented: LineageToken,
    given: bool,
    fresh: LineageToken,
) -> rusqlite::Result<Verdict> {
    // Beside those of children, which are found by their keys.
    let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 line of one further below");
    let place = PublicKey(*hasher.update(&serial.0).finalize().as_bytes());
    let child = Presented {
        subject: place,
        lineage: presented,
        given,
        fresh,
        renewing: false,
        certified: Certified::Current,
        elsewhere: false,
    };
    let lineage = lineage_of(connection, &place)?;
    if lineage
        .as_ref()
        .is_some_and(|lineage| !presents(lineage, &child) && !is_outdated(lineage, &child))
    {
        return Ok(Verdict::Forked);
    }
    let confirmed = if lineage.is_some() { presented } else { LineageToken::default() };
    let sql = "INSERT OR REPLACE INTO line VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute((place.0, confirmed, fresh, SINGLE))?;
    Ok(Verdict::Open)
}

/// The first child with a key is believed; so is one that presents what it was given last, or
/// what it presented last and was given nothing since that it could have kept.
fn presents(lineage: &Lineage, child: &Presented) -> bool {
    child.lineage == lineage.pending || child.lineage == lineage.confirmed
}

/// Whether the child presents what this node gave it after all that this node knows of.
fn is_outdated(lineage: &Lineage, child: &Presented) -> bool {
    let at = |token: &LineageToken| token.first_chunk::<GIVEN_AT_BYTES>().copied();
    child.given && at(&child.lineage) > at(&lineage.confirmed).max(at(&lineage.pending))
}

fn lineage_of(connection: &Connection, subject: &PublicKey) -> rusqlite::Result<Option<Lineage>> {
    let sql = "SELECT confirmed, pending, forked FROM line WHERE subject = ?1";
    let lineage = |row: &rusqlite::Row<'_>| {
        Ok(Lineage { confirmed: row.get(0)?, pending: row.get(1)?, mark: row.get(2)? })
    };
    connection.prepare_cached(sql)?.query_row([subject.0], lineage).optional()
}

fn mark(connection: &Connection, subject: &PublicKey, mark: u8) -> rusqlite::Result<bool> {
    let sql = "UPDATE line SET forked = ?2 WHERE subject = ?1";
    Ok(connection.prepare_cached(sql)?.execute((subject.0, mark))? > 0)
}

fn is_pending(connection: &Connection, subject: &PublicKey) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM pending_certificate WHERE subject = ?1";
    connection.prepare_cached(sql)?.exists([subject.0])
}

pub(super) fn forked(connection: &Connection) -> rusqlite::Result<Vec<PublicKey>> {
    let mut select = connection.prepare("SELECT subject FROM line WHERE forked = ?1")?;
    let keys = select.query_map([FORKED], |row| Ok(PublicKey(row.get(0)?)))?;
    keys.collect()
}

pub(super) fn release(connection: &Connection, subject: &PublicKey) -> rusqlite::Result<bool> {
    let known = lineage_of(connection, subject)?.is_some_and(|lineage| lineage.mark == FORKED);
    if known {
        mark(connection, subject, RELEASED)?;
    }
    Ok(known)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        connection
    }

    const SUBJECT: PublicKey = PublicKey([1; 32]);

    /// A child with a sound certificate. Tokens are numbers here: the later, the greater.
    fn child(lineage: u8, fresh: u8) -> Presented {
        Presented {
            subject: SUBJECT,
            lineage: [lineage; 16],
            given: lineage != 0,
            fresh: [fresh; 16],
            renewing: false,
            certified: Certified::Current,
            elsewhere: false,
        }
    }

    fn comes(connection: &Connection, lineage: u8, fresh: u8, renewing: bool) -> Verdict {
        admit(connection, &Presented { renewing, ..child(lineage, fresh) }).unwrap()
    }

    /// Shows that one machine comes in for ever, whether or not it kept what it was given last.
    #[test]
    fn one_machine_stays_in_line() {
        let connection = database();
        assert_eq!(comes(&connection, 0, 1, false), Verdict::Open);
        assert_eq!(comes(&connection, 1, 2, false), Verdict::Open);
        assert_eq!(comes(&connection, 1, 3, false), Verdict::Open, "2 was lost on the way");
        assert_eq!(comes(&connection, 3, 4, false), Verdict::Open);
    }

    /// Shows that the second of two machines is noticed, that both stay out until a person
    /// releases the child, and that then the one that asks for a new certificate comes in.
    #[test]
    fn two_machines_are_noticed() {
        let connection = database();
        assert_eq!(comes(&connection, 0, 1, false), Verdict::Open);
        assert_eq!(comes(&connection, 1, 2, false), Verdict::Open, "the first machine");
        assert_eq!(comes(&connection, 1, 3, false), Verdict::Open, "the second machine");
        assert_eq!(comes(&connection, 2, 4, false), Verdict::Forked, "the first machine again");
        assert_eq!(forked(&connection).unwrap(), [SUBJECT]);
        assert_eq!(comes(&connection, 3, 5, false), Verdict::Forked);
        assert_eq!(comes(&connection, 3, 5, true), Verdict::Forked);
        assert!(release(&connection, &SUBJECT).unwrap());
        assert_eq!(comes(&connection, 3, 6, false), Verdict::Forked);
        assert_eq!(comes(&connection, 3, 6, true), Verdict::Renew);
        assert_eq!(comes(&connection, 6, 7, false), Verdict::Open);
        let certified = Certified::Replaced;
        let other = Presented { renewing: true, certified, ..child(2, 9) };
        assert_eq!(admit(&connection, &other).unwrap(), Verdict::Forked, "the first machine");
        assert_eq!(comes(&connection, 7, 7, false), Verdict::Open, "which harms nobody");
        assert_eq!(
            comes(&connection, 2, 8, false),
            Verdict::Forked,
            "the first machine is noticed"
        );
    }

    /// Shows that a restored machine comes in to be certified anew.
    #[test]
    fn a_restored_machine_is_certified_anew() {
        let connection = database();
        comes(&connection, 0, 1, false);
        comes(&connection, 1, 2, false);
        comes(&connection, 2, 3, false);
        assert_eq!(comes(&connection, 1, 4, true), Verdict::Renew);
        assert_eq!(comes(&connection, 4, 5, false), Verdict::Open);
    }

    /// Shows that a copy does not take over while the original is at work, and that a person
    /// decides then.
    #[test]
    fn a_copy_does_not_push_the_original_out() {
        let connection = database();
        comes(&connection, 0, 1, false);
        comes(&connection, 1, 2, false);
        let copy = Presented { renewing: true, elsewhere: true, ..child(1, 3) };
        assert_eq!(admit(&connection, &copy).unwrap(), Verdict::Forked);
        assert_eq!(comes(&connection, 2, 4, false), Verdict::Forked, "both are told");
        assert!(release(&connection, &SUBJECT).unwrap());
        assert_eq!(admit(&connection, &copy).unwrap(), Verdict::Renew);
    }

    /// Shows that a parent that was set back believes the child to which it gave a token later than
    /// all it remembers, although it remembers that there were two; that the second of two machines
    /// is noticed there too; and that the word of one that did not get its token here is worth
    /// nothing.
    #[test]
    fn a_parent_that_was_set_back_knows_its_later_tokens() {
        let connection = database();
        comes(&connection, 0, 1, false);
        comes(&connection, 1, 2, false);
        let stranger = Presented { given: false, ..child(5, 6) };
        assert_eq!(admit(&connection, &stranger).unwrap(), Verdict::Forked);
        assert_eq!(comes(&connection, 5, 6, false), Verdict::Open, "after all it remembers");
        assert_eq!(forked(&connection).unwrap(), [], "it was released in what is forgotten");
        assert_eq!(comes(&connection, 4, 7, false), Verdict::Forked, "a second machine");
        assert_eq!(comes(&connection, 6, 8, false), Verdict::Forked, "and so is the first");
        assert_eq!(comes(&connection, 5, 8, false), Verdict::Forked);
    }

    /// Shows that a machine whose certificate was replaced does not come in by a later token: a
    /// person decides, unless the one that took its place comes first.
    #[test]
    fn who_was_replaced_does_not_come_in_by_a_later_token() {
        let connection = database();
        comes(&connection, 0, 1, false);
        let replaced = Presented { certified: Certified::Replaced, ..child(5, 6) };
        assert_eq!(admit(&connection, &replaced).unwrap(), Verdict::Forked);
        assert_eq!(forked(&connection).unwrap(), [SUBJECT]);
        assert_eq!(comes(&connection, 7, 8, false), Verdict::Open, "the one in its place");
        assert_eq!(forked(&connection).unwrap(), []);
        assert_eq!(admit(&connection, &replaced).unwrap(), Verdict::Forked);
        assert_eq!(forked(&connection).unwrap(), [], "which is no news");
    }
}
