//! What a machine does to a node, and what people do who mean it ill: power cuts, full disks, cut
//! links, kills, attacks.
//!
//! These suites mount disk images, make network namespaces and measure time and memory.

#[path = "../tests/attacks.rs"]
mod attacks;
#[path = "../tests/faults.rs"]
mod faults;
#[path = "../tests/power_cut.rs"]
mod power_cut;
