//! `cunlian cert`: what certificates say in words, why somebody may or may not, and how grants are
//! changed, with the commands a person types.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "cert_command/agreement.rs"]
mod agreement;
#[path = "cert_command/change.rs"]
mod change;
#[path = "cert_command/desk.rs"]
mod desk;
#[path = "cert_command/show.rs"]
mod show;
#[path = "cert_command/why.rs"]
mod why;
