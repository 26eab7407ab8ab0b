//! What identity and permission cost: certificates checked, machines that join, work revoked.
//!
//! | module | measures |
//! |---|---|
//! | [`chain`] | a chain of certificates checked from its bytes, and asked again later |
//! | [`joins`] | invitations to nodes: keys, files and certificates, over QUIC on loopback |
//! | [`revocation`] | all work of one person taken back, in a store where others built on it |
//!
//! Next to each figure stands its limit, measured in the same run. Joins and revocation go through
//! the product's own node and store, on disk, in this process.

use serde::Serialize;

use super::Machine;
use super::federation::Federation;
use crate::failure::Failure;

pub mod chain;
pub mod joins;
pub mod revocation;

use chain::Chain;
use joins::Joins;
use revocation::Revocation;

/// Exit code when what is there at the end is not what has to be.
const DIFFERS: u8 = 3;

/// What is to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Machines that join.
    pub joins: usize,
    /// Changes by the person whose work is revoked.
    pub changes: usize,
}

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Chains are checked.
    Chain,
    /// Machines join.
    Joins,
    /// Work is written, and revoked.
    Revocation,
}

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Checking a chain of certificates.
    pub chain: Chain,
    /// Machines that joined.
    pub joins: Joins,
    /// The work of one person revoked.
    pub revocation: Revocation,
}

/// Measures everything. `progress` gets the stage, what is done of it and what it comes to; both
/// are 0 where a stage cannot tell.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Stage, u64, u64),
) -> Result<Report, Failure> {
    progress(Stage::Chain, 0, 0);
    let chain = chain::measure()?;
    progress(Stage::Joins, 0, options.joins as u64);
    let Federation { scratch, layout, village, .. } = Federation::without_county(None)?;
    let joins = joins::measure(layout.county(), scratch.path(), options.joins, |done| {
        progress(Stage::Joins, done, options.joins as u64);
    })?;
    progress(Stage::Revocation, 0, 0);
    let revocation = revocation::measure(&village, scratch.path(), options.changes)?;
    let (version, machine) = (env!("CARGO_PKG_VERSION"), Machine::this());
    Ok(Report { version, machine, chain, joins, revocation })
}
