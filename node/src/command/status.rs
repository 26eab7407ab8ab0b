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
    let now_ms = status.get("as_of_ms").and_then(Value::as_i64).unwrap_or_default();
    for peer in status.get("peers").and_then(Value::as_array).into_iter().flatten() {
        for line in link(peer, now_ms) {
            println!("{line}");
        }
    }
}

/// What a link is doing, what has not passed yet, and how long it takes.
fn link(peer: &Value, now_ms: i64) -> Vec<String> {
    let text = |key: &str| peer.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| peer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let time = |key: &str| peer.get(key).and_then(Value::as_i64);
    let doing = if text("activity").is_empty() { text("state") } else { text("activity") };
    let mut first = format!("{:<7} {:<16} {doing:<12}", text("role"), text("name"));
    if let Some(at_ms) = time("as_of_ms") {
        first.push_str(&format!(" heard {} ago", span_ms(now_ms - at_ms)));
    }
    match time("last_success_ms") {
        Some(at_ms) => first.push_str(&format!(", in step {} ago", span_ms(now_ms - at_ms))),
        None => first.push_str(", not in step yet"),
    }
    if let Some(at_ms) = time("next_attempt_ms") {
        first.push_str(&format!(", next attempt in {}", span_ms(at_ms - now_ms)));
    }
    let mut lines = vec![first];
    let mut more = |line: String| lines.push(format!("        {line}"));
    let mut waiting =
        format!("waiting {}, {} bytes", number("pending_changes"), number("pending_bytes"));
    if let Some(at_ms) = time("pending_since_ms") {
        waiting.push_str(&format!(", the oldest recorded {} ago", span_ms(now_ms - at_ms)));
    }
    more(waiting);
    if number("expected_changes") > 0 {
        let since = time("expected_since_ms").map_or(0, |at_ms| now_ms - at_ms);
        let (changes, bytes) = (number("expected_changes"), number("expected_bytes"));
        more(format!("expected {changes}, about {bytes} bytes, for {}", span_ms(since)));
    }
    if let Some(rate) = peer.get("rate").filter(|rate| !rate.is_null()) {
        let of = |key: &str| rate.get(key).and_then(Value::as_u64).unwrap_or_default();
        let milli = of("milli_changes");
        let mut line =
            format!("rate {}.{}/s, {} bytes/s", milli / 1_000, milli % 1_000 / 100, of("bytes"));
        if let Some(seconds) = peer.get("remaining_s").and_then(Value::as_i64) {
            line.push_str(&format!(", {} left", span_ms(seconds.saturating_mul(1_000))));
        }
        more(line);
    }
    if number("disputed") > 0 {
        more(format!("refused by one side: {}", number("disputed")));
    }
    if let Some(update) = peer.pointer("/skew/update").and_then(Value::as_str) {
        let name = text("name");
        let who = if update == "this" { "this node" } else { name };
        more(format!("no common version of the protocol: update the program of {who}"));
    }
    for (key, words) in [("postponed", "postponed by the peer"), ("error", "last problem")] {
        if !text(key).is_empty() {
            more(format!("{words}: {}", text(key)));
        }
    }
    lines
}

/// A span of time, in one unit.
fn span_ms(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
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
