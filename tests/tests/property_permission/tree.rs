//! Trees of delegation never widen.

use std::cell::Cell;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateBody, Grant};
use cunlian_protocol::id::Serial;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::public_key;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::oracle;
use super::recipe::{HomeRecipe, Recipe, homes, key, recipes};

const CASES: u32 = 2_500;
const RIGHTS: [Rights; 5] =
    [Rights::READ, Rights::WRITE, Rights::ASSIGN, Rights::SIGN_OFF, Rights::ERASE];

/// Certificates that were accepted, and documents near their grants.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) accepted: Vec<(Serial, CertificateBody)>,
    pub(crate) homes: Vec<cunlian_protocol::change::Home>,
}

/// A tree in which each certificate was asked of the root or of one accepted before, and what a
/// world is made of.
pub(crate) type Seeds = (Vec<(Recipe, Index)>, Vec<HomeRecipe>);

pub(crate) fn seeds() -> impl Strategy<Value = Seeds> {
    let tree = proptest::collection::vec((recipes(), any::<Index>()), 2..12);
    (tree, proptest::collection::vec(homes(), 12..24))
}

impl World {
    pub(crate) fn grow((tree, homes): &Seeds) -> Self {
        let mut authority = Authority::new(public_key(&key(0)));
        let mut accepted: Vec<(Serial, CertificateBody, u8)> = Vec::new();
        for (number, (recipe, parent)) in (1_u8..).zip(tree) {
            // Newest first, so that trees grow deep.
            let parent = parent.index(accepted.len() + 1).checked_sub(1);
            let parent = parent.map(|back| accepted[accepted.len() - 1 - back].clone());
            let signer = parent.as_ref().map_or(0, |(_, _, number)| *number);
            let body =
                recipe.body(number, parent.as_ref().map(|(serial, body, _)| (body, *serial)));
            let bytes = Certificate::issue(&body, &key(signer));
            if let Ok(serial) = authority.insert(&bytes) {
                accepted.push((serial, body, number));
            }
        }
        let accepted: Vec<_> =
            accepted.into_iter().map(|(serial, body, _)| (serial, body)).collect();
        let grants: Vec<Grant> =
            accepted.iter().flat_map(|(_, body)| body.grants.clone()).collect();
        let homes = homes.iter().map(|recipe| recipe.home(&grants)).collect();
        Self { authority, accepted, homes }
    }
}

/// Shows that whatever a certificate lets its holder do to a document, every certificate above it
/// may pass on for that document; and that the authority says of each right what the grants say.
#[test]
fn delegation_never_widens() {
    let checked = Cell::new(0_u64);
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let outcome = runner.run(&seeds(), |seeds| {
        let World { authority, accepted, homes } = World::grow(&seeds);
        for (serial, body) in &accepted {
            let chain = authority.chain(serial);
            let above = &chain[..chain.len() - 1];
            for home in &homes {
                for right in RIGHTS {
                    let may = authority.may(serial, right, home).is_ok();
                    prop_assert_eq!(may, oracle::covers(&body.grants, home, right.0, false));
                    let delegated = oracle::covers(&body.grants, home, right.0, true)
                        && !body.grants.is_empty();
                    if !may && !delegated {
                        continue;
                    }
                    for ancestor in above {
                        let passes = oracle::covers(&ancestor.body().grants, home, right.0, true);
                        prop_assert!(passes, "{:?} {} {:?}", home, right, ancestor.body().name);
                        checked.set(checked.get() + 1);
                    }
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(checked.get() > 10 * u64::from(CASES), "only {} were delegated", checked.get());
}
