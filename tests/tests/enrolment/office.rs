//! A node that invites, and machines that are invited.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use cunlian_crdt::document::{Edit, Write};
use cunlian_host::admin::Administration;
use cunlian_host::admin::invitation::{InvitationRequest, Invited};
use cunlian_host::clock::now_ms;
use cunlian_host::control::ask_status;
use cunlian_host::opening::{node_author, open_store};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::enrolment::Token;
use cunlian_protocol::id::DocumentId;
use cunlian_tests::federation::VILLAGE;
use cunlian_tests::ports::Ports;
use cunlian_tests::program::{Running, command, run_well, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// An invitation as the command line gave it.
pub(crate) struct Paper {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Paper {
    pub(crate) fn parse(&self) -> Token {
        self.token.parse().unwrap()
    }
}

impl From<Invited> for Paper {
    fn from(invited: Invited) -> Self {
        Self { id: invited.id, token: invited.token }
    }
}

/// A node with its data directory; it runs once opened.
pub(crate) struct Office {
    pub(crate) path: PathBuf,
    listen: SocketAddr,
    http: SocketAddr,
    dir: Arc<TempDir>,
    process: Option<Running>,
}

impl Office {
    /// `cunlian init --found`.
    pub(crate) fn found(region: &str, name: &str) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let path = dir.path().join("parent");
        let ports = Ports::free();
        let (listen, http) = (ports.listen().to_string(), ports.http().to_string());
        let place = ["--data-dir", path.to_str().unwrap(), "--listen", &listen, "--http", &http];
        let tier = if region.len() == 9 { "town" } else { "county" };
        let who = ["init", "--found", "--tier", tier, "--region", region, "--name", name];
        run_well(who.iter().chain(&place));
        Self { path, listen: ports.listen(), http: ports.http(), dir, process: None }
    }

    /// `cunlian run`, until it answers.
    pub(crate) fn open(mut self) -> Self {
        let mut run = command(["run", "--data-dir", &self.text()]);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Running(run.spawn().unwrap()));
        wait_for("the node to answer", || ask_status(&self.path).is_ok());
        self
    }

    /// Ends the process; the directory stays while the result is kept.
    pub(crate) fn stop(&self) -> Arc<TempDir> {
        run_to_end(self);
        Arc::clone(&self.dir)
    }

    /// Writes tickets of a village into the store of a node that does not run.
    pub(crate) fn write_tickets(&self, count: u128) {
        let (store, identity) = open_store(&self.path).unwrap();
        let address = AddressCode::parse(VILLAGE).unwrap();
        let tickets = (0..count).map(|number| Write {
            home: Home {
                category: Category::TICKET,
                address,
                document: DocumentId(number.to_le_bytes()),
            },
            edits: vec![Edit::Append { body: "{}".to_owned() }],
            source: "test".to_owned(),
            task: String::new(),
        });
        store.write(&node_author(&identity), tickets.collect(), now_ms()).unwrap();
    }

    /// `cunlian invite`.
    pub(crate) fn invite(&self, region: &str, name: &str, more: &[&str]) -> Paper {
        let dir = self.text();
        let who = ["invite", "--json", "--region", region, "--name", name, "--data-dir", &dir];
        let invited: Invited = serde_json::from_str(&run_well(who.iter().chain(more))).unwrap();
        invited.into()
    }

    /// An invitation of three days made some days ago, by a node that does not run.
    pub(crate) fn invite_days_ago(&self, region: &str, name: &str, days: i64) -> Paper {
        let mut administration = Administration::open(&self.path).unwrap();
        administration.now_ms = Arc::new(move || now_ms() - days * 86_400_000);
        // A certificate of this node is not older than the node.
        let lifetime_ms = 730 * 86_400_000;
        let region = AddressCode::parse(region).unwrap();
        let wish = InvitationRequest {
            name: Some(name.to_owned()),
            lifetime_ms,
            ..InvitationRequest::new(Tier::Town, region)
        };
        administration.invite(&wish).unwrap().into()
    }

    /// `cunlian invite list`, the newest first.
    pub(crate) fn list(&self) -> Vec<Value> {
        let list = run_well(["invite", "list", "--json", "--data-dir", &self.text()]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["invitations"].as_array().unwrap().clone()
    }

    /// How often a request to join was refused for this reason, as `/metrics` tells.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        let mut page = ureq::get(format!("http://{}/metrics", self.http)).call().unwrap();
        let text = page.body_mut().read_to_string().unwrap();
        let label = format!("reason=\"{reason}\"");
        let of_reason =
            text.lines().find(|line| line.contains("enrolment_refused") && line.contains(&label));
        of_reason.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) fn text(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// A path beside the data directory.
    pub(crate) fn beside(&self, name: &str) -> String {
        beside(&self.path, name)
    }

    /// A machine that has not joined yet.
    pub(crate) fn machine(&self, name: &str) -> Machine {
        let path = PathBuf::from(self.beside(name));
        Machine { path, ports: Ports::free(), dir: Arc::clone(&self.dir) }
    }
}

fn run_to_end(office: &Office) {
    if let Some(running) = &office.process {
        let pid = running.0.id().to_string();
        assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    }
    wait_for("the node to stop", || open_store(&office.path).is_ok());
}

fn beside(path: &Path, name: &str) -> String {
    path.parent().unwrap().join(name).to_str().unwrap().to_owned()
}

/// A machine that wants to join.
pub(crate) struct Machine {
    pub(crate) path: PathBuf,
    ports: Ports,
    dir: Arc<TempDir>,
}

impl Machine {
    /// The command that joins and copies. The ports are free from now on.
    pub(crate) fn join(&self, token: &str) -> Vec<String> {
        self.arguments(token, &[])
    }

    pub(crate) fn arguments(&self, token: &str, more: &[&str]) -> Vec<String> {
        let dir = self.text();
        let mut arguments = vec!["join", token, "--json", "--data-dir", &dir];
        // Any free port will do for the copy: nobody else looks for this machine.
        arguments.extend(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        arguments.extend(more);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// `cunlian run` as a node that invites in its turn.
    pub(crate) fn run(self) -> Office {
        let mut config = cunlian_host::config::Config::load(&self.path).unwrap();
        config.listen = self.ports.listen();
        config.http = self.ports.http();
        config.save(&self.path).unwrap();
        let Self { path, ports, dir } = self;
        let (listen, http) = (ports.listen(), ports.http());
        Office { path, listen, http, dir, process: None }.open()
    }

    pub(crate) fn text(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    pub(crate) fn beside(&self, name: &str) -> String {
        beside(&self.path, name)
    }
}
