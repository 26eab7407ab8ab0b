//! The data directory that a command names has to be there, but for those that make one.
//!
//! Said here, once, before a command has opened or made anything: a wrong path is what people get
//! wrong most, and what each command would say of it differs.

use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::failure::{Failure, Outcome};

/// Commands that make the directory, or do without one.
const WITHOUT: [&str; 6] = ["init", "join", "request", "restore", "demo", "bench"];

/// Says it when the directory is not there.
pub(super) fn check(matches: &ArgMatches) -> Outcome {
    let Some((name, rest)) = matches.subcommand() else { return Ok(()) };
    // What a bundle says in the clear is shown without a node.
    let shows = name == "bundle" && rest.subcommand_name() == Some("show");
    let verifies = name == "backup" && rest.subcommand_name() == Some("verify");
    if WITHOUT.contains(&name) || shows || verifies {
        return Ok(());
    }
    match named(rest) {
        Some(directory) if !directory.is_dir() => {
            let directory = directory.display();
            let missing = format!("there is no data directory {directory}");
            Err(Failure::new(missing).hint(
                "name it with --data-dir, or in CUNLIAN_DATA_DIR; a new one is made by cunlian \
                 init or cunlian join",
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// The data directory of the command that is asked for; a demo or a benchmark has none. A command and
/// one below it may both have the option, and what is not named above has its usual value there.
pub(super) fn named(matches: &ArgMatches) -> Option<&Path> {
    let below = matches.subcommand().and_then(|(_, below)| named(below));
    below.or_else(|| {
        let own = matches.try_get_one::<PathBuf>("data_dir").ok().flatten();
        own.map(PathBuf::as_path)
    })
}
