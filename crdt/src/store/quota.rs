//! How much a node takes from one peer below it: in all, and in one day.
//!
//! A child whose program has gone wrong, or that means ill, must not fill the disk of its town. What
//! is beyond the bound is postponed: nothing is wrong with it, the child keeps it, and it is taken
//! in a later comparison, when the day has passed or somebody has raised the bound. What is more
//! urgent than the library may go beyond the bound by an eighth, so that an alert still comes
//! through. Counted is what was new and came into the log; two batches at work at the same time may
//! exceed the bound by one of them.
//!
//! A peer is known by its key, so a new certificate is no new start. Nodes above are not counted.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::URGENCY;
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::sync::{Carried, Fate};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::checking::{Fates, Sender};
use super::health::Fault;
use super::kept::blob_bytes;

/// A day begins at midnight in China.
const ZONE_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;
const MIB: u64 = 1 << 20;

/// Bounds on what is taken from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Most changes in all.
    pub changes: u64,
    /// Most bytes of changes in all.
    pub bytes: u64,
    /// Most changes in one day.
    pub day_changes: u64,
    /// Most bytes of changes in one day.
    pub day_bytes: u64,
    /// Most bytes of photos and files, those in progress counted in full.
    pub blob_bytes: u64,
}

impl Default for Quota {
    /// Room for a town of a hundred thousand people and ten years; in one day for all it has.
    fn default() -> Self {
        Self {
            changes: 20_000_000,
            bytes: 16 << 30,
            day_changes: 5_000_000,
            day_bytes: 4 << 30,
            blob_bytes: limits::BLOB_BYTES_OF_PEER,
        }
    }
}

/// What has been taken from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuotaUse {
    /// Changes in all.
    pub changes: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Which day the rest is about, in days since 1970-01-01 in China.
    pub day: i64,
    /// Changes on that day.
    pub day_changes: u64,
    /// Bytes on that day.
    pub day_bytes: u64,
    /// Bytes of photos and files that are kept, those in progress counted in full.
    pub blob_bytes: u64,
}

impl QuotaUse {
    /// Whether a bound is reached, or nearly so.
    pub fn is_beyond(&self, quota: &Quota) -> bool {
        let mut with = *self;
        with.add(1, quota.bytes.min(quota.day_bytes) / 256);
        let blob_bytes = self.blob_bytes.saturating_add(quota.blob_bytes / 256);
        with.exceeds(quota).is_some() || blob_bytes > quota.blob_bytes
    }

    /// As it stands at this time: on a new day nothing has been taken yet.
    fn at(self, at_ms: i64) -> Self {
        let day = at_ms.saturating_add(ZONE_MS).div_euclid(DAY_MS);
        if day == self.day { self } else { Self { day, day_changes: 0, day_bytes: 0, ..self } }
    }

    fn add(&mut self, changes: u64, bytes: u64) {
        self.changes += changes;
        self.bytes += bytes;
        self.day_changes += changes;
        self.day_bytes += bytes;
    }

    /// Which bound is exceeded.
    fn exceeds(&self, quota: &Quota) -> Option<Bound> {
        match () {
            () if self.changes > quota.changes => Some(Bound::Changes(quota.changes)),
            () if self.bytes > quota.bytes => Some(Bound::Bytes(quota.bytes)),
            () if self.day_changes > quota.day_changes => {
                Some(Bound::DayChanges(quota.day_changes))
            }
            () if self.day_bytes > quota.day_bytes => Some(Bound::DayBytes(quota.day_bytes)),
            () => None,
        }
    }
}

/// A bound that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Changes(u64),
    Bytes(u64),
    DayChanges(u64),
    DayBytes(u64),
    BlobBytes(u64),
}

impl Bound {
    fn reason(self, name: &str) -> String {
        let amount = match self {
            Self::Changes(most) => format!("{most} changes in all"),
            Self::Bytes(most) => format!("{} MiB in all", most / MIB),
            Self::DayChanges(most) => format!("{most} changes a day"),
            Self::DayBytes(most) => format!("{} MiB a day", most / MIB),
            Self::BlobBytes(most) => format!("{} MiB of photos and files", most / MIB),
        };
        let when = match self {
            Self::Changes(_) | Self::Bytes(_) | Self::BlobBytes(_) => "",
            Self::DayChanges(_) | Self::DayBytes(_) => "tomorrow, or ",
        };
        format!(
            "the bound of {amount} on what {name:?} may send here is reached; the rest is taken \
             {when}when the administrator here raises the bound: cunlian node quota"
        )
    }
}

/// Of the changes that are new here those that the peer may send now; the others are postponed.
pub(super) fn admit(
    connection: &Connection,
    authority: &Authority,
    usual: &Quota,
    sender: &Sender,
    mut changes: Vec<(usize, SignedChange)>,
    fates: &mut Fates,
) -> rusqlite::Result<Vec<(usize, SignedChange)>> {
    if sender.tiers != 0 || changes.is_empty() {
        return Ok(changes);
    }
    let peer = peer_key(authority, &sender.serial);
    let quota = bounds(connection, &peer)?.unwrap_or(*usual);
    let mut used = used(connection, &peer)?.unwrap_or_default().at(sender.at_ms);
    let mut full: [Option<String>; URGENCY.len()] = Default::default();
    changes.retain(|(place, change)| {
        let class = change.header().home.category.urgency();
        let Some(full) = full.get_mut(class) else { return true };
        if full.is_none() {
            let mut with = used;
            with.add(1, change.bytes().len() as u64);
            match with.exceeds(&of_class(&quota, class)) {
                Some(bound) => *full = Some(bound.reason(authority.name(&sender.serial).as_str())),
                None => used = with,
            }
        }
        if let Some(reason) = full {
            fates.set(*place, Fate::Postponed { reason: reason.clone() });
        }
        full.is_none()
    });
    Ok(changes)
}

/// Counts what of a batch came into the log.
pub(super) fn count(
    connection: &Connection,
    authority: &Authority,
    sender: &Sender,
    carried: &[Carried],
    fates: &[Option<Fate>],
) -> rusqlite::Result<()> {
    if sender.tiers != 0 {
        return Ok(());
    }
    let accepted = carried.iter().zip(fates).filter(|(_, fate)| **fate == Some(Fate::Accepted));
    let (changes, bytes) =
        accepted.fold((0, 0), |(n, bytes), (c, _)| (n + 1, bytes + c.bytes.len() as u64));
    if changes == 0 {
        return Ok(());
    }
    let peer = peer_key(authority, &sender.serial);
    let mut used = used(connection, &peer)?.unwrap_or_default().at(sender.at_ms);
    used.add(changes, bytes);
    connection
        .prepare_cached("INSERT OR REPLACE INTO quota_use VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute((&peer, used.changes, used.bytes, used.day, used.day_changes, used.day_bytes))?;
    Ok(())
}

/// What has been taken from a peer, as of this time, and the bounds for it.
pub(super) fn state(
    connection: &Connection,
    usual: &Quota,
    peer: &PublicKey,
    at_ms: i64,
) -> Result<(QuotaUse, Quota), Fault> {
    let mut used = used(connection, &peer.0)?.unwrap_or_default().at(at_ms);
    used.blob_bytes = blob_bytes(connection, &peer.0)?;
    Ok((used, bounds(connection, &peer.0)?.unwrap_or(*usual)))
}

/// Gives a peer bounds of its own, or the usual ones again.
pub(super) fn set(
    connection: &Connection,
    peer: &PublicKey,
    quota: Option<&Quota>,
) -> rusqlite::Result<()> {
    let Some(quota) = quota else {
        let sql = "DELETE FROM quota WHERE peer = ?1";
        connection.prepare_cached(sql)?.execute([peer.0])?;
        return Ok(());
    };
    let Quota { changes, bytes, day_changes, day_bytes, blob_bytes } = *quota;
    let row = (peer.0, changes, bytes, day_changes, day_bytes, blob_bytes);
    let sql = "INSERT OR REPLACE INTO quota VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

/// How many bytes of blobs a peer may still give, and why no more.
pub(super) fn room_for_blobs(
    connection: &Connection,
    authority: &Authority,
    usual: &Quota,
    peer: &PublicKey,
) -> rusqlite::Result<(u64, String)> {
    let most = bounds(connection, &peer.0)?.unwrap_or(*usual).blob_bytes;
    let room = most.saturating_sub(blob_bytes(connection, &peer.0)?);
    let known = authority.certificates().find(|found| found.body().subject == *peer);
    let name = known.map_or_else(|| peer.to_string(), |found| found.body().name.clone());
    Ok((room, Bound::BlobBytes(most).reason(&name)))
}

/// What is more urgent than the last class may go beyond the bounds by an eighth.
fn of_class(quota: &Quota, class: usize) -> Quota {
    if class + 1 == URGENCY.len() {
        return *quota;
    }
    let more = |bound: u64| bound.saturating_add(bound / 8).saturating_add(1);
    Quota {
        changes: more(quota.changes),
        bytes: more(quota.bytes),
        day_changes: more(quota.day_changes),
        day_bytes: more(quota.day_bytes),
        blob_bytes: quota.blob_bytes,
    }
}

/// The key of a peer; its serial while its certificate is not known.
fn peer_key(authority: &Authority, serial: &Serial) -> Vec<u8> {
    match authority.get(serial) {
        Some(certificate) => certificate.body().subject.0.to_vec(),
        None => serial.0.to_vec(),
    }
}

fn bounds(connection: &Connection, peer: &[u8]) -> rusqlite::Result<Option<Quota>> {
    let mut select = connection.prepare_cached(
        "SELECT changes, bytes, day_changes, day_bytes, blob_bytes FROM quota WHERE peer = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Quota {
            changes: row.get(0)?,
            bytes: row.get(1)?,
            day_changes: row.get(2)?,
            day_bytes: row.get(3)?,
            blob_bytes: row.get(4)?,
        })
    };
    select.query_row([peer], read).optional()
}

fn used(connection: &Connection, peer: &[u8]) -> rusqlite::Result<Option<QuotaUse>> {
    let mut select = connection.prepare_cached(
        "SELECT changes, bytes, day, day_changes, day_bytes FROM quota_use WHERE peer = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(QuotaUse {
            changes: row.get(0)?,
            bytes: row.get(1)?,
            day: row.get(2)?,
            day_changes: row.get(3)?,
            day_bytes: row.get(4)?,
            blob_bytes: 0,
        })
    };
    select.query_row([peer], read).optional()
}
