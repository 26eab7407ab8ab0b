//! Photos and files: kept as long as they are named, moved after everything else, in parts, and
//! only to who may read a document that names them. Stories with real stores and hubs in virtual
//! time, as in the suite of sessions.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use cunlian_tests::world::nodes as world;

#[path = "blobs/asking.rs"]
mod asking;
#[path = "blobs/belonging.rs"]
mod belonging;
#[path = "blobs/hostile.rs"]
mod hostile;
#[path = "blobs/keeping.rs"]
mod keeping;
#[path = "blobs/postponed.rs"]
mod postponed;
#[path = "blobs/story.rs"]
mod story;
#[path = "blobs/transfer.rs"]
mod transfer;
