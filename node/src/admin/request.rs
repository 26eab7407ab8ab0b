//! What an administrator asks for, as it travels over the control socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AdminError, Administration};

/// One action. Each variant holds the arguments of the function it names, and is answered with
/// that function's result as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Reasons of the changes refused last, newest first.
    Quarantine {
        /// At most this many.
        limit: usize,
    },
}

impl Administration {
    /// Does what is asked.
    pub fn perform(&self, request: &Request) -> Result<Value, AdminError> {
        match request {
            Request::Quarantine { limit } => {
                let refused = self.store.quarantine(*limit)?;
                let reasons: Vec<String> = refused.into_iter().map(|entry| entry.reason).collect();
                Ok(Value::from(reasons))
            }
        }
    }
}
