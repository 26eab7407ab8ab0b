//! The demo county: real nodes as processes of this program, on loopback, with generated data.
//!
//! | module | does |
//! |---|---|
//! | [`layout`] | which nodes there are, from real division codes |
//! | [`fleet`] | keys, certificates, operators; starting, killing and asking processes |
//! | [`load`] | library and tickets, before the nodes start |
//! | [`client`] | what a person does in the pages, over HTTP |
//! | [`story`] | the story of 苑兴村, played through the client |
//! | [`scenario`] | the outage: cut, work on both sides, kill, heal |
//! | [`check`] | reads the stores and says what differs |
//! | [`show`] | the demo for a person |
//!
//! Nothing here is used by a node; nothing of a node is special for the demo.

pub mod check;
pub mod client;
pub mod fleet;
pub mod layout;
pub mod load;
pub mod scenario;
pub mod show;
pub mod story;
mod supervision;
