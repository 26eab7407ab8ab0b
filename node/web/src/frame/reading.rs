//! Questions to the store, asked off the asynchronous threads.

use std::time::Instant;

use cunlian_crdt::store::{Fault, Store};
use cunlian_governance::directory::{self, Contact};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;

use crate::frame::component::{Height, SyncBadge};
use crate::frame::failure::Failure;
use crate::frame::text::Text;
use crate::state::WebState;

/// A page that takes longer than this is worth a line in the log, milliseconds.
const SLOW_MS: u128 = 500;

/// Runs `work` with the store on a thread that may block.
pub(crate) async fn ask<T, E>(
    state: &WebState,
    work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    let store = state.store().clone();
    let started = Instant::now();
    let result = tokio::task::spawn_blocking(move || work(&store)).await;
    let elapsed_ms = started.elapsed().as_millis();
    if elapsed_ms > SLOW_MS {
        tracing::warn!(elapsed_ms, "a question to the store was slow");
    }
    match result {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Failure::Internal(error.to_string())),
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            Fault::ReadOnly => Self::Unwritable(fault.to_string()),
            Fault::Corrupt { .. } | Fault::Failing { .. } | Fault::Stopped => {
                Self::Internal(fault.to_string())
            }
        }
    }
}

/// How far up a document is known to be durable.
pub(crate) fn height(store: &Store, home: &Home) -> Result<Height, Failure> {
    progress(store, home).map(|(height, _)| height)
}

/// The same, with the reason when a node above does not take it, or not now, in its words.
pub(crate) fn progress(store: &Store, home: &Home) -> Result<(Height, Option<String>), Failure> {
    let reached = store.reached(home)?;
    if reached.refused.is_some() {
        return Ok((Height::Refused, reached.refused));
    }
    let height = height_of(reached.reached, reached.awaited);
    let waits = height == Height::Local && reached.postponed.is_some();
    Ok((if waits { Height::Postponed } else { height }, reached.postponed))
}

/// How far a document has come, for a list: the reason comes with the pointer on it.
pub(crate) fn sync_badge(store: &Store, texts: Text, home: &Home) -> Result<SyncBadge, Failure> {
    let (height, why) = progress(store, home)?;
    Ok(SyncBadge::of(texts, height).because(why))
}

/// The height of something that tiers (bits) hold and others are awaited to.
pub(crate) fn height_of(reached: u8, awaited: u8) -> Height {
    let has = |tiers: &[Tier]| tiers.iter().any(|tier| reached & tier.bit() != 0);
    if has(&[Tier::County, Tier::City, Tier::Province]) {
        Height::County
    } else if has(&[Tier::Town, Tier::Village]) {
        if awaited == 0 { Height::TownLast } else { Height::Town }
    } else if awaited != 0 {
        Height::Local
    } else {
        Height::Home
    }
}

/// The public contacts of a village.
pub(crate) fn contacts(store: &Store, village: &AddressCode) -> Result<Vec<Contact>, Failure> {
    let village = *village;
    let rows = store.read(|connection| directory::query::contacts(connection, village))?;
    Ok(rows.into_iter().map(|(_, contact)| contact).collect())
}
