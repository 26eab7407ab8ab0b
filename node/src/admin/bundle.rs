//! Bundles at this node: for whom, of what, and the passing of their bytes between the node and
//! the command that has the file.
//!
//! The node never opens the file: it may run as another user, or where the stick is not seen. The
//! command reads and writes it, and the bytes pass over a [`Line`]. The layout of a bundle, and
//! what is checked of it, is in [`cunlian_crdt::bundle`].

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cunlian_crdt::bundle::{
    self, ExportError, Exported, Flaw, Follows, Head, ImportError, Imported, Output, Owner, Plan,
    Unreadable,
};
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificate::read_address;
use super::{AdminError, Administration};
use crate::keystore::hex;
use crate::service::{ControlError, begin_bundle, own_regions};

/// How often it is looked whether an hour has passed.
const NOTE_EVERY: Duration = Duration::from_mins(10);

pub mod line;

use line::{Incoming, Line, Record};

/// What is to be done with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Make one; its bytes come back.
    Export(Export),
    /// Take one part in; its bytes are sent after [`Record::Go`].
    Import,
}

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Name, serial or address of the node it is for.
    pub recipient: Option<String>,
    /// Address codes it is cut down to.
    pub regions: Vec<String>,
    /// Only what came after this.
    pub since: Option<Since>,
    /// Most bytes of a part.
    pub part_bytes: Option<u64>,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// This long ago, in milliseconds, by the time that the node trusts.
    Ago(i64),
    /// Milliseconds since 1970-01-01 UTC.
    At(i64),
}

/// Begins what is wished at the node of a data directory, by the node itself if it runs.
pub fn begin(data_dir: &Path, wish: &Wish) -> Result<Line, AdminError> {
    let stream = match begin_bundle(data_dir, wish) {
        Err(ControlError::NotRunning { .. }) => {
            let administration = Administration::open(data_dir)?;
            let (here, there) = UnixStream::pair().map_err(AdminError::new)?;
            let wish = wish.clone();
            std::thread::spawn(move || administration.bundle(&wish, there, Arc::default()));
            here
        }
        outcome => outcome.map_err(AdminError::new)?,
    };
    Line::new(stream, Arc::default()).map_err(AdminError::new)
}

impl Administration {
    /// Does what is wished over a socket, until it is done, the other side goes away, or `stop` is
    /// set because the node stops.
    pub fn bundle(&self, wish: &Wish, stream: UnixStream, stop: Arc<AtomicBool>) {
        let served = Line::new(stream, stop).and_then(|mut line| {
            let outcome = match wish {
                Wish::Export(export) => self.export_bundle(export, &mut line),
                Wish::Import => self.import_bundle(&mut line),
            };
            line.send(&match outcome {
                Ok(value) => Record::Done(value),
                Err(AdminError { message, hint }) => {
                    Record::Failed(json!({"message": message, "hint": hint}))
                }
            })
        });
        if let Err(error) = served {
            tracing::debug!(%error, "the command with a bundle went away");
        }
    }

    fn export_bundle(&self, export: &Export, line: &mut Line) -> Result<Value, AdminError> {
        let now_ms = (self.now_ms)();
        bundle::note_arrivals(&self.store, now_ms)?;
        let recipient = export.recipient.as_deref().map(|who| self.recipient(who)).transpose()?;
        let regions = export.regions.iter().map(|text| read_address(text));
        let mut number = [0; 16];
        rand::rng().fill_bytes(&mut number);
        let plan = Plan {
            bundle: number,
            recipient,
            regions: regions.collect::<Result<_, _>>()?,
            since_ms: export.since.map(|since| match since {
                Since::Ago(span_ms) => now_ms.saturating_sub(span_ms),
                Since::At(at_ms) => at_ms,
            }),
            part_bytes: export.part_bytes,
            now_ms,
        };
        let mut told = line.try_clone().map_err(AdminError::new)?;
        let mut output = |output: Output<'_>| match output {
            Output::Part(part) => line.send(&Record::Part(part)),
            Output::Bytes(bytes) => line.send_bytes(bytes),
        };
        // Who goes away is noticed by the bytes.
        let mut progress = |done: u64, of: u64| {
            let _ = told.send(&Record::SoFar(json!({"done": done, "of": of})));
        };
        let made = bundle::export(&self.store, &self.identity, &plan, &mut output, &mut progress);
        let Exported { parts, changes, blobs, bytes } =
            made.map_err(|error| cannot_export(&error))?;
        tracing::info!(changes, parts, "a bundle was exported");
        Ok(json!({
            "bundle": hex(&number),
            "for": plan.recipient.as_ref().map(|certificate| &certificate.body().name),
            "for_serial": plan.recipient.as_ref().map(Certificate::serial),
            "regions": plan.regions,
            "since_ms": plan.since_ms,
            "created_at_ms": now_ms,
            "parts": parts,
            "changes": changes,
            "blobs": blobs,
            "bytes": bytes,
        }))
    }

    fn import_bundle(&self, line: &mut Line) -> Result<Value, AdminError> {
        let now_ms = (self.now_ms)();
        bundle::note_arrivals(&self.store, now_ms)?;
        line.send(&Record::Go).map_err(AdminError::new)?;
        let mut told = line.try_clone().map_err(AdminError::new)?;
        let input = Incoming::new(line.try_clone().map_err(AdminError::new)?);
        let owner = Owner { identity: &self.identity, now_ms };
        let mut progress = |so_far: &Imported, bytes: u64| {
            let _ = told.send(&Record::SoFar(json!({"done": bytes, "changes": so_far.changes})));
        };
        let imported = bundle::import(&self.store, owner, input, &mut progress);
        let imported = imported.map_err(|error| cannot_import(&error))?;
        let (exporter, new, refused) = (&imported.exporter, imported.new, imported.refusals());
        tracing::info!(exporter, new, refused, "a bundle was taken in");
        Ok(taken_in(&imported))
    }

    /// The node that is meant: by serial, name or login as everywhere, or by the address it
    /// stands for.
    fn recipient(&self, who: &str) -> Result<Certificate, AdminError> {
        let desk = self.desk()?;
        let is_node = |certificate: &&Certificate| certificate.body().kind == AuthorKind::Node;
        let found = match read_address(who) {
            Ok(address) => {
                let stands_for = |c: &&Certificate| own_regions(c).contains(&address);
                let valid = |c: &&Certificate| desk.authority.valid_at(c, desk.now_ms).is_ok();
                let nodes = desk.authority.certificates().filter(is_node).filter(stands_for);
                let latest = nodes.filter(valid).max_by_key(|c| c.body().issued_at_ms);
                latest.cloned().ok_or_else(|| {
                    AdminError::new(format!("no node that stands for {who} is known here"))
                        .hint("see them all with: cunlian cert tree; or cut by --region")
                })?
            }
            Err(_) => desk.find(who)?.clone(),
        };
        if found.body().kind != AuthorKind::Node {
            return Err(AdminError::new(format!("{who:?} is not a node"))
                .hint("a bundle is for a node; nodes are in: cunlian cert tree"));
        }
        if let Err(refusal) = desk.authority.valid_at(&found, desk.now_ms) {
            let name = &found.body().name;
            return Err(AdminError::new(format!("nothing is exported for {name}: {refusal}")));
        }
        Ok(found)
    }
}

/// Notes about once an hour how far the log has come, for bundles of what came since a time.
pub async fn keep_arrivals(administration: Administration) {
    loop {
        let Administration { store, clock, .. } = administration.clone();
        let noted = move || bundle::note_arrivals(&store, clock.now_ms());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(noted).await {
            tracing::debug!(%error, "how far the log has come is noted later");
        }
        tokio::time::sleep(NOTE_EVERY).await;
    }
}

fn cannot_export(error: &ExportError) -> AdminError {
    let hint = match error {
        ExportError::NothingInCommon => "see what each may read with: cunlian cert show",
        ExportError::PartTooSmall => "ask for larger parts: --split 100M",
        ExportError::TooManyRegions => "name the region that all of them are in",
        ExportError::Store(_) => "see how the node is with: cunlian status",
        ExportError::Io(_) => "run the same command again; what was begun does no harm",
    };
    AdminError::new(error).hint(hint)
}

fn cannot_import(error: &ImportError) -> AdminError {
    let hint = match error {
        ImportError::Unreadable(Unreadable::NotABundle) => {
            "bundles are made with: cunlian bundle export"
        }
        ImportError::Unreadable(Unreadable::Newer { .. }) => {
            "the node that exported it runs a newer program; update this one"
        }
        ImportError::Unreadable(Unreadable::Head) => "copy the file again, or export it again",
        ImportError::Unreadable(Unreadable::Io(_)) => {
            "run the same command again; what was taken in stays"
        }
        ImportError::OtherFederation { .. } | ImportError::NotANode { .. } => {
            "ask who gave you the file where it is from; nothing of it was used"
        }
        ImportError::Certificate(_) => {
            "if the exporter joined lately, connect this node once, or ask for a bundle of the \
             node above both"
        }
        ImportError::Exporter(_) => {
            "who is left of that place has to be certified anew and export again"
        }
        ImportError::Store(_) => "see how the node is with: cunlian status; then run it again",
    };
    AdminError::new(error).hint(hint)
}

fn taken_in(imported: &Imported) -> Value {
    let Imported { head, exporter, changes, new, known, refused, total, follows, flaw, .. } =
        imported;
    let mut value = described(head);
    if let Some(value) = value.as_object_mut() {
        let more = json!({
            "exporter": exporter,
            "changes": changes,
            "new": new,
            "known": known,
            "refused": imported.refusals(),
            "blobs": imported.blobs,
            "postponed": imported.postponed,
            "reasons": refused,
            "total": total,
            "follows": follows_word(*follows),
            "whole": imported.is_whole(),
            "flaw": flaw.as_ref().map(Flaw::to_string),
        });
        value.extend(more.as_object().cloned().unwrap_or_default());
    }
    value
}

/// What a head says, for people and their programs.
pub fn described(head: &Head) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json!({
        "bundle": hex(&head.bundle),
        "part": head.part,
        "root": head.root,
        "for": head.recipient.as_ref().map(|recipient| text(&recipient.name.0)),
        "for_serial": head.recipient.as_ref().map(|recipient| recipient.serial),
        "regions": head.regions.0,
        "since_ms": head.since_ms,
        "created_at_ms": head.created_at_ms,
        "expected": head.changes,
        "software": text(&head.software.0),
    })
}

/// What follows a seal, as in JSON.
pub const fn follows_word(follows: Follows) -> &'static str {
    match follows {
        Follows::More => "more",
        Follows::Part => "part",
        Follows::Nothing => "nothing",
    }
}
