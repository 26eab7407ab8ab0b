//! What the stories share: contents, documents that name them, and what was said on the lines.

use std::collections::BTreeSet;

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::{BlobContent, Store};
use cunlian_protocol::blob::{
    BlobMessage, BlobName, BlobReference, BlobReply, BlobRequest, Missing,
};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, StoreReply, StoreRequest};
use cunlian_protocol::wire::{self, Frame, Message};
use cunlian_tests::member::Member;
use cunlian_tests::world::{carried, one_of_each, under};

use super::world::*;

pub(crate) use cunlian_tests::world::{OTHER_VILLAGE, VILLAGE};

pub(crate) const PHOTO: Category = Category::TICKET_PHOTO;
pub(crate) const CHUNK: usize = 64 << 10;

/// 高青县, 高城镇 and 苑兴村, each dialling the one above.
pub(crate) fn three_tiers() -> (World, [usize; 3]) {
    let [county, town, village] = one_of_each();
    let mut world = World::new(7);
    let at_county = world.add(&county, &[]);
    let at_town = world.add(&town, &[county.public_key()]);
    let at_village = world.add(&village, &[town.public_key()]);
    (world, [at_county, at_town, at_village])
}

/// Content that looks like no other and compresses badly.
pub(crate) fn content(seed: u32, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut content);
    content
}

pub(crate) fn name_of(content: &[u8]) -> BlobName {
    BlobReference::of(content, "image/jpeg").unwrap().name
}

/// A document that names this content.
pub(crate) fn naming(address: &str, document: u32, content: &[u8]) -> Write {
    let text = BlobReference::of(content, "image/jpeg").unwrap().to_string();
    let edits = vec![Edit::Put { field: "photo".to_owned(), text }];
    let home = home(PHOTO, address, document);
    Write { home, edits, source: "plate".to_owned(), task: String::new() }
}

/// Saves a photo at a node, and lets its hub know.
pub(crate) fn save(world: &mut World, at: usize, document: u32, content: &[u8]) -> Home {
    let author = world.nodes[at].member.author(1);
    let write = naming(VILLAGE, document, content);
    let (home, contents) = (write.home, vec![content.to_vec()]);
    let store = &world.nodes[at].store;
    store.write_with_blobs(&author, vec![write], contents, world.now_ms).unwrap();
    tell(world, at);
    home
}

/// The hub of a node is told that its store has changed.
pub(crate) fn tell(world: &mut World, at: usize) {
    let author = world.nodes[at].member.author(1);
    world.write(at, &author, Vec::new());
}

pub(crate) fn is_whole(store: &Store, content: &[u8]) -> bool {
    match store.blob(&name_of(content)).unwrap() {
        Some(BlobContent::Whole(found)) => {
            assert!(found == content, "the content is another");
            true
        }
        Some(BlobContent::OnItsWay { .. }) | None => false,
    }
}

/// Bytes of a blob that are here.
pub(crate) fn here(store: &Store, content: &[u8]) -> u64 {
    store.blob_state(&name_of(content)).unwrap().map_or(0, |standing| standing.here)
}

/// What a store would ask of a child now, in one look.
pub(crate) fn missing(store: &Store, child: &Member) -> Missing {
    let (scope, from) = (Scope::everything(), child.public_key());
    let (active, without, after) = (Vec::new(), BTreeSet::new(), None);
    let request =
        BlobRequest::Missing { scope, from, limited: true, active, without, after, at_ms: 1 };
    let reply = store.serve(StoreRequest::Blob(request)).unwrap();
    let StoreReply::Blob(BlobReply::Missing(found)) = reply else { panic!("{reply:?}") };
    found
}

/// All changes of a store that name photos.
pub(crate) fn changes(store: &Store) -> Vec<Carried> {
    carried(&under(store, &KeyPrefix::category(PHOTO)))
}

/// What was said about blobs, with the number of who said it.
pub(crate) fn said(world: &World) -> Vec<(usize, BlobMessage)> {
    let read = |(from, frame): &(usize, Vec<u8>)| match wire::decode(&frame[4..]) {
        Ok(Frame::Message(Message::Blob(message))) => Some((*from, message)),
        Ok(Frame::Message(_) | Frame::Batch { .. }) | Err(_) => None,
    };
    world.tape.iter().filter_map(read).collect()
}

/// Bytes of contents that a node has sent.
pub(crate) fn bytes_sent(world: &World, from: usize) -> usize {
    let parts = said(world).into_iter().map(|(sender, message)| {
        let BlobMessage::Part { bytes } = message else { return 0 };
        if sender == from { bytes.0.len() } else { 0 }
    });
    parts.sum()
}

pub(crate) fn assert_sound(world: &World) {
    for node in &world.nodes {
        let report = node.store.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}
