//! The store through its public interface: what it keeps, what it refuses, what it survives.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a reply of any other kind is a failure")]

#[path = "store/world.rs"]
mod world;

#[path = "store/any_order.rs"]
mod any_order;
#[path = "store/backup.rs"]
mod backup;
#[path = "store/convergence.rs"]
mod convergence;
#[path = "store/erasure.rs"]
mod erasure;
#[path = "store/faults.rs"]
mod faults;
#[path = "store/follow.rs"]
mod follow;
#[path = "store/intake.rs"]
mod intake;
#[path = "store/kept.rs"]
mod kept;
#[path = "store/opening.rs"]
mod opening;
#[path = "store/outbox.rs"]
mod outbox;
#[path = "store/purge.rs"]
mod purge;
#[path = "store/reading.rs"]
mod reading;
#[path = "store/review.rs"]
mod review;
#[path = "store/revocation.rs"]
mod revocation;
#[path = "store/room.rs"]
mod room;
#[path = "store/set_back.rs"]
mod set_back;
#[path = "store/table_sets.rs"]
mod table_sets;
#[path = "store/unfolding.rs"]
mod unfolding;
#[path = "store/writing.rs"]
mod writing;
