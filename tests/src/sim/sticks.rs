//! Bundles on sticks: exported at one node, carried for a while, taken in at another, by the code
//! that the commands of the product use.
//!
//! What is looked at besides what every commit is looked at for:
//!
//! | what | when |
//! |---|---|
//! | a bundle has only what both its exporter and its receiver may read | export |
//! | of what it was asked for it has all, and of what waits for a node above all | export |
//! | what was taken in is there, and is a promise of the importer from then on | import |
//! | a file that is cut or damaged is never taken for a whole one | import |
//! | taken in again at once, a bundle brings nothing | import |
//!
//! The stores of a short run are small, so a bundle has one seal at its end, and a piece of it
//! brings nothing; that what lies before a seal of a cut bundle is used is shown by the suite
//! `bundle`. In some runs somebody has a large photo, and a bundle of several parts is carried, each
//! of which comes for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use cunlian_crdt::bundle::{
    ExportError, Follows, ImportError, Imported, Output, Owner, PART_BYTES_MIN, Plan, Reader,
    SEGMENT_BYTES, export, import, note_arrivals,
};
use cunlian_crdt::store::Store;
use cunlian_protocol::authority::read_scope;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::change::{Home, SignedChange};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::wire::{self, Frame, Message};

use super::fault::Fault;
use super::network::Place;
use super::world::{Happening, World};

/// How long a bundle is carried.
const WAY_MS: std::ops::Range<i64> = 500..45_000;
/// Until whoever stands before a machine that is off looks again.
const AGAIN_MS: i64 = 3_000;

/// Bytes of a photo that does not fit into one part beside anything else.
const LARGE_BYTES: usize = 4_500_000;

/// A bundle, or a part of one, that somebody carries.
pub(super) struct Stick {
    to: usize,
    bytes: Vec<u8>,
    wear: Wear,
    part: Part,
}

/// Which part of which bundle, and of how many.
#[derive(Debug, Clone, Copy)]
struct Part {
    bundle: [u8; 16],
    number: u32,
    of: u32,
}

impl Part {
    /// What follows after it.
    fn follows(&self) -> Follows {
        if self.number == self.of { Follows::Nothing } else { Follows::Part }
    }
}

/// The parts that have come of bundles that were cut into several.
pub(super) type Parcels = BTreeMap<[u8; 16], BTreeSet<u32>>;

/// What becomes of the file.
#[derive(Debug, Clone, Copy)]
enum Wear {
    /// It is taken in.
    None,
    /// It is taken in, and once more.
    Twice,
    /// Only so many bytes were copied.
    Cut(usize),
    /// The stick is pulled out after so many bytes.
    PulledOut(usize),
    /// A bit of this byte has changed.
    Damaged(usize),
}

/// Who exports what for whom, and who takes it in.
struct Errand {
    from: usize,
    to: usize,
    plan: Plan,
}

impl World {
    /// Somebody exports a bundle and goes.
    pub(super) fn export_bundle(&mut self, fault: Fault) {
        let Some(errand) = self.errand() else { return };
        let Some(parts) = self.export_for(&errand) else { return };
        for (part, bytes) in parts {
            let at = self.plan.place(bytes.len());
            let wear = match (fault, self.plan.below(3)) {
                (Fault::BundleCut, 0) => Wear::Cut(at),
                (Fault::BundleCut, 1) => Wear::PulledOut(at),
                (Fault::BundleCut, _) => Wear::Damaged(at),
                (Fault::BundleTwice, _) => Wear::Twice,
                _ => Wear::None,
            };
            let ms = self.plan.ms(WAY_MS.start, WAY_MS.end);
            self.after(ms, Happening::Carried(Stick { to: errand.to, bytes, wear, part }));
        }
    }

    /// A village has a large file, and hands up all it has in parts, each of which takes its own
    /// time.
    pub(super) fn export_parts(&mut self) {
        let from = self.some_village();
        let (Some((_, region)), Some(kind)) =
            (self.tier_and_region(from), self.work.kinds_with_photos().first().copied())
        else {
            return;
        };
        let home = Home { category: kind, ..self.new_home(region) };
        let content = self.new_content(LARGE_BYTES);
        self.add_photo(from, home, content);
        let Some(to) = self.machines.get(from).and_then(|machine| machine.parent) else { return };
        let recipient = self.machines.get(to).map(|m| m.disk.member.identity.certificate.clone());
        let Some(now_ms) = self.process(from).map(|process| process.clock.now_ms()) else { return };
        let plan = Plan {
            bundle: self.plan.bytes(),
            recipient,
            ephemeral: self.plan.bytes(),
            regions: Vec::new(),
            since_ms: None,
            part_bytes: Some(PART_BYTES_MIN),
            now_ms,
        };
        let Some(parts) = self.export_for(&Errand { from, to, plan }) else { return };
        for (part, bytes) in parts {
            let ms = self.plan.ms(WAY_MS.start, WAY_MS.end);
            self.after(ms, Happening::Carried(Stick { to, bytes, wear: Wear::None, part }));
        }
    }

    /// The parts of a bundle, looked at; none when there is nothing to be exported.
    fn export_for(&mut self, errand: &Errand) -> Option<Vec<(Part, Vec<u8>)>> {
        let Errand { from, plan, .. } = errand;
        let from = *from;
        let identity = self.machines.get(from).map(|machine| &machine.disk.member.identity);
        let identity = identity.cloned().expect("every node is known");
        let process = self.process(from)?;
        let (store, now_ms) = (process.store.clone(), process.clock.now_ms());
        let in_force = |to: &Certificate| store.authority().valid_at(to, now_ms).is_ok();
        if !plan.recipient.as_ref().is_none_or(in_force) || !self.note_rows(from, &store, now_ms) {
            return None;
        }
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut output = |output: Output<'_>| {
            match output {
                Output::Part(_) => parts.push(Vec::new()),
                Output::Bytes(some) => {
                    let part = parts.last_mut().expect("bytes belong to a part");
                    part.extend_from_slice(some);
                }
            }
            Ok(())
        };
        match export(&store, &identity, plan, &mut output, &mut |_, _| {}) {
            Ok(exported) => self.note(self.name(from), "exports", &exported),
            Err(error @ ExportError::NothingInCommon) => {
                self.note(self.name(from), "does not export", &error);
                return None;
            }
            Err(error) => panic!("{} does not export: {error}", self.name(from)),
        }
        let of = u32::try_from(parts.len()).expect("a bundle has few parts");
        let part = |number| Part { bundle: plan.bundle, number, of };
        let parts: Vec<(Part, Vec<u8>)> = (1..).map(part).zip(parts).collect();
        for (_, bytes) in &parts {
            self.trace().note_bytes(self.now_ms, self.name(from), "writes on a stick", bytes);
        }
        self.check_bundle(from, plan, &parts);
        Some(parts)
    }

    /// Mostly between a node and one above it, in either direction.
    fn errand(&mut self) -> Option<Errand> {
        let low = 1 + self.plan.place(self.machines.len() - 1);
        let parent = |at: usize| self.machines.get(at).and_then(|machine| machine.parent);
        let (above, top) = (parent(low)?, parent(low).and_then(parent));
        let high = if self.plan.one_in(3) { top.unwrap_or(above) } else { above };
        let (from, to) = if self.plan.one_in(2) { (low, high) } else { (high, low) };
        let for_all = self.plan.one_in(4);
        let body = |at: usize| self.machines.get(at).map(|m| &m.disk.member.identity.certificate);
        let recipient = body(to).filter(|_| !for_all).cloned();
        let region = body(low).and_then(|own| own.body().grants.first());
        let region = region.map(|grant| grant.region.prefix);
        let regions = region.filter(|_| self.plan.one_in(4)).into_iter().collect();
        let since = self.plan.one_in(2).then(|| self.plan.ms(1_000, 90_000));
        // Now and then it comes into other hands than it was meant for.
        let anybody = self.plan.place(self.machines.len());
        let to = if self.plan.one_in(6) { anybody } else { to };
        let bundle = self.plan.bytes();
        let now_ms = self.process(from).map(|process| process.clock.now_ms())?;
        let since_ms = since.map(|ms| now_ms - ms);
        let ephemeral = self.plan.bytes();
        let plan =
            Plan { bundle, recipient, ephemeral, regions, since_ms, part_bytes: None, now_ms };
        (from != to).then_some(Errand { from, to, plan })
    }

    /// Notes how far the log has come, as if an hour had passed since that was done last; gives
    /// whether the disk let it.
    fn note_rows(&mut self, at: usize, store: &Store, now_ms: i64) -> bool {
        let noted = note_arrivals(store, now_ms).and_then(|()| {
            store.write_reference(move |connection| {
                let sql = "INSERT OR REPLACE INTO arrival \
                           SELECT ?1, coalesce(max(row), 0) FROM change";
                connection.execute(sql, [now_ms]).map(drop)
            })
        });
        self.after_store(at);
        if let Err(fault) = &noted {
            self.check_fault(at, fault);
        }
        noted.is_ok()
    }

    /// Looks at a bundle as whoever it is for can read it.
    fn check_bundle(&mut self, from: usize, plan: &Plan, parts: &[(Part, Vec<u8>)]) {
        let own = self.scope_of(Place::Node(from));
        let recipient = plan.recipient.as_ref();
        let scope = recipient.map_or_else(|| own.clone(), |to| own.intersection(&read_scope(to)));
        let name = format!("the reader of a bundle of {}", self.name(from));
        let look = |(part, bytes): &(Part, Vec<u8>)| {
            self.look_into(part, bytes, Some((&scope, name.as_str())))
        };
        let carried: BTreeSet<ChangeId> = parts.iter().flat_map(look).collect();
        let within = self.model.within(from, &scope);
        let foreign = carried.difference(&within).next();
        assert_eq!(foreign, None, "a bundle of {} has what is not there", self.name(from));
        if !plan.regions.is_empty() {
            return;
        }
        let expected = match plan.since_ms {
            None => within,
            Some(_) => self.waiting_for(from, recipient, &scope),
        };
        let missing = expected.difference(&carried).next();
        assert_eq!(missing, None, "a bundle of {} lacks it", self.name(from));
    }

    /// The changes in a bundle, of which everything is within the scope of its reader, if given.
    fn look_into(
        &self,
        part: &Part,
        bytes: &[u8],
        reader: Option<(&Scope, &str)>,
    ) -> Vec<ChangeId> {
        let keys = self.machines.iter().flat_map(|machine| {
            let identity = &machine.disk.member.identity;
            [Some(&identity.key), identity.next_key.as_ref()]
        });
        let keys: Vec<_> = keys.flatten().collect();
        let mut bundle = Reader::open(bytes, &keys).expect("what was exported is a bundle");
        let mut ids = Vec::new();
        let mut named = None;
        let mut next = || bundle.segment().expect("memory can be read").expect("it is whole");
        while let Some(segment) = next() {
            for frame in segment.frames {
                if let Some(66 | 67 | 71) = frame.first() {
                    if let Some(reader) = reader {
                        self.check_carried_blob(&mut named, &frame, reader);
                    }
                    continue;
                }
                let changes = match wire::decode(&frame).expect("a bundle has frames") {
                    Frame::Message(Message::Certificates(_) | Message::Revocations(_)) => continue,
                    Frame::Message(message) => panic!("a bundle has {message:?}"),
                    Frame::Batch { changes, .. } => changes,
                };
                for change in changes {
                    let change = SignedChange::decode(change.bytes).expect("a bundle has changes");
                    let key = change.key();
                    if let Some((scope, name)) = reader {
                        assert!(scope.allows(&key.to_bytes()), "{name} may not read {key:?}");
                    }
                    ids.push(key.change);
                }
            }
        }
        assert_eq!(bundle.stamp().follows, part.follows());
        ids
    }

    /// What a node is not known to hold that is above another.
    fn waiting_for(
        &mut self,
        from: usize,
        recipient: Option<&Certificate>,
        scope: &Scope,
    ) -> BTreeSet<ChangeId> {
        let chain = self.machines.get(from).map(|m| m.disk.member.identity.chain.clone());
        let chain = chain.expect("every node is known");
        let above = chain.iter().rev().skip(1).filter_map(|bytes| Certificate::peek(bytes).ok());
        let above: Vec<_> = above.map(|body| body.subject).collect();
        let recipient = recipient.map(Certificate::body);
        let Some(recipient) = recipient.filter(|to| above.contains(&to.subject)) else {
            return BTreeSet::new();
        };
        let tier = recipient.tier.bit();
        let Some(process) = self.process(from) else { return BTreeSet::new() };
        let keys = process.store.read(|connection| {
            let sql = "SELECT key FROM outbox JOIN change USING (row) WHERE awaited & ?1 <> 0";
            let mut select = connection.prepare(sql)?;
            let keys = select.query_map([tier], |row| row.get(0))?;
            keys.collect::<rusqlite::Result<Vec<Vec<u8>>>>()
        });
        let keys = keys.expect("a store can be read");
        let inside = keys.iter().filter(|key| scope.allows(key));
        let key = |key: &Vec<u8>| SetKey::from_bytes(key).expect("the log has keys of changes");
        inside.map(|bytes| key(bytes).change).collect()
    }

    /// A bundle has arrived.
    pub(super) fn take_in(&mut self, stick: Stick) {
        let Stick { to, bytes, wear, part: of } = &stick;
        let (to, wear, of) = (*to, *wear, *of);
        if self.process(to).is_none() {
            return self.after(AGAIN_MS, Happening::Carried(stick));
        }
        self.note(self.name(to), "is handed a stick", &wear);
        let part = |at: usize| bytes.get(..at).unwrap_or_default();
        match wear {
            Wear::None | Wear::Twice => {
                let first = self.import(to, bytes.as_slice(), true);
                if let Some(first) = first {
                    assert!(first.flaw.is_none(), "{}: {first:?}", self.name(to));
                    self.promise_bundle(to, &of, bytes, &first);
                    if matches!(wear, Wear::Twice) {
                        self.import_again(to, bytes);
                    }
                }
                return;
            }
            Wear::Cut(at) => self.import_damaged(to, bytes.len(), part(at)),
            Wear::PulledOut(at) => {
                self.import_damaged(to, bytes.len(), part(at).chain(PulledOut));
            }
            Wear::Damaged(at) => {
                let mut bytes = bytes.clone();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1_u8 << self.plan.below(8);
                }
                self.import_damaged(to, bytes.len(), bytes.as_slice());
            }
        }
        // The file is copied again.
        if self.plan.one_in(2) {
            self.after(AGAIN_MS, Happening::Carried(Stick { wear: Wear::None, ..stick }));
        }
    }

    /// What is in a bundle is here and stays, as far as the import says so.
    fn promise_bundle(&mut self, to: usize, part: &Part, bytes: &[u8], imported: &Imported) {
        let ids = self.look_into(part, bytes, None);
        assert_eq!(imported.follows, part.follows(), "an import says whether there is more");
        assert_eq!(ids.len() as u64, imported.changes, "an import reads every change");
        let authority = self.authorities.get(to).cloned().flatten().expect("it runs");
        let there = |id: &ChangeId| self.model.holds(to, id, &authority);
        let there = ids.iter().filter(|id| there(id)).count() as u64;
        let taken = imported.new + imported.known;
        assert!(taken <= there, "{} says that it has taken in {imported:?}", self.name(to));
        let held: Vec<ChangeId> = ids.into_iter().filter(|id| self.model.has(to, id)).collect();
        self.model.promise(to, held);
        if imported.new > 0 || imported.blobs > 0 {
            self.fired.count(Fault::Bundle);
        }
        let parcel = self.parcels.entry(part.bundle).or_default();
        parcel.insert(part.number);
        if part.of > 1 && parcel.len() == part.of as usize {
            self.fired.count(Fault::BundleParts);
        }
    }

    fn import_again(&mut self, to: usize, bytes: &[u8]) {
        let Some(again) = self.import(to, bytes, true) else { return };
        let brought = (again.new, again.blobs);
        assert_eq!(brought, (0, 0), "{} takes a bundle in twice", self.name(to));
        if again.known > 0 {
            self.fired.count(Fault::BundleTwice);
        }
    }

    fn import_damaged(&mut self, to: usize, bytes: usize, input: impl Read) {
        if let Some(imported) = self.import(to, input, false) {
            let flaw = imported.flaw.is_some();
            assert!(flaw, "{} takes a damaged bundle for a whole one", self.name(to));
            let sealed = bytes > SEGMENT_BYTES;
            assert!(sealed || imported.new == 0, "what no seal covers is not used");
            self.fired.count(Fault::BundleCut);
        }
    }

    /// Takes a bundle in, unless it or its exporter is refused, or the disk is full.
    fn import(&mut self, at: usize, input: impl Read, whole: bool) -> Option<Imported> {
        let machine = self.machines.get(at)?;
        let identity = machine.disk.member.identity.clone();
        let process = machine.process.as_ref()?;
        let (store, now_ms) = (process.store.clone(), process.clock.now_ms());
        if !self.note_rows(at, &store, now_ms) {
            return None;
        }
        let owner = Owner { identity: &identity, now_ms };
        let outcome = import(&store, owner, input, &mut |_, _| {});
        self.note(self.name(at), "takes in a bundle", &outcome);
        self.after_store(at);
        match outcome {
            Ok(imported) => return Some(imported),
            Err(ImportError::Unreadable(error)) => {
                assert!(!whole, "{} cannot read a bundle: {error}", self.name(at));
                self.fired.count(Fault::BundleCut);
            }
            // Revoked, or out of its time by the clock here; or it came into other hands, or is for
            // a key from before.
            Err(
                ImportError::Exporter(_)
                | ImportError::ForAnother { .. }
                | ImportError::AnotherKey { .. },
            ) => {}
            Err(ImportError::Store(fault)) => self.check_fault(at, &fault),
            Err(error) => panic!("{} takes no bundle in: {error}", self.name(at)),
        }
        None
    }
}

/// What is read of a stick that is not there any more.
struct PulledOut;

impl Read for PulledOut {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the stick was pulled out"))
    }
}
