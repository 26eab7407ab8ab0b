//! Reading a part of a bundle: what its stamps cover, and no byte more.
//!
//! This alone trusts nobody: stamps are checked with the key of who the cover says exported it,
//! and whether that node is worth anything is for who reads to decide. Of a part that is sealed
//! for somebody else cover and stamps are read, and nothing is in its segments.

use std::io::{self, Read};

use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::id::Signature;
use cunlian_protocol::limits;
use cunlian_protocol::signing::{self, Context, SigningKey, public_key};

use super::sealing::{Agreement, Sealing};
use super::{
    Count, Cover, Follows, Head, KIND_COVER, KIND_HEAD, KIND_SEALED, KIND_STAMP, LENGTH_BYTES,
    MAGIC, PREFIX_BYTES, Party, SEALING_BYTES, SEGMENT_BYTES, STAMP_BYTES, STAMPED_BYTES, Stamp,
    VERSION,
};

/// Why a file cannot be read as a bundle at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It does not begin as one.
    #[error("this is not a bundle")]
    NotABundle,
    /// A newer program wrote it.
    #[error("the bundle has layout {found}, and this program reads {VERSION}: update this node")]
    Newer {
        /// Version of its layout.
        found: u16,
    },
    /// An older program wrote it, before bundles were sealed.
    #[error(
        "the bundle has layout {found}, which is not read any more: update the node that exported \
         it, and export it again"
    )]
    Older {
        /// Version of its layout.
        found: u16,
    },
    /// Its beginning is cut, damaged, or not signed by the exporter it names.
    #[error("the beginning of the bundle is damaged or cut off; nothing of it can be used")]
    Head,
    /// It is signed, and named for this node, but sealed otherwise.
    #[error(
        "the bundle says that it is sealed for this node by {exporter:?}, and does not open: that \
         is not who sealed it"
    )]
    NotSealedSo {
        /// Who it says exported it.
        exporter: String,
    },
    /// The file cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why the rest of a bundle is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file ends early.
    #[error("the file ends early, after {bytes} bytes, as when a stick is pulled out")]
    Cut {
        /// Bytes there are.
        bytes: u64,
    },
    /// Bytes are not what the exporter signed.
    #[error("the file is damaged or was altered somewhere after byte {good}")]
    Damaged {
        /// Bytes up to the last stamp that holds.
        good: u64,
    },
    /// The exporter signed what is not made as bundles are.
    #[error(
        "what comes after byte {good} was signed so, but is not sealed or counted as it must be"
    )]
    Unsound {
        /// Bytes up to the last stamp before.
        good: u64,
    },
}

/// What stands between two stamps, and the second one, which holds.
#[derive(Debug)]
pub struct Segment {
    /// Frames without their lengths, opened: messages, batches, blobs. None of a part that is
    /// sealed for somebody else.
    pub frames: Vec<Vec<u8>>,
    /// The stamp.
    pub stamp: Stamp,
    /// Changes up to it; zeros in a part that is sealed for somebody else.
    pub count: Count,
}

/// What is for those only who can open a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the part says about itself.
    pub head: Head,
    /// What the exporter's certificate says. Whether it is worth anything is not checked.
    pub exporter: CertificateBody,
}

/// How what stands between stamps is to be read.
enum Content {
    /// In the clear.
    Open,
    /// Sealed for a key that is here.
    Ours(Sealing),
    /// Sealed for somebody else.
    Theirs,
}

/// Reads one part.
pub struct Reader<R> {
    input: R,
    cover: Cover,
    opened: Option<Opened>,
    content: Content,
    hasher: blake3::Hasher,
    read: u64,
    good: u64,
    over: bool,
    stamp: Stamp,
    count: Count,
}

impl<R: Read> Reader<R> {
    /// Reads cover and head, and the stamp behind them. What is sealed is opened if it is for
    /// one of the keys.
    pub fn open(mut input: R, keys: &[&SigningKey]) -> Result<Self, Unreadable> {
        let prefix = read_prefix(&mut input)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&prefix);
        let (length, frame) = read_frame(&mut input)?.ok_or(Unreadable::Head)?;
        let cover: Cover = postcard_frame(KIND_COVER, &frame).ok_or(Unreadable::Head)?;
        hasher.update(&length).update(&frame);
        let read = (prefix.len() + length.len() + frame.len()) as u64;
        let content = content_of(&cover, keys, &hasher.finalize())?;
        let stamp = Stamp { number: 0, follows: Follows::More };
        let (opened, count) = (None, Count::default());
        let (good, over) = (0, false);
        let mut reader =
            Self { input, cover, opened, content, hasher, read, good, over, stamp, count };
        reader.read_head()?;
        Ok(reader)
    }

    /// What is in the clear, signed by the key of the exporter in it.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// What is not in the clear; `None` when the part is sealed for another key.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// The last stamp that held.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Changes up to that stamp, if the part is open.
    pub fn count(&self) -> Count {
        self.count
    }

    /// Bytes read.
    pub fn bytes(&self) -> u64 {
        self.read
    }

    /// Reads up to the next stamp; `None` when the part is whole and over. After a flaw nothing
    /// more comes.
    pub fn segment(&mut self) -> io::Result<Result<Option<Segment>, Flaw>> {
        if self.over {
            return Ok(Ok(None));
        }
        let mut frames = Vec::new();
        let mut unstamped = 0;
        loop {
            let Some((length, frame)) = read_frame(&mut self.input)? else {
                return Ok(Err(self.end(Flaw::Cut { bytes: self.read })));
            };
            let damaged = Flaw::Damaged { good: self.good };
            if frame.is_empty() {
                return Ok(Err(self.end(damaged)));
            }
            let bytes = length.len() + frame.len();
            self.read += bytes as u64;
            if let Some((&KIND_STAMP, body)) = frame.split_first() {
                let Some(stamp) = self.check(body) else { return Ok(Err(self.end(damaged))) };
                self.hasher.update(&length).update(&frame);
                if stamp.follows != Follows::More && fill(&mut self.input, &mut [0])? > 0 {
                    return Ok(Err(self.end(damaged)));
                }
                return Ok(self.content(frames, stamp).map(Some));
            }
            unstamped += bytes;
            if unstamped > SEGMENT_BYTES {
                return Ok(Err(self.end(damaged)));
            }
            self.hasher.update(&length).update(&frame);
            frames.push(frame);
        }
    }

    /// The first segment, which has the head and nothing else.
    fn read_head(&mut self) -> Result<(), Unreadable> {
        let frames = match self.segment()? {
            Ok(Some(segment)) => segment.frames,
            Err(Flaw::Unsound { .. }) if matches!(self.content, Content::Ours(_)) => {
                return Err(Unreadable::NotSealedSo { exporter: self.cover.exporter.name() });
            }
            Ok(None) | Err(_) => return Err(Unreadable::Head),
        };
        if matches!(self.content, Content::Theirs) {
            return Ok(());
        }
        let [frame] = frames.as_slice() else { return Err(Unreadable::Head) };
        let head: Head = postcard_frame(KIND_HEAD, frame).ok_or(Unreadable::Head)?;
        let last = head.chain.0.last().ok_or(Unreadable::Head)?;
        let exporter = Certificate::peek(&last.0).map_err(|_| Unreadable::Head)?;
        // Whose signature holds must be who brings the chain, by the name that was shown.
        if Party::of(&exporter) != self.cover.exporter {
            return Err(Unreadable::Head);
        }
        self.opened = Some(Opened { head, exporter });
        Ok(())
    }

    fn check(&self, body: &[u8]) -> Option<Stamp> {
        let body: &[u8; STAMP_BYTES] = body.try_into().ok()?;
        let (stamped, signature) = body.split_first_chunk::<STAMPED_BYTES>()?;
        let (stamp, before) = Stamp::from_bytes(stamped)?;
        let signature = Signature(signature.try_into().ok()?);
        let key = &self.cover.exporter.key;
        let holds = before == *self.hasher.finalize().as_bytes()
            && stamp.number == self.stamp.number + 1
            && signing::verify(key, Context::Bundle, stamped, &signature).is_ok();
        holds.then_some(stamp)
    }

    /// What is in the frames before a stamp that holds.
    fn content(&mut self, frames: Vec<Vec<u8>>, stamp: Stamp) -> Result<Segment, Flaw> {
        let is_sealed = |frame: &Vec<u8>| frame.first() == Some(&KIND_SEALED);
        let content = match &mut self.content {
            Content::Open => (!frames.iter().any(is_sealed)).then_some(frames),
            Content::Theirs => frames.iter().all(is_sealed).then(Vec::new),
            Content::Ours(sealing) => open_frames(sealing, frames, stamp.follows != Follows::More),
        };
        let counted = content.and_then(|mut frames| {
            let count = match (&self.content, frames.pop()) {
                (Content::Theirs, _) => Count::default(),
                (Content::Open | Content::Ours(_), last) => Count::from_frame(&last?)?,
            };
            Some((frames, count))
        });
        let Some((frames, count)) = counted else {
            return Err(self.end(Flaw::Unsound { good: self.good }));
        };
        self.good = self.read;
        self.over = stamp.follows != Follows::More;
        (self.stamp, self.count) = (stamp, count);
        Ok(Segment { frames, stamp, count })
    }

    fn end(&mut self, flaw: Flaw) -> Flaw {
        self.over = true;
        flaw
    }
}

/// How a part with this cover is to be read, for the BLAKE3 of it up to the end of the cover.
fn content_of(
    cover: &Cover,
    keys: &[&SigningKey],
    covered: &blake3::Hash,
) -> Result<Content, Unreadable> {
    let Some(receiver) = &cover.receiver else { return Ok(Content::Open) };
    let key = keys.iter().find(|key| public_key(key) == receiver.node.key);
    let Some(key) = key else { return Ok(Content::Theirs) };
    match Agreement::of_receiver(key, receiver.ephemeral) {
        Some(agreement) => Ok(Content::Ours(agreement.part(covered))),
        None => Err(Unreadable::NotSealedSo { exporter: cover.exporter.name() }),
    }
}

/// Opens all frames before a stamp; `None` when one of them is something else.
fn open_frames(sealing: &mut Sealing, frames: Vec<Vec<u8>>, is_end: bool) -> Option<Vec<Vec<u8>>> {
    let count = frames.len();
    let opened = frames.into_iter().zip(1..).map(|(frame, place)| match frame.split_first() {
        Some((&KIND_SEALED, sealed)) => sealing.open(sealed, is_end && place == count),
        _ => None,
    });
    opened.collect()
}

fn read_prefix(input: &mut impl Read) -> Result<[u8; PREFIX_BYTES], Unreadable> {
    let mut prefix = [0; PREFIX_BYTES];
    let got = fill(input, &mut prefix)?;
    let (magic, version) = prefix.split_at(MAGIC.len());
    if magic != MAGIC.as_slice() {
        return Err(Unreadable::NotABundle);
    }
    if got < PREFIX_BYTES {
        return Err(Unreadable::Head);
    }
    match version.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)) {
        VERSION => Ok(prefix),
        found if found < VERSION => Err(Unreadable::Older { found }),
        found => Err(Unreadable::Newer { found }),
    }
}

fn postcard_frame<T: serde::de::DeserializeOwned>(kind: u8, frame: &[u8]) -> Option<T> {
    let (_, body) = frame.split_first().filter(|(found, _)| **found == kind)?;
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(value)
}

type Framed = ([u8; LENGTH_BYTES], Vec<u8>);

/// One frame with its length; `None` when the input ends within it, an empty frame when its
/// length cannot be.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Framed>> {
    let mut header = [0; LENGTH_BYTES];
    if fill(input, &mut header)? < header.len() {
        return Ok(None);
    }
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length == 0 || length > limits::FRAME_BYTES + SEALING_BYTES {
        return Ok(Some((header, Vec::new())));
    }
    let mut frame = vec![0; length];
    let got = fill(input, &mut frame)?;
    Ok((got == length).then_some((header, frame)))
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
