//! Real processes in trouble: killed, without disk space, started twice, with data of a newer
//! version, fed with broken files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "faults/full_disk.rs"]
mod full_disk;
#[path = "faults/killed.rs"]
mod killed;
#[path = "faults/refusing.rs"]
mod refusing;
