//! What root does to a node is done as the user of the node.
//!
//! A file that root leaves in the data directory of another user keeps the node from starting, or
//! later backups from running. So a command of root on such a directory is run again as its owner,
//! before it has done anything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::ArgMatches;

use super::directory;
use crate::failure::{Failure, Outcome};

/// Goes on as the owner of the data directory that the command names; returns where nothing is to
/// be changed, or where it cannot be.
pub(super) fn become_owner(matches: &ArgMatches) -> Outcome {
    let Some(data_dir) = directory::named(matches) else { return Ok(()) };
    let Ok(metadata) = fs::metadata(data_dir) else { return Ok(()) };
    if !rustix::process::geteuid().is_root() || metadata.uid() == 0 {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "{} belongs to user {}, and root cannot go on as that user: {error}",
            data_dir.display(),
            metadata.uid()
        ))
        .hint(format!("run the command as that user: sudo -u '#{}' cunlian …", metadata.uid()))
    };
    let program = std::env::current_exe().map_err(failed)?;
    let arguments = std::env::args_os().skip(1);
    let mut again = Command::new(program);
    Err(failed(again.args(arguments).uid(metadata.uid()).gid(metadata.gid()).exec()))
}
