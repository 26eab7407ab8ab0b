//! `cunlian invite`: invitations for new nodes, one or a list of them; what became of them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cunlian_host::admin::Request;
use cunlian_host::admin::invitation::{
    BulkInvitationRequest, BulkRow, InvitationRequest, Invitations, Invited, Listed,
};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_web::text::Text;
use cunlian_web::{clock, sheet};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::init::{parse_region, parse_tier};
use super::membership::{asked, parse_span_ms};
use super::{DataDir, print_json};
use crate::failure::{Failure, Outcome};

/// Arguments of `invite`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Invite {
    #[command(subcommand)]
    what: Option<InviteCommand>,
    #[command(flatten)]
    data: DataDir,
    /// Tier of the new node; follows from --region when absent
    #[arg(long, value_parser = parse_tier)]
    tier: Option<Tier>,
    /// Address code the new node will stand for, such as 370322102310
    #[arg(long, value_parser = parse_region, required_unless_present = "from")]
    region: Option<AddressCode>,
    /// Name of the new node, such as 苑兴村; from the register of divisions when absent
    #[arg(long)]
    name: Option<String>,
    /// How long the invitation is valid, such as 72h or 7d
    #[arg(long, default_value = "72h", value_parser = parse_span_ms)]
    valid: i64,
    /// How long the certificate will be valid, such as 730d
    #[arg(long, default_value = "730d", value_parser = parse_span_ms)]
    lifetime: i64,
    /// UDP address under which the new node reaches this one; up to four
    #[arg(long, value_name = "HOST:PORT")]
    address: Vec<String>,
    /// Write the QR code as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the QR code as PNG
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Invite all nodes of a CSV file with the columns code,name[,valid]
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["region", "tier", "name", "svg", "png"])]
    from: Option<PathBuf>,
    /// Directory for one printable sheet per node, and index.html
    #[arg(long, value_name = "DIR", requires = "from")]
    out: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum InviteCommand {
    /// Show all invitations and what became of them.
    List(List),
    /// Take an invitation back.
    Cancel(Cancel),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Cancel {
    #[command(flatten)]
    data: DataDir,
    /// Id of the invitation, as the list shows it
    id: String,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Invite {
    pub(super) fn run(self) -> Outcome {
        match (&self.what, &self.from, &self.out, self.region) {
            (Some(InviteCommand::List(list)), ..) => list.run(),
            (Some(InviteCommand::Cancel(cancel)), ..) => cancel.run(),
            (None, Some(from), Some(out), _) => self.bulk(from, out),
            (None, _, _, Some(region)) => self.one(region),
            (None, ..) => Err(Failure::new("--region is missing").code(2)),
        }
    }

    fn one(&self, region: AddressCode) -> Outcome {
        let by_level = cunlian_host::admin::invitation::tier_of(region.level());
        let tier = self.tier.or(by_level);
        let tier = tier.ok_or_else(|| Failure::new(format!("no node stands for {region}")))?;
        let wish = InvitationRequest {
            tier,
            region,
            name: self.name.clone(),
            valid_ms: self.valid,
            lifetime_ms: self.lifetime,
            addresses: self.address.clone(),
        };
        let invited: Invited = perform(&self.data.data_dir, &Request::Invite(wish))?;
        if let Some(path) = &self.svg {
            sheet::write_file(path, sheet::svg(&invited.token)?.as_bytes())?;
        }
        if let Some(path) = &self.png {
            sheet::write_file(path, &sheet::png(&invited.token)?)?;
        }
        if self.json {
            return print_json(&invited);
        }
        println!("{}", sheet::terminal(&invited.token)?);
        println!("{}", invited.token);
        println!();
        println!("for:         {} ({}, {})", invited.name, tier.name(), invited.region);
        println!("looks for:   {}", invited.addresses.join(", "));
        println!("valid until: {} (UTC+8), once", clock::full(invited.expires_at_ms));
        println!("invitation:  {}", invited.id);
        println!("on the new machine: cunlian join TOKEN");
        Ok(())
    }

    fn bulk(&self, from: &Path, out: &Path) -> Outcome {
        let (rows, mut bad) = read_rows(from)?;
        let wish = BulkInvitationRequest {
            rows,
            valid_ms: self.valid,
            lifetime_ms: self.lifetime,
            addresses: self.address.clone(),
        };
        let outcome: Invitations = perform(&self.data.data_dir, &Request::InviteBulk(wish))?;
        sheet::write(out, &outcome.invited, Text::default()).map_err(|error| {
            Failure::new(error).hint("the invitations are made; cancel them: cunlian invite list")
        })?;
        bad.extend(
            outcome.rejected.iter().map(|rejected| (rejected.line, rejected.reason.clone())),
        );
        bad.sort();
        for (line, reason) in &bad {
            eprintln!("{}: line {line}: {reason}", from.display());
        }
        if self.json {
            let rejected: Vec<_> =
                bad.iter().map(|(line, reason)| json!({"line": line, "reason": reason})).collect();
            print_json(&json!({"invited": outcome.invited, "rejected": rejected}))?;
        } else {
            let index = out.join("index.html");
            println!("{} invited, {} rows not used", outcome.invited.len(), bad.len());
            println!("print: {}", index.display());
            println!("then delete {}: whoever has a sheet can join", out.display());
        }
        if outcome.invited.is_empty() {
            return Err(Failure::new("no row could be used")
                .hint("the file needs the columns code,name[,valid], in UTF-8"));
        }
        Ok(())
    }
}

impl List {
    fn run(&self) -> Outcome {
        let list: Vec<Listed> = perform(&self.data.data_dir, &Request::InviteList)?;
        if self.json {
            return print_json(&json!({ "invitations": list }));
        }
        for entry in &list {
            print!(
                "{}  {:<9}  {:<15}  until {}  {}",
                entry.id,
                entry.state.name(),
                entry.region,
                clock::full(entry.expires_at_ms),
                entry.name
            );
            if let (Some(key), Some(at_ms)) = (&entry.used_by, entry.used_at_ms) {
                print!("  used {} by {}", clock::full(at_ms), key.get(..16).unwrap_or(key));
            }
            if entry.attempts > 0 {
                print!("  wrong secrets {}", entry.attempts);
            }
            println!();
        }
        Ok(())
    }
}

impl Cancel {
    fn run(&self) -> Outcome {
        let request = Request::InviteCancel { id: self.id.clone() };
        let entry: Listed = perform(&self.data.data_dir, &request)?;
        if self.json {
            return print_json(&entry);
        }
        println!("{} for {}: {}", entry.id, entry.name, entry.state.name());
        Ok(())
    }
}

fn perform<T: DeserializeOwned>(data_dir: &Path, request: &Request) -> Result<T, Failure> {
    Ok(serde_json::from_value(asked(data_dir, request)?)?)
}

type Rows = (Vec<BulkRow>, Vec<(u64, String)>);

/// The rows of a list, and the lines that are none.
fn read_rows(path: &Path) -> Result<Rows, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| Failure::new(named(&error)))?;
    // Spreadsheets put a byte order mark before the first column.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let headers = reader.headers().map_err(|error| Failure::new(named(&error)))?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let code = column("code").ok_or_else(|| {
        Failure::new(named(&"there is no column code"))
            .hint("the first line names the columns: code,name,valid")
    })?;
    let (name, valid) = (column("name"), column("valid"));
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                bad.push((line, "the line is not CSV in UTF-8".to_owned()));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: Option<usize>| {
            column.and_then(|at| record.get(at)).filter(|text| !text.is_empty())
        };
        match cell(valid).map(parse_span_ms).transpose() {
            Ok(valid_ms) => rows.push(BulkRow {
                line,
                code: cell(Some(code)).unwrap_or_default().to_owned(),
                name: cell(name).map(str::to_owned),
                valid_ms,
            }),
            Err(reason) => bad.push((line, reason)),
        }
    }
    Ok((rows, bad))
}
