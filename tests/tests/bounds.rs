//! Every bound, filled in the unit that it claims to bound, with the memory that this takes.
#![expect(clippy::wildcard_enum_match_arm, reason = "messages of other kinds are of no interest")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "bounds/authority.rs"]
mod authority;
#[path = "bounds/blobs.rs"]
mod blobs;
#[path = "bounds/compared.rs"]
mod compared;
#[path = "bounds/hello.rs"]
mod hello;
#[path = "bounds/lists.rs"]
mod lists;
#[path = "bounds/pair.rs"]
mod pair;
#[path = "bounds/unprocessed.rs"]
mod unprocessed;
#[path = "bounds/wanted.rs"]
mod wanted;
#[path = "bounds/wanted_of_all.rs"]
mod wanted_of_all;
