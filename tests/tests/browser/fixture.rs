//! Nodes whose pages the tests look at: real store, real keys, real router on a free port, with
//! the status in the test's hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions::import;
use cunlian_governance::generator::{Generator, Role, STORY_VILLAGE};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::admin::Administration;
use cunlian_host::clock::now_ms;
use cunlian_host::metrics::Metrics;
use cunlian_host::operator::{Issuer, NewOperator, Operators};
use cunlian_host::preset;
use cunlian_host::status::{
    Clock, Health, Ledger, LinkPhotos, LinkState, NodeStatus, PeerRole, PeerStatus, Photos,
};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::Serial;
use cunlian_protocol::rights::Rights;
use cunlian_protocol::session::Identity;
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_web::{WebConfig, WebState, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The password of every operator here.
pub const PASSWORD: &str = "gaoqing-2026";

/// Divisions as the pages name them; the last village was merged into the first.
const DIVISIONS: &str = "code,level,name,parent,status,successors
370322,county,高青县,,,
370322102,town,高城镇,370322,,
370322104,town,唐坊镇,370322,,
370322102310,village,苑兴村,370322102,,
370322102203,village,良友村,370322102,,
370322104201,village,唐北村,370322104,,
370322102299,village,旧苑村,370322102,merged,370322102310
";

/// A node with its pages served.
pub struct Node {
    pub url: String,
    pub store: Store,
    pub status: watch::Sender<NodeStatus>,
    /// The first operator, as an author of changes.
    pub operator: Author,
    /// The node itself, as an author of changes.
    pub author: Author,
    /// What administrators do to the node.
    pub administration: Administration,
    /// How far the node's clock is ahead of the machine's, milliseconds.
    pub ahead_ms: Arc<AtomicI64>,
    _directory: TempDir,
}

struct Place {
    tier: Tier,
    code: &'static str,
    name: &'static str,
    operator: (&'static str, &'static str, &'static str),
    /// Codes of other villages it holds, after they were joined to it.
    joined: &'static [&'static str],
}

const COUNTY: Place = Place {
    tier: Tier::County,
    code: "370322",
    name: "高青县",
    operator: ("zhao", "赵敏", "analyst"),
    joined: &[],
};
const TOWN: Place = Place {
    tier: Tier::Town,
    code: "370322102",
    name: "高城镇",
    operator: ("li", "李强", "dispatcher"),
    joined: &[],
};
const VILLAGE: Place = Place {
    tier: Tier::Village,
    code: STORY_VILLAGE,
    name: "苑兴村",
    operator: ("wang", "王书记", "village_operator"),
    joined: &[],
};

impl Node {
    /// The village terminal of 苑兴村; its town is not connected.
    pub async fn village() -> Self {
        Self::village_with(StoreOptions::default()).await
    }

    /// The same with a store of these bounds.
    pub async fn village_with(options: StoreOptions) -> Self {
        Self::start(&[COUNTY, TOWN, VILLAGE], options).await
    }

    /// The node of 高城镇.
    pub async fn town() -> Self {
        Self::start(&[COUNTY, TOWN], StoreOptions::default()).await
    }

    /// The node of 高城镇 with its leader at work instead of its dispatcher.
    pub async fn town_with_leader() -> Self {
        let town = Place { operator: ("sun", "孙镇长", "leader"), ..TOWN };
        Self::start(&[COUNTY, town], StoreOptions::default()).await
    }

    /// The village terminal of 苑兴村 after 旧苑村 was joined to it: it holds both.
    pub async fn joined_village() -> Self {
        let village = Place { joined: &["370322102299"], ..VILLAGE };
        Self::start(&[COUNTY, TOWN, village], StoreOptions::default()).await
    }

    /// The node of 高青县.
    pub async fn county() -> Self {
        Self::start(&[COUNTY], StoreOptions::default()).await
    }

    /// Starts the node of the last place; the others are above it.
    async fn start(places: &[Place], options: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = places.last().unwrap();
        let (authority, chain, key) = chain(places);
        let certificate = authority.get(&Serial::of(chain.last().unwrap())).unwrap().clone();
        let identity = StoreIdentity {
            root: authority.root(),
            own: Some(certificate.serial()),
            chain: chain.clone(),
        };
        let projector = Arc::new(GovernanceProjector);
        let store = Store::open(directory.path(), projector, identity, options).unwrap();
        // What is given to new machines names the root.
        let root = format!("{}\n", authority.root());
        std::fs::write(directory.path().join("federation.root"), root).unwrap();
        let operators = Operators::new(directory.path());
        let issuer = Issuer { certificate: &certificate, key: &key };
        let operator = first_operator(&operators, &issuer, place.operator, &store);
        let author = Author { serial: certificate.serial(), key, session: 2 };
        import_divisions(&store, places);
        let status = watch::Sender::new(status(place, places.iter().rev().nth(1)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ms);
        let clock: Arc<dyn Fn() -> i64 + Send + Sync> =
            Arc::new(move || now_ms() + ahead.load(Ordering::Relaxed));
        let administration = Administration {
            store: store.clone(),
            identity: Arc::new(Identity {
                certificate: certificate.clone(),
                chain: chain.clone(),
                key: author.key.clone(),
                next_key: None,
                software: String::new(),
                successions: Vec::new(),
            }),
            operators: operators.clone(),
            data_dir: directory.path().to_owned(),
            now_ms: Arc::clone(&clock),
            clock: cunlian_host::clock::Clock::open(directory.path()),
            restart: cunlian_host::restart::Restart::default(),
        };
        let web = WebState::new(WebConfig {
            store: store.clone(),
            node: Author { session: 3, ..author.clone() },
            status: status.subscribe(),
            operators,
            administration: administration.clone(),
            metrics: Metrics::new(directory.path()),
            now_ms: clock,
            public_url: url.clone(),
            proxies: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            style_page: true,
        });
        tokio::spawn(serve(listener, web));
        Self {
            url,
            store,
            status,
            operator,
            author,
            administration,
            ahead_ms,
            _directory: directory,
        }
    }

    /// Puts in a small generated library and tickets in every state, and the story, as far as the
    /// node may write it.
    pub fn fill(&self, records: usize, tickets: usize) {
        let generator = Generator::new(7);
        let village = AddressCode::parse(STORY_VILLAGE).unwrap();
        let now = now_ms();
        self.write(generator.directory(village), now);
        let authority = self.store.authority();
        let may =
            |write: &Write| authority.may(&self.author.serial, Rights::WRITE, &write.home).is_ok();
        for mut group in generator.records(village, records) {
            group.retain(&may);
            self.write(group, now - 86_400_000);
        }
        let mut cases = generator.tickets(village, tickets, now);
        cases.extend(generator.story(now));
        for case in cases {
            for scene in case.scenes {
                let author = match scene.role {
                    Role::Secretary if self.is_village() => &self.operator,
                    Role::Village | Role::Dispatcher | Role::Secretary | Role::County => {
                        &self.author
                    }
                };
                if may(&scene.write) {
                    self.store.write(author, vec![scene.write], scene.at_ms).unwrap();
                }
            }
        }
    }

    fn is_village(&self) -> bool {
        self.status.borrow().tier == Tier::Village
    }

    /// Writes as the node.
    pub fn write(&self, writes: Vec<Write>, at_ms: i64) {
        self.store.write(&self.author, writes, at_ms).unwrap();
    }
}

/// The person who works at the place, known to the store, with the key open.
fn first_operator(
    operators: &Operators,
    issuer: &Issuer<'_>,
    (name, display_name, role): (&str, &str, &str),
    store: &Store,
) -> Author {
    let new = NewOperator {
        name,
        display_name,
        role,
        narrowing: None,
        password: PASSWORD,
        must_change: false,
    };
    let operator = operators.create(issuer, new, now_ms(), &mut rand::rng()).unwrap();
    assert!(store.add_certificates(&[operator]).unwrap().is_empty());
    operators.unlock(name, PASSWORD, 1).unwrap().author
}

/// Certificates from the root key down to the last place, and the key of the last.
fn chain(places: &[Place]) -> (Authority, Vec<Vec<u8>>, SigningKey) {
    let root = SigningKey::from_bytes(&[1; 32]);
    let mut authority = Authority::new(public_key(&root));
    let (mut chain, mut issuer, mut issuer_key) = (Vec::new(), None, root);
    for (seed, place) in (2..).zip(places) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let codes = std::iter::once(&place.code).chain(place.joined);
        let regions = codes.map(|code| AddressCode::parse(code).unwrap());
        let body = CertificateBody {
            subject: public_key(&key),
            name: place.name.to_owned(),
            kind: AuthorKind::Node,
            tier: place.tier,
            grants: regions.flat_map(|region| preset::grants(place.tier, region)).collect(),
            issued_at_ms: 0,
            not_after_ms: i64::MAX - i64::from(seed),
            issuer,
        };
        let bytes = Certificate::issue(&body, &issuer_key);
        issuer = Some(authority.insert(&bytes).unwrap());
        issuer_key = key;
        chain.push(bytes);
    }
    (authority, chain, issuer_key)
}

fn status(place: &Place, parent: Option<&Place>) -> NodeStatus {
    let parent = parent.map(|parent| PeerStatus {
        name: parent.name.to_owned(),
        tier: Some(parent.tier),
        region: AddressCode::parse(parent.code).ok(),
        serial: None,
        clock_ahead_ms: None,
        role: PeerRole::Parent,
        state: LinkState::Down,
        activity: None,
        as_of_ms: None,
        last_success_ms: Some(now_ms() - 3 * 3_600_000),
        next_attempt_ms: None,
        pending_changes: 12,
        pending_bytes: 5_400,
        pending_since_ms: None,
        expected_changes: 0,
        expected_bytes: 0,
        expected_since_ms: None,
        rate: None,
        remaining_s: None,
        disputed: 0,
        postponed: None,
        photos: LinkPhotos::default(),
        error: Some("timed out".to_owned()),
        version: None,
        skew: None,
        software: None,
        traffic: None,
    });
    NodeStatus {
        name: place.name.to_owned(),
        tier: place.tier,
        region: AddressCode::parse(place.code).unwrap(),
        version: "0.1.0".to_owned(),
        started_at_ms: now_ms(),
        as_of_ms: now_ms(),
        health: Health::Ok,
        clock: Clock::Unknown,
        suspended: None,
        peers: parent.into_iter().collect(),
        cut_links: Vec::new(),
        documents: 0,
        beyond_bounds: 0,
        changes: 0,
        waiting: 0,
        photos: Photos::default(),
        ledger: Ledger::default(),
    }
}

/// What the county has published, as it came down.
fn import_divisions(store: &Store, places: &[Place]) {
    let (_, chain, key) = chain(&places[..1]);
    let author = Author { serial: Serial::of(&chain[0]), key, session: 9 };
    let reader = Reader::everything();
    let acting = Acting { store, author: &author, reader: &reader, source: "list", now_ms: 1_000 };
    assert_eq!(import(&acting, DIVISIONS.as_bytes(), |_| ()).unwrap().inserted, 7);
}
