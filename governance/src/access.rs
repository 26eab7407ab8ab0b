//! Who gets to see what: presets of tiers and roles of people, derived from the kinds of data.
//!
//! What a person reads of lists stands inside their queries ([`reader`]). A number without a kind
//! is granted to nobody, at any tier and in any role. What it is not: the check itself, which is
//! the protocol's, nor what one person gets, which is cut by their node.

pub mod acting;
pub mod actor;
pub mod preset;
pub mod reader;
pub mod role;

#[cfg(test)]
mod tests;
