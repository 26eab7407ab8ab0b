//! What a machine does to a node: power cuts, full disks, cut links, kills.
//!
//! These suites mount disk images and make network namespaces.

#[path = "../tests/faults.rs"]
mod faults;
#[path = "../tests/power_cut.rs"]
mod power_cut;
