//! Lock-out: how often somebody may try a password, across restarts.
//!
//! Five failures for one login name lock it for a quarter of an hour, five more for twice as long,
//! up to four hours. Two things keep a stranger from locking people out for ever:
//!
//! * A browser that has logged in to a name before is counted by itself. The person at the village
//!   terminal gets in while the rest of the world is locked out of their name.
//! * How often one network address may try at all is bounded besides (`web::throttle`).
//!
//! Names that do not exist are counted and locked like those that do, so that nothing is told
//! about which exist. Names are kept as hashes: people type passwords into the wrong field.
//!
//! `DATA/logins.json`, mode 0600:
//!
//! | field | value |
//! |---|---|
//! | `version` | 1 |
//! | `names` | per hash of a name: `strangers` and `devices`, per hash of a visit cookie |
//! | counter | `failures`, `until_ms` (end of the lock), `at_ms` (last change) |
//!
//! At most 1,000 names; of those nobody has ever logged in to, the oldest make room. Without a
//! readable file counting begins anew: a damaged counter must not close the node to its people.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::seal::{self, Placing};
use crate::keystore::hex;

/// Failures that lock.
pub const LOCK_AFTER: u32 = 5;

const LOCK_MS: i64 = 15 * 60_000;
const LOCK_MAX_MS: i64 = 4 * 3_600_000;
/// Failures older than this are forgotten.
const FORGET_MS: i64 = 24 * 3_600_000;
const NAMES_MAX: usize = 1_000;
const DEVICES_MAX: usize = 8;
const VERSION: u8 = 1;

/// The counters of one node.
#[derive(Debug, Clone)]
pub struct Attempts {
    path: PathBuf,
    locks: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    version: u8,
    names: BTreeMap<String, Name>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Name {
    #[serde(default)]
    strangers: Counter,
    #[serde(default)]
    devices: BTreeMap<String, Counter>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Counter {
    failures: u32,
    until_ms: i64,
    at_ms: i64,
}

impl Attempts {
    pub(super) fn new(data_dir: &Path, locks: &Path) -> Self {
        Self { path: data_dir.join("logins.json"), locks: locks.to_owned() }
    }

    /// How long `device` must wait before it may try `name`, in milliseconds; `None` if it may. A
    /// browser that came without a cookie is no device.
    pub fn wait_ms(&self, name: &str, device: Option<&str>, now_ms: i64) -> Option<i64> {
        self.load().names.get(&hash(name))?.counter(device).wait_ms(now_ms)
    }

    /// How long browsers that never logged in to `name` must wait.
    pub fn strangers_wait_ms(&self, name: &str, now_ms: i64) -> Option<i64> {
        self.load().names.get(&hash(name))?.strangers.wait_ms(now_ms)
    }

    /// Counts a failure; gives the wait if this one locked.
    pub fn fail(&self, name: &str, device: Option<&str>, now_ms: i64) -> io::Result<Option<i64>> {
        self.change(|table| {
            table.make_room(&hash(name));
            let entry = table.names.entry(hash(name)).or_default();
            let known = device.and_then(|device| entry.devices.get_mut(&hash(device)));
            let counter = known.unwrap_or(&mut entry.strangers);
            counter.fail(now_ms);
            counter.wait_ms(now_ms)
        })
    }

    /// Takes note of a login: `device` is counted by itself from now on. A program that keeps no
    /// cookies is not remembered, or its logins would crowd out the browsers of the person.
    pub fn succeed(&self, name: &str, device: Option<&str>, now_ms: i64) -> io::Result<()> {
        self.change(|table| {
            table.make_room(&hash(name));
            let entry = table.names.entry(hash(name)).or_default();
            let known = Counter { at_ms: now_ms, ..Counter::default() };
            let before = device.and_then(|device| entry.devices.insert(hash(device), known));
            if before.is_none() {
                // A stranger with the password is the person; their earlier slips do not count.
                entry.strangers = Counter::default();
            }
            while entry.devices.len() > DEVICES_MAX {
                let oldest = entry.devices.iter().min_by_key(|(_, counter)| counter.at_ms);
                let oldest = oldest.map(|(device, _)| device.clone()).unwrap_or_default();
                entry.devices.remove(&oldest);
            }
        })
    }

    /// Takes every lock off `name`.
    pub fn unlock(&self, name: &str) -> io::Result<()> {
        self.change(|table| {
            if let Some(entry) = table.names.get_mut(&hash(name)) {
                entry.strangers = Counter::default();
                for counter in entry.devices.values_mut() {
                    *counter = Counter { at_ms: counter.at_ms, ..Counter::default() };
                }
            }
        })
    }

    /// Forgets `name`, the browsers that logged in to it included.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        self.change(|table| {
            table.names.remove(&hash(name));
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> io::Result<T> {
        let _turn = seal::lock(&self.locks)?;
        let mut table = self.load();
        let result = change(&mut table);
        let text = serde_json::to_vec(&table).expect("the layout has only JSON types");
        seal::write(&self.path, &text, Placing::Over)?;
        Ok(result)
    }

    fn load(&self) -> Table {
        let empty = || Table { version: VERSION, names: BTreeMap::new() };
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return empty(),
            Err(error) => {
                tracing::warn!(%error, "failed logins cannot be read and are counted anew");
                return empty();
            }
        };
        match serde_json::from_slice::<Table>(&bytes) {
            Ok(table) if table.version == VERSION => table,
            Ok(_) | Err(_) => {
                tracing::warn!("the file of failed logins is damaged; they are counted anew");
                empty()
            }
        }
    }
}

impl Table {
    fn make_room(&mut self, name: &str) {
        while self.names.len() >= NAMES_MAX && !self.names.contains_key(name) {
            let used =
                |(_, entry): &(&String, &Name)| (!entry.devices.is_empty(), entry.strangers.at_ms);
            let oldest = self.names.iter().min_by_key(used).map(|(name, _)| name.clone());
            self.names.remove(&oldest.unwrap_or_default());
        }
    }
}

impl Name {
    fn counter(&self, device: Option<&str>) -> Counter {
        let known = device.and_then(|device| self.devices.get(&hash(device)));
        known.copied().unwrap_or(self.strangers)
    }
}

impl Counter {
    fn fail(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.at_ms) > FORGET_MS {
            *self = Self::default();
        }
        self.failures = self.failures.saturating_add(1);
        self.at_ms = now_ms;
        if self.failures.is_multiple_of(LOCK_AFTER) {
            let doublings = (self.failures / LOCK_AFTER - 1).min(10);
            self.until_ms = now_ms.saturating_add((LOCK_MS << doublings).min(LOCK_MAX_MS));
        }
    }

    /// A lock from a time when the clock was far ahead does not hold: nobody could wait it out.
    fn wait_ms(&self, now_ms: i64) -> Option<i64> {
        let left_ms = self.until_ms.saturating_sub(now_ms);
        (1..=LOCK_MAX_MS).contains(&left_ms).then_some(left_ms)
    }
}

fn hash(text: &str) -> String {
    let digest = blake3::derive_key("cunlian 2026-11 login attempts", text.as_bytes());
    hex(digest.first_chunk::<16>().map_or(&[][..], |half| half))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn attempts(directory: &Path) -> Attempts {
        Attempts::new(directory, &directory.join("operators"))
    }

    /// Fails as often as it takes to be locked; gives the lock.
    fn fail_until_locked(attempts: &Attempts, device: &str, now_ms: i64) -> i64 {
        let waits = (0..LOCK_AFTER).map(|_| attempts.fail("wang", Some(device), now_ms).unwrap());
        let waits: Vec<_> = waits.collect();
        let (last, before) = waits.split_last().unwrap();
        assert!(before.iter().all(Option::is_none), "{waits:?}");
        last.unwrap()
    }

    /// Shows that five failures lock, that the lock outlives the process, doubles up to its
    /// bound, and that an administrator can take it off.
    #[test]
    fn locks_double_and_outlive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let mut now_ms = 1_000_000;
        for minutes in [15, 30, 60, 120, 240, 240] {
            let wait_ms = fail_until_locked(&attempts(directory.path()), "x", now_ms);
            assert_eq!(wait_ms, minutes * 60_000);
            let again = attempts(directory.path());
            assert_eq!(again.wait_ms("wang", Some("y"), now_ms + wait_ms - 1), Some(1));
            now_ms += wait_ms;
            assert_eq!(again.wait_ms("wang", Some("y"), now_ms), None);
        }
        let attempts = attempts(directory.path());
        fail_until_locked(&attempts, "x", now_ms);
        attempts.unlock("wang").unwrap();
        assert_eq!(attempts.wait_ms("wang", Some("x"), now_ms), None);
        assert_eq!(fail_until_locked(&attempts, "x", now_ms), LOCK_MS, "counting began anew");
    }

    /// Shows that strangers lock out strangers: the browser that logged in before still may, is
    /// counted by itself, and its login does not open the name to the others.
    #[test]
    fn a_known_browser_is_not_locked_out_by_strangers() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        attempts.succeed("wang", Some("terminal"), 0).unwrap();
        fail_until_locked(&attempts, "stranger", HOUR_MS);
        assert!(attempts.wait_ms("wang", Some("stranger"), HOUR_MS).is_some());
        assert!(attempts.wait_ms("wang", Some("other"), HOUR_MS).is_some());
        assert_eq!(attempts.wait_ms("wang", Some("terminal"), HOUR_MS), None);
        attempts.succeed("wang", Some("terminal"), HOUR_MS).unwrap();
        assert!(attempts.wait_ms("wang", Some("stranger"), HOUR_MS).is_some());
        fail_until_locked(&attempts, "terminal", HOUR_MS);
        assert!(attempts.wait_ms("wang", Some("terminal"), HOUR_MS).is_some());
    }

    /// Shows that programs without cookies do not crowd out the browsers of a person.
    #[test]
    fn programs_without_cookies_are_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        attempts.succeed("wang", Some("terminal"), 0).unwrap();
        for hour in 1..20 {
            attempts.succeed("wang", None, hour * HOUR_MS).unwrap();
        }
        fail_until_locked(&attempts, "stranger", 20 * HOUR_MS);
        assert!(attempts.wait_ms("wang", None, 20 * HOUR_MS).is_some());
        assert_eq!(attempts.wait_ms("wang", Some("terminal"), 20 * HOUR_MS), None);
    }

    /// Shows that slips are forgotten after a day, and that a lock set by a clock ten years ahead
    /// does not hold once the clock is right.
    #[test]
    fn old_slips_and_wrong_clocks_do_not_lock() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        for _ in 1..LOCK_AFTER {
            attempts.fail("wang", Some("x"), 0).unwrap();
        }
        assert_eq!(attempts.fail("wang", Some("x"), 25 * HOUR_MS).unwrap(), None);
        fail_until_locked(&attempts, "z", 87_600 * HOUR_MS);
        assert_eq!(attempts.wait_ms("wang", Some("z"), HOUR_MS), None);
    }

    /// Shows that a flood of names is bounded and drops none that somebody logged in to, and that
    /// the file holds neither names nor passwords typed in their place.
    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut table = Table::default();
        let known = Name {
            devices: BTreeMap::from([("d".to_owned(), Counter::default())]),
            ..Name::default()
        };
        table.names.insert("known".to_owned(), known);
        for number in 0..2 * NAMES_MAX {
            let name = format!("n{number}");
            table.make_room(&name);
            table.names.insert(name, Name::default());
        }
        assert_eq!(table.names.len(), NAMES_MAX);
        assert!(table.names.contains_key("known"));
        let directory = tempfile::tempdir().unwrap();
        attempts(directory.path()).fail("苑兴村2026!", Some("x"), 0).unwrap();
        let text = fs::read_to_string(directory.path().join("logins.json")).unwrap();
        assert!(!text.contains("2026"), "{text}");
    }

    /// Shows that a damaged file lets people in and is replaced.
    #[test]
    fn a_damaged_file_counts_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("logins.json"), b"{\"version\":1,").unwrap();
        let attempts = attempts(directory.path());
        assert_eq!(attempts.wait_ms("wang", Some("x"), 0), None);
        fail_until_locked(&attempts, "x", 0);
        assert!(attempts.wait_ms("wang", Some("x"), 1).is_some());
    }
}
