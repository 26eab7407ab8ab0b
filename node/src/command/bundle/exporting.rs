//! `cunlian bundle export`.
//!
//! Parts are written under names that begin with a dot, synced, and renamed when all are whole, so
//! a file that has its name is whole. What an earlier run left is written anew.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use cunlian_host::admin::bundle::line::{Line, Record};
use cunlian_host::admin::bundle::{self, BundleRequest, Since};
use cunlian_host::control;
use cunlian_host::local_time::time_words;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::super::membership::{failure, parse_span_ms};
use super::super::{DataDir, print_json};
use super::bar;
use crate::failure::{Failure, Outcome};

/// Exit code of a wrong command line.
const USAGE: u8 = 2;
/// Most characters taken over from what a bundle is for into the name of its file.
const NAME_CHARS: usize = 40;

/// Arguments of `bundle export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    data: DataDir,
    /// Node that is to have it, by name, serial or address: it gets what both may read, and only
    /// it can open the file
    #[arg(long = "for", value_name = "NODE")]
    recipient: Option<String>,
    /// For nobody in particular: write personal data that whoever has the file can read
    #[arg(long, requires = "region", conflicts_with = "recipient")]
    open: bool,
    /// Only what is at this address or below; may be given several times
    #[arg(long, value_name = "CODE")]
    region: Vec<String>,
    /// Only what came here since then: 7d, 36h, 2026-11-15 or 2026-11-15T08:00 (UTC+8)
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Since>,
    /// Cut into files FILE.001, FILE.002 … of at most this size, such as 700M or 4G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    split: Option<u64>,
    /// File to write; named after what it is for and the time when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) fn run(self) -> Outcome {
        if self.recipient.is_none() && !self.open {
            return Err(Failure::new("it is not said for whom the bundle is to be sealed")
                .hint(
                    "name the node with --for NODE; or, if whoever has the file may read the \
                     personal data in it, say --region CODE --open",
                )
                .code(USAGE));
        }
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(self.name()));
        let out = std::path::absolute(out)?;
        let mut files = Files::new(&out, self.split.is_some())?;
        let wish = BundleRequest::Export(bundle::Export {
            recipient: self.recipient,
            open: self.open,
            regions: self.region,
            since: self.since,
            part_bytes: self.split,
        });
        let mut line = control::begin_bundle(&self.data.data_dir, &wish).map_err(failure)?;
        let made = match receive(&mut line, &mut files) {
            Ok(made) => made,
            Err(error) => {
                files.discard();
                return Err(error);
            }
        };
        let written = files.keep()?;
        if self.open {
            eprintln!(
                "warning: the bundle is open: it holds personal data, and whoever has the file can \
                 read it; carry it yourself, and wipe the stick afterwards"
            );
        }
        if self.json {
            let mut made = made;
            if let Some(made) = made.as_object_mut() {
                let entry = |(path, bytes): &(PathBuf, u64)| json!({"path": path, "bytes": bytes});
                let list: Vec<Value> = written.iter().map(entry).collect();
                made.insert("files".to_owned(), Value::from(list));
            }
            return print_json(&made);
        }
        for (path, bytes) in &written {
            println!("file:    {} ({bytes} bytes)", path.display());
        }
        if let Some(receiver) = made.get("for").and_then(Value::as_str) {
            println!("for:     {receiver}, and nobody else can open it");
        }
        println!("changes: {}", made.get("changes").unwrap_or(&Value::Null));
        println!("photos:  {}", made.get("blobs").unwrap_or(&Value::Null));
        if let Some(since_ms) = made.get("since_ms").and_then(Value::as_i64) {
            println!("since:   {} (UTC+8)", time_words(since_ms));
        }
        println!("there:   cunlian bundle import {}", name_of(&out, self.split.is_some()));
        Ok(())
    }

    /// A name for the file: what it is for, and when it was made.
    fn name(&self) -> String {
        let whom = self.recipient.as_deref().or(self.region.first().map(String::as_str));
        let allowed = |c: char| if c.is_alphanumeric() { c } else { '-' };
        let whom: String = whom.unwrap_or_default().chars().take(NAME_CHARS).map(allowed).collect();
        let now = Offset::constant(8).to_datetime(Timestamp::now());
        format!("cunlian-{whom}-{}.bundle", now.strftime("%Y%m%d-%H%M%S"))
    }
}

fn name_of(out: &Path, split: bool) -> String {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    if split { format!("{name}.*") } else { name.into_owned() }
}

fn receive(line: &mut Line, files: &mut Files) -> Result<Value, Failure> {
    let bar = bar("{bar:40} {percent:>3}% {human_pos} changes, {eta} left");
    loop {
        match line.receive().map_err(|error| lost(&error))? {
            Record::Part(number) => files.begin(number)?,
            Record::Bytes(bytes) => files.write(&bytes)?,
            Record::SoFar(so_far) => {
                let of = |key: &str| so_far.get(key).and_then(Value::as_u64).unwrap_or(0);
                bar.set_length(of("of"));
                bar.set_position(of("done"));
            }
            Record::Done(made) => {
                bar.finish_and_clear();
                return Ok(made);
            }
            Record::Failed(said) => {
                bar.finish_and_clear();
                return Err(said_failure(&said));
            }
            Record::Go | Record::End => {}
        }
    }
}

/// The failure in the last record of a node.
pub(super) fn said_failure(said: &Value) -> Failure {
    let text = |key: &str| said.get(key).and_then(Value::as_str);
    let failure = Failure::new(text("message").unwrap_or("the node failed"));
    match text("hint") {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The node went away.
pub(super) fn lost(error: &io::Error) -> Failure {
    Failure::new(format!("the node went away: {error}"))
        .hint("see how it is with: cunlian status; then run the same command again")
}

/// The files of a bundle while they are written.
struct Files {
    out: PathBuf,
    split: bool,
    current: Option<File>,
    /// Written so far: name at the end, bytes.
    parts: Vec<(PathBuf, u64)>,
}

impl Files {
    /// Refuses to write over files of another bundle.
    fn new(out: &Path, split: bool) -> Result<Self, Failure> {
        let taken = [out.to_owned(), numbered(out, 1)].into_iter().find(|path| path.exists());
        if let Some(path) = taken {
            return Err(Failure::new(format!("{} exists already", path.display()))
                .hint("name another file with --out, or remove it if it is not needed any more"));
        }
        Ok(Self { out: out.to_owned(), split, current: None, parts: Vec::new() })
    }

    fn begin(&mut self, number: u32) -> Result<(), Failure> {
        self.close()?;
        let path = if self.split { numbered(&self.out, number) } else { self.out.clone() };
        let partial = partial(&path);
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.current = Some(options.open(&partial).map_err(|error| unwritable(&partial, &error))?);
        self.parts.push((path, 0));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let (Some(file), Some((path, written))) = (&mut self.current, self.parts.last_mut()) else {
            return Err(Failure::new("the node sent bytes of no file"));
        };
        file.write_all(bytes).map_err(|error| unwritable(path, &error))?;
        *written += bytes.len() as u64;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        if let Some(file) = self.current.take() {
            file.sync_all().map_err(|error| unwritable(&self.out, &error))?;
        }
        Ok(())
    }

    /// Gives the files their names.
    fn keep(mut self) -> Result<Vec<(PathBuf, u64)>, Failure> {
        self.close()?;
        for (path, _) in &self.parts {
            fs::rename(partial(path), path).map_err(|error| unwritable(path, &error))?;
        }
        if let Some(directory) = self.out.parent() {
            File::open(directory).and_then(|directory| directory.sync_all())?;
        }
        Ok(std::mem::take(&mut self.parts))
    }

    /// Takes away what was begun.
    fn discard(self) {
        for (path, _) in &self.parts {
            // What cannot be taken away now is written anew the next time.
            let _ = fs::remove_file(partial(path));
        }
    }
}

fn numbered(out: &Path, number: u32) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}.{number:03}"))
}

fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("{}: {error}", path.display()));
    if error.kind() == io::ErrorKind::StorageFull {
        return failure.hint("take a larger stick, or cut the bundle into parts with --split");
    }
    failure.hint("see that the directory exists and that you may write there")
}

fn parse_since(text: &str) -> Result<Since, String> {
    let text = text.trim();
    if let Ok(span_ms) = parse_span_ms(text) {
        return Ok(Since::Ago(span_ms));
    }
    let local = text.parse::<DateTime>().or_else(|_| {
        text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight()))
    });
    let wrong =
        || format!("{text:?} is not a time such as 7d, 36h, 2026-11-15 or 2026-11-15T08:00");
    let at = local.ok().and_then(|local| Offset::constant(8).to_timestamp(local).ok());
    at.map(|at| Since::At(at.as_millisecond())).ok_or_else(wrong)
}

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size such as 700M or 4G");
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that times read as lengths or as moments in China, and sizes with their unit.
    #[test]
    fn times_and_sizes_are_read() {
        assert_eq!(parse_since("7d"), Ok(Since::Ago(7 * 86_400_000)));
        let midnight = 1_763_136_000_000;
        assert_eq!(parse_since("2025-11-15"), Ok(Since::At(midnight)));
        assert_eq!(parse_since("2025-11-15T08:00"), Ok(Since::At(midnight + 8 * 3_600_000)));
        assert!(parse_since("yesterday").is_err() && parse_since("15").is_err());
        assert_eq!(parse_size("700M"), Ok(700 << 20));
        assert_eq!(parse_size("4g"), Ok(4 << 30));
        assert_eq!(parse_size("123"), Ok(123));
        assert!(parse_size("many").is_err() && parse_size("99999999999999G").is_err());
    }
}
