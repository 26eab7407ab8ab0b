//! `cunlian bundle show`: reads a file through, trusting nobody.
//!
//! Of a bundle that is sealed it shows what is in the clear, and the rest where the node it is
//! sealed for has its key.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use cunlian_crdt::bundle::{Reader, Unreadable};
use cunlian_host::admin::bundle::{described, follows_word};
use cunlian_host::keystore::{Keystore, NODE_KEY};
use cunlian_host::local_time::time_words;
use cunlian_protocol::signing::SigningKey;
use serde_json::{Value, json};

use super::super::{DataDir, print_json};
use super::UNSOUND;
use crate::failure::{Failure, Outcome};

/// Arguments of `bundle show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let name = self.file.display();
        let file =
            File::open(&self.file).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let keys = self.keys();
        let keys: Vec<&SigningKey> = keys.iter().collect();
        let mut reader = Reader::open(BufReader::new(file), &keys)
            .map_err(|error| Failure::new(format!("{name}: {error}")).hint(hint(&error)))?;
        let flaw = loop {
            match reader.segment()? {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(flaw) => break Some(flaw.to_string()),
            }
        };
        let opened = reader.opened();
        let mut shown = described(reader.cover(), opened.map(|opened| &opened.head));
        if let Some(shown) = shown.as_object_mut() {
            let more = json!({
                "tier": opened.map(|opened| opened.exporter.tier.name()),
                "changes": opened.map(|_| reader.count().changes),
                "total": opened.map(|_| reader.count().total),
                "bytes": reader.bytes(),
                "follows": follows_word(reader.stamp().follows),
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

    /// The keys of the node that lives here; none where there is no node, or for who may not read
    /// them.
    fn keys(&self) -> Vec<SigningKey> {
        let keystore = Keystore::new(&self.data.data_dir);
        let next = keystore.next_key().ok().flatten();
        keystore.key(NODE_KEY).into_iter().chain(next).collect()
    }
}

fn hint(error: &Unreadable) -> &'static str {
    match error {
        Unreadable::NotABundle => "bundles are made with: cunlian bundle export",
        Unreadable::Newer { .. } => "update this program",
        Unreadable::Older { .. } => "export it again, with a newer program",
        Unreadable::NotSealedSo { .. } => "ask who gave you the file where it is from",
        Unreadable::Head | Unreadable::Io(_) => "copy the file again, or export it again",
    }
}

fn print(shown: &Value) {
    let text = |key: &str| match shown.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let time = |key: &str| shown.get(key).and_then(Value::as_i64).map(time_words);
    let is = |key: &str| shown.get(key) == Some(&Value::Bool(true));
    // Who is named here is proved only when a node takes the bundle in.
    println!("says it is from: {} ({})", text("exporter"), text("exporter_address"));
    if is("sealed") {
        println!("for:     {} ({}), sealed", text("for"), text("for_address"));
    } else {
        println!("for:     nobody in particular: open to whoever has the file");
    }
    println!("made:    {} (UTC+8)", time("created_at_ms").unwrap_or_default());
    println!("part:    {}, {} bytes", text("part"), text("bytes"));
    if is("opened") {
        let regions = shown.get("regions").and_then(Value::as_array);
        for region in regions.into_iter().flatten().filter_map(Value::as_str) {
            println!("region:  {region}");
        }
        if let Some(since) = time("since_ms") {
            println!("since:   {since} (UTC+8)");
        }
        println!("changes: {} in this file, about {} in all", text("changes"), text("expected"));
    } else {
        println!("the rest is shown at that node only, to the user that the node runs as");
    }
    if shown.get("follows").and_then(Value::as_str) == Some("part") {
        println!("another part follows");
    }
}
