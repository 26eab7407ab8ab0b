//! The machine of a cunlian node, without its pages.
//!
//! What it is: all that a node has of the outside world: configuration and keys ([`config`],
//! [`keystore`]), trusted time ([`clock`]), the people who log in ([`operator`]), the line to other
//! nodes ([`network`]), what administrators do ([`admin`]) and what the node says of itself
//! ([`status`], [`metrics`], [`journal`]).
//!
//! What it is not: it decides nothing about permission, reconciliation or the domain; these live
//! in `cunlian-protocol`, `cunlian-crdt` and `cunlian-governance`. It has no page and no word in a
//! person's language, and it puts no running node together: that is the program's.
//!
//! Start reading at [`opening`], which opens the store of a data directory, and at [`admin`].

pub mod address;
pub mod admin;
pub mod clock;
pub mod config;
pub mod control;
pub mod crowd;
pub mod journal;
pub mod keystore;
pub mod local_time;
pub mod metrics;
pub mod network;
pub mod opening;
pub mod operator;
pub mod preset;
pub mod private;
pub mod regions;
pub mod restart;
pub mod status;
pub mod suspension;
pub mod throttle;
