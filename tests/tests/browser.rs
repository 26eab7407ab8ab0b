//! The pages as people meet them: in a real Chromium, and without scripts at all.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests fail by panicking, and nothing here is used from elsewhere"
)]

mod browser {
    mod account;
    pub mod admin;
    mod alike;
    pub mod chromium;
    pub mod conflicts;
    mod design;
    mod dismissal;
    mod erased;
    pub mod fixture;
    mod forms;
    mod guards;
    pub mod interface;
    mod moves;
    mod photos;
    pub mod plain;
    mod process;
    mod queue;
    mod readable;
    mod signoff;
    mod staff;
    mod strict;
    mod villager;
}
