//! The two nodes of the comparison: a city, which listens, and its county, which dials.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::generator::Generator;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::clock::now_ms;
use cunlian_host::preset;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};

use super::fill::{self, VILLAGES, village};
use super::world::Node;
use super::{Differences, Options};
use crate::failure::Failure;

const ROOT: [u8; 32] = [1; 32];
const CITY: [u8; 32] = [2; 32];
const COUNTY: [u8; 32] = [3; 32];
const YEAR_MS: i64 = 365 * 86_400_000;
/// Seeds of what is only at the listener and only at the dialler.
const APART: [u64; 2] = [101, 102];
/// Writes in one transaction.
const TOGETHER: usize = 1_000;

/// Identities and directories of both.
pub(super) struct Pair {
    identities: [Identity; 2],
    dirs: [PathBuf; 2],
}

impl Pair {
    pub(super) fn new(scratch: &Path) -> Result<Self, Failure> {
        let key = SigningKey::from_bytes;
        let (root, city) = (key(&ROOT), key(&CITY));
        let chain = |above: &[Vec<u8>], body: &CertificateBody, issuer: &SigningKey| {
            let own = Certificate::issue(body, issuer);
            [above, &[own]].concat()
        };
        let authority = Authority::new(public_key(&root));
        let now = now_ms();
        let city_chain = chain(&[], &body(&CITY, Tier::City, "3703", None, now)?, &root);
        let above = authority.verify_chain(&city_chain)?;
        let county = body(&COUNTY, Tier::County, "370322", Some(&above), now)?;
        let county_chain = chain(&city_chain, &county, &city);
        let certificate = authority.verify_chain(&county_chain)?;
        let identity = |certificate, chain, key| Identity {
            certificate,
            chain,
            key,
            next_key: None,
            software: concat!("cunlian ", env!("CARGO_PKG_VERSION")).to_owned(),
            successions: Vec::new(),
        };
        Ok(Self {
            identities: [
                identity(above, city_chain, city),
                identity(certificate, county_chain, key(&COUNTY)),
            ],
            dirs: ["3703", "370322"].map(|name| scratch.join(name)),
        })
    }

    /// Fills both with the same changes, or each with its own.
    pub(super) fn fill(
        &self,
        options: &Options,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let Options { items, differences, seed, .. } = options;
        let all = *differences == Differences::All;
        for (number, (identity, dir)) in (0..).zip(self.sides()) {
            // One that is filled by whom it belongs to has nothing that waits for those above.
            let store = self.open_one(identity, dir)?;
            let seed = if all { seed.wrapping_add(number) } else { *seed };
            fill::fill(&store, *items, seed, |done| progress(number * items + done))?;
        }
        Ok(())
    }

    /// Writes so many changes at the listener and at the dialler, over all villages.
    pub(super) fn differ(&self, there: u64, here: u64, seed: u64) -> Result<(), Failure> {
        for (((identity, dir), count), apart) in
            self.sides().into_iter().zip([there, here]).zip(APART)
        {
            let store = self.open_one(identity, dir)?;
            write(&store, identity, usize::try_from(count)?, seed.wrapping_add(apart))?;
        }
        Ok(())
    }

    pub(super) fn open(&self) -> Result<[Node; 2], Failure> {
        let [(city, there), (county, here)] = self.sides();
        let keys = vec![city.certificate.body().subject];
        Ok([
            Node::new(self.open_one(city, there)?, city.clone(), Vec::new()),
            Node::new(self.open_one(county, here)?, county.clone(), keys),
        ])
    }

    fn sides(&self) -> [(&Identity, &Path); 2] {
        let ([city, county], [there, here]) = (&self.identities, &self.dirs);
        [(city, there), (county, here)]
    }

    fn open_one(&self, identity: &Identity, dir: &Path) -> Result<Store, Failure> {
        let of = StoreIdentity {
            root: public_key(&SigningKey::from_bytes(&ROOT)),
            own: Some(identity.certificate.serial()),
            chain: identity.chain.clone(),
        };
        let store = Store::open(dir, Arc::new(GovernanceProjector), of, StoreOptions::default())?;
        // Both know both, as after an earlier meeting.
        let [_, county] = &self.identities;
        store.add_certificates(&county.chain)?;
        Ok(store)
    }
}

fn body(
    key: &[u8; 32],
    tier: Tier,
    region: &str,
    issuer: Option<&Certificate>,
    now: i64,
) -> Result<CertificateBody, Failure> {
    let region = AddressCode::parse(region)?;
    Ok(CertificateBody {
        subject: public_key(&SigningKey::from_bytes(key)),
        name: region.to_string(),
        kind: AuthorKind::Node,
        tier,
        grants: preset::grants(tier, region),
        issued_at_ms: now - YEAR_MS,
        not_after_ms: now + YEAR_MS,
        issuer: issuer.map(Certificate::serial),
    })
}

/// Writes `count` new documents of the library, as many in each village as in any other.
fn write(store: &Store, identity: &Identity, count: usize, seed: u64) -> Result<(), Failure> {
    let serial = identity.certificate.serial();
    let author = Author { serial, key: identity.key.clone(), session: seed };
    let authority = store.authority();
    let allowed = |write: &Write| authority.may(&serial, Rights::WRITE, &write.home).is_ok();
    let mut writes = Vec::new();
    for number in 0..VILLAGES {
        let share = count * (number + 1) / VILLAGES - count * number / VILLAGES;
        // Half of what is drawn is for closer circles than those of a county.
        let drawn = Generator::new(seed).records(village(number)?, usize::MAX).flatten();
        writes.extend(drawn.filter(allowed).take(share));
        while writes.len() >= TOGETHER {
            let rest = writes.split_off(TOGETHER);
            store.write(&author, std::mem::replace(&mut writes, rest), now_ms())?;
        }
    }
    store.write(&author, writes, now_ms())?;
    Ok(())
}
