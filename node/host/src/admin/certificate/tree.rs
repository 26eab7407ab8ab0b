//! All certificates known here, as the tree they form under the root key.

use std::collections::BTreeMap;

use cunlian_protocol::certificate::{AuthorKind, Certificate, Tier};
use cunlian_protocol::id::{PublicKey, Serial};
use serde::{Deserialize, Serialize};

use super::card::State;
use super::{AdminError, Desk};

/// The tree of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The root key.
    pub root: PublicKey,
    /// All certificates, each before those it issued.
    pub certificates: Vec<Branch>,
}

/// One certificate in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Certificates from here to the root, this one included.
    pub depth: usize,
    /// Its serial.
    pub serial: Serial,
    /// Who issued it; `None` for the root.
    pub issuer: Option<Serial>,
    /// Name of the holder.
    pub name: String,
    /// What the holder is.
    pub kind: AuthorKind,
    /// Tier of the node, or of the node the person works at.
    pub tier: Tier,
    /// End of validity, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Whether it can be used.
    pub state: State,
    /// Changes by the holder that are in this store.
    pub changes: u64,
    /// Whether it is this node's.
    pub own: bool,
}

impl Desk<'_> {
    pub(crate) fn tree(&self) -> Result<Tree, AdminError> {
        let changes = self.changes_by_author()?;
        let mut below: BTreeMap<Option<Serial>, Vec<&Certificate>> = BTreeMap::new();
        for certificate in self.authority.certificates() {
            below.entry(certificate.body().issuer).or_default().push(certificate);
        }
        for issued in below.values_mut() {
            issued.sort_by(|a, b| {
                let order = |c: &Certificate| (c.body().kind != AuthorKind::Node, c.body().tier);
                let name = |c: &Certificate| (c.body().name.clone(), c.body().issued_at_ms);
                (order(b), name(b)).cmp(&(order(a), name(a)))
            });
        }
        // Reversed above, because the last one on the stack comes first.
        let mut waiting = below.remove(&None).unwrap_or_default();
        let mut certificates = Vec::new();
        while let Some(certificate) = waiting.pop() {
            let serial = certificate.serial();
            let body = certificate.body();
            certificates.push(Branch {
                depth: certificate.depth(),
                serial,
                issuer: body.issuer,
                name: body.name.clone(),
                kind: body.kind,
                tier: body.tier,
                not_after_ms: body.not_after_ms,
                state: self.state(certificate),
                changes: changes.get(&serial).copied().unwrap_or(0),
                own: serial == self.own,
            });
            waiting.extend(below.remove(&Some(serial)).unwrap_or_default());
        }
        Ok(Tree { root: self.authority.root(), certificates })
    }

    /// Answered from the index over authors alone.
    fn changes_by_author(&self) -> Result<BTreeMap<Serial, u64>, AdminError> {
        Ok(self.store.changes_by_author()?)
    }
}
