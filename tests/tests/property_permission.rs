//! Shows, on thousands of generated chains, trees and pairs of peers, that permission only ever
//! narrows on its way down.
//!
//! | module | what it shows |
//! |---|---|
//! | `chain` | a chain verifies if and only if a naive reading of the rules says so |
//! | `tree` | nothing a certificate allows goes beyond what every one above it may pass on |
//! | `scope` | what is sent to a peer is exactly what it may read; two peers share no more |
//! | `recipe` | certificates made from small numbers, mostly sound, sometimes not |
//! | `oracle` | the rules read naively, without any code of the protocol |
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "property_permission/chain.rs"]
mod chain;
#[path = "property_permission/oracle.rs"]
mod oracle;
#[path = "property_permission/recipe.rs"]
mod recipe;
#[path = "property_permission/scope.rs"]
mod scope;
#[path = "property_permission/tree.rs"]
mod tree;
