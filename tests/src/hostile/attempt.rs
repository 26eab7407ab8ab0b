//! What the thief came across: how each attempt ended, which changes were refused.

use super::Ending;
use cunlian_protocol::id::ChangeId;

/// One attempt that ended the connection.
#[derive(Debug)]
pub struct Closed {
    /// What was tried.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
}

/// One change that was refused.
#[derive(Debug)]
pub struct Refused {
    /// What was tried.
    pub name: &'static str,
    /// Id of the change, or of the bytes when they are none.
    pub id: ChangeId,
    /// What was sent.
    pub bytes: Vec<u8>,
    /// Why it was refused.
    pub reason: String,
}

/// Everything the thief tried.
#[derive(Debug, Default)]
pub struct Findings {
    /// Attempts that ended a connection.
    pub closed: Vec<Closed>,
    /// Changes that were refused.
    pub refused: Vec<Refused>,
    /// Texts in the changes he sent, to be found in quarantine only.
    pub canaries: Vec<String>,
}
