//! `cunlian revoke`: taking a certificate back, and which nodes know of it.

use clap::{Args, Subcommand};
use cunlian_host::admin::Request;
use cunlian_host::admin::certificate::Named;
use cunlian_host::admin::revocation::{Listed, RevocationRequest, Revoked};

use super::membership::asked;
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Arguments of `revoke`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Revoke {
    #[command(subcommand)]
    what: Option<RevokeCommand>,
    /// Name, login, serial, or the first digits of a serial
    #[arg(required = true)]
    who: Option<String>,
    #[command(flatten)]
    data: DataDir,
    /// Why; everybody who finds that the work is gone reads it
    #[arg(long, required = true)]
    reason: Option<String>,
    /// Number of the last change that stands; the last one known here if absent
    #[arg(long, value_name = "N")]
    through_seq: Option<u64>,
    /// Revoke the nodes below it too, with everybody below them
    #[arg(long)]
    with_children: bool,
    /// Only show what it would do
    #[arg(long)]
    dry_run: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RevokeCommand {
    /// All revocations, and which nodes have them
    List(List),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(super) fn run(self) -> Outcome {
        if let Some(RevokeCommand::List(list)) = self.what {
            return list.run();
        }
        let wish = RevocationRequest {
            who: self.who.unwrap_or_default(),
            reason: self.reason.unwrap_or_default(),
            through_seq: self.through_seq,
            with_children: self.with_children,
            dry_run: self.dry_run,
        };
        let answer = asked(&self.data.data_dir, &Request::Revoke(wish))?;
        if self.json {
            return print_json(&answer);
        }
        let revoked: Revoked = serde_json::from_value(answer)?;
        print(&revoked);
        Ok(())
    }
}

impl List {
    fn run(self) -> Outcome {
        let answer = asked(&self.data.data_dir, &Request::RevokeList)?;
        if self.json {
            return print_json(&serde_json::json!({ "revocations": answer }));
        }
        let list: Vec<Listed> = serde_json::from_value(answer).map_err(Failure::new)?;
        if list.is_empty() {
            println!("nothing has been revoked");
        }
        for listed in &list {
            print_listed(listed);
        }
        Ok(())
    }
}

fn print(revoked: &Revoked) {
    let Revoked { who, effect, .. } = revoked;
    if revoked.dry_run {
        println!("nothing was done; to revoke {} ({}) would mean:", who.name, who.serial);
    } else {
        println!("{} ({}) is revoked", who.name, who.serial);
    }
    if revoked.serials.len() > 1 {
        println!("  certificates of this key taken back: {}", revoked.serials.len());
    }
    println!("  the last change that stands has number {}", revoked.through_seq);
    println!("  changes known here: {}", effect.changes);
    println!("  standing before: {}, after: {}", effect.stand_before, effect.stand_after);
    println!(
        "  kept and marked for review: {}, taken out: {}, in {} documents",
        effect.tainted, effect.removed, effect.documents
    );
    names("people and devices below, whose work until now stands", &revoked.people);
    names("nodes and people below that go on", &revoked.go_on);
    names("nodes and people below that are revoked with it", &revoked.revoked_with);
    if effect.tainted > 0 && !revoked.dry_run {
        eprintln!("hint: look at what is marked with: cunlian review list");
    }
    if !revoked.go_on.is_empty() {
        eprintln!("hint: to revoke the nodes below too: --with-children");
    }
}

fn print_listed(listed: &Listed) {
    let by = listed.by.as_ref().map_or("the root", |by| by.name.as_str());
    println!("{} ({}), by {by}: {}", listed.who.name, listed.who.serial, listed.reason);
    match (&listed.successor, listed.through_seq) {
        (Some(successor), _) => println!("  replaced by {}", successor.serial),
        (None, Some(number)) => println!("  the last change that stands has number {number}"),
        (None, None) => println!("  all changes stand"),
    }
    names("nodes that have it", &listed.held_by);
    names("nodes that have not said that they have it", &listed.not_held_by);
}

fn names(what: &str, list: &[Named]) {
    if !list.is_empty() {
        let names: Vec<&str> = list.iter().map(|named| named.name.as_str()).collect();
        println!("  {what}: {}", names.join(", "));
    }
}
