//! Bytes that nobody wrote, given to everything that decodes bytes from outside.
//!
//! Each input is a committed one (`tests/data/golden`, `tests/data/corpus`) with a few places changed;
//! which, follows from a seed. Not only panics count: no input may take more time, or memory, than a
//! bound. `fuzz` in `src/bin` runs this for as long as somebody likes; an input that fails is printed,
//! and belongs into `tests/data/corpus/TARGET` with the mend.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cunlian_crdt::bundle::{Owner, import};
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::divisions;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::keystore::{hex, unhex};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::blob::{BlobName, BlobReference, Outline};
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Certificate, Tier};
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION, actor};
use cunlian_protocol::durability::Attestation;
use cunlian_protocol::enrolment::{self, JoinReply, JoinRequest, Token};
use cunlian_protocol::id::{BlobId, DocumentId};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::receipt::Receipt;
use cunlian_protocol::renewal::Renewal;
use cunlian_protocol::revocation::Revocation;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::session::{Channel, Role, Session};
use cunlian_protocol::succession::Succession;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::{Carried, StoreRequest};
use cunlian_protocol::wire;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

mod pages;

use crate::member::{Member, key, root};
use crate::traces::{forget_peak, peak_kib, resident_kib};
use crate::unfolding::Puts;
use pages::Pages;

/// Longest time that one input may take, on a machine that does other things, too.
const TIME: Duration = Duration::from_secs(2);
/// Most memory that one input may take.
const MEMORY_KIB: u64 = 48 << 10;
/// The same of one that has a photo: 24 million pixels, and as much again beside them.
const PHOTO_KIB: u64 = 224 << 10;
const VILLAGE: &str = "370322102310";
/// Where the checksum of an Automerge chunk is, and what it is made of.
const CHECKSUM: std::ops::Range<usize> = 4..8;
const CHECKED_FROM: usize = 8;

/// What the bytes are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Frames of the wire: messages and batches.
    Frame,
    /// A hello, by a session that listens.
    Hello,
    /// Signed changes.
    Change,
    /// Automerge changes, signed by somebody who may, by a store.
    Payload,
    /// Certificates.
    Certificate,
    /// Revocations.
    Revocation,
    /// Successions, receipts, attestations, renewals.
    Word,
    /// Requests and answers of enrolment, tokens.
    Enrolment,
    /// Bundles, by a store.
    Bundle,
    /// Names, outlines and chunks of blobs.
    Blob,
    /// Keys, prefixes, addresses, summaries.
    Key,
    /// Lists of divisions, as CSV.
    Divisions,
    /// Forms of text, sent to the pages of a village.
    Form,
    /// Forms with a file.
    Upload,
    /// Bodies of calls of the API.
    Call,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Frame,
        Self::Hello,
        Self::Change,
        Self::Payload,
        Self::Certificate,
        Self::Revocation,
        Self::Word,
        Self::Enrolment,
        Self::Bundle,
        Self::Blob,
        Self::Key,
        Self::Divisions,
        Self::Form,
        Self::Upload,
        Self::Call,
    ];

    /// Its name, which is that of its folder in the corpus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Hello => "hello",
            Self::Change => "change",
            Self::Payload => "payload",
            Self::Certificate => "certificate",
            Self::Revocation => "revocation",
            Self::Word => "word",
            Self::Enrolment => "enrolment",
            Self::Bundle => "bundle",
            Self::Blob => "blob",
            Self::Key => "key",
            Self::Divisions => "divisions",
            Self::Form => "form",
            Self::Upload => "upload",
            Self::Call => "call",
        }
    }

    /// Whether an input needs a store or checks signatures, which takes its time.
    pub const fn is_slow(self) -> bool {
        matches!(
            self,
            Self::Payload
                | Self::Bundle
                | Self::Hello
                | Self::Divisions
                | Self::Form
                | Self::Upload
                | Self::Call
        )
    }

    /// Most memory that one input may take: a photo is decoded ([`cunlian_web`] bounds its pixels).
    const fn memory_kib(self) -> u64 {
        if matches!(self, Self::Upload) { PHOTO_KIB } else { MEMORY_KIB }
    }

    /// What the names of committed formats begin with that it reads.
    const fn formats(self) -> &'static [&'static str] {
        match self {
            Self::Frame => &["message-", "batch-", "blob-message-"],
            Self::Hello => &["message-1-hello", "message-1-welcome"],
            Self::Change => &["change-", "erasure-", "stub-"],
            Self::Payload | Self::Divisions | Self::Form | Self::Upload | Self::Call => &[],
            Self::Certificate => &["certificate-"],
            Self::Revocation => &["revocation-"],
            Self::Word => &["succession-", "receipt-", "attestation-", "renewal-"],
            Self::Enrolment => &["join-", "token-"],
            Self::Bundle => &["bundle-"],
            Self::Blob => &["blob-outline-", "blob-reference-"],
            Self::Key => &["set-key-", "summary-", "actor-"],
        }
    }
}

/// An input that did not end well.
#[derive(Debug)]
pub struct Finding {
    /// What it was given to.
    pub target: Target,
    /// What happened.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}\n{}", self.target.name(), self.what, hex(&self.input))
    }
}

/// Inputs of one target, one after the other, in this process: nothing else should run in it.
pub struct Fuzzer {
    target: Target,
    corpus: Vec<Vec<u8>>,
    rng: StdRng,
    stage: Stage,
}

impl Fuzzer {
    /// The inputs that follow from a seed.
    ///
    /// # Panics
    /// When the corpus cannot be read.
    pub fn new(target: Target, seed: u64) -> Self {
        let stage = Stage::new(target);
        let mut corpus = committed(target);
        if target == Target::Payload {
            corpus.extend(payloads(&stage.village));
        }
        assert!(!corpus.is_empty(), "{} has nothing to begin with", target.name());
        Self { target, corpus, rng: StdRng::seed_from_u64(seed), stage }
    }

    /// Gives the whole corpus as it is.
    pub fn replay(&mut self) -> Result<usize, Box<Finding>> {
        for input in self.corpus.clone() {
            self.give(input)?;
        }
        Ok(self.corpus.len())
    }

    /// Makes one more input and gives it.
    pub fn step(&mut self) -> Result<(), Box<Finding>> {
        let input = self.corpus.choose(&mut self.rng).cloned().unwrap_or_default();
        let other = self.corpus.choose(&mut self.rng).cloned().unwrap_or_default();
        let input = mutated(&mut self.rng, input, &other);
        self.give(input)
    }

    fn give(&mut self, input: Vec<u8>) -> Result<(), Box<Finding>> {
        let target = self.target;
        forget_peak();
        let before = resident_kib();
        let started = Instant::now();
        let work = std::panic::AssertUnwindSafe(|| self.stage.give(target, &input));
        let outcome = std::panic::catch_unwind(work);
        let (time, grown) =
            (started.elapsed(), peak_kib(std::process::id()).saturating_sub(before));
        let what = if outcome.is_err() {
            "panic".to_owned()
        } else if time > TIME {
            format!("{} ms", time.as_millis())
        } else if grown > target.memory_kib() {
            format!("{grown} KiB")
        } else {
            return Ok(());
        };
        Err(Box::new(Finding { target, what, input }))
    }
}

/// What inputs are given to.
struct Stage {
    town: Member,
    village: Member,
    store: Store,
    /// Of the village, for what is sent to pages.
    pages: Option<Pages>,
    _dirs: [tempfile::TempDir; 2],
    sequence: u64,
}

impl Stage {
    fn new(target: Target) -> Self {
        let county = Member::county(2);
        let town = county.certify(3, Tier::Town, "370322102", "高城镇");
        let village = town.certify(4, Tier::Village, VILLAGE, "苑兴村");
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let open = |dir: &tempfile::TempDir, member: &Member| {
            let (projector, identity) = (Arc::new(GovernanceProjector), member.store_identity());
            let store = Store::open(dir.path(), projector, identity, StoreOptions::default());
            store.expect("a new store opens")
        };
        let [of_town, of_village] = &dirs;
        let store = open(of_town, &town);
        store.add_certificates(&village.identity.chain).expect("certificates are kept");
        let pages = matches!(target, Target::Form | Target::Upload | Target::Call)
            .then(|| Pages::new(&village, &open(of_village, &village), of_village.path()));
        Self { town, village, store, pages, _dirs: dirs, sequence: 0 }
    }

    fn give(&mut self, target: Target, input: &[u8]) {
        let text = || String::from_utf8_lossy(input).into_owned();
        match target {
            Target::Frame => drop(wire::decode(input.get(4..).unwrap_or(input))),
            Target::Hello => self.greet(input),
            Target::Change => drop(SignedChange::decode(input.to_vec())),
            Target::Payload => self.take_in(input),
            Target::Certificate => {
                drop(Certificate::peek(input));
                drop(Authority::new(root()).insert(input));
            }
            Target::Revocation => drop(Revocation::peek(input)),
            Target::Word => {
                let key = self.town.public_key();
                drop(Succession::verify(input));
                let _: Option<Receipt> = Receipt::verify(input, &key);
                let _: Option<Attestation> = Attestation::verify(input, &key);
                let _: Option<Renewal> = Renewal::verify(input);
            }
            Target::Enrolment => {
                drop(enrolment::decode::<JoinRequest>(input));
                drop(enrolment::decode::<JoinReply>(input));
                drop(text().parse::<Token>());
            }
            Target::Bundle => {
                let owner = Owner { identity: &self.town.identity, now_ms: 1 };
                drop(import(&self.store, owner, input, &mut |_, _| {}));
            }
            Target::Blob => blob(input),
            Target::Key => {
                drop(KeyPrefix::from_bytes(input));
                drop(SetKey::from_bytes(input));
                drop(AddressCode::parse(&text()));
                let _: Option<Summary> = Summary::from_bytes(input);
            }
            Target::Divisions => {
                let list = divisions::DivisionList::open(input);
                if let Ok(mut list) = list {
                    while let Ok(Some(_)) = list.next_batch() {}
                }
            }
            Target::Form | Target::Upload | Target::Call => {
                let pages = self.pages.as_mut().expect("these targets have pages");
                pages.give(target, input);
            }
        }
    }

    /// A stranger who says this, with the key of the village.
    fn greet(&self, input: &[u8]) {
        let mut authority = Authority::new(root());
        for certificate in &self.village.identity.chain {
            authority.insert(certificate).expect("the chain is sound");
        }
        let channel = Channel { exporter: [9; 32], peer_key: self.village.public_key() };
        let identity = Arc::new(self.town.identity.clone());
        let listener = Role::Listener;
        let mut session = Session::new(identity, Arc::new(authority), listener, channel, 0, 0);
        drop(session.handle_frame(1, input.get(4..).unwrap_or(input)));
    }

    /// A change of the village with this payload, under a right checksum.
    fn take_in(&mut self, input: &[u8]) {
        let mut payload = input.to_vec();
        if let Some(checked) = input.get(CHECKED_FROM..) {
            let checksum = Sha256::digest(checked);
            if let (Some(place), Some(right)) = (payload.get_mut(CHECKSUM), checksum.get(..4)) {
                place.copy_from_slice(right);
            }
        }
        self.sequence += 1;
        let author = self.village.author(1);
        let mut document = [0; 16];
        document.split_at_mut(8).0.copy_from_slice(&self.sequence.to_be_bytes());
        let address = AddressCode::parse(VILLAGE).expect("it is one");
        let (category, document) = (Category::TICKET, DocumentId(document));
        let header = Header {
            version: VERSION,
            kind: ChangeKind::EDIT,
            home: Home { category, address, document },
            author: author.serial,
            session: author.session,
            seq: self.sequence,
            recorded_at_ms: 1,
        };
        let Ok(change) = SignedChange::sign(&header, &payload, &key(4)) else { return };
        let changes = vec![Carried { bytes: change.bytes().to_vec(), reached: 0 }];
        let (from, scope, sender_tiers, at_ms) = (author.serial, Scope::everything(), 0, 1);
        let request = StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms };
        self.store.serve(request).expect("the store takes or refuses it");
    }
}

fn blob(input: &[u8]) {
    drop(String::from_utf8_lossy(input).parse::<BlobReference>());
    let Some((id, rest)) = input.split_first_chunk() else { return };
    let Some((bytes, rest)) = rest.split_first_chunk() else { return };
    let name = BlobName { id: BlobId(*id), bytes: u32::from_be_bytes(*bytes) };
    let values = rest.as_chunks().0.to_vec();
    if let Ok(outline) = Outline::check(name, values) {
        drop(outline.verify(0, rest.to_vec()));
    }
    if let Ok(outline) = Outline::of(rest) {
        drop(outline.verify(u32::from_be_bytes(*bytes), rest.to_vec()));
    }
}

/// Payloads that a store takes, and that it does not because they unfold.
fn payloads(village: &Member) -> Vec<Vec<u8>> {
    let author = village.author(1);
    let actor = actor(&author.serial, author.session);
    let counts = [(1, 0), (3, 0), (1, 2), (20, 20), (65_536, 0), (1, 65_536), (1 << 40, 1 << 40)];
    counts
        .into_iter()
        .map(|(puts, predecessors)| {
            let (field, text) = ("note".to_owned(), "灯不亮".to_owned());
            Puts { actor, field, puts, predecessors, text }.to_bytes()
        })
        .collect()
}

/// What is committed for a target.
fn committed(target: Target) -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut files: Vec<PathBuf> = listed(&data.join("golden"));
    let is_format = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        target.formats().iter().any(|format| name.starts_with(format))
    };
    files.retain(is_format);
    files.extend(listed(&data.join("corpus").join(target.name())));
    files.sort();
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a committed file can be read");
        unhex(text.trim()).expect("it holds hexadecimal digits")
    };
    files.iter().map(read).collect()
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// An input with a few places changed.
fn mutated(rng: &mut StdRng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..rng.random_range(1..=6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..8) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.random();
                }
            }
            2 => bytes.truncate(at),
            3 => splice(&mut bytes, at, 0, &varint(rng)),
            4 => splice(&mut bytes, at, 4, &rng.random::<u32>().to_be_bytes()),
            5 => splice(&mut bytes, at, 4, &u32::MAX.to_be_bytes()),
            6 => {
                let from = rng.random_range(0..=other.len());
                let part = other.get(from..).unwrap_or_default();
                let part = part.get(..rng.random_range(0..=part.len().min(64))).unwrap_or_default();
                splice(&mut bytes, at, 0, part);
            }
            _ => {
                let end = (at + rng.random_range(0..32)).min(bytes.len());
                let part = bytes.get(at..end).unwrap_or_default().repeat(rng.random_range(0..4));
                splice(&mut bytes, at, end - at, &part);
            }
        }
    }
    bytes
}

/// A number of any size in seven bits a byte, which most lengths here are.
fn varint(rng: &mut StdRng) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..rng.random_range(0..10)).map(|_| rng.random::<u8>() | 0x80).collect();
    bytes.push(rng.random::<u8>() & 0x7f);
    bytes
}

fn splice(bytes: &mut Vec<u8>, at: usize, instead_of: usize, part: &[u8]) {
    let end = (at + instead_of).min(bytes.len());
    bytes.splice(at..end, part.iter().copied());
}
