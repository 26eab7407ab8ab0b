//! A town under attack, with the people and the honest village that depend on it.
//!
//! County, town and village are real processes; the village reaches its town over a line of
//! 1 Mbit/s. The attacker has the keys of other villages of the same town, and as many machines
//! below them as they certify. While it does what it likes, somebody in the village reports something
//! again and again, and somebody at the town waits for it: this is what must not suffer.
//!
//! ```text
//!  secretary ─▶ village ══ 1 Mbit/s ══▶ town ──▶ county
//!                                       ▲  ▲
//!                          dispatcher ──┘  └── whoever attacks
//! ```
//!
//! One town is under attack at a time, so that what is measured is the attack.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cunlian_host::config::Config;
use cunlian_host::opening::open_store;
use cunlian_node::demo::client::{Acknowledged, Client};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::ChangeId;
use rand::Rng as _;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

use crate::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use crate::hostile::{Hostile, Stolen, stolen};
use crate::program::{run_well, wait_for};
use crate::relay::Relay;
use crate::traces::{forget_peak_of, peak_kib};
use crate::visitor::Person;

/// Neighbours of the honest village whose keys were stolen.
pub const STOLEN: [&str; 3] = ["370322102200", "370322102211", "370322102289"];
/// Memory that a town has at the most, whatever is done to it.
pub const MEMORY_KIB: u64 = 300 << 10;
/// How long what was written at a village takes to its town at the most.
pub const SYNC: Duration = Duration::from_secs(10);
/// How long people at the town wait at the most.
pub const ANSWER: Duration = Duration::from_secs(2);

/// 1 Mbit/s.
const BYTES_PER_SECOND: u32 = 125_000;
/// One way on that line.
const DELAY: Duration = Duration::from_millis(25);
/// How often the dispatcher looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Pause between two reports.
const PAUSE: Duration = Duration::from_millis(300);
/// Rounds that are looked at in every attack, however short it is.
const ROUNDS: usize = 2;
/// How long a round may take before the test is given up.
const PATIENCE: Duration = Duration::from_mins(2);
/// Says that attacks should last.
const LONG: &str = "CUNLIAN_LONG";

/// One town at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What an attacker knows of its victims, and has of them.
#[derive(Clone)]
pub struct Target {
    layout: Layout,
}

impl Target {
    /// The town that is attacked.
    pub fn town(&self) -> &Node {
        self.layout.find(TOWN).unwrap()
    }

    /// A village whose keys the attacker has; they are gone through by turns.
    pub fn stolen_village(&self, number: u16) -> &Node {
        self.layout.find(STOLEN[usize::from(number) % STOLEN.len()]).unwrap()
    }

    /// Where the town listens for nodes.
    pub fn listen(&self) -> SocketAddr {
        self.town().listen
    }

    /// The machine of such a village, by its stolen key.
    pub fn thief(&self, number: u16) -> Stolen {
        stolen(&self.stolen_village(number).dir)
    }

    /// A machine of the attacker below such a village, certified by the stolen key.
    pub fn below(&self, number: u16) -> Stolen {
        let village = self.stolen_village(number);
        let mut seed = [0xa7; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        Hostile::insider_with(&village.dir, seed, Tier::Grid, village.region)
    }

    /// How long an attack goes on: so long, or many times longer when that is asked for.
    pub fn lasts(&self, short: Duration) -> Duration {
        short * u32::try_from(self.times(1)).unwrap()
    }

    /// How often an attack does something: so often, or many times more when that is asked for.
    pub fn times(&self, short: usize) -> usize {
        if std::env::var_os(LONG).is_some() { short * 8 } else { short }
    }
}

/// What people met with in the course of an attack.
#[derive(Debug, Clone, Copy, Default)]
pub struct Suffered {
    /// Rounds in which somebody reported something.
    pub rounds: usize,
    /// Longest time from a report at the village to the town.
    pub sync: Duration,
    /// Longest time from a step at the town to the village.
    pub back: Duration,
    /// Longest wait of a person or a program at the town.
    pub answer: Duration,
    /// Most memory of the town, in KiB.
    pub memory_kib: u64,
}

/// The federation, before, under and after an attack.
pub struct Siege {
    fleet: Fleet,
    secretary: Client,
    dispatcher: Client,
    person: Person,
    reported: Vec<Acknowledged>,
    _relay: Relay,
    dir: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Siege {
    /// Everything runs, is in step, and has been looked at once: the measure works.
    pub fn begin() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempdir().unwrap();
        let layout = lay_out(dir.path(), &[&[COUNTY, TOWN, VILLAGE][..], &STOLEN].concat());
        let town = layout.find(TOWN).unwrap().clone();
        let village = layout.find(VILLAGE).unwrap().clone();
        let relay = Relay::line(town.listen, BYTES_PER_SECOND, DELAY);
        let mut config = Config::load(&village.dir).unwrap();
        config.peers[0].address = relay.address().into();
        config.save(&village.dir).unwrap();
        let mut fleet = fleet(layout);
        for node in [COUNTY, TOWN, VILLAGE] {
            let index = fleet.layout().find(node).unwrap().index;
            well(fleet.start(index));
        }
        wait_for("the links", || {
            [&town, &village].iter().all(|node| fleet.parent_link(node.index)["state"] == "live")
        });
        let secretary = well(Client::log_in(&village, "secretary"));
        let dispatcher = well(Client::log_in(&town, "dispatcher"));
        let password = cunlian_node::demo::fleet::PASSWORD;
        let person = Person::log_in(town.http, "dispatcher", password);
        let mut siege = Self {
            fleet,
            secretary,
            dispatcher,
            person,
            reported: Vec::new(),
            _relay: relay,
            dir,
            _alone: alone,
        };
        let mut before = Suffered::default();
        siege.round(&mut before);
        siege
    }

    /// What is attacked.
    pub fn target(&self) -> Target {
        Target { layout: self.fleet.layout().clone() }
    }

    /// A directory for what an attacker makes ready.
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// Nobody suffers while an attack goes on, nor right after it; what was done under it is
    /// everywhere, and what the town says of itself is true.
    ///
    /// # Panics
    /// When that is not so.
    pub fn withstands<F>(&mut self, name: &str, attack: impl FnOnce(Target) -> F) -> Suffered
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let town = self.town().clone();
        let pid = self.fleet.pid(town.index).unwrap();
        forget_peak_of(pid);
        let runtime = Runtime::new().unwrap();
        let began = Instant::now();
        let attack = runtime.spawn(attack(self.target()));
        let mut suffered = Suffered::default();
        while !attack.is_finished() || suffered.rounds < ROUNDS {
            self.round(&mut suffered);
            std::thread::sleep(PAUSE);
        }
        runtime.block_on(attack).unwrap();
        let lasted = began.elapsed();
        // It goes on for who was in the middle of it.
        self.round(&mut suffered);
        drop(runtime);
        assert!(self.fleet.is_running(town.index), "{name}: the town has ended");
        suffered.memory_kib = peak_kib(pid);
        let Suffered { rounds, sync, back, answer, memory_kib } = suffered;
        println!(
            "{name}: {} ms, {rounds} reports; at the slowest {} ms to the town, {} ms back, \
             {} ms for an answer; {} MiB",
            lasted.as_millis(),
            sync.as_millis(),
            back.as_millis(),
            answer.as_millis(),
            memory_kib >> 10
        );
        assert!(memory_kib < MEMORY_KIB, "{name}: {} MiB", memory_kib >> 10);
        assert!(sync < SYNC, "{name}: {} ms to the town", sync.as_millis());
        assert!(back < SYNC, "{name}: {} ms to the village", back.as_millis());
        assert!(answer < ANSWER, "{name}: {} ms for an answer", answer.as_millis());
        self.assert_settled(name);
        suffered
    }

    /// Stops everything; the store of the town holds and is sound, and has what was reported.
    ///
    /// # Panics
    /// When that is not so.
    pub fn end(mut self) {
        let town = self.town().clone();
        self.fleet.stop_all();
        let (store, _) = open_store(&town.dir).unwrap();
        let held: BTreeSet<ChangeId> =
            store.keys().unwrap().into_iter().map(|key| key.change).collect();
        drop(store);
        for Acknowledged { home, changes } in &self.reported {
            let lost = changes.iter().find(|change| !held.contains(change));
            assert_eq!(lost, None, "{home:?} is not at the town");
        }
        run_well(["verify", "--data-dir", town.dir.to_str().unwrap()]);
    }

    fn town(&self) -> &Node {
        self.fleet.layout().find(TOWN).unwrap()
    }

    fn village(&self) -> &Node {
        self.fleet.layout().find(VILLAGE).unwrap()
    }

    /// The secretary reports something, and the dispatcher looks until it is there.
    fn round(&mut self, suffered: &mut Suffered) {
        let text = format!("村口路灯坏了 {}", rand::rng().next_u32());
        let began = Instant::now();
        let reported = well(self.secretary.report(VILLAGE, "walk_in", &text));
        loop {
            let asked = Instant::now();
            let ticket = self.dispatcher.ticket(&reported.home);
            suffered.answer = suffered.answer.max(asked.elapsed());
            if ticket.is_some() {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "a report does not come to the town");
            std::thread::sleep(LOOK_EVERY);
        }
        suffered.sync = suffered.sync.max(began.elapsed());
        let began = Instant::now();
        well(self.dispatcher.step(&reported.home, &json!({"op": "accept", "kind": "other"})));
        suffered.answer = suffered.answer.max(began.elapsed());
        let is_accepted = |ticket: Value| ticket["state"] == "accepted";
        while !self.secretary.ticket(&reported.home).is_some_and(is_accepted) {
            assert!(began.elapsed() < PATIENCE, "a step does not come to the village");
            std::thread::sleep(LOOK_EVERY);
        }
        suffered.back = suffered.back.max(began.elapsed());
        let asked = Instant::now();
        let page = self.person.get("/queue");
        suffered.answer = suffered.answer.max(asked.elapsed());
        assert!(page.contains("</html>"), "{page}");
        suffered.rounds += 1;
        self.reported.push(reported);
    }

    /// All of the honest have what they should, and say so.
    fn assert_settled(&self, name: &str) {
        let (town, village) = (self.town(), self.village());
        let settled = |node: &Node| {
            let status = self.fleet.status(node.index).unwrap_or_default();
            let link = self.fleet.parent_link(node.index);
            status["waiting"] == 0 && link["state"] == "live" && link["pending_changes"] == 0
        };
        wait_for(&format!("{name}: village and town to be in step"), || {
            settled(village) && settled(town)
        });
        let status = well(self.fleet.status(town.index));
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        let child = peers.iter().find(|peer| peer["name"] == village.name.as_str());
        let child = child.unwrap_or_else(|| panic!("{name}: the village is not shown: {status}"));
        assert_eq!(child["state"], "live", "{name}: {child}");
        assert_eq!(child["pending_changes"], 0, "{name}: {child}");
    }
}
