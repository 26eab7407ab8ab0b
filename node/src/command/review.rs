//! `cunlian review`: what revoked authors left in documents of others.
//!
//! The password is read from standard input: without echo at a terminal, one line otherwise.

use clap::{Args, Subcommand};
use cunlian_host::admin::Request;
use cunlian_host::admin::review::{Decided, Done, Entry, ReviewAction};
use cunlian_host::local_time::time_words;
use serde_json::json;

use super::membership::asked;
use super::operator::secret;
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Arguments of `review`.
#[derive(Debug, Args)]
pub(super) struct Review {
    #[command(subcommand)]
    what: ReviewCommand,
}

#[derive(Debug, Subcommand)]
enum ReviewCommand {
    /// Changes that somebody has to decide about
    List(List),
    /// Let a change stay as it is
    Keep(Decide),
    /// Take a change back: its fields get the values they had, its steps lose their effect
    Revert(Decide),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    data: DataDir,
    /// At most this many
    #[arg(long, default_value = "200")]
    limit: usize,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Decide {
    #[command(flatten)]
    data: DataDir,
    /// Id of the change, or the first digits of it
    change: String,
    /// Login of the person who decides; the password comes from standard input
    #[arg(long = "as", value_name = "LOGIN")]
    login: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Review {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            ReviewCommand::List(list) => list.run(),
            ReviewCommand::Keep(decide) => decide.run(true),
            ReviewCommand::Revert(decide) => decide.run(false),
        }
    }
}

impl List {
    fn run(self) -> Outcome {
        let action = ReviewAction::List { limit: self.limit };
        let answer = asked(&self.data.data_dir, &Request::Review { action })?;
        if self.json {
            return print_json(&json!({ "changes": answer }));
        }
        let list: Vec<Entry> = serde_json::from_value(answer).map_err(Failure::new)?;
        if list.is_empty() {
            println!("nothing has to be reviewed");
        }
        for entry in &list {
            print_entry(entry);
        }
        if !list.is_empty() {
            eprintln!("hint: decide with: cunlian review keep|revert CHANGE --as LOGIN");
        }
        Ok(())
    }
}

impl Decide {
    fn run(self, keep: bool) -> Outcome {
        let password = secret(&format!("password of {}: ", self.login))?;
        let (change, login) = (self.change, self.login);
        let action = ReviewAction::Decide { change, keep, login, password };
        let answer = asked(&self.data.data_dir, &Request::Review { action })?;
        if self.json {
            return print_json(&answer);
        }
        let decided: Decided = serde_json::from_value(answer)?;
        println!("{} {}", decided.change, if decided.keep { "stays" } else { "was taken back" });
        Ok(())
    }
}

fn print_entry(entry: &Entry) {
    let when = time_words(entry.at_ms);
    println!("{}", entry.change);
    println!("  by {} on {when}", entry.by.name);
    println!("  in {} {} {}", entry.category, entry.address, entry.document);
    for deed in &entry.deeds {
        match deed {
            Done::Put { field, text } => println!("  set {field} to {text:?}"),
            Done::Delete { field } => println!("  took {field} away"),
            Done::Append { body } => println!("  step {body}"),
        }
    }
}
