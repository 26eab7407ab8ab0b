//! The demo for a person.

use std::path::Path;

use super::layout::Layout;
use crate::command::Failure;

/// Runs until Ctrl-C.
pub fn run(_layout: Layout, _dir: &Path, _records: usize, _seed: u64) -> Result<(), Failure> {
    Ok(())
}
