//! The pure heart of cunlian (村联).
//!
//! What it is: the types that travel between nodes and the state machines that decide what
//! travels: address codes, certificates, signed changes, scopes, summaries, the wire format,
//! the session with one peer ([`session`]) and the hub of all sessions ([`hub`]).
//!
//! What it is not: it has no clock, socket, file, thread, operating-system randomness, CRDT or
//! database. Time and randomness are parameters; whatever must be done outside is returned as an
//! effect. `tests/tests/architecture.rs` guards this.
//!
//! Start reading at [`change`] (what is replicated), then [`certificate`] and [`authority`] (who
//! may write and read it), [`scope`] and [`key`] (how a permission becomes key ranges), and
//! [`session`] (how two nodes bring their sets together).

pub mod address;
pub mod authority;
pub mod blob;
pub mod category;
pub mod certificate;
pub mod change;
pub mod dialect;
pub mod durability;
pub mod enrolment;
mod hexadecimal;
pub mod home;
pub mod hub;
pub mod id;
pub mod key;
pub mod limits;
pub mod receipt;
pub mod region;
pub mod renewal;
pub mod revocation;
pub mod rights;
pub mod scope;
pub mod session;
pub mod signing;
pub mod sketch;
pub mod succession;
pub mod summary;
pub mod sync;
pub mod wire;
