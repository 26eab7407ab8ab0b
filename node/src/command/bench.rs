//! `cunlian bench`.

use clap::Args;

use super::Outcome;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {}

impl Bench {
    pub(super) fn run(self) -> Outcome {
        Ok(())
    }
}
