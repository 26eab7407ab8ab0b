//! `cunlian status`: how the node is, as it says itself.

use clap::Args;
use cunlian_host::control::ask_status;
use serde_json::Value;

use super::DataDir;
use crate::failure::{Failure, Outcome};

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
    let beyond = status.get("beyond_bounds").and_then(Value::as_u64).unwrap_or_default();
    if beyond > 0 {
        println!("{beyond} documents hold more than counts of one; cunlian verify names them");
    }
    let now_ms = status.get("as_of_ms").and_then(Value::as_i64).unwrap_or_default();
    for line in photos(status.get("photos"), now_ms) {
        println!("{line}");
    }
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
        for line in (Link { peer, now_ms }).lines() {
            println!("{line}");
        }
    }
    for line in ledger(status.get("ledger")) {
        println!("{line}");
    }
}

/// Who fills this node: of each child what is here, and what is fullest.
fn ledger(ledger: Option<&Value>) -> Vec<String> {
    let children = ledger.and_then(|ledger| ledger.get("children")).and_then(Value::as_array);
    let mut lines = Vec::new();
    for child in children.into_iter().flatten() {
        let name = child.get("name").and_then(Value::as_str).unwrap_or_default();
        let entries = child.get("entries").and_then(Value::as_array);
        let entries: Vec<Entry> = entries.into_iter().flatten().filter_map(Entry::of).collect();
        let here = entries.iter().filter(|entry| entry.bound.is_none());
        let here: Vec<String> =
            here.map(|entry| format!("{} {}", entry.what, entry.used)).collect();
        lines.push(format!("kept    {name:<16} {}", here.join(", ")));
        let full = entries.iter().filter_map(|entry| Some((entry, entry.bound?)));
        for (place, (Entry { what, used, .. }, bound)) in full.enumerate() {
            let percent = used.saturating_mul(100).checked_div(bound).unwrap_or(100);
            if place == 0 || percent >= 80 {
                lines.push(format!("        {what}: {used} of {bound} ({percent} %)"));
            }
        }
    }
    lines
}

/// One figure of a ledger.
struct Entry<'a> {
    what: &'a str,
    used: u64,
    bound: Option<u64>,
}

impl<'a> Entry<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let what = value.get("what")?.as_str()?;
        let bound = value.get("bound").and_then(Value::as_u64);
        Some(Self { what, used: value.get("used")?.as_u64()?, bound })
    }
}

/// One link of a status.
struct Link<'a> {
    peer: &'a Value,
    now_ms: i64,
}

impl Link<'_> {
    fn text(&self, key: &str) -> &str {
        self.peer.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, key: &str) -> u64 {
        self.peer.get(key).and_then(Value::as_u64).unwrap_or_default()
    }

    fn time(&self, key: &str) -> Option<i64> {
        self.peer.get(key).and_then(Value::as_i64)
    }

    /// How long ago something was, after these words.
    fn ago(&self, words: &str, key: &str) -> Option<String> {
        let at_ms = self.time(key)?;
        Some(format!("{words} {} ago", span_ms(self.now_ms - at_ms)))
    }

    /// What it is doing, what has not passed yet, and how long it takes.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.doing()];
        let rest = [Some(self.waiting()), self.photos(), self.expected(), self.rate()];
        let rest = rest.into_iter().flatten().chain(self.problems());
        lines.extend(rest.map(|line| format!("        {line}")));
        lines
    }

    fn doing(&self) -> String {
        let activity = self.text("activity");
        let doing = if activity.is_empty() { self.text("state") } else { activity };
        let first = format!("{:<7} {:<16} {doing:<12}", self.text("role"), self.text("name"));
        let in_step = self.ago("in step", "last_success_ms");
        let next = self.time("next_attempt_ms");
        let said = [
            self.ago("heard", "as_of_ms"),
            Some(in_step.unwrap_or_else(|| "not in step yet".to_owned())),
            next.map(|at_ms| format!("next attempt in {}", span_ms(at_ms - self.now_ms))),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        format!("{first} {}", said.join(", "))
    }

    fn waiting(&self) -> String {
        let (changes, bytes) = (self.number("pending_changes"), self.number("pending_bytes"));
        let oldest = self.ago(", the oldest recorded", "pending_since_ms").unwrap_or_default();
        format!("waiting {changes}, {bytes} bytes{oldest}")
    }

    /// Photos and files that wait for a parent.
    fn photos(&self) -> Option<String> {
        let photos = self.peer.get("photos")?;
        let text = backlog("photos waiting", photos, "pending", self.now_ms);
        text.filter(|_| self.text("role") == "parent")
    }

    /// Those that one side does not take now.
    fn photos_not_taken(&self) -> Option<String> {
        let photos = self.peer.get("photos")?;
        let number = |key: &str| photos.get(key).and_then(Value::as_u64).unwrap_or_default();
        let why = photos.get("not_taken_why").and_then(Value::as_str)?;
        let by = if self.text("role") == "parent" { "by the peer" } else { "here" };
        let (count, bytes) = (number("not_taken"), number("not_taken_bytes"));
        Some(format!("photos not taken {by}: {count}, {bytes} bytes: {why}"))
    }

    fn expected(&self) -> Option<String> {
        let changes = Some(self.number("expected_changes")).filter(|changes| *changes > 0)?;
        let bytes = self.number("expected_bytes");
        let since = self.time("expected_since_ms").map_or(0, |at_ms| self.now_ms - at_ms);
        Some(format!("expected {changes}, about {bytes} bytes, for {}", span_ms(since)))
    }

    fn rate(&self) -> Option<String> {
        let rate = self.peer.get("rate").filter(|rate| !rate.is_null())?;
        let of = |key: &str| rate.get(key).and_then(Value::as_u64).unwrap_or_default();
        let (milli, bytes) = (of("milli_changes"), of("bytes"));
        let left = self.time("remaining_s").map(|seconds| span_ms(seconds.saturating_mul(1_000)));
        let left = left.map(|span| format!(", {span} left")).unwrap_or_default();
        Some(format!("rate {}.{}/s, {bytes} bytes/s{left}", milli / 1_000, milli % 1_000 / 100))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.number("disputed") > 0 {
            problems.push(format!("refused by one side: {}", self.number("disputed")));
        }
        if let Some(update) = self.peer.pointer("/skew/update").and_then(Value::as_str) {
            let who = if update == "this" { "this node" } else { self.text("name") };
            let words = "no common version of the protocol: update the program of";
            problems.push(format!("{words} {who}"));
        }
        for (key, words) in [("postponed", "postponed by the peer"), ("error", "last problem")] {
            if !self.text(key).is_empty() {
                problems.push(format!("{words}: {}", self.text(key)));
            }
        }
        problems.extend(self.photos_not_taken());
        problems
    }
}

/// Photos and files of the whole node that are on their way.
fn photos(photos: Option<&Value>, now_ms: i64) -> Vec<String> {
    let Some(photos) = photos else { return Vec::new() };
    let mut lines: Vec<String> = [("photos missing", "missing"), ("photos waiting", "waiting")]
        .into_iter()
        .filter_map(|(words, key)| backlog(words, photos, key, now_ms))
        .collect();
    if let Some(why) = photos.get("none_taken").and_then(Value::as_str) {
        lines.push(format!("photos are not taken: {why}"));
    }
    lines
}

/// How many photos there are under a key, how large they are and how old the oldest is; none when
/// there are none.
fn backlog(words: &str, photos: &Value, key: &str, now_ms: i64) -> Option<String> {
    let number = |key: String| photos.get(key).and_then(Value::as_u64).unwrap_or_default();
    let count = Some(number(key.to_owned())).filter(|count| *count > 0)?;
    let bytes = number(format!("{key}_bytes"));
    let since_ms = photos.get(format!("{key}_since_ms")).and_then(Value::as_i64);
    let oldest = since_ms.map(|at_ms| span_ms(now_ms - at_ms));
    let oldest = oldest.map(|span| format!(", the oldest recorded {span} ago")).unwrap_or_default();
    Some(format!("{words} {count}, {bytes} bytes{oldest}"))
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
