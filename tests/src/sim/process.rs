//! What the process around a hub does: starts and dies, asks the store, keeps what it is told.
//!
//! It follows the runtime of the product (`node/host/src/network/runtime.rs`, `service/maintenance.rs`):
//! two queues of store requests for each connection, commits told together, duties in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cunlian_crdt::store::Suspension;
use cunlian_host::admin::renewal::renew;
use cunlian_host::network::runtime::changes_store;
use cunlian_protocol::hub::{ConnectionId, Effect, Event};
use cunlian_protocol::sync::{StoreReply, StoreRequest};

use super::fault::Fault;
use super::network::Place;
use super::node::Process;
use super::world::{Happening, World};

/// No session has more requests under way than it may have frames read for, and what its own
/// timers ask.
const MOST_REQUESTS: usize = 2 * cunlian_protocol::limits::SESSION_REQUESTS;
/// From here on a store was slow.
const SLOW_MS: i64 = 500;

impl World {
    /// Switches a machine on.
    pub(super) fn start(&mut self, at: usize) {
        let session = self.dice.any();
        let steady_ms = Arc::clone(&self.steady_ms);
        let Some(machine) = self.machines.get_mut(at) else { return };
        if machine.process.is_some() {
            return;
        }
        machine.start(&steady_ms, session);
        if let Some(epoch) = self.epochs.get_mut(at) {
            *epoch += 1;
        }
        self.note(self.name(at), "starts", &self.epoch(at));
        let Some(machine) = self.machines.get(at) else { return };
        let former = self.former.member.identity.chain.iter();
        let chain: Vec<Vec<u8>> = machine.operator_chain.iter().chain(former).cloned().collect();
        if let Some(process) = &machine.process {
            let refused = process.store.add_certificates(&chain).unwrap_or_default();
            assert!(refused.is_empty(), "{}: {refused:?}", machine.name);
            let revocations = std::slice::from_ref(&self.former.revocation);
            // On a full disk it has been there since the first start.
            let _ = process.store.add_revocations(revocations);
        }
        self.follow_store(at, true);
        if self.machines.get(at).is_some_and(|machine| machine.full) {
            self.limit_pages(at, |pages| pages);
        }
        self.follow_clock(at);
        self.handle(at, Event::Tick);
    }

    /// The process dies; the machine is switched on again after a while.
    pub(super) fn crash(&mut self, at: usize) {
        self.note(self.name(at), "dies", &());
        self.stop(at, true);
        let ms = self.luck.ms(10, 15_000);
        self.after(ms, Happening::Start { at });
    }

    /// The process ends, as by `kill -9` or in order; its peers find out sooner or later.
    pub(super) fn stop(&mut self, at: usize, killed: bool) {
        for connection in self.network.ends_at(Place::Node(at), None) {
            if let Some(end) = self.network.ends.remove(&connection) {
                let ms = if killed { self.luck.ms(50, 10_000) } else { 50 };
                self.after(ms, Happening::Lost { end: end.peer, reason: "the peer is gone" });
            }
        }
        let Some(machine) = self.machines.get_mut(at) else { return };
        machine.dies_after = None;
        if killed {
            machine.kill();
        } else {
            machine.process = None;
        }
    }

    /// The process begins anew with what is on its disk.
    pub(super) fn restart(&mut self, at: usize) {
        self.stop(at, false);
        self.after(200, Happening::Start { at });
    }

    pub(super) fn queue_request(
        &mut self,
        at: usize,
        connection: ConnectionId,
        number: u64,
        request: StoreRequest,
    ) {
        let key = (connection, changes_store(&request));
        let Some(process) = self.process(at) else { return };
        let lane = process.lanes.entry(key).or_default();
        lane.waiting.push_back((number, request));
        assert!(lane.waiting.len() <= MOST_REQUESTS, "a session asks its store without end");
        if !lane.busy {
            lane.busy = true;
            self.plan_serving(at, key);
        }
    }

    fn plan_serving(&mut self, at: usize, lane: (ConnectionId, bool)) {
        let (epoch, ms) = (self.epoch(at), self.luck.ms(0, 3));
        self.after(ms, Happening::Serve { at, epoch, lane });
    }

    pub(super) fn serve(&mut self, at: usize, lane: (ConnectionId, bool)) {
        if self.dies_now(at) {
            self.fired.count(Fault::Crash);
            return self.crash(at);
        }
        let Some(process) = self.process(at) else { return };
        let next = process.lanes.get_mut(&lane).and_then(|lane| lane.waiting.pop_front());
        let Some((number, request)) = next else { return };
        let changes = lane.1;
        let reply = process.store.serve(request);
        if let Err(fault) = &reply {
            let fault = fault.clone();
            self.check_fault(at, &fault);
        }
        self.count_refusals(&reply);
        let reply = reply.map_err(|fault| fault.to_string());
        if changes {
            self.after_store(at);
        }
        let slow = self.machines.get(at).and_then(|machine| machine.slow);
        let ms = match slow.filter(|(until_ms, _)| self.now_ms < *until_ms) {
            Some((_, most_ms)) => self.luck.ms(0, most_ms),
            None => self.luck.ms(0, 8),
        };
        if ms >= SLOW_MS {
            self.fired.count(Fault::SlowStore);
        }
        let epoch = self.epoch(at);
        self.after(ms, Happening::Served { at, epoch, lane, number, reply });
    }

    pub(super) fn served(
        &mut self,
        at: usize,
        key: (ConnectionId, bool),
        number: u64,
        reply: Result<StoreReply, String>,
    ) {
        let Some(process) = self.process(at) else { return };
        match process.lanes.get_mut(&key) {
            Some(lane) if !lane.waiting.is_empty() => self.plan_serving(at, key),
            _ => drop(process.lanes.remove(&key)),
        }
        self.handle(at, Event::Stored { connection: key.0, number, reply });
    }

    /// Follows what a store has committed, checks it, and has the hub told.
    pub(super) fn after_store(&mut self, at: usize) {
        let Some(process) = self.process(at) else { return };
        if !process.committed.swap(false, Ordering::SeqCst) {
            return;
        }
        let telling = std::mem::replace(&mut process.telling, true);
        self.follow_store(at, false);
        if !telling {
            let (epoch, ms) = (self.epoch(at), self.luck.ms(0, 10));
            self.after(ms, Happening::Committed { at, epoch });
        }
    }

    /// The hub learns of new certificates before the changes they cover.
    pub(super) fn tell_commit(&mut self, at: usize) {
        let Some(process) = self.process(at) else { return };
        process.telling = false;
        let learned = process.learned.swap(false, Ordering::SeqCst);
        let latest = process.store.authority();
        if !Arc::ptr_eq(&latest, &process.authority) {
            process.authority = Arc::clone(&latest);
            self.handle(at, Event::Authority(latest));
        }
        self.handle(at, Event::Committed);
        if learned {
            self.handle(at, Event::Learned);
        }
    }

    pub(super) fn duty(&mut self, at: usize, effect: Effect) {
        if self.dies_now(at) {
            self.fired.count(Fault::Crash);
            return self.crash(at);
        }
        self.note(self.name(at), "does", &effect);
        let epoch = self.epoch(at);
        match effect {
            Effect::Beacon(at_ms) => {
                if let Some(process) = self.process(at) {
                    process.clock.beacon(at_ms);
                }
                self.follow_clock(at);
            }
            Effect::Line { peer, token } => {
                if let Some(machine) = self.machines.get_mut(at) {
                    machine.disk.lines.insert(peer, token);
                }
            }
            Effect::Succeeded { old, new } => {
                self.check_followed(at, &new);
                let Some(machine) = self.machines.get_mut(at) else { return };
                let targets = machine.disk.targets.iter_mut().filter(|key| **key == old);
                targets.for_each(|key| *key = new);
            }
            Effect::Renew { connection, child, renewal, restricted } => {
                let Some(machine) = self.machines.get(at) else { return };
                let Some(Process { store, clock, .. }) = &machine.process else { return };
                let identity = &machine.disk.member.identity;
                let now_ms = clock.now_ms();
                let outcome = renew(store, identity, now_ms, &child, &renewal, restricted);
                let outcome = outcome.map_err(|error| error.to_string());
                self.after_store(at);
                let event = Event::Issued { connection, outcome };
                self.after(1, Happening::Tell { at, epoch, event });
            }
            Effect::Issued(chain) => self.take_over(at, &chain),
            Effect::Suspend { .. } => self.suspend(at, Suspension::Forked),
            Effect::Dial(_)
            | Effect::Send { .. }
            | Effect::Store { .. }
            | Effect::Close { .. }
            | Effect::Notice { .. } => {}
        }
    }

    /// A node takes over the chain its issuer gave it, and is another author from then on.
    fn take_over(&mut self, at: usize, chain: &[Vec<u8>]) {
        let Some(machine) = self.machines.get_mut(at) else { return };
        let Some(process) = &machine.process else { return };
        if chain == machine.disk.member.identity.chain {
            return;
        }
        machine.disk.member = machine.disk.member.renewed(&process.store.authority(), chain);
        machine.disk.suspended = None;
        let key = machine.disk.member.public_key();
        self.move_in(key, at);
        self.restart(at);
    }

    /// A node may not author until it is certified anew.
    fn suspend(&mut self, at: usize, reason: Suspension) {
        let Some(machine) = self.machines.get_mut(at) else { return };
        let Some(process) = &machine.process else { return };
        if process.store.suspension().is_some() {
            return;
        }
        process.store.suspend(reason);
        machine.disk.suspended = Some(reason);
        self.schemes.was_found(at, &mut self.fired);
        self.restart(at);
    }

    /// Tells the hub how trusted time and its own differ.
    pub(super) fn follow_clock(&mut self, at: usize) {
        let (now_ms, epoch) = (self.now_ms, self.epoch(at));
        let Some(process) = self.process(at) else { return };
        let offset_ms = process.clock.now_ms() - now_ms;
        if offset_ms != process.offset_ms {
            process.offset_ms = offset_ms;
            let event = Event::Clock { offset_ms };
            self.after(0, Happening::Tell { at, epoch, event });
        }
    }

    /// The process of a machine, if one runs.
    pub(super) fn process(&mut self, at: usize) -> Option<&mut Process> {
        self.machines.get_mut(at).and_then(|machine| machine.process.as_mut())
    }
}
