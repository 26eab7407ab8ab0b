//! Roles: named presets of rights, kept as data in `roles.json`.
//!
//! A role says what a person of it does anywhere; what somebody gets is cut down to what their
//! node may pass on, so that one file serves every tier. Roles name kinds of data, never numbers:
//!
//! | text | kinds |
//! |---|---|
//! | `ticket.contact` | this one |
//! | `ticket.*` | all of one capability |
//! | `public:*`, `open:*`, `closed:*` | all of one sensitivity, also of capabilities to come |
//!
//! A role that is `assigned_only` reads of tickets those assigned to the person or to their unit.
//! No certificate says so: the node that keeps the person's key does (see [`super::reader`]).

use cunlian_protocol::category::CategorySet;
use cunlian_protocol::rights::Rights;
use serde::Deserialize;

use crate::capabilities::Kinds;
use crate::capability::Sensitivity;

/// Sets of kinds by their sensitivity.
const BY_SENSITIVITY: [(&str, Sensitivity); 3] = [
    ("public:*", Sensitivity::Public),
    ("open:*", Sensitivity::Open),
    ("closed:*", Sensitivity::Closed),
];

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Stable name, such as `dispatcher`.
    pub key: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Whether of tickets only those assigned to the person or their unit are read.
    pub assigned_only: bool,
    /// What it allows, wherever the person works.
    pub allowances: Vec<Allowance>,
}

/// Rights on some kinds of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The numbers of the kinds.
    pub categories: CategorySet,
    /// What may be done with them.
    pub rights: Rights,
}

/// Why a file of roles is not understood.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// It is not the JSON of roles.
    #[error("the roles cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A role names a kind that there is not.
    #[error("the role {role:?} names the kind {name:?}; the kinds are {known}")]
    UnknownKind {
        /// Key of the role.
        role: String,
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleText {
    key: String,
    zh: String,
    en: String,
    #[serde(default)]
    assigned_only: bool,
    allowances: Vec<AllowanceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowanceText {
    kinds: Vec<String>,
    rights: Vec<Right>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Right {
    Read,
    Write,
    Assign,
    SignOff,
    Erase,
}

/// The roles of the program, for the kinds of data there are.
///
/// # Panics
///
/// If `kinds` lacks one of [`Kinds::built_in`].
pub fn built_in(kinds: &Kinds) -> Vec<Role> {
    parse(include_str!("../../roles.json"), kinds).expect("the embedded roles are valid")
}

/// Reads roles from JSON in the form of `roles.json`.
pub fn parse(text: &str, kinds: &Kinds) -> Result<Vec<Role>, RolesError> {
    let roles: Vec<RoleText> = serde_json::from_str(text)?;
    roles.into_iter().map(|role| role.understood(kinds)).collect()
}

impl RoleText {
    fn understood(self, kinds: &Kinds) -> Result<Role, RolesError> {
        let mut named = Vec::new();
        for allowance in &self.allowances {
            let rights =
                allowance.rights.iter().fold(Rights::NONE, |all, right| all.with(right.rights()));
            for name in &allowance.kinds {
                let set = set_named(name, kinds).ok_or_else(|| RolesError::UnknownKind {
                    role: self.key.clone(),
                    name: name.clone(),
                    known: known(kinds),
                })?;
                named.push((set, rights));
            }
        }
        let Self { key, zh, en, assigned_only, .. } = self;
        Ok(Role { key, zh, en, assigned_only, allowances: by_rights(&named, kinds) })
    }
}

/// What is said of each kind in several places, put together: each kind stands in one allowance.
fn by_rights(named: &[(CategorySet, Rights)], kinds: &Kinds) -> Vec<Allowance> {
    let mut allowances: Vec<Allowance> = Vec::new();
    for kind in kinds.iter() {
        let here = named.iter().filter(|(set, _)| set.contains(kind.first));
        let rights = here.fold(Rights::NONE, |all, (_, rights)| all.with(*rights));
        if rights == Rights::NONE {
            continue;
        }
        match allowances.iter_mut().find(|allowance| allowance.rights == rights) {
            Some(allowance) => {
                allowance.categories = allowance.categories.union(&kind.categories());
            }
            None => allowances.push(Allowance { categories: kind.categories(), rights }),
        }
    }
    allowances
}

impl Right {
    const fn rights(self) -> Rights {
        match self {
            Self::Read => Rights::READ,
            Self::Write => Rights::WRITE,
            Self::Assign => Rights::ASSIGN,
            Self::SignOff => Rights::SIGN_OFF,
            Self::Erase => Rights::ERASE,
        }
    }
}

fn set_named(name: &str, kinds: &Kinds) -> Option<CategorySet> {
    if let Some((_, sensitivity)) = BY_SENSITIVITY.iter().find(|(set, _)| *set == name) {
        return Some(kinds.categories(&[*sensitivity]));
    }
    let set = match name.strip_suffix(".*") {
        Some(capability) => kinds.all_where(|kind| kind.capability() == capability),
        None => kinds.all_where(|kind| kind.name == name),
    };
    (!set.is_empty()).then_some(set)
}

fn known(kinds: &Kinds) -> String {
    kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}
