//! The only place that asks the operating system for the time, and what of it is believed.
//!
//! What it is: [`Clock`], trusted time. Small machines wake up in 1970 when their battery is
//! empty, and people set years wrong. So a node does not believe its system clock when it says
//! less than what was seen before, or far more; it believes the nodes above it, which say the time
//! in their signed hello (a *beacon*). Between two such moments time runs by the steady clock of
//! the machine, which nobody sets: a system clock that is moved while the node runs changes
//! nothing but what people are told.
//!
//! | at the start the system clock says | trusted time | people are told |
//! |---|---|---|
//! | less than the floor | floor and steady time since | it is behind |
//! | more than the floor and 180 days | floor and steady time since | it is ahead |
//! | anything else | system clock at the start and steady time since | nothing |
//!
//! | a beacon differs from the system clock | trusted time | people are told |
//! |---|---|---|
//! | by more than two minutes | beacon and steady time since | by how much |
//! | by less | system clock then and steady time since | nothing |
//! | by ten years ahead of all that was seen | as before: no machine sleeps for so long | nothing |
//!
//! The floor is the trusted time written last, in `clock.json` of the data directory: JSON with
//! `version` 1, `trusted_ms` and `beacon_ms` (the last beacon, or null), milliseconds since
//! 1970-01-01 UTC; written at every beacon and every hour, beside and renamed.
//!
//! What it is not: the time of deadlines and pauses, which is steady time alone
//! (`network::hub_clock`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::keystore;

/// Name of the file in the data directory.
pub const FILE: &str = "clock.json";
/// A system clock that differs by more than this is said to be wrong.
pub const BOUND_MS: i64 = 120_000;
/// Further ahead of what was seen last than any terminal stays switched off.
const LONGEST_PAUSE_MS: i64 = 180 * 86_400_000;
/// 2026-10-01: the first version was not written yet.
const EARLIEST_MS: i64 = 1_790_812_800_000;
/// Further ahead of what was seen last, and of the system clock, than any node is out of reach.
const FURTHEST_BEACON_MS: i64 = 10 * 366 * 86_400_000;
const SAVE_EVERY_MS: i64 = 3_600_000;
const VERSION: u32 = 1;

/// Milliseconds since 1970-01-01 UTC by this machine's clock; negative before. A node goes by
/// [`Clock::now_ms`].
pub fn now_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// Where times come from: the machine, or a test.
pub trait Source: Send + Sync {
    /// The system clock, milliseconds since 1970-01-01 UTC.
    fn system_ms(&self) -> i64;
    /// Milliseconds since some moment, which go on while the machine sleeps and are never set.
    fn steady_ms(&self) -> i64;
}

/// Why the system clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It says less than what was seen before.
    Behind,
    /// It says far more than what was seen before.
    Ahead,
    /// A node above says another time.
    Parent,
    /// It was moved while the node ran.
    Moved,
}

impl Doubt {
    /// The doubt's name, as in JSON and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Parent => "parent",
            Self::Moved => "moved",
        }
    }
}

/// What is known about the system clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing speaks against it, and no node above has said the time.
    Unknown,
    /// A node above has said the same.
    Sound,
    /// It is not believed.
    Wrong {
        /// Why.
        doubt: Doubt,
        /// How far it is ahead of trusted time.
        ahead_ms: i64,
    },
}

/// Trusted time of one node; a handle, clones tell the same time.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<dyn Source>,
    path: PathBuf,
    state: Mutex<State>,
}

/// What trusted time rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    System,
    Behind,
    Ahead,
    Beacon,
}

struct State {
    trusted_ms: i64,
    steady_ms: i64,
    basis: Basis,
    floor: Option<Floor>,
    /// Steady time of the last writing.
    saved_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Floor {
    version: u32,
    trusted_ms: i64,
    beacon_ms: Option<i64>,
}

struct Machine;

impl Source for Machine {
    fn system_ms(&self) -> i64 {
        now_ms()
    }

    fn steady_ms(&self) -> i64 {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        since_boot.tv_sec.saturating_mul(1_000).saturating_add(since_boot.tv_nsec / 1_000_000)
    }
}

impl Clock {
    /// The clock of the node of a data directory. Nothing is written yet.
    pub fn open(data_dir: &Path) -> Self {
        Self::with_source(data_dir, Machine)
    }

    /// The same, with times from elsewhere.
    pub fn with_source(data_dir: &Path, source: impl Source + 'static) -> Self {
        let path = data_dir.join(FILE);
        let floor = read(&path);
        let state = State::start(floor, source.system_ms(), source.steady_ms());
        let inner = Inner { source: Box::new(source), path, state: Mutex::new(state) };
        Self { inner: Arc::new(inner) }
    }

    /// Trusted time, milliseconds since 1970-01-01 UTC.
    pub fn now_ms(&self) -> i64 {
        self.lock().now_ms(self.inner.source.steady_ms())
    }

    /// It cannot be earlier than this, because a node above has signed so.
    pub fn not_before(&self, at_ms: i64) {
        let (system_ms, steady_ms) = self.read_source();
        let mut state = self.lock();
        if state.now_ms(steady_ms) < at_ms {
            state.rest_on(at_ms, steady_ms, Basis::Behind);
            state.believe_if_plausible(at_ms, system_ms, steady_ms);
        }
    }

    /// A node above says what time it is. What no machine can have slept through is not believed:
    /// it would stay as the floor, and nobody could log in any more.
    pub fn beacon(&self, beacon_ms: i64) {
        let (system_ms, steady_ms) = self.read_source();
        let mut state = self.lock();
        let known_ms = state.now_ms(steady_ms).max(system_ms).max(EARLIEST_MS);
        if beacon_ms < EARLIEST_MS || beacon_ms > known_ms.saturating_add(FURTHEST_BEACON_MS) {
            return;
        }
        let near = system_ms.saturating_sub(beacon_ms).abs() <= BOUND_MS;
        state.rest_on(if near { system_ms } else { beacon_ms }, steady_ms, Basis::Beacon);
        self.save(&mut state, steady_ms, Some(beacon_ms));
    }

    /// A person says that the system clock is right.
    pub fn believe_system(&self) {
        let (system_ms, steady_ms) = self.read_source();
        let mut state = self.lock();
        state.rest_on(system_ms, steady_ms, Basis::System);
        self.save(&mut state, steady_ms, None);
    }

    /// To be called now and then: writes the floor when an hour has passed, and goes back to a
    /// system clock that was doubted and has been set.
    pub fn check(&self) -> Judgement {
        let (system_ms, steady_ms) = self.read_source();
        let mut state = self.lock();
        if matches!(state.basis, Basis::Behind | Basis::Ahead) {
            let now_ms = state.now_ms(steady_ms);
            state.believe_if_plausible(now_ms, system_ms, steady_ms);
        }
        if state.saved_ms.is_none_or(|saved_ms| steady_ms >= saved_ms + SAVE_EVERY_MS) {
            self.save(&mut state, steady_ms, None);
        }
        state.judge(system_ms, steady_ms)
    }

    fn read_source(&self) -> (i64, i64) {
        (self.inner.source.system_ms(), self.inner.source.steady_ms())
    }

    fn save(&self, state: &mut State, steady_ms: i64, beacon_ms: Option<i64>) {
        let before = state.floor.and_then(|floor| floor.beacon_ms);
        let trusted_ms = state.now_ms(steady_ms);
        let beacon_ms = beacon_ms.or(before);
        let floor = Floor { version: VERSION, trusted_ms, beacon_ms };
        state.floor = Some(floor);
        state.saved_ms = Some(steady_ms);
        let bytes = serde_json::to_vec(&floor).expect("a floor has only JSON types");
        if let Err(error) = keystore::write(&self.inner.path, &bytes, 0o600) {
            tracing::warn!(%error, "the time could not be noted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Clock").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl State {
    fn start(floor: Option<Floor>, system_ms: i64, steady_ms: i64) -> Self {
        let seen_ms = floor.map(|floor| floor.trusted_ms);
        let least_ms = seen_ms.unwrap_or(EARLIEST_MS).max(EARLIEST_MS);
        let too_far = seen_ms.is_some() && system_ms > least_ms.saturating_add(LONGEST_PAUSE_MS);
        let (trusted_ms, basis) = if system_ms < least_ms {
            (least_ms, Basis::Behind)
        } else if too_far {
            (least_ms, Basis::Ahead)
        } else {
            (system_ms, Basis::System)
        };
        Self { trusted_ms, steady_ms, basis, floor, saved_ms: None }
    }

    fn now_ms(&self, steady_ms: i64) -> i64 {
        self.trusted_ms.saturating_add(steady_ms.saturating_sub(self.steady_ms))
    }

    fn rest_on(&mut self, trusted_ms: i64, steady_ms: i64, basis: Basis) {
        self.trusted_ms = trusted_ms;
        self.steady_ms = steady_ms;
        self.basis = basis;
    }

    fn believe_if_plausible(&mut self, least_ms: i64, system_ms: i64, steady_ms: i64) {
        if (least_ms..=least_ms.saturating_add(LONGEST_PAUSE_MS)).contains(&system_ms) {
            self.rest_on(system_ms, steady_ms, Basis::System);
        }
    }

    fn judge(&self, system_ms: i64, steady_ms: i64) -> Judgement {
        let ahead_ms = system_ms.saturating_sub(self.now_ms(steady_ms));
        let near = ahead_ms.abs() <= BOUND_MS;
        let doubt = match self.basis {
            Basis::Behind => Doubt::Behind,
            Basis::Ahead => Doubt::Ahead,
            Basis::System if near => return Judgement::Unknown,
            Basis::Beacon if near => return Judgement::Sound,
            Basis::System => Doubt::Moved,
            Basis::Beacon => Doubt::Parent,
        };
        Judgement::Wrong { doubt, ahead_ms }
    }
}

fn read(path: &Path) -> Option<Floor> {
    let bytes = fs::read(path).ok()?;
    let floor = serde_json::from_slice(&bytes).ok();
    let floor = floor.filter(|floor: &Floor| floor.version == VERSION);
    if floor.is_none() {
        tracing::warn!(path = %path.display(), "the file is not one of this program's");
    }
    floor
}

#[cfg(test)]
mod tests;
