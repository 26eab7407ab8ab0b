//! What the calls of all rooms share: how they are read, named, answered and refused.

pub(crate) mod extract;
pub(crate) mod names;
pub(crate) mod reached;
pub(crate) mod refusal;
