//! The outage scenario: load, converge, cut, work on both sides, kill, heal, verify.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use rand::Rng as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::check::{self, Expected};
use super::client::{Acknowledged, Client, home_of, random_document};
use super::fleet::{Fleet, check_ports, provision};
use super::layout::{Layout, Node};
use super::{load, story};
use crate::failure::Failure;

/// How long the demo may take to come into step.
const PATIENCE: Duration = Duration::from_mins(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Records a cut village registers.
const REGISTERED: usize = 20;
/// Records the village that is killed registers, one after another.
const REGISTERED_BEFORE_KILL: u64 = 40;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Library documents over the villages of 高城镇.
    pub records: usize,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Directory; a temporary one, removed at the end, when absent.
    pub dir: Option<PathBuf>,
    /// First UDP port; free ports are looked for when the directory is temporary.
    pub udp_base: u16,
    /// First TCP port.
    pub http_base: u16,
    /// No progress on standard error.
    pub quiet: bool,
    /// The `cunlian` binary; this process's own program when absent.
    pub program: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether nothing differs from what it should be.
    pub converged: bool,
    /// What differs.
    pub differences: Vec<String>,
    /// Processes.
    pub nodes: usize,
    /// The seed.
    pub seed: u64,
    /// Library documents of 高城镇 loaded: as many as were asked for.
    pub records: u64,
    /// Library documents of its neighbour's terminals, on top.
    pub neighbour_records: u64,
    /// Tickets at the county at the end.
    pub tickets: u64,
    /// Different changes in all stores together.
    pub changes: u64,
    /// Changes acknowledged to the people who worked during the run.
    pub acknowledged: u64,
    /// Fields with concurrent values at 高城镇.
    pub conflicts: u64,
    /// Ticket steps whose signature was checked.
    pub trace_steps: u64,
    /// Whether the killed process had work under way.
    pub killed_in_mid_sync: bool,
    /// Changes refused or quarantined at all nodes.
    pub refused: u64,
    /// Seconds per phase.
    pub seconds: Seconds,
    /// What passed over each link, counted at the child.
    pub links: Vec<Link>,
}

/// Seconds per phase.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names are those of the phases")]
pub struct Seconds {
    pub load: f64,
    pub start: f64,
    pub converge: f64,
    pub work: f64,
    pub heal: f64,
    pub verify: f64,
    pub total: f64,
}

/// What passed over one link.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// The child.
    pub node: String,
    /// Its parent.
    pub parent: String,
    /// Frame bytes both ways, before TLS.
    pub wire_bytes: u64,
    /// Frames both ways.
    pub messages: u64,
}

/// Runs the scenario. `during` is called while the links are cut and both sides work.
pub fn run(
    options: &Options,
    during: impl FnOnce(&Fleet) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let temporary = options.dir.is_none();
    let dir = options.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("cunlian-demo-{:08x}", rand::rng().next_u32()))
    });
    let outcome = run_in(options, &dir, temporary, during);
    if temporary && outcome.is_ok() {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&dir);
    }
    outcome
}

fn run_in(
    options: &Options,
    dir: &std::path::Path,
    temporary: bool,
    during: impl FnOnce(&Fleet) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let begun = Instant::now();
    let mut seconds = Seconds::default();
    let say = |text: &str| {
        if !options.quiet {
            eprintln!("[{:6.1} s] {text}", begun.elapsed().as_secs_f64());
        }
    };
    let layout = place(options, dir, temporary)?;
    say("keys, certificates, data");
    provision(&layout, |_, _| None)?;
    let loaded = load::load(&layout, options.records, options.seed, |_| {})?;
    seconds.load = begun.elapsed().as_secs_f64();
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut fleet = Fleet::new(layout, &program);
    say("starting");
    let mark = Instant::now();
    fleet.start_all()?;
    seconds.start = mark.elapsed().as_secs_f64();
    say("first copy");
    seconds.converge = fleet.converge(PATIENCE, |_| {})?.as_secs_f64();
    say("cutting links");
    let mark = Instant::now();
    let mut work = Work::begin(&fleet)?;
    work.cut(&fleet)?;
    say("working on both sides");
    work.during_outage(&fleet)?;
    during(&fleet)?;
    say("killing a village in mid-sync");
    let early = links(&fleet);
    work.kill_in_mid_sync(&mut fleet)?;
    seconds.work = mark.elapsed().as_secs_f64();
    say("healing");
    let mark = Instant::now();
    work.heal(&fleet)?;
    fleet.converge(PATIENCE, |_| {})?;
    seconds.heal = mark.elapsed().as_secs_f64();
    let mut links = links(&fleet);
    if let (Some(link), Some(before)) =
        (work.killed.and_then(|at| links.get_mut(at)), work.killed.and_then(|at| early.get(at)))
    {
        link.wire_bytes += before.wire_bytes;
        link.messages += before.messages;
    }
    fleet.stop_all();
    say("verifying from the stores");
    let mark = Instant::now();
    let found = check::check(fleet.layout(), &work.expected)?;
    seconds.verify = mark.elapsed().as_secs_f64();
    seconds.total = begun.elapsed().as_secs_f64();
    Ok(Report {
        converged: found.differences.is_empty(),
        differences: found.differences,
        nodes: fleet.layout().nodes.len(),
        seed: options.seed,
        records: loaded.records,
        neighbour_records: loaded.neighbour_records,
        tickets: found.tickets,
        changes: found.changes,
        acknowledged: work.expected.acknowledged.iter().map(|a| a.changes.len() as u64).sum(),
        conflicts: found.conflicts,
        trace_steps: found.trace_steps,
        killed_in_mid_sync: work.in_mid_sync,
        refused: found.refused,
        seconds,
        links,
    })
}

/// The layout in its directory; a temporary one takes the first ports that are free.
fn place(options: &Options, dir: &std::path::Path, temporary: bool) -> Result<Layout, Failure> {
    let mut last = None;
    for _ in 0..50 {
        let random = u16::try_from(rand::rng().next_u32() % 30_000).unwrap_or(0);
        let (udp, http) = if temporary {
            (15_000 + random, 15_100 + random)
        } else {
            (options.udp_base, options.http_base)
        };
        let layout = Layout::new(dir, udp, http)?;
        match check_ports(&layout) {
            Ok(()) => return Ok(layout),
            Err(failure) if temporary => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    Err(last.unwrap_or_else(|| Failure::new("no free ports")))
}

fn links(fleet: &Fleet) -> Vec<Link> {
    let nodes = fleet.layout().nodes.iter();
    nodes
        .map(|node| {
            let link = fleet.parent_link(node.index);
            let traffic = link.get("traffic").cloned().unwrap_or_default();
            let figure = |key: &str| traffic.get(key).and_then(Value::as_u64).unwrap_or(0);
            let parent = fleet.layout().parent(node).map(|p| p.name.clone()).unwrap_or_default();
            Link {
                node: node.name.clone(),
                parent,
                wire_bytes: figure("bytes_in") + figure("bytes_out"),
                messages: figure("frames_in") + figure("frames_out"),
            }
        })
        .collect()
}

/// What people do while the links are cut, and what must be found afterwards.
struct Work {
    cut: Vec<usize>,
    killed: Option<usize>,
    in_mid_sync: bool,
    expected: Expected,
    shared: Home,
}

impl Work {
    /// Plays the story while all links stand, and picks the record that both sides will edit.
    fn begin(fleet: &Fleet) -> Result<Self, Failure> {
        let village = story_village(fleet.layout())?;
        let mut expected = Expected::default();
        expected.acknowledged.extend(story::play(fleet)?);
        let clerk = Client::log_in(village, "secretary")?;
        let registered = register(&clerk, village, random_document())?;
        let shared = registered.home;
        expected.acknowledged.push(registered);
        let town = Client::log_in(fleet.layout().town(), "dispatcher")?;
        wait_for("the record at the town", || town.record(&shared).is_some())?;
        Ok(Self { cut: Vec::new(), killed: None, in_mid_sync: false, expected, shared })
    }

    /// Cuts county–town and two village–town links.
    fn cut(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        let layout = fleet.layout();
        self.cut = std::iter::once(layout.town().index)
            .chain(layout.terminals().take(2).map(|node| node.index))
            .collect();
        for index in &self.cut {
            fleet.cut(*index)?;
            wait_for("the cut to take hold", || cut_links(fleet, *index) == 1)?;
        }
        Ok(())
    }

    fn during_outage(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        let layout = fleet.layout();
        let at_work: Vec<&Node> = layout.terminals().take(3).collect();
        for (number, node) in at_work.iter().enumerate() {
            let clerk = Client::log_in(node, "secretary")?;
            for _ in 0..REGISTERED {
                self.expected.acknowledged.push(register(&clerk, node, random_document())?);
            }
            for found in clerk.search("", "population", 10)? {
                let home = home_of(&found, population())?;
                let level = if number == 0 { "初中" } else { "高中" };
                let fields = json!({"education": level});
                if let Ok(done) = clerk.edit(&home, &fields) {
                    self.expected.acknowledged.push(done);
                }
            }
            let text = "村东头路灯坏了，晚上看不见路";
            let reported = clerk.report(node.region.as_str(), "walk_in", text)?;
            self.expected.acknowledged.push(reported);
        }
        self.edit_on_both_sides(fleet)?;
        self.expected.acknowledged.extend(story::dispatch_open(fleet, 5)?);
        self.check_isolation(fleet)
    }

    /// The same field of the same record, at the village and at the town.
    fn edit_on_both_sides(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        let layout = fleet.layout();
        let home = self.shared;
        let village = Client::log_in(story_village(layout)?, "secretary")?;
        let town = Client::log_in(layout.town(), "dispatcher")?;
        let values = [(village, "外出"), (town, "流入")];
        for (clerk, value) in values {
            let done = clerk.edit(&home, &json!({"residence": value}))?;
            self.expected.acknowledged.push(done);
        }
        self.expected.conflict = Some((home, ["外出", "流入"].map(str::to_owned).into()));
        Ok(())
    }

    /// While a link is cut, what its village wrote must not be said to be at the town.
    fn check_isolation(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        let village = story_village(fleet.layout())?;
        let status = fleet.status(village.index)?;
        let waiting = status.get("waiting").and_then(Value::as_u64).unwrap_or(0);
        if waiting == 0 {
            let text = format!("{} says that nothing waits although its link is cut", village.name);
            self.expected.broken.push(text);
        }
        Ok(())
    }

    /// Kills a village with SIGKILL while it registers and pushes, and starts it again.
    fn kill_in_mid_sync(&mut self, fleet: &mut Fleet) -> Result<(), Failure> {
        let third = fleet.layout().terminals().nth(2).cloned();
        let node = third.ok_or_else(|| Failure::new("the town has no third terminal"))?;
        let clerk = Client::log_in(&node, "secretary")?;
        let done = AtomicU64::new(0);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let acknowledged = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut acknowledged = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match register(&clerk, &node, random_document()) {
                        Ok(one) => acknowledged.push(one),
                        Err(_) => break,
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                acknowledged
            });
            let enough = || done.load(Ordering::Relaxed) >= REGISTERED_BEFORE_KILL;
            let outcome =
                wait_for("registrations before the kill", || enough() || worker.is_finished());
            self.in_mid_sync = !worker.is_finished();
            let killed = fleet.kill(node.index);
            stop.store(true, Ordering::Relaxed);
            let acknowledged = worker.join().map_err(|_| Failure::new("the worker panicked"))?;
            outcome?;
            killed?;
            Ok::<_, Failure>(acknowledged)
        })?;
        self.expected.acknowledged.extend(acknowledged);
        self.killed = Some(node.index);
        fleet.start(node.index)
    }

    fn heal(&self, fleet: &Fleet) -> Result<(), Failure> {
        for index in &self.cut {
            fleet.heal(*index)?;
            wait_for("the link to heal", || cut_links(fleet, *index) == 0)?;
        }
        Ok(())
    }
}

/// Number of the category of population records.
fn population() -> u16 {
    cunlian_protocol::category::Category::library(0, 0).0
}

fn story_village(layout: &Layout) -> Result<&Node, Failure> {
    layout.terminals().next().ok_or_else(|| Failure::new("the town has no terminal"))
}

fn register(clerk: &Client, node: &Node, document: DocumentId) -> Result<Acknowledged, Failure> {
    let names: BTreeSet<&str> = ["王建国", "李秀英", "张伟", "刘洋"].into();
    let at = usize::from(document.0.first().copied().unwrap_or(0)) % names.len();
    let fields = json!({
        "name": names.iter().nth(at),
        "sex": "男",
        "birth": "1968-05-12",
        "household": "H001",
    });
    let address = format!("{}001", node.region);
    clerk.register("population", &address, document, &fields)
}

fn cut_links(fleet: &Fleet, index: usize) -> usize {
    let status = fleet.status(index).unwrap_or_default();
    status.get("cut_links").and_then(Value::as_array).map_or(0, Vec::len)
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), Failure> {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > Duration::from_mins(1) {
            return Err(Failure::new(format!("waited a minute for {what}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
