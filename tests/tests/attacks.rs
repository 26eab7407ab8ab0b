//! What somebody with a village's keys, or with nothing but an address, can do to a town, with the
//! real program: the town stays within its memory, honest children go on, and people are answered.
//!
//! Each attack is a function that does one thing as hard as it can; what is measured meanwhile, and
//! asked for, is in `cunlian_tests::siege`. With `CUNLIAN_LONG` set each goes on for longer.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use cunlian_tests::siege::{Siege, Target};

#[path = "attacks/blobs.rs"]
mod blobs;
#[path = "attacks/certificates.rs"]
mod certificates;
#[path = "attacks/changes.rs"]
mod changes;
#[path = "attacks/floods.rs"]
mod floods;
#[path = "attacks/made.rs"]
mod made;
#[path = "attacks/pages.rs"]
mod pages;
#[path = "attacks/questions.rs"]
mod questions;

/// An attack that goes on for a while.
struct Going {
    until: Instant,
}

impl Going {
    /// From now on, for so long, or for longer if that is asked for.
    fn lasting(target: &Target, short: Duration) -> Self {
        Self { until: Instant::now() + target.lasts(short) }
    }

    fn on(&self) -> bool {
        Instant::now() < self.until
    }
}
