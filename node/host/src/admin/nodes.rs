//! The nodes that this one has certified: how they are, and letting one in again that was copied.
//!
//! Of each child the latest certificate counts. What it holds is read from its journal
//! ([`crate::journal`]); whether two machines use it, from its lineage tokens.

use std::collections::BTreeMap;

use cunlian_crdt::store::{Quota, QuotaUse};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::revocation::{Revocation, RevocationId};
use cunlian_protocol::session::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AdminError, Administration, pending};
use crate::clock::Judgement;
use crate::journal::{self, Entry};
use crate::keystore::hex;
use crate::regions::own_region;

/// What is asked about the children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodesAction {
    /// All of them.
    List,
    /// Lets the machine in that comes next with the identity of this child, which then is
    /// certified anew.
    Release {
        /// Its name, or the beginning of its serial.
        name: String,
    },
    /// Has this machine's own clock believed.
    BelieveClock,
    /// Gives a child bounds of its own on what is taken from it, or the usual ones again.
    Quota {
        /// Its name, or the beginning of its serial.
        name: String,
        /// What to change.
        bounds: Bounds,
    },
}

/// Bounds on what is taken from a child, as far as they are to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Begin with the usual ones.
    pub usual: bool,
    /// Changes in all.
    pub changes: Option<u64>,
    /// Bytes in all.
    pub bytes: Option<u64>,
    /// Changes in one day.
    pub day_changes: Option<u64>,
    /// Bytes in one day.
    pub day_bytes: Option<u64>,
    /// Bytes of photos and files in all.
    #[serde(default)]
    pub blob_bytes: Option<u64>,
}

/// One child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Name in its certificate.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Its own address.
    pub region: String,
    /// Serial of its certificate.
    pub serial: Serial,
    /// End of the certificate, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Why it is not in force, in words; absent when it is.
    pub refusal: Option<String>,
    /// Whether two machines use its identity, or an old state came back.
    pub forked: bool,
    /// Whether another certificate waits for it.
    pub waiting: bool,
    /// Ids of the revocations known here that its journal does not have.
    pub lacks: Vec<String>,
    /// Receipts for what it purged, and how many of them differ from what is held here.
    pub purges: usize,
    /// Receipts with a part that differs.
    pub purges_that_differ: usize,
    /// Alarms in its journal: two changes with one number, two machines with one identity.
    pub alarms: Vec<Entry>,
    /// What has been taken from it, in all and today.
    pub taken: QuotaUse,
    /// The bounds on that.
    pub bounds: Quota,
}

impl Administration {
    /// Does it.
    pub fn nodes(&self, action: &NodesAction) -> Result<Value, AdminError> {
        match action {
            NodesAction::List => to_json(self.children()?),
            NodesAction::Release { name } => to_json(self.release_child(name)?),
            NodesAction::BelieveClock => {
                self.clock.believe_system();
                to_json(self.clock.check() == Judgement::Unknown)
            }
            NodesAction::Quota { name, bounds } => to_json(self.bound_child(name, bounds)?),
        }
    }

    /// The nodes certified by this one, by address and name.
    pub fn children(&self) -> Result<Vec<Child>, AdminError> {
        let authority = self.store.authority();
        let forked = self.store.forked()?;
        let waiting = pending::subjects(&self.store)?;
        let now_ms = (self.now_ms)();
        let mut children = Vec::new();
        for certificate in children_of(&authority, &self.identity).into_values() {
            let journal = journal::journal_of(&self.store, &certificate)?;
            let body = certificate.body();
            let (taken, bounds) = self.store.quota(&body.subject, now_ms)?;
            let held = |id: &RevocationId| journal.revocations.contains_key(id);
            let lacks = authority.revocations().map(Revocation::id).filter(|id| !held(id));
            children.push(Child {
                name: body.name.clone(),
                tier: body.tier,
                region: own_region(&certificate).to_string(),
                serial: certificate.serial(),
                not_after_ms: body.not_after_ms,
                refusal: authority.valid_at(&certificate, now_ms).err().map(|r| r.to_string()),
                forked: forked.contains(&body.subject),
                waiting: waiting.contains(&body.subject),
                lacks: lacks.map(|id| hex(&id.0)).collect(),
                purges: journal.purges.len(),
                purges_that_differ: journal.purges.iter().filter(|p| !p.differs.is_empty()).count(),
                alarms: journal.alarms.into_iter().map(|(_, alarm)| alarm).collect(),
                taken,
                bounds,
            });
        }
        children.sort_by(|one, other| (&one.region, &one.name).cmp(&(&other.region, &other.name)));
        Ok(children)
    }

    fn bound_child(&self, name: &str, change: &Bounds) -> Result<Child, AdminError> {
        let children = self.children()?;
        let named: Vec<&Child> = children.iter().filter(|child| child.is_named(name)).collect();
        let [child] = named.as_slice() else { return Err(not_one(named.len(), name)) };
        let authority = self.store.authority();
        let Some(subject) = authority.get(&child.serial).map(|c| c.body().subject) else {
            return Err(not_one(0, name));
        };
        let now_ms = (self.now_ms)();
        if change.usual {
            self.store.set_quota(&subject, None)?;
        }
        let (_, mut bounds) = self.store.quota(&subject, now_ms)?;
        let before = bounds;
        bounds.changes = change.changes.unwrap_or(bounds.changes);
        bounds.bytes = change.bytes.unwrap_or(bounds.bytes);
        bounds.day_changes = change.day_changes.unwrap_or(bounds.day_changes);
        bounds.day_bytes = change.day_bytes.unwrap_or(bounds.day_bytes);
        bounds.blob_bytes = change.blob_bytes.unwrap_or(bounds.blob_bytes);
        if bounds != before {
            self.store.set_quota(&subject, Some(bounds))?;
        }
        let (taken, bounds) = self.store.quota(&subject, now_ms)?;
        Ok(Child { taken, bounds, ..(*child).clone() })
    }

    fn release_child(&self, name: &str) -> Result<Child, AdminError> {
        let children = self.children()?;
        let mut named: Vec<&Child> = children.iter().filter(|child| child.is_named(name)).collect();
        // Machines that joined anew leave others of their name behind.
        if named.iter().any(|child| child.forked) {
            named.retain(|child| child.forked);
        }
        let [child] = named.as_slice() else { return Err(not_one(named.len(), name)) };
        let subject = self.store.authority().get(&child.serial).map(|c| c.body().subject);
        let released = match subject {
            Some(subject) => self.store.release(&subject)?,
            None => false,
        };
        if released {
            return Ok((*child).clone());
        }
        Err(AdminError::new(format!("{} is not kept out", child.name))
            .hint("only a child whose identity two machines used is released"))
    }
}

impl Child {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || (name.len() >= 4 && self.serial.to_string().starts_with(name))
    }
}

/// Of each key certified by this node the latest certificate. A key that was changed for
/// another is left out.
pub fn children_of(authority: &Authority, own: &Identity) -> BTreeMap<PublicKey, Certificate> {
    // Looking through the keys that this node had before takes long, and there are few issuers.
    let mut is_own: BTreeMap<Serial, bool> = BTreeMap::new();
    let mut latest: BTreeMap<PublicKey, Certificate> = BTreeMap::new();
    for certificate in authority.certificates() {
        let Some(issuer) = certificate.body().issuer else { continue };
        let own_key = || {
            let issuer = authority.get(&issuer);
            issuer.is_some_and(|issuer| own.is_own_key(&issuer.body().subject))
        };
        if certificate.body().kind != AuthorKind::Node
            || !*is_own.entry(issuer).or_insert_with(own_key)
        {
            continue;
        }
        let newer = |known: &Certificate| {
            // One that was replaced is not the latest, whatever its date.
            let at = |c: &Certificate| {
                let stands = authority.revocations_of(&c.serial()).is_empty();
                (stands, c.body().issued_at_ms, c.serial())
            };
            at(certificate) > at(known)
        };
        let subject = certificate.body().subject;
        if latest.get(&subject).is_none_or(newer) {
            latest.insert(subject, certificate.clone());
        }
    }
    latest.retain(|subject, certificate| {
        let revocations = authority.revocations_of(&certificate.serial()).iter();
        let successors = revocations.filter_map(|revocation| revocation.body().successor);
        let mut successors = successors.filter_map(|serial| authority.get(&serial));
        !successors.any(|successor| successor.body().subject != *subject)
    });
    latest
}

fn not_one(count: usize, name: &str) -> AdminError {
    AdminError::new(format!("{count} children are named {name}"))
        .hint("cunlian node list shows names and serials")
}

fn to_json(value: impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(value).map_err(AdminError::new)
}
