//! Reading a part of a bundle: what its seals cover, and no byte more.
//!
//! This alone trusts nobody: seals are checked with the key of the last certificate in the head,
//! and whether that certificate is worth anything is for who reads to decide.

use std::io::{self, Read};

use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::id::Signature;
use cunlian_protocol::limits;
use cunlian_protocol::signing::{self, Context};

use super::{
    Follows, Head, KIND_HEAD, KIND_SEAL, LENGTH_BYTES, MAGIC, PREFIX_BYTES, SEAL_BYTES,
    SEALED_BYTES, SEGMENT_BYTES, Seal, VERSION,
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
    /// Its head is cut, damaged, or not signed by the exporter it names.
    #[error("the beginning of the bundle is damaged or cut off; nothing of it can be used")]
    Head,
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
        /// Bytes up to the last seal that holds.
        good: u64,
    },
}

/// What stands between two seals, and the second one, which holds.
#[derive(Debug)]
pub struct Segment {
    /// Frames without their lengths: messages and batches.
    pub frames: Vec<Vec<u8>>,
    /// The seal.
    pub seal: Seal,
}

/// Reads one part.
pub struct Reader<R> {
    input: R,
    head: Head,
    exporter: CertificateBody,
    hasher: blake3::Hasher,
    read: u64,
    good: u64,
    seals: u32,
    over: bool,
    seal: Seal,
}

impl<R: Read> Reader<R> {
    /// Reads the head and the seal behind it.
    pub fn open(mut input: R) -> Result<Self, Unreadable> {
        let mut prefix = [0; PREFIX_BYTES];
        let got = fill(&mut input, &mut prefix)?;
        let (magic, version) = prefix.split_at(MAGIC.len());
        if magic != MAGIC.as_slice() {
            return Err(Unreadable::NotABundle);
        }
        if got < PREFIX_BYTES {
            return Err(Unreadable::Head);
        }
        let found = version.iter().fold(0, |number, byte| number << 8 | u16::from(*byte));
        if found != VERSION {
            return Err(Unreadable::Newer { found });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&prefix);
        let (header, frame) = read_frame(&mut input)?.ok_or(Unreadable::Head)?;
        let head = match frame.split_first() {
            Some((&KIND_HEAD, body)) => postcard::take_from_bytes::<Head>(body),
            _ => return Err(Unreadable::Head),
        };
        let Ok((head, [])) = head else { return Err(Unreadable::Head) };
        let last = head.chain.0.last().ok_or(Unreadable::Head)?;
        let exporter = Certificate::peek(&last.0).map_err(|_| Unreadable::Head)?;
        hasher.update(&header).update(&frame);
        let read = (prefix.len() + header.len() + frame.len()) as u64;
        let seal = Seal { number: 0, follows: Follows::More, changes: 0, total: 0 };
        let (seals, over, good) = (0, false, 0);
        let mut reader = Self { input, head, exporter, hasher, read, good, seals, over, seal };
        match reader.segment()? {
            Ok(Some(Segment { frames, .. })) if frames.is_empty() => Ok(reader),
            _ => Err(Unreadable::Head),
        }
    }

    /// What the part says about itself, signed by who it says exported it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What the exporter's certificate says. Whether it is worth anything is not checked.
    pub fn exporter(&self) -> &CertificateBody {
        &self.exporter
    }

    /// The last seal that held.
    pub fn seal(&self) -> Seal {
        self.seal
    }

    /// Bytes read.
    pub fn bytes(&self) -> u64 {
        self.read
    }

    /// Reads up to the next seal; `None` when the part is whole and over. After a flaw nothing
    /// more comes.
    pub fn segment(&mut self) -> io::Result<Result<Option<Segment>, Flaw>> {
        if self.over {
            return Ok(Ok(None));
        }
        let mut frames = Vec::new();
        let mut unsealed = 0;
        loop {
            let Some((header, frame)) = read_frame(&mut self.input)? else {
                return Ok(Err(self.end(true)));
            };
            if frame.is_empty() {
                return Ok(Err(self.end(false)));
            }
            let bytes = header.len() + frame.len();
            self.read += bytes as u64;
            if let Some((&KIND_SEAL, body)) = frame.split_first() {
                let Some(seal) = self.check(body) else { return Ok(Err(self.end(false))) };
                self.hasher.update(&header).update(&frame);
                self.good = self.read;
                self.seals = seal.number;
                self.seal = seal;
                if seal.follows != Follows::More {
                    self.over = true;
                    if fill(&mut self.input, &mut [0])? > 0 {
                        return Ok(Err(self.end(false)));
                    }
                }
                return Ok(Ok(Some(Segment { frames, seal })));
            }
            unsealed += bytes;
            if unsealed > SEGMENT_BYTES {
                return Ok(Err(self.end(false)));
            }
            self.hasher.update(&header).update(&frame);
            frames.push(frame);
        }
    }

    fn check(&self, body: &[u8]) -> Option<Seal> {
        let body: &[u8; SEAL_BYTES] = body.try_into().ok()?;
        let (sealed, signature) = body.split_first_chunk::<SEALED_BYTES>()?;
        let (seal, before) = Seal::from_bytes(sealed)?;
        let signature = Signature(signature.try_into().ok()?);
        let holds = before == *self.hasher.finalize().as_bytes()
            && seal.number == self.seals + 1
            && signing::verify(&self.exporter.subject, Context::Bundle, sealed, &signature).is_ok();
        holds.then_some(seal)
    }

    fn end(&mut self, cut: bool) -> Flaw {
        self.over = true;
        if cut { Flaw::Cut { bytes: self.read } } else { Flaw::Damaged { good: self.good } }
    }
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
    if length == 0 || length > limits::FRAME_BYTES {
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
