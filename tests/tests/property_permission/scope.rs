//! Scopes, which decide what is sent, agree with rights, which decide what is allowed.

use std::cell::Cell;

use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert, prop_assert_eq};

use super::recipe::around;
use super::tree::{World, seeds};

const CASES: u32 = 2_500;

/// Shows that a document is in the read scope of a certificate exactly when its holder may read
/// it, so that no byte is sent by one rule that the other would refuse.
#[test]
fn a_read_scope_is_what_may_be_read() {
    let (inside, outside) = (Cell::new(0_u64), Cell::new(0_u64));
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let outcome = runner.run(&seeds(), |seeds| {
        let World { authority, accepted, homes } = World::grow(&seeds);
        for (serial, _) in &accepted {
            let scope = authority.read_scope(serial);
            for home in &homes {
                let may = authority.may(serial, Rights::READ, home).is_ok();
                let prefix = KeyPrefix::document(home);
                prop_assert_eq!(scope.allows(prefix.as_bytes()), may, "{:?}", home);
                let count = if may { &inside } else { &outside };
                count.set(count.get() + 1);
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let few = u64::from(CASES);
    assert!(inside.get() > few && outside.get() > few, "{inside:?} inside, {outside:?} outside");
}

/// Shows that the common scope of two peers holds a document exactly when both may read it, and a
/// range only when it lies within the scope of each, from single documents up to the country; and
/// that what is compared at the beginning of a session lies within both.
#[test]
fn a_common_scope_is_never_wider_than_either() {
    let shared = Cell::new(0_u64);
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let outcome = runner.run(&seeds(), |seeds| {
        let World { authority, accepted, homes } = World::grow(&seeds);
        let scopes: Vec<_> = accepted.iter().map(|(s, _)| authority.read_scope(s)).collect();
        for (one, other) in scopes.iter().zip(scopes.iter().skip(1)) {
            let common = one.intersection(other);
            prop_assert_eq!(&common, &other.intersection(one));
            for home in &homes {
                let document = KeyPrefix::document(home);
                let both = one.allows(document.as_bytes()) && other.allows(document.as_bytes());
                prop_assert_eq!(common.allows(document.as_bytes()), both);
                shared.set(shared.get() + u64::from(both));
                for code in around(&home.address) {
                    for region in [Region::subtree(code), Region::exact(code)] {
                        let range = KeyPrefix::region(home.category, &region);
                        let range = range.as_bytes();
                        let within = one.allows(range) && other.allows(range);
                        prop_assert!(!common.allows(range) || within, "{}", region);
                    }
                }
            }
            for top in common.tops(homes.iter().map(|home| home.category)) {
                prop_assert!(one.allows(top.as_bytes()) && other.allows(top.as_bytes()));
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(shared.get() > u64::from(CASES), "only {} documents were shared", shared.get());
}
