//! A county, a town and two villages with real stores, and bundles between them in memory.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::bundle::{
    ExportError, Exported, ImportError, Imported, Output, Owner, Plan, export, import,
};
use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId};
use cunlian_tests::member::Member;
use tempfile::TempDir;

pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const TOWN: &str = "370322102";
pub(crate) const VILLAGE: &str = "370322102310";
pub(crate) const NEIGHBOUR: &str = "370322102311";

/// A node with its store.
pub(crate) struct Place {
    pub(crate) member: Member,
    pub(crate) store: Store,
    _dir: TempDir,
}

/// Town and two villages, who know each other's certificates.
pub(crate) struct World {
    pub(crate) county: Member,
    pub(crate) town: Place,
    pub(crate) village: Place,
    pub(crate) neighbour: Place,
}

impl World {
    pub(crate) fn new() -> Self {
        let county = Member::county(2);
        let town = county.certify(3, Tier::Town, TOWN, "高城镇");
        let village = town.certify(4, Tier::Village, VILLAGE, "苑兴村");
        let neighbour = town.certify(5, Tier::Village, NEIGHBOUR, "邻村");
        let world = Self {
            county,
            village: Place::open(&village),
            neighbour: Place::open(&neighbour),
            town: Place::open(&town),
        };
        world.town.knows(&village);
        world.town.knows(&neighbour);
        world
    }
}

pub(crate) fn open(dir: &Path, member: &Member) -> Store {
    let projector = Arc::new(GovernanceProjector);
    Store::open(dir, projector, member.store_identity(), StoreOptions::default()).unwrap()
}

impl Place {
    pub(crate) fn open(member: &Member) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { store: open(dir.path(), member), member: member.clone(), _dir: dir }
    }

    pub(crate) fn knows(&self, other: &Member) {
        let refused = self.store.add_certificates(&other.identity.chain).unwrap();
        assert_eq!(refused, Vec::<String>::new());
    }

    /// Writes one document for each number.
    pub(crate) fn write(
        &self,
        category: Category,
        address: &str,
        documents: std::ops::Range<u16>,
        text: &str,
    ) -> Vec<ChangeId> {
        let writes = documents.map(|number| put(home(category, address, number), text));
        self.store.write(&self.member.author(1), writes.collect(), NOW_MS).unwrap()
    }

    pub(crate) fn export(&self, plan: &Plan) -> Result<(Exported, Vec<Vec<u8>>), ExportError> {
        let mut parts = Vec::new();
        let mut output = |output: Output<'_>| {
            match output {
                Output::Part(number) => {
                    assert_eq!(number as usize, parts.len() + 1);
                    parts.push(Vec::new());
                }
                Output::Bytes(bytes) => parts.last_mut().unwrap().extend_from_slice(bytes),
            }
            Ok(())
        };
        let identity = &self.member.identity;
        let exported = export(&self.store, identity, plan, &mut output, &mut |_, _| {})?;
        Ok((exported, parts))
    }

    /// A bundle of one part for another node.
    pub(crate) fn bundle_for(&self, other: &Place) -> Vec<u8> {
        let (_, parts) = self.export(&plan_for(other)).unwrap();
        assert_eq!(parts.len(), 1);
        parts.into_iter().next().unwrap()
    }

    /// A bundle of one part for nobody, which is not sealed.
    pub(crate) fn open_bundle(&self) -> Vec<u8> {
        let (_, parts) = self.export(&plan()).unwrap();
        assert_eq!(parts.len(), 1);
        parts.into_iter().next().unwrap()
    }

    pub(crate) fn import(&self, bytes: &[u8]) -> Result<Imported, ImportError> {
        self.import_at(bytes, NOW_MS)
    }

    pub(crate) fn import_at(&self, bytes: &[u8], now_ms: i64) -> Result<Imported, ImportError> {
        let owner = Owner { identity: &self.member.identity, now_ms };
        import(&self.store, owner, bytes, &mut |_, _| {})
    }

    pub(crate) fn changes(&self) -> u64 {
        self.store.counts().unwrap().total.changes
    }

    pub(crate) fn has(&self, home: &Home) -> bool {
        self.store.view(home).unwrap().is_some()
    }

    pub(crate) fn assert_sound(&self) {
        let report = self.store.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

pub(crate) fn plan() -> Plan {
    Plan {
        bundle: [7; 16],
        recipient: None,
        ephemeral: [9; 32],
        regions: Vec::new(),
        since_ms: None,
        part_bytes: None,
        now_ms: NOW_MS,
    }
}

pub(crate) fn plan_for(other: &Place) -> Plan {
    Plan { recipient: Some(other.member.identity.certificate.clone()), ..plan() }
}

pub(crate) fn home(category: Category, address: &str, document: u16) -> Home {
    let mut id = [0; DocumentId::LENGTH];
    id[..2].copy_from_slice(&document.to_be_bytes());
    let address = AddressCode::parse(address).unwrap();
    Home { category, address, document: DocumentId(id) }
}

pub(crate) fn put(home: Home, text: &str) -> Write {
    let edits = vec![Edit::Put { field: "note".to_owned(), text: text.to_owned() }];
    Write { home, edits, source: "terminal".to_owned(), task: String::new() }
}

/// Text that does not compress, so that few changes fill a part.
pub(crate) fn noise(seed: u64, bytes: usize) -> String {
    let mut reader = blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof();
    let mut noise = vec![0; bytes / 2];
    reader.fill(&mut noise);
    cunlian_host::keystore::hex(&noise)
}
