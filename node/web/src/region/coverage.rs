//! Of how many villages what a page counts is here, and as of when.

use std::collections::BTreeSet;

use cunlian_governance::access::reader::Reader;
use cunlian_governance::query;
use cunlian_protocol::address::AddressCode;
use rusqlite::Connection;

use crate::frame::clock::short;
use crate::frame::component::Notice;
use crate::frame::place::villages_of;
use crate::frame::text::Text;

/// How many of the villages in `region` have sent something, and as of when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    /// Villages of which something is here.
    pub(crate) villages_in: usize,
    /// Villages the register lists as active.
    pub(crate) villages_all: usize,
    /// The oldest of their latest changes.
    pub(crate) oldest_ms: Option<i64>,
}

impl Coverage {
    /// "k of n villages in, as of …".
    pub(crate) fn notice(&self, texts: Text, now_ms: i64) -> Notice {
        let complete = self.villages_in >= self.villages_all && self.villages_all > 0;
        let as_of = self.oldest_ms.map_or_else(|| texts.t("never"), |at_ms| short(at_ms, now_ms));
        let text = texts.with(
            "coverage",
            &[("k", &self.villages_in), ("n", &self.villages_all), ("as", &as_of)],
        );
        Notice { class: if complete { "good" } else { "warn" }, text }
    }
}

/// The coverage of `region`.
pub(crate) fn coverage(connection: &Connection, region: AddressCode) -> rusqlite::Result<Coverage> {
    let here = query::region::villages(connection, &Reader::everything(), region)?;
    let listed = villages_of(connection, &region);
    let known: BTreeSet<AddressCode> = here.iter().map(|village| village.address).collect();
    let villages_in = if listed.is_empty() {
        known.len()
    } else {
        listed.iter().filter(|village| known.contains(&village.code)).count()
    };
    Ok(Coverage {
        villages_in,
        villages_all: listed.len().max(villages_in),
        oldest_ms: here.iter().map(|village| village.updated_ms).min(),
    })
}

/// The coverage of several regions that do not overlap.
pub(crate) fn coverage_within(
    connection: &Connection,
    regions: &[AddressCode],
) -> rusqlite::Result<Coverage> {
    let mut all = Coverage { villages_in: 0, villages_all: 0, oldest_ms: None };
    for region in regions {
        let Coverage { villages_in, villages_all, oldest_ms } = coverage(connection, *region)?;
        all.villages_in += villages_in;
        all.villages_all += villages_all;
        all.oldest_ms = all.oldest_ms.into_iter().chain(oldest_ms).min();
    }
    Ok(all)
}
