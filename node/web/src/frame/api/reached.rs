//! How far up a document has come, as calls say it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::frame::component::Height;

/// How far up a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reached {
    /// It is on this machine alone.
    Local,
    /// The town has it.
    Town,
    /// The county has it.
    County,
    /// It goes no further than this node.
    Home,
    /// The tier above has refused it.
    Refused,
    /// The tier above has no room for it yet.
    Postponed,
}

impl From<Height> for Reached {
    fn from(height: Height) -> Self {
        match height {
            Height::Local => Self::Local,
            Height::Town | Height::TownLast => Self::Town,
            Height::County => Self::County,
            Height::Home => Self::Home,
            Height::Refused => Self::Refused,
            Height::Postponed => Self::Postponed,
        }
    }
}
