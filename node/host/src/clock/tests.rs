//! Clocks that nobody should believe, with times from the test.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// 2026-11-22.
const TODAY_MS: i64 = 1_795_305_600_000;
const DAY_MS: i64 = 86_400_000;
const YEARS_MS: i64 = 10 * 365 * DAY_MS;

/// A machine whose clocks the test sets.
#[derive(Clone, Default)]
struct Desk(Arc<(AtomicI64, AtomicI64)>);

impl Source for Desk {
    fn system_ms(&self) -> i64 {
        self.0.0.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Desk {
    fn at(system_ms: i64) -> Self {
        let desk = Self::default();
        desk.set(system_ms);
        desk
    }

    fn set(&self, system_ms: i64) {
        self.0.0.store(system_ms, Ordering::SeqCst);
    }

    /// Time goes by on both.
    fn pass(&self, ms: i64) {
        self.0.0.fetch_add(ms, Ordering::SeqCst);
        self.0.1.fetch_add(ms, Ordering::SeqCst);
    }

    fn clock(&self, dir: &tempfile::TempDir) -> Clock {
        Clock::with_source(dir.path(), self.clone())
    }
}

fn wrong(clock: &Clock) -> (Doubt, i64) {
    match clock.check() {
        Judgement::Wrong { doubt, ahead_ms } => (doubt, ahead_ms),
        other @ (Judgement::Unknown | Judgement::Sound) => panic!("{other:?}"),
    }
}

/// A directory whose node has seen today.
fn seen_today() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Desk::at(TODAY_MS).clock(&dir).check(), Judgement::Unknown);
    dir
}

/// Shows that a machine that wakes up in 1970 goes on from what it saw last, also when it has
/// never seen anything, and says so until its clock is set, without a start in between.
#[test]
fn a_clock_of_1970_is_not_believed() {
    let dir = seen_today();
    let desk = Desk::at(5_000);
    let clock = desk.clock(&dir);
    desk.pass(60_000);
    assert_eq!(clock.now_ms(), TODAY_MS + 60_000);
    assert_eq!(wrong(&clock), (Doubt::Behind, 5_000 - TODAY_MS));
    desk.set(TODAY_MS + 3 * DAY_MS);
    assert_eq!(clock.check(), Judgement::Unknown);
    assert_eq!(clock.now_ms(), TODAY_MS + 3 * DAY_MS);

    let new = tempfile::tempdir().unwrap();
    let clock = Desk::at(5_000).clock(&new);
    assert_eq!(clock.now_ms(), EARLIEST_MS);
    assert_eq!(wrong(&clock).0, Doubt::Behind);
}

/// Shows that a clock ten years ahead is not believed by a node that has seen today, that the
/// node's parent settles it, and that the next start knows.
#[test]
fn a_clock_ten_years_ahead_is_not_believed() {
    let dir = seen_today();
    let desk = Desk::at(TODAY_MS + YEARS_MS);
    let clock = desk.clock(&dir);
    assert_eq!(clock.now_ms(), TODAY_MS);
    assert_eq!(wrong(&clock), (Doubt::Ahead, YEARS_MS));
    clock.beacon(TODAY_MS + 2 * DAY_MS);
    desk.pass(1_000);
    assert_eq!(clock.now_ms(), TODAY_MS + 2 * DAY_MS + 1_000);
    assert_eq!(wrong(&clock), (Doubt::Parent, YEARS_MS - 2 * DAY_MS));
    let again = desk.clock(&dir);
    assert_eq!(again.now_ms(), TODAY_MS + 2 * DAY_MS, "the beacon was kept as the floor");
}

/// Shows that a floor that a wrong clock has left behind does not outlive the parent's word.
#[test]
fn a_floor_in_the_future_is_taken_back_by_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::at(TODAY_MS + YEARS_MS);
    let clock = desk.clock(&dir);
    assert_eq!(clock.check(), Judgement::Unknown, "a first start has nothing to compare with");
    desk.set(TODAY_MS);
    let clock = desk.clock(&dir);
    assert_eq!(wrong(&clock).0, Doubt::Behind);
    clock.beacon(TODAY_MS + 10);
    assert_eq!(clock.check(), Judgement::Sound);
    assert_eq!(desk.clock(&dir).now_ms(), TODAY_MS);
}

/// Shows that a clock that is moved while the node runs moves nothing but the flag.
#[test]
fn a_clock_moved_while_running_changes_only_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::at(TODAY_MS);
    let clock = desk.clock(&dir);
    for moved_ms in [-YEARS_MS, YEARS_MS, -3 * BOUND_MS, 3 * BOUND_MS] {
        desk.pass(1_000);
        let before = clock.now_ms();
        desk.set(before + moved_ms);
        assert_eq!(wrong(&clock), (Doubt::Moved, moved_ms));
        assert_eq!(clock.now_ms(), before);
        desk.set(before + BOUND_MS / 2);
        assert_eq!(clock.check(), Judgement::Unknown);
    }
}

/// Shows that a node that was switched off for months takes its clock as it is, and that the
/// floor is written every hour.
#[test]
fn a_long_pause_is_believed_and_the_floor_follows() {
    let dir = seen_today();
    let desk = Desk::at(TODAY_MS + 100 * DAY_MS);
    let clock = desk.clock(&dir);
    assert_eq!(clock.check(), Judgement::Unknown);
    desk.pass(2 * SAVE_EVERY_MS);
    clock.check();
    let late = Desk::at(TODAY_MS).clock(&dir);
    assert_eq!(late.now_ms(), TODAY_MS + 100 * DAY_MS + 2 * SAVE_EVERY_MS);
}

/// Shows that what a node above has signed as later than the clock is a floor, and that a person
/// can have the system clock believed where there is no node above.
#[test]
fn a_certificate_is_a_floor_and_a_person_has_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::at(TODAY_MS);
    let clock = desk.clock(&dir);
    clock.not_before(TODAY_MS + DAY_MS);
    assert_eq!(wrong(&clock), (Doubt::Behind, -DAY_MS));
    clock.believe_system();
    assert_eq!((clock.now_ms(), clock.check()), (TODAY_MS, Judgement::Unknown));
    assert_eq!(desk.clock(&dir).now_ms(), TODAY_MS);
}

/// Shows that a beacon of a parent that woke up in 1970 itself is not followed.
#[test]
fn a_parent_in_1970_is_not_followed() {
    let dir = seen_today();
    let clock = Desk::at(TODAY_MS).clock(&dir);
    clock.beacon(5_000);
    assert_eq!(clock.now_ms(), TODAY_MS);
}

/// Shows that a parent that says a year which nobody has slept through to is not followed, at the
/// bound itself and at the end of all time, and leaves no floor behind.
#[test]
fn a_parent_far_in_the_future_is_not_followed() {
    let dir = seen_today();
    let desk = Desk::at(TODAY_MS);
    let clock = desk.clock(&dir);
    for far_ms in [i64::MAX, TODAY_MS + FURTHEST_BEACON_MS + 1] {
        clock.beacon(far_ms);
        assert_eq!(clock.now_ms(), TODAY_MS, "{far_ms}");
    }
    assert_eq!(desk.clock(&dir).now_ms(), TODAY_MS, "after a restart");
    let sooner_ms = TODAY_MS + FURTHEST_BEACON_MS;
    clock.beacon(sooner_ms);
    assert_eq!(clock.now_ms(), sooner_ms, "a long sleep is possible");
}
