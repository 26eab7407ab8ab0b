//! `cunlian restore` and `cunlian resume`: a data directory from a backup, and letting a node
//! author again that no parent can confirm.

use std::path::PathBuf;

use clap::Args;
use cunlian_host::admin::Request;
use cunlian_host::admin::backup::{self, BackupAction};
use cunlian_host::clock::now_ms;
use cunlian_host::control::ask;
use serde_json::json;

use super::backup::bar;
use super::membership::failure;
use super::{DataDir, print_json};
use crate::failure::Outcome;

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup, as `backup` has printed it
    from: PathBuf,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    data: DataDir,
    /// There is no parent to confirm this node, and no other copy of it runs or will ever run:
    /// two of them would give their changes the same numbers, and both would be taken for forged
    #[arg(long)]
    confirm_no_parent: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) fn run(self) -> Outcome {
        let to = std::path::absolute(&self.data.data_dir)?;
        let bar = bar(0);
        let restored = backup::restore(&self.from, &to, now_ms(), |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let restored = restored.map_err(failure)?;
        if self.json {
            return print_json(&restored);
        }
        let manifest = &restored.manifest;
        println!("data directory: {}", restored.data_dir.display());
        println!("node:           {} ({})", manifest.name, manifest.node);
        println!("documents: {}, changes: {}", manifest.store.documents, manifest.store.changes);
        if restored.has_parent {
            println!("it saves nothing of its own until its parent has confirmed it");
            println!("next: stop every other copy of this node, then: cunlian run");
        } else {
            println!("it saves nothing of its own until you have confirmed it");
            println!("next: destroy every other copy of this node, then:");
            println!("      cunlian resume --confirm-no-parent, cunlian run");
        }
        Ok(())
    }
}

impl Resume {
    pub(super) fn run(self) -> Outcome {
        let no_parent = self.confirm_no_parent;
        let request = Request::Backup { action: BackupAction::Resume { no_parent } };
        let answer = ask(&self.data.data_dir, &request).map_err(failure)?;
        if self.json {
            return print_json(&answer);
        }
        if answer.get("resumed") == Some(&json!(true)) {
            eprintln!("warning: if another copy of this node ever runs, both are shut out");
            println!("the node saves changes again");
        } else {
            println!("the node was not suspended");
        }
        Ok(())
    }
}
