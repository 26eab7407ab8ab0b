//! How changes flow: over slow lines, over lines that break, from many children at once.
//!
//! Hubs in virtual time, joined by lines that have a breadth and a delay, with stores that take
//! their time ([`world`]); and real processes that are killed ([`killed`]).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::cast_possible_wrap, reason = "frames are small")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a child leaves what it has no part in")]

#[path = "flow/child.rs"]
mod child;
#[path = "flow/world.rs"]
mod world;

#[path = "flow/breaking.rs"]
mod breaking;
#[path = "flow/crowd.rs"]
mod crowd;
#[path = "flow/killed.rs"]
mod killed;
#[path = "flow/urgent.rs"]
mod urgent;
