//! A county, a town and villages as real processes, with canaries in their stores; and what is
//! asked of them afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::opening::{node_author, open_store};
use cunlian_node::demo::fleet::Fleet;
use cunlian_node::demo::layout::Node;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, fleet, lay_out, well};
use cunlian_tests::hostile::attempt::Findings;
use cunlian_tests::hostile::scene::Scene;
use cunlian_tests::hostile::{Hostile, Stolen};
use cunlian_tests::traces::{contains, files_with};
use tempfile::{TempDir, tempdir};

/// 西关村, a neighbour of 苑兴村.
pub(crate) const OTHER: &str = "370322102200";
/// Categories with canaries that a county may read.
pub(crate) const OPEN: [Category; 3] =
    [Category::TICKET, Category::ANSWER, Category::library(0, 0)];
/// Categories with canaries that only village and town may read: reporters' contacts; identity,
/// contact, health, welfare and minors of people.
pub(crate) const CLOSED: [Category; 6] = [
    Category::TICKET_CONTACT,
    Category::library(0, 1),
    Category::library(0, 2),
    Category::library(0, 3),
    Category::library(0, 4),
    Category::library(0, 5),
];

/// A federation on one machine.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    dir: TempDir,
}

/// The canary of a category of a village.
pub(crate) fn canary(village: &Node, category: Category) -> String {
    format!("canary-{category}-of-{}", village.region)
}

/// All canaries of some categories of a village.
pub(crate) fn canaries(village: &Node, categories: &[Category]) -> Vec<String> {
    categories.iter().map(|category| canary(village, *category)).collect()
}

/// Where the canary of a category of a village is.
pub(crate) fn home(village: &Node, category: Category) -> Home {
    Home { category, address: village.region, document: DocumentId([0xca; 16]) }
}

impl Stage {
    /// County, town and two villages, none running; canaries in the villages' stores.
    pub(crate) fn set() -> Self {
        let dir = tempdir().unwrap();
        let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE, OTHER]);
        let stage = Self { fleet: fleet(layout), dir };
        for village in [stage.own(), stage.other()] {
            plant(village);
        }
        stage
    }

    /// The same with all processes running and in step.
    pub(crate) fn running() -> Self {
        let mut stage = Self::set();
        well(stage.fleet.start_all());
        stage.settle();
        stage
    }

    /// Waits until everything is everywhere.
    pub(crate) fn settle(&self) {
        well(self.fleet.converge(Duration::from_mins(2), |_| {}));
    }

    pub(crate) fn county(&self) -> &Node {
        self.fleet.layout().county()
    }

    pub(crate) fn town(&self) -> &Node {
        self.fleet.layout().town()
    }

    /// The village that the hostile machine is certified for.
    pub(crate) fn own(&self) -> &Node {
        self.fleet.layout().find(VILLAGE).unwrap()
    }

    /// The village that is none of its business.
    pub(crate) fn other(&self) -> &Node {
        self.fleet.layout().find(OTHER).unwrap()
    }

    /// A machine that the town certified for the village of [`Stage::own`].
    pub(crate) fn insider(&self, seed: u8) -> Stolen {
        let own = self.own();
        Hostile::insider(&self.town().dir, seed, own.tier, own.region)
    }

    /// The insider at the town, after the data of [`Stage::other`].
    pub(crate) fn scene(&self, seed: u8) -> Scene {
        Scene::new(self.fleet.layout(), self.insider(seed), self.own().region, self.other())
    }

    /// A directory beside those of the nodes.
    pub(crate) fn beside(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// What the log of a node says by now.
    pub(crate) fn log(node: &Node) -> String {
        // It quotes some texts once more than they are.
        fs::read_to_string(node.dir.join("node.log")).unwrap().replace('\\', "")
    }

    /// An honest machine of the other village is welcomed and gets what is its own, and the process
    /// is the one that was started.
    pub(crate) async fn assert_serves(&self, seed: u8) {
        let other = self.other();
        let honest = Hostile::insider(&self.town().dir, seed, other.tier, other.region).hostile;
        let mut line = honest.enter(self.town().listen).await;
        read(&mut line, other, Category::TICKET).await;
        let ticket = canary(other, Category::TICKET);
        assert!(contains(&line.heard, ticket.as_bytes()), "an honest peer is not served");
    }
}

/// Each attempt is in the log of the node, and not more than once; and the figures count it.
pub(crate) fn assert_logged_and_counted(node: &Node, found: &Findings) {
    let log = Stage::log(node);
    let figures = Figures::of(node);
    let mut attempts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let mut by_code: BTreeMap<String, u64> = BTreeMap::new();
    for closed in &found.closed {
        let code = format!("{:?}", closed.ending.code);
        *attempts.entry((code.clone(), &closed.ending.reason)).or_default() += 1;
        *by_code.entry(code).or_default() += 1;
    }
    for (code, reason) in attempts.keys() {
        let said = format!("code={code} ");
        let lines = log.lines().filter(|l| l.contains("WARN") && l.contains("session closed"));
        let lines = lines.filter(|l| l.contains(&said) && l.contains(*reason)).count();
        assert!((1..=2).contains(&lines), "{lines} times in the log: {code} {reason}");
    }
    for (code, count) in by_code {
        let label = label(&code);
        let name = format!("cunlian_sessions_ended_total{{code=\"{label}\",by=\"node\"}}");
        assert_eq!(figures.get(&name), count, "{name}");
    }
}

/// `OutOfScope` is `out_of_scope`.
fn label(code: &str) -> String {
    let mut label = String::new();
    for character in code.chars() {
        if character.is_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.extend(character.to_lowercase());
    }
    label
}

/// Asks for everything of one category of a village, until it has come.
pub(crate) async fn read(
    line: &mut cunlian_tests::hostile::Line,
    village: &Node,
    category: Category,
) {
    use cunlian_protocol::key::KeyPrefix;
    use cunlian_protocol::region::Region;
    use cunlian_protocol::wire::{Frame, Message};

    let prefix = KeyPrefix::region(category, &Region::subtree(village.region));
    line.say(&cunlian_tests::hostile::snooping::want(prefix)).await;
    while !matches!(line.take().await.unwrap(), Frame::Message(Message::Delivered { .. })) {}
}

/// Puts a canary into every category of a village whose node does not run.
fn plant(village: &Node) {
    let (store, identity) = open_store(&village.dir).unwrap();
    let write = |category: &Category| Write {
        home: home(village, *category),
        edits: vec![Edit::Put { field: "note".to_owned(), text: canary(village, *category) }],
        source: "test".to_owned(),
        task: String::new(),
    };
    let writes = OPEN.iter().chain(&CLOSED).map(write).collect();
    let author = node_author(&identity);
    store.write(&author, writes, cunlian_host::clock::now_ms()).unwrap();
}

/// None of the texts is in any file below a directory.
pub(crate) fn assert_nothing_of(texts: &[String], dir: &Path) {
    for text in texts {
        let files = files_with(dir, text);
        assert!(files.is_empty(), "{text} is in {files:?}");
    }
}

/// Each of the texts is in some file below a directory: whoever looks finds them.
pub(crate) fn assert_all_of(texts: &[String], dir: &Path) {
    for text in texts {
        assert!(!files_with(dir, text).is_empty(), "{text} is not below {}", dir.display());
    }
}

/// What `/metrics` of a node says.
pub(crate) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(crate) fn of(node: &Node) -> Self {
        let url = format!("http://{}/metrics", node.http);
        let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let figures = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or(0))
        });
        Self(figures.collect())
    }

    /// One figure, by its name with labels; 0 when it was never counted.
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of all figures whose name begins so.
    pub(crate) fn sum(&self, prefix: &str) -> u64 {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
    }
}
