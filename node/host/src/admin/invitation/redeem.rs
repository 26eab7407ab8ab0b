//! What becomes of a request to join: one transaction that decides, binds and remembers.
//!
//! ```text
//!  wrong secret or no such id ─▶ Unknown (counted; after ten the invitation is Locked)
//!  used by the same key ───────▶ the same certificate again: the line was cut at a bad moment
//!  used by another ────────────▶ Used
//!  taken back, locked, too late ▶ Cancelled, Locked, Expired
//!  open ───────────────────────▶ certificate issued and bound, then durable, then sent
//! ```
//!
//! The state of an invitation is told only to who has shown its secret.

use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::enrolment::{JoinRequest, RefusalCode};
use cunlian_protocol::id::Serial;
use rusqlite::Connection;

use super::{State, table};
use crate::admin::Administration;
use crate::admin::issuing::{Applicant, certify};

/// A certificate to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// Certificates from the root side down to the new one.
    pub chain: Vec<Vec<u8>>,
    /// Name of the new node.
    pub name: String,
    /// Whether it had been issued before, to the same key.
    pub again: bool,
    /// This node's time, milliseconds since 1970-01-01 UTC.
    pub clock_ms: i64,
}

/// Why no certificate is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// As it travels.
    pub code: RefusalCode,
    /// For people.
    pub words: String,
}

impl Refusal {
    /// A refusal with its usual words.
    pub fn new(code: RefusalCode) -> Self {
        let words = match code {
            RefusalCode::Malformed => "the request cannot be read",
            RefusalCode::Unknown => "no invitation with this id and secret is known",
            RefusalCode::Locked => "too many wrong secrets were tried with this invitation",
            RefusalCode::Expired => "the time of this invitation is over",
            RefusalCode::Cancelled => "this invitation was taken back",
            RefusalCode::Used => "this invitation was already used by another machine",
            RefusalCode::Busy => "too many machines are joining at the moment",
            RefusalCode::Unavailable => "no certificate can be issued at the moment",
        };
        Self { code, words: words.to_owned() }
    }

    fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self { code: RefusalCode::Unavailable, words: reason.to_string() }
    }
}

impl Administration {
    /// Redeems an invitation. The request must have been verified against its connection. Blocks
    /// until the outcome is durable.
    pub fn redeem(&self, request: &JoinRequest) -> Result<Redeemed, Refusal> {
        self.may_issue().map_err(Refusal::unavailable)?;
        let now_ms = (self.now_ms)();
        let (asked, identity) = (request.clone(), std::sync::Arc::clone(&self.identity));
        let decided = self.store.write_reference(move |connection| {
            table::schema(connection)?;
            decide(connection, &asked, now_ms, |applicant, lifetime_ms| {
                certify(&identity, applicant, now_ms, lifetime_ms).map_err(Refusal::unavailable)
            })
        });
        let (bytes, name, again) = decided.map_err(Refusal::unavailable)??;
        let authority = self.store.authority();
        let withdrawn = authority.revocation(&Serial::of(&bytes));
        // One that was only replaced is enough to connect and be given its successor.
        if withdrawn.is_some_and(|revocation| revocation.body().successor.is_none()) {
            let words = "the certificate of this machine was withdrawn".to_owned();
            return Err(Refusal { code: RefusalCode::Cancelled, words });
        }
        let mut chain = self.identity.chain.clone();
        chain.push(bytes);
        // Before it is sent: what the new node writes first must find its author known here.
        let refused = self.store.add_certificates(&chain).map_err(Refusal::unavailable)?;
        match refused.into_iter().next() {
            Some(reason) => Err(Refusal::unavailable(reason)),
            None => Ok(Redeemed { chain, name, again, clock_ms: now_ms }),
        }
    }
}

type Decision = Result<(Vec<u8>, String, bool), Refusal>;

/// Decides in a transaction. A refusal is a result and not an error: what was counted stays.
fn decide(
    connection: &Connection,
    request: &JoinRequest,
    now_ms: i64,
    certify: impl FnOnce(&Applicant, i64) -> Result<Certificate, Refusal>,
) -> rusqlite::Result<Decision> {
    let refused = |code| Ok(Err(Refusal::new(code)));
    let Some(row) = table::find(connection, request.invitation)? else {
        return refused(RefusalCode::Unknown);
    };
    let state = row.state(now_ms);
    // A lock ends the guessing, so it comes before the secret is looked at.
    if state == State::Locked {
        return refused(RefusalCode::Locked);
    }
    if !request.secret.matches(request.invitation, &row.secret_hash) {
        table::count_wrong(connection, row.id)?;
        return refused(RefusalCode::Unknown);
    }
    match state {
        State::Used => match row.certificate {
            Some(bytes) if row.subject == Some(request.subject) => {
                return Ok(Ok((bytes, row.name, true)));
            }
            _ => return refused(RefusalCode::Used),
        },
        State::Cancelled => return refused(RefusalCode::Cancelled),
        State::Expired => return refused(RefusalCode::Expired),
        State::Locked => return refused(RefusalCode::Locked),
        State::Open => {}
    }
    let (key, tier, region) = (request.subject, row.tier, row.region);
    let applicant = Applicant { key, tier, region, name: row.name };
    let certificate = match certify(&applicant, row.lifetime_ms) {
        Ok(certificate) => certificate,
        Err(refusal) => return Ok(Err(refusal)),
    };
    table::bind(connection, row.id, &request.subject, now_ms, certificate.bytes())?;
    Ok(Ok((certificate.bytes().to_vec(), applicant.name, false)))
}
