//! Taking a bundle into a store, with the checks of a session.
//!
//! | who | may |
//! |---|---|
//! | any node in force | bring in what both may read, by whoever it was written |
//! | a child whose certificate has run out or was replaced | the same: it hands up what waits |
//! | a node above, by its own clock when it exported | the same, and say what it holds |
//! | anybody else | nothing |
//!
//! What is sealed is opened by the node's own key, or by the one it has made to follow it.
//! Segments are taken in one after the other and batches each in a transaction, so an import that
//! was killed is done again from the beginning: what is there is known and passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{self, Authority, Refusal};
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::session::Identity;
use cunlian_protocol::succession::{self, Succession};
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use cunlian_protocol::wire::{self, Frame, Message};

use super::photos::{Incoming, KIND_BLOB, KIND_CHUNK, KIND_OWNERS, Taken};
use super::reading::{Flaw, Opened, Reader, Segment, Unreadable};
use super::{Cover, Follows, Head, Party, Receiver};
use crate::store::{Fault, Store};

/// Most different reasons of refusals that are told.
const REASONS: usize = 20;

/// The node that takes a bundle in.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Who it is.
    pub identity: &'a Identity,
    /// Trusted time, milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
}

/// What was taken in of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What the part says in the clear.
    pub cover: Cover,
    /// What it says about itself beside.
    pub head: Head,
    /// Name of the exporter.
    pub exporter: String,
    /// Changes read.
    pub changes: u64,
    /// Of these, changes that were new here.
    pub new: u64,
    /// Of these, changes that were here already.
    pub known: u64,
    /// Photos and files that became whole.
    pub blobs: u64,
    /// Changes that may come later: the exporter has sent as much as it may for now.
    pub postponed: u64,
    /// Which bounds were reached on what the exporter may send, each in words.
    pub bounds: BTreeSet<String>,
    /// Reasons of refusals, each with its number of changes; certificates and revocations count
    /// as one each. Of very many different ones the first are told.
    pub refused: BTreeMap<String, u64>,
    /// Changes in this part and those before it up to where it was read.
    pub total: u64,
    /// What should come after what was read.
    pub follows: Follows,
    /// Why the rest was not used; absent when the part is whole.
    pub flaw: Option<Flaw>,
}

/// Why nothing, or nothing more, was taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not for reading.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is sealed for another node.
    #[error("the bundle is sealed for {name:?} ({address}), and only that node can open it")]
    ForAnother {
        /// Name of that node.
        name: String,
        /// The address it stands for.
        address: AddressCode,
    },
    /// It is sealed for this node, but for a key that it does not have.
    #[error(
        "the bundle is sealed for a key of {name:?} that this node does not have: its key has \
         changed, or it took the place of another machine; {exporter:?} has to export again"
    )]
    AnotherKey {
        /// Name of the receiver.
        name: String,
        /// Who says that it exported it.
        exporter: String,
    },
    /// It was made in another federation.
    #[error("the bundle is from another federation (root {root})")]
    OtherFederation {
        /// Root key of that federation.
        root: PublicKey,
    },
    /// The certificates of the exporter do not verify.
    #[error("the certificates of the exporter do not verify: {0}")]
    Certificate(#[from] cunlian_protocol::certificate::CertificateError),
    /// The exporter is not a node.
    #[error("{name:?} is not a node, and only nodes export bundles")]
    NotANode {
        /// Who it is.
        name: String,
    },
    /// The exporter was revoked, or has run out.
    #[error("nothing is taken from the exporter: {0}")]
    Exporter(Refusal),
    /// The store cannot take changes now.
    #[error(transparent)]
    Store(#[from] Fault),
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(Unreadable::Io(error))
    }
}

/// Takes one part in; `progress` is told what has been so far, with the bytes read.
pub fn import(
    store: &Store,
    owner: Owner<'_>,
    input: impl Read,
    progress: &mut dyn FnMut(&Imported, u64),
) -> Result<Imported, ImportError> {
    // Its issuer may have certified the next key already, and the answer have been lost.
    let keys = [Some(&owner.identity.key), owner.identity.next_key.as_ref()];
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    let mut reader = Reader::open(input, &keys)?;
    let cover = reader.cover().clone();
    let Some(Opened { head, exporter }) = reader.opened().cloned() else {
        return Err(not_ours(store, owner, &cover));
    };
    let mut sender = Sender::check(store, owner, &head, cover.created_at_ms)?;
    let mut imported = Imported {
        cover,
        head,
        exporter: exporter.name,
        changes: 0,
        new: 0,
        known: 0,
        blobs: 0,
        postponed: 0,
        bounds: BTreeSet::new(),
        refused: BTreeMap::new(),
        total: 0,
        follows: Follows::More,
        flaw: None,
    };
    loop {
        match reader.segment()? {
            Ok(None) => return Ok(imported),
            Ok(Some(segment)) => {
                let at = (segment.count.total, segment.stamp.follows);
                sender.take_in(segment, &mut imported, &mut |so_far| {
                    progress(so_far, reader.bytes());
                })?;
                (imported.total, imported.follows) = at;
            }
            Err(flaw) => {
                imported.flaw = Some(flaw);
                return Ok(imported);
            }
        }
        // A revocation may have come that takes the right of the exporter away.
        sender.check_in_force()?;
    }
}

/// Why a bundle that this node has no key for is not for it.
fn not_ours(store: &Store, owner: Owner<'_>, cover: &Cover) -> ImportError {
    let Some(Receiver { node, .. }) = &cover.receiver else {
        unreachable!("a bundle that is not sealed is open to everybody");
    };
    let own = owner.identity.certificate.serial();
    let known = store.authority();
    let was_replaced = |certificate: &Certificate| {
        let standing = known.valid_at(certificate, owner.now_ms);
        matches!(standing, Err(Refusal::Replaced { successor, .. }) if successor == own)
    };
    let mut of_key = known.certificates().filter(|c| c.body().subject == node.key);
    let place = Party::of(owner.identity.certificate.body());
    let is_this_place = owner.identity.is_own_key(&node.key)
        || (&place.address, &place.name) == (&node.address, &node.name)
        || of_key.any(was_replaced);
    if is_this_place {
        return ImportError::AnotherKey { name: node.name(), exporter: cover.exporter.name() };
    }
    ImportError::ForAnother { name: node.name(), address: node.address }
}

/// The exporter, as far as it matters for what it brings.
struct Sender<'a> {
    store: &'a Store,
    certificate: Certificate,
    scope: Scope,
    /// Its tier bit, when it stands above this node.
    tiers: u8,
    is_child: bool,
    created_at_ms: i64,
    now_ms: i64,
    blobs: Incoming,
}

impl<'a> Sender<'a> {
    fn check(
        store: &'a Store,
        owner: Owner<'_>,
        head: &Head,
        created_at_ms: i64,
    ) -> Result<Self, ImportError> {
        let successions: Vec<Vec<u8>> = head.successions.0.iter().map(|s| s.0.clone()).collect();
        let authority = store.authority();
        if !authority.roots().any(|root| root == head.root) {
            return Err(ImportError::OtherFederation { root: head.root });
        }
        store.add_successions(&successions)?;
        let authority = store.authority();
        let chain: Vec<Vec<u8>> = head.chain.0.iter().map(|bytes| bytes.0.clone()).collect();
        let certificate = authority.verify_chain(&chain)?;
        let body = certificate.body();
        if body.kind != AuthorKind::Node {
            return Err(ImportError::NotANode { name: body.name.clone() });
        }
        let list: Vec<Succession> =
            successions.iter().filter_map(|bytes| Succession::verify(bytes).ok()).collect();
        let above = subjects(&owner.identity.chain);
        let is_above = above.iter().any(|key| succession::leads(&list, key, &body.subject));
        let issuer = subjects(&chain).last().copied();
        let own = authority::read_scope(&owner.identity.certificate);
        let sender = Self {
            store,
            scope: own.intersection(&authority::read_scope(&certificate)),
            tiers: if is_above { body.tier.bit() } else { 0 },
            is_child: issuer.is_some_and(|key| owner.identity.is_own_key(&key)),
            created_at_ms,
            now_ms: owner.now_ms,
            blobs: Incoming::default(),
            certificate,
        };
        sender.check_in_force()?;
        store.add_certificates(&chain)?;
        Ok(sender)
    }

    fn check_in_force(&self) -> Result<(), ImportError> {
        let authority: &Authority = &self.store.authority();
        // The clock of a node above is believed, as in a session.
        let at_ms = if self.tiers == 0 { self.now_ms } else { self.created_at_ms };
        match authority.valid_at(&self.certificate, at_ms) {
            Ok(()) => Ok(()),
            Err(Refusal::Expired { .. } | Refusal::Replaced { .. }) if self.is_child => Ok(()),
            Err(refusal) => Err(ImportError::Exporter(refusal)),
        }
    }

    fn take_in(
        &mut self,
        segment: Segment,
        imported: &mut Imported,
        progress: &mut dyn FnMut(&Imported),
    ) -> Result<(), ImportError> {
        for frame in segment.frames {
            if let Some((kind @ (&KIND_BLOB | &KIND_CHUNK | &KIND_OWNERS), body)) =
                frame.split_first()
            {
                self.blob(*kind, body, imported)?;
                continue;
            }
            match wire::decode(&frame) {
                Ok(Frame::Message(Message::Certificates(list))) => {
                    let list: Vec<_> = list.0.into_iter().map(|bytes| bytes.0).collect();
                    imported.refuse(self.store.add_certificates(&list)?);
                }
                Ok(Frame::Message(Message::Revocations(list))) => {
                    let list: Vec<_> = list.0.into_iter().map(|bytes| bytes.0).collect();
                    imported.refuse(self.store.add_revocations(&list)?);
                }
                Ok(Frame::Batch { changes, .. }) => self.batch(changes, imported)?,
                Ok(Frame::Message(_)) => {
                    imported.refuse(["a message that has no place in a bundle".to_owned()]);
                }
                Err(error) => imported.refuse([error.to_string()]),
            }
            progress(imported);
        }
        // Who is below was told of none of this, and is not until it asks.
        if self.tiers != 0 {
            self.store.tell_learned()?;
        }
        Ok(())
    }

    fn blob(&mut self, kind: u8, body: &[u8], imported: &mut Imported) -> Result<(), Fault> {
        let taken = match kind {
            KIND_OWNERS => self.blobs.owners(body, &self.scope),
            KIND_BLOB => self.blobs.blob(self.store, body, (&self.scope, self.tiers))?,
            _ => {
                let from = (self.certificate.body().subject, self.tiers == 0);
                self.blobs.chunk(self.store, body, from)?
            }
        };
        match taken {
            Taken::Nothing => {}
            Taken::Whole => imported.blobs += 1,
            Taken::Unwanted => imported.refuse([
                "a photo or file that no document here names; of a bundle in parts take in the \
                 first part first"
                    .to_owned(),
            ]),
            Taken::Full(why) => {
                imported.bounds.insert(why.clone());
                imported.refuse([why]);
            }
            Taken::Unsound => imported.refuse(["a photo or file is not what it says".to_owned()]),
        }
        Ok(())
    }

    fn batch(&self, mut changes: Vec<Carried>, imported: &mut Imported) -> Result<(), ImportError> {
        if self.tiers == 0 {
            for change in &mut changes {
                change.reached = 0;
            }
        }
        imported.changes += changes.len() as u64;
        let (from, scope) = (self.certificate.serial(), self.scope.clone());
        let (sender_tiers, at_ms) = (self.tiers, self.now_ms);
        let request = StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms };
        let StoreReply::Ingested { fates, .. } = self.store.serve(request)? else {
            unreachable!("the store answers a batch with fates");
        };
        for (_, fate) in fates {
            match fate {
                Fate::Accepted => imported.new += 1,
                Fate::Known => imported.known += 1,
                Fate::Refused { reason } => imported.refuse([reason]),
                Fate::Postponed { reason } => {
                    imported.postponed += 1;
                    imported.bounds.insert(reason.clone());
                    imported.refuse([reason]);
                }
            }
        }
        Ok(())
    }
}

impl Imported {
    fn refuse(&mut self, reasons: impl IntoIterator<Item = String>) {
        for reason in reasons {
            let full = self.refused.len() >= REASONS && !self.refused.contains_key(&reason);
            let reason = if full { "other reasons".to_owned() } else { reason };
            *self.refused.entry(reason).or_default() += 1;
        }
    }

    /// Changes, certificates, revocations, photos and files that were refused or postponed.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Whether the part was read to its end, and nothing in it has to be taken in again later.
    pub fn is_whole(&self) -> bool {
        self.flaw.is_none() && self.follows != Follows::More && self.postponed == 0
    }
}

/// Keys of those above the last of a chain.
fn subjects(chain: &[Vec<u8>]) -> Vec<PublicKey> {
    let above = chain.split_last().map(|(_, above)| above).unwrap_or_default();
    above.iter().filter_map(|bytes| Certificate::peek(bytes).ok()).map(|b| b.subject).collect()
}
