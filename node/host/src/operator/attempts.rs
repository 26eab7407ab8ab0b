//! Lock-out: how often somebody may try a password, across restarts.
//!
//! Five failures from one network lock a login name for that network for a quarter of an hour, five
//! more for twice as long, up to four hours. Nobody is locked out by what others do:
//!
//! * Each network is counted by itself; the rest of the world may go on trying.
//! * A browser that has logged in to a name before is counted by itself, wherever it is.
//! * The machine itself is never locked, only slowed down: the person at the village terminal has no
//!   other way in.
//! * How often one network, and all that have never logged in to a name together, may try is bounded
//!   besides (`cunlian_web`'s limits).
//!
//! Names that do not exist are counted and locked like those that do, so that nothing is told
//! about which exist. Names are kept as hashes: people type passwords into the wrong field.
//!
//! `DATA/logins.json`, mode 0600:
//!
//! | field | value |
//! |---|---|
//! | `version` | 2; of version 1, which counted all strangers together, the browsers are taken over |
//! | `names` | per hash of a name: `networks`, per hash of an address, and `devices`, per hash of a visit cookie |
//! | counter | `failures`, `until_ms` (end of the lock), `at_ms` (last change) |
//!
//! At most 1,000 names; of those nobody has ever logged in to, the oldest make room. Without a
//! readable file counting begins anew: a damaged counter must not close the node to its people.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

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
/// Networks counted for one name; the oldest makes room.
const NETWORKS_MAX: usize = 64;
const VERSION: u8 = 2;

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
    networks: BTreeMap<String, Counter>,
    #[serde(default)]
    devices: BTreeMap<String, Counter>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Counter {
    failures: u32,
    until_ms: i64,
    at_ms: i64,
}

/// From where somebody tries a password.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The visit cookie of the browser, if it came with one.
    pub device: Option<&'a str>,
    /// The network; `None` for the machine itself.
    pub network: Option<IpAddr>,
}

impl Attempts {
    pub(super) fn new(data_dir: &Path, locks: &Path) -> Self {
        Self { path: data_dir.join("logins.json"), locks: locks.to_owned() }
    }

    /// How long whoever is at `origin` must wait before trying `name`, in milliseconds; `None` if
    /// they may.
    pub fn wait_ms(&self, name: &str, origin: Origin<'_>, now_ms: i64) -> Option<i64> {
        self.load().names.get(&hash(name))?.counter(origin)?.wait_ms(now_ms)
    }

    /// Whether the browser at `origin` has logged in to `name` before.
    pub fn knows(&self, name: &str, origin: Origin<'_>) -> bool {
        let table = self.load();
        let entry = table.names.get(&hash(name));
        entry.zip(origin.device).is_some_and(|(entry, it)| entry.devices.contains_key(&hash(it)))
    }

    /// How long the network that is locked out of `name` for the longest must wait.
    pub fn longest_wait_ms(&self, name: &str, now_ms: i64) -> Option<i64> {
        let table = self.load();
        let networks = table.names.get(&hash(name))?.networks.values();
        networks.filter_map(|counter| counter.wait_ms(now_ms)).max()
    }

    /// Counts a failure; gives the wait if this one locked.
    pub fn fail(&self, name: &str, origin: Origin<'_>, now_ms: i64) -> io::Result<Option<i64>> {
        self.change(|table| {
            table.make_room(&hash(name));
            let entry = table.names.entry(hash(name)).or_default();
            let known = origin.device.and_then(|device| entry.devices.get_mut(&hash(device)));
            let network = origin.network.map(|network| hash(&network.to_string()));
            let counter = known.or_else(|| network.map(|it| entry.networks.entry(it).or_default()));
            let wait_ms = counter.and_then(|counter| {
                counter.fail(now_ms);
                counter.wait_ms(now_ms)
            });
            make_room(&mut entry.networks, NETWORKS_MAX);
            wait_ms
        })
    }

    /// Takes note of a login: `device` is counted by itself from now on. A program that keeps no
    /// cookies is not remembered, or its logins would crowd out the browsers of the person.
    pub fn succeed(&self, name: &str, origin: Origin<'_>, now_ms: i64) -> io::Result<()> {
        self.change(|table| {
            table.make_room(&hash(name));
            let entry = table.names.entry(hash(name)).or_default();
            let known = Counter { at_ms: now_ms, ..Counter::default() };
            let device = origin.device.map(hash);
            let before = device.and_then(|device| entry.devices.insert(device, known));
            if let (None, Some(network)) = (before, origin.network) {
                // A stranger with the password is the person; their earlier slips do not count.
                entry.networks.remove(&hash(&network.to_string()));
            }
            make_room(&mut entry.devices, DEVICES_MAX);
        })
    }

    /// Takes every lock off `name`.
    pub fn unlock(&self, name: &str) -> io::Result<()> {
        self.change(|table| {
            if let Some(entry) = table.names.get_mut(&hash(name)) {
                entry.networks.clear();
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
            Ok(table) if matches!(table.version, 1 | VERSION) => {
                Table { version: VERSION, ..table }
            }
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
            let last = |entry: &Name| entry.networks.values().map(|counter| counter.at_ms).max();
            let used = |(_, entry): &(&String, &Name)| (!entry.devices.is_empty(), last(entry));
            let oldest = self.names.iter().min_by_key(used).map(|(name, _)| name.clone());
            self.names.remove(&oldest.unwrap_or_default());
        }
    }
}

impl Name {
    /// The counter of an origin; the machine itself has none.
    fn counter(&self, origin: Origin<'_>) -> Option<Counter> {
        let known = origin.device.and_then(|device| self.devices.get(&hash(device)));
        let network = || self.networks.get(&hash(&origin.network?.to_string()));
        known.or_else(network).copied()
    }
}

/// The counters that were changed last.
fn make_room(counters: &mut BTreeMap<String, Counter>, most: usize) {
    while counters.len() > most {
        let oldest = counters.iter().min_by_key(|(_, counter)| counter.at_ms);
        let oldest = oldest.map(|(key, _)| key.clone()).unwrap_or_default();
        counters.remove(&oldest);
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

    fn at(device: &'static str, network: &str) -> Origin<'static> {
        Origin { device: Some(device), network: Some(network.parse().unwrap()) }
    }

    fn there(network: &str) -> Origin<'static> {
        Origin { device: None, network: Some(network.parse().unwrap()) }
    }

    /// Fails as often as it takes to be locked; gives the lock.
    fn fail_until_locked(attempts: &Attempts, origin: Origin<'_>, now_ms: i64) -> i64 {
        let waits = (0..LOCK_AFTER).map(|_| attempts.fail("wang", origin, now_ms).unwrap());
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
        let here = there("192.0.2.1");
        for minutes in [15, 30, 60, 120, 240, 240] {
            let wait_ms = fail_until_locked(&attempts(directory.path()), here, now_ms);
            assert_eq!(wait_ms, minutes * 60_000);
            let again = attempts(directory.path());
            let other_browser = at("y", "192.0.2.1");
            assert_eq!(again.wait_ms("wang", other_browser, now_ms + wait_ms - 1), Some(1));
            now_ms += wait_ms;
            assert_eq!(again.wait_ms("wang", here, now_ms), None);
        }
        let attempts = attempts(directory.path());
        fail_until_locked(&attempts, here, now_ms);
        assert_eq!(attempts.longest_wait_ms("wang", now_ms), Some(LOCK_MAX_MS));
        attempts.unlock("wang").unwrap();
        assert_eq!(attempts.wait_ms("wang", here, now_ms), None);
        assert_eq!(fail_until_locked(&attempts, here, now_ms), LOCK_MS, "counting began anew");
    }

    /// Shows that strangers lock out nobody but their own network: other networks may try, the
    /// browser that logged in before still may from the same one, and is counted by itself.
    #[test]
    fn strangers_lock_out_their_own_network_alone() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        attempts.succeed("wang", at("terminal", "192.0.2.1"), 0).unwrap();
        fail_until_locked(&attempts, at("stranger", "192.0.2.1"), HOUR_MS);
        let wait_ms = |origin| attempts.wait_ms("wang", origin, HOUR_MS);
        assert!(wait_ms(at("stranger", "192.0.2.1")).is_some());
        assert!(wait_ms(there("192.0.2.1")).is_some());
        assert_eq!(wait_ms(there("192.0.2.2")), None);
        assert_eq!(wait_ms(at("terminal", "192.0.2.1")), None);
        attempts.succeed("wang", at("terminal", "192.0.2.1"), HOUR_MS).unwrap();
        assert!(wait_ms(at("stranger", "192.0.2.1")).is_some());
        fail_until_locked(&attempts, at("terminal", "192.0.2.3"), HOUR_MS);
        assert!(wait_ms(at("terminal", "192.0.2.1")).is_some());
    }

    /// Shows that the machine itself is never locked.
    #[test]
    fn the_machine_itself_is_not_locked() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        let here = Origin { device: None, network: None };
        for _ in 0..4 * LOCK_AFTER {
            assert_eq!(attempts.fail("wang", here, 0).unwrap(), None);
        }
        fail_until_locked(&attempts, there("192.0.2.1"), 0);
        assert_eq!(attempts.wait_ms("wang", here, 1), None);
    }

    /// Shows that programs without cookies do not crowd out the browsers of a person.
    #[test]
    fn programs_without_cookies_are_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        attempts.succeed("wang", at("terminal", "192.0.2.1"), 0).unwrap();
        for hour in 1..20 {
            attempts.succeed("wang", there("192.0.2.1"), hour * HOUR_MS).unwrap();
        }
        fail_until_locked(&attempts, there("192.0.2.1"), 20 * HOUR_MS);
        assert!(attempts.wait_ms("wang", there("192.0.2.1"), 20 * HOUR_MS).is_some());
        assert!(attempts.knows("wang", at("terminal", "192.0.2.1")));
        assert_eq!(attempts.wait_ms("wang", at("terminal", "192.0.2.1"), 20 * HOUR_MS), None);
    }

    /// Shows that slips are forgotten after a day, and that a lock set by a clock ten years ahead
    /// does not hold once the clock is right.
    #[test]
    fn old_slips_and_wrong_clocks_do_not_lock() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        let one = there("192.0.2.1");
        for _ in 1..LOCK_AFTER {
            attempts.fail("wang", one, 0).unwrap();
        }
        assert_eq!(attempts.fail("wang", one, 25 * HOUR_MS).unwrap(), None);
        fail_until_locked(&attempts, there("192.0.2.2"), 87_600 * HOUR_MS);
        assert_eq!(attempts.wait_ms("wang", there("192.0.2.2"), HOUR_MS), None);
    }

    /// Shows that a flood of networks is bounded for each name.
    #[test]
    fn a_flood_of_networks_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let attempts = attempts(directory.path());
        for n in 0..200_u8 {
            attempts.fail("wang", there(&format!("192.0.2.{n}")), i64::from(n)).unwrap();
        }
        let table = attempts.load();
        assert_eq!(
            table.names.values().map(|name| name.networks.len()).sum::<usize>(),
            NETWORKS_MAX
        );
    }

    /// Shows that of the file of version 1 the browsers that logged in before are taken over, and
    /// the lock of all strangers together is not.
    #[test]
    fn a_file_of_version_1_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let device = hash("terminal");
        let counter =
            |until_ms: i64| format!("{{\"failures\":5,\"until_ms\":{until_ms},\"at_ms\":0}}");
        let (locked, open) = (counter(900_000), counter(0));
        let name = format!("{{\"strangers\":{locked},\"devices\":{{\"{device}\":{open}}}}}");
        let text = format!("{{\"version\":1,\"names\":{{\"{}\":{name}}}}}", hash("wang"));
        fs::write(directory.path().join("logins.json"), text).unwrap();
        let attempts = attempts(directory.path());
        assert!(attempts.knows("wang", at("terminal", "192.0.2.1")));
        assert_eq!(attempts.wait_ms("wang", there("192.0.2.9"), 1), None);
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
        attempts(directory.path()).fail("苑兴村2026!", there("192.0.2.1"), 0).unwrap();
        let text = fs::read_to_string(directory.path().join("logins.json")).unwrap();
        assert!(!text.contains("2026"), "{text}");
    }

    /// Shows that a damaged file lets people in and is replaced.
    #[test]
    fn a_damaged_file_counts_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("logins.json"), b"{\"version\":1,").unwrap();
        let attempts = attempts(directory.path());
        let one = there("192.0.2.1");
        assert_eq!(attempts.wait_ms("wang", one, 0), None);
        fail_until_locked(&attempts, one, 0);
        assert!(attempts.wait_ms("wang", one, 1).is_some());
    }
}
