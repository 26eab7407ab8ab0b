//! `cunlian bundle import`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use cunlian_host::admin::bundle::BundleRequest;
use cunlian_host::admin::bundle::line::{Line, Record};
use cunlian_host::control;
use cunlian_host::local_time::time_words;
use serde_json::{Value, json};

use super::super::membership::failure;
use super::super::{DataDir, print_json};
use super::exporting::{lost, said_failure};
use super::{UNSOUND, bar};
use crate::failure::{Failure, Outcome};

/// Bytes of a file that are sent at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Arguments of `bundle import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file, or all parts of it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) fn run(self) -> Outcome {
        let mut reports = Vec::new();
        for path in &self.files {
            let mut report = import(&self.data.data_dir, path)?;
            if let Some(report) = report.as_object_mut() {
                report.insert("path".to_owned(), json!(path));
            }
            if !self.json {
                print(path, &report);
            }
            reports.push(report);
        }
        let missing = missing(&reports);
        let whole = missing.is_empty();
        if self.json {
            let sum = |key: &str| {
                let each = reports.iter().filter_map(|report| report.get(key)?.as_u64());
                each.sum::<u64>()
            };
            print_json(&json!({
                "new": sum("new"),
                "known": sum("known"),
                "refused": sum("refused"),
                "blobs": sum("blobs"),
                "whole": whole,
                "missing": missing,
                "files": reports,
            }))?;
        }
        if whole {
            return Ok(());
        }
        Err(Failure::new(missing.join("; "))
            .hint(
                "what was good is taken in and stays; copy the file again, or export it again, \
                   and import that: what is here is passed over",
            )
            .code(UNSOUND))
    }
}

/// What is missing of the bundles that were given, in words.
fn missing(reports: &[Value]) -> Vec<String> {
    let mut missing = Vec::new();
    let mut parts: BTreeMap<&str, BTreeMap<u64, &str>> = BTreeMap::new();
    for report in reports {
        let text = |key: &str| report.get(key).and_then(Value::as_str);
        let number = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0);
        if let Some(flaw) = text("flaw") {
            let path = text("path").unwrap_or_default();
            let (changes, expected) = (number("changes"), number("expected"));
            missing.push(format!(
                "{path}: {flaw}; {changes} changes of it could be used, of about {expected} in the \
                 bundle"
            ));
        }
        let path = text("path").unwrap_or_default();
        if number("postponed") > 0 {
            missing.push(format!("{path}: {} changes are taken later", number("postponed")));
        }
        let bounds = report.get("bounds").and_then(Value::as_array);
        let bounds = bounds.into_iter().flatten().filter_map(Value::as_str);
        missing.extend(bounds.map(|bound| format!("{path}: {bound}")));
        let bundle = parts.entry(text("bundle").unwrap_or_default()).or_default();
        bundle.insert(number("part"), text("follows").unwrap_or_default());
    }
    for bundle in parts.values() {
        let greatest = bundle.last_key_value().map_or(0, |(part, _)| *part);
        let absent = (1..=greatest).filter(|part| !bundle.contains_key(part));
        missing.extend(absent.map(|part| format!("part {part} was not among the files")));
        if bundle.last_key_value().is_some_and(|(_, follows)| *follows == "part") {
            missing.push(format!("part {} and what comes after it is missing", greatest + 1));
        }
    }
    missing
}

fn import(data_dir: &Path, path: &Path) -> Result<Value, Failure> {
    let cannot_read =
        |error| Failure::new(format!("{}: {error}", path.display())).hint("see that it is there");
    let mut file = File::open(path).map_err(cannot_read)?;
    let bytes = file.metadata().map_err(cannot_read)?.len();
    let mut line = control::begin_bundle(data_dir, &BundleRequest::Import).map_err(failure)?;
    let mut sending = line.try_clone()?;
    let bar = bar("{bar:40} {percent:>3}% {bytes}, {msg}, {eta} left");
    bar.set_length(bytes);
    let outcome = std::thread::scope(|scope| {
        let (report, read) = loop {
            match line.receive().map_err(|error| lost(&error))? {
                Record::Go => {
                    let read = scope.spawn(|| send(&mut file, &mut sending));
                    let report = answer(&mut line, &bar);
                    break (report, read.join());
                }
                Record::Failed(said) => return Err(said_failure(&said)),
                Record::Part(_)
                | Record::Bytes(_)
                | Record::End
                | Record::SoFar(_)
                | Record::Done(_) => {}
            }
        };
        match read {
            Ok(Some(error)) => Err(cannot_read(error)),
            Ok(None) => report,
            Err(_) => Err(Failure::new("the file could not be sent to the node")),
        }
    });
    bar.finish_and_clear();
    outcome
}

/// Sends the file; gives the error if it cannot be read. That the node reads no further is not
/// one: it says why.
fn send(file: &mut File, line: &mut Line) -> Option<std::io::Error> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                // What was read is taken in as of a file that ends there.
                let _ = line.send(&Record::End);
                return Some(error);
            }
        };
        if line.send_bytes(piece.get(..read).unwrap_or_default()).is_err() {
            return None;
        }
    }
    let _ = line.send(&Record::End);
    None
}

fn answer(line: &mut Line, bar: &indicatif::ProgressBar) -> Result<Value, Failure> {
    loop {
        match line.receive().map_err(|error| lost(&error))? {
            Record::SoFar(so_far) => {
                let of = |key: &str| so_far.get(key).and_then(Value::as_u64).unwrap_or(0);
                bar.set_position(of("done"));
                bar.set_message(format!("{} changes", of("changes")));
            }
            Record::Done(report) => return Ok(report),
            Record::Failed(said) => return Err(said_failure(&said)),
            Record::Go | Record::Part(_) | Record::Bytes(_) | Record::End => {}
        }
    }
}

fn print(path: &Path, report: &Value) {
    let text = |key: &str| match report.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let at = report.get("created_at_ms").and_then(Value::as_i64).unwrap_or(0);
    println!("file:    {}", path.display());
    println!("from:    {}, {} (UTC+8)", text("exporter"), time_words(at));
    println!(
        "changes: {} new, {} here already, {} refused",
        text("new"),
        text("known"),
        text("refused")
    );
    println!("photos:  {} new", text("blobs"));
    let reasons = report.get("reasons").and_then(Value::as_object);
    for (reason, count) in reasons.into_iter().flatten() {
        println!("refused: {count} because: {reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bundle: &str, part: u64, follows: &str) -> Value {
        json!({"bundle": bundle, "part": part, "follows": follows, "flaw": null})
    }

    /// Shows that parts which are not there are named, wherever they are missing, and that all
    /// parts of several bundles in any order are whole.
    #[test]
    fn absent_parts_are_named() {
        let whole = [part("a", 2, "nothing"), part("b", 1, "nothing"), part("a", 1, "part")];
        assert_eq!(missing(&whole), Vec::<String>::new());
        let absent = missing(&[part("a", 2, "part")]).join("; ");
        assert!(absent.contains("part 1 was not") && absent.contains("part 3 and"), "{absent}");
    }
}
