//! Publishing a division list as the register.
//!
//! The list is streamed: memory does not grow with it. Each batch is one transaction, so a process
//! killed on the way leaves a register that is complete up to some row, and publishing the same list
//! again finishes the work. Only what changed is written: a list published once more adds nothing.
//! A code that stands twice in one list keeps its last row.
//!
//! A list without a `status` column says nothing about statuses: those known from another list
//! stay. Likewise an empty parent does not erase a known one.
//!
//! The register is kept by the county, or by whoever founded the federation: what a town or a
//! village says of its own places does not reach the others, and two registers would contradict each
//! other. So it is published where it is kept, and comes down from there.

use std::collections::BTreeMap;
use std::io::Read;

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::Serial;
use cunlian_protocol::region::Depth;
use rusqlite::Connection;

use super::list::{Batch, DivisionList, ImportReport, ListError, Outside, Progress, Written};
use super::lookup::{self, find};
use super::row::Row;
use super::{Division, LookupError, Status, entry};
use crate::access::acting::Acting;
use crate::access::actor::Actor;
use crate::refusal::{Failed, Refusal, RefusalKind, Refused, keys};

/// Why a node does not publish the register.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It is kept further up.
    #[error("the register of divisions is kept by the county {county} and comes down from there")]
    Elsewhere {
        /// Code of the county.
        county: String,
    },
    /// The certificate is of a release before the register was published.
    #[error("the certificate of this node does not cover the register of divisions yet")]
    NotGranted,
    /// What is known of places cannot be read.
    #[error("{0}")]
    Damaged(String),
}

keys!(PublishError {
    Self::Elsewhere { .. } => "divisions-elsewhere",
    Self::NotGranted => "divisions-not-granted",
    Self::Damaged(_) => "divisions-damaged",
});

impl Refused for PublishError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Elsewhere { county } => {
                Refusal::new(RefusalKind::Forbidden, self.key(), self).with("county", county)
            }
            Self::NotGranted => Refusal::new(RefusalKind::Forbidden, self.key(), self),
            Self::Damaged(why) => {
                Refusal::new(RefusalKind::Conflict, self.key(), self).with("why", why)
            }
        }
    }
}

/// Why a list could not be published at all, or not to its end. Batches before are kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// It is not published here, or the store did not write it.
    #[error(transparent)]
    Publish(#[from] Failed<PublishError>),
}

/// Publishes a list; `progress` is called after each batch.
pub fn import(
    acting: &Acting<'_>,
    list: impl Read,
    mut progress: impl FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let mut list = DivisionList::open(list)?;
    // Said before anything is read: a person learns at once where to go.
    Keeper::of(&acting.store.authority(), &acting.author.serial).map_err(Failed::Refused)?;
    while let Some(batch) = list.next_batch()? {
        list.tally(publish(acting, &batch)?);
        progress(list.progress());
    }
    let open = acting.store.read(|connection| {
        Ok((lookup::missing_parents(connection)?, lookup::missing_successors(connection)?))
    });
    let (parents, successors) = open.map_err(Failed::from)?;
    Ok(list.report(parents, successors))
}

/// Publishes the rows of a batch, as far as they change anything.
pub fn publish(acting: &Acting<'_>, batch: &Batch) -> Result<Written, Failed<PublishError>> {
    let keeper = Keeper::of(&acting.store.authority(), &acting.author.serial);
    let keeper = keeper.map_err(Failed::Refused)?;
    let compared = acting.store.read(|connection| Ok(compare(connection, &keeper, batch)))?;
    let damaged = |error: LookupError| Failed::Refused(PublishError::Damaged(error.to_string()));
    let (written, changed) = compared.map_err(damaged)?;
    let mut writes = Vec::new();
    for (home, divisions) in changed {
        writes.extend(entry::writes(home, &divisions, acting.source));
    }
    acting.write(writes)?;
    Ok(written)
}

/// The entries that change, by the place where their documents are homed.
type Changed = BTreeMap<AddressCode, Vec<Division>>;

/// What the rows of a batch do to the register.
fn compare(
    connection: &Connection,
    keeper: &Keeper,
    batch: &Batch,
) -> Result<(Written, Changed), LookupError> {
    let mut written = Written::default();
    let mut next: BTreeMap<AddressCode, (AddressCode, Option<Division>, Division)> =
        BTreeMap::new();
    for row in &batch.rows {
        let Some(home) = keeper.home(&row.code) else {
            written.outside.push(Outside { code: row.code, name: row.name.clone() });
            continue;
        };
        let (first, before, known) = if let Some((_, first, now)) = next.remove(&row.code) {
            (first, Some(now.clone()), Some(now))
        } else {
            let published = lookup::published(connection, &home, &row.code)?;
            (published.clone(), published, find(connection, &row.code)?)
        };
        let division = row.over(known);
        match before {
            None => written.inserted += 1,
            Some(before) if before == division => written.unchanged += 1,
            Some(_) => written.updated += 1,
        }
        next.insert(row.code, (home, first, division));
    }
    let mut changed = Changed::new();
    for (home, first, division) in next.into_values() {
        if first.as_ref() != Some(&division) {
            changed.entry(home).or_default().push(division);
        }
    }
    Ok((written, changed))
}

/// Who keeps the register, and of which regions.
struct Keeper {
    regions: Vec<AddressCode>,
}

impl Keeper {
    fn of(authority: &std::sync::Arc<Authority>, serial: &Serial) -> Result<Self, PublishError> {
        let Some(certificate) = authority.get(serial) else { return Err(PublishError::NotGranted) };
        let body = certificate.body();
        let keeps = |region: &AddressCode| region.level() <= Level::County || body.issuer.is_none();
        let actor = Actor::new(authority.clone(), *serial);
        let grants = actor.writing(Category::DIVISION);
        let written = grants.filter(|grant| grant.region.depth == Depth::Subtree);
        let regions: Vec<_> = written.map(|grant| grant.region.prefix).filter(keeps).collect();
        if !regions.is_empty() {
            return Ok(Self { regions });
        }
        let own = body.grants.iter().find(|grant| grant.region.depth == Depth::Subtree);
        let county = own.and_then(|grant| grant.region.prefix.truncate(Level::County));
        match county {
            Some(county) if body.tier > Tier::County && body.issuer.is_some() => {
                Err(PublishError::Elsewhere { county: county.as_str().to_owned() })
            }
            Some(_) | None => Err(PublishError::NotGranted),
        }
    }

    /// Where the document with the entry of `code` is homed: at its county, which all below read,
    /// or at the founder's region where that is smaller. `None` for places of somebody else.
    fn home(&self, code: &AddressCode) -> Option<AddressCode> {
        if let Some(region) = self.regions.iter().find(|region| region.contains(code)) {
            let county = code.truncate(Level::County).unwrap_or(*code);
            return Some(if region.contains(&county) { county } else { *region });
        }
        let above =
            |region: &&AddressCode| region.level() <= Level::County && code.contains(region);
        self.regions.iter().find(above).copied()
    }
}

impl Row {
    /// The entry after this row, over what is known of the code.
    fn over(&self, known: Option<Division>) -> Division {
        let (parent, fate) = match known {
            Some(known) => (known.parent, (known.status, known.successors)),
            None => (None, (Status::Active, Vec::new())),
        };
        let (status, successors) = self.fate.clone().unwrap_or(fate);
        let parent = self.parent.or(parent);
        Division { code: self.code, name: self.name.clone(), parent, status, successors }
    }
}
