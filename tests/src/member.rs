//! Certified nodes and people for suites without processes: keys from small numbers, grants from
//! the presets that real nodes get.

use cunlian_crdt::document::Author;
use cunlian_crdt::store::StoreIdentity;
use cunlian_governance::access::preset;
use cunlian_governance::capabilities::Kinds;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::CategorySet;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Grant, Tier};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::region::Region;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::SuccessionBody;

/// Seed of the key of the federation root.
const ROOT: u8 = 1;

/// A certified node, which also authors.
#[derive(Clone)]
pub struct Member {
    /// Key, certificate and chain.
    pub identity: Identity,
}

/// The key made from a seed; it protects nothing.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The public key of the federation root.
pub fn root() -> PublicKey {
    public_key(&key(ROOT))
}

fn body(seed: u8, name: &str, kind: AuthorKind, tier: Tier, region: &str) -> CertificateBody {
    let region = AddressCode::parse(region).expect("the suites name real codes");
    CertificateBody {
        subject: public_key(&key(seed)),
        name: name.to_owned(),
        kind,
        tier,
        grants: preset::grants(&Kinds::built_in(), tier, region),
        issued_at_ms: 0,
        not_after_ms: i64::MAX,
        issuer: None,
    }
}

impl Member {
    /// The county 高青县, certified by the root.
    pub fn county(seed: u8) -> Self {
        let body = body(seed, "高青县", AuthorKind::Node, Tier::County, "370322");
        Self::holding(seed, vec![Certificate::issue(&body, &key(ROOT))])
    }

    /// The county 高青县 of a program with these kinds of data.
    pub fn county_with(seed: u8, kinds: &Kinds) -> Self {
        let body = body(seed, "高青县", AuthorKind::Node, Tier::County, "370322");
        let region = AddressCode::parse("370322").expect("the suites name real codes");
        let grants = preset::grants(kinds, body.tier, region);
        Self::holding(
            seed,
            vec![Certificate::issue(&CertificateBody { grants, ..body }, &key(ROOT))],
        )
    }

    /// A node below this one, of a program with these kinds of data.
    #[must_use]
    pub fn certify_with(
        &self,
        seed: u8,
        tier: Tier,
        (region, name): (&str, &str),
        kinds: &Kinds,
    ) -> Self {
        let body = body(seed, name, AuthorKind::Node, tier, region);
        let region = AddressCode::parse(region).expect("the suites name real codes");
        let grants = preset::grants(kinds, tier, region);
        Self::holding(seed, self.chain_to(CertificateBody { grants, ..body }))
    }

    /// A node below this one.
    #[must_use]
    pub fn certify(&self, seed: u8, tier: Tier, region: &str, name: &str) -> Self {
        let body = body(seed, name, AuthorKind::Node, tier, region);
        Self::holding(seed, self.chain_to(body))
    }

    /// A node below this one that is certified for this time only, milliseconds since 1970.
    #[must_use]
    pub fn certify_for(
        &self,
        seed: u8,
        tier: Tier,
        place: (&str, &str),
        time_ms: std::ops::Range<i64>,
    ) -> Self {
        self.certify_with_for(seed, tier, place, &Kinds::built_in(), time_ms)
    }

    /// The same, of a program with these kinds of data.
    #[must_use]
    pub fn certify_with_for(
        &self,
        seed: u8,
        tier: Tier,
        (region, name): (&str, &str),
        kinds: &Kinds,
        time_ms: std::ops::Range<i64>,
    ) -> Self {
        let body = body(seed, name, AuthorKind::Node, tier, region);
        let region = AddressCode::parse(region).expect("the suites name real codes");
        let grants = preset::grants(kinds, tier, region);
        let (issued_at_ms, not_after_ms) = (time_ms.start, time_ms.end);
        let body = CertificateBody { grants, issued_at_ms, not_after_ms, ..body };
        Self::holding(seed, self.chain_to(body))
    }

    /// The chain to a certificate like that of this node, made by it for another key, whether this
    /// node is still in force or not.
    pub fn certify_key(&self, subject: &SigningKey, name: &str) -> Vec<Vec<u8>> {
        let own = self.identity.certificate.body();
        let (subject, name) = (public_key(subject), name.to_owned());
        self.chain_to(CertificateBody { subject, name, ..own.clone() })
    }

    /// A person who works at this node and may do what the node may; with the chain.
    pub fn operator(&self, seed: u8, name: &str) -> (Author, Vec<Vec<u8>>) {
        let own = self.identity.certificate.body();
        let body = CertificateBody {
            subject: public_key(&key(seed)),
            name: name.to_owned(),
            kind: AuthorKind::Operator,
            issuer: None,
            ..own.clone()
        };
        let chain = self.chain_to(body);
        let serial = chain.last().map(|bytes| Serial::of(bytes)).expect("a chain has an end");
        (Author { serial, key: key(seed), session: u64::from(seed) }, chain)
    }

    /// A person who may read this one document; with the chain.
    pub fn visitor(&self, seed: u8, home: &Home) -> (Serial, Vec<Vec<u8>>) {
        let own = self.identity.certificate.body();
        let grant = Grant {
            region: Region::exact(home.address),
            document: Some(home.document),
            categories: CategorySet::of([home.category]),
            rights: Rights::READ,
            delegable: Rights::NONE,
        };
        let body = CertificateBody {
            subject: public_key(&key(seed)),
            name: "旁听".to_owned(),
            kind: AuthorKind::Operator,
            grants: vec![grant],
            ..own.clone()
        };
        let chain = self.chain_to(body);
        let serial = chain.last().map(|bytes| Serial::of(bytes)).expect("a chain has an end");
        (serial, chain)
    }

    /// The node as an author, in a session of its own.
    pub fn author(&self, session: u64) -> Author {
        Author { serial: self.serial(), key: self.identity.key.clone(), session }
    }

    /// The same node with the chain its issuer gave it, for the key it has or for its next one.
    ///
    /// # Panics
    /// When the chain does not verify, or is for another key.
    #[must_use]
    pub fn renewed(&self, authority: &Authority, chain: &[Vec<u8>]) -> Self {
        let certificate = authority.verify_chain(chain).expect("an issuer gives a sound chain");
        let Identity { key, next_key, software, mut successions, .. } = self.identity.clone();
        let subject = certificate.body().subject;
        let key = match next_key.filter(|_| subject != public_key(&key)) {
            Some(next) => {
                let (old, new) = (public_key(&key), public_key(&next));
                let body = SuccessionBody { old, new, stands: Vec::new() };
                successions.push(body.sign(&key, &next));
                next
            }
            None => key,
        };
        assert_eq!(subject, public_key(&key), "the chain is for this node");
        let (chain, next_key) = (chain.to_vec(), None);
        Self { identity: Identity { certificate, chain, key, next_key, software, successions } }
    }

    /// Serial of its certificate.
    pub fn serial(&self) -> Serial {
        self.identity.certificate.serial()
    }

    /// Public key.
    pub fn public_key(&self) -> PublicKey {
        self.identity.certificate.body().subject
    }

    /// What its store must know.
    pub fn store_identity(&self) -> StoreIdentity {
        let chain = self.identity.chain.clone();
        StoreIdentity { root: root(), own: Some(self.serial()), chain }
    }

    fn chain_to(&self, body: CertificateBody) -> Vec<Vec<u8>> {
        let body = CertificateBody { issuer: Some(self.serial()), ..body };
        let mut chain = self.identity.chain.clone();
        chain.push(Certificate::issue(&body, &self.identity.key));
        chain
    }

    fn holding(seed: u8, chain: Vec<Vec<u8>>) -> Self {
        let authority = Authority::new(root());
        let certificate = authority.verify_chain(&chain).expect("presets fit into each other");
        let software = "cunlian tests".to_owned();
        let (next_key, successions) = (None, Vec::new());
        let key = key(seed);
        Self { identity: Identity { certificate, chain, key, next_key, software, successions } }
    }
}
