//! Photos: how many a document names, and how many are asked for at once.

use std::collections::BTreeSet;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::blob::{BlobName, BlobReference, BlobReply, BlobRequest};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{BlobId, DocumentId};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_tests::member::Member;
use cunlian_tests::world::open;

/// A county whose one document names so many photos, none of which is here.
fn naming(photos: u8) -> (tempfile::TempDir, Store, Member) {
    let county = Member::county(2);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &county);
    let edits = (0..photos).map(|number| {
        let name = BlobName { id: BlobId([number; 32]), bytes: limits::BLOB_BYTES };
        let reference = BlobReference { name, media_type: "image/jpeg".to_owned() };
        Edit::Put { field: format!("photo {number:03}"), text: reference.to_string() }
    });
    let address = AddressCode::parse("370322102310").unwrap();
    let (category, document) = (Category::TICKET_PHOTO, DocumentId([1; 16]));
    let home = Home { category, address, document };
    let (source, task) = (String::new(), String::new());
    let write = Write { home, edits: edits.collect(), source, task };
    store.write(&county.author(1), vec![write], 1).unwrap();
    (dir, store, county)
}

/// Shows that of the photos that one document names so many count and no more.
#[test]
fn a_document_names_so_many_photos() {
    let (_dir, store, _) = naming(200);
    let count = |connection: &rusqlite::Connection| {
        let sql = "SELECT count(*) FROM blob_reference";
        connection.query_row(sql, [], |row| row.get::<_, usize>(0))
    };
    assert_eq!(store.read(count).unwrap(), limits::BLOBS_OF_DOCUMENT);
}

/// Shows that of many photos that are missing so many are asked of a peer at once.
#[test]
fn so_many_photos_are_asked_for_at_once() {
    let (_dir, store, county) = naming(50);
    let (scope, from) = (Scope::everything(), county.public_key());
    let (active, without, after) = (Vec::new(), BTreeSet::new(), None);
    let request =
        BlobRequest::Missing { scope, from, limited: false, active, without, after, at_ms: 1 };
    let reply = store.serve(StoreRequest::Blob(request)).unwrap();
    let StoreReply::Blob(BlobReply::Missing(found)) = reply else { panic!("{reply:?}") };
    assert_eq!(found.blobs.len(), limits::BLOBS_AT_ONCE);
    assert!(found.rest.is_some());
}
