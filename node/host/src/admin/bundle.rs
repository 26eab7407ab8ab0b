//! Bundles at this node: for whom, of what, and the passing of their bytes between the node and
//! the command that has the file.
//!
//! The node never opens the file: it may run as another user, or where the stick is not seen. The
//! command reads and writes it, and the bytes pass over a [`Line`]. The layout of a bundle, and
//! what is checked of it, is in [`cunlian_crdt::bundle`].

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cunlian_crdt::bundle::{
    self, Cover, ExportError, Exported, Flaw, Follows, Head, ImportError, Imported, Output, Owner,
    Party, Plan, Unreadable,
};
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificate::read_address;
use super::{AdminError, Administration};
use crate::keystore::hex;
use crate::regions::own_regions;

/// How often it is looked whether an hour has passed.
const NOTE_EVERY: Duration = Duration::from_mins(10);

pub mod line;

use line::{Incoming, Line, Record};

/// What is to be done with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleRequest {
    /// Make one; its bytes come back.
    Export(Export),
    /// Take one part in; its bytes are sent after [`Record::Go`].
    Import,
}

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Name, serial or address of the node it is sealed for.
    pub recipient: Option<String>,
    /// Whether it may be open to whoever has the file, when it is for nobody.
    pub open: bool,
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

impl Administration {
    /// Does what is wished over a socket, until it is done, the other side goes away, or `stop` is
    /// set because the node stops.
    pub fn bundle(&self, wish: &BundleRequest, stream: UnixStream, stop: Arc<AtomicBool>) {
        let served = Line::new(stream, stop).and_then(|mut line| {
            let outcome = match wish {
                BundleRequest::Export(export) => self.export_bundle(export, &mut line),
                BundleRequest::Import => self.import_bundle(&mut line),
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
        if recipient.is_none() && !export.open {
            return Err(AdminError::new("it is not said for whom the bundle is to be sealed")
                .hint("name the node with --for; or write personal data in the open with --open"));
        }
        let regions = export.regions.iter().map(|text| read_address(text));
        let (mut number, mut ephemeral) = ([0; 16], [0; 32]);
        rand::rng().fill_bytes(&mut number);
        rand::rng().fill_bytes(&mut ephemeral);
        let plan = Plan {
            bundle: number,
            recipient,
            ephemeral,
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
            "for_key": plan.recipient.as_ref().map(|certificate| certificate.body().subject),
            "sealed": plan.recipient.is_some(),
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
    /// stands for. Of those with one name or address the one in force; only one can open it.
    fn recipient(&self, who: &str) -> Result<Certificate, AdminError> {
        let desk = self.desk()?;
        let address = read_address(who).ok();
        let in_force = |c: &&Certificate| {
            let is_node = c.body().kind == AuthorKind::Node;
            is_node && desk.authority.valid_at(c, desk.now_ms).is_ok()
        };
        let is_meant = |c: &&Certificate| match &address {
            Some(address) => own_regions(c).contains(address),
            None => c.body().name == who.trim(),
        };
        let meant = desk.authority.certificates().filter(in_force).filter(is_meant);
        let mut meant: Vec<&Certificate> = meant.map(|c| desk.newest_of_key(c)).collect();
        meant.sort_by_key(|certificate| certificate.serial());
        meant.dedup_by_key(|certificate| certificate.serial());
        let found = match meant.as_slice() {
            [one] => (*one).clone(),
            [] if address.is_some() => {
                return Err(AdminError::new(format!(
                    "no node that stands for {who} is known here"
                ))
                .hint("see them all with: cunlian cert tree"));
            }
            [] => desk.find(who)?.clone(),
            several => {
                let each = several.iter().map(|c| format!("{} {}", c.body().name, c.serial()));
                let list = each.collect::<Vec<_>>().join("; ");
                return Err(AdminError::new(format!("{who:?} may be several nodes: {list}"))
                    .hint("only one of them can open the bundle; give its serial"));
            }
        };
        let name = &found.body().name;
        if found.body().kind != AuthorKind::Node {
            return Err(AdminError::new(format!("{who:?} is not a node"))
                .hint("a bundle is for a node; nodes are in: cunlian cert tree"));
        }
        if let Err(refusal) = desk.authority.valid_at(&found, desk.now_ms) {
            return Err(AdminError::new(format!("nothing is exported for {name}: {refusal}"))
                .hint("see what became of it with: cunlian cert tree"));
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
        ExportError::UnfitKey { .. } => "certify that node anew; see it with: cunlian cert show",
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
        ImportError::Unreadable(Unreadable::Older { .. }) => {
            "the node that exported it runs an older program; update that one"
        }
        ImportError::Unreadable(Unreadable::Head) => "copy the file again, or export it again",
        ImportError::ForAnother { .. } => {
            "take the file to that node; or have it exported for this one, with --for"
        }
        ImportError::AnotherKey { .. } => {
            "the exporter has to know the new certificate first, over a line or by a bundle from \
             the node above; then: cunlian bundle export --for this node"
        }
        ImportError::Unreadable(Unreadable::Io(_)) => {
            "run the same command again; what was taken in stays"
        }
        ImportError::Unreadable(Unreadable::NotSealedSo { .. })
        | ImportError::OtherFederation { .. }
        | ImportError::NotANode { .. } => {
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
    let Imported { cover, head, changes, new, known, refused, total, follows, flaw, .. } = imported;
    let mut value = described(cover, Some(head));
    if let Some(value) = value.as_object_mut() {
        let more = json!({
            "changes": changes,
            "new": new,
            "known": known,
            "refused": imported.refusals(),
            "blobs": imported.blobs,
            "postponed": imported.postponed,
            "bounds": imported.bounds,
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

/// What cover and head say, for people and their programs.
pub fn described(cover: &Cover, head: Option<&Head>) -> Value {
    let receiver = cover.receiver.as_ref().map(|receiver| &receiver.node);
    let mut value = json!({
        "bundle": hex(&cover.bundle),
        "part": cover.part,
        "exporter": cover.exporter.name(),
        "exporter_address": cover.exporter.address,
        "for": receiver.map(Party::name),
        "for_address": receiver.map(|node| node.address),
        "for_key": receiver.map(|node| node.key),
        "sealed": receiver.is_some(),
        "opened": head.is_some(),
        "created_at_ms": cover.created_at_ms,
    });
    if let (Some(head), Some(value)) = (head, value.as_object_mut()) {
        let more = json!({
            "root": head.root,
            "regions": head.regions.0,
            "since_ms": head.since_ms,
            "expected": head.changes,
            "software": String::from_utf8_lossy(&head.software.0),
        });
        value.extend(more.as_object().cloned().unwrap_or_default());
    }
    value
}

/// What follows a stamp, as in JSON.
pub const fn follows_word(follows: Follows) -> &'static str {
    match follows {
        Follows::More => "more",
        Follows::Part => "part",
        Follows::Nothing => "nothing",
    }
}
