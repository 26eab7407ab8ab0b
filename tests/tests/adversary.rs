//! Every attack of `docs/security/threats.md`, tried at real processes by code that uses the
//! protocol crate directly.
//!
//! Each test has a small federation of its own. What must not leak are canaries: texts that are
//! written into every category of the villages before the nodes start, and are then looked for in
//! the plaintext of frames, in stores with their indexes, in logs and in backups. Every attack must be
//! refused, logged with a reason, counted in `/metrics`, and leave the node serving honest peers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "adversary/curious_county.rs"]
mod curious_county;
#[path = "adversary/hostile_town.rs"]
mod hostile_town;
#[path = "adversary/hostile_village.rs"]
mod hostile_village;
#[path = "adversary/network.rs"]
mod network;
#[path = "adversary/stage.rs"]
mod stage;
#[path = "adversary/stolen_terminal.rs"]
mod stolen_terminal;
#[path = "adversary/stranger.rs"]
mod stranger;
