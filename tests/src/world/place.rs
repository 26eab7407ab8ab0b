//! A node with its store and nothing else, and bundles between such in memory.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::bundle::{
    ExportError, Exported, ImportError, Imported, Output, Owner, Plan, export, import,
};
use cunlian_crdt::document::Write;
use cunlian_crdt::projector::Projector;
use cunlian_crdt::store::{Store, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use tempfile::TempDir;

use super::{home, one_of_each, other_village};
use crate::member::Member;

/// When bundles are made, milliseconds since 1970.
pub const NOW_MS: i64 = 1_790_000_000_000;
/// A day, milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// A node with its store.
pub struct Place {
    /// Who it is.
    pub member: Member,
    /// What it holds.
    pub store: Store,
    dir: TempDir,
}

/// Town and two villages, who know each other's certificates.
pub struct Places {
    /// The county, without a store.
    pub county: Member,
    /// The town.
    pub town: Place,
    /// Its village.
    pub village: Place,
    /// The other one.
    pub neighbour: Place,
}

impl Places {
    /// Stores that are empty.
    pub fn open() -> Self {
        let [county, town, village] = one_of_each();
        let neighbour = other_village(&town);
        let places = Self {
            county,
            village: Place::open(&village),
            neighbour: Place::open(&neighbour),
            town: Place::open(&town),
        };
        places.town.knows(&village);
        places.town.knows(&neighbour);
        places
    }
}

impl Place {
    /// With a new store in a directory of its own.
    pub fn open(member: &Member) -> Self {
        Self::open_with(member, Arc::new(GovernanceProjector), StoreOptions::default())
    }

    /// The same with other tables, or in another way.
    pub fn open_with(
        member: &Member,
        projector: Arc<dyn Projector>,
        options: StoreOptions,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = super::open_with(dir.path(), member, projector, options);
        Self { store, member: member.clone(), dir }
    }

    /// The directory of its store.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Learns the certificates of another node.
    pub fn knows(&self, other: &Member) {
        super::learn(&self.store, &other.identity.chain);
    }

    /// Writes one document for each number.
    pub fn write(
        &self,
        category: Category,
        address: &str,
        documents: Range<u32>,
        text: &str,
    ) -> Vec<ChangeId> {
        let writes = documents.map(|number| put(home(category, address, number), text));
        self.save(writes.collect())
    }

    /// Writes as the node itself.
    pub fn save(&self, writes: Vec<Write>) -> Vec<ChangeId> {
        self.store.write(&self.member.author(1), writes, NOW_MS).unwrap()
    }

    /// Exports in parts.
    pub fn export(&self, plan: &Plan) -> Result<(Exported, Vec<Vec<u8>>), ExportError> {
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
    pub fn bundle_for(&self, other: &Place) -> Vec<u8> {
        let (_, parts) = self.export(&plan_for(other)).unwrap();
        assert_eq!(parts.len(), 1);
        parts.into_iter().next().unwrap()
    }

    /// A bundle of one part for nobody, which is not sealed.
    pub fn open_bundle(&self) -> Vec<u8> {
        let (_, parts) = self.export(&plan()).unwrap();
        assert_eq!(parts.len(), 1);
        parts.into_iter().next().unwrap()
    }

    /// Takes a part in.
    pub fn import(&self, bytes: &[u8]) -> Result<Imported, ImportError> {
        self.import_at(bytes, NOW_MS)
    }

    /// The same at another time.
    pub fn import_at(&self, bytes: &[u8], now_ms: i64) -> Result<Imported, ImportError> {
        let owner = Owner { identity: &self.member.identity, now_ms };
        import(&self.store, owner, bytes, &mut |_, _| {})
    }

    /// How many changes it holds.
    pub fn changes(&self) -> u64 {
        self.store.counts().unwrap().total.changes
    }

    /// Whether it holds a document.
    pub fn has(&self, home: &Home) -> bool {
        self.store.view(home).unwrap().is_some()
    }

    /// Fails when the store is not as it should be.
    pub fn assert_sound(&self) {
        super::assert_sound(&self.store);
    }
}

/// A bundle of all there is in one part, for nobody.
pub fn plan() -> Plan {
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

/// The same for another node.
pub fn plan_for(other: &Place) -> Plan {
    Plan { recipient: Some(other.member.identity.certificate.clone()), ..plan() }
}

/// A write of one field.
pub fn put(home: Home, text: &str) -> Write {
    super::put(home, "note", text)
}

/// Text that does not compress, so that few changes fill a part.
pub fn noise(seed: u64, bytes: usize) -> String {
    let mut reader = blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof();
    let mut noise = vec![0; bytes / 2];
    reader.fill(&mut noise);
    cunlian_host::keystore::hex(&noise)
}
