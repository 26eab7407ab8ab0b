//! What the thief came across: how each attempt ended, which changes were refused.

use cunlian_protocol::id::ChangeId;
use cunlian_tests::hostile::Ending;

/// One attempt that ended the connection.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) name: String,
    pub(crate) ending: Ending,
}

/// One change that was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    pub(crate) id: ChangeId,
    pub(crate) reason: String,
}

/// Everything the thief tried.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) closed: Vec<Closed>,
    pub(crate) refused: Vec<Refused>,
    /// Texts in the changes he sent, to be found in quarantine only.
    pub(crate) canaries: Vec<String>,
}
