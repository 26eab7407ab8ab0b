//! `cunlian backup`: a copy of a node, running or not, to go on from; and checking one.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, thread};

use clap::{Args, Subcommand};
use cunlian_host::admin::Request;
use cunlian_host::admin::backup::{self, BackupAction};
use cunlian_host::control::ask;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::membership::failure;
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Exit code when the backup is not sound.
const UNSOUND: u8 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `backup`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Backup {
    #[command(subcommand)]
    action: Option<Action>,
    /// Directory of backups; each run makes a new one in it
    #[arg(required = true)]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: DataDir,
    /// Leave only so many backups of this node there
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Put root.key in as well; whoever has such a backup is the federation
    #[arg(long)]
    with_root_key: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a backup through and say whether it is sound
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// The backup, as `backup` has printed it
    backup: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self) -> Outcome {
        let to = match (self.action, self.to) {
            (Some(Action::Verify(verify)), _) => return verify.run(),
            (None, Some(to)) => std::path::absolute(to)?,
            (None, None) => return Err(Failure::new("no directory of backups is named").code(2)),
        };
        let data_dir = self.data.data_dir;
        let request = Request::Backup {
            action: BackupAction::Make {
                to: to.clone(),
                keep: self.keep.and_then(|keep| usize::try_from(keep).ok()),
                with_root_key: self.with_root_key,
            },
        };
        let watching = Watching::start(&data_dir, to);
        let made = ask(&data_dir, &request);
        watching.end();
        let made = made.map_err(failure)?;
        if self.json {
            return print_json(&made);
        }
        print(&made);
        Ok(())
    }
}

fn print(made: &Value) {
    let text = |key: &str| match made.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    println!("backup:    {}", text("backup"));
    println!("documents: {}, changes: {}", text("documents"), text("changes"));
    println!("files:     {}, bytes: {}", text("files"), text("bytes"));
    let removed = made.get("removed").and_then(Value::as_array);
    for path in removed.into_iter().flatten().filter_map(Value::as_str) {
        println!("removed:   {path}");
    }
    if made.get("root_key") == Some(&Value::Bool(true)) {
        println!("it holds root.key: whoever has this backup is the federation");
    }
    println!("it holds the keys of this node: keep it as safe as the machine");
}

impl Verify {
    fn run(self) -> Outcome {
        let bar = bar(0);
        let checked = backup::check(&self.backup, |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let checked = checked.map_err(failure)?;
        let sound = checked.problems.is_empty();
        let manifest = &checked.manifest;
        if self.json {
            print_json(&json!({
                "sound": sound,
                "problems": checked.problems,
                "manifest": manifest,
            }))?;
        } else {
            let at = jiff::Timestamp::from_millisecond(manifest.made_at_ms)?;
            println!("{} ({}), made {at}", manifest.name, manifest.node);
            println!(
                "documents: {}, changes: {}",
                manifest.store.documents, manifest.store.changes
            );
            for problem in &checked.problems {
                println!("problem:   {problem}");
            }
        }
        if sound {
            return Ok(());
        }
        Err(Failure::new("the backup is not sound")
            .hint("use another one; make a new one of a node that runs: cunlian backup")
            .code(UNSOUND))
    }
}

/// Shows how the copy of the store grows while the node, perhaps another process, makes it.
struct Watching {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Watching {
    fn start(data_dir: &Path, to: PathBuf) -> Self {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bar = bar(size(&data_dir.join("store.sqlite")));
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Some(copy) = backup::copy_under_way(&to) {
                    bar.set_position(size(&copy));
                }
            }
            bar.finish_and_clear();
        });
        Self { end, thread }
    }

    fn end(self) {
        // The thread can only have ended already.
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

/// On standard error while it is a terminal.
pub(super) fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3}% {bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}
