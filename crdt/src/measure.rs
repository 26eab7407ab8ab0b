//! The document work of an intake on its own, for benchmarks that ask how near to it the whole is.
//!
//! It is the store's own code on one thread, without database, signatures or network.

use std::collections::BTreeMap;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, VerifiedChange};

use crate::history::History;
use crate::history::payload::Payload;
use crate::projector::{Projector, Row};

/// Reads the payloads of `changes`, builds each document from those of its changes that are among
/// them, and gives the projection rows of all documents. Payloads that cannot be read are left
/// out, as a store would refuse them.
pub fn document_work(
    changes: &[VerifiedChange],
    projector: &dyn Projector,
    authority: &Authority,
) -> Vec<Row> {
    let mut documents: BTreeMap<Home, Vec<Payload>> = BTreeMap::new();
    for change in changes {
        if let Some(Ok(payload)) = Payload::decode(change) {
            documents.entry(change.header().home).or_default().push(payload);
        }
    }
    documents
        .into_iter()
        .flat_map(|(home, payloads)| {
            projector.rows(&History::new(home, payloads, 0).view(), authority)
        })
        .collect()
}
