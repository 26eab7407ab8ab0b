//! Benchmarks: figures, shares of what is possible, and the machine; no pass or fail on speed.
//!
//! | module | does |
//! |---|---|
//! | [`sync`] | a library copied, compared and brought together between two processes |
//! | [`reconcile`] | two stores with millions of changes find out what differs |
//! | [`identity`] | chains of certificates checked, machines that join, work revoked |
//! | `federation` | the nodes it is measured on, in a directory of their own |
//! | `library` | the records, the edits on both sides, and whether two stores are equal |
//! | `link` | waiting for two nodes to agree, and what passed between them |
//! | `limit` | the same work on one core, without anything around it |
//! | `person` | somebody who saves records meanwhile, and how long that takes |
//! | `sample` | middle and slow end of many figures |
//! | `machine` | what it was measured on |
//!
//! What is measured is the product, with stores on disk: for [`sync`] processes of this program,
//! for [`identity`] a node, and a store, in the process of the benchmark.

mod federation;
pub mod identity;
mod library;
mod limit;
mod link;
mod machine;
mod person;
pub mod reconcile;
mod sample;
pub mod sync;

pub use limit::Limit;
pub use machine::Machine;
