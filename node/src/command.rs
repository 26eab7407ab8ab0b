//! The command line.
//!
//! Data goes to standard output, logs and progress to standard error; `--json` gives one JSON
//! object. Errors say what happened and, in a `hint:` line, what to do.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; the error says why |
//! | 2 | the command line is wrong |
//! | 3 | done, but what was checked is not sound (`verify`, `demo --headless`) |

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use cunlian_host::private::keep_private;

use crate::failure::{Failure, Outcome};

mod backup;
mod bench;
mod bundle;
mod cert;
mod demo;
mod directory;
mod erase;
mod import;
mod init;
mod invite;
mod join;
pub(crate) mod membership;
mod node;
mod operator;
mod owner;
mod restore;
mod review;
mod revoke;
mod rotate;
mod run;
mod status;
mod verify;

/// 村联: a federation of nodes for rural governance, one binary at every tier.
#[derive(Debug, Parser)]
#[command(name = "cunlian", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data directory: key and configuration; with --found also a new federation.
    Init(init::Init),
    /// Invite a new node: a token and its QR code; what became of invitations.
    Invite(Box<invite::Invite>),
    /// Join by an invitation, and copy what this node may have.
    Join(join::Join),
    /// Write a request for a certificate, to be carried to the parent.
    Request(membership::Request),
    /// Issue a certificate for a request, at the parent.
    Issue(membership::Issue),
    /// Take over the certificate that the parent issued.
    Accept(membership::Accept),
    /// Take a certificate back: nothing its holder does from now on is accepted anywhere.
    Revoke(revoke::Revoke),
    /// Decide about what revoked authors left in documents of others.
    Review(review::Review),
    /// Erase a document, or all there is of a person, at every node.
    Erase(erase::Erase),
    /// Run the node of a data directory.
    Run(run::Run),
    /// Show how the node and its links are.
    Status(status::Status),
    /// Check the whole store against its log.
    Verify(verify::Verify),
    /// Certificates in words: show, tree, why, change.
    Cert(cert::Cert),
    /// Copy the node, running or not, or check such a copy.
    Backup(backup::Backup),
    /// Carry data in a file where no line goes: export, import, show.
    Bundle(bundle::Bundle),
    /// Make a data directory from a backup.
    Restore(restore::Restore),
    /// Let a restored node without a parent save changes again.
    Resume(restore::Resume),
    /// Nodes below this one: how they are, letting one in again.
    Node(node::Node),
    /// Make a new key for this node, or with --root for the federation.
    Rotate(rotate::Rotate),
    /// Certify the founding node anew with root.key.
    Renew(rotate::Renew),
    /// People who work at this node.
    Operator(operator::Operator),
    /// Read reference data from files.
    Import(import::Import),
    /// A county to try out: real processes on this machine.
    Demo(demo::Demo),
    /// Measure.
    Bench(bench::Bench),
}

/// Where the data of the node is.
#[derive(Debug, Clone, clap::Args)]
pub struct DataDir {
    /// Data directory of the node
    #[arg(long, env = "CUNLIAN_DATA_DIR", value_name = "DIR", default_value = "cunlian-data")]
    pub data_dir: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    end_quietly_with_the_reader();
    keep_private();
    let matches = Cli::command().get_matches();
    let ready = directory::check(&matches).and_then(|()| owner::become_owner(&matches));
    if let Err(failure) = ready {
        return told(&failure);
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // What a benchmark brings about is nothing to warn of.
    start_log(if matches!(cli.command, Command::Bench(_)) { "error" } else { "warn" });
    let outcome = match cli.command {
        Command::Init(command) => command.run(),
        Command::Invite(command) => command.run(),
        Command::Join(command) => command.run(),
        Command::Request(command) => command.run(),
        Command::Issue(command) => command.run(),
        Command::Accept(command) => command.run(),
        Command::Revoke(command) => command.run(),
        Command::Review(command) => command.run(),
        Command::Erase(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Cert(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Bundle(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Resume(command) => command.run(),
        Command::Node(command) => command.run(),
        Command::Rotate(command) => command.run(),
        Command::Renew(command) => command.run(),
        Command::Operator(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Bench(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&failure),
    }
}

fn told(failure: &Failure) -> ExitCode {
    let Failure { message, hint, code } = failure;
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(*code)
}

/// Whoever reads a part of the output and leaves, as `head` does, is no fault of the program.
fn end_quietly_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(info);
    }));
}

/// Logs go to standard error; `CUNLIAN_LOG` sets another level than `level`.
fn start_log(level: &str) {
    use std::io::IsTerminal as _;
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("CUNLIAN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// Prints one JSON object to standard output.
fn print_json(value: &impl serde::Serialize) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A runtime for commands that need one.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
