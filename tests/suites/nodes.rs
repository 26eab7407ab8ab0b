//! What nodes do that run: services in this process, and the program as a process of its own.

#[path = "../tests/adversary.rs"]
mod adversary;
#[path = "../tests/bench.rs"]
mod bench;
#[path = "../tests/clock.rs"]
mod clock;
#[path = "../tests/clone.rs"]
mod clone;
#[path = "../tests/directories.rs"]
mod directories;
#[path = "../tests/enrolment.rs"]
mod enrolment;
#[path = "../tests/federation.rs"]
mod federation;
#[path = "../tests/floods.rs"]
mod floods;
#[path = "../tests/membership.rs"]
mod membership;
#[path = "../tests/named_parent.rs"]
mod named_parent;
#[path = "../tests/observability.rs"]
mod observability;
#[path = "../tests/photo_status.rs"]
mod photo_status;
#[path = "../tests/renewal.rs"]
mod renewal;
#[path = "../tests/restore.rs"]
mod restore;
#[path = "../tests/version_skew.rs"]
mod version_skew;
