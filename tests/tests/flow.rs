//! How changes flow: over slow lines, over lines that break, from many children at once.
//!
//! Hubs in virtual time, joined by lines that have a breadth and a delay, with stores that take
//! their time ([`world`]).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "flow/child.rs"]
mod child;
#[path = "flow/world.rs"]
mod world;

#[path = "flow/breaking.rs"]
mod breaking;
#[path = "flow/crowd.rs"]
mod crowd;
#[path = "flow/urgent.rs"]
mod urgent;
