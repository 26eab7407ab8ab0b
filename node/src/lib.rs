//! The program `cunlian`.
//!
//! What it is: what puts a running node together ([`service`]) from the machine (`cunlian-host`) and
//! the pages (`cunlian-web`), the command line ([`command`]), the demo ([`demo`]), which uses both
//! as a person would, and the benchmarks ([`mod@bench`]).
//!
//! What it is not: nothing here is used by a page.
//!
//! Start reading at [`service`].

pub mod bench;
pub mod command;
pub mod demo;
pub mod failure;
pub mod service;
