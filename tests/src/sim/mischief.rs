//! The faults of machines and lines: when they begin, what they do, when they end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use cunlian_crdt::store::{Quota, Suspension};
use cunlian_host::clock::Judgement;
use cunlian_protocol::authority::Refusal;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::revocation::{RevocationBody, Standing};

use super::fault::{Fault, Fired};
use super::network::Place;
use super::world::{Happening, World};
use super::{START_MS, county};

const DAY_MS: i64 = 86_400_000;
/// How often administrators look.
const CARE_MS: i64 = 5_000;
/// Pages of a store without a limit.
const PAGES: u32 = 1_073_741_823;

/// A fault of a machine or line begins, or ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mischief {
    /// It begins somewhere.
    Begin(Fault),
    /// A direction is open again.
    Unblock(Place, Place),
    /// A direction is as quick as before.
    Calm(Place, Place),
    /// A connection was silent for long.
    Idle(ConnectionId),
    /// The lines between two places break while a frame is under way.
    Tear(Place, Place),
    /// A machine goes back to its copy.
    RollBack(usize),
    /// There is room on a disk again.
    Room(usize),
    /// A parent takes as much of a child as before.
    Raise(usize),
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Schemes {
    /// Who lets nobody in before a time.
    refusing: BTreeMap<usize, i64>,
    /// The next frame between these two is torn.
    tear: Option<(Place, Place)>,
    /// Who went back to an older copy and must be found out by its parent.
    stale: BTreeSet<usize>,
    /// Who ever went back.
    rolled_back: BTreeSet<usize>,
    /// Whose certificate was revoked.
    revoked: BTreeSet<usize>,
    /// How many joined again.
    enrolled: u8,
    /// How often administrators looked.
    cared: usize,
}

impl Schemes {
    /// Whether the network lets nobody in there.
    pub(super) fn refuses(&self, to: usize, now_ms: i64) -> bool {
        self.refusing.get(&to).is_some_and(|until_ms| now_ms < *until_ms)
    }

    /// Whether some machine went back to an older disk, and lost what was only there.
    pub(super) fn has_lost_a_disk(&self) -> bool {
        !self.rolled_back.is_empty()
    }

    /// A node was told that another machine uses its identity.
    pub(super) fn was_found(&mut self, at: usize, fired: &mut Fired) {
        if self.stale.remove(&at) {
            fired.count(Fault::RollBack);
        }
    }

    /// Whether the frame that is sent between two places now is to be torn.
    pub(super) fn tears(&mut self, from: Place, to: Place) -> bool {
        let tears = self.tear.is_some_and(|pair| pair == (from, to) || pair == (to, from));
        if tears {
            self.tear = None;
        }
        tears
    }
}

impl World {
    /// Plans what will go wrong before a time.
    pub(super) fn plan_mischief(&mut self, until_ms: i64) {
        for fault in Fault::ALL {
            // Some seeds are without a kind of fault, so that others are not always mixed with it.
            let (left_out, most) =
                if fault.is_heavy() { (!self.plan.one_in(5), 1) } else { (self.plan.one_in(3), 3) };
            if left_out {
                continue;
            }
            let times = 1 + self.plan.below(most);
            for _ in 0..times {
                let at_ms = self.plan.ms(START_MS + 2_000, until_ms);
                let happening = if fault.is_hostile() {
                    Happening::Thief(fault)
                } else {
                    Happening::Mischief(Mischief::Begin(fault))
                };
                self.at(at_ms, happening);
            }
        }
        self.after(CARE_MS, Happening::Care);
    }

    /// Everything is put in order; nothing goes wrong from here on.
    pub(super) fn heal(&mut self) {
        self.faulty = false;
        self.schemes.refusing.clear();
        self.schemes.tear = None;
        self.thief_leaves();
        let places: Vec<Place> = (0..self.machines.len()).map(Place::Node).collect();
        self.network.clear_up();
        for one in &places {
            for other in &places {
                self.let_through(*one, *other);
            }
        }
        for at in 0..self.machines.len() {
            self.make_room(at);
            let Some(machine) = self.machines.get_mut(at) else { continue };
            machine.slow = None;
            machine.stalled_until_ms = 0;
            machine.dies_after = None;
            machine.clock_error_ms.store(0, Ordering::SeqCst);
        }
    }

    pub(super) fn do_mischief(&mut self, mischief: Mischief) {
        if !self.faulty && !matches!(mischief, Mischief::Idle(_)) {
            return;
        }
        self.note("mischief", "does", &mischief);
        match mischief {
            Mischief::Begin(fault) => self.begin(fault),
            Mischief::Unblock(from, to) => {
                self.network.weather_mut(from, to).blocked = false;
                self.let_through(from, to);
            }
            Mischief::Calm(from, to) => {
                let weather = self.network.weather_mut(from, to);
                let blocked = weather.blocked;
                *weather = super::network::Weather { blocked, ..super::network::FAIR };
            }
            Mischief::Idle(connection) => self.give_up(connection),
            Mischief::Tear(one, other) => {
                self.break_lines(one, other, true);
            }
            Mischief::RollBack(at) => self.roll_back(at),
            Mischief::Room(at) => self.make_room(at),
            Mischief::Raise(child) => self.set_quota(child, false),
        }
    }

    fn begin(&mut self, fault: Fault) {
        let (low, high) = self.some_line();
        let (from, to) = if self.plan.one_in(2) { (low, high) } else { (high, low) };
        let at = self.plan.place(self.machines.len());
        let ms = self.plan.ms(1_000, 30_000);
        let end = |mischief| Happening::Mischief(mischief);
        match fault {
            Fault::Cut => self.cut(low, high, ms),
            Fault::OneWayPartition => self.block_for(from, to, ms),
            Fault::Delay => {
                self.network.weather_mut(from, to).delay_ms = self.plan.ms(500, 5_000);
                self.after(ms, end(Mischief::Calm(from, to)));
            }
            Fault::Bandwidth => {
                self.network.weather_mut(from, to).breadth = self.plan.ms(8_000, 30_000);
                self.after(ms, end(Mischief::Calm(from, to)));
            }
            Fault::MidFrameCut => self.schemes.tear = Some((low, high)),
            Fault::DialRefusal => {
                if let Place::Node(to) = high {
                    self.schemes.refusing.insert(to, self.now_ms + ms);
                }
                self.break_lines(low, high, false);
            }
            Fault::Crash => {
                let effects = u32::try_from(self.plan.below(40)).unwrap_or_default();
                if let Some(machine) = self.machines.get_mut(at) {
                    machine.dies_after = Some(effects);
                }
            }
            Fault::RollBack => self.begin_roll_back(),
            Fault::ClockScramble => self.scramble(at),
            Fault::Revocation => self.revoke(),
            Fault::Stall => {
                if let Some(machine) = self.machines.get_mut(at) {
                    machine.stalled_until_ms = self.now_ms + ms;
                }
            }
            Fault::SlowStore => {
                let most_ms = self.plan.ms(1_000, 4_000);
                if let Some(machine) = self.machines.get_mut(at) {
                    machine.slow = Some((self.now_ms + ms, most_ms));
                }
            }
            Fault::DiskFull => {
                self.fill_disk(at);
                self.after(ms, end(Mischief::Room(at)));
            }
            Fault::Quota => {
                let child = 1 + self.plan.place(self.machines.len() - 1);
                self.set_quota(child, true);
                self.after(ms, end(Mischief::Raise(child)));
            }
            Fault::Bundle | Fault::BundleCut | Fault::BundleTwice => self.export_bundle(fault),
            Fault::BundleParts => self.export_parts(),
            Fault::BadSignature
            | Fault::OutOfScopeWrite
            | Fault::OutOfScopeRead
            | Fault::Replay
            | Fault::Oversize
            | Fault::Equivocation
            | Fault::OldVersion
            | Fault::Unfolding
            | Fault::Crowding
            | Fault::SubIssuers
            | Fault::RevocationFlood
            | Fault::StolenSuccession
            | Fault::PhotoByHash => {}
        }
    }

    /// Nothing passes between two places for a while; they are told at once, or are not.
    fn cut(&mut self, one: Place, other: Place, ms: i64) {
        if !self.network.ends_at(one, Some(other)).is_empty() {
            self.fired.count(Fault::Cut);
        }
        if self.plan.one_in(2) {
            self.break_lines(one, other, false);
        }
        for (from, to) in [(one, other), (other, one)] {
            self.block_for(from, to, ms);
        }
    }

    /// Nothing passes from one place to another for a while.
    fn block_for(&mut self, from: Place, to: Place, ms: i64) {
        self.block(from, to);
        self.after(ms, Happening::Mischief(Mischief::Unblock(from, to)));
    }

    /// A node and its parent.
    fn some_line(&mut self) -> (Place, Place) {
        let low = 1 + self.plan.place(self.machines.len() - 1);
        let high = self.machines.get(low).and_then(|machine| machine.parent).unwrap_or(0);
        (Place::Node(low), Place::Node(high))
    }

    /// A copy is made now of a machine with a parent, and comes back later.
    fn begin_roll_back(&mut self) {
        let at = 1 + self.plan.place(self.machines.len() - 1);
        let held = self.model.held.get(at).cloned().unwrap_or_default();
        let Some(machine) = self.machines.get_mut(at) else { return };
        if machine.backup.is_none() && machine.process.is_some() {
            machine.back_up(held);
            let ms = self.plan.ms(5_000, 60_000);
            self.after(ms, Happening::Mischief(Mischief::RollBack(at)));
        }
    }

    fn roll_back(&mut self, at: usize) {
        if self.has_replaced_copy(at) {
            if let Some(machine) = self.machines.get_mut(at) {
                machine.backup = None;
            }
            return;
        }
        self.stop(at, true);
        let told = self.plan.one_in(3);
        let Some(machine) = self.machines.get_mut(at) else { return };
        let Some(held) = machine.roll_back() else { return };
        if told && machine.disk.suspended.is_none() {
            machine.disk.suspended = Some(Suspension::Restored);
        }
        self.model.roll_back(at, held);
        self.schemes.rolled_back.insert(at);
        if !told && self.is_stale(at) {
            self.schemes.stale.insert(at);
        }
        let ms = self.luck.ms(10, 5_000);
        self.after(ms, Happening::Start { at });
    }

    /// Whether the copy of a node is from before it was certified anew as one that came back from
    /// a copy. Such a machine is left out for ever, as its twin would be: whoever restores it once
    /// more has it join anew, and for a town all who are below it, which nobody plays here.
    fn has_replaced_copy(&self, at: usize) -> bool {
        let Some(machine) = self.machines.get(at) else { return false };
        let above = machine.parent.and_then(|parent| self.authorities.get(parent));
        let (Some(Some(authority)), Some((disk, ..))) = (above, &machine.backup) else {
            return false;
        };
        let outcome = authority.valid_at(&disk.member.identity.certificate, self.now_ms);
        matches!(outcome, Err(Refusal::Replaced { .. }))
    }

    /// Whether the lineage token of a node is one that its parent must not take any more.
    fn is_stale(&mut self, at: usize) -> bool {
        let Some(machine) = self.machines.get(at) else { return false };
        let key = machine.disk.member.public_key();
        let Some(parent) = machine.parent else { return false };
        let Some(above) = self.machines.get(parent) else { return false };
        let parent_key = above.disk.member.public_key();
        let shown = machine.disk.lines.get(&parent_key).copied().unwrap_or_default();
        let renewed = above.process.as_ref().is_some_and(|process| {
            let authority = process.store.authority();
            let own = &machine.disk.member.identity.certificate;
            authority.valid_at(own, process.clock.now_ms()).is_err()
        });
        let Some(process) = &above.process else { return false };
        let known = process.store.read(|connection| {
            let mut select =
                connection.prepare("SELECT confirmed, pending FROM line WHERE subject = ?1")?;
            let row = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?]);
            select.query_map([key.0], row)?.collect::<rusqlite::Result<Vec<[[u8; 16]; 2]>>>()
        });
        let known = known.expect("a store can be read");
        !renewed && known.first().is_some_and(|tokens| !tokens.contains(&shown))
    }

    /// Everybody who came back with a token that is not current was found out.
    pub(super) fn check_roll_backs(&self) {
        let excused = |at: &usize| {
            let parent = self.machines.get(*at).and_then(|machine| machine.parent);
            parent.is_some_and(|parent| self.schemes.rolled_back.contains(&parent))
        };
        let missed = self.schemes.stale.iter().find(|at| !excused(at));
        let name = missed.map(|at| self.name(*at));
        assert!(missed.is_none(), "{name:?} came back from a copy and nobody noticed");
    }

    fn scramble(&mut self, at: usize) {
        let near = self.plan.ms(-7_200_000, 7_200_000);
        let errors = [-START_MS, 3_652 * DAY_MS, near, near / 60];
        let error_ms = self.plan.pick(&errors).unwrap_or_default();
        let Some(machine) = self.machines.get_mut(at) else { return };
        machine.clock_error_ms.store(error_ms, Ordering::SeqCst);
        if self.plan.one_in(2) {
            self.stop(at, true);
            self.after(500, Happening::Start { at });
        }
    }

    /// The parent of a village revokes a person there, or the thief, through a number that may
    /// be less than what is under way.
    fn revoke(&mut self) {
        let at = self.plan.place(self.machines.len());
        let Some(machine) = self.machines.get(at) else { return };
        let thief = machine.parent.is_none_or(|parent| parent == 0);
        let (by, subject) = match machine.parent {
            Some(parent) if !thief => (parent, machine.operator.serial),
            _ => (1, self.thief.stolen.certificate.serial()),
        };
        if self.plan.one_in(2) || (!thief && !self.schemes.revoked.insert(at)) {
            return;
        }
        let seq = self.model.last_seq(by, &subject);
        let through_seq = seq.saturating_sub(self.plan.below(3));
        let Some(machine) = self.machines.get(by) else { return };
        let (identity, Some(process)) = (&machine.disk.member.identity, &machine.process) else {
            return;
        };
        let body = RevocationBody {
            own: Standing { serial: subject, through_seq, tags: Vec::new() },
            successor: None,
            descendants: Vec::new(),
            reason: "离任".to_owned(),
            issuer: Some(identity.certificate.serial()),
        };
        // A town that was suspended, or whose disk is full, does not get to it.
        let _ = process.store.add_revocations(&[body.sign(&identity.key)]);
        self.after_store(by);
    }

    fn fill_disk(&mut self, at: usize) {
        let spare = self.plan.below(12);
        self.limit_pages(at, move |pages| u32::try_from(u64::from(pages) + spare).unwrap_or(pages));
        if let Some(machine) = self.machines.get_mut(at) {
            machine.full = machine.process.is_some();
        }
    }

    /// A village whose town forgot that it had certified it, because the town was set back, is
    /// let in by nobody: a person invites it again, and it joins with another key.
    fn enrol_again(&mut self, at: usize) {
        let Some(machine) = self.machines.get(at) else { return };
        let Some(parent) = machine.parent.and_then(|parent| self.machines.get(parent)) else {
            return;
        };
        let own = &machine.disk.member.identity.certificate;
        let Some(process) = parent.process.as_ref().filter(|_| parent.disk.suspended.is_none())
        else {
            return;
        };
        let (authority, now_ms) = (process.store.authority(), process.clock.now_ms());
        let outcome = authority.valid_at(own, now_ms);
        if !matches!(outcome, Err(Refusal::Revoked { .. })) {
            return;
        }
        let body = own.body();
        let region = body.grants.first().map(|grant| grant.region.prefix);
        let region = region.expect("a node has a region");
        self.schemes.enrolled += 1;
        let seed = 100 + self.schemes.enrolled;
        let named = (region.as_str(), machine.name);
        let member = parent.disk.member.certify_for(seed, body.tier, named, county::VALID);
        self.note(self.name(at), "joins again", &member.serial());
        self.move_in(member.public_key(), at);
        self.stop(at, false);
        if let Some(machine) = self.machines.get_mut(at) {
            machine.disk.member = member;
            machine.disk.suspended = None;
            machine.disk.lines.clear();
        }
        self.after(500, Happening::Start { at });
    }

    /// The parent of a node takes hardly more of it than it has, or as much as ever.
    fn set_quota(&mut self, child: usize, bounded: bool) {
        let spare = self.plan.below(3);
        let Some(machine) = self.machines.get(child) else { return };
        let (key, Some(parent)) = (machine.disk.member.public_key(), machine.parent) else {
            return;
        };
        let now_ms = self.now_ms;
        let Some(process) = self.process(parent) else { return };
        let (_, known) = process.store.quota(&key, now_ms).expect("a store can be read");
        if !bounded && known == Quota::default() {
            return;
        }
        let quota = bounded.then(|| {
            let (used, _) = process.store.quota(&key, now_ms).expect("a store can be read");
            Quota { changes: used.changes + spare, ..Quota::default() }
        });
        // On a full disk nothing is set, which is no fault of the quota.
        let _ = process.store.set_quota(&key, quota);
        self.after_store(parent);
    }

    fn make_room(&mut self, at: usize) {
        let full = self.machines.get_mut(at).map(|machine| std::mem::take(&mut machine.full));
        if full == Some(true) {
            self.limit_pages(at, |_| PAGES);
        }
    }

    pub(super) fn limit_pages(&mut self, at: usize, limit: impl Fn(u32) -> u32 + Send + 'static) {
        let Some(process) = self.process(at) else { return };
        let done = process.store.write_reference(move |connection| {
            let pages = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let pragma = format!("PRAGMA max_page_count = {}", limit(pages));
            connection.query_row(&pragma, [], |_| Ok(()))
        });
        done.expect("a limit can always be set");
        self.after_store(at);
    }

    /// What administrators do: they look at clocks, and release children that were noticed as
    /// forked, at once when everything else is healed.
    pub(super) fn take_care(&mut self) {
        self.after(CARE_MS, Happening::Care);
        self.schemes.cared += 1;
        self.check_all_status(self.schemes.cared % self.machines.len());
        for at in 0..self.machines.len() {
            let release = !self.faulty || self.plan.one_in(6);
            let Some(process) = self.process(at) else { continue };
            let wrong = matches!(process.clock.check(), Judgement::Wrong { .. });
            let forked = process.store.forked().expect("a store can be read");
            if wrong {
                self.fired.count(Fault::ClockScramble);
            }
            self.follow_clock(at);
            if !self.faulty {
                self.set_quota(at, false);
                self.enrol_again(at);
            }
            for key in forked.iter().filter(|_| release) {
                let Some(process) = self.process(at) else { continue };
                // A full disk is tried again later.
                let _ = process.store.release(key);
                self.after_store(at);
            }
        }
    }
}
