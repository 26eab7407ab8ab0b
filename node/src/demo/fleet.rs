//! The processes of the demo: provisioned as an administrator would, started, killed, asked.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use cunlian_host::admin::issuing::{IssuedFile, RequestFile};
use cunlian_host::clock::now_ms;
use cunlian_host::config::Config;
use cunlian_host::control::ask_status;
use cunlian_host::keystore::{Keystore, NODE_KEY, ROOT_KEY};
use cunlian_host::network::gate::cut_file;
use cunlian_host::operator::{Issuer, NewOperator, Operators};
use cunlian_host::preset;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::signing::public_key;
use serde_json::Value;

use super::layout::{Layout, Node};
use crate::failure::Failure;

/// Password of every operator of the demo.
pub const PASSWORD: &str = "cunlian-demo";
/// Years the demo's certificates are valid, in days.
const VALID_DAYS: i64 = 730;
const DAY_MS: i64 = 86_400_000;
/// How long a process may take to start or stop.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who works at a node of a tier: login name, name on pages, role.
pub fn staff(tier: Tier) -> &'static [(&'static str, &'static str, &'static str)] {
    match tier {
        Tier::Province | Tier::City | Tier::County => {
            &[("analyst", "县级分析员", "analyst"), ("admin", "县管理员", "administrator")]
        }
        Tier::Town => &[
            ("dispatcher", "镇调度员", "dispatcher"),
            ("leader", "镇长", "leader"),
            ("liaison", "包村干部", "village_operator"),
            ("admin", "镇管理员", "administrator"),
        ],
        Tier::Village | Tier::Grid => {
            &[("secretary", "村支书", "village_operator"), ("admin", "村管理员", "administrator")]
        }
    }
}

/// Makes keys, certificates, configuration and operators of all nodes. `staff_name` may replace
/// the name on pages of an operator.
pub fn provision(
    layout: &Layout,
    staff_name: impl Fn(&Node, &str) -> Option<String>,
) -> Result<(), Failure> {
    for node in &layout.nodes {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&node.dir)?;
        let keystore = Keystore::new(&node.dir);
        keystore.create_key(NODE_KEY, &mut rand::rng())?;
        let public_url = Some(format!("http://{}", node.http));
        let (listen, http) = (node.listen, node.http);
        let style_page = true;
        let config = Config { listen, http, public_url, style_page, ..Config::default() };
        config.save(&node.dir)?;
        match layout.parent(node) {
            Some(parent) => join(parent, node)?,
            None => found(node)?,
        }
        add_staff(node, &staff_name)?;
    }
    Ok(())
}

fn found(node: &Node) -> Result<(), Failure> {
    let keystore = Keystore::new(&node.dir);
    let root = keystore.create_key(ROOT_KEY, &mut rand::rng())?;
    let now = now_ms();
    let body = CertificateBody {
        subject: public_key(&keystore.key(NODE_KEY)?),
        name: node.name.clone(),
        kind: AuthorKind::Node,
        tier: node.tier,
        grants: preset::grants(node.tier, node.region),
        issued_at_ms: now,
        not_after_ms: now + 2 * VALID_DAYS * DAY_MS,
        issuer: None,
    };
    Ok(keystore.set_chain(&public_key(&root), &[Certificate::issue(&body, &root)])?)
}

fn join(parent: &Node, node: &Node) -> Result<(), Failure> {
    let request = RequestFile::new(&node.dir, node.tier, node.region, node.name.clone())?;
    let issued = IssuedFile::new(&parent.dir, &request, VALID_DAYS, Some(parent.listen.into()))?;
    Ok(issued.accept(&node.dir)?)
}

fn add_staff(
    node: &Node,
    staff_name: &impl Fn(&Node, &str) -> Option<String>,
) -> Result<(), Failure> {
    let identity = Keystore::new(&node.dir).identity()?;
    let issuer = Issuer { certificate: &identity.certificate, key: &identity.key };
    for (name, title, role) in staff(node.tier) {
        let display_name =
            staff_name(node, name).unwrap_or_else(|| format!("{}{title}", node.name));
        let new = NewOperator {
            name,
            display_name: &display_name,
            role,
            narrowing: None,
            must_change: false,
            password: PASSWORD,
        };
        Operators::new(&node.dir).create(&issuer, new, now_ms(), &mut rand::rng())?;
    }
    Ok(())
}

/// Checks that every port of the layout is free.
pub fn check_ports(layout: &Layout) -> Result<(), Failure> {
    let busy = |address: SocketAddr| {
        Failure::new(format!("port {} is in use", address.port())).hint(
            "another demo may be running: stop it, or choose other ports with --udp-base and --http-base",
        )
    };
    for node in &layout.nodes {
        UdpSocket::bind(node.listen).map_err(|_| busy(node.listen))?;
        TcpListener::bind(node.http).map_err(|_| busy(node.http))?;
    }
    Ok(())
}

/// The running processes; dropping it kills them.
pub struct Fleet {
    layout: Layout,
    program: PathBuf,
    children: Vec<Option<Child>>,
}

impl Fleet {
    /// No process yet; `program` is the `cunlian` binary.
    pub fn new(layout: Layout, program: &Path) -> Self {
        let children = layout.nodes.iter().map(|_| None).collect();
        Self { layout, program: program.to_owned(), children }
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Starts all nodes and waits until each answers.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        for index in 0..self.layout.nodes.len() {
            self.spawn(index)?;
        }
        (0..self.layout.nodes.len()).try_for_each(|index| self.wait_ready(index))
    }

    /// Starts one node and waits until it answers.
    pub fn start(&mut self, index: usize) -> Result<(), Failure> {
        self.spawn(index)?;
        self.wait_ready(index)
    }

    fn spawn(&mut self, index: usize) -> Result<(), Failure> {
        let node = self.node(index)?;
        let log =
            fs::OpenOptions::new().create(true).append(true).open(node.dir.join("node.log"))?;
        let child = Command::new(&self.program)
            .args(["run", "--stop-with-stdin", "--data-dir"])
            .arg(&node.dir)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::new(format!("{}: {error}", self.program.display())))?;
        if let Some(slot) = self.children.get_mut(index) {
            *slot = Some(child);
        }
        Ok(())
    }

    fn wait_ready(&mut self, index: usize) -> Result<(), Failure> {
        let node = self.node(index)?.clone();
        let started = Instant::now();
        while self.status(index).is_err() {
            let child = self.children.get_mut(index).and_then(Option::as_mut);
            let ended = child.and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = node.dir.join("node.log");
                let text = fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(3).collect();
                return Err(Failure::new(format!("{} did not start: {last:?}", node.name))
                    .hint(format!("its log is {}", log.display())));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Whether the process of a node still runs.
    pub fn is_running(&mut self, index: usize) -> bool {
        let child = self.children.get_mut(index).and_then(Option::as_mut);
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How the process of a node has ended, if it has; asked once for each end.
    pub fn ended(&mut self, index: usize) -> Option<ExitStatus> {
        let slot = self.children.get_mut(index)?;
        let how = slot.as_mut()?.try_wait().ok()??;
        *slot = None;
        Some(how)
    }

    /// Starts one node, and does not wait until it answers.
    pub fn restart(&mut self, index: usize) -> Result<(), Failure> {
        self.spawn(index)
    }

    /// Process id of a node.
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.children.get(index)?.as_ref().map(Child::id)
    }

    /// Kills a node with SIGKILL, as a power cut would end it.
    pub fn kill(&mut self, index: usize) -> io::Result<()> {
        match self.children.get_mut(index).and_then(Option::take) {
            Some(mut child) => {
                child.kill()?;
                child.wait().map(drop)
            }
            None => Ok(()),
        }
    }

    /// Stops all nodes in order: their standard input ends, and SIGKILL for one that does not
    /// listen.
    pub fn stop_all(&mut self) {
        for child in self.children.iter_mut().flatten() {
            drop(child.stdin.take());
        }
        for slot in &mut self.children {
            let Some(mut child) = slot.take() else { continue };
            let started = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && started.elapsed() < PATIENCE / 4 {
                std::thread::sleep(LOOK_EVERY);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The status of a node, as it says itself.
    pub fn status(&self, index: usize) -> Result<Value, Failure> {
        let text = ask_status(&self.node(index)?.dir)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// What a node says about the link to its parent; null while it has none.
    pub fn parent_link(&self, index: usize) -> Value {
        let status = self.status(index).unwrap_or_default();
        let peers = status.get("peers").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_parent = |peer: &Value| peer.get("role").and_then(Value::as_str) == Some("parent");
        peers.into_iter().find(is_parent).unwrap_or_default()
    }

    /// Waits until every node is live with its parent and children and nothing waits anywhere, in
    /// either direction. `progress` gets the number of nodes that are.
    pub fn converge(
        &self,
        patience: Duration,
        mut progress: impl FnMut(usize),
    ) -> Result<Duration, Failure> {
        let started = Instant::now();
        let all = self.layout.nodes.len();
        loop {
            let behind: Vec<usize> = (0..all).filter(|index| !self.is_settled(*index)).collect();
            progress(all - behind.len());
            if behind.is_empty() {
                return Ok(started.elapsed());
            }
            if started.elapsed() > patience {
                let names: Vec<&str> = behind
                    .iter()
                    .filter_map(|index| self.layout.nodes.get(*index))
                    .map(|node| node.name.as_str())
                    .collect();
                return Err(Failure::new(format!(
                    "after {} s these nodes are not in step with parent and children: {}",
                    patience.as_secs(),
                    names.join(", ")
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the node has nothing that waits for any tier above, and agrees with its parent and
    /// with each child it knows, having nothing to send to them.
    fn is_settled(&self, index: usize) -> bool {
        let status = self.status(index).unwrap_or_default();
        let settled = |peer: &Value| {
            peer.get("state").and_then(Value::as_str) == Some("live")
                && peer.get("pending_changes").and_then(Value::as_u64) == Some(0)
        };
        let peers = status.get("peers").and_then(Value::as_array).cloned().unwrap_or_default();
        let related = |role: &str| {
            let is_role =
                move |peer: &&Value| peer.get("role").and_then(Value::as_str) == Some(role);
            peers.iter().filter(is_role).collect::<Vec<&Value>>()
        };
        let children = self.layout.nodes.iter().filter(|node| node.parent == Some(index)).count();
        let parents = usize::from(self.layout.nodes.get(index).is_some_and(|n| n.parent.is_some()));
        status.get("waiting").and_then(Value::as_u64) == Some(0)
            && related("parent").iter().filter(|peer| settled(peer)).count() >= parents
            && related("child").iter().filter(|peer| settled(peer)).count() >= children
    }

    /// Cuts the link of a node to its parent: no datagram passes any more.
    pub fn cut(&self, index: usize) -> Result<(), Failure> {
        let node = self.node(index)?;
        cut_link(&self.layout, node)
    }

    /// Heals the link of a node to its parent.
    pub fn heal(&self, index: usize) -> Result<(), Failure> {
        heal_link(self.node(index)?)
    }

    fn node(&self, index: usize) -> Result<&Node, Failure> {
        self.layout
            .nodes
            .get(index)
            .ok_or_else(|| Failure::new(format!("there is no node {index}")))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Cuts the link of a node to its parent, from this or another process.
pub fn cut_link(layout: &Layout, node: &Node) -> Result<(), Failure> {
    let Some(parent) = layout.parent(node) else {
        return Err(Failure::new(format!("{} has no parent", node.name))
            .hint("cut the link of a town or a village"));
    };
    let path = cut_file(&node.dir);
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("{}\n", parent.listen))?;
    Ok(fs::rename(draft, path)?)
}

/// Heals the link of a node to its parent, from this or another process.
pub fn heal_link(node: &Node) -> Result<(), Failure> {
    match fs::remove_file(cut_file(&node.dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
