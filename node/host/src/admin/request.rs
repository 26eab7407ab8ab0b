//! What an administrator asks for, as it travels over the control socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AdminError, Administration};

/// One action. Each variant holds the arguments of the function it names, and is answered with
/// that function's result as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// A backup, or what comes after one.
    Backup {
        /// What.
        action: super::backup::BackupAction,
    },
    /// Something about certificates.
    Certificate {
        /// What.
        action: super::certificate::Action,
    },
    /// New keys, or the founder's next certificate.
    Rotate {
        /// Which.
        action: super::rotation::RotationAction,
    },
    /// Something about the nodes below.
    Nodes {
        /// What.
        action: super::nodes::NodesAction,
    },
    /// Something about the people of the node.
    People {
        /// What.
        action: super::people::PeopleAction,
    },
    /// Invites one node; answered with the token, which is not shown again.
    Invite(super::invitation::InvitationRequest),
    /// Invites the nodes of a list.
    InviteBulk(super::invitation::BulkInvitationRequest),
    /// All invitations.
    InviteList,
    /// Takes an invitation back.
    InviteCancel {
        /// Its id, 16 hexadecimal digits.
        id: String,
    },
    /// Issues a certificate for the text of a request.
    IssueRequest {
        /// The text.
        request: String,
        /// How long it is valid, milliseconds.
        lifetime_ms: i64,
        /// Where the new node reaches this one.
        address: Option<crate::address::NodeAddress>,
    },
    /// Takes a certificate back; answered with a [`super::revocation::Revoked`].
    Revoke(super::revocation::RevocationRequest),
    /// All revocations and who has them.
    RevokeList,
    /// What revoked authors left.
    Review {
        /// What.
        action: super::review::ReviewAction,
    },
    /// Erases documents; answered with a [`super::erasure::Erased`].
    Erase(super::erasure::ErasureRequest),
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
            Request::Backup { action } => self.backup(action),
            Request::Certificate { action } => self.certificate(action),
            Request::Rotate { action } => self.rotate(*action),
            Request::Nodes { action } => self.nodes(action),
            Request::People { action } => self.people(action),
            Request::Invite(wish) => json(self.invite(wish)?),
            Request::InviteBulk(wish) => json(self.invite_bulk(wish)?),
            Request::InviteList => json(self.invitations()?),
            Request::InviteCancel { id } => json(self.cancel_invitation(id)?),
            Request::IssueRequest { request, lifetime_ms, address } => {
                json(self.issue_request(request, *lifetime_ms, address.clone())?)
            }
            Request::Revoke(wish) => json(self.revoke(wish)?),
            Request::RevokeList => json(self.revocations()?),
            Request::Review { action } => self.review(action),
            Request::Erase(wish) => json(self.erase(wish)?),
            Request::Quarantine { limit } => {
                let refused = self.store.quarantine(*limit)?;
                let reasons: Vec<String> = refused.into_iter().map(|entry| entry.reason).collect();
                Ok(Value::from(reasons))
            }
        }
    }
}

fn json(value: impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(value).map_err(AdminError::new)
}
