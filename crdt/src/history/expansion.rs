//! How far an Automerge change unfolds, found out without unfolding it.
//!
//! Columns of a change are run-length encoded, so a few bytes can stand for 2⁶⁰ operations, and
//! decoding them would never end. [`Unfolded::of`] walks over the runs and adds up their lengths.
//! What a change may unfold to grows with its bytes ([`limits::OPERATION_BYTES`]).
//! The layout is that of a change chunk of the Automerge binary format, version 1; numbers are
//! LEB128, `u` unsigned, `i` signed:
//!
//! | part | bytes |
//! |---|---|
//! | magic, checksum, type | 4, 4, 1 |
//! | length of the rest | u |
//! | dependencies | u count, 32 each |
//! | actor | u length, bytes |
//! | number, first operation, time | u, u, i |
//! | message | u length, bytes |
//! | other actors | u count, each u length, bytes |
//! | columns | u count, each u specification, u length |
//! | data of the columns | in their order |
//! | rest | ignored |
//!
//! The lowest four bits of a specification are the type and whether the data are deflated. Runs
//! are `i` n: n > 0 is one value n times, n < 0 is −n values, 0 is `u` m times nothing. A Boolean
//! column is `u` lengths of alternating runs; a raw column has no runs.

use cunlian_protocol::limits;

const BEFORE_LENGTH: usize = 9;
const HASH_BYTES: u64 = 32;
/// Actors of this system have so many bytes. Each predecessor would bring its own copy of a longer
/// one with it.
const ACTOR_BYTES: u64 = 16;
/// What specifications of columns begin with that hold the predecessors of operations.
const PREDECESSORS: u64 = 7;

/// What a change chunk unfolds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unfolded {
    pub(super) operations: u64,
    pub(super) predecessors: u64,
}

impl Unfolded {
    /// Of a change chunk; `None` when it is not laid out as above.
    pub(super) fn of(chunk: &[u8]) -> Option<Self> {
        walk(chunk.get(BEFORE_LENGTH..)?)
    }

    /// Whether a signed change of so many bytes may unfold to this.
    pub(super) fn is_within(&self, change_bytes: usize) -> bool {
        let carried = change_bytes / limits::OPERATION_BYTES;
        self.operations <= (limits::FREE_OPERATIONS + carried) as u64
            && self.predecessors <= (limits::FREE_PREDECESSORS + carried) as u64
    }

    /// What it takes of a document.
    pub(super) fn weight(&self) -> u64 {
        self.operations.saturating_add(self.predecessors)
    }
}

/// Adds up the runs of every column; the longest says how many operations there are.
fn walk(chunk: &[u8]) -> Option<Unfolded> {
    let mut reader = Reader(chunk);
    if reader.unsigned()? != reader.0.len() as u64 {
        return None;
    }
    let dependencies = reader.unsigned()?;
    reader.skip(dependencies.checked_mul(HASH_BYTES)?)?;
    reader.skip_prefixed()?;
    reader.unsigned()?;
    reader.unsigned()?;
    reader.signed()?;
    reader.skip_prefixed()?;
    for _ in 0..reader.unsigned()? {
        if reader.unsigned()? != ACTOR_BYTES {
            return None;
        }
        reader.skip(ACTOR_BYTES)?;
    }
    let mut columns = Vec::new();
    for _ in 0..reader.unsigned()? {
        columns.push((reader.unsigned()?, reader.unsigned()?));
    }
    let mut unfolded = Unfolded::default();
    for (specification, length) in columns {
        let data = reader.take(length)?;
        // Each value of a group says how many values of the columns after it are of one operation.
        let kind = specification & 0xf;
        let (count, grouped) = match kind {
            0 => runs(data, number)?,
            1 | 2 | 6 => (runs(data, number)?.0, 0),
            3 => (runs(data, |reader| reader.signed().map(|_| 0))?.0, 0),
            4 => (booleans(data)?, 0),
            5 => (runs(data, |reader| reader.skip_prefixed().map(|()| 0))?.0, 0),
            7 => (0, 0),
            // Deflated columns do not occur in changes.
            _ => return None,
        };
        let of_predecessor = specification >> 4 == PREDECESSORS && kind != 0;
        let longest =
            if of_predecessor { &mut unfolded.predecessors } else { &mut unfolded.operations };
        *longest = count.max(*longest);
        unfolded.predecessors = grouped.max(unfolded.predecessors);
    }
    Some(unfolded)
}

/// Number of values in run-length encoded data, and their sum.
fn runs(data: &[u8], value: fn(&mut Reader<'_>) -> Option<u64>) -> Option<(u64, u64)> {
    let mut reader = Reader(data);
    let (mut count, mut sum) = (0_u64, 0_u64);
    while !reader.0.is_empty() {
        let length = reader.signed()?;
        let repeated = length.unsigned_abs();
        match length {
            1.. => {
                sum = sum.checked_add(value(&mut reader)?.checked_mul(repeated)?)?;
                count = count.checked_add(repeated)?;
            }
            0 => count = count.checked_add(reader.unsigned()?)?,
            ..0 => {
                for _ in 0..repeated {
                    sum = sum.checked_add(value(&mut reader)?)?;
                }
                count = count.checked_add(repeated)?;
            }
        }
    }
    Some((count, sum))
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    reader.unsigned()
}

fn booleans(data: &[u8]) -> Option<u64> {
    let mut reader = Reader(data);
    let mut count = 0_u64;
    while !reader.0.is_empty() {
        count = count.checked_add(reader.unsigned()?)?;
    }
    Some(count)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        self.take(length).map(|_| ())
    }

    fn skip_prefixed(&mut self) -> Option<()> {
        let length = self.unsigned()?;
        self.skip(length)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let before = self.0.len();
        let value = self.unsigned()?;
        let bits = 7 * (before - self.0.len());
        let unused = u32::try_from(64_usize.saturating_sub(bits)).ok()?;
        // Carries the sign bit, the highest of those read, up to bit 63.
        Some((value << unused).cast_signed() >> unused)
    }
}
