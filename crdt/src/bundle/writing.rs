//! Writing frames, stamps and parts, sealed for their receiver.

use std::collections::BTreeSet;
use std::io;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::blob::Outline;
use cunlian_protocol::id::Serial;
use cunlian_protocol::limits;
use cunlian_protocol::revocation::Revocation;
use cunlian_protocol::signing::{self, Context, SigningKey};
use cunlian_protocol::sync::Stored;
use cunlian_protocol::wire::{self, Bounded, Message};

use super::photos::{KIND_BLOB, KIND_CHUNK, KIND_OWNERS, blob_body, chunk_body};
use super::sealing::{Agreement, Sealing};
use super::{
    COUNT_FRAME_BYTES, Count, Cover, Follows, Head, KIND_COUNT, KIND_COVER, KIND_HEAD, KIND_SEALED,
    KIND_STAMP, LENGTH_BYTES, MAGIC, SEALING_BYTES, SEGMENT_BYTES, STAMP_FRAME_BYTES, Stamp,
    VERSION,
};

/// What is to be done with what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// What follows belongs to the part with this number.
    Part(u32),
    /// The next bytes of the part.
    Bytes(&'a [u8]),
}

/// How each part begins.
pub(super) struct Beginning {
    pub(super) cover: Cover,
    pub(super) head: Head,
    /// What is agreed with the receiver, when there is one.
    pub(super) agreement: Option<Agreement>,
}

/// Writes one bundle.
pub(super) struct Writer<'a> {
    beginning: Beginning,
    /// Seals the frames of this part.
    sealing: Option<Sealing>,
    key: &'a SigningKey,
    authority: &'a Authority,
    /// Most bytes of a part.
    part_bytes: u64,
    output: &'a mut dyn FnMut(Output<'_>) -> io::Result<()>,
    hasher: blake3::Hasher,
    /// Bytes of this part, and those of them that no stamp covers yet.
    written: u64,
    unstamped: usize,
    stamps: u32,
    /// Changes so far.
    pub(super) count: Count,
    /// Bytes of the parts before.
    before: u64,
    batch: u64,
    told: BTreeSet<Serial>,
    /// Whether the part has something of its own.
    filled: bool,
}

impl<'a> Writer<'a> {
    /// Begins the first part.
    pub(super) fn new(
        beginning: Beginning,
        key: &'a SigningKey,
        authority: &'a Authority,
        part_bytes: Option<u64>,
        output: &'a mut dyn FnMut(Output<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut writer = Self {
            beginning,
            sealing: None,
            key,
            authority,
            part_bytes: part_bytes.unwrap_or(u64::MAX),
            output,
            hasher: blake3::Hasher::new(),
            written: 0,
            unstamped: 0,
            stamps: 0,
            count: Count::default(),
            before: 0,
            batch: 0,
            told: BTreeSet::new(),
            filled: false,
        };
        writer.begin_part()?;
        Ok(writer)
    }

    /// Writes changes as one batch, after the certificates of their authors.
    pub(super) fn batch(&mut self, changes: Vec<Stored>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let authors: BTreeSet<Serial> = changes.iter().map(|stored| stored.author).collect();
        let count = changes.len() as u64;
        let carried: Vec<_> = changes.into_iter().map(|stored| stored.carried).collect();
        self.batch += 1;
        let frame = wire::encode_batch(self.batch, &carried);
        // All that goes with the batch must be in the part of the batch.
        let mut introduced = self.introduction(&authors);
        let together = introduced.iter().chain([&frame]).map(|frame| sealed_bytes(frame)).sum();
        if !self.fits(together) && self.filled {
            self.next_part()?;
            introduced = self.introduction(&authors);
        }
        for certificates in introduced {
            self.frame(&certificates)?;
        }
        self.told.extend(authors);
        self.frame(&frame)?;
        self.count.changes += count;
        self.count.total += count;
        self.filled = true;
        Ok(())
    }

    /// Writes a blob of which `chunk` gives the chunks, until it gives none, behind the body that
    /// says what has it.
    pub(super) fn blob<E: From<io::Error>>(
        &mut self,
        owners: &[u8],
        outline: &Outline,
        mut chunk: impl FnMut(u32) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let owners = frame(KIND_OWNERS, owners);
        let named = frame(KIND_BLOB, &blob_body(outline));
        let before = sealed_bytes(&owners) + sealed_bytes(&named);
        let mut in_part = 0;
        for place in 0..outline.name().chunks() {
            let Some(bytes) = chunk(place)? else { return Ok(()) };
            let content = frame(KIND_CHUNK, &chunk_body(place, &bytes));
            if !self.fits(before + sealed_bytes(&content)) && self.filled {
                self.next_part()?;
            }
            if in_part != self.beginning.cover.part {
                self.frame(&owners)?;
                self.frame(&named)?;
                in_part = self.beginning.cover.part;
            }
            self.frame(&content)?;
            self.filled = true;
        }
        Ok(())
    }

    /// Ends the bundle; gives its parts and bytes.
    pub(super) fn finish(mut self) -> io::Result<(u32, u64)> {
        self.stamp(Follows::Nothing)?;
        Ok((self.beginning.cover.part, self.before + self.written))
    }

    fn next_part(&mut self) -> io::Result<()> {
        self.stamp(Follows::Part)?;
        self.before += self.written;
        self.beginning.cover.part += 1;
        self.begin_part()
    }

    fn begin_part(&mut self) -> io::Result<()> {
        (self.output)(Output::Part(self.beginning.cover.part))?;
        self.hasher.reset();
        (self.written, self.unstamped, self.stamps, self.count.changes) = (0, 0, 0, 0);
        self.batch = 0;
        self.filled = false;
        self.told.clear();
        self.bytes_out(&[MAGIC.as_slice(), &VERSION.to_be_bytes()].concat())?;
        let Beginning { cover, head, .. } = &self.beginning;
        let cover = postcard::to_allocvec(cover).expect("a cover has only encodable types");
        let head = postcard::to_allocvec(head).expect("a head has only encodable types");
        self.bytes_out(&frame(KIND_COVER, &cover))?;
        let covered = self.hasher.finalize();
        self.sealing = self.beginning.agreement.as_ref().map(|agreed| agreed.part(&covered));
        self.put(&frame(KIND_HEAD, &head), false)?;
        self.stamp(Follows::More)?;
        self.revocations()
    }

    /// All revocations, after the certificates that it takes to check them.
    fn revocations(&mut self) -> io::Result<()> {
        let mut serials = BTreeSet::new();
        for revocation in self.authority.revocations() {
            serials.insert(revocation.body().own.serial);
            serials.extend(revocation.body().issuer);
            serials.extend(revocation.body().successor);
        }
        for certificates in self.introduction(&serials) {
            self.frame(&certificates)?;
        }
        self.told.extend(serials);
        let mut some: Vec<&Revocation> = Vec::new();
        let authority = self.authority;
        for revocation in authority.revocations() {
            let bytes: usize = some.iter().map(|revocation| revocation.bytes().len()).sum();
            let full = some.len() == limits::FRAME_CERTIFICATES
                || bytes + revocation.bytes().len() > limits::FRAME_BYTES / 2;
            if full {
                self.frame(&revoking(&some))?;
                some.clear();
            }
            some.push(revocation);
        }
        if some.is_empty() { Ok(()) } else { self.frame(&revoking(&some)) }
    }

    /// Frames with the certificates of these and those above them that the part does not have.
    fn introduction(&mut self, serials: &BTreeSet<Serial>) -> Vec<Vec<u8>> {
        let mut certificates = Vec::new();
        for serial in serials {
            if self.told.contains(serial) {
                continue;
            }
            for certificate in self.authority.chain(serial) {
                if self.told.insert(certificate.serial()) {
                    certificates.push(Bounded(certificate.bytes().to_vec()));
                }
            }
        }
        let frames = certificates.chunks(limits::FRAME_CERTIFICATES);
        frames.map(|some| wire::encode(&Message::Certificates(Bounded(some.to_vec())))).collect()
    }

    /// Writes a frame, given as on the wire, after a stamp when there is too much without.
    fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.unstamped + sealed_bytes(frame) + COUNT_FRAME_BYTES > SEGMENT_BYTES {
            self.stamp(Follows::More)?;
        }
        self.put(frame, false)
    }

    /// Writes a frame, given as on the wire, sealed if the bundle is.
    fn put(&mut self, plain: &[u8], is_last: bool) -> io::Result<()> {
        let Some(sealing) = &mut self.sealing else { return self.bytes_out(plain) };
        let content = plain.get(LENGTH_BYTES..).unwrap_or_default();
        let sealed = sealing.seal(content, is_last);
        self.bytes_out(&frame(KIND_SEALED, &sealed))
    }

    /// Whether so many bytes more, with the stamps they take, leave the part within its bounds.
    fn fits(&self, bytes: usize) -> bool {
        let stamps = bytes / SEGMENT_BYTES + 3;
        let more = (bytes + stamps * (STAMP_FRAME_BYTES + COUNT_FRAME_BYTES)) as u64;
        self.written.saturating_add(more) <= self.part_bytes
    }

    fn stamp(&mut self, follows: Follows) -> io::Result<()> {
        self.put(&frame(KIND_COUNT, &self.count.to_bytes()), follows != Follows::More)?;
        self.stamps += 1;
        let stamped = Stamp { number: self.stamps, follows }.to_bytes(&self.hasher.finalize());
        let signature = signing::sign(self.key, Context::Bundle, &stamped);
        self.bytes_out(&frame(KIND_STAMP, &[stamped.as_slice(), &signature.0].concat()))?;
        self.unstamped = 0;
        Ok(())
    }

    fn bytes_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.unstamped += bytes.len();
        (self.output)(Output::Bytes(bytes))
    }
}

/// Most bytes of a frame in the file, of its bytes as on the wire.
fn sealed_bytes(frame: &[u8]) -> usize {
    frame.len() + SEALING_BYTES
}

fn revoking(some: &[&Revocation]) -> Vec<u8> {
    let list = some.iter().map(|revocation| Bounded(revocation.bytes().to_vec()));
    wire::encode(&Message::Revocations(Bounded(list.collect())))
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).expect("no body here comes near a frame");
    [length.to_be_bytes().as_slice(), &[kind], body].concat()
}
