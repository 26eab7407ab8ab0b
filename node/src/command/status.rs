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
        let extra = value.get("detail").map(text);
        let name = value.get("state").map(text).unwrap_or_default();
        extra.map_or_else(|| name.clone(), |extra| format!("{name}: {extra}"))
    };
    println!("store {}, clock {}", state("health"), clock(status.get("clock")));
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

/// What is wrong with the machine's clock, by how much, and what the node goes by instead.
fn clock(clock: Option<&Value>) -> String {
    let of = |key: &str| clock.and_then(|clock| clock.get(key));
    let text = |key: &str| of(key).and_then(Value::as_str).unwrap_or_default();
    let Some(ahead_ms) = of("ahead_ms").and_then(Value::as_i64) else {
        return text("state").to_owned();
    };
    let off = match ahead_ms.unsigned_abs() / 60_000 {
        minutes @ 0..2_880 => format!("{minutes} minutes"),
        minutes => format!("{} days", minutes / 1_440),
    };
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let instead = match text("doubt") {
        "parent" => "the node above, whose time is used; set the machine's clock",
        "moved" => "what it was: moved while the node ran, which changed nothing",
        "ahead" => {
            "what was seen last; not believed until the node above says the time \
             (if it is right and there is none: cunlian node believe-clock)"
        }
        _ => {
            "what was seen last, which is used until the node above says the time \
             (if it is right and there is none: cunlian node believe-clock)"
        }
    };
    format!("wrong: {off} {side} {instead}")
}
