//! Every bound of the protocol, in one place.
//!
//! Sizes are bytes. Each bound is enforced while decoding, before anything is allocated for the
//! value; the constants are tied to each other below.

/// Largest frame on the wire, header excluded.
pub const FRAME_BYTES: usize = 1 << 20;
/// Largest signed change.
pub const CHANGE_BYTES: usize = 256 << 10;
/// Largest document, as the sum of its changes.
pub const DOCUMENT_BYTES: usize = 4 << 20;
/// Bytes of a signed change for each operation, and for each predecessor of one, that it may hold: a
/// few run-length coded bytes stand for any number of them. A sound change has ten and more bytes
/// for each.
pub const OPERATION_BYTES: usize = 8;
/// Operations that a change may hold beyond that.
pub const FREE_OPERATIONS: usize = 16;
/// Predecessors that a change may name beyond that.
pub const FREE_PREDECESSORS: usize = 64;
/// Most operations and predecessors, taken together, that count of one document.
pub const DOCUMENT_OPERATIONS: usize = 128 << 10;
/// Most concurrent values of one field that are shown, and resolved, at a time.
pub const FIELD_VALUES: usize = 64;
/// Longest name of a field; one name in the bytes can stand for many operations.
pub const FIELD_NAME_BYTES: usize = 256;
/// Largest certificate.
pub const CERTIFICATE_BYTES: usize = 4 << 10;
/// Numbers that depend on a tier: what is right for a village is too little for a county.
#[derive(Debug, Clone, Copy)]
pub struct ByTier {
    /// For a county, and for what is above.
    pub county: usize,
    /// For a town.
    pub town: usize,
    /// For a village, and for what is below.
    pub village: usize,
}
/// Most certificates kept below one certificate of a node: a hostile node certifies without end, and
/// lets others certify. A town certifies some fifty villages, each with some twenty people, two or
/// three times in the life of its own certificate.
pub const CERTIFICATES_BELOW: ByTier =
    ByTier { county: 262_144, town: 8_192, village: CERTIFICATES_OF_ISSUER };
/// Most certificates kept below one certificate of a village: of one hostile issuer.
pub const CERTIFICATES_OF_ISSUER: usize = 512;
/// Largest revocation.
pub const REVOCATION_BYTES: usize = 256 << 10;
/// Most tags of changes in one revocation that is made here.
pub const REVOCATION_TAGS: usize = 4_096;
/// How many revocations of one size are kept.
#[derive(Debug, Clone, Copy)]
pub struct RevocationRoom {
    /// The largest of the size.
    pub bytes: usize,
    /// Most of one certificate.
    pub of_one: usize,
    /// Most of all certificates from one on down.
    pub below: ByTier,
}
impl RevocationRoom {
    const fn is_nested(&self) -> bool {
        self.of_one <= self.below.village
            && self.below.village * 8 <= self.below.town
            && self.below.town * 16 <= self.below.county
    }

    const fn village_bytes(&self) -> usize {
        self.below.village * self.bytes
    }

    const fn town_bytes(&self) -> usize {
        self.below.town * self.bytes
    }
}

/// How many revocations are kept: many that say little, few that say much. A dismissal of a person
/// with four hundred changes is small, one of a town with two thousand people below is large.
pub const REVOCATION_ROOM: [RevocationRoom; 3] = [
    RevocationRoom {
        bytes: 4 << 10,
        of_one: 4,
        below: ByTier { county: 65_536, town: 2_048, village: 256 },
    },
    RevocationRoom {
        bytes: 64 << 10,
        of_one: 2,
        below: ByTier { county: 8_192, town: 256, village: 32 },
    },
    RevocationRoom {
        bytes: REVOCATION_BYTES,
        of_one: 1,
        below: ByTier { county: 256, town: 16, village: 2 },
    },
];
/// With so many bytes given to the runtime for one peer and not yet written, no more revocations are:
/// on a thin line a change waits behind one of them, and not behind two.
pub const REVOCATIONS_UNSENT_BYTES: usize = REVOCATION_BYTES / 4;
/// Most versions of the protocol in a list.
pub const VERSIONS: usize = 16;
/// Most bytes that a later version adds to a hello.
pub const HELLO_MORE_BYTES: usize = 4 << 10;
/// Largest succession.
pub const SUCCESSION_BYTES: usize = 2 << 10;
/// Most successions told in one hello.
pub const SUCCESSIONS: usize = 16;
/// Most certificates between an author and the root key, the author's own included.
pub const CHAIN_CERTIFICATES: usize = 6;
/// Most grants in a certificate.
pub const CERTIFICATE_GRANTS: usize = 64;
/// Longest name in a certificate.
pub const NAME_BYTES: usize = 120;
/// Most certificates in one frame.
pub const FRAME_CERTIFICATES: usize = 200;
/// Raw bytes of changes gathered into one batch before compression.
pub const BATCH_BYTES: usize = 512 << 10;
/// Most changes in one batch.
pub const BATCH_CHANGES: usize = 2_000;
/// Raw bytes of changes sent to a peer and not acknowledged: while one batch is made durable the
/// next is on its way. More is no faster (docs/performance.md), and would be lost by a power cut.
pub const IN_FLIGHT_BYTES: usize = 2 * BATCH_BYTES;
/// Most unacknowledged batches of one peer.
pub const IN_FLIGHT_BATCHES: usize = 16;
/// Raw bytes of changes of one peer that wait for the store; beyond it the peer is not read.
pub const UNPROCESSED_BYTES: usize = 2 << 20;
/// Raw bytes of changes of all peers that wait for their turn; beyond it no peer is read.
pub const NODE_UNPROCESSED_BYTES: usize = 16 << 20;
/// Most ids in one list.
pub const LIST_IDS: usize = 16_000;
/// Most things asked at once about who holds them.
pub const HELD_QUESTIONS: usize = 2_000;
/// Most changes named as missing further up, of one range and one tier.
pub const HELD_IDS: usize = 64;
/// Most of them in one answer to all that is asked at once.
pub const ANSWER_IDS: usize = 4_000;
/// Most changes whose arrival further up is told one by one; of more a node has to ask.
pub const NEWS_KEYS: usize = 256;
/// Most changes in one piece of news about who holds them.
pub const HELD_KEYS: usize = 4_000;
/// Most prefixes in one query.
pub const QUERY_PREFIXES: usize = 2_000;
/// Most ranges of which a peer may have asked for something and not been sent it.
pub const WANTED: usize = 131_072;
/// Most short ids by which it may have asked, in all these ranges together. Of what it asks for
/// beyond that it is sent the whole range, which takes no memory.
pub const WANTED_IDS: usize = 1 << 20;
/// Most ranges that the peers of all sessions of a node may together have asked for and not been
/// sent; who has most gives way.
pub const NODE_WANTED: usize = 4 * WANTED;
/// Most short ids in these ranges together.
pub const NODE_WANTED_IDS: usize = 8 * WANTED_IDS;
/// Most prefixes with their summaries in one page of an answer.
pub const PAGE_SUMMARIES: usize = 4_000;
/// Most widest prefixes of a common scope: each category in each of a few regions.
pub const TOPS: usize = 262_144;
/// Most ranges that a comparison holds at a time: asked about, to be asked about, or to be asked for.
pub const COMPARED: usize = 262_144;
/// Most short ids of answers that wait to be held against the own ones.
pub const ANSWERED_IDS: usize = 262_144;
/// Most changes under one prefix that are told apart by a sketch.
pub const SKETCH_ITEMS: usize = 32_768;
/// Most symbols in one answer.
pub const SKETCH_SYMBOLS: usize = 16_384;
/// Most questions of a comparison that are not answered.
pub const QUESTIONS: usize = 1_024;
/// About how many prefixes a first answer to a comparison holds, unless the scope has more.
pub const FRONTIER_NODES: usize = 400;
/// Largest blob.
pub const BLOB_BYTES: u32 = 20 << 20;
/// Bytes of a blob that are checked and made durable together.
pub const BLOB_CHUNK_BYTES: u32 = 64 << 10;
/// Most chunks of a blob.
pub const BLOB_CHUNKS: usize = (BLOB_BYTES / BLOB_CHUNK_BYTES) as usize;
/// Most blobs that count as named by one document.
pub const BLOBS_OF_DOCUMENT: usize = 64;
/// Blobs of one session in progress at a time.
pub const BLOBS_AT_ONCE: usize = 4;
/// Most questions for bytes of blobs that a peer may have unanswered.
pub const BLOB_QUESTIONS: usize = 128;
/// Most blobs in one list.
pub const BLOB_NAMES: usize = 500;
/// Most bytes of blobs that a store takes from one peer that is not above it, those in progress
/// counted in full: 40,000 photos of 400 KiB.
pub const BLOB_BYTES_OF_PEER: u64 = 16 << 30;
/// Store requests of one session under way at a time.
pub const SESSION_REQUESTS: usize = 16;
/// Sessions of one node.
pub const SESSIONS: usize = 2_000;
/// Sessions of machines below one child, by the tier of the child: they have a parent of their own,
/// and come here when it is silent. A child certifies without end, and each session takes memory.
pub const SESSIONS_BELOW: ByTier = ByTier { county: 1_024, town: 256, village: 32 };
/// How long those between must have been silent before a node hands up to one further above,
/// milliseconds: longer than a restart, shorter than people wait for an alert.
pub const BETWEEN_SILENT_MS: i64 = 15 * 60_000;
/// Longest text in a refusal.
pub const REASON_BYTES: usize = 400;

const _: () = assert!(CHANGE_BYTES * 2 <= FRAME_BYTES, "a change must fit a frame");
const _: () =
    assert!(BATCH_BYTES + CHANGE_BYTES < FRAME_BYTES, "a batch must fit a frame uncompressed");
const _: () = assert!(BATCH_BYTES * 2 <= UNPROCESSED_BYTES);
const _: () = assert!(UNPROCESSED_BYTES <= NODE_UNPROCESSED_BYTES);
const _: () = assert!(CHANGE_BYTES <= DOCUMENT_BYTES);
const _: () = assert!(
    2 * (CHANGE_BYTES / OPERATION_BYTES) + FREE_OPERATIONS + FREE_PREDECESSORS
        <= DOCUMENT_OPERATIONS,
    "a change must fit a document"
);
const _: () = assert!(DOCUMENT_OPERATIONS * OPERATION_BYTES <= DOCUMENT_BYTES);
const _: () = assert!(FIELD_VALUES <= FREE_PREDECESSORS, "a shown conflict must be resolvable");
const _: () = assert!(REVOCATION_BYTES * 2 <= FRAME_BYTES, "two revocations must fit a frame");
const _: () = assert!(REVOCATION_TAGS * 8 * 2 <= REVOCATION_BYTES);
const _: () = assert!(
    CERTIFICATES_BELOW.village * 16 <= CERTIFICATES_BELOW.town
        && CERTIFICATES_BELOW.town * 32 <= CERTIFICATES_BELOW.county,
    "no few below one may fill the room of those above"
);
const _: () = assert!(
    CERTIFICATES_BELOW.village * CERTIFICATE_BYTES <= 2 << 20
        && CERTIFICATES_BELOW.town * CERTIFICATE_BYTES <= 32 << 20,
    "what one hostile village, and one hostile town, leaves in every store"
);
const _: () = {
    let [small, middle, large] = REVOCATION_ROOM;
    assert!(small.bytes < middle.bytes && middle.bytes < large.bytes, "sizes ascend");
    assert!(large.bytes == REVOCATION_BYTES, "the largest has a size");
    assert!(small.is_nested() && middle.is_nested() && large.is_nested());
    let village = small.village_bytes() + middle.village_bytes() + large.village_bytes();
    let town = small.town_bytes() + middle.town_bytes() + large.town_bytes();
    assert!(village <= 4 << 20 && town <= 32 << 20, "what one hostile node leaves everywhere");
};
const _: () = assert!(REVOCATIONS_UNSENT_BYTES <= FRAME_BYTES);
const _: () = assert!(SUCCESSIONS * SUCCESSION_BYTES * 2 < FRAME_BYTES);
const _: () = assert!(LIST_IDS * 32 < FRAME_BYTES, "a list of ids must fit a frame");
const _: () = assert!(HELD_KEYS * 96 < FRAME_BYTES, "a list of keys must fit a frame");
const _: () = assert!(NEWS_KEYS <= HELD_KEYS);
const _: () = assert!(HELD_QUESTIONS * 160 < FRAME_BYTES, "questions must fit a frame");
const _: () = assert!(HELD_QUESTIONS * 128 + ANSWER_IDS * 32 < FRAME_BYTES, "answers too");
const _: () = assert!(PAGE_SUMMARIES * 130 < FRAME_BYTES, "a page must fit a frame");
const _: () = assert!(FRAME_CERTIFICATES * CERTIFICATE_BYTES < FRAME_BYTES);
const _: () = assert!(CHAIN_CERTIFICATES <= FRAME_CERTIFICATES);
const _: () = assert!(SKETCH_ITEMS * 8 * 2 < FRAME_BYTES, "two lists must fit a frame");
const _: () = assert!(SKETCH_ITEMS * 2 <= WANTED_IDS, "a request must fit what is remembered");
const _: () = assert!(SKETCH_ITEMS * 2 <= ANSWERED_IDS, "an answer must fit what is remembered");
const _: () = assert!(QUERY_PREFIXES <= WANTED, "a request must fit what is remembered");
const _: () = assert!(TOPS <= COMPARED, "a frontier must fit a comparison");
const _: () = assert!(SKETCH_SYMBOLS * 22 < FRAME_BYTES, "an answer of symbols must fit a frame");
const _: () = assert!(QUESTIONS <= QUERY_PREFIXES);
const _: () = assert!(BLOB_BYTES.is_multiple_of(BLOB_CHUNK_BYTES));
const _: () = assert!(BLOB_CHUNK_BYTES.is_power_of_two(), "a chunk must be a whole subtree");
const _: () = assert!(BLOB_CHUNKS * 32 * 2 < FRAME_BYTES, "an outline must fit a frame");
const _: () = assert!((BLOB_CHUNK_BYTES as usize) * 2 < FRAME_BYTES);
const _: () = assert!(BLOB_NAMES * 128 < FRAME_BYTES, "a list of blobs must fit a frame");
const _: () = assert!(BLOB_BYTES as u64 * BLOBS_AT_ONCE as u64 <= BLOB_BYTES_OF_PEER);
