//! `cunlian bundle show`: reads a file through, trusting nobody.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use cunlian_crdt::bundle::{Reader, Unreadable};
use serde_json::{Value, json};

use super::super::{Failure, Outcome, print_json};
use super::UNSOUND;
use crate::admin::bundle::{described, follows_word};
use crate::admin::certificate::time_words;

/// Arguments of `bundle show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The file
    file: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let name = self.file.display();
        let file =
            File::open(&self.file).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let mut reader = Reader::open(BufReader::new(file)).map_err(|error| {
            let hint = match error {
                Unreadable::NotABundle => "bundles are made with: cunlian bundle export",
                Unreadable::Newer { .. } => "update this program",
                Unreadable::Head | Unreadable::Io(_) => "copy the file again, or export it again",
            };
            Failure::new(format!("{name}: {error}")).hint(hint)
        })?;
        let flaw = loop {
            match reader.segment()? {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(flaw) => break Some(flaw.to_string()),
            }
        };
        let seal = reader.seal();
        let mut shown = described(reader.head());
        if let Some(shown) = shown.as_object_mut() {
            let exporter = reader.exporter();
            let more = json!({
                "exporter": exporter.name,
                "tier": exporter.tier.name(),
                "changes": seal.changes,
                "total": seal.total,
                "follows": follows_word(seal.follows),
                "whole": flaw.is_none(),
                "flaw": flaw,
            });
            shown.extend(more.as_object().cloned().unwrap_or_default());
        }
        if self.json {
            print_json(&shown)?;
        } else {
            print(&shown);
        }
        match flaw {
            None => Ok(()),
            Some(flaw) => Err(Failure::new(format!("{name}: {flaw}"))
                .hint("what comes before that can be imported all the same")
                .code(UNSOUND)),
        }
    }
}

fn print(shown: &Value) {
    let text = |key: &str| match shown.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let time = |key: &str| shown.get(key).and_then(Value::as_i64).map(time_words);
    // Who is named here is proved only when a node takes the bundle in.
    println!("says it is from: {} ({})", text("exporter"), text("tier"));
    if let Some(recipient) = shown.get("for").and_then(Value::as_str) {
        println!("for:     {recipient}");
    }
    let regions = shown.get("regions").and_then(Value::as_array);
    for region in regions.into_iter().flatten().filter_map(Value::as_str) {
        println!("region:  {region}");
    }
    println!("made:    {} (UTC+8)", time("created_at_ms").unwrap_or_default());
    if let Some(since) = time("since_ms") {
        println!("since:   {since} (UTC+8)");
    }
    println!("part:    {}", text("part"));
    println!("changes: {} in this file, about {} in all", text("changes"), text("expected"));
    if shown.get("follows").and_then(Value::as_str) == Some("part") {
        println!("another part follows");
    }
}
