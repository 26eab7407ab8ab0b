//! Journals of nodes: what a node did as a node.

pub mod kinds;
