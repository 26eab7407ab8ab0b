//! `cunlian demo`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print_json;
use crate::demo::fleet::{cut_link, heal_link};
use crate::demo::layout::Layout;
use crate::demo::{scenario, show};
use crate::failure::{Failure, Outcome};

/// Exit code when the stores differ from what they should be.
const DIFFERS: u8 = 3;
/// Library documents of 高城镇.
const RECORDS: usize = 106_000;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(subcommand)]
    action: Option<Action>,
    /// Run the outage scenario without a person, then print what came of it
    #[arg(long)]
    headless: bool,
    /// One JSON object on standard output (with --headless)
    #[arg(long, requires = "headless")]
    json: bool,
    /// Library documents over the 42 villages of 高城镇
    #[arg(long, default_value_t = RECORDS)]
    records: usize,
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    place: Place,
}

/// Where the demo is.
#[derive(Debug, Clone, Args)]
struct Place {
    /// Directory of the demo's data; with --headless a temporary one by default
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// First UDP port of the nodes
    #[arg(long, global = true, default_value_t = 7_400)]
    udp_base: u16,
    /// First TCP port of the pages
    #[arg(long, global = true, default_value_t = 8_400)]
    http_base: u16,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Cut or heal the link of a running demo's node to its parent
    Link {
        /// What to do
        #[arg(value_enum)]
        what: LinkAction,
        /// Name or code of the node, such as 苑兴村
        node: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LinkAction {
    /// No datagram passes any more
    Cut,
    /// As before
    Heal,
}

impl Demo {
    pub(super) fn run(self) -> Outcome {
        let dir = self.place.dir.clone().unwrap_or_else(|| PathBuf::from("cunlian-demo"));
        if let Some(Action::Link { what, node }) = self.action {
            return link(
                &Layout::new(&dir, self.place.udp_base, self.place.http_base)?,
                what,
                &node,
            );
        }
        if !self.headless {
            let layout = Layout::new(&dir, self.place.udp_base, self.place.http_base)?;
            return show::run(layout, &dir, self.records, self.seed);
        }
        let options = scenario::Options {
            records: self.records,
            seed: self.seed,
            dir: self.place.dir,
            udp_base: self.place.udp_base,
            http_base: self.place.http_base,
            quiet: self.json,
            program: None,
        };
        let report = scenario::run(&options, |_| Ok(()))?;
        if self.json {
            print_json(&report)?;
        } else {
            println!("{report:#?}");
        }
        if report.converged {
            return Ok(());
        }
        Err(Failure::new(format!("the stores differ: {}", report.differences.join("; ")))
            .code(DIFFERS))
    }
}

fn link(layout: &Layout, what: LinkAction, name: &str) -> Outcome {
    let node = layout.find(name).ok_or_else(|| {
        let names: Vec<&str> = layout.nodes.iter().map(|node| node.name.as_str()).collect();
        Failure::new(format!("the demo has no node {name:?}"))
            .hint(format!("its nodes are {}", names.join(", ")))
    })?;
    if !node.dir.exists() {
        return Err(Failure::new(format!("{} does not exist", node.dir.display()))
            .hint("start it with: cunlian demo; or say where it is with --dir"));
    }
    let parent = layout.parent(node).map(|parent| parent.name.clone()).unwrap_or_default();
    match what {
        LinkAction::Cut => {
            cut_link(layout, node)?;
            println!("the link {} – {parent} is cut", node.name);
        }
        LinkAction::Heal => {
            heal_link(node)?;
            println!("the link {} – {parent} is healed", node.name);
        }
    }
    Ok(())
}
