//! The demo for a person: loads once, starts all nodes and keeps them running, says where to look
//! and what to try, and stops them with Ctrl-C. A second start goes on with the data of the first.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cunlian_host::network::gate::cut_file;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::fleet::{Fleet, PASSWORD, check_ports, heal_link, provision, staff};
use super::layout::{Layout, Node};
use super::{load, story, supervision};
use crate::failure::Failure;

/// How long the first copy may take.
const PATIENCE: Duration = Duration::from_mins(30);
/// Exit code when stopped while starting, as shells give it for Ctrl-C.
const INTERRUPTED: i32 = 130;
/// There while the data is being made; found at start, the making was interrupted.
const LOADING: &str = "demo.loading";
/// There once the data is complete.
const LOADED: &str = "demo.loaded";

/// Runs until Ctrl-C.
pub fn run(layout: Layout, dir: &Path, records: usize, seed: u64) -> Result<(), Failure> {
    check_ports(&layout)?;
    let fresh = !dir.join(LOADED).exists();
    if fresh {
        make(&layout, dir, records, seed)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut fleet = Fleet::new(layout, &std::env::current_exe()?);
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let work = tokio::task::spawn_blocking(move || {
            let outcome = bring_up(&mut fleet, fresh);
            (fleet, outcome)
        });
        let (mut fleet, outcome) = tokio::select! {
            done = work => done.map_err(|_| Failure::new("the demo gave up"))?,
            // The nodes end with this process, because their standard input does.
            _ = interrupt.recv() => std::process::exit(INTERRUPTED),
            _ = terminate.recv() => std::process::exit(INTERRUPTED),
        };
        outcome?;
        print_guide(fleet.layout(), dir);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            failure = supervision::keep(&mut fleet) => return Err(failure),
        }
        eprintln!("stopping …");
        fleet.stop_all();
        Ok(())
    })
}

/// Makes keys, certificates and data; begins anew if an earlier making was interrupted.
fn make(layout: &Layout, dir: &Path, records: usize, seed: u64) -> Result<(), Failure> {
    let marker = dir.join(LOADING);
    let taken = dir.exists() && fs::read_dir(dir)?.next().is_some();
    if taken && !marker.exists() {
        return Err(Failure::new(format!("{} is not empty and not of this demo", dir.display()))
            .hint("choose another directory with --dir"));
    }
    for node in &layout.nodes {
        if node.dir.exists() {
            fs::remove_dir_all(&node.dir)?;
        }
    }
    fs::create_dir_all(dir)?;
    fs::write(&marker, "")?;
    eprintln!("making keys, certificates and operators of {} nodes …", layout.nodes.len());
    provision(layout, |_, _| None)?;
    let bar = bar(records as u64, "library documents");
    load::load(layout, records, seed, |done| {
        // The neighbour's villages come on top of the number asked for.
        bar.set_length(bar.length().unwrap_or(0).max(done));
        bar.set_position(done);
    })?;
    bar.finish();
    fs::rename(marker, dir.join(LOADED))?;
    Ok(())
}

fn bring_up(fleet: &mut Fleet, fresh: bool) -> Result<(), Failure> {
    for node in &fleet.layout().nodes {
        if cut_file(&node.dir).exists() {
            eprintln!("the link of {} was cut; it is healed", node.name);
            heal_link(node)?;
        }
    }
    eprintln!("starting {} nodes …", fleet.layout().nodes.len());
    fleet.start_all()?;
    let bar = bar(fleet.layout().nodes.len() as u64, "nodes in step");
    fleet.converge(PATIENCE, |in_step| bar.set_position(in_step as u64))?;
    bar.finish();
    if fresh {
        story::play(fleet)?;
    }
    Ok(())
}

fn bar(length: u64, what: &'static str) -> ProgressBar {
    let template = "{bar:30} {pos}/{len} {msg}  {elapsed} (about {eta} left)";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(length).with_style(style).with_message(what)
}

fn print_guide(layout: &Layout, dir: &Path) {
    println!();
    println!("{:<8} {:<22} {:<36} password", "tier", "pages", "logins");
    for node in &layout.nodes {
        println!(
            "{:<8} {:<22} {:<36} {PASSWORD}   {}",
            node.tier.name(),
            format!("http://{}", node.http),
            logins(node),
            node.name
        );
    }
    let Some(village) = layout.terminals().next() else { return };
    println!();
    println!("villager's page of {}: http://{}/p/{}", village.name, village.http, village.region);
    println!("data: {}", dir.display());
    println!();
    println!(
        "try this: cunlian demo link cut {name}; register a record there and see 仅本机; \
         dispatch a ticket at 高城镇; then cunlian demo link heal {name} and see 已到镇, 已到县",
        name = village.name
    );
    println!("(with cargo: cargo run --release -- demo link cut {})", village.name);
    println!("Ctrl-C stops all nodes; the next start goes on with this data.");
}

/// Who may log in at a node.
fn logins(node: &Node) -> String {
    let logins: Vec<&str> = staff(node.tier).iter().map(|(login, _, _)| *login).collect();
    logins.join(", ")
}
