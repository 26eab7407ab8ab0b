//! To name a photo is not to have it: whose it is, who is given it, and what becomes of it when it is
//! erased.

use std::fs;

use cunlian_crdt::document::Write;
use cunlian_crdt::store::{BlobContent, Store};
use cunlian_protocol::blob::BlobMessage;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::wire::{self, Bounded, Message};
use cunlian_tests::hostile::Hostile;
use cunlian_tests::member::key;
use cunlian_tests::world::one_of_each;

use super::story::*;
use super::world::*;

/// A town with two villages, each with its own member, that hold nothing yet.
struct Story {
    world: World,
    town: usize,
    village: usize,
    other: usize,
}

impl Story {
    fn new() -> Self {
        let [_, town, village] = one_of_each();
        let other = town.certify(5, Tier::Village, OTHER_VILLAGE, "邻村");
        let mut world = World::new(11);
        let at_town = world.add(&town, &[]);
        let at_village = world.add(&village, &[town.public_key()]);
        let at_other = world.add(&other, &[town.public_key()]);
        Self { world, town: at_town, village: at_village, other: at_other }
    }

    fn store(&self, at: usize) -> &Store {
        &self.world.nodes[at].store
    }

    /// A document that names a photo, written at a node, with the content if it has it.
    fn name(&mut self, at: usize, write: Write, content: Option<&[u8]>) {
        let author = self.world.nodes[at].member.author(1);
        let contents = content.map(<[u8]>::to_vec).into_iter().collect();
        self.store(at).write_with_blobs(&author, vec![write], contents, START_MS).unwrap();
        tell(&mut self.world, at);
        self.world.run(60_000);
    }

    /// The document of the other village is erased there.
    fn erase(&mut self) {
        let author = self.world.nodes[self.other].member.author(1);
        let erased = [home(PHOTO, OTHER_VILLAGE, 1)];
        self.store(self.other).erase(&author, &erased, "withdrawn", START_MS).unwrap();
        tell(&mut self.world, self.other);
        self.world.run(60_000);
    }

    fn has(&self, at: usize, address: &str, number: u32, photo: &[u8]) -> bool {
        let held = self.store(at).blob_of(&home(PHOTO, address, number), &name_of(photo)).unwrap();
        held == Some(BlobContent::Whole(photo.to_vec()))
    }

    fn is_sound(&self) -> bool {
        [self.town, self.village, self.other]
            .into_iter()
            .all(|at| self.store(at).verify().unwrap().is_sound())
    }
}

/// Shows that a village which names the photo of another one, by its hash, is neither given it nor
/// told that it is there, whether the photo came before the naming or after it; that the photo is
/// there under its own document all the same; and that its erasure takes it out of all files,
/// although the other document goes on naming it.
#[test]
fn a_photo_is_not_had_by_naming_it() {
    for before in [true, false] {
        let mut story = Story::new();
        let photo = content(3, 2 * CHUNK + 500);
        let named = naming(VILLAGE, 7, &photo);
        if before {
            story.name(story.village, named.clone(), None);
        }
        story.name(story.other, naming(OTHER_VILLAGE, 1, &photo), Some(&photo));
        if !before {
            story.name(story.village, named, None);
        }
        assert!(story.has(story.town, OTHER_VILLAGE, 1, &photo));
        assert!(!story.has(story.town, VILLAGE, 7, &photo));
        assert!(!story.has(story.village, VILLAGE, 7, &photo));
        let piece = &photo[CHUNK + 100..CHUNK + 164];
        assert!(!holds(&story.world, story.village, piece));
        assert!(story.is_sound());
        story.erase();
        for at in [story.town, story.village, story.other] {
            assert!(!holds(&story.world, at, piece), "node {at}");
        }
        assert!(story.is_sound());
    }
}

/// Shows that by no message about blobs a village learns whether a photo is at the town that only
/// another village's document has, though one of its own names it.
#[test]
fn nobody_is_told_of_a_photo_by_its_hash() {
    let [_, town, village] = one_of_each();
    let mut world = World::new(9);
    let at = world.add(&town, &[]);
    let photo = content(2, CHUNK + 88);
    let store = &world.nodes[at].store;
    assert_eq!(store.add_certificates(&village.identity.chain).unwrap(), Vec::<String>::new());
    let theirs = naming(OTHER_VILLAGE, 1, &photo);
    store.write_with_blobs(&town.author(1), vec![theirs], vec![photo.clone()], 1).unwrap();
    // As it comes from the village, which is where its author writes.
    let own = naming(VILLAGE, 1, &photo);
    store.write(&village.author(1), vec![own], 1).unwrap();
    let thief = Hostile::new(key(4), village.identity.chain.clone());
    let (connection, mut channel) = world.knock(at, village.public_key());
    channel.peer_key = town.public_key();
    let hello = thief.greeting(&channel, world.now_ms);
    world.give(at, connection, &wire::encode(&Message::Hello(hello)));
    world.run(1_000);
    world.tape.clear();
    let document = KeyPrefix::document(&home(PHOTO, VILLAGE, 1));
    let blob = name_of(&photo);
    for message in [
        BlobMessage::AskHeld(Bounded(vec![(document.clone(), blob)])),
        BlobMessage::WantOutline { document: document.clone(), blob },
        BlobMessage::Want { document: document.clone(), blob, from: 0, length: 5 },
    ] {
        world.give(at, connection, &wire::encode(&Message::Blob(message)));
        world.run(120_000);
    }
    let answers = said(&world);
    let told = answers.iter().filter(|(_, message)| {
        matches!(
            message,
            BlobMessage::Held(_) | BlobMessage::Outline { .. } | BlobMessage::Part { .. }
        )
    });
    assert_eq!(told.count(), 0, "{answers:?}");
}

/// Shows that a village which has the same photo itself gives it, and has it from then on by its own
/// right: an erasure at the other village leaves it where it was handed in.
#[test]
fn who_has_the_same_photo_keeps_it() {
    let mut story = Story::new();
    let photo = content(5, CHUNK + 9);
    story.name(story.other, naming(OTHER_VILLAGE, 1, &photo), Some(&photo));
    story.name(story.village, naming(VILLAGE, 1, &photo), Some(&photo));
    assert!(story.has(story.town, VILLAGE, 1, &photo));
    story.erase();
    assert!(story.has(story.town, VILLAGE, 1, &photo));
    assert!(story.has(story.village, VILLAGE, 1, &photo));
    let piece = &photo[100..164];
    assert!(!holds(&story.world, story.other, piece));
    assert!(story.is_sound());
}

/// Shows that what a town moves from one village to another takes its photo along, though nobody
/// hands it in again: the town may read both, and so it comes to the other village.
#[test]
fn a_photo_moves_with_its_record() {
    for arrived in [true, false] {
        let mut story = Story::new();
        let photo = content(6, 3 * CHUNK);
        if arrived {
            story.name(story.village, naming(VILLAGE, 1, &photo), Some(&photo));
            story.name(story.town, naming(OTHER_VILLAGE, 1, &photo), None);
        } else {
            story.world.cut(story.town, story.village);
            story.name(story.village, naming(VILLAGE, 1, &photo), Some(&photo));
            story.name(story.town, naming(OTHER_VILLAGE, 1, &photo), None);
            assert!(!story.has(story.town, OTHER_VILLAGE, 1, &photo));
            story.world.heal(story.town, story.village);
            story.world.run(600_000);
        }
        assert!(story.has(story.town, OTHER_VILLAGE, 1, &photo), "arrived before: {arrived}");
        assert!(story.has(story.other, OTHER_VILLAGE, 1, &photo), "arrived before: {arrived}");
        assert!(story.is_sound());
    }
}

/// Whether some file of the store of a node holds these bytes.
fn holds(world: &World, at: usize, bytes: &[u8]) -> bool {
    let files = fs::read_dir(&world.nodes[at].dir).unwrap();
    files.into_iter().any(|file| {
        let file = fs::read(file.unwrap().path()).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}
