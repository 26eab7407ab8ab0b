//! The nodes of a benchmark: a county, its town, and a village terminal, in a directory of their own.
//!
//! They have keys, certificates and configuration, and nothing else yet. None of them runs.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use cunlian_governance::generator::STORY_VILLAGE;
use cunlian_host::config::Config;
use rand::Rng as _;

use crate::demo::fleet::provision;
use crate::demo::layout::{Layout, Node};
use crate::failure::Failure;

/// Index of the town in the layout.
pub(super) const SOURCE: usize = 1;
/// Index of the village terminal in the layout.
pub(super) const DESTINATION: usize = 2;

/// A directory for the stores; removed at the end unless it was given.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    temporary: bool,
}

impl Scratch {
    /// The given directory, which must not hold anything, or a new temporary one.
    pub(super) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        let temporary = given.is_none();
        let path = given.map_or_else(
            || std::env::temp_dir().join(format!("cunlian-bench-{:08x}", rand::rng().next_u32())),
            Path::to_owned,
        );
        fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        if fs::read_dir(&path)?.next().is_some() {
            return Err(Failure::new(format!("{} is not empty", path.display()))
                .hint("a cold copy needs a new directory: give another with --dir, or none"));
        }
        Ok(Self { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The nodes of a benchmark, and the directory that they go with.
#[derive(Debug)]
pub(super) struct Federation {
    pub(super) scratch: Scratch,
    pub(super) layout: Layout,
    pub(super) town: Node,
    pub(super) village: Node,
}

impl Federation {
    /// Three nodes, the town below the county and the village below the town, in the given
    /// directory or a temporary one.
    pub(super) fn whole(given: Option<&Path>) -> Result<Self, Failure> {
        let scratch = Scratch::new(given)?;
        let layout = found(scratch.path())?;
        let (town, village) = (node(&layout, SOURCE)?, node(&layout, DESTINATION)?);
        Ok(Self { scratch, layout, town, village })
    }

    /// The same for a county that has only certified them and does not run: the town does not look
    /// for it.
    pub(super) fn without_county(given: Option<&Path>) -> Result<Self, Failure> {
        let federation = Self::whole(given)?;
        let town = &federation.town.dir;
        let config = Config { peers: Vec::new(), ..Config::load(town)? };
        config.save(town)?;
        Ok(federation)
    }
}

fn node(layout: &Layout, index: usize) -> Result<Node, Failure> {
    let found = layout.nodes.get(index).cloned();
    found.ok_or_else(|| Failure::new(format!("there is no node {index}")))
}

/// Makes keys, certificates and configuration on free ports of the loopback.
fn found(dir: &Path) -> Result<Layout, Failure> {
    let demo = Layout::new(dir, 1, 1)?;
    let village = demo.find(STORY_VILLAGE);
    let village = village.ok_or_else(|| Failure::new(format!("{STORY_VILLAGE} has no node")))?;
    let chosen = [demo.county(), demo.town(), village];
    // Held until all are known, so that no port is given out twice.
    let mut held = Vec::with_capacity(chosen.len());
    let mut nodes = Vec::with_capacity(chosen.len());
    for (index, node) in chosen.into_iter().enumerate() {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        nodes.push(Node {
            index,
            parent: index.checked_sub(1),
            listen: udp.local_addr()?,
            http: tcp.local_addr()?,
            ..node.clone()
        });
        held.push((udp, tcp));
    }
    drop(held);
    let layout = Layout { nodes, villages: demo.villages };
    provision(&layout, |_, _| None)?;
    Ok(layout)
}
