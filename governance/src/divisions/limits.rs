//! Bounds of the register.

use cunlian_protocol::limits::CHANGE_BYTES;

/// Rows of a list per batch, and so per transaction.
pub const BATCH_ROWS: u64 = 10_000;

/// Rows of one sort that a report lists one by one; beyond it they are counted.
pub const LISTED_MAX: usize = 100;

/// Longest line of a list that is read, in bytes. The longest of the national lists has under 200.
pub const LINE_BYTES_MAX: usize = 4096;

/// Codes visited at most while following successors.
pub const RESOLVE_CODES_MAX: usize = 256;

/// Successors that an entry may name.
pub const SUCCESSORS_MAX: usize = RESOLVE_CODES_MAX;

/// Bytes of the entries in one write.
pub const WRITE_BYTES: usize = 64 << 10;

// The codes and texts of a change are most of it; the rest of it has as much room again.
const _: () = assert!(WRITE_BYTES + 2 * LINE_BYTES_MAX <= CHANGE_BYTES / 2);
