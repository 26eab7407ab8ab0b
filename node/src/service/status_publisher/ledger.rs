//! Who fills this node, put together from counts that store and authority keep.
//!
//! A look costs a read of some rows for each child, and only after something was committed or the day
//! is another; who the children are is worked out when certificates change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cunlian_crdt::store::{Kept, KeptOfAll, Quota, QuotaUse, Store};
use cunlian_host::admin::nodes::children_of;
use cunlian_host::status::{ChildLedger, Ledger};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::hub::PeerReport;
use cunlian_protocol::session::Identity;

/// After so long it is read again although nothing was committed: on a new day nothing was taken yet.
const AGAIN_AFTER_MS: i64 = 60_000;

pub(super) struct Ledgers {
    identity: Identity,
    /// Set by every commit.
    changed: Arc<AtomicBool>,
    read_at_ms: i64,
    authority: Option<Arc<Authority>>,
    children: Vec<Certificate>,
    counted: Vec<(Kept, QuotaUse, Quota)>,
    others: Kept,
}

impl Ledgers {
    pub(super) fn new(store: &Store, identity: &Identity) -> Self {
        let changed = Arc::new(AtomicBool::new(true));
        let commits = Arc::clone(&changed);
        store.on_commit(move |_| commits.store(true, Ordering::Release));
        Self {
            identity: identity.clone(),
            changed,
            read_at_ms: i64::MIN,
            authority: None,
            children: Vec::new(),
            counted: Vec::new(),
            others: Kept::default(),
        }
    }

    pub(super) fn look(
        &mut self,
        store: &Store,
        authority: &Arc<Authority>,
        reports: &[PeerReport],
        now_ms: i64,
    ) -> Ledger {
        let known = self.authority.as_ref().is_some_and(|known| Arc::ptr_eq(known, authority));
        if !known {
            self.children = children_of(authority, &self.identity).into_values().collect();
            self.authority = Some(Arc::clone(authority));
            self.changed.store(true, Ordering::Release);
        }
        let old = now_ms.saturating_sub(self.read_at_ms) >= AGAIN_AFTER_MS;
        if self.changed.swap(false, Ordering::AcqRel) || old {
            self.read_at_ms = now_ms;
            // A store that cannot be read is said to be broken elsewhere.
            if self.read(store, now_ms).is_err() {
                self.changed.store(true, Ordering::Release);
            }
        }
        let children = self.children.iter().zip(&self.counted).map(|(certificate, counted)| {
            let of_child = |report: &&PeerReport| {
                let peer = report.peer.and_then(|serial| authority.get(&serial));
                report.connected
                    && peer.is_some_and(|peer| peer.body().subject == certificate.body().subject)
            };
            let session = reports.iter().find(of_child).and_then(|report| report.session.as_ref());
            ChildLedger::of(certificate, authority, *counted, session)
        });
        Ledger::of(children.collect(), self.others)
    }

    fn read(&mut self, store: &Store, now_ms: i64) -> Result<(), cunlian_crdt::store::Fault> {
        let KeptOfAll { by_peer, mut others } = store.kept()?;
        let mut counted = Vec::with_capacity(self.children.len());
        for certificate in &self.children {
            let subject = certificate.body().subject;
            let (used, quota) = store.quota(&subject, now_ms)?;
            counted.push((by_peer.get(&subject).copied().unwrap_or_default(), used, quota));
        }
        let is_child = |key| self.children.iter().any(|child| child.body().subject == key);
        for (_, kept) in by_peer.iter().filter(|(key, _)| !is_child(**key)) {
            others.changes += kept.changes;
            others.bytes += kept.bytes;
            others.documents += kept.documents;
        }
        (self.counted, self.others) = (counted, others);
        Ok(())
    }
}
