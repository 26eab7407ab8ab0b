//! Sessions and hubs, driven in memory with real stores: stories with named nodes, run in virtual
//! time until nothing is left to happen.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use cunlian_tests::world::nodes as world;

#[path = "session/scope.rs"]
mod scope;

#[path = "session/agreement.rs"]
mod agreement;
#[path = "session/bundles.rs"]
mod bundles;
#[path = "session/clocks.rs"]
mod clocks;
#[path = "session/copies.rs"]
mod copies;
#[path = "session/dialling.rs"]
mod dialling;
#[path = "session/durability.rs"]
mod durability;
#[path = "session/following.rs"]
mod following;
#[path = "session/greeting.rs"]
mod greeting;
#[path = "session/lineage.rs"]
mod lineage;
#[path = "session/quotas.rs"]
mod quotas;
#[path = "session/ranges.rs"]
mod ranges;
#[path = "session/renewing.rs"]
mod renewing;
#[path = "session/revoking.rs"]
mod revoking;
#[path = "session/set_back.rs"]
mod set_back;
#[path = "session/sketches.rs"]
mod sketches;
#[path = "session/strangers.rs"]
mod strangers;
