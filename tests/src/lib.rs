//! What the suites of cunlian share.
//!
//! Start reading at the suites themselves, in `tests/tests/`; each is named for what it shows.

pub mod numbered;
