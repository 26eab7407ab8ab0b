//! `cunlian node`: the nodes below this one, and this machine's clock.

use clap::{Args, Subcommand};
use cunlian_host::admin::Request;
use cunlian_host::admin::nodes::{Bounds, Child, NodesAction};
use cunlian_host::control::{ask, ask_status};
use cunlian_web::clock::full;
use serde_json::{Value, json};

use super::membership::failure;
use super::{DataDir, print_json};
use crate::failure::Outcome;

const MIB: u64 = 1 << 20;

/// Arguments of `node`.
#[derive(Debug, Args)]
pub(super) struct Node {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Nodes certified by this one: certificate, last session, clock, what they lack
    List(Simple),
    /// Let a node in again whose identity two machines used: the one that comes next stays
    Release(Release),
    /// Show or change how much is taken from a node below, in all and in one day
    Quota(Quota),
    /// Say that this machine's clock is right, where no node above can
    BelieveClock(Simple),
}

#[derive(Debug, Args)]
struct Simple {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Release {
    /// Name of the node, or the beginning of the serial of its certificate
    name: String,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Quota {
    /// Name of the node, or the beginning of the serial of its certificate
    name: String,
    /// Most changes in all
    #[arg(long)]
    changes: Option<u64>,
    /// Most MiB of changes in all
    #[arg(long)]
    mib: Option<u64>,
    /// Most changes in one day
    #[arg(long)]
    day_changes: Option<u64>,
    /// Most MiB of changes in one day
    #[arg(long)]
    day_mib: Option<u64>,
    /// Most MiB of photos and files in all
    #[arg(long)]
    photo_mib: Option<u64>,
    /// Back to the bounds of cunlian.toml, but for what is given besides
    #[arg(long)]
    usual: bool,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Node {
    pub(super) fn run(self) -> Outcome {
        match self.action {
            Action::List(simple) => simple.list(),
            Action::Release(release) => release.run(),
            Action::Quota(quota) => quota.run(),
            Action::BelieveClock(simple) => simple.believe_clock(),
        }
    }
}

impl Simple {
    fn list(&self) -> Outcome {
        let request = Request::Nodes { action: NodesAction::List };
        let children = ask(&self.data.data_dir, &request).map_err(failure)?;
        let sessions = ask_status(&self.data.data_dir).ok();
        let sessions: Value =
            sessions.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let children: Vec<Child> = serde_json::from_value(children)?;
        let shown: Vec<(Child, Value)> = children
            .into_iter()
            .map(|child| (session_of(&sessions, &child), child))
            .map(|(s, c)| (c, s))
            .collect();
        if self.json {
            let nodes: Vec<Value> = shown
                .into_iter()
                .map(|(child, session)| {
                    let mut node = serde_json::to_value(child).unwrap_or_default();
                    if let Some(node) = node.as_object_mut() {
                        node.insert("session".to_owned(), session);
                    }
                    node
                })
                .collect();
            return print_json(&json!({ "nodes": nodes }));
        }
        for (child, session) in &shown {
            print(child, session);
        }
        Ok(())
    }

    fn believe_clock(&self) -> Outcome {
        let request = Request::Nodes { action: NodesAction::BelieveClock };
        let done = ask(&self.data.data_dir, &request).map_err(failure)?;
        if self.json {
            return print_json(&json!({ "believed": done }));
        }
        println!("the machine's clock is believed");
        Ok(())
    }
}

impl Release {
    fn run(self) -> Outcome {
        let request = Request::Nodes { action: NodesAction::Release { name: self.name } };
        let child = ask(&self.data.data_dir, &request).map_err(failure)?;
        if self.json {
            return print_json(&child);
        }
        let name = child.get("name").and_then(Value::as_str).unwrap_or_default();
        println!("{name}: the machine that comes next is certified anew and stays");
        println!("switch the other one off first; it has to join anew");
        Ok(())
    }
}

impl Quota {
    fn run(self) -> Outcome {
        // Larger numbers than this do not fit the store, and mean "without bound".
        let most = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
        let number = |given: Option<u64>| given.map(|number| number.min(most));
        let mib = |given: Option<u64>| given.map(|mib| mib.saturating_mul(MIB).min(most));
        let bounds = Bounds {
            usual: self.usual,
            changes: number(self.changes),
            bytes: mib(self.mib),
            day_changes: number(self.day_changes),
            day_bytes: mib(self.day_mib),
            blob_bytes: mib(self.photo_mib),
        };
        let request = Request::Nodes { action: NodesAction::Quota { name: self.name, bounds } };
        let child = ask(&self.data.data_dir, &request).map_err(failure)?;
        if self.json {
            return print_json(&child);
        }
        let child: Child = serde_json::from_value(child)?;
        println!("{}", child.name);
        let Child { taken, bounds, .. } = &child;
        let line = |what, changes, most_changes, bytes: u64, most_bytes: u64| {
            let (bytes, most_bytes) = (bytes.div_ceil(MIB), most_bytes / MIB);
            println!("{what}: {changes} of {most_changes} changes, {bytes} of {most_bytes} MiB");
        };
        line("in all", taken.changes, bounds.changes, taken.bytes, bounds.bytes);
        line("today", taken.day_changes, bounds.day_changes, taken.day_bytes, bounds.day_bytes);
        let (bytes, most_bytes) = (taken.blob_bytes.div_ceil(MIB), bounds.blob_bytes / MIB);
        println!("photos and files: {bytes} of {most_bytes} MiB");
        Ok(())
    }
}

/// What the running node says about its sessions with a child; null when it does not run.
fn session_of(status: &Value, child: &Child) -> Value {
    let peers = status.get("peers").and_then(Value::as_array);
    let serial = child.serial.to_string();
    let is_it = |peer: &&Value| {
        let peer_serial = peer.get("serial").and_then(Value::as_str);
        peer_serial == Some(&serial)
    };
    let peer = peers.and_then(|peers| peers.iter().find(is_it));
    let of = |key: &str| peer.and_then(|peer| peer.get(key)).cloned().unwrap_or_default();
    match peer {
        None => Value::Null,
        Some(_) => json!({
            "state": of("state"),
            "last_success_ms": of("last_success_ms"),
            "clock_ahead_ms": of("clock_ahead_ms"),
            "photos": of("photos"),
        }),
    }
}

fn print(child: &Child, session: &Value) {
    let serial: String = child.serial.to_string().chars().take(8).collect();
    let state = session.get("state").and_then(Value::as_str).unwrap_or("-");
    let last = session.get("last_success_ms").and_then(Value::as_i64).map(full);
    println!(
        "{:<12} {:<16} {serial} until {} {state:<10} last {}",
        child.region,
        child.name,
        full(child.not_after_ms),
        last.unwrap_or_else(|| "-".to_owned()),
    );
    let ahead_ms = session.get("clock_ahead_ms").and_then(Value::as_i64).unwrap_or(0);
    if ahead_ms.abs() > cunlian_host::clock::BOUND_MS {
        println!("    its clock was {} s ahead when it connected", ahead_ms / 1_000);
    }
    if child.forked {
        println!("    two machines use its identity: cunlian node release {}", child.name);
    }
    if let Some(refusal) = &child.refusal {
        println!("    {refusal}");
    }
    if child.taken.is_beyond(&child.bounds) {
        println!("    it has sent as much as it may: cunlian node quota {}", child.name);
    }
    let not_taken = session.pointer("/photos/not_taken").and_then(Value::as_u64).unwrap_or(0);
    if not_taken > 0 {
        let more = format!("cunlian node quota {} --photo-mib", child.name);
        println!("    photos and files of it that are not taken: {not_taken} (more: {more})");
    }
    if child.waiting {
        println!("    another certificate waits for it");
    }
    if !child.lacks.is_empty() {
        println!("    revocations it has not confirmed: {}", child.lacks.len());
    }
    if child.purges_that_differ > 0 {
        println!(
            "    receipts of purges that differ from what is here: {}",
            child.purges_that_differ
        );
    }
    for alarm in &child.alarms {
        println!("    alarm: {}", serde_json::to_string(alarm).unwrap_or_default());
    }
}
