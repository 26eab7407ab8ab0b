//! Benchmarks: figures, shares of what is possible, and the machine; no pass or fail on speed.
//!
//! | module | does |
//! |---|---|
//! | [`sync`] | a library copied, compared and brought together between two processes |
//! | [`reconcile`] | two stores with millions of changes find out what differs |
//! | [`storm`] | all terminals of a town come back at once |
//! | [`propagate`] | what a village saves arrives at the county |
//! | [`degraded`] | a copy over a bad line |
//! | [`history`] | what years of use make of a document and a store |
//! | [`identity`] | chains of certificates checked, machines that join, work revoked |
//! | `children` | many terminals in one process |
//! | `federation` | the nodes it is measured on, in a directory of their own |
//! | `library` | the records, the edits on both sides, and whether two stores are equal |
//! | `link` | waiting for two nodes to agree, and what passed between them |
//! | `limit` | the same work on one core, without anything around it |
//! | `person` | somebody who saves records meanwhile, and how long that takes |
//! | `sample` | middle and slow end of many figures |
//! | `relay` | a line that loses, delays and holds back |
//! | `machine` | what it was measured on |
//!
//! What is measured is the product, with stores on disk: processes of this program where memory and
//! processors of each count ([`sync`], [`degraded`], the town of [`storm`]), else nodes and stores
//! in the process of the benchmark.

mod children;
pub mod degraded;
mod federation;
pub mod history;
pub mod identity;
mod library;
mod limit;
mod link;
mod machine;
mod person;
pub mod propagate;
mod rate;
pub mod reconcile;
pub mod relay;
mod sample;
pub mod storm;
pub mod sync;

pub use limit::Limit;
pub use machine::Machine;
