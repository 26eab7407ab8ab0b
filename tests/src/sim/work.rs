//! A working day: villages register and edit, people report, the town dispatches, the county
//! publishes, somebody raises an alert, somebody asks to be erased.

use std::collections::BTreeMap;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::{self, WriteError};
use cunlian_governance::capabilities::{CAPABILITIES, Capabilities};
use cunlian_governance::capability::{Capability, Spot};
use cunlian_governance::generator::{Generator, Records};
use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_governance::ticket::{self, Action, Assignee, Channel, Kind, NewTicket, Verb};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};

use super::START_MS;
use super::fault::Fault;
use super::world::{Happening, World};

/// Records a village may register in one run.
const RECORDS: usize = 400;

/// Samples of a capability from outside that a village may write in one run.
const SAMPLES: usize = 100;
/// Writes of one sample that are made together.
const SAMPLES_TOGETHER: usize = 3;

/// What is left to be done.
pub(super) struct Work {
    seed: u64,
    generator: Generator,
    records: BTreeMap<usize, Records>,
    pub(super) capabilities: Capabilities,
    /// How much of the samples of a capability, by its place, a village has written.
    played: BTreeMap<(usize, usize), usize>,
}

impl Work {
    pub(super) fn new(seed: u64, capabilities: &Capabilities) -> Self {
        Self {
            seed,
            generator: Generator::new(seed),
            records: BTreeMap::new(),
            capabilities: capabilities.clone(),
            played: BTreeMap::new(),
        }
    }

    /// The capabilities that are not those of the program. Its own have work that is made for them.
    fn extensions(&self) -> Vec<&'static dyn Capability> {
        self.capabilities.iter().skip(CAPABILITIES.len()).collect()
    }

    /// The next writes of a capability's sample at a village, as of a time.
    fn sample(&mut self, capability: usize, at: usize, spot: &Spot) -> Vec<Write> {
        let all = self.extensions();
        let Some(found) = all.get(capability) else { return Vec::new() };
        let played = self.played.entry((capability, at)).or_default();
        let scenes = found.sample(self.seed, spot).into_iter().skip(*played);
        let writes: Vec<Write> = scenes.take(SAMPLES_TOGETHER).map(|scene| scene.write).collect();
        *played += writes.len();
        writes
    }

    /// The next records of a village.
    fn register(&mut self, at: usize, village: AddressCode) -> Vec<Write> {
        let generator = &self.generator;
        let records = self.records.entry(at);
        let records = records.or_insert_with(|| generator.records(village, RECORDS));
        records.next().unwrap_or_default()
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

    /// Plans that samples of capabilities from outside are written, each some times a minute. In a
    /// county without such nothing is planned, and its runs are what they were.
    pub(super) fn plan_samples(&mut self, minutes: u32, until_ms: i64) {
        let count = self.work.extensions().len() * minutes as usize * 15;
        for _ in 0..count {
            let at_ms = self.plan.ms(START_MS + 100, until_ms);
            self.at(at_ms, Happening::Sample);
        }
    }

    pub(super) fn play_sample(&mut self) {
        let at = self.plan.place(self.machines.len());
        let capability = self.plan.place(self.work.extensions().len());
        let Some(machine) = self.machines.get(at) else { return };
        let body = machine.disk.member.identity.certificate.body();
        let region = body.grants.first().map(|grant| grant.region.prefix);
        let Some(village) = region.filter(|_| body.tier == Tier::Village) else { return };
        if machine.process.is_some() {
            let spot = Spot { village, count: SAMPLES, now_ms: START_MS };
            let writes = self.work.sample(capability, at, &spot);
            self.write(at, writes);
        }
    }

    pub(super) fn do_work(&mut self) {
        let at = self.plan.place(self.machines.len());
        let dice = self.plan.below(10);
        let Some(machine) = self.machines.get(at) else { return };
        if machine.process.is_none() {
            return;
        }
        let body = machine.disk.member.identity.certificate.body();
        let tier = body.tier;
        let region = body.grants.first().map(|grant| grant.region.prefix);
        let region = region.expect("a node has a region");
        match (tier, dice) {
            (Tier::Village, 0..=2) => {
                let mut writes = self.work.register(at, region);
                writes.truncate(6);
                self.write(at, writes);
            }
            (Tier::Village, 3 | 4) => self.report(at, region),
            (Tier::Village, 7) => self.take_photo(at, region),
            (Tier::Village | Tier::Town, 5) => {
                let writes = vec![self.put(Category::ALERT, region, "text", "河水上涨，请转移")];
                self.write(at, writes);
            }
            (Tier::Village | Tier::Town, 6) if self.plan.one_in(3) => self.erase(at),
            (Tier::County, 0..=3) => {
                let writes =
                    vec![self.put(Category::NOTICE, region, "title", "关于秸秆禁烧的通知")];
                self.write(at, writes);
            }
            (Tier::County, 4 | 5) => {
                let class = self.plan.place(Catalogue::built_in().classes().len());
                let catalogue = Catalogue::built_in();
                let class = catalogue.classes().get(class);
                let writes = class.map(|class| catalogue::publish(class, region, "county"));
                self.write(at, writes.into_iter().collect());
            }
            (Tier::Town | Tier::County, 7..=9) => self.dispatch(at, region),
            _ => self.edit(at),
        }
    }

    /// A new document of one field.
    pub(super) fn put(
        &mut self,
        category: Category,
        address: AddressCode,
        field: &str,
        text: &str,
    ) -> Write {
        let home = Home { category, address, document: DocumentId(self.plan.bytes()) };
        let text = format!("{text} {}", self.plan.below(1_000));
        let edits = vec![Edit::Put { field: field.to_owned(), text }];
        Write { home, edits, source: "terminal".to_owned(), task: String::new() }
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

    fn report(&mut self, at: usize, village: AddressCode) {
        let new = NewTicket {
            village,
            channel: Channel::Plate,
            title: String::new(),
            text: format!("路灯不亮 {}", self.plan.below(1_000)),
            kind: None,
            photos: Vec::new(),
            name: "王建国".to_owned(),
            phone: "13800000000".to_owned(),
            source: "plate".to_owned(),
        };
        let document = DocumentId(self.plan.bytes());
        let (_, writes) =
            ticket::report(&new, document, self.now_ms).expect("what is reported is in order");
        self.write(at, writes);
    }

    /// Somebody takes the next step of a case.
    fn dispatch(&mut self, at: usize, region: AddressCode) {
        let mut homes = self.model.homes(at);
        homes.retain(|home| home.category == Category::TICKET);
        let Some(home) = self.plan.pick(&homes) else { return };
        let Some(process) = self.process(at) else { return };
        let (store, authority) = (process.store.clone(), process.store.authority());
        let view = store.view(&home).expect("a store can be read");
        let Some(view) = view.filter(|view| view.erased.is_none()) else { return };
        let case = ticket::fold(&view, &authority);
        let verbs = [Verb::Accept, Verb::Assign, Verb::Handle, Verb::Feedback, Verb::Note];
        let verbs: Vec<Verb> = verbs.into_iter().filter(|verb| case.allows(*verb)).collect();
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
        let write = case.act(&action, "terminal").expect("the action fits the state");
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
