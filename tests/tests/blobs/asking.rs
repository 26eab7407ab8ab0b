//! Holes through which a photo could fall: each is a way in which nobody asked for it any more,
//! although somebody had it.

use cunlian_protocol::blob::{BlobMessage, BlobName, Outline};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::StoreRequest;
use cunlian_protocol::wire::{self, Bounded, Message};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::member::key;
use cunlian_tests::world::{one_of_each, open};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::story::*;
use super::world::*;

/// A town that lacks photos, and a village of it whose messages are written by hand.
struct Puppet {
    world: World,
    town: usize,
    connection: ConnectionId,
    read: usize,
    /// What the town has asked for and was not answered.
    open: VecDeque<BlobMessage>,
}

impl Puppet {
    /// The town has these documents of the village, each with the photo it names.
    fn new(photos: &[(u32, &[u8])]) -> Self {
        let [_, town, village] = one_of_each();
        let mut world = World::new(9);
        let at = world.add(&town, &[]);
        let dir = tempfile::tempdir().unwrap();
        let giver = open(dir.path(), &village);
        let writes = photos.iter().map(|(number, photo)| naming(VILLAGE, *number, photo));
        let contents = photos.iter().map(|(_, photo)| photo.to_vec()).collect();
        giver.write_with_blobs(&village.author(1), writes.collect(), contents, 1).unwrap();
        let store = &world.nodes[at].store;
        store.add_certificates(&village.identity.chain).unwrap();
        let (from, scope, changes) = (village.serial(), Scope::everything(), changes(&giver));
        let request =
            StoreRequest::Ingest { from, scope, changes, sender_tiers: 0, at_ms: START_MS };
        store.serve(request).unwrap();
        tell(&mut world, at);
        let puppet = Hostile::new(key(4), village.identity.chain.clone());
        let (connection, mut channel) = world.knock(at, village.public_key());
        channel.peer_key = town.public_key();
        let hello = puppet.greeting(&channel, world.now_ms);
        world.give(at, connection, &wire::encode(&Message::Hello(hello)));
        let mut puppet = Self { world, town: at, connection, read: 0, open: VecDeque::new() };
        // It never compares; after a while the town asks all the same.
        puppet.run(61_000);
        puppet
    }

    fn run(&mut self, ms: i64) {
        self.world.run(ms);
        assert!(self.world.nodes[self.town].closed.is_empty());
        let said = said(&self.world);
        for (_, message) in said.iter().skip(self.read) {
            if matches!(message, BlobMessage::Want { .. } | BlobMessage::WantOutline { .. }) {
                self.open.push_back(message.clone());
            }
        }
        self.read = said.len();
    }

    /// The village says something.
    fn say(&mut self, message: BlobMessage) {
        let frame = wire::encode(&Message::Blob(message));
        self.world.give(self.town, self.connection, &frame);
        self.run(1);
    }

    /// The village answers the first question; gives document and blob.
    fn answer(
        &mut self,
        answer: impl FnOnce(&BlobMessage) -> BlobMessage,
    ) -> (KeyPrefix, BlobName) {
        let question = self.open.pop_front().expect("the town asks for something");
        let (BlobMessage::Want { document, blob, .. }
        | BlobMessage::WantOutline { document, blob }) = &question
        else {
            panic!("{question:?} is no question");
        };
        let about = (document.clone(), *blob);
        self.say(answer(&question));
        about
    }

    fn has(&self, photo: &[u8]) -> bool {
        is_whole(&self.world.nodes[self.town].store, photo)
    }
}

/// The true answer to a question about one of these photos.
fn truly(photos: &[&[u8]], question: &BlobMessage) -> BlobMessage {
    let content = |blob: &BlobName| {
        let found = photos.iter().find(|photo| name_of(photo) == *blob);
        found.unwrap_or_else(|| panic!("nobody has {blob:?}"))
    };
    if let BlobMessage::WantOutline { blob, .. } = question {
        let outline = Outline::of(content(blob)).unwrap();
        return BlobMessage::Outline { values: Bounded(outline.values().to_vec()) };
    }
    let BlobMessage::Want { blob, from, length, .. } = question else {
        panic!("{question:?} is no question");
    };
    let (from, length) = (*from as usize, *length as usize);
    BlobMessage::Part { bytes: Bounded(content(blob)[from..from + length].to_vec()) }
}

/// Shows that a photo which two documents name is asked for under the other one when the peer does
/// not have it under the first.
#[test]
fn under_another_document_it_may_be_had() {
    let photo = content(1, 500);
    let mut village = Puppet::new(&[(1, &photo), (2, &photo)]);
    let (first, _) = village.answer(|_| BlobMessage::None);
    village.run(2_000);
    let (second, _) = village.answer(|question| truly(&[&photo], question));
    assert_ne!(first, second);
    assert!(village.has(&photo));
}

/// Shows that a peer that lacks a hundred photos is asked for the hundred-and-first, also on a line
/// so slow that what it lacks could be asked for again before.
#[test]
fn the_last_of_many_is_asked_for() {
    let photos: Vec<Vec<u8>> = (0..101).map(|seed| content(seed, 300)).collect();
    let named: Vec<(u32, &[u8])> = (1..).zip(photos.iter().map(Vec::as_slice)).collect();
    let mut village = Puppet::new(&named);
    let mut asked = BTreeSet::new();
    for _ in 0..150 {
        village.run(5_000);
        for _ in 0..village.open.len() {
            let (_, blob) = village.answer(|_| BlobMessage::None);
            asked.insert(blob);
        }
    }
    assert_eq!(asked.len(), photos.len());
}

/// Shows that what a peer has not, and says to have later, comes although answers from before are
/// still on their way then.
#[test]
fn an_old_answer_does_not_end_a_new_question() {
    let photo = content(3, 60 * CHUNK);
    let mut village = Puppet::new(&[(1, &photo)]);
    // Quick answers, until several questions are under way.
    while village.open.len() < 3 {
        village.answer(|question| truly(&[&photo], question));
    }
    let late = village.open.len() - 1;
    village.answer(|_| BlobMessage::None);
    village.say(BlobMessage::Held(Bounded(vec![(name_of(&photo), Tier::Village.bit())])));
    village.run(1_000);
    for _ in 0..late {
        village.answer(|_| BlobMessage::None);
    }
    let mut steps = 0;
    while !village.has(&photo) {
        village.answer(|question| truly(&[&photo], question));
        steps += 1;
        assert!(steps < 1_000, "there is no end to it");
    }
}

/// Shows that wrong bytes of one photo keep nobody from the others, that this one is not asked for
/// again, and that who gives nothing but wrong bytes is asked for nothing more.
#[test]
fn one_spoiled_photo_does_not_stop_the_others() {
    let photos: Vec<Vec<u8>> = (0..100).map(|seed| content(seed, 300)).collect();
    let named: Vec<(u32, &[u8])> = (1..).zip(photos.iter().map(Vec::as_slice)).collect();
    let all: Vec<&[u8]> = photos.iter().map(Vec::as_slice).collect();
    let spoiled = |question: &BlobMessage| {
        let BlobMessage::Want { length, .. } = question else {
            panic!("{question:?} is not asked for of a photo of one chunk");
        };
        BlobMessage::Part { bytes: Bounded(vec![0; *length as usize]) }
    };
    let mut village = Puppet::new(&named);
    let (_, bad) = village.answer(spoiled);
    let mut asked: BTreeMap<BlobName, u32> = BTreeMap::new();
    for _ in 0..200 {
        village.run(1_000);
        while !village.open.is_empty() {
            let (_, blob) = village.answer(|question| truly(&all, question));
            *asked.entry(blob).or_default() += 1;
        }
    }
    assert_eq!((asked.len(), asked.get(&bad)), (photos.len() - 1, None));
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");

    let mut village = Puppet::new(&named);
    let mut given = 0;
    for _ in 0..200 {
        village.run(1_000);
        while !village.open.is_empty() {
            village.answer(spoiled);
            given += 1;
        }
    }
    assert!((64..=70).contains(&given), "{given} times wrong bytes were taken from it");
    let notices = &village.world.nodes[village.town].notices;
    assert_eq!(notices.iter().filter(|notice| notice.contains("wrong bytes")).count(), 64);
}

/// Shows that what waits for the line is answered as soon as the line has taken what was sent
/// before, whatever else happens.
#[test]
fn a_line_that_is_free_again_is_used() {
    let [_, town, village] = one_of_each();
    let mut world = World::new(9);
    let at = world.add(&town, &[]);
    let photo = content(4, CHUNK);
    let store = &world.nodes[at].store;
    let write = naming(VILLAGE, 1, &photo);
    let document = KeyPrefix::document(&write.home);
    store.write_with_blobs(&town.author(1), vec![write], vec![photo.clone()], 1).unwrap();
    let asker = Hostile::new(key(4), village.identity.chain.clone());
    let (connection, mut channel) = world.knock(at, village.public_key());
    channel.peer_key = town.public_key();
    let hello = asker.greeting(&channel, world.now_ms);
    world.give(at, connection, &wire::encode(&Message::Hello(hello)));
    world.run(1_000);
    for _ in 0..12 {
        let (document, blob) = (document.clone(), name_of(&photo));
        let want =
            BlobMessage::Want { document, blob, from: 0, length: u32::try_from(CHUNK).unwrap() };
        world.give(at, connection, &wire::encode(&Message::Blob(want)));
    }
    world.run(1_000);
    let parts = |world: &World| bytes_sent(world, at) / CHUNK;
    let before = parts(&world);
    assert!((1..12).contains(&before), "{before} parts wait for nothing");
    world.wrote(at, connection, 1 << 20);
    world.run(100);
    let after = parts(&world);
    assert!(after > before, "the line is free, and nothing is sent");
}

/// Shows that the part of a photo which a town has goes on to the county, although the village that
/// took it is out of reach, and that the rest comes later.
#[test]
fn what_is_here_in_part_is_passed_on() {
    let (mut world, [county, town, village]) = three_tiers();
    world.run(1_000);
    world.cut(county, town);
    let photo = content(5, 40 * CHUNK);
    save(&mut world, village, 1, &photo);
    world.frames_until_cut = Some(60);
    world.run(5_000);
    let at_town = here(&world.nodes[town].store, &photo);
    assert!(at_town > 0 && at_town < photo.len() as u64, "{at_town} bytes");
    world.cut(town, village);
    world.frames_until_cut = None;
    world.heal(county, town);
    world.run(60_000);
    assert_eq!(here(&world.nodes[county].store, &photo), at_town);
    world.tape.clear();
    world.heal(town, village);
    world.run(60_000);
    assert!(is_whole(&world.nodes[county].store, &photo));
    let rest = photo.len() - usize::try_from(at_town).unwrap();
    assert_eq!(bytes_sent(&world, town), rest);
    assert_sound(&world);
}
