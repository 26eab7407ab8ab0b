//! Why a session ends: a fault of the peer or of the connection, with its number on the wire.

use crate::wire::{FaultCode, WireError};

/// A fault of the peer, or of the connection: it ends the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// Number on the wire.
    pub code: FaultCode,
    /// For people.
    pub reason: String,
}

impl Fault {
    pub(super) fn new(code: FaultCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl FaultCode {
    /// The code with this number; an unknown one counts as [`FaultCode::Malformed`].
    pub fn from_number(number: u16) -> Self {
        const CODES: [FaultCode; 17] = [
            FaultCode::Stopping,
            FaultCode::Malformed,
            FaultCode::TooLarge,
            FaultCode::Unexpected,
            FaultCode::Version,
            FaultCode::Certificate,
            FaultCode::Revoked,
            FaultCode::Expired,
            FaultCode::Signature,
            FaultCode::OutOfScope,
            FaultCode::Flow,
            FaultCode::WrongPeer,
            FaultCode::Replaced,
            FaultCode::Busy,
            FaultCode::Timeout,
            FaultCode::Store,
            FaultCode::Cloned,
        ];
        CODES.get(usize::from(number)).copied().unwrap_or(FaultCode::Malformed)
    }
}

/// The fault of a peer whose bytes are no frame.
pub(super) fn unreadable(error: &WireError) -> Fault {
    let code = match error {
        WireError::Length { .. } => FaultCode::TooLarge,
        WireError::Kind { .. } | WireError::Malformed | WireError::Batch { .. } => {
            FaultCode::Malformed
        }
    };
    Fault::new(code, error.to_string())
}
