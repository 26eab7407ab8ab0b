//! `cunlian status`: how the node is, as it says itself.

use clap::Args;
use serde_json::Value;

use super::{DataDir, Failure, Outcome};
use crate::service::ask_status;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Outcome {
        let text = ask_status(&self.data.data_dir)
            .map_err(|error| Failure::new(error).hint("start it: cunlian run"))?;
        let status: Value = serde_json::from_str(&text)?;
        if self.json {
            return super::print_json(&status);
        }
        print(&status);
        Ok(())
    }
}

fn print(status: &Value) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of = |key: &str| text(status.get(key).unwrap_or(&Value::Null));
    println!("{} ({}, {}), cunlian {}", of("name"), of("tier"), of("region"), of("version"));
    println!("documents {}, changes {}", of("documents"), of("changes"));
    let state = |key: &str| {
        let value = status.get(key).unwrap_or(&Value::Null);
        let extra = value.get("detail").or_else(|| value.get("ahead_ms")).map(text);
        let name = value.get("state").map(text).unwrap_or_default();
        extra.map_or_else(|| name.clone(), |extra| format!("{name}: {extra}"))
    };
    println!("store {}, clock {}", state("health"), state("clock"));
    if let Some(reason) = status.get("suspended").and_then(Value::as_str) {
        println!("suspended ({reason}): nothing can be saved until the node is confirmed");
    }
    for peer in status.get("peers").and_then(Value::as_array).into_iter().flatten() {
        let of = |key: &str| text(peer.get(key).unwrap_or(&Value::Null));
        print!(
            "{:<7} {:<16} {:<8} waiting {}",
            of("role"),
            of("name"),
            of("state"),
            of("pending_changes")
        );
        match peer.get("error").and_then(Value::as_str) {
            Some(error) => println!("  ({error})"),
            None => println!(),
        }
    }
}
