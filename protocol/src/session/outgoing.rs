//! Changes on their way to the peer: what to send next, how much may be under way.
//!
//! Jobs are served in the order of their category, which is the order of urgency; changes that
//! became durable after the comparison began pass before jobs that are not more urgent
//! ([`super::push`]), so that an alert raised during a first copy does not wait for it. How much is
//! sent at a time is the matter of [`super::pace`].
//!
//! A peer may postpone changes because it has taken as much as it will for now. Then nothing of
//! their urgency or less is sent before the next comparison, which finds them again. People see why
//! by [`super::backpressure`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::backpressure::Backpressure;
use super::pace::{Departure, Pace};
use super::push::Push;
use super::{
    Fault, FaultCode, Message, Outcome, Peer, Purpose, Relation, Remembered, Session, StoreReply,
    StoreRequest,
};
use crate::category::{Category, URGENCY};
use crate::id::Serial;
use crate::key::{KeyPrefix, SetKey};
use crate::limits;
use crate::receipt::Receipt;
use crate::sync::{Carried, Selection, Stored};
use crate::wire::{self, Bounded, Wanted};

/// Bytes of a change with its document work, for announcements before anything was read.
const TYPICAL_CHANGE_BYTES: u64 = 400;

/// What a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// So many classes of urgency.
    Push {
        classes: usize,
    },
    Job {
        order: (u16, u64),
    },
}

#[derive(Debug)]
struct Job {
    selection: Selection,
    left: u64,
    want: Option<u64>,
    /// Short ids that it was queued with.
    ids: usize,
}

#[derive(Debug)]
struct Sent {
    batch: u64,
    keys: Vec<SetKey>,
    departure: Departure,
}

/// State of sending.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    jobs: BTreeMap<(u16, u64), Job>,
    next_job: u64,
    /// Jobs of each request of the peer that are not yet sent.
    wants: BTreeMap<u64, usize>,
    /// Jobs of all these requests.
    wanted_ranges: usize,
    /// Short ids of all jobs.
    wanted_ids: usize,
    /// Read for jobs and waiting to share a batch with what the next jobs give.
    gathered: Vec<Stored>,
    gathered_bytes: usize,
    /// Requests of the peer that are answered in full once `gathered` is sent.
    complete: Vec<u64>,
    reading: bool,
    push: Push,
    pace: Pace,
    in_flight: VecDeque<Sent>,
    /// Why the peer has postponed what is held up.
    held: Option<String>,
    pub(super) backpressure: Backpressure,
    last_batch: u64,
    queued: u64,
    unannounced: u64,
    told: BTreeSet<Serial>,
}

impl Outgoing {
    /// A comparison begins that sees all up to this row: changes after it are pushed from now on.
    pub(super) fn go_live(&mut self, last_row: i64) {
        self.push.go_on_from(last_row);
        self.held = None;
    }

    pub(super) fn note_committed(&mut self) {
        self.push.note_committed();
    }

    /// When to look for what is new, if that has been put off.
    pub(super) fn wake_ms(&self) -> Option<i64> {
        self.push.wake_ms()
    }

    /// Why the peer takes no more of some classes, in its words.
    pub(super) fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Bytes the peer acknowledges in a second; 0 when it is not known.
    pub(super) fn rate(&self) -> u64 {
        self.pace.rate()
    }

    pub(super) fn queue(&mut self, selection: Selection, count: u64, want: Option<u64>) {
        let (category, ids) = match &selection {
            Selection::Shorts { prefix, shorts, .. } => (prefix.of_category().0, shorts.len()),
            Selection::Prefix { prefix, .. } | Selection::Ids { prefix, .. } => {
                (prefix.of_category().0, 0)
            }
            Selection::Rows { .. } | Selection::Push { .. } => (0, 0),
        };
        self.next_job += 1;
        self.queued += count;
        if let Some(number) = want {
            *self.wants.entry(number).or_default() += 1;
            self.wanted_ranges += 1;
        } else {
            self.unannounced += count;
        }
        self.wanted_ids += ids;
        self.jobs.insert((category, self.next_job), Job { selection, left: count, want, ids });
    }

    /// Changes queued or sent, and not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        let sent: usize = self.in_flight.iter().map(|sent| sent.keys.len()).sum();
        let read = sent + self.gathered.len();
        self.queued + read as u64 + u64::from(self.push.is_waiting())
    }

    /// What the peer has asked for and not been sent.
    pub(super) fn remembered(&self) -> Remembered {
        Remembered { ranges: self.wanted_ranges, ids: self.wanted_ids }
    }

    /// The session has ended, and nothing more is sent.
    pub(super) fn forget_wants(&mut self) {
        self.jobs = BTreeMap::new();
        self.wants = BTreeMap::new();
        self.wanted_ranges = 0;
        self.wanted_ids = 0;
    }

    /// Whether changes are being read from the store, or were and are not yet sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.reading || !self.gathered.is_empty()
    }

    fn has_room(&self) -> bool {
        !self.reading && self.in_flight.len() < limits::IN_FLIGHT_BATCHES && self.pace.has_room()
    }

    /// Whether waiting longer would not fill the batch.
    fn is_ripe(&self) -> bool {
        let large = 2 * self.gathered_bytes >= self.pace.batch_bytes();
        !self.gathered.is_empty() && (large || self.jobs.is_empty())
    }

    /// What to read next: what is new, unless a job is more urgent than what may be new.
    fn next_read(&self, now_ms: i64, peer: &Peer) -> Option<(Reading, Selection)> {
        let job = self.jobs.first_key_value();
        let least = URGENCY.len() - 1;
        let urgent =
            |((category, _), _): &(&(u16, u64), &Job)| Category(*category).urgency() < least;
        let classes = if job.as_ref().is_some_and(urgent) { least } else { URGENCY.len() };
        if let Some(selection) = self.push.next(now_ms, classes, peer) {
            return Some((Reading::Push { classes }, selection));
        }
        job.map(|(order, job)| (Reading::Job { order: *order }, job.selection.clone()))
    }

    /// The peer takes nothing of this class of urgency, and none that is less urgent, for now.
    fn hold(&mut self, class: usize, reason: String) {
        self.held = Some(reason);
        self.push.hold(class);
        let Some((first, _)) = URGENCY.get(class) else { return };
        for job in self.jobs.split_off(&(first.0, 0)).into_values() {
            self.queued -= job.left;
            self.wanted_ids -= job.ids;
            self.end_job(job.want);
        }
        let gathered = std::mem::take(&mut self.gathered);
        let gathered = self.may_send(gathered);
        self.gathered_bytes = raw_bytes(&gathered);
        self.gathered = gathered;
    }

    /// Without what is held up, which the next comparison finds again.
    fn may_send(&self, mut changes: Vec<Stored>) -> Vec<Stored> {
        if let Some(class) = self.push.held_from() {
            changes.retain(|stored| stored.key.home.category.urgency() < class);
        }
        changes
    }

    /// A job of this request of the peer is read to its end, or given up.
    fn end_job(&mut self, want: Option<u64>) {
        let Some(number) = want else { return };
        self.wanted_ranges -= 1;
        let left = self.wants.get_mut(&number);
        if left.is_some_and(|left| {
            *left -= 1;
            *left == 0
        }) {
            self.wants.remove(&number);
            self.complete.push(number);
        }
    }
}

impl Session {
    /// The dialler asks for changes.
    pub(super) fn on_want(&mut self, number: u64, items: Vec<(KeyPrefix, Wanted)>) -> Outcome {
        for (prefix, _) in &items {
            self.check_scope(prefix)?;
        }
        if items.is_empty() || self.outgoing.wants.contains_key(&number) {
            return Err(Fault::new(FaultCode::Unexpected, "an empty or repeated request"));
        }
        if self.outgoing.jobs.len() + items.len() > limits::WANTED {
            return Err(Fault::new(FaultCode::Flow, "more is asked for than can be remembered"));
        }
        let key = self.answering.short_key(&self.channel);
        for (prefix, wanted) in items {
            let (selection, count) = match wanted {
                Wanted::Shorts(list)
                    if self.outgoing.wanted_ids + list.0.len() <= limits::WANTED_IDS =>
                {
                    let count = list.0.len() as u64;
                    let mut shorts: Vec<u64> = list.0.into_iter().map(u64::from_le_bytes).collect();
                    shorts.sort_unstable();
                    (Selection::Shorts { prefix, key, shorts }, count)
                }
                Wanted::All | Wanted::Shorts(_) => {
                    (Selection::Prefix { prefix, after: Vec::new() }, 0)
                }
            };
            self.outgoing.queue(selection, count, Some(number));
        }
        Ok(())
    }

    /// Starts the next read if the peer has room for a batch.
    pub(super) fn pump_outgoing(&mut self) {
        if self.outgoing.unannounced > 0 {
            let changes = std::mem::take(&mut self.outgoing.unannounced);
            let bytes = changes * TYPICAL_CHANGE_BYTES;
            self.send(&Message::Announce { changes, bytes });
        }
        if self.outgoing.has_room() && self.outgoing.is_ripe() {
            self.send_gathered();
        }
        // What is read takes at most one batch, for which there is room now.
        if !self.outgoing.has_room() {
            return;
        }
        let Some((reading, selection)) = self.outgoing.next_read(self.now_ms, self.open_peer())
        else {
            return;
        };
        if let Reading::Push { classes } = reading {
            self.outgoing.push.begin(classes);
        }
        self.outgoing.reading = true;
        let bytes = self.outgoing.pace.batch_bytes();
        self.store(Purpose::Read(reading), StoreRequest::Read { selection, bytes });
    }

    pub(super) fn on_read(&mut self, reading: Reading, reply: StoreReply) {
        let StoreReply::Read { changes, rest, through_row } = reply else {
            unreachable!("the store answered a read with {reply:?}");
        };
        self.outgoing.reading = false;
        let count = changes.len() as u64;
        let changes = self.without_strangers(changes);
        match reading {
            Reading::Push { classes } => {
                self.outgoing.push.read(classes, rest.as_ref(), through_row);
                self.outgoing.push.note_found(self.now_ms, rest.is_some() || !changes.is_empty());
                let changes = self.outgoing.may_send(changes);
                if !changes.is_empty() {
                    let (count, bytes) = (changes.len() as u64, raw_bytes(&changes) as u64);
                    self.send(&Message::Announce { changes: count, bytes });
                }
                self.send_batch(changes);
            }
            Reading::Job { order } => {
                self.note_lost(&changes);
                self.gather(changes);
                self.job_read(order, count, rest);
            }
        }
    }

    /// Differences are often one change here and one there: they share batches, and with them
    /// the transactions of the peer.
    fn gather(&mut self, changes: Vec<Stored>) {
        let changes = self.outgoing.may_send(changes);
        let bytes = raw_bytes(&changes);
        let most_bytes = self.outgoing.pace.batch_bytes();
        let fits = self.outgoing.gathered_bytes + bytes <= most_bytes
            && self.outgoing.gathered.len() + changes.len() <= limits::BATCH_CHANGES;
        if !fits {
            self.send_gathered();
        }
        self.outgoing.gathered.extend(changes);
        self.outgoing.gathered_bytes += bytes;
    }

    fn send_gathered(&mut self) {
        self.outgoing.gathered_bytes = 0;
        let changes = std::mem::take(&mut self.outgoing.gathered);
        self.send_batch(changes);
        self.say_delivered();
    }

    fn say_delivered(&mut self) {
        for number in std::mem::take(&mut self.outgoing.complete) {
            self.send(&Message::Delivered { number });
        }
    }

    /// A batch is durable at the peer.
    pub(super) fn on_ack(
        &mut self,
        batch: u64,
        refused: Vec<(u32, Bounded<u8, { limits::REASON_BYTES }>)>,
        (postponed, until): (Vec<u32>, &[u8]),
        receipt: Vec<u8>,
    ) -> Outcome {
        let expected = self.outgoing.in_flight.pop_front().filter(|sent| sent.batch == batch);
        let Some(Sent { keys, departure, .. }) = expected else {
            let text = format!("an acknowledgement of batch {batch}, which was not sent");
            return Err(Fault::new(FaultCode::Unexpected, text));
        };
        self.outgoing.pace.arrive(self.now_ms, departure, postponed.is_empty());
        let refused: BTreeMap<usize, String> = refused
            .into_iter()
            .map(|(at, reason)| (at as usize, String::from_utf8_lossy(&reason.0).into_owned()))
            .collect();
        let postponed: BTreeSet<usize> = postponed.into_iter().map(|at| at as usize).collect();
        let until = String::from_utf8_lossy(until).into_owned();
        let by = self.open_peer().certificate.serial();
        let mut held = Vec::with_capacity(keys.len());
        let mut turned_down = Vec::new();
        let (mut taken, mut held_from) = (None, None);
        for (at, key) in keys.into_iter().enumerate() {
            let class = key.home.category.urgency();
            match refused.get(&at) {
                Some(reason) => {
                    self.compare.dispute(key.change);
                    turned_down.push((key, reason.clone()));
                }
                None if postponed.contains(&at) => {
                    held_from = Some(held_from.map_or(class, |held: usize| held.min(class)));
                }
                None => {
                    taken = taken.max(Some(class));
                    held.push(key);
                }
            }
        }
        self.note_room(taken, held_from.map(|class| (class, until.clone())));
        if let Some(class) = held_from {
            self.outgoing.hold(class, until);
            self.say_delivered();
        }
        self.figures.sent += held.len() as u64;
        if self.open_peer().relation == Relation::Ancestor {
            self.note_receipt(held, receipt)?;
        }
        if !turned_down.is_empty() {
            let request = StoreRequest::MarkRefused { by, refused: turned_down };
            self.store(Purpose::Note, request);
        }
        Ok(())
    }

    /// The signed receipt of a tier above: its changes have reached that tier.
    fn note_receipt(&mut self, held: Vec<SetKey>, bytes: Vec<u8>) -> Outcome {
        if held.is_empty() {
            return Ok(());
        }
        let body = self.open_peer().certificate.body();
        let tier = body.tier.bit();
        let holder = self.open_peer().certificate.serial();
        let receipt = Receipt::verify(&bytes, &body.subject);
        let covers = receipt.is_some_and(|receipt| {
            let own = Receipt::new(holder, receipt.accepted_at_ms, held.iter().map(|k| &k.change));
            own == receipt
        });
        if !covers {
            let text = "the receipt does not cover the changes it acknowledges";
            return Err(Fault::new(FaultCode::Signature, text));
        }
        let reached = held.into_iter().map(|key| (key, tier)).collect();
        self.mark_reached(reached, Some(bytes));
        Ok(())
    }

    fn send_batch(&mut self, changes: Vec<Stored>) {
        if changes.is_empty() {
            return;
        }
        self.introduce_authors(&changes);
        self.outgoing.last_batch += 1;
        let batch = self.outgoing.last_batch;
        let mut keys = Vec::with_capacity(changes.len());
        let mut carried = Vec::with_capacity(changes.len());
        for stored in changes {
            keys.push(stored.key);
            carried.push(stored.carried);
        }
        let bytes = wire::raw_bytes(&carried);
        let frame = wire::encode_batch(batch, &carried);
        let departure = self.outgoing.pace.depart(self.now_ms, bytes);
        self.outgoing.in_flight.push_back(Sent { batch, keys, departure });
        self.send_frame(frame);
    }

    /// Sends the certificates of authors that the peer may not know yet.
    fn introduce_authors(&mut self, changes: &[Stored]) {
        self.introduce(changes.iter().map(|stored| stored.author).collect());
    }

    /// Sends the certificates with these serials, and those above them, once in a session.
    pub(super) fn introduce(&mut self, serials: Vec<Serial>) {
        let mut certificates = Vec::new();
        for serial in serials {
            if self.outgoing.told.contains(&serial) {
                continue;
            }
            for certificate in self.authority.chain(&serial) {
                if self.outgoing.told.insert(certificate.serial()) {
                    certificates.push(Bounded(certificate.bytes().to_vec()));
                }
            }
        }
        for part in certificates.chunks(limits::FRAME_CERTIFICATES) {
            self.send(&Message::Certificates(Bounded(part.to_vec())));
        }
    }

    fn job_read(&mut self, order: (u16, u64), count: u64, rest: Option<Selection>) {
        let Some(job) = self.outgoing.jobs.get_mut(&order) else { return };
        let counted = if rest.is_some() { count.min(job.left) } else { job.left };
        job.left -= counted;
        self.outgoing.queued -= counted;
        if let Some(selection) = rest {
            job.selection = selection;
            return;
        }
        if let Some(job) = self.outgoing.jobs.remove(&order) {
            self.outgoing.wanted_ids -= job.ids;
            self.outgoing.end_job(job.want);
        }
        if self.outgoing.gathered.is_empty() {
            self.say_delivered();
        }
    }
}

fn raw_bytes(changes: &[Stored]) -> usize {
    let bytes = |carried: &Carried| wire::raw_bytes(core::slice::from_ref(carried));
    changes.iter().map(|stored| bytes(&stored.carried)).sum()
}
