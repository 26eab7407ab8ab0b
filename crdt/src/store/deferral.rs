//! What a node above takes later, for want of room: known by class of urgency, not by change.
//!
//! A parent that has taken as much of this node as it will postpones what comes beyond, and then
//! this node sends nothing of that class, or of one that is less urgent. So a million changes may
//! wait for one reason, which is kept once, for the tier and the class, and holds for every change
//! that waits for this tier and is not more urgent. It goes when the tier takes something of the
//! class again, or both sides hold the same. What it is not: the refusal of a single change for
//! what it is, which stands beside that change in the outbox.
//!
//! The few entries are one value in `meta`: postcard of the list, ascending.

use std::collections::BTreeMap;

use cunlian_protocol::certificate::Tier;
use cunlian_protocol::sync::tiers;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::facts::{meta, set_meta};

/// Name in `meta`.
const NAME: &str = "postponed";

/// Everything from this class on waits, at this tier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Postponed {
    tier: u8,
    class: u8,
    reason: String,
}

/// What a peer said of one class.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// Tier bit of the peer.
    pub(super) tier: u8,
    /// The class of urgency.
    pub(super) class: u8,
    /// Why it takes nothing of it for now; `None` when it does.
    pub(super) reason: Option<String>,
}

/// Whether a word changes nothing that is noted.
pub(super) fn is_known(connection: &Connection, word: &Word) -> rusqlite::Result<bool> {
    let known = list(connection)?;
    Ok(with(known.clone(), word) == known)
}

/// Notes what a peer said: nothing of a class is taken; or something is, and then of those before
/// it too.
pub(super) fn note(connection: &Connection, word: &Word) -> rusqlite::Result<()> {
    let list = with(list(connection)?, word);
    let bytes = postcard::to_allocvec(&list).expect("numbers and texts are encodable");
    set_meta(connection, NAME, &bytes)
}

/// Why a change of this class that waits for these tiers (bits) is not taken for now.
pub(super) fn reason(
    connection: &Connection,
    awaited: u8,
    class: usize,
) -> rusqlite::Result<Option<String>> {
    let holds = |p: &Postponed| p.tier & awaited != 0 && usize::from(p.class) <= class;
    Ok(list(connection)?.into_iter().rfind(holds).map(|p| p.reason))
}

/// By tier, the reason for what is least urgent.
pub(super) fn by_tier(connection: &Connection) -> rusqlite::Result<BTreeMap<Tier, String>> {
    let list = list(connection)?.into_iter();
    Ok(list.flat_map(|p| tiers(p.tier).map(move |tier| (tier, p.reason.clone()))).collect())
}

fn with(mut list: Vec<Postponed>, word: &Word) -> Vec<Postponed> {
    let Word { tier, class, reason } = word.clone();
    list.retain(|p| {
        p.tier != tier || if reason.is_some() { p.class != class } else { p.class > class }
    });
    list.extend(reason.map(|reason| Postponed { tier, class, reason }));
    list.sort_unstable();
    list
}

/// What this program did not write counts as nothing: it is said again soon.
fn list(connection: &Connection) -> rusqlite::Result<Vec<Postponed>> {
    let bytes = meta(connection, NAME)?;
    Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const TOWN: u8 = Tier::Town.bit();
    const COUNTY: u8 = Tier::County.bit();

    fn say(connection: &Connection, tier: u8, class: u8, reason: Option<&str>) {
        note(connection, &Word { tier, class, reason: reason.map(str::to_owned) }).unwrap();
    }

    /// Shows that a reason holds for its class and those that are less urgent, at its tier only,
    /// that the one for the class itself is said first, and that it goes with what is taken again.
    #[test]
    fn a_reason_holds_from_its_class_on() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let why = |awaited, class| reason(&connection, awaited, class).unwrap();
        assert_eq!(why(TOWN | COUNTY, 2), None);
        say(&connection, TOWN, 1, Some("full"));
        say(&connection, TOWN, 2, Some("full today"));
        assert_eq!(
            [0, 1, 2].map(|class| why(TOWN | COUNTY, class)),
            [None, Some("full".to_owned()), Some("full today".to_owned()),]
        );
        assert_eq!(why(COUNTY, 2), None);
        say(&connection, TOWN, 1, None);
        assert_eq!([1, 2].map(|class| why(TOWN, class).is_some()), [false, true]);
        let tiers = by_tier(&connection).unwrap();
        assert_eq!(tiers, BTreeMap::from([(Tier::Town, "full today".to_owned())]));
        let word = Word { tier: COUNTY, class: 2, reason: None };
        assert!(is_known(&connection, &word).unwrap());
        say(&connection, TOWN, 2, None);
        assert!(by_tier(&connection).unwrap().is_empty());
    }
}
