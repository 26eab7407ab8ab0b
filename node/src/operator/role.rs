//! Roles: named presets of grants, kept as data in `roles.json`.
//!
//! A preset says what the role does anywhere; what a person gets is the preset cut down to what
//! their node may pass on, so that one file serves every tier.

use std::sync::LazyLock;

use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::rights::Rights;
use serde::Deserialize;

use super::narrowing::Narrowing;

static ROLES: LazyLock<Vec<Role>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../roles.json")).expect("the embedded roles are valid")
});

/// A role preset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Role {
    /// Stable name, such as `dispatcher`.
    pub key: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    grants: Vec<Preset>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Preset {
    categories: Vec<Span>,
    rights: Vec<Right>,
}

/// One category or an inclusive range of them, four hexadecimal digits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Span(u16, u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Right {
    Read,
    Write,
    Assign,
    SignOff,
    Erase,
}

/// Why a role cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// No preset has this key.
    #[error("there is no role {key:?}; the roles are {known}")]
    Unknown {
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
    /// Nothing of the preset is within what the node may pass on.
    #[error("the role {key:?} gives nothing that this node may pass on")]
    Empty {
        /// The key.
        key: String,
    },
}

/// All presets.
pub fn roles() -> &'static [Role] {
    &ROLES
}

/// The preset with this key.
pub(super) fn find(key: &str) -> Result<&'static Role, RoleError> {
    ROLES.iter().find(|role| role.key == key).ok_or_else(|| RoleError::Unknown {
        key: key.to_owned(),
        known: ROLES.iter().map(|role| role.key.as_str()).collect::<Vec<_>>().join(", "),
    })
}

impl Role {
    /// What the role gives at a node that holds `node`, cut by `narrowing`.
    pub(super) fn grants(
        &self,
        node: &[Grant],
        narrowing: &Narrowing,
    ) -> Result<Vec<Grant>, RoleError> {
        let mut grants = Vec::new();
        for held in node {
            for preset in &self.grants {
                let grant = Grant {
                    region: held.region,
                    document: held.document,
                    categories: preset.categories().intersection(&held.categories),
                    rights: Rights(preset.rights().0 & held.rights.0 & held.delegable.0),
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
            return Err(RoleError::Empty { key: self.key.clone() });
        }
        Ok(grants)
    }
}

impl Preset {
    fn categories(&self) -> CategorySet {
        self.categories.iter().fold(CategorySet::none(), |set, span| {
            set.union(&CategorySet::range(Category(span.0), Category(span.1)))
        })
    }

    fn rights(&self) -> Rights {
        self.rights.iter().fold(Rights::NONE, |rights, right| {
            rights.with(match right {
                Right::Read => Rights::READ,
                Right::Write => Rights::WRITE,
                Right::Assign => Rights::ASSIGN,
                Right::SignOff => Rights::SIGN_OFF,
                Right::Erase => Rights::ERASE,
            })
        })
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let number = |digits: &str| {
            u16::from_str_radix(digits, 16).map_err(|error| format!("{digits:?}: {error}"))
        };
        Ok(Self(number(first)?, number(last)?))
    }
}
