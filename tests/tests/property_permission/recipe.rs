//! Certificates made from small numbers. Each field is mostly narrowed from the issuer's, so that
//! long chains hold, and sometimes made without looking at it, so that they do not.

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{SigningKey, public_key};
use proptest::prelude::*;
use proptest::sample::Index;

const END_MS: i64 = 1_000;

/// How one grant comes from one of the issuer's.
#[derive(Debug, Clone)]
struct GrantRecipe {
    /// Which grant of the issuer.
    from: Index,
    place: Place,
    exact: bool,
    categories: Vec<(u16, u16)>,
    rights: u8,
    delegable: u8,
    document: Option<u8>,
    /// Fields made without looking at the issuer's, by bit.
    careless: u8,
}

/// How far below another address.
#[derive(Debug, Clone)]
struct Place {
    levels: usize,
    digits: String,
}

/// How one certificate comes from its issuer.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    grants: Vec<GrantRecipe>,
    kind: AuthorKind,
    shorter_ms: i64,
    issued_at_ms: i64,
}

/// Where a document is, seen from some grant.
#[derive(Debug, Clone)]
pub(crate) struct HomeRecipe {
    grant: Index,
    place: Place,
    category: u16,
    document: u8,
}

/// Recipes for the certificates of a chain or tree.
pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let grants = proptest::collection::vec(grants(), 1..4);
    let kind = prop_oneof![
        20 => Just(AuthorKind::Node),
        1 => Just(AuthorKind::Operator),
        1 => Just(AuthorKind::Device),
    ];
    let shorter = prop_oneof![30 => 0_i64..20, 1 => Just(-1)];
    let issued = prop_oneof![30 => 0_i64..20, 1 => Just(2 * END_MS)];
    (grants, kind, shorter, issued).prop_map(|(grants, kind, shorter_ms, issued_at_ms)| Recipe {
        grants,
        kind,
        shorter_ms,
        issued_at_ms,
    })
}

/// Recipes for documents.
pub(crate) fn homes() -> impl Strategy<Value = HomeRecipe> {
    let category = prop_oneof![8 => 0_u16..26, 1 => Just(u16::MAX)];
    (any::<Index>(), places(), category, 0_u8..2).prop_map(|(grant, place, category, document)| {
        HomeRecipe { grant, place, category, document }
    })
}

fn grants() -> impl Strategy<Value = GrantRecipe> {
    let set = proptest::collection::vec((0_u16..25, 0_u16..25), 2..6);
    let set = prop_oneof![2 => set, 1 => Just(vec![(0, u16::MAX)])];
    let limits = (prop::bool::weighted(0.15), prop::option::weighted(0.3, 0_u8..2));
    // One careless grant in fifteen, each in one field.
    let careless = prop_oneof![14 => Just(0), 1 => (0_u32..6).prop_map(|field| 1_u8 << field)];
    (any::<Index>(), places(), set, any::<[u8; 3]>(), limits, careless).prop_map(
        |(from, place, categories, [rights, more, still], (exact, document), careless)| {
            // Most may be passed on, or long chains would end in nothing.
            let delegable = rights | more | still;
            GrantRecipe { from, place, exact, categories, rights, delegable, document, careless }
        },
    )
}

/// Few different digits, so that places often lie within one another.
fn places() -> impl Strategy<Value = Place> {
    (prop_oneof![Just(0_usize), 0_usize..3], "[1-2]{25}")
        .prop_map(|(levels, digits)| Place { levels, digits })
}

impl Place {
    fn below(&self, mut code: AddressCode) -> AddressCode {
        for level in 0..self.levels {
            let Some(next) = code.level().child() else { break };
            let digits = self.digits.get(5 * level..5 * level + next.segment_digits()).unwrap();
            code = code.child(digits).unwrap();
        }
        code
    }
}

impl Recipe {
    /// What a certificate made by this recipe says.
    pub(crate) fn body(
        &self,
        number: u8,
        issuer: Option<(&CertificateBody, Serial)>,
    ) -> CertificateBody {
        let all = Grant {
            region: Region::EVERYWHERE,
            document: None,
            categories: CategorySet::all(),
            rights: Rights(u8::MAX),
            delegable: Rights(u8::MAX),
        };
        let all = [all];
        let held = issuer.map_or(all.as_slice(), |(issuer, _)| &issuer.grants);
        let end_ms = issuer.map_or(END_MS, |(issuer, _)| issuer.not_after_ms);
        CertificateBody {
            subject: public_key(&key(number)),
            name: format!("no. {number}"),
            kind: self.kind,
            tier: Tier::Town,
            grants: self.grants.iter().map(|g| g.grant(g.from.get(held))).collect(),
            issued_at_ms: self.issued_at_ms,
            not_after_ms: end_ms - self.shorter_ms,
            issuer: issuer.map(|(_, serial)| serial),
        }
    }
}

impl GrantRecipe {
    fn grant(&self, held: &Grant) -> Grant {
        let careless = |field: u32| self.careless & (1 << field) != 0;
        let exact = self.exact || held.region.depth == Depth::Exact;
        let region = if careless(0) {
            Region {
                prefix: self.place.below(AddressCode::parse("11").unwrap()),
                depth: if self.exact { Depth::Exact } else { Depth::Subtree },
            }
        } else if held.region.depth == Depth::Exact {
            let depth = if careless(5) { Depth::Subtree } else { Depth::Exact };
            Region { depth, ..held.region }
        } else {
            let depth = if exact { Depth::Exact } else { Depth::Subtree };
            Region { prefix: self.place.below(held.region.prefix), depth }
        };
        let wanted = CategorySet::from(self.categories.clone());
        let both = wanted.intersection(&held.categories);
        let categories = match (careless(1), both.is_empty()) {
            (true, _) => wanted,
            (false, true) => held.categories.clone(),
            (false, false) => both,
        };
        let within = |bits: u8, careless| if careless { bits } else { bits & held.delegable.0 };
        let named = self.document.map(|byte| DocumentId([byte; 16]));
        let document = match held.document {
            _ if careless(4) => named,
            Some(only) => Some(only),
            None => named.filter(|_| region.depth == Depth::Exact),
        };
        Grant {
            region,
            document,
            categories,
            rights: Rights(within(self.rights, careless(2))),
            delegable: Rights(within(self.delegable, careless(3))),
        }
    }
}

impl HomeRecipe {
    /// A document in or near one of the grants.
    pub(crate) fn home(&self, grants: &[Grant]) -> Home {
        let near = if grants.is_empty() {
            AddressCode::COUNTRY
        } else {
            self.grant.get(grants).region.prefix
        };
        Home {
            category: Category(self.category),
            address: self.place.below(near),
            document: DocumentId([self.document; 16]),
        }
    }
}

/// The key of the subject with this number; 0 is the root.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// A code one level above, for questions about ranges that reach beyond a scope.
pub(crate) fn around(address: &AddressCode) -> impl Iterator<Item = AddressCode> {
    let levels = Level::ALL.into_iter();
    let address = *address;
    levels.filter_map(move |level| address.truncate(level))
}
