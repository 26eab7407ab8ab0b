//! Narrowing: a person gets less than their role, never more.
//!
//! A narrowing is asked for when a person is made an operator and kept in their file, so that a
//! certificate that is made again is as narrow as the first. What is asked for must be contained
//! in what role and node give; otherwise the administrator is told, because a person who cannot do
//! their work is found out in a village without a line. A certificate that is made again is cut
//! without asking: the node may have lost what it once passed on.

use cunlian_governance::capabilities::Kinds;
use cunlian_governance::language::Language;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use serde::{Deserialize, Serialize};

/// What a person gets less than their role; what is absent stays as the role has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Narrowing {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Which kinds of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<CategorySet>,
    /// To do what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// Until when, milliseconds since 1970-01-01 UTC, this moment not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// The unit whose tickets the person handles, as tickets name it; of use to roles that read
    /// only what is assigned to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Why a narrowing would widen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarrowingError {
    /// The region is not within what the node may pass on for this role.
    #[error("{region} is not within this node's region: {held}")]
    Region {
        /// The region asked for.
        region: Region,
        /// The regions there are.
        held: String,
    },
    /// Categories that role or node do not give.
    #[error("the role does not give {} here", names(.outside))]
    Categories {
        /// Those that were asked for and are not given.
        outside: CategorySet,
    },
    /// Rights that role or node do not give.
    #[error("the role does not give the right to {outside} here")]
    Rights {
        /// Those that were asked for and are not given.
        outside: Rights,
    },
    /// The end is in the past, or later than the node's own certificate.
    #[error("the last day must lie between today and the end of this node's certificate")]
    Until,
}

impl Narrowing {
    /// Whether it takes nothing away.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part of a grant that is left; `None` if nothing is.
    pub(super) fn cut(&self, grant: &Grant) -> Option<Grant> {
        let region = match self.region {
            None => grant.region,
            // What the places above publish is read by everybody below them: the catalogue of the
            // county is no less needed in one grid.
            Some(region) if is_published_above(grant, &region) => grant.region,
            Some(region) => region.intersection(&grant.region)?,
        };
        let categories = match &self.categories {
            None => grant.categories.clone(),
            Some(categories) => categories.intersection(&grant.categories),
        };
        let rights = Rights(grant.rights.0 & self.rights.unwrap_or(grant.rights).0);
        let empty = rights == Rights::NONE || categories.is_empty();
        (!empty).then(|| Grant { region, categories, rights, ..grant.clone() })
    }

    /// Whether everything asked for is in `full`, what the role gives without narrowing.
    pub(super) fn check(&self, full: &[Grant]) -> Result<(), NarrowingError> {
        if let Some(region) = self.region
            && !full.iter().any(|grant| grant.region.contains(&region))
        {
            let mut held: Vec<String> = full.iter().map(|g| g.region.to_string()).collect();
            held.dedup();
            return Err(NarrowingError::Region { region, held: held.join(", ") });
        }
        if let Some(asked) = &self.categories {
            let given = full.iter().map(|grant| &grant.categories);
            let outside =
                asked.without(&given.fold(CategorySet::none(), |all, set| all.union(set)));
            if !outside.is_empty() {
                return Err(NarrowingError::Categories { outside });
            }
        }
        if let Some(asked) = self.rights {
            let given = full.iter().fold(Rights::NONE, |all, grant| all.with(grant.rights));
            let outside = Rights(asked.0 & !given.0);
            if outside != Rights::NONE {
                return Err(NarrowingError::Rights { outside });
            }
        }
        Ok(())
    }
}

fn is_published_above(grant: &Grant, region: &Region) -> bool {
    grant.region.depth == Depth::Exact
        && grant.rights == Rights::READ
        && grant.region.prefix != region.prefix
        && grant.region.prefix.contains(&region.prefix)
}

/// The kinds of data that a set touches, and what has no kind by number.
fn names(set: &CategorySet) -> String {
    let kinds = Kinds::built_in();
    let touched = kinds.iter().filter(|it| !it.categories().intersection(set).is_empty());
    let mut names: Vec<String> = touched.map(|kind| kind.name.to_owned()).collect();
    let undefined = set.without(&kinds.all_where(|_| true));
    names.extend(undefined.ranges().map(|(first, _)| kinds.text(first, Language::English)));
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that what a role does not give is said by the names of its kinds, and by number only
    /// where it has none.
    #[test]
    fn what_is_not_given_is_called_by_its_kind() {
        let outside = CategorySet::from(vec![(0x2001, 0x2001), (0x3107, 0x3200), (0x4000, 0x4009)]);
        let said = NarrowingError::Categories { outside }.to_string();
        let expected = "the role does not give ticket.contact, library.identity, library.contact, \
                        undefined data (4000) here";
        assert_eq!(said, expected);
    }
}
