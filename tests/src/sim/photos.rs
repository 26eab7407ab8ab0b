//! Photos: who takes them, who may hear of them, and where they must be.
//!
//! | what | when |
//! |---|---|
//! | a question names a document that its reader may see, and that names the photo | every frame |
//! | what is said to be held is named by a document that its reader may see | every frame |
//! | outlines and bytes are those asked for, of a photo that such a document names | every frame |
//! | the same of the frames of a bundle | every bundle |
//! | a photo is where the change that names it is | at rest |
//! | nobody has a photo for having named it | at rest |
//!
//! Photos are told apart by their content, which is random: bytes that are those of a photo at
//! their place are of this photo, whatever the frame says. Some photos are in several documents,
//! of several villages.

use std::collections::{BTreeSet, VecDeque};

use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::BlobContent;
use cunlian_protocol::blob::{BlobMessage, BlobName, BlobReference, Outline};
use cunlian_protocol::change::Home;
use cunlian_protocol::hub::ConnectionId;
use cunlian_protocol::id::{BlobId, ChangeId};
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;

use super::world::World;

/// A photo that somebody added to a document.
pub(super) struct Photo {
    id: ChangeId,
    home: Home,
    pub(super) document: KeyPrefix,
    reference: BlobReference,
    content: Vec<u8>,
    /// Whether its content was given with the document. Who only names it has no claim to it.
    pub(super) given: bool,
}

/// A question for bytes that is not answered: of which photo, and from where how many; the
/// outline, when that is not said.
pub(super) type BlobRequest = (BlobName, Option<(u32, u32)>);

impl Photo {
    pub(super) fn name(&self) -> BlobName {
        self.reference.name
    }

    /// Whether the content has these bytes there.
    fn has(&self, from: u32, bytes: &[u8]) -> bool {
        let rest = self.content.get(from as usize..);
        rest.is_some_and(|rest| rest.starts_with(bytes))
    }
}

impl World {
    /// Somebody adds a photo, of one chunk or of a few, or one that others have as well.
    pub(super) fn take_photo(&mut self, at: usize, home: Home) {
        let known: Vec<usize> = (0..self.photos.len()).collect();
        let known = if self.plan.one_in(4) { self.plan.pick(&known) } else { None };
        let content = if let Some(photo) = known.and_then(|at| self.photos.get(at)) {
            photo.content.clone()
        } else {
            let most = if self.plan.one_in(5) { 140_000 } else { 8_000 };
            let bytes = usize::try_from(self.plan.below(most)).unwrap_or_default() + 1;
            self.new_content(bytes)
        };
        self.add_photo(at, home, content);
    }

    /// Somebody adds a document with this photo.
    pub(super) fn add_photo(&mut self, at: usize, home: Home, content: Vec<u8>) {
        let reference = BlobReference::of(&content, "image/jpeg").expect("it is not too large");
        let edits = vec![Edit::Put { field: "photo".to_owned(), text: reference.to_string() }];
        let (source, task) = ("plate".to_owned(), String::new());
        let write = Write { home, edits, source, task };
        let author = self.author(at);
        let Some(process) = self.process(at) else { return };
        let now_ms = process.clock.now_ms();
        let contents = vec![content.clone()];
        let outcome = process.store.write_with_blobs(&author, vec![write], contents, now_ms);
        let done = outcome.as_ref().ok().and_then(|ids| ids.first()).copied();
        if let Some(id) = done {
            self.know_photo(id, home, content, true);
        }
        self.finish(at, outcome, &[home]);
    }

    /// A document names a photo from here on, whose content was given with it or was not.
    pub(super) fn know_photo(&mut self, id: ChangeId, home: Home, content: Vec<u8>, given: bool) {
        let reference = BlobReference::of(&content, "image/jpeg").expect("it is not too large");
        let document = KeyPrefix::document(&home);
        let BlobId(bytes) = reference.name.id;
        self.model.name(bytes.to_vec(), document.as_bytes().to_vec());
        self.photos.push(Photo { id, home, document, reference, content, given });
    }

    /// So many bytes that nobody has seen before.
    pub(super) fn new_content(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        blake3::Hasher::new().update(&self.plan.bytes::<32>()).finalize_xof().fill(&mut content);
        content
    }

    /// A photo that was given only for documents outside of a scope.
    pub(super) fn photo_out_of(&mut self, scope: &Scope) -> Option<(BlobName, Vec<u8>)> {
        let own = |photo: &&Photo| scope.allows(photo.document.as_bytes());
        let known: BTreeSet<BlobName> = self.photos.iter().filter(own).map(Photo::name).collect();
        let all = (0..).zip(&self.photos);
        let others = all.filter(|(_, photo)| photo.given && !known.contains(&photo.name()));
        let others: Vec<usize> = others.map(|(at, _)| at).collect();
        let photo = self.photos.get(self.plan.pick(&others)?)?;
        Some((photo.name(), photo.content.clone()))
    }

    /// No photo is had at a node by who only named it, when nobody who may read that document was
    /// ever given the content of it.
    pub(super) fn check_claims(&self, at: usize) {
        let Some(process) = self.machines.get(at).and_then(|m| m.process.as_ref()) else { return };
        let named = self.photos.iter().filter(|photo| !photo.given);
        let mut named = named.filter(|photo| !self.is_given_beside(photo));
        let had = |photo: &&Photo| {
            let content = process.store.blob_of(&photo.home, &photo.name());
            matches!(content.expect("a store can be read"), Some(BlobContent::Whole(_)))
        };
        let had = named.find(had).map(Photo::name);
        assert_eq!(had, None, "{} has a photo that it only named", self.name(at));
    }

    /// Whether the same content was given for a document that whoever may read this one may read.
    fn is_given_beside(&self, named: &Photo) -> bool {
        let beside = |photo: &&Photo| photo.given && photo.home.address == named.home.address;
        self.photos.iter().filter(beside).any(|photo| photo.name() == named.name())
    }

    /// A photo that has not arrived where the change that names it has. One that was on a disk that
    /// went back to an older state, and nowhere else, is lost: the change that names it may have
    /// left before it did.
    pub(super) fn missing_photo(&self) -> Option<String> {
        for (at, machine) in self.machines.iter().enumerate() {
            let Some(process) = &machine.process else { continue };
            let given = self.photos.iter().filter(|photo| photo.given);
            for photo in given.filter(|photo| self.model.has(at, &photo.id)) {
                let content = process.store.blob_of(&photo.home, &photo.reference.name);
                match content.expect("a store can be read") {
                    Some(BlobContent::Whole(content)) if content == photo.content => {}
                    Some(BlobContent::Whole(_)) => panic!("{} has another photo", machine.name),
                    _ if self.schemes.has_lost_a_disk() && self.is_nowhere(photo) => {}
                    other => return Some(format!("{} has of a photo {other:?}", machine.name)),
                }
            }
        }
        None
    }

    /// Whether no machine has all of a photo under its document: what one has of the same content
    /// for another document, it neither gives nor says.
    fn is_nowhere(&self, photo: &Photo) -> bool {
        let mut stores = self.machines.iter().filter_map(|machine| machine.process.as_ref());
        !stores.any(|process| {
            let content = process.store.blob_of(&photo.home, &photo.reference.name);
            matches!(content.expect("a store can be read"), Some(BlobContent::Whole(_)))
        })
    }

    /// Looks at what an honest node says about photos to who may read `scope`.
    pub(super) fn check_blob_message(
        &mut self,
        connection: ConnectionId,
        message: BlobMessage,
        (scope, name): (&Scope, &str),
    ) {
        match message {
            BlobMessage::WantOutline { document, blob } => {
                self.check_question(&document, &blob, (scope, name));
                self.ask_blob(connection, (blob, None));
            }
            BlobMessage::Want { document, blob, from, length } => {
                self.check_question(&document, &blob, (scope, name));
                self.ask_blob(connection, (blob, Some((from, length))));
            }
            BlobMessage::AskHeld(asked) => {
                for (document, blob) in asked.0 {
                    self.check_question(&document, &blob, (scope, name));
                }
            }
            BlobMessage::Held(held) => {
                for (blob, _) in held.0 {
                    self.photo_for(&blob, (scope, name));
                }
            }
            BlobMessage::None => {
                self.answered(connection);
            }
            BlobMessage::Postponed { .. } | BlobMessage::AllWanted => {}
            BlobMessage::Outline { values } => {
                let Some((blob, part)) = self.answered(connection) else { return };
                assert_eq!(part, None, "{name} asked for bytes and is given an outline");
                self.check_outline(&blob, &values.0, (scope, name));
            }
            BlobMessage::Part { bytes } => {
                let Some((blob, part)) = self.answered(connection) else { return };
                let Some((from, length)) = part else {
                    panic!("{name} asked for an outline and is given bytes");
                };
                assert_eq!(bytes.0.len(), length as usize, "{name} is given other bytes");
                self.check_bytes(&blob, from, &bytes.0, (scope, name));
            }
        }
    }

    /// Looks at the frame of a photo in a bundle for who may read `scope`; `named` is the photo
    /// that was named last.
    pub(super) fn check_carried_blob(
        &self,
        named: &mut Option<BlobName>,
        frame: &[u8],
        reader: (&Scope, &str),
    ) {
        let (kind, body) = frame.split_first().expect("a frame has a kind");
        let (id, rest) = (body.first_chunk(), body.get(32..).unwrap_or_default());
        match (*kind, *named) {
            (71, _) => self.check_owners(body, reader),
            (66, _) => {
                let (bytes, values) = rest.split_first_chunk().expect("a photo has a length");
                let id = BlobId(*id.expect("a photo has an id"));
                let blob = BlobName { id, bytes: u32::from_be_bytes(*bytes) };
                let (values, more) = values.as_chunks();
                assert!(more.is_empty(), "an outline has whole values");
                self.check_outline(&blob, values, reader);
                *named = Some(blob);
            }
            (_, Some(blob)) => {
                let (place, bytes) = body.split_first_chunk().expect("a chunk has a place");
                let from = u32::from_be_bytes(*place) * limits::BLOB_CHUNK_BYTES;
                self.check_bytes(&blob, from, bytes, reader);
            }
            (_, None) => panic!("a bundle has a chunk of no photo"),
        }
    }

    /// The documents that a bundle says have a photo: those for which one was given.
    fn check_owners(&self, mut body: &[u8], (scope, name): (&Scope, &str)) {
        while let Some((length, rest)) = body.split_first() {
            let (key, rest) = rest.split_at(usize::from(*length));
            assert!(scope.allows(key), "{name} is told of {key:x?}");
            let mut photos = self.photos.iter().filter(|photo| photo.document.as_bytes() == key);
            let given = photos.any(|photo| photo.given || self.is_given_beside(photo));
            assert!(given, "{name} is told that {key:x?} has a photo, which it only names");
            body = rest;
        }
    }

    /// Who is at an end asks for bytes of a photo.
    pub(super) fn ask_blob(&mut self, connection: ConnectionId, asked: BlobRequest) {
        if let Some(end) = self.network.ends.get_mut(&connection) {
            end.asked.push_back(asked);
        }
    }

    /// The question of the other side that is answered from here, unless that side is gone.
    fn answered(&mut self, connection: ConnectionId) -> Option<BlobRequest> {
        let peer = self.network.ends.get(&connection)?.peer;
        let asked: &mut VecDeque<BlobRequest> = &mut self.network.ends.get_mut(&peer)?.asked;
        Some(asked.pop_front().expect("there is no answer about a photo without a question"))
    }

    fn check_question(&self, document: &KeyPrefix, blob: &BlobName, reader: (&Scope, &str)) {
        let (scope, name) = reader;
        assert!(scope.allows(document.as_bytes()), "{name} is asked about {document:?}");
        let names = |photo: &Photo| photo.document == *document && photo.name() == *blob;
        let some = self.photos.iter().any(names);
        assert!(some, "{name} is asked for {blob:?} by {document:?}, which does not name it");
    }

    /// A photo that who may read `scope` may know of.
    fn photo_for(&self, blob: &BlobName, (scope, name): (&Scope, &str)) -> &Photo {
        let given = self.photos.iter().filter(|photo| photo.given);
        let mut photos = given.filter(|photo| photo.name() == *blob);
        let seen = photos.find(|photo| scope.allows(photo.document.as_bytes()));
        seen.unwrap_or_else(|| panic!("{name} is told of {blob:?}, which nothing there has"))
    }

    fn check_outline(&self, blob: &BlobName, values: &[[u8; 32]], reader: (&Scope, &str)) {
        let outline = Outline::of(&self.photo_for(blob, reader).content);
        let outline = outline.expect("a photo has an outline");
        assert_eq!(outline.values(), values, "{} is given another outline", reader.1);
    }

    fn check_bytes(&self, blob: &BlobName, from: u32, bytes: &[u8], reader: (&Scope, &str)) {
        let photo = self.photo_for(blob, reader);
        assert!(photo.has(from, bytes), "{} is given other bytes of {blob:?}", reader.1);
    }
}
