//! `cunlian request`, `issue`, `accept`: joining a federation by files or by pictures of them.
//!
//! What the files are is said in [`cunlian_host::admin::issuing`]; joining over the network is `invite` and
//! `join`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use cunlian_host::address::NodeAddress;
use cunlian_host::admin::issuing::{IssuedFile, IssuedRequest, RequestFile};
use cunlian_host::admin::{self, AdminError};
use cunlian_host::clock::now_ms;
use cunlian_host::control;
use cunlian_host::keystore::Keystore;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_web::sheet;
use serde_json::{Value, json};

use super::init::{parse_region, parse_tier};
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Largest file that is read.
const FILE_BYTES: u64 = 256 << 10;

/// Arguments of `request`.
#[derive(Debug, Args)]
pub(super) struct Request {
    #[command(flatten)]
    data: DataDir,
    /// Tier of the new node
    #[arg(long, value_parser = parse_tier)]
    tier: Tier,
    /// Address code the new node stands for, such as 370322102310
    #[arg(long, value_parser = parse_region)]
    region: AddressCode,
    /// Name of the new node, such as 苑兴村
    #[arg(long)]
    name: String,
    /// File to write
    #[arg(long, value_name = "FILE", required_unless_present = "qr")]
    out: Option<PathBuf>,
    /// Show the request as a QR code, to be scanned at the parent
    #[arg(long)]
    qr: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Arguments of `issue`.
#[derive(Debug, Args)]
pub(super) struct Issue {
    #[command(flatten)]
    data: DataDir,
    /// The request; - for standard input, as from a scanner
    request: PathBuf,
    /// How many days the certificate is valid
    #[arg(long, default_value_t = 730)]
    valid_days: i64,
    /// UDP address under which the new node reaches this one, HOST:PORT; a name stays a name
    #[arg(long)]
    address: Option<NodeAddress>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Arguments of `accept`.
#[derive(Debug, Args)]
pub(super) struct Accept {
    #[command(flatten)]
    data: DataDir,
    /// The file the parent issued
    issued: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Request {
    pub(super) fn run(self) -> Outcome {
        let dir = &self.data.data_dir;
        let request = RequestFile::new(dir, self.tier, self.region, self.name).map_err(failure)?;
        let text = request.text();
        if let Some(out) = &self.out {
            write(out, &text)?;
        }
        if self.json {
            return print_json(&json!({ "request": text, "file": self.out }));
        }
        if self.qr {
            println!("{}", sheet::terminal(&text)?);
            println!("{text}");
            println!("scan it at the parent into: cunlian issue - --out FILE");
        }
        if let Some(out) = &self.out {
            println!("{}: carry it to the parent, then: cunlian issue", out.display());
        }
        Ok(())
    }
}

impl Issue {
    pub(super) fn run(self) -> Outcome {
        let data_dir = &self.data.data_dir;
        let text = read(&self.request)?;
        let lifetime_ms = self.valid_days.saturating_mul(super::init::DAY_MS);
        // What would be refused is refused here, before the store is opened.
        let identity = Keystore::new(data_dir).identity()?;
        RequestFile::parse(&text)
            .and_then(|request| request.certify(&identity, now_ms(), lifetime_ms))
            .map_err(failure)?;
        let asked = asked(
            data_dir,
            &admin::Request::IssueRequest {
                request: text,
                lifetime_ms,
                address: self.address.clone(),
            },
        )?;
        let issued: IssuedRequest = serde_json::from_value(asked)?;
        write(&self.out, &issued.issued)?;
        if self.json {
            return print_json(&issued);
        }
        println!("{} for {}: carry it back, then: cunlian accept", self.out.display(), issued.name);
        Ok(())
    }
}

impl Accept {
    pub(super) fn run(self) -> Outcome {
        let issued = IssuedFile::parse(&read(&self.issued)?).map_err(failure)?;
        issued.accept(&self.data.data_dir).map_err(failure)?;
        if self.json {
            let identity = Keystore::new(&self.data.data_dir).identity()?;
            let body = identity.certificate.body();
            let (name, not_after_ms) = (&body.name, body.not_after_ms);
            return print_json(&json!({ "name": name, "not_after_ms": not_after_ms }));
        }
        println!("accepted; start the node: cunlian run");
        Ok(())
    }
}

/// What an administrator's action failed with, hint included.
pub(super) fn failure(error: AdminError) -> Failure {
    let failure = Failure::new(error.message);
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Has a node do something for its administrator.
pub(super) fn asked(data_dir: &Path, request: &admin::Request) -> Result<Value, Failure> {
    control::ask(data_dir, request).map_err(failure)
}

/// A length of time such as `90m`, `72h` or `7d`, in milliseconds.
pub(super) fn parse_span_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a length of time such as 90m, 72h or 7d");
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).ok_or_else(wrong)
}

fn write(path: &Path, text: &str) -> Outcome {
    let written = fs::write(path, format!("{text}\n"));
    written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        io::stdin().lock().take(FILE_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
    };
    outcome.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(text)
}
