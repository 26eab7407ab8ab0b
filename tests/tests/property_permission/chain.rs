//! A chain verifies if and only if each certificate may follow those above it.

use std::cell::Cell;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::public_key;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::oracle;
use super::recipe::{Recipe, key, recipes};

const CASES: u32 = 4_000;
/// The key of somebody who may sign nothing.
const STRANGER: u8 = 200;

/// A chain by these recipes; the certificate `forged` is signed by a stranger.
fn chain(recipes: &[Recipe], forged: Option<usize>) -> Vec<(CertificateBody, Vec<u8>)> {
    let mut chain: Vec<(CertificateBody, Vec<u8>)> = Vec::new();
    for (at, recipe) in recipes.iter().enumerate() {
        let above = chain.last().map(|(body, bytes)| (body, Serial::of(bytes)));
        let number = u8::try_from(at).unwrap();
        let body = recipe.body(number + 1, above);
        let signer = if forged == Some(at) { STRANGER } else { number };
        let bytes = Certificate::issue(&body, &key(signer));
        chain.push((body, bytes));
    }
    chain
}

/// Shows that a chain is accepted exactly when every certificate is well formed, in time, signed by
/// the one above and contained in it, by comparing with a naive reading of the rules; that the
/// first certificate that breaks a rule is the one where it ends; and that adding one certificate
/// after the other comes to the same.
#[test]
fn a_chain_verifies_if_and_only_if_every_grant_is_contained() {
    let (held, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let forged = prop::option::weighted(0.1, any::<Index>());
    let cases = (proptest::collection::vec(recipes(), 1..8), forged);
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let outcome = runner.run(&cases, |(recipes, forged)| {
        let forged = forged.map(|index| index.index(recipes.len()));
        let chain = chain(&recipes, forged);
        let (bodies, bytes): (Vec<_>, Vec<_>) = chain.into_iter().unzip();
        let bad = (0..bodies.len())
            .find(|&at| Some(at) == forged || !oracle::may_follow(&bodies[..at], &bodies[at]));
        let mut authority = Authority::new(public_key(&key(0)));
        prop_assert_eq!(authority.verify_chain(&bytes).is_ok(), bad.is_none());
        let good = bad.unwrap_or(bytes.len());
        if good > 0 {
            let last = authority.verify_chain(&bytes[..good]);
            prop_assert_eq!(last.map(|c| c.body().clone()), Ok(bodies[good - 1].clone()));
        }
        for (at, one) in bytes.iter().enumerate() {
            prop_assert_eq!(authority.insert(one).is_ok(), at < good, "certificate {}", at);
        }
        // Only chains that could have broken a rule of containment are counted.
        if bodies.len() > 2 {
            let count = if bad.is_none() { &held } else { &refused };
            count.set(count.get() + 1);
        }
        Ok(())
    });
    outcome.unwrap();
    let few = CASES / 10;
    assert!(held.get() > few && refused.get() > few, "{held:?} held, {refused:?} refused");
}
