//! Size and hash of the files of a backup.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Read and hashed at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Size and hash of a file; every piece of it is given to `each` as it is read.
pub(super) fn hash_file(
    path: &Path,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let got = file.read(&mut piece)?;
        let Some(piece) = piece.get(..got).filter(|piece| !piece.is_empty()) else { break };
        hasher.update(piece);
        each(piece)?;
    }
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}
