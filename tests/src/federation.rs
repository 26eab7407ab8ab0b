//! Small federations of real processes on free ports of the loopback.

use std::path::Path;

use cunlian_node::demo::fleet::{Fleet, provision};
use cunlian_node::demo::layout::{Layout, Node};
use cunlian_node::failure::Failure;

use crate::ports::Ports;
use crate::program::program;
pub use crate::world::{COUNTY, TOWN, VILLAGE};

/// A panic with the words of a failure of the node.
pub fn well<T>(outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// Lays out the nodes of the demo with these codes below `dir`, each under the nearest one above
/// it, certified and with operators, and nothing in their stores.
pub fn lay_out(dir: &Path, codes: &[&str]) -> Layout {
    let demo = Layout::new(dir, 1, 1).expect("the demo's codes are sound");
    let ports: Vec<Ports> = codes.iter().map(|_| Ports::free()).collect();
    let mut nodes: Vec<Node> = Vec::new();
    for (index, (code, ports)) in codes.iter().zip(&ports).enumerate() {
        let node = demo.find(code).unwrap_or_else(|| panic!("the demo has no node {code}"));
        let above = |other: &Node| other.tier < node.tier && other.region.contains(&node.region);
        let parent = nodes.iter().rposition(above);
        let (listen, http) = (ports.listen(), ports.http());
        nodes.push(Node { index, parent, listen, http, ..node.clone() });
    }
    let layout = Layout { nodes, villages: demo.villages };
    well(provision(&layout, |_, _| None));
    layout
}

/// Processes for a layout, none running yet.
pub fn fleet(layout: Layout) -> Fleet {
    Fleet::new(layout, &program())
}
