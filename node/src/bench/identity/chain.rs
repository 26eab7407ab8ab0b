//! A chain of certificates checked from its bytes, and asked again later.
//!
//! The chain is the longest that people work under: county, town, village, and a person of the
//! village, with the grants that real ones have. Next to the figures stands their limit, measured
//! in the same run: the signatures of these certificates alone, without reading or comparing
//! anything.
//!
//! | figure | when it is paid |
//! |---|---|
//! | `fresh` | once, when a peer with an unknown chain connects |
//! | `known` | at every hello of a peer whose certificates are known; hashes the bytes |
//! | `may` | for every change, in and out: one right on one document |
//! | `valid` | for every message that authors: expiry and revocation up to the root |

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{
    AuthorKind, Certificate, CertificateBody, CertificateError, Tier,
};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial, Signature};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::signing::{self, Claim, Context, SigningKey, public_key};
use serde::Serialize;

use crate::failure::Failure;

/// Samples of each figure; the middle one is told, so that other work of the machine does not.
const SAMPLES: usize = 41;
/// Chains checked for one sample.
const CHAINS: u32 = 25;
/// Questions asked for one sample.
const QUESTIONS: u32 = 20_000;
/// A time within the validity of all certificates made here.
const NOW_MS: i64 = 1_000;

/// Microseconds for a chain of certificates.
#[derive(Debug, Clone, Serialize)]
pub struct Chain {
    /// Certificates in it.
    pub certificates: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// From bytes, by who knows the root key alone.
    pub fresh_us: f64,
    /// The signatures alone, all checked together.
    pub limit_us: f64,
    /// Microseconds of the limit for each microsecond of the fresh check.
    pub limit_share: f64,
    /// From bytes, by who knows these certificates.
    pub known_us: f64,
    /// Whether the last one may read a document.
    pub may_us: f64,
    /// Whether the last one is in force.
    pub valid_us: f64,
}

/// Measures all of it.
pub(super) fn measure() -> Result<Chain, Failure> {
    let keys: Vec<SigningKey> = (1..=5).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
    let root = keys.first().map(public_key).ok_or_else(|| Failure::new("no root key"))?;
    let chain = certificates(&keys)?;
    let fresh = || Authority::new(root).verify_chain(black_box(&chain));
    fresh()?;
    let signatures = signatures(&chain, &keys)?;
    let mut known = Authority::new(root);
    for bytes in &chain {
        known.insert(bytes)?;
    }
    let person = known.verify_chain(&chain)?;
    let serial = person.serial();
    let home = Home {
        category: Category::TICKET,
        address: AddressCode::parse("370322102310001")?,
        document: DocumentId([7; 16]),
    };
    known.may(&serial, Rights::READ, &home)?;
    known.valid_at(&person, NOW_MS)?;
    let fresh_us = middle_us(CHAINS, fresh);
    let limit_us =
        middle_us(CHAINS, || signing::verify_all(Context::Certificate, black_box(&signatures)));
    Ok(Chain {
        certificates: chain.len(),
        bytes: chain.iter().map(Vec::len).sum(),
        fresh_us,
        limit_us,
        limit_share: limit_us / fresh_us,
        known_us: middle_us(CHAINS * 20, || known.verify_chain(black_box(&chain))),
        may_us: middle_us(QUESTIONS, || known.may(black_box(&serial), Rights::READ, &home)),
        valid_us: middle_us(QUESTIONS, || known.valid_at(black_box(&person), NOW_MS)),
    })
}

/// County, town, village and a person of the village, root side first; each signed by the key
/// before its own.
fn certificates(keys: &[SigningKey]) -> Result<Vec<Vec<u8>>, Failure> {
    let places = [
        (Tier::County, "370322", AuthorKind::Node),
        (Tier::Town, "370322102", AuthorKind::Node),
        (Tier::Village, "370322102310", AuthorKind::Node),
        (Tier::Village, "370322102310", AuthorKind::Operator),
    ];
    let mut chain: Vec<Vec<u8>> = Vec::new();
    let pairs = keys.iter().zip(keys.iter().skip(1));
    for ((tier, region, kind), (issuer, subject)) in places.into_iter().zip(pairs) {
        let body = CertificateBody {
            subject: public_key(subject),
            name: region.to_owned(),
            kind,
            tier,
            grants: preset::grants(tier, AddressCode::parse(region)?),
            issued_at_ms: 0,
            not_after_ms: i64::MAX,
            issuer: chain.last().map(|bytes| Serial::of(bytes)),
        };
        chain.push(Certificate::issue(&body, issuer));
    }
    Ok(chain)
}

/// What has to be checked at the very least: each signature, over the bytes before it.
fn signatures<'a>(
    chain: &'a [Vec<u8>],
    keys: &[SigningKey],
) -> Result<Vec<Claim<'a>>, CertificateError> {
    let of = |(bytes, key): (&'a Vec<u8>, &SigningKey)| {
        let (signed, signature) = bytes.split_last_chunk()?;
        let (key, signature) = (public_key(key), Signature(*signature));
        Some(Claim { key, bytes: Cow::Borrowed(signed), signature })
    };
    let signatures: Option<Vec<Claim<'_>>> = chain.iter().zip(keys).map(of).collect();
    signatures.ok_or(CertificateError::Malformed { got: 0 })
}

/// Microseconds of one call: the middle one of many samples of `calls` calls each.
fn middle_us<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let mark = Instant::now();
            for _ in 0..calls {
                black_box(call());
            }
            mark.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples.get(SAMPLES / 2).copied().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that what is measured is what it says: four certificates that hold, all four of their
    /// signatures, and a check that costs at least these.
    #[test]
    fn a_chain_of_four_is_checked() {
        let keys: Vec<SigningKey> =
            (1..=5).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
        let chain = certificates(&keys).unwrap();
        let signatures = signatures(&chain, &keys).unwrap();
        assert_eq!((chain.len(), signatures.len()), (4, 4));
        assert_eq!(signing::verify_all(Context::Certificate, &signatures), [true; 4]);
        let root = public_key(keys.first().unwrap());
        let person = Authority::new(root).verify_chain(&chain).unwrap();
        assert_eq!((person.depth(), person.body().kind), (4, AuthorKind::Operator));
    }
}
