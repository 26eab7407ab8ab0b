//! Contexts are apart, one bad signature is found, and no signature holds here and not there.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};

use super::*;

fn claim(key: &SigningKey, bytes: &'static [u8], signed: &[u8]) -> Claim<'static> {
    let signature = sign(key, Context::Change, signed);
    Claim { key: public_key(key), bytes: bytes.into(), signature }
}

/// Shows that a signature made in one context does not hold in another.
#[test]
fn contexts_are_separate() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = sign(&key, Context::Change, b"x");
    assert_eq!(verify(&public_key(&key), Context::Change, b"x", &signature), Ok(()));
    assert_eq!(
        verify(&public_key(&key), Context::Certificate, b"x", &signature),
        Err(BadSignature)
    );
}

/// Shows that one bad signature in a batch is found and does not condemn the others.
#[test]
fn a_bad_signature_in_a_batch_is_the_only_one_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let claims = [claim(&key, b"a", b"a"), claim(&key, b"b", b"z"), claim(&key, b"c", b"c")];
    assert_eq!(verify_all(Context::Change, &claims), [true, false, true]);
}

/// Shows that a batch by many keys, in any order, holds, and none of it when all the keys are
/// given to the wrong signatures: terms are added up under their own key.
#[test]
fn terms_are_added_up_under_their_own_keys() {
    let keys: Vec<SigningKey> = (1..=5).map(|n| SigningKey::from_bytes(&[n; 32])).collect();
    let mut claims: Vec<Claim<'_>> =
        keys.iter().cycle().take(40).map(|key| claim(key, b"x", b"x")).collect();
    assert_eq!(verify_all(Context::Change, &claims), [true; 40]);
    let first = claims.iter().map(|claim| claim.key).skip(1).chain([public_key(&keys[0])]);
    let moved: Vec<PublicKey> = first.collect();
    for (claim, key) in claims.iter_mut().zip(moved) {
        claim.key = key;
    }
    // The last one is under its own key again only if the cycle closes, which 40 keys of 5 do.
    assert_eq!(verify_all(Context::Change, &claims), [false; 40]);
}

/// Shows that a response beyond the order of the group, a second form of the same signature, does
/// not hold, alone or in a batch.
#[test]
fn a_second_form_of_a_signature_does_not_hold() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut forged = claim(&key, b"a", b"a");
    let mut carry = 0_u16;
    // Adds the order of the group, 2^252 + 27742317777372353535851937790883648493.
    let order = (-Scalar::ONE).to_bytes();
    for (byte, add) in forged.signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    // `order` is one less than the order itself.
    forged.signature.0[32] = forged.signature.0[32].wrapping_add(1);
    assert_eq!(verify_all(Context::Change, &[forged.clone()]), [false]);
    assert_eq!(verify_all(Context::Change, &[claim(&key, b"a", b"a"), forged]), [true, false]);
}

/// Shows that the answer about a signature whose commitment a hostile signer moved by a point of
/// small order is the same alone and in batches with others, whichever they are. (With the batch
/// equation without cofactor it held in one batch of eight.)
#[test]
fn a_signature_holds_alone_as_in_every_batch() {
    let secret = Scalar::from(12_345_u64);
    let key = PublicKey(EdwardsPoint::mul_base(&secret).compress().to_bytes());
    let honest = SigningKey::from_bytes(&[7; 32]);
    for torsion in EIGHT_TORSION {
        let nonce = Scalar::from(777_u64);
        let commitment = (EdwardsPoint::mul_base(&nonce) + torsion).compress().to_bytes();
        let mut hash = Sha512::new();
        hash.update(commitment);
        hash.update(key.0);
        hash.update(message(Context::Change, b"a"));
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let response = (nonce + challenge * secret).to_bytes();
        let signature = Signature([commitment, response].concat().try_into().unwrap());
        let moved = Claim { key, bytes: b"a".into(), signature };
        let alone = verify_all(Context::Change, std::slice::from_ref(&moved));
        assert_eq!(verify(&key, Context::Change, b"a", &signature).is_ok(), alone[0]);
        for others in 1..20 {
            let mut batch = vec![claim(&honest, b"x", b"x"); others];
            batch.push(moved.clone());
            let together = verify_all(Context::Change, &batch);
            assert_eq!(together.last(), alone.first(), "with {others} others");
        }
    }
}

/// Shows that a key of small order, for which one signature fits many messages, is refused.
#[test]
fn a_key_of_small_order_is_refused() {
    for torsion in EIGHT_TORSION {
        let key = PublicKey(torsion.compress().to_bytes());
        // s = 0 and R of small order satisfy the equation for every message.
        let signature =
            Signature([torsion.compress().to_bytes(), [0; 32]].concat().try_into().unwrap());
        assert_eq!(verify(&key, Context::Change, b"x", &signature), Err(BadSignature));
        let claims = [Claim { key, bytes: b"x".into(), signature }];
        assert_eq!(verify_all(Context::Change, &claims), [false]);
    }
}
