//! `cunlian verify`: the whole store against its log.

use clap::Args;
use cunlian_host::opening::open_store;
use serde_json::json;

use super::run::opening_failure;
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Exit code when the store is not sound.
const UNSOUND: u8 = 3;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Outcome {
        let (store, _) = open_store(&self.data.data_dir).map_err(opening_failure)?;
        let found = store.verify()?;
        let problems = [
            ("damaged_pages", &found.damaged_pages),
            ("bad_changes", &found.bad_changes),
            ("wrong_standing", &found.wrong_validity),
            ("wrong_summaries", &found.wrong_summaries),
            ("wrong_counts", &found.wrong_counts),
            ("wrong_projections", &found.wrong_projections),
            ("bad_blobs", &found.bad_blobs),
            ("beyond_bounds", &found.beyond_bounds),
        ];
        if self.json {
            let mut report = json!({
                "changes": found.changes,
                "documents": found.documents,
                "sound": found.is_sound(),
            });
            if let Some(report) = report.as_object_mut() {
                report.extend(problems.map(|(name, list)| (name.to_owned(), json!(list))));
            }
            print_json(&report)?;
        } else {
            println!("{} changes of {} documents checked", found.changes, found.documents);
            for (name, list) in problems {
                for line in list {
                    println!("{name}: {line}");
                }
            }
        }
        if found.is_sound() {
            return Ok(());
        }
        Err(Failure::new("the store does not agree with its log")
            .hint("keep a copy of the data directory, then restore from a backup or join anew")
            .code(UNSOUND))
    }
}
