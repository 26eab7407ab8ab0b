//! What the suites of cunlian share.
//!
//! [`world`] is the small federation of suites that need no process, and [`member`] certifies its nodes and people; [`program`] finds the
//! binary and runs its commands; [`federation`] lays out small federations of real processes;
//! [`hostile`] is a node that breaks the rules of the protocol, [`authored`] what a key alone can make,
//! [`siege`] a town that such a node attacks, [`unfolding`] changes that are larger than their bytes, [`relay`] a line that somebody meddles
//! with; [`traces`] looks for what it left, [`measured`] at the memory it took;
//! [`mounted`] is a small disk that can be filled; [`numbered`] is what the power-cut suite writes;
//! [`visitor`] is a browser with an address of its own; [`purging`] a town that loses a village; [`sim`] is a whole county in virtual time.
//!
//! [`fuzz`] gives bytes that nobody wrote to every decoder.
//!
//! Nothing here is part of the product. Start reading at the suites themselves, in
//! `tests/tests/`; each is named for what it shows.

pub mod authored;
pub mod federation;
pub mod fuzz;
pub mod hostile;
pub mod measured;
pub mod member;
pub mod mounted;
pub mod numbered;
pub mod ports;
pub mod program;
pub mod purging;
pub mod relay;
pub mod siege;
pub mod sim;
pub mod traces;
pub mod unfolding;
pub mod visitor;
pub mod world;
