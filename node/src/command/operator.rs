//! `cunlian operator`: the people who work at this node.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use clap::{Args, Subcommand};

use super::{DataDir, Failure, Outcome};
use crate::clock::now_ms;
use crate::keystore::Keystore;
use crate::operator::{Issuer, NewOperator, Operators, roles};

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
    /// List login names
    List {
        #[command(flatten)]
        data: DataDir,
    },
    /// List the roles
    Roles,
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
}

impl Operator {
    pub(super) fn run(self) -> Outcome {
        match self.command {
            Command::Add(add) => add.run(),
            Command::List { data } => {
                for name in Operators::new(&data.data_dir).names()? {
                    println!("{name}");
                }
                Ok(())
            }
            Command::Roles => {
                for role in roles() {
                    println!("{:<20} {} / {}", role.key, role.zh, role.en);
                }
                Ok(())
            }
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let identity = Keystore::new(&self.data.data_dir).identity()?;
        if stdin().is_terminal() {
            eprintln!("password for {} (it will be shown as you type):", self.name);
        }
        let mut password = String::new();
        stdin().lock().read_line(&mut password)?;
        let new = NewOperator {
            name: &self.name,
            display_name: &self.display_name,
            role: &self.role,
            region: None,
            password: password.trim_end_matches(['\r', '\n']),
        };
        let issuer = Issuer { certificate: &identity.certificate, key: &identity.key };
        Operators::new(&self.data.data_dir)
            .create(&issuer, new, now_ms(), &mut rand::rng())
            .map_err(|error| Failure::new(error).hint("see: cunlian operator roles"))?;
        println!("{} may log in; a running node takes the certificate over at login", self.name);
        Ok(())
    }
}
