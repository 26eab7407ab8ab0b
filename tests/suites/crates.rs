//! What store, session and domain do, over the real crates in this process.
//!
//! One binary for suites that need neither the program nor a machine of their own: linking it
//! once costs less than linking each.

#[path = "../tests/blobs.rs"]
mod blobs;
#[path = "../tests/bounds.rs"]
mod bounds;
#[path = "../tests/bundle.rs"]
mod bundle;
#[path = "../tests/capability.rs"]
mod capability;
#[path = "../tests/deploy_files.rs"]
mod deploy_files;
#[path = "../tests/flow.rs"]
mod flow;
#[path = "../tests/formats.rs"]
mod formats;
#[path = "../tests/fuzz.rs"]
mod fuzz;
#[path = "../tests/governance.rs"]
mod governance;
#[path = "../tests/property_address.rs"]
mod property_address;
#[path = "../tests/property_permission.rs"]
mod property_permission;
#[path = "../tests/rollup.rs"]
mod rollup;
#[path = "../tests/session.rs"]
mod session;
#[path = "../tests/simulator.rs"]
mod simulator;
#[path = "../tests/store.rs"]
mod store;
#[path = "../tests/usecase.rs"]
mod usecase;
