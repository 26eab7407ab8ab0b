//! Revoking: taking a certificate back, and seeing which nodes know of it.
//!
//! What it is: from "this person is dismissed" to a signed revocation that says what of the work
//! stands, with what it will do told beforehand. What it is not: the rules of what stands, which
//! are [`cunlian_protocol::revocation`], and what becomes of the rest, which the store does.
//!
//! All certificates for the key of the one that is meant are revoked, older ones too: who has the
//! key could sign with any of them. So are those it was replaced by and those it replaced, whatever
//! their keys: a thief may have asked for a certificate for a key of his own.

use cunlian_crdt::store::RevocationPreview;
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;
use cunlian_protocol::revocation::Revocation;
use serde::{Deserialize, Serialize};

use super::certificate::{Desk, Named};
use super::{AdminError, Administration};
use crate::journal;
use crate::keystore::hex;

mod drafting;

/// What is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRequest {
    /// Name, login, serial or the beginning of one.
    pub who: String,
    /// Why, for people.
    pub reason: String,
    /// The last change that stands; the last one known here if absent.
    pub through_seq: Option<u64>,
    /// Whether nodes below are revoked with it.
    pub with_children: bool,
    /// Only tell what it would do.
    pub dry_run: bool,
}

/// What a revocation did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who was meant.
    pub who: Named,
    /// The certificates taken back: all for one key.
    pub serials: Vec<Serial>,
    /// Ids of the revocations; empty in a dry run.
    pub ids: Vec<String>,
    /// The last change of the certificate that was meant that stands.
    pub through_seq: u64,
    /// People and devices below, whose work stands as far as it is known here.
    pub people: Vec<Named>,
    /// Nodes and their people below that go on.
    pub go_on: Vec<Named>,
    /// Nodes and their people below that are revoked with it.
    pub revoked_with: Vec<Named>,
    /// What it does to the work that is here.
    pub effect: RevocationPreview,
    /// Whether nothing was done.
    pub dry_run: bool,
}

/// One revocation that is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// The certificate taken back.
    pub who: Named,
    /// Who took it back; `None` for the root.
    pub by: Option<Named>,
    /// Why.
    pub reason: String,
    /// The last change that stands; `None` when all do.
    pub through_seq: Option<u64>,
    /// The certificate that takes its place, when it was replaced.
    pub successor: Option<Named>,
    /// Nodes that have noted in their journals that they have it.
    pub held_by: Vec<Named>,
    /// Nodes whose journals are known here and do not have it.
    pub not_held_by: Vec<Named>,
}

impl Administration {
    /// Revokes, or tells what it would do.
    pub fn revoke(&self, wish: &RevocationRequest) -> Result<Revoked, AdminError> {
        let reason = wish.reason.trim();
        if reason.is_empty() || reason.len() > limits::REASON_BYTES {
            return Err(AdminError::new("a revocation needs a reason of at most 400 bytes")
                .hint("say what people should read who find that the work is gone"));
        }
        let desk = self.desk()?;
        let meant = desk.find(&wish.who)?;
        let draft = drafting::draft(&desk, &self.identity.certificate, meant, wish, reason)?;
        let signed = draft.bodies.iter().map(|body| body.sign(&self.identity.key));
        let signed: Vec<Vec<u8>> = signed.collect();
        if let Some(long) = signed.iter().find(|bytes| bytes.len() > limits::REVOCATION_BYTES) {
            let error = format!("the revocation would have {} bytes", long.len());
            return Err(AdminError::new(error)
                .hint("there are too many below it: revoke some of these first"));
        }
        let effect = self.store.preview_revocations(&signed)?.map_err(AdminError::new)?;
        if !wish.dry_run
            && let Some(reason) = self.store.add_revocations(&signed)?.into_iter().next()
        {
            return Err(AdminError::new(reason));
        }
        let ids = signed.iter().map(|bytes| hex(&Revocation::id_of(bytes).0));
        let named = |serials: &[Serial]| serials.iter().map(|serial| desk.named(serial)).collect();
        Ok(Revoked {
            who: desk.named(&meant.serial()),
            serials: draft.bodies.iter().map(|body| body.own.serial).collect(),
            ids: ids.filter(|_| !wish.dry_run).collect(),
            through_seq: draft.through_seq,
            people: named(&draft.people),
            go_on: named(&draft.go_on),
            revoked_with: named(&draft.revoked_with),
            effect,
            dry_run: wish.dry_run,
        })
    }

    /// All revocations, and which nodes have noted them.
    pub fn revocations(&self) -> Result<Vec<Listed>, AdminError> {
        let desk = self.desk()?;
        let journals = journals(&desk)?;
        let list = desk.authority.revocations().map(|revocation| {
            let body = revocation.body();
            let id = hex(&revocation.id().0);
            let (held, not): (Vec<_>, Vec<_>) =
                journals.iter().partition(|(_, noted)| noted.contains(&id));
            let names = |nodes: Vec<&(Named, Vec<String>)>| {
                nodes.into_iter().map(|(node, _)| node.clone()).collect()
            };
            Listed {
                who: desk.named(&body.own.serial),
                by: body.issuer.map(|issuer| desk.named(&issuer)),
                reason: body.reason.clone(),
                through_seq: Some(body.own.through_seq).filter(|seq| *seq != u64::MAX),
                successor: body.successor.map(|successor| desk.named(&successor)),
                held_by: names(held),
                not_held_by: names(not),
                id,
            }
        });
        Ok(list.collect())
    }
}

/// The nodes with a journal here, and the revocations that each has noted itself.
fn journals(desk: &Desk<'_>) -> Result<Vec<(Named, Vec<String>)>, AdminError> {
    let mut journals: Vec<(Named, Vec<String>)> = Vec::new();
    let mut homes = Vec::new();
    let is_node = |c: &&Certificate| c.body().kind == AuthorKind::Node;
    for node in desk.authority.certificates().filter(is_node) {
        // Certificates for one key share a journal.
        let home = journal::home(node);
        if homes.contains(&home) || desk.store.view(&home)?.is_none() {
            continue;
        }
        homes.push(home);
        let noted = journal::journal_of(desk.store, node)?.revocations;
        let newest = desk.newest_of_key(node).serial();
        journals.push((desk.named(&newest), noted.keys().map(|id| hex(&id.0)).collect()));
    }
    Ok(journals)
}
