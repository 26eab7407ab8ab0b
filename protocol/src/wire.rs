//! Frames and messages between two nodes.
//!
//! One bidirectional QUIC stream carries frames in both directions:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | n, length of the rest, big-endian, at most [`limits::FRAME_BYTES`] |
//! | 4 | 1 | kind: 1 message, 2 batch of changes |
//! | 5 | n−1 | kind 1: a [`Message`] in the postcard wire format |
//!
//! A batch (kind 2) is kept out of postcard so that its bytes are copied once:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 5 | 8 | batch number, big-endian, from 1 in each direction |
//! | 13 | 4 | number of changes, big-endian, at most [`limits::BATCH_CHANGES`] |
//! | 17 | 4 | length of the raw bytes, big-endian |
//! | 21 | … | zstd frame of the raw bytes |
//!
//! The raw bytes hold for each change one byte of tiers ([`crate::sync::Carried::reached`]), its
//! length as four bytes big-endian, and its exact bytes.

use serde::{Deserialize, Serialize};

use crate::blob::BlobMessage;
use crate::id::Signature;
use crate::key::{KeyPrefix, SetKey};
use crate::limits;
use crate::sketch::Symbol;
use crate::summary::{Fingerprint, Summary};
use crate::sync::Carried;

pub(crate) mod bounded;
mod prefixed;

pub use crate::id::LineageToken;
pub use bounded::Bounded;
pub use prefixed::Prefixed;

/// Name of the protocol in the TLS handshake.
pub const ALPN: &[u8] = b"cunlian/1";
/// The protocol versions this crate speaks, best first.
pub const VERSIONS: [u16; 1] = [1];
/// zstd level of batches: 3 halves the bytes of level 1 left over, at about 200 MB/s.
const ZSTD_LEVEL: i32 = 3;
const LENGTH_BYTES: usize = 4;
const BATCH_HEADER_BYTES: usize = 17;
const CARRIED_HEADER_BYTES: usize = 5;

/// Exact bytes of one certificate.
pub type CertificateBytes = Bounded<u8, { limits::CERTIFICATE_BYTES }>;
/// Exact bytes of one revocation.
pub type RevocationBytes = Bounded<u8, { limits::REVOCATION_BYTES }>;
/// Exact bytes of one succession.
pub type SuccessionBytes = Bounded<u8, { limits::SUCCESSION_BYTES }>;

/// What each side says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions spoken, best first.
    pub versions: Bounded<u16, { limits::VERSIONS }>,
    /// Certificates from the root side down to the speaker's own.
    pub chain: Bounded<CertificateBytes, { limits::CHAIN_CERTIFICATES }>,
    /// The speaker's time, milliseconds since 1970-01-01 UTC.
    pub clock_ms: i64,
    /// BLAKE3 of the ids of all revocations the speaker knows, in order.
    pub revocations: [u8; 32],
    /// Successions of the root, and of the speaker's own key.
    pub successions: Bounded<SuccessionBytes, { limits::SUCCESSIONS }>,
    /// Of a dialler the lineage token it was given last; of a listener the next one.
    pub lineage: LineageToken,
    /// Of a dialler: it came back from a copy and must be certified anew. Of a listener: the
    /// session is for handing up what waits and for a new certificate only.
    pub renewing: bool,
    /// Software version, for people.
    pub software: Bounded<u8, 40>,
    /// What versions after 1 add; passed over by who does not know it.
    pub more: Bounded<u8, { limits::HELLO_MORE_BYTES }>,
    /// Over the exporter of this TLS connection, the speaker's role and the fields above.
    pub signature: Signature,
}

/// Part of a frontier: disjoint ascending prefixes that cover all that a node has somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// This part.
    pub items: Prefixed<Fingerprint, { limits::PAGE_SUMMARIES }>,
    /// Whether the list goes on in the next page; a page that is not the last is not empty.
    pub more: bool,
}

impl Page {
    /// Cuts a list into pages; an empty list is one empty page.
    pub fn cut(list: Vec<(KeyPrefix, Summary)>) -> Vec<Self> {
        let count = list.len().div_ceil(limits::PAGE_SUMMARIES).max(1);
        let mut rest = list.into_iter().map(|(prefix, summary)| (prefix, summary.into()));
        (1..=count)
            .map(|number| Self {
                items: Prefixed(rest.by_ref().take(limits::PAGE_SUMMARIES).collect()),
                more: number < count,
            })
            .collect()
    }
}

/// How a peer asks about a prefix that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A frontier within it.
    Frontier,
    /// Symbols of the sketch of its ids.
    Symbols {
        /// The first.
        from: u32,
        /// The one after the last; at most [`limits::SKETCH_SYMBOLS`] more.
        to: u32,
    },
    /// All its short ids.
    Shorts,
}

/// What the answer to an [`Ask`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskReply {
    /// The frontier, in pages under the number of one question.
    Frontier(Page),
    /// Symbols.
    Symbols {
        /// Of how many ids.
        items: u32,
        /// As many as were asked for.
        symbols: Bounded<Symbol, { limits::SKETCH_SYMBOLS }>,
    },
    /// Short ids, little-endian.
    Shorts(Bounded<[u8; 8], { limits::SKETCH_ITEMS }>),
    /// More than [`limits::SKETCH_ITEMS`] ids are there: ask for a frontier.
    TooMany,
}

/// What of a prefix a peer asks to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// Everything.
    All,
    /// The changes with these short ids, little-endian.
    Shorts(Bounded<[u8; 8], { limits::SKETCH_ITEMS }>),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// First message of who dialled.
    Hello(Hello),
    /// Answer of who was dialled: the connection is accepted.
    Welcome(Hello),
    /// The connection ends; the last message.
    Goodbye {
        /// One of [`FaultCode`].
        code: u16,
        /// For people.
        reason: Bounded<u8, { limits::REASON_BYTES }>,
    },
    /// Begins a comparison.
    Root {
        /// Number of the comparison on this connection, from 1; short ids depend on it.
        number: u32,
        /// BLAKE3 over prefixes and summaries of the common scope.
        digest: [u8; 32],
    },
    /// The digest is the same here.
    Equal,
    /// The digest differs; this is the frontier of the common scope here.
    Tops(Page),
    /// Asks about prefixes, numbered on from the question before, from 0 in each comparison.
    Query(Prefixed<Ask, { limits::QUERY_PREFIXES }>),
    /// Answers to questions, by their numbers; the rest follows in further messages.
    Answer(Bounded<(u32, AskReply), { limits::QUERY_PREFIXES }>),
    /// Asks for changes.
    Want {
        /// Number of the request, from 1.
        number: u64,
        /// What is wanted.
        items: Prefixed<Wanted, { limits::QUERY_PREFIXES }>,
    },
    /// Everything asked for by this number has been sent.
    Delivered {
        /// Number of the request.
        number: u64,
    },
    /// This many changes, and about this many bytes, will be sent.
    Announce {
        /// Changes.
        changes: u64,
        /// Bytes before compression, estimated.
        bytes: u64,
    },
    /// Certificates of authors whose changes follow, issuers first.
    Certificates(Bounded<CertificateBytes, { limits::FRAME_CERTIFICATES }>),
    /// Revocations the speaker knows.
    Revocations(Bounded<RevocationBytes, { limits::FRAME_CERTIFICATES }>),
    /// A batch is durable here.
    Ack {
        /// Its number.
        batch: u64,
        /// Changes (index in the batch) that were refused, and why.
        refused: Bounded<(u32, Bounded<u8, { limits::REASON_BYTES }>), { limits::BATCH_CHANGES }>,
        /// Changes (index in the batch) that may come again later.
        postponed: Bounded<u32, { limits::BATCH_CHANGES }>,
        /// Why they were postponed; empty when none was.
        until: Bounded<u8, { limits::REASON_BYTES }>,
        /// Signed receipt for the others.
        receipt: Bounded<u8, 512>,
    },
    /// Asks who holds what.
    AskHeld(crate::durability::Questions),
    /// Tiers (bits) that hold changes, told unasked.
    Held(Bounded<(SetKey, u8), { limits::HELD_KEYS }>),
    /// First bytes of the ids of the revocations the speaker knows; the peer sends the others.
    KnownRevocations(Bounded<[u8; 8], { limits::LIST_IDS }>),
    /// Asks the issuer for a new certificate.
    Renew {
        /// A [`crate::renewal::Renewal`].
        request: Bounded<u8, 512>,
    },
    /// Answers with the new chain, root side first.
    Issued(Bounded<CertificateBytes, { limits::CHAIN_CERTIFICATES }>),
    /// A renewal is refused.
    NotIssued {
        /// For people.
        reason: Bounded<u8, { limits::REASON_BYTES }>,
    },
    /// Answers about who holds what, in the order of the questions.
    Holding {
        /// The answers.
        answers: Bounded<crate::durability::Answer, { limits::HELD_QUESTIONS }>,
        /// The signed word for them, an [`crate::durability::Attestation`].
        receipt: Bounded<u8, 512>,
    },
    /// Tiers above hold more than can be told one by one: whoever wants to know should ask.
    AskAgain,
    /// About blobs.
    Blob(BlobMessage),
    /// No version is spoken by both; the speaker speaks these. A goodbye follows.
    Speaks(Bounded<u16, { limits::VERSIONS }>),
    /// From version 2: words for the administrator of the peer.
    Remark(Bounded<u8, { limits::REASON_BYTES }>),
}

/// Why a connection ends, as a number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum FaultCode {
    /// No fault: this node stops, or has a newer connection to the same peer.
    Stopping = 0,
    /// Bytes that are no message.
    Malformed = 1,
    /// Something larger than its limit.
    TooLarge = 2,
    /// A message at the wrong moment.
    Unexpected = 3,
    /// No common protocol version.
    Version = 4,
    /// The chain does not verify.
    Certificate = 5,
    /// The certificate was revoked.
    Revoked = 6,
    /// The certificate has expired.
    Expired = 7,
    /// The hello is not from the owner of the certificate.
    Signature = 8,
    /// A range outside the peer's scope.
    OutOfScope = 9,
    /// More unacknowledged or unread data than allowed.
    Flow = 10,
    /// Not the peer that was dialled.
    WrongPeer = 11,
    /// A newer connection of the same peer took over.
    Replaced = 12,
    /// This node has as many sessions as it can.
    Busy = 13,
    /// No answer in time.
    Timeout = 14,
    /// The store of this node cannot take part now (disk full, for example).
    Store = 15,
    /// Two machines use one identity, or an old state of one came back.
    Cloned = 16,
}

impl FaultCode {
    /// Whether the other side is not taken for what it is, so that dialling again does not help
    /// until somebody changes something.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Version
                | Self::Certificate
                | Self::Revoked
                | Self::Expired
                | Self::Signature
                | Self::WrongPeer
                | Self::Cloned
        )
    }
}

/// Bytes that are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than [`limits::FRAME_BYTES`], or empty.
    #[error("a frame of {got} bytes is announced, at most {} are allowed", limits::FRAME_BYTES)]
    Length {
        /// Bytes announced.
        got: usize,
    },
    /// Neither message nor batch.
    #[error("unknown kind of frame {kind}")]
    Kind {
        /// The kind.
        kind: u8,
    },
    /// Not a message, or bytes left over.
    #[error("the bytes are not a message of this protocol version")]
    Malformed,
    /// The batch does not hold what it says.
    #[error("batch {batch} does not hold what it says")]
    Batch {
        /// Its number.
        batch: u64,
    },
}

/// A decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a frame is taken apart as soon as it is read")]
pub enum Frame {
    /// A message.
    Message(Message),
    /// A batch of changes.
    Batch {
        /// Its number.
        batch: u64,
        /// The changes; bytes are untrusted.
        changes: Vec<Carried>,
    },
}

/// A text cut to the bound of a list of bytes at a character boundary.
pub fn bounded_text<const N: usize>(text: &str) -> Bounded<u8, N> {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Bounded(text.as_bytes().get(..end).unwrap_or_default().to_vec())
}

/// Encodes a message as a whole frame, length included.
///
/// # Panics
/// When the message is larger than a frame: whoever builds messages keeps to the limits.
pub fn encode(message: &Message) -> Vec<u8> {
    let body = postcard::to_allocvec(message).expect("messages have only encodable types");
    frame(1, &body)
}

/// Encodes changes as a whole frame, length included. They must fit a batch.
pub fn encode_batch(batch: u64, changes: &[Carried]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(raw_bytes(changes));
    for change in changes {
        raw.push(change.reached);
        raw.extend_from_slice(&length(change.bytes.len()));
        raw.extend_from_slice(&change.bytes);
    }
    let mut body = batch.to_be_bytes().to_vec();
    body.extend_from_slice(&length(changes.len()));
    body.extend_from_slice(&length(raw.len()));
    let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).expect("compressing memory cannot fail");
    body.extend_from_slice(&packed);
    frame(2, &body)
}

/// Bytes of changes in a batch before compression.
pub fn raw_bytes(changes: &[Carried]) -> usize {
    changes.iter().map(|change| CARRIED_HEADER_BYTES + change.bytes.len()).sum()
}

/// The length of the frame that these first four bytes announce.
pub fn frame_length(header: [u8; LENGTH_BYTES]) -> Result<usize, WireError> {
    let got = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if got == 0 || got > limits::FRAME_BYTES { Err(WireError::Length { got }) } else { Ok(got) }
}

/// Decodes a frame without its length.
pub fn decode(frame: &[u8]) -> Result<Frame, WireError> {
    match frame.split_first() {
        Some((1, body)) => match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(Frame::Message(message)),
            _ => Err(WireError::Malformed),
        },
        Some((2, body)) => decode_batch(body),
        Some((&kind, _)) => Err(WireError::Kind { kind }),
        None => Err(WireError::Length { got: 0 }),
    }
}

fn decode_batch(body: &[u8]) -> Result<Frame, WireError> {
    let (header, packed) =
        body.split_first_chunk::<{ BATCH_HEADER_BYTES - 1 }>().ok_or(WireError::Malformed)?;
    let (batch, counts) = header.split_first_chunk::<8>().ok_or(WireError::Malformed)?;
    let batch = u64::from_be_bytes(*batch);
    let error = WireError::Batch { batch };
    let (count, raw) = counts.split_first_chunk::<4>().ok_or(WireError::Malformed)?;
    let raw: [u8; 4] = raw.try_into().map_err(|_| WireError::Malformed)?;
    let count = u32::from_be_bytes(*count) as usize;
    let raw_length = u32::from_be_bytes(raw) as usize;
    if count > limits::BATCH_CHANGES || raw_length > limits::BATCH_BYTES + limits::CHANGE_BYTES {
        return Err(error);
    }
    let raw = zstd::bulk::decompress(packed, raw_length).map_err(|_| error.clone())?;
    let mut rest = raw.as_slice();
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let (header, after) =
            rest.split_first_chunk::<CARRIED_HEADER_BYTES>().ok_or_else(|| error.clone())?;
        let [reached, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        let (bytes, after) = after.split_at_checked(length).ok_or_else(|| error.clone())?;
        changes.push(Carried { bytes: bytes.to_vec(), reached });
        rest = after;
    }
    if raw.len() == raw_length && rest.is_empty() {
        Ok(Frame::Batch { batch, changes })
    } else {
        Err(error)
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("limits keep lengths below 4 GiB").to_be_bytes()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let bytes = body.len() + 1;
    assert!(bytes <= limits::FRAME_BYTES, "a frame of {bytes} bytes was built");
    let mut frame = Vec::with_capacity(LENGTH_BYTES + bytes);
    frame.extend_from_slice(&length(bytes));
    frame.push(kind);
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that batches survive the frame, empty changes and all tier bits included.
    #[test]
    fn a_batch_survives_its_frame() {
        let changes: Vec<Carried> = (0..50_u8)
            .map(|n| Carried { bytes: vec![n; usize::from(n) * 100], reached: n })
            .collect();
        let frame = encode_batch(7, &changes);
        let (header, rest) = frame.split_first_chunk().unwrap();
        assert_eq!(frame_length(*header), Ok(rest.len()));
        assert_eq!(decode(rest), Ok(Frame::Batch { batch: 7, changes }));
    }

    /// Shows that a list longer than its bound is refused although the bytes are all there.
    #[test]
    fn a_list_beyond_its_bound_is_refused() {
        let long: Vec<u8> = vec![0; 17];
        let bytes = postcard::to_allocvec(&long).unwrap();
        assert!(postcard::from_bytes::<Bounded<u8, 16>>(&bytes).is_err());
        assert!(postcard::from_bytes::<Bounded<u8, 17>>(&bytes).is_ok());
    }

    /// Shows that a batch that claims to unpack to more than it does, or less, is refused.
    #[test]
    fn a_batch_with_a_wrong_length_is_refused() {
        let frame = encode_batch(1, &[Carried { bytes: vec![1; 10], reached: 0 }]);
        for at in 13..21 {
            let mut wrong = frame.clone();
            *wrong.get_mut(at).unwrap() ^= 1;
            assert!(decode(wrong.get(4..).unwrap()).is_err(), "byte {at}");
        }
    }
}
