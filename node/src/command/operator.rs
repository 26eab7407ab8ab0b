//! `cunlian operator`: the people who work at this node.
//!
//! Passwords are read from standard input: without echo and twice at a terminal, one line each
//! otherwise. They are never arguments.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use clap::{Args, Subcommand};
use console::Term;
use cunlian_host::admin::people::{NewPerson, Password, PeopleAction};
use cunlian_host::admin::{AdminError, Request};
use cunlian_host::control::ask;
use cunlian_host::operator::roles;
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Arguments of `operator`.
#[derive(Debug, Args)]
pub(super) struct Operator {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key for a person, sealed under a password read from standard input
    Add(Add),
    /// Change a password that is known: the current one and the new one from standard input
    Password(Named),
    /// Give a person who forgot the password a new key and a one-time password
    Reset(Named),
    /// Take the lock of failed logins off a person
    Unlock(Named),
    /// Say for which unit a person handles tickets; without UNIT for none
    Unit(Unit),
    /// Delete the sealed key of a person; to dismiss somebody, revoke the certificate as well
    Remove(Remove),
    /// List the operators
    List(List),
    /// List the roles
    Roles(Roles),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    data: DataDir,
    /// Login name
    name: String,
    /// Name shown to others
    #[arg(long)]
    display_name: String,
    /// Role, see `operator roles`
    #[arg(long)]
    role: String,
    /// Only this part of the node's region; CODE alone includes all below it
    #[arg(long, value_name = "CODE[:exact]")]
    region: Option<String>,
    /// Only these kinds of data, such as ticket, library/population/base or 3000-30ff
    #[arg(long = "category", value_name = "NAME")]
    categories: Vec<String>,
    /// Only these rights of the role, such as read or read,write
    #[arg(long, value_name = "RIGHTS")]
    rights: Option<String>,
    /// Last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<String>,
    /// Unit whose tickets the person handles, as tickets name it
    #[arg(long)]
    unit: Option<String>,
    /// Make a password that must be changed at the first login, and print it
    #[arg(long)]
    one_time: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    data: DataDir,
    /// Login name
    name: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Unit {
    #[command(flatten)]
    named: Named,
    /// Name of the unit, as tickets name it
    unit: Option<String>,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    named: Named,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Roles {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Operator {
    pub(super) fn run(self) -> Outcome {
        match self.command {
            Command::Add(add) => add.run(),
            Command::Password(named) => change_password(&named),
            Command::Reset(named) => {
                let answer = named.ask(PeopleAction::Reset { name: named.name.clone() })?;
                say(named.json, &answer, |answer| {
                    eprintln!("{} has a new key; what was signed before stays valid", named.name);
                    one_time(answer);
                })
            }
            Command::Unlock(named) => {
                let answer = named.ask(PeopleAction::Unlock { name: named.name.clone() })?;
                say(named.json, &answer, |_| println!("{} may log in again", named.name))
            }
            Command::Unit(unit) => unit.run(),
            Command::Remove(remove) => remove.run(),
            Command::List(list) => list.run(),
            Command::Roles(Roles { json }) => {
                let all: Vec<Value> = roles()
                    .iter()
                    .map(|role| json!({"key": role.key, "zh": role.zh, "en": role.en}))
                    .collect();
                say(json, &json!({ "roles": all }), |_| {
                    for role in roles() {
                        println!("{:<20} {} / {}", role.key, role.zh, role.en);
                    }
                })
            }
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let password = if self.one_time { None } else { Some(new_password(&self.name)?) };
        let person = NewPerson {
            name: self.name.clone(),
            display_name: self.display_name,
            role: self.role,
            region: self.region,
            categories: self.categories,
            rights: self.rights,
            until: self.until,
            unit: self.unit,
            password,
        };
        let answer = people(&self.data, PeopleAction::Add(person))?;
        say(self.json, &answer, |answer| {
            println!("{} may log in until {}", self.name, day(answer));
            one_time(answer);
        })
    }
}

impl Named {
    fn ask(&self, action: PeopleAction) -> Result<Value, Failure> {
        people(&self.data, action)
    }
}

impl Unit {
    fn run(self) -> Outcome {
        let Self { named, unit } = self;
        let unit = unit.unwrap_or_default();
        let answer = named.ask(PeopleAction::Unit { name: named.name.clone(), unit })?;
        say(named.json, &answer, |answer| match text(answer, "unit") {
            "" => println!("{} handles the tickets of no unit", named.name),
            unit => println!("{} handles the tickets of {unit}", named.name),
        })
    }
}

impl Remove {
    fn run(self) -> Outcome {
        let Self { named, yes } = self;
        if !yes {
            confirm(&named.name)?;
        }
        let answer = named.ask(PeopleAction::Remove { name: named.name.clone() })?;
        say(named.json, &answer, |answer| {
            println!("{} can no longer log in here", named.name);
            eprintln!(
                "hint: to have nothing more of that key accepted anywhere: cunlian revoke {}",
                text(answer, "serial")
            );
        })
    }
}

impl List {
    fn run(self) -> Outcome {
        let answer = people(&self.data, PeopleAction::List)?;
        say(self.json, &answer, |answer| {
            for operator in answer.get("operators").and_then(Value::as_array).into_iter().flatten()
            {
                let locked = operator.get("locked_ms").and_then(Value::as_i64);
                let locked = locked
                    .map_or_else(String::new, |ms| format!(", locked for {} min", ms / 60_000 + 1));
                let unit = match text(operator, "unit") {
                    "" => String::new(),
                    unit => format!(", of {unit}"),
                };
                println!(
                    "{:<16} {:<20} until {}  {} ({}{locked}{unit})",
                    text(operator, "name"),
                    text(operator, "role"),
                    day(operator),
                    text(operator, "display_name"),
                    text(operator, "state"),
                );
            }
        })
    }
}

fn change_password(named: &Named) -> Outcome {
    let current = secret(&format!("current password of {}: ", named.name))?;
    let new = new_password(&named.name)?;
    let action = PeopleAction::Password { name: named.name.clone(), current, new };
    let answer = named.ask(action)?;
    say(named.json, &answer, |_| println!("the password of {} was changed", named.name))
}

fn people(data: &DataDir, action: PeopleAction) -> Result<Value, Failure> {
    ask(&data.data_dir, &Request::People { action }).map_err(|AdminError { message, hint }| {
        let failure = Failure::new(message);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn say(as_json: bool, answer: &Value, in_words: impl FnOnce(&Value)) -> Outcome {
    if as_json {
        return print_json(answer);
    }
    in_words(answer);
    Ok(())
}

/// The password alone on standard output, so that it can be handed on; the rest is comment.
fn one_time(answer: &Value) {
    if let Some(password) = answer.get("password").and_then(Value::as_str) {
        eprintln!("one-time password, to be changed at the first login:");
        println!("{password}");
    }
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The last day of a certificate in the county.
fn day(answer: &Value) -> String {
    let end_ms = answer.get("not_after_ms").and_then(Value::as_i64).unwrap_or_default();
    let last = Timestamp::from_millisecond(end_ms.saturating_sub(1)).unwrap_or(Timestamp::MAX);
    Offset::constant(8).to_datetime(last).date().to_string()
}

/// A new password: typed twice where it cannot be seen.
fn new_password(name: &str) -> Result<Password, Failure> {
    let password = secret(&format!("new password of {name}: "))?;
    if stdin().is_terminal() && secret("the same again: ")? != password {
        return Err(Failure::new("the two passwords differ").hint("try again"));
    }
    Ok(password)
}

pub(super) fn secret(prompt: &str) -> Result<Password, Failure> {
    if stdin().is_terminal() {
        let terminal = Term::stderr();
        if !terminal.is_term() {
            return Err(Failure::new("the password cannot be asked for without showing it")
                .hint("do not redirect the error output, or give the password on standard input"));
        }
        terminal.write_str(prompt)?;
        return Ok(Password::new(terminal.read_secure_line()?));
    }
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(Password::new(line))
}

/// Asks at a terminal; elsewhere nobody can answer.
fn confirm(name: &str) -> Outcome {
    if !stdin().is_terminal() {
        return Err(Failure::new(format!("the key of {name} would be deleted for good"))
            .hint("confirm with --yes"));
    }
    eprint!("delete the key of {name} for good? type the login name to confirm: ");
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    if line.trim() == name {
        return Ok(());
    }
    Err(Failure::new("nothing was deleted").hint(format!("type {name} to confirm")))
}
