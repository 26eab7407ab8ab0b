//! `cunlian cert`: certificates in words, and changes of their grants.

use clap::{Args, Subcommand, ValueEnum};
use cunlian_host::admin::certificate::Action;
use cunlian_host::admin::certificate::card::{Card, Obstacle, State};
use cunlian_host::admin::certificate::change::{Changed, Wanted};
use cunlian_host::admin::certificate::tree::{Branch, Tree};
use cunlian_host::admin::certificate::why::{Answer, Question, Verb};
use cunlian_host::admin::{AdminError, Request};
use cunlian_host::control::ask;
use cunlian_host::local_time::time_words;
use cunlian_protocol::certificate::AuthorKind;
use cunlian_protocol::id::DocumentId;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Exit code of `why` when the answer is no.
const NOT_ALLOWED: u8 = 3;

/// Arguments of `cert`.
#[derive(Debug, Args)]
pub(super) struct Cert {
    #[command(subcommand)]
    what: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Show one certificate: what it allows, from whom, until when
    Show {
        #[command(flatten)]
        common: Common,
        /// Name, serial or login; this node if left out
        who: Option<String>,
    },
    /// Show all certificates known here, as a tree
    Tree {
        #[command(flatten)]
        common: Common,
    },
    /// Say whether somebody may do something, and why; exit code 3 if not
    Why(Why),
    /// Give other grants to somebody whom this node certified
    Change(Change),
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Why {
    #[command(flatten)]
    common: Common,
    /// Name, serial or login
    who: String,
    /// What is to be done
    verb: VerbName,
    /// Address code, with or without its check character
    address: String,
    /// Category, such as ticket or library/population/contact; all if left out
    category: Option<String>,
    /// One document, 32 hexadecimal digits
    #[arg(long)]
    document: Option<DocumentId>,
    /// When, such as 2026-12-01 or 2026-12-01T08:00+08:00; now if left out
    #[arg(long, value_name = "DATE", value_parser = start_of_day)]
    at: Option<i64>,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    common: Common,
    /// Name, serial or login
    who: String,
    /// Add REGION[:exact][#DOCUMENT]/CATEGORIES/RIGHTS[+delegable RIGHTS]
    #[arg(long, value_name = "GRANT")]
    add: Vec<String>,
    /// Take away the grant with this number, as `cert show` counts them
    #[arg(long, value_name = "N")]
    remove: Vec<usize>,
    /// Valid to the end of this day
    #[arg(long, value_name = "DATE", value_parser = end_of_day)]
    until: Option<i64>,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerbName {
    Read,
    Write,
    Assign,
    SignOff,
    Erase,
    Issue,
}

impl From<VerbName> for Verb {
    fn from(name: VerbName) -> Self {
        match name {
            VerbName::Read => Self::Read,
            VerbName::Write => Self::Write,
            VerbName::Assign => Self::Assign,
            VerbName::SignOff => Self::SignOff,
            VerbName::Erase => Self::Erase,
            VerbName::Issue => Self::Issue,
        }
    }
}

impl Cert {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            CertCommand::Show { common, who } => {
                common.asked(Action::Show { who }, print_card).map(drop)
            }
            CertCommand::Tree { common } => common.asked(Action::Tree, print_tree).map(drop),
            CertCommand::Why(why) => {
                let answer = why.common.asked(Action::Why(why.question()), print_answer)?;
                if answer.allowed {
                    return Ok(());
                }
                let (name, verb) = (&answer.who.name, answer.verb.name());
                Err(Failure::new(format!("{name} may not {verb} there")).code(NOT_ALLOWED))
            }
            CertCommand::Change(change) => {
                change.common.asked(Action::Change(change.wanted()), print_changed).map(drop)
            }
        }
    }
}

impl Common {
    /// Has the node answer, and prints the answer.
    fn asked<T: DeserializeOwned>(
        &self,
        action: Action,
        print: impl FnOnce(&T),
    ) -> Result<T, Failure> {
        let value = ask(&self.data.data_dir, &Request::Certificate { action }).map_err(failure)?;
        let answer: T = serde_json::from_value(Value::clone(&value))?;
        if self.json {
            print_json(&value)?;
        } else {
            print(&answer);
        }
        Ok(answer)
    }
}

impl Why {
    fn question(&self) -> Question {
        Question {
            who: self.who.clone(),
            verb: self.verb.into(),
            address: self.address.clone(),
            category: self.category.clone(),
            document: self.document,
            at_ms: self.at,
        }
    }
}

impl Change {
    fn wanted(&self) -> Wanted {
        Wanted {
            who: self.who.clone(),
            add: self.add.clone(),
            remove: self.remove.clone(),
            until_ms: self.until,
            name: self.name.clone(),
            dry_run: self.dry_run,
        }
    }
}

fn failure(error: AdminError) -> Failure {
    let failure = Failure::new(&error.message);
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn print_card(card: &Card) {
    let kind = match card.kind {
        AuthorKind::Node => "node",
        AuthorKind::Operator => "person",
        AuthorKind::Device => "device",
    };
    println!("{} ({kind}, {})", card.name, card.tier.name());
    println!("serial   {}", card.serial);
    println!("key      {}", card.key);
    if let Some(login) = &card.login {
        println!("login    {login}");
    }
    match &card.issuer {
        Some(issuer) => println!("issuer   {} ({})", issuer.name, issuer.serial),
        None => println!("issuer   the root"),
    }
    let (from, until) = (time_words(card.issued_at_ms), time_words(card.not_after_ms));
    println!("valid    {from} to {until} ({})", days(card.days_left));
    println!("state    {}", state_words(card.state));
    for line in card.obstacles.iter().map(Obstacle::words) {
        println!("         {line}");
    }
    if let Some(newer) = &card.newer {
        println!("newer    {}", newer.serial);
    }
    if card.pending {
        println!("pending  a changed certificate waits to be handed over");
    }
    println!("grants");
    for grant in &card.grants {
        let list = |names: &[String]| {
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        println!("{:>3}  {}", grant.number, grant.where_words());
        println!("     categories  {}", list(&grant.categories));
        println!("     rights      {}", list(&grant.rights));
        println!("     may pass on {}", list(&grant.delegable));
    }
}

fn print_tree(tree: &Tree) {
    println!("root {}", tree.root);
    // Certificates that were followed by others, and signed nothing: a number is enough of them.
    let is_past = |branch: &&Branch| {
        let followed = matches!(branch.state, State::Renewed | State::Superseded);
        let leads = tree.certificates.iter().any(|other| other.issuer == Some(branch.serial));
        followed && branch.changes == 0 && !branch.own && !leads
    };
    let past = tree.certificates.iter().filter(is_past).count();
    for Branch { depth, serial, name, kind, state, changes, own, not_after_ms, .. } in
        tree.certificates.iter().filter(|branch| !is_past(branch))
    {
        let short: String = serial.to_string().chars().take(8).collect();
        let kind = match kind {
            AuthorKind::Node => "",
            AuthorKind::Operator => " (person)",
            AuthorKind::Device => " (device)",
        };
        let here = if *own { ", this node" } else { "" };
        println!(
            "{:indent$}{name}{kind}  {short}  {} until {}, {changes} changes{here}",
            "",
            state_words(*state),
            time_words(*not_after_ms),
            indent = 2 * depth,
        );
    }
    if past > 0 {
        println!("and {past} earlier certificates of the same keys, by which nothing was signed");
    }
}

fn print_answer(answer: &Answer) {
    for (at, line) in answer.words.iter().enumerate() {
        println!("{}{line}", if at == 0 { "" } else { "  " });
    }
}

fn print_changed(changed: &Changed) {
    for line in &changed.words {
        println!("{line}");
    }
    print_card(&changed.card);
}

fn state_words(state: State) -> &'static str {
    match state {
        State::Valid => "valid",
        State::Renewed => "valid, with a newer one for the same key",
        State::Expired => "expired",
        State::Superseded => "superseded",
        State::Revoked => "revoked",
        State::AboveRevoked => "void, because one above it is revoked",
    }
}

fn days(left: i64) -> String {
    match left {
        ..=-1 => format!("ended {} days ago", left.unsigned_abs()),
        0 => "ends within a day".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    }
}

/// A moment, or the first of a day in China.
fn start_of_day(text: &str) -> Result<i64, String> {
    moment(text, |day| day.at(0, 0, 0, 0))
}

/// A moment, or the last of a day in China.
fn end_of_day(text: &str) -> Result<i64, String> {
    moment(text, |day| day.at(23, 59, 59, 999_000_000))
}

fn moment(text: &str, of_day: impl FnOnce(Date) -> DateTime) -> Result<i64, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let day: Date = text.parse().map_err(|error| format!("{error}; write 2026-12-31"))?;
    let at = Offset::constant(8).to_timestamp(of_day(day)).map_err(|error| error.to_string())?;
    Ok(at.as_millisecond())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that a day begins and ends in China, that a moment is taken as it is, and that a text
    /// that is neither is refused.
    #[test]
    fn days_are_those_of_china() {
        let begins = start_of_day("2026-12-01").unwrap();
        assert_eq!(Ok(begins), start_of_day("2026-11-30T16:00:00Z"));
        assert_eq!(end_of_day("2026-12-01").unwrap() - begins, 86_400_000 - 1);
        assert!(start_of_day("tomorrow").is_err());
    }
}
