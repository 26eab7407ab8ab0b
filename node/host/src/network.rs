//! The network side of a node: QUIC, and the task that moves bytes for the hub.
//!
//! [`tls`] pins keys, [`gate`] lets a link be cut in this process, [`reset`] tells peers that a
//! connection went with the process that had it, `door` bounds what strangers can do, [`dialling`] finds the way to a peer,
//! `connection` is one connection from beginning to end, [`runtime`]
//! feeds `cunlian_protocol::hub` and carries out its effects, `refusals` counts and logs what was
//! refused. Nothing here decides anything about permission or data.

mod connection;
pub mod dialling;
mod door;
pub mod enrol;
pub mod gate;
mod hub_clock;
pub mod origin;
mod reader;
mod refusals;
pub mod reset;
pub mod runtime;
mod store_queue;
pub mod tls;
