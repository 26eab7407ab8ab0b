//! A grant as text, in words, and compared with another.
//!
//! ```text
//! REGION[:exact][#DOCUMENT]/CATEGORIES/RIGHTS[+delegable RIGHTS]
//!
//! 370322102310/ticket,library/*/base/read,write
//! 370322102/library/population/contact/read+delegable read,write
//! 370322102310:exact#00112233445566778899aabbccddeeff/ticket/read     a case circle
//! ```
//!
//! A grant for one document is for its exact address; `:exact` may then be left out.

use cunlian_governance::library::catalogue::Catalogue;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use serde::{Deserialize, Serialize};

use super::find::read_address;
use super::{AdminError, Desk};
use crate::admin::naming::{category_names, parse_categories, parse_rights, rights_names};

/// A grant in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantWords {
    /// Its place in the certificate, from 1.
    pub number: usize,
    /// Where: the topmost address.
    pub address: AddressCode,
    /// Whether what lies below belongs to it.
    pub depth: Depth,
    /// The names of the address, if the register knows it.
    pub place: Option<String>,
    /// The only document.
    pub document: Option<DocumentId>,
    /// Names of the categories.
    pub categories: Vec<String>,
    /// Names of the rights.
    pub rights: Vec<String>,
    /// Names of the rights that may be passed on.
    pub delegable: Vec<String>,
}

/// What one grant lacks to cover a question, or another grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lacks", rename_all = "snake_case")]
pub enum Lack {
    /// The address is another branch of the tree.
    Elsewhere {
        /// The topmost address of the grant.
        region: AddressCode,
        /// The address asked for.
        address: AddressCode,
        /// The last address that both lie in.
        common: AddressCode,
    },
    /// The address lies above the grant's.
    Above {
        /// The topmost address of the grant.
        region: AddressCode,
        /// The address asked for.
        address: AddressCode,
    },
    /// The grant is for its address alone.
    ExactOnly {
        /// The address of the grant.
        region: AddressCode,
        /// The address asked for.
        address: AddressCode,
    },
    /// These categories are not in it.
    Categories {
        /// Their names.
        names: Vec<String>,
    },
    /// These rights are not in it.
    Rights {
        /// Their names.
        names: Vec<String>,
    },
    /// These rights may not be passed on.
    Delegable {
        /// Their names; empty if nothing at all may be passed on.
        names: Vec<String>,
    },
    /// It is for one document only, and another one, or no single one, is asked for.
    OtherDocument {
        /// The only document.
        only: DocumentId,
    },
}

impl Lack {
    /// How far a grant is from covering: another place is further than another right.
    pub(super) const fn weight(&self) -> u32 {
        match self {
            Self::Elsewhere { .. } => 8,
            Self::Above { .. } | Self::ExactOnly { .. } => 6,
            Self::Categories { .. } | Self::OtherDocument { .. } => 3,
            Self::Rights { .. } | Self::Delegable { .. } => 1,
        }
    }

    /// What is missing, as the rest of a sentence that begins with the grant.
    pub fn words(&self) -> String {
        match self {
            Self::Elsewhere { region, address, common } => {
                let level = common.level().child();
                let segment = |code: &AddressCode| {
                    level.and_then(|level| code.segment(level)).unwrap_or_default().to_owned()
                };
                let kind = level.map_or_else(String::new, |level| level.to_string());
                format!(
                    "{address} is not inside {region}: their {kind} segments differ ({}, not {})",
                    segment(address),
                    segment(region)
                )
            }
            Self::Above { region, address } => {
                let address = if address.as_str().is_empty() { "CN" } else { address.as_str() };
                format!("{address} lies above {region}, and a grant only reaches down")
            }
            Self::ExactOnly { region, address } => {
                let region = if region.as_str().is_empty() { "CN" } else { region.as_str() };
                format!("it is for {region} alone, and {address} lies below it")
            }
            Self::Categories { names } => format!("it is not for {}", names.join(", ")),
            Self::Rights { names } => format!("it gives no right to {}", names.join(", ")),
            Self::Delegable { names } if names.is_empty() => {
                "nothing of it may be passed on".to_owned()
            }
            Self::Delegable { names } => format!("{} may not be passed on", names.join(", ")),
            Self::OtherDocument { only } => format!("it is for document {only} only"),
        }
    }
}

impl GrantWords {
    /// Where the grant holds, such as `高青县 (370322) and everything below`.
    pub fn where_words(&self) -> String {
        let code = match self.address.as_str() {
            "" => "CN",
            digits => digits,
        };
        let place = match &self.place {
            Some(place) => format!("{place} ({code})"),
            None => code.to_owned(),
        };
        match (self.depth, self.document) {
            (_, Some(document)) => format!("document {document} at {place}"),
            (Depth::Subtree, None) => format!("{place} and everything below"),
            (Depth::Exact, None) => format!("{place} alone"),
        }
    }

    /// The whole grant on one line.
    pub fn words(&self) -> String {
        let list = |names: &[String]| {
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let what = format!(
            "{}: may {} {}",
            self.where_words(),
            list(&self.rights),
            list(&self.categories)
        );
        if self.delegable.is_empty() {
            return what;
        }
        format!("{what}; may pass on {}", list(&self.delegable))
    }
}

impl Desk<'_> {
    pub(crate) fn grant_words(&self, number: usize, grant: &Grant) -> GrantWords {
        let owned = |rights| rights_names(rights).into_iter().map(str::to_owned).collect();
        GrantWords {
            number,
            address: grant.region.prefix,
            depth: grant.region.depth,
            place: self.place(&grant.region.prefix),
            document: grant.document,
            categories: category_names(&grant.categories, &self.catalogue),
            rights: owned(grant.rights),
            delegable: owned(grant.delegable),
        }
    }

    /// What `held` lacks to issue `wanted`; empty if and only if [`Grant::may_issue`] holds.
    pub(crate) fn lacks_to_issue(&self, held: &Grant, wanted: &Grant) -> Vec<Lack> {
        let mut lacks: Vec<Lack> = region_lack(&held.region, &wanted.region).into_iter().collect();
        let beyond = without(&wanted.categories, &held.categories);
        if !beyond.is_empty() {
            lacks.push(Lack::Categories { names: category_names(&beyond, &self.catalogue) });
        }
        let beyond = Rights(wanted.rights.with(wanted.delegable).0 & !held.delegable.0);
        if beyond != Rights::NONE {
            let names = rights_names(beyond).into_iter().map(str::to_owned).collect();
            lacks.push(Lack::Delegable { names });
        }
        if let Some(only) = held.document.filter(|_| held.document != wanted.document) {
            lacks.push(Lack::OtherDocument { only });
        }
        lacks
    }
}

/// Why a region does not lie inside another one.
fn region_lack(held: &Region, wanted: &Region) -> Option<Lack> {
    if held.contains(wanted) {
        return None;
    }
    if held.prefix == wanted.prefix {
        let (region, address) = (held.prefix, wanted.prefix);
        return Some(Lack::ExactOnly { region, address });
    }
    address_lack(held, &wanted.prefix)
}

/// Why an address does not lie inside a region.
pub(super) fn address_lack(held: &Region, address: &AddressCode) -> Option<Lack> {
    if held.contains_address(address) {
        return None;
    }
    let (region, address) = (held.prefix, *address);
    if region.contains(&address) {
        return Some(Lack::ExactOnly { region, address });
    }
    if address.contains(&region) {
        return Some(Lack::Above { region, address });
    }
    let common = region.ancestors().find(|ancestor| ancestor.contains(&address));
    Some(Lack::Elsewhere { region, address, common: common.unwrap_or(AddressCode::COUNTRY) })
}

/// The categories of `set` that are not in `other`.
pub(super) fn without(set: &CategorySet, other: &CategorySet) -> CategorySet {
    let mut gaps = Vec::new();
    let mut from = Some(0_u16);
    for (first, last) in other.ranges() {
        if let (Some(from), Some(to)) = (from, first.0.checked_sub(1)) {
            gaps.push((from, to));
        }
        from = last.0.checked_add(1);
    }
    gaps.extend(from.map(|from| (from, u16::MAX)));
    set.intersection(&CategorySet::from(gaps))
}

/// Reads a grant as an administrator types it.
pub(crate) fn parse_grant(text: &str, catalogue: &Catalogue) -> Result<Grant, AdminError> {
    let form = || {
        AdminError::new(format!("{text:?} is not a grant")).hint(
            "write REGION[:exact][#DOCUMENT]/CATEGORIES/RIGHTS[+delegable RIGHTS], \
             such as 370322102310/ticket,library/*/base/read,write",
        )
    };
    let (place, rest) = text.split_once('/').ok_or_else(form)?;
    let (categories, rights) = rest.rsplit_once('/').ok_or_else(form)?;
    let (place, document) = match place.split_once('#') {
        Some((place, id)) => (place, Some(id.parse::<DocumentId>().map_err(AdminError::new)?)),
        None => (place, None),
    };
    let (place, exact) = match place.strip_suffix(":exact") {
        Some(place) => (place, true),
        None => (place.strip_suffix('*').unwrap_or(place), document.is_some()),
    };
    let prefix = read_address(place)?;
    let region = if exact { Region::exact(prefix) } else { Region::subtree(prefix) };
    let (rights, delegable) = match rights.split_once("+delegable") {
        Some((rights, passed)) => (rights, Some(passed.trim_matches([' ', ':', '=']))),
        None => (rights, None),
    };
    let rights = parse_rights(rights).map_err(AdminError::new)?;
    let delegable = match delegable {
        None => Rights::NONE,
        Some("") => rights,
        Some(passed) => parse_rights(passed).map_err(AdminError::new)?,
    };
    let categories = parse_categories(categories, catalogue).map_err(AdminError::new)?;
    Ok(Grant { region, document, categories, rights, delegable })
}

/// The categories of a grant in which `category` lies, or all of them.
pub(super) fn covered(grant: &Grant, category: Option<Category>) -> CategorySet {
    match category {
        Some(category) => grant.categories.intersection(&CategorySet::of([category])),
        None => grant.categories.clone(),
    }
}
