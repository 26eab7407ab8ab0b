//! `cunlian join`: a new machine becomes a node below the one that invited it, and copies what it
//! may have.
//!
//! It may be stopped at any moment, with Ctrl-C or by a power cut, and run again: the key stays,
//! the parent gives it the same certificate, and the copy goes on where it was.

use std::io::{self, BufRead as _, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use cunlian_host::clock::now_ms;
use cunlian_host::control::ask_status;
use cunlian_host::network::enrol::asking::AskError;
use cunlian_host::network::enrol::joining::{JoinError, Joined, Places, join, join_anew};
use cunlian_host::status::{LinkState, NodeStatus, PeerRole, PeerStatus};
use cunlian_protocol::enrolment::{RefusalCode, Token};
use cunlian_web::clock;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::watch;

use super::run::start_failure;
use super::{DataDir, print_json, runtime};
use crate::failure::{Failure, Outcome};
use crate::service::Service;

/// Longest token read from standard input.
const TOKEN_BYTES: u64 = 4 << 10;
/// How far the clock may be off before that is said.
const SKEW_MS: i64 = 300_000;

/// Arguments of `join`.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The invitation, CUNLIAN1…; - for standard input, as from a scanner
    token: String,
    #[command(flatten)]
    data: DataDir,
    /// UDP address for other nodes
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// TCP address of the pages
    #[arg(long)]
    http: Option<SocketAddr>,
    /// Give a directory that is a member already a new identity and keep its data: when two
    /// machines used the old one, or it was revoked
    #[arg(long)]
    anew: bool,
    /// Only join; the data is copied when the node runs
    #[arg(long)]
    no_sync: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What came of the first copy.
#[derive(Default)]
struct Copied {
    in_step: bool,
    documents: u64,
}

impl Join {
    pub(super) fn run(self) -> Outcome {
        let token: Token = self.text()?.parse().map_err(|error| {
            Failure::new(error)
                .hint("scan the QR code again, or type the line that begins with CUNLIAN1")
        })?;
        runtime()?.block_on(async {
            let joined = tokio::select! {
                joined = self.join(&token) => joined?,
                _ = tokio::signal::ctrl_c() => return Err(interrupted()),
            };
            let copied = if self.no_sync { Copied::default() } else { self.copy().await? };
            self.report(&joined, &copied)
        })
    }

    fn text(&self) -> Result<String, Failure> {
        if self.token != "-" {
            return Ok(self.token.clone());
        }
        // A scanner ends its line and not its input; who types it may use several lines, and says
        // with an empty one that this was all.
        let mut text = String::new();
        let mut input = io::BufReader::new(io::stdin().lock().take(TOKEN_BYTES));
        loop {
            let before = text.len();
            let read = input.read_line(&mut text)?;
            let line = text.get(before..).unwrap_or_default().trim();
            let ended = line.is_empty() && !text.trim().is_empty();
            if read == 0 || ended || text.parse::<Token>().is_ok() {
                return Ok(text);
            }
        }
    }

    async fn join(&self, token: &Token) -> Result<Joined, Failure> {
        if self.anew {
            if ask_status(&self.data.data_dir).is_ok() {
                let error = format!("a node runs on {}", self.data.data_dir.display());
                return Err(Failure::new(error).hint("stop it, join, and start it again"));
            }
            let joined = join_anew(&self.data.data_dir, token, now_ms()).await;
            return joined.map_err(|error| failure(&error));
        }
        let places = Places { listen: self.listen, http: self.http };
        join(&self.data.data_dir, token, places, now_ms()).await.map_err(|error| failure(&error))
    }

    /// Runs the node until it holds what it may have, or somebody stops it.
    async fn copy(&self) -> Result<Copied, Failure> {
        let service = Service::start(&self.data.data_dir).await.map_err(|error| {
            let failure = start_failure(error);
            eprintln!("this machine has joined, but cannot copy its data yet");
            failure
        })?;
        let mut status = service.status();
        let progress = Progress::new();
        let in_step = tokio::select! {
            in_step = follow(&mut status, &progress) => in_step,
            _ = tokio::signal::ctrl_c() => false,
        };
        progress.end();
        // The status is put together several times a second; the store knows now.
        let counts = service.store().counts();
        let documents =
            counts.map_or_else(|_| status.borrow().documents, |now| now.total.documents);
        service.stop().await;
        Ok(Copied { in_step, documents })
    }

    fn report(&self, joined: &Joined, copied: &Copied) -> Outcome {
        if let Some(parent_ms) = joined.parent_clock_ms {
            let ahead_ms = now_ms().saturating_sub(parent_ms);
            if ahead_ms.abs() > SKEW_MS {
                let (here, there) = (clock::full(now_ms()), clock::full(parent_ms));
                eprintln!("the clock of this machine is wrong: {here}, the parent has {there}");
                eprintln!("hint: set the clock; cunlian goes by the parent's time meanwhile");
            }
        }
        if self.json {
            return print_json(&json!({
                "name": joined.name,
                "tier": joined.tier.name(),
                "region": joined.region,
                "not_after_ms": joined.not_after_ms,
                "parent_clock_ms": joined.parent_clock_ms,
                "in_step": copied.in_step,
                "documents": copied.documents,
            }));
        }
        println!("joined: {} ({}, {})", joined.name, joined.tier.name(), joined.region);
        println!("certificate valid until {} (UTC+8)", clock::full(joined.not_after_ms));
        if copied.in_step {
            println!("in step 已同步: {} documents", copied.documents);
        } else {
            println!("the data is copied when the node runs, from where the copy is now");
        }
        println!("start it: cunlian run --data-dir {}", self.data.data_dir.display());
        Ok(())
    }
}

fn interrupted() -> Failure {
    Failure::new("stopped before the machine had joined")
        .hint("run the same command again: nothing is lost, and the invitation stays good")
}

/// Shows what comes, until both hold the same.
async fn follow(status: &mut watch::Receiver<NodeStatus>, progress: &Progress) -> bool {
    loop {
        let parent = status.borrow_and_update().parent().cloned();
        if let Some(parent) = parent.filter(|peer| peer.role == PeerRole::Parent) {
            progress.show(&parent);
            if parent.state == LinkState::Live {
                return true;
            }
        }
        if status.changed().await.is_err() {
            return false;
        }
    }
}

/// The bar on standard error; nothing when that is not a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(
            "{msg} [{wide_bar}] {human_pos} / {human_len}, {eta} left",
        );
        bar.set_style(style.expect("the template is a constant").progress_chars("=> "));
        bar.set_message("looking for the parent");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    fn show(&self, parent: &PeerStatus) {
        let message = match (&parent.error, parent.state) {
            (Some(error), LinkState::Down | LinkState::Refused) => error.clone(),
            (_, LinkState::Connecting | LinkState::Down | LinkState::Refused) => {
                "looking for the parent".to_owned()
            }
            (_, LinkState::Syncing) => "copying 正在同步".to_owned(),
            (_, LinkState::Live) => "in step 已同步".to_owned(),
        };
        self.0.set_message(message);
        if let Some(traffic) = parent.traffic {
            self.0.set_length(traffic.received.saturating_add(traffic.to_receive));
            self.0.set_position(traffic.received);
        }
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn failure(error: &JoinError) -> Failure {
    let hint = match error {
        JoinError::Member { .. } => {
            "for a new node choose another directory with --data-dir; to give this one a new \
             identity and keep its data, add --anew"
        }
        JoinError::Ask(error) => ask_hint(error),
        JoinError::Keystore(cunlian_host::keystore::KeystoreError::Mode { path, .. }) => {
            let hint = format!("chmod 600 {}", path.display());
            return Failure::new(error).hint(hint);
        }
        JoinError::Keystore(_)
        | JoinError::Config(_)
        | JoinError::Standing(_)
        | JoinError::Io { .. } => {
            "see that this user may write the data directory, and that the disk is not full"
        }
    };
    Failure::new(error).hint(hint)
}

fn ask_hint(error: &AskError) -> &'static str {
    let again = "ask the office that invited you for a new invitation";
    match error {
        AskError::NoAnswer { .. } => {
            "see that this machine has a network and that the parent runs; its UDP port must be \
             open; if its address has changed, ask for a new invitation"
        }
        AskError::WrongKey { .. } => {
            "another node has this address now, or somebody is between; nothing was told to it; \
             ask for a new invitation"
        }
        AskError::TooOld { .. } => "the parent must be updated first, or use cunlian request",
        AskError::Unsound { .. } => again,
        AskError::Local(_) => "see that this machine has a network",
        AskError::Refused { code, .. } => match code {
            Some(RefusalCode::Expired | RefusalCode::Cancelled | RefusalCode::Unknown) | None => {
                again
            }
            Some(RefusalCode::Used) => {
                "each machine needs an invitation of its own; if it was not you who used this one, \
                 tell the office at once"
            }
            Some(RefusalCode::Locked) => {
                "somebody tried to guess it; ask the office for a new invitation"
            }
            Some(RefusalCode::Busy) => "wait a minute and run the same command again",
            Some(RefusalCode::Unavailable) => {
                "tell the office that its node cannot issue; then run the same command again"
            }
            Some(RefusalCode::Malformed) => "update this program, then run the same command again",
        },
    }
}
