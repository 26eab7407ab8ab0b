//! A working day. What people write is drawn from the samples of all capabilities, so that whoever
//! registers one is played: villages register and report, towns answer, the county publishes,
//! somebody raises an alert. Beside it stands what no sample can have, because it follows from what
//! is there: edits of the same field at several places, steps of tickets, photos, erasures.

use std::collections::{BTreeMap, VecDeque};

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::{self, WriteError};
use cunlian_governance::capabilities::Capabilities;
use cunlian_governance::capability::{Attachments, Spot};
use cunlian_governance::generator::{Role, Scene};
use cunlian_governance::ticket::{self, Action, Assignee, Kind, Verb};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};

use super::START_MS;
use super::chance::Chance;
use super::fault::Fault;
use super::node::Machine;
use super::world::{Happening, World};

/// What is drawn of each capability for a village in one run, in the unit that people count.
const SAMPLES: usize = 100;
/// Writes of one sample that are made together.
const SAMPLES_TOGETHER: usize = 5;
/// Of ten times that somebody works, so often something of a sample is written.
const SAMPLES_OF_TEN: u64 = 6;

/// What is left to be done.
pub(super) struct Work {
    seed: u64,
    pub(super) capabilities: Capabilities,
    /// What is left of the sample of a capability, by its place, for a village.
    scenes: BTreeMap<(usize, usize), VecDeque<Scene>>,
}

impl Work {
    pub(super) fn new(seed: u64, capabilities: &Capabilities) -> Self {
        Self { seed, capabilities: capabilities.clone(), scenes: BTreeMap::new() }
    }

    /// What is left of the sample of a capability for a village. It begins somewhere in its first
    /// half, so that what stands late in a sample is written in some runs.
    fn sample(
        &mut self,
        capability: usize,
        at: usize,
        village: AddressCode,
    ) -> &mut VecDeque<Scene> {
        let (seed, capabilities) = (self.seed, &self.capabilities);
        let draw = || {
            let spot = Spot { village, count: SAMPLES, now_ms: START_MS };
            let found = capabilities.iter().nth(capability);
            let scenes = found.map(|found| found.sample(seed, &spot)).unwrap_or_default();
            let mut chance = Chance::new(seed, &format!("sample {capability} of {village}"));
            let first = chance.place(scenes.len() / 2 + 1);
            scenes.into_iter().skip(first).collect()
        };
        self.scenes.entry((capability, at)).or_insert_with(draw)
    }

    /// The kinds of data that hold photos or files.
    pub(super) fn kinds_with_photos(&self) -> Vec<Category> {
        let kinds = self.capabilities.kinds().iter();
        kinds.filter(|kind| kind.attachments != Attachments::None).map(|kind| kind.first).collect()
    }
}

impl World {
    /// Plans so much work before a time.
    pub(super) fn plan_work(&mut self, count: u64, until_ms: i64) {
        for _ in 0..count {
            let at_ms = self.plan.ms(START_MS + 100, until_ms);
            self.at(at_ms, Happening::Work);
        }
    }

    pub(super) fn do_work(&mut self) {
        if self.plan.below(10) < SAMPLES_OF_TEN {
            return self.play_sample();
        }
        let at = self.plan.place(self.machines.len());
        let dice = self.plan.below(10);
        let Some((tier, region)) = self.tier_and_region(at) else { return };
        match (tier, dice) {
            (Tier::Village, 0..=2) => {
                let kinds = self.work.kinds_with_photos();
                if let Some(category) = self.plan.pick(&kinds) {
                    let home = Home { category, ..self.new_home(region) };
                    self.take_photo(at, home);
                }
            }
            (Tier::Village | Tier::Town, 3) => self.erase(at),
            (Tier::Town | Tier::County, 4..=9) => self.dispatch(at, region),
            _ => self.edit(at),
        }
    }

    /// Somebody writes the next of a sample, where its role works.
    fn play_sample(&mut self) {
        let village = self.some_village();
        let count = self.work.capabilities.iter().count();
        let capability = self.plan.place(count);
        let Some((_, region)) = self.tier_and_region(village) else { return };
        let scenes = self.work.sample(capability, village, region);
        let Some(role) = scenes.front().map(|scene| scene.role) else { return };
        let parent = |at: usize| self.machines.get(at).and_then(|machine| machine.parent);
        let at = match role {
            Role::Village | Role::Secretary => Some(village),
            Role::Dispatcher => parent(village),
            Role::County => parent(village).and_then(parent),
        };
        let at = at.expect("a village has a town, and a town a county");
        if self.process(at).is_none() {
            return;
        }
        let scenes = self.work.sample(capability, village, region);
        let together = scenes.iter().take_while(|scene| scene.role == role).count();
        let writes = scenes.drain(..together.min(SAMPLES_TOGETHER)).map(|scene| scene.write);
        let writes: Vec<Write> = writes.collect();
        // What one step needs of another is not in the same transaction.
        for write in writes {
            self.write(at, vec![write]);
        }
    }

    /// Some village.
    pub(super) fn some_village(&mut self) -> usize {
        let tier = |machine: &Machine| machine.disk.member.identity.certificate.body().tier;
        let all = (0..).zip(&self.machines);
        let villages = all.filter(|(_, machine)| tier(machine) == Tier::Village);
        let villages: Vec<usize> = villages.map(|(at, _)| at).collect();
        self.plan.pick(&villages).expect("there are villages")
    }

    /// What a running node is, and where.
    pub(super) fn tier_and_region(&self, at: usize) -> Option<(Tier, AddressCode)> {
        let machine = self.machines.get(at).filter(|machine| machine.process.is_some())?;
        let body = machine.disk.member.identity.certificate.body();
        Some((body.tier, body.grants.first().map(|grant| grant.region.prefix)?))
    }

    /// A new document of one field.
    pub(super) fn put(
        &mut self,
        category: Category,
        address: AddressCode,
        field: &str,
        text: &str,
    ) -> Write {
        let home = Home { category, ..self.new_home(address) };
        let text = format!("{text} {}", self.plan.below(1_000));
        let edits = vec![Edit::Put { field: field.to_owned(), text }];
        Write { home, edits, source: "terminal".to_owned(), task: String::new() }
    }

    /// The home of a document that nobody has made yet.
    pub(super) fn new_home(&mut self, address: AddressCode) -> Home {
        Home { category: Category::ALERT, address, document: DocumentId(self.plan.bytes()) }
    }

    /// Somebody changes a field of what is there, as others may at the same time elsewhere.
    fn edit(&mut self, at: usize) {
        let mut homes = self.model.homes(at);
        homes.retain(|home| home.category >= Category::LIBRARY_FIRST);
        let Some(home) = self.plan.pick(&homes) else { return };
        let field = self.plan.pick(&["name", "note", "phone"]).unwrap_or_default().to_owned();
        let text = format!("{}", self.plan.below(1_000));
        let edits = vec![Edit::Put { field, text }];
        let (source, task) = ("terminal".to_owned(), String::new());
        self.write(at, vec![Write { home, edits, source, task }]);
    }

    /// Somebody takes the next step of a ticket.
    fn dispatch(&mut self, at: usize, region: AddressCode) {
        let mut homes = self.model.homes(at);
        homes.retain(|home| home.category == Category::TICKET);
        let Some(home) = self.plan.pick(&homes) else { return };
        let Some(process) = self.process(at) else { return };
        let (store, authority) = (process.store.clone(), process.store.authority());
        let view = store.view(&home).expect("a store can be read");
        let Some(view) = view.filter(|view| view.erased.is_none()) else { return };
        let ticket = ticket::fold(&view, &authority);
        let verbs = [Verb::Accept, Verb::Assign, Verb::Handle, Verb::Feedback, Verb::Note];
        let verbs: Vec<Verb> = verbs.into_iter().filter(|verb| ticket.allows(*verb)).collect();
        let text = "已安排电工".to_owned();
        let action = match self.plan.pick(&verbs) {
            Some(Verb::Accept) => Action::Accept { kind: Kind::Service },
            Some(Verb::Assign) => {
                Action::Assign { to: Assignee { name: "网格员".to_owned(), address: region } }
            }
            Some(Verb::Handle) => Action::Handle { text },
            Some(Verb::Feedback) => Action::Feedback { text, photos: Vec::new() },
            Some(_) => Action::Note { text },
            None => return,
        };
        let write = ticket.act(&action, "terminal").expect("the action fits the state");
        self.write(at, vec![write]);
    }

    fn erase(&mut self, at: usize) {
        let mut homes = self.model.homes(at);
        homes.retain(|home| home.category >= Category::LIBRARY_FIRST);
        let Some(home) = self.plan.pick(&homes) else { return };
        let author = self.author(at);
        let Some(process) = self.process(at) else { return };
        let now_ms = process.clock.now_ms();
        let outcome = process.store.erase(&author, &[home], "本人要求", now_ms);
        self.finish(at, outcome, &[home]);
    }

    /// Who writes at a node now: a person, or the node itself.
    pub(super) fn author(&mut self, at: usize) -> Author {
        let by_node = self.plan.one_in(4);
        let machine = self.machines.get(at).expect("every node is known");
        let session = machine.process.as_ref().map_or(0, |process| process.session);
        if by_node {
            machine.disk.member.author(session)
        } else {
            Author { session, ..machine.operator.clone() }
        }
    }

    pub(super) fn write(&mut self, at: usize, writes: Vec<Write>) {
        let author = self.author(at);
        let homes: Vec<Home> = writes.iter().map(|write| write.home).collect();
        let Some(process) = self.process(at) else { return };
        let now_ms = process.clock.now_ms();
        let outcome = process.store.write(&author, writes, now_ms);
        self.finish(at, outcome, &homes);
    }

    /// What was written is promised to whoever wrote it; what was not has a reason.
    pub(super) fn finish(
        &mut self,
        at: usize,
        outcome: Result<Vec<ChangeId>, WriteError>,
        homes: &[Home],
    ) {
        let suspended = self.machines.get(at).is_some_and(|m| m.disk.suspended.is_some());
        match outcome {
            Ok(ids) => {
                assert!(!suspended, "{} writes although it must not", self.name(at));
                self.note(self.name(at), "writes", &ids);
                let store = self.process(at).map(|process| process.store.clone());
                for home in homes {
                    let changes = store.as_ref().map(|store| store.changes_of(home));
                    for change in changes.into_iter().flatten().flatten() {
                        if ids.contains(&change.id()) {
                            self.model.make(change.id(), change.header());
                        }
                    }
                }
                self.model.promise(at, ids);
            }
            Err(WriteError::Suspended(_)) => assert!(suspended, "{}", self.name(at)),
            Err(WriteError::Storage(store::Fault::DiskFull)) => {
                self.check_fault(at, &store::Fault::DiskFull);
                self.fired.count(Fault::DiskFull);
            }
            Err(
                error @ (WriteError::Refused(_)
                | WriteError::Nothing { .. }
                | WriteError::Erased { .. }
                | WriteError::NoDocument { .. }),
            ) => self.note(self.name(at), "does not write", &error),
            Err(error) => panic!("{}: {error}", self.name(at)),
        }
        self.after_store(at);
    }
}
