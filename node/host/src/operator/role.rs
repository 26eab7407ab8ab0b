//! What a role gives a person: the role cut down to what their node may pass on.

use std::sync::LazyLock;

use cunlian_governance::access::role;
pub use cunlian_governance::access::role::Role;
use cunlian_governance::capabilities::Kinds;
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::rights::Rights;

use super::narrowing::Narrowing;

static ROLES: LazyLock<Vec<Role>> = LazyLock::new(|| role::built_in(&Kinds::built_in()));

/// Why a role cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// No role has this key.
    #[error("there is no role {key:?}; the roles are {known}")]
    Unknown {
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
    /// Nothing of the role is within what the node may pass on.
    #[error("the role {key:?} gives nothing that this node may pass on")]
    Empty {
        /// The key.
        key: String,
    },
}

/// All roles.
pub fn roles() -> &'static [Role] {
    &ROLES
}

/// Whether of tickets only those assigned to the person or their unit are read in the role with
/// this key. A role that this version does not know may be such a one.
pub fn is_by_assignment(key: &str) -> bool {
    ROLES.iter().find(|role| role.key == key).is_none_or(|role| role.assigned_only)
}

/// The role with this key.
pub(super) fn find(key: &str) -> Result<&'static Role, RoleError> {
    ROLES.iter().find(|role| role.key == key).ok_or_else(|| RoleError::Unknown {
        key: key.to_owned(),
        known: ROLES.iter().map(|role| role.key.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// What `role` gives at a node that holds `node`, cut by `narrowing`.
pub(super) fn grants(
    role: &Role,
    node: &[Grant],
    narrowing: &Narrowing,
) -> Result<Vec<Grant>, RoleError> {
    let mut grants = Vec::new();
    for held in node {
        for allowance in &role.allowances {
            let grant = Grant {
                region: held.region,
                document: held.document,
                categories: allowance.categories.intersection(&held.categories),
                rights: Rights(allowance.rights.0 & held.rights.0 & held.delegable.0),
                delegable: Rights::NONE,
            };
            if let Some(grant) = narrowing.cut(&grant)
                && !grants.contains(&grant)
            {
                grants.push(grant);
            }
        }
    }
    if grants.is_empty() {
        return Err(RoleError::Empty { key: role.key.clone() });
    }
    Ok(grants)
}
