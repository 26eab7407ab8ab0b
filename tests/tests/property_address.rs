//! Shows, on generated codes, that an address code is exactly its text: what is printed reads
//! back, containment by segment is the chain of parents, the order of codes is the order of the
//! tree and of stored keys, and the printed check character finds the mistakes people make.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_protocol::address::{AddressCode, AddressError, Level};
use cunlian_protocol::region::{Depth, Region};
use proptest::prelude::*;

/// Codes of every level. Few different digits, so that codes often lie within one another.
fn codes() -> impl Strategy<Value = AddressCode> {
    let levels = proptest::sample::select(Level::ALL.to_vec());
    (levels, "[1-2]{26}").prop_map(|(level, digits)| {
        AddressCode::parse_or_country(digits.get(..level.digits()).unwrap()).unwrap()
    })
}

/// Two codes of which one is, half the time, an ancestor of the other.
fn pairs() -> impl Strategy<Value = (AddressCode, AddressCode)> {
    let related = (codes(), any::<prop::sample::Index>()).prop_map(|(code, index)| {
        let ancestors: Vec<_> = code.ancestors().collect();
        (*index.get(&ancestors), code)
    });
    prop_oneof![related, (codes(), codes())]
}

/// Codes with any digits, below the country.
fn plates() -> impl Strategy<Value = AddressCode> {
    let levels = proptest::sample::select(Level::ALL.get(1..).unwrap().to_vec());
    (levels, "[0-9]{26}").prop_map(|(level, digits)| {
        AddressCode::parse(digits.get(..level.digits()).unwrap()).unwrap()
    })
}

fn regions() -> impl Strategy<Value = Region> {
    (codes(), any::<bool>()).prop_map(|(prefix, exact)| {
        let depth = if exact { Depth::Exact } else { Depth::Subtree };
        Region { prefix, depth }
    })
}

/// The key of a stored change begins with the digits and a zero byte.
fn key(code: &AddressCode) -> Vec<u8> {
    [code.as_bytes(), &[0]].concat()
}

/// Whether reading `digits` with the check character of another code is refused for it.
fn is_caught(digits: &[u8], check: char) -> bool {
    let text = format!("{}{check}", std::str::from_utf8(digits).unwrap());
    matches!(AddressCode::parse_plate(&text), Err(AddressError::CheckCharacter { .. }))
}

proptest! {
    #[test]
    fn text_reads_back(code in plates()) {
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(AddressCode::parse_plate(&code.plate_text()), Ok(code));
        let json = serde_json::to_string(&code).unwrap();
        prop_assert_eq!(serde_json::from_str::<AddressCode>(&json).unwrap(), code);
    }

    #[test]
    fn only_digits_of_a_known_length_are_read(text in "[0-9]{0,30}|\\PC{0,30}") {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let good = digits && Level::from_digits(text.len()).is_some();
        prop_assert_eq!(AddressCode::parse(&text).is_ok(), good);
    }

    #[test]
    fn containment_is_the_chain_of_parents((outer, inner) in pairs()) {
        let chain = inner.ancestors().any(|ancestor| ancestor == outer);
        prop_assert_eq!(outer.contains(&inner), chain);
        prop_assert_eq!(inner.truncate(outer.level()) == Some(outer), chain);
    }

    #[test]
    fn order_is_the_order_of_keys((left, right) in pairs()) {
        prop_assert_eq!(left.cmp(&right), key(&left).cmp(&key(&right)));
        prop_assert_eq!(left == right, left.as_str() == right.as_str());
    }

    /// Sorted codes are a tree walked parent first: all that lies within a code stands together.
    #[test]
    fn order_is_the_order_of_the_tree(
        mut list in proptest::collection::vec(codes(), 1..40),
        chosen in any::<prop::sample::Index>(),
    ) {
        list.sort();
        let root = *chosen.get(&list);
        let inside: Vec<_> = list.iter().map(|code| root.contains(code)).collect();
        let runs = inside.chunk_by(|left, right| left == right).filter(|run| run.contains(&true));
        prop_assert_eq!(runs.count(), 1);
        let first = inside.iter().position(|&inside| inside);
        prop_assert_eq!(first.and_then(|first| list.get(first)), Some(&root));
    }

    #[test]
    fn a_child_leads_back_to_its_parent(code in plates()) {
        let parent = code.parent().unwrap();
        let segment = code.segment(code.level()).unwrap();
        prop_assert_eq!(parent.child(segment), Ok(code));
    }

    #[test]
    fn the_intersection_holds_what_both_hold(
        left in regions(),
        right in regions(),
        code in codes(),
    ) {
        let common = left.intersection(&right);
        let both = left.contains_address(&code) && right.contains_address(&code);
        prop_assert_eq!(common.is_some_and(|common| common.contains_address(&code)), both);
        if let Some(common) = common {
            prop_assert!(left.contains(&common) && right.contains(&common));
        }
    }

    /// Every single wrong digit of the code, not a sample of them.
    #[test]
    fn every_misread_digit_is_caught(code in plates()) {
        for (place, &old) in code.as_bytes().iter().enumerate() {
            for new in (b'0'..=b'9').filter(|&new| new != old) {
                let mut digits = code.as_bytes().to_vec();
                *digits.get_mut(place).unwrap() = new;
                prop_assert!(is_caught(&digits, code.check_character()), "{} at {}", code, place);
            }
        }
    }

    /// Every exchange of two neighbours that changes the code.
    #[test]
    fn every_exchange_of_neighbours_is_caught(code in plates()) {
        for place in 1..code.as_bytes().len() {
            let mut digits = code.as_bytes().to_vec();
            digits.swap(place - 1, place);
            let changed = digits != code.as_bytes();
            prop_assert_eq!(is_caught(&digits, code.check_character()), changed);
        }
    }
}
