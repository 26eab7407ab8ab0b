//! Writing a bundle from a store.
//!
//! Without a time, everything in the scope is read in the order of keys, which is the order of
//! urgency. With one, the rows of the log after that time are read once for each class of
//! urgency; of what is older a bundle for a node above also has what that node is not known to
//! hold, so that nothing is left behind by a clock that was wrong or a bundle that was lost.
//!
//! The store may be written to meanwhile. What comes while a bundle is made may be in it or not.

use std::io;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::{self, Authority};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{Certificate, CertificateBody, Grant};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::rights::Rights;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::session::Identity;
use cunlian_protocol::sync::{Selection, StoreReply, StoreRequest, Stored};
use cunlian_protocol::wire::{self, Bounded};

use super::arrival::row_before;
use super::photos::{self, Chosen};
use super::sealing::Agreement;
use super::writing::{Beginning, Writer};
use super::{Cover, Head, Output, PART_BYTES_MIN, Party, Receiver};
use crate::store::{Fault, Store};

/// First categories of the classes of urgency.
const CLASSES: [u16; 4] = [0, 0x1000, 0x2000, 0x3000];
/// Keys of waiting changes read at a time.
const WAITING_PAGE: usize = 4_000;

/// What to export.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Random number of the bundle.
    pub bundle: [u8; 16],
    /// The node it is for: it gets what both may read, sealed for its key. Without one the bundle
    /// is open to whoever has the file.
    pub recipient: Option<Certificate>,
    /// Random bytes that the sealing begins with, for one bundle only: who knows them can open it.
    pub ephemeral: [u8; 32],
    /// Only what is in these regions; all, when there are none.
    pub regions: Vec<AddressCode>,
    /// Only what came after this, milliseconds since 1970-01-01 UTC.
    pub since_ms: Option<i64>,
    /// Most bytes of a part; one part when absent.
    pub part_bytes: Option<u64>,
    /// Trusted time, milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Parts written.
    pub parts: u32,
    /// Changes in all of them.
    pub changes: u64,
    /// Photos and files in all of them.
    pub blobs: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Why nothing whole was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] Fault),
    /// What was written did not get to where it should.
    #[error("the bundle cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The recipient and this node have nothing in common, or the regions are not in it.
    #[error("there is nothing that this node and the receiver may both read there")]
    NothingInCommon,
    /// Nothing can be sealed for the key in the certificate of the recipient.
    #[error("nothing can be sealed for {name:?}: its certificate names no sound key")]
    UnfitKey {
        /// Name of the recipient.
        name: String,
    },
    /// A part could not hold a batch.
    #[error("a part has at least {PART_BYTES_MIN} bytes")]
    PartTooSmall,
    /// More regions than a head can name.
    #[error("a bundle is cut down to at most {} regions", super::REGIONS)]
    TooManyRegions,
}

/// Writes a bundle of what is in `store`; what is written is given to `output`, and `progress` is
/// told how many changes are written and about how many there will be.
pub fn export(
    store: &Store,
    identity: &Identity,
    plan: &Plan,
    output: &mut dyn FnMut(Output<'_>) -> io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    if plan.part_bytes.is_some_and(|bytes| bytes < PART_BYTES_MIN) {
        return Err(ExportError::PartTooSmall);
    }
    if plan.regions.len() > super::REGIONS {
        return Err(ExportError::TooManyRegions);
    }
    let authority = store.authority();
    let scope = scope(identity, plan);
    if scope.is_empty() {
        return Err(ExportError::NothingInCommon);
    }
    let after = plan.since_ms.map(|since_ms| row_before(store, since_ms)).transpose()?;
    let expected = expected(store, &scope, after.unwrap_or(0))?;
    let beginning = beginning(identity, plan, &authority, expected)?;
    let writer = Writer::new(beginning, &identity.key, &authority, plan.part_bytes, output)?;
    let mut exporter =
        Exporter { store, writer, gathered: Vec::new(), gathered_bytes: 0, expected, progress };
    let tier = tier_above(identity, plan).unwrap_or(0);
    match after {
        None => exporter.everything(&scope)?,
        Some(after) => {
            if tier != 0 {
                exporter.not_known_to_be_held(&scope, after, tier)?;
            }
            exporter.rows_after(&scope, after, identity)?;
        }
    }
    exporter.flush()?;
    let blobs = exporter.blobs(Chosen { scope: &scope, after, tier })?;
    let changes = exporter.writer.count.total;
    let (parts, bytes) = exporter.writer.finish()?;
    Ok(Exported { parts, changes, blobs, bytes })
}

/// What this node may read, cut down to what the recipient may and to the regions.
fn scope(identity: &Identity, plan: &Plan) -> Scope {
    let own = authority::read_scope(&identity.certificate);
    let both = match &plan.recipient {
        Some(recipient) => own.intersection(&authority::read_scope(recipient)),
        None => own,
    };
    if plan.regions.is_empty() {
        return both;
    }
    let grants: Vec<Grant> =
        plan.regions.iter().map(|region| reading(*region, CategorySet::all())).collect();
    both.intersection(&Scope::of_grants(&grants, Rights::READ))
}

fn reading(prefix: AddressCode, categories: CategorySet) -> Grant {
    let region = Region { prefix, depth: Depth::Subtree };
    Grant { region, document: None, categories, rights: Rights::READ, delegable: Rights::NONE }
}

/// The tier bit of the recipient when it stands above this node: then it is known what it lacks.
fn tier_above(identity: &Identity, plan: &Plan) -> Option<u8> {
    let recipient = plan.recipient.as_ref()?.body();
    let (_, above) = identity.chain.split_last()?;
    let mut above = above.iter().filter_map(|bytes| Certificate::peek(bytes).ok());
    above.any(|body| body.subject == recipient.subject).then(|| recipient.tier.bit())
}

/// About how many changes there are.
fn expected(store: &Store, scope: &Scope, after: i64) -> Result<u64, Fault> {
    store.read(|connection| {
        let mut select = connection.prepare("SELECT key FROM change WHERE row > ?1")?;
        let mut rows = select.query([after])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += u64::from(scope.allows(row.get_ref(0)?.as_blob()?));
        }
        Ok(count)
    })
}

/// Cover, head and seal of the first part.
fn beginning(
    identity: &Identity,
    plan: &Plan,
    authority: &Authority,
    changes: u64,
) -> Result<Beginning, ExportError> {
    let agree = |body: &CertificateBody| {
        Agreement::of_exporter(&plan.ephemeral, &body.subject)
            .ok_or_else(|| ExportError::UnfitKey { name: body.name.clone() })
    };
    let recipient = plan.recipient.as_ref().map(Certificate::body);
    let agreement = recipient.map(agree).transpose()?;
    let receiver = recipient.zip(agreement.as_ref()).map(|(body, agreement)| Receiver {
        ephemeral: agreement.ephemeral(),
        node: Party::of(body),
    });
    let successions = authority.successions().iter().map(|s| s.bytes().to_vec());
    let successions = successions.chain(identity.successions.iter().cloned());
    let cover = Cover {
        bundle: plan.bundle,
        part: 1,
        exporter: Party::of(identity.certificate.body()),
        receiver,
        created_at_ms: plan.now_ms,
    };
    let head = Head {
        root: authority.root(),
        successions: Bounded(successions.take(limits::SUCCESSIONS).map(Bounded).collect()),
        chain: Bounded(identity.chain.iter().cloned().map(Bounded).collect()),
        regions: Bounded(plan.regions.clone()),
        since_ms: plan.since_ms,
        changes,
        software: wire::bounded_text(&identity.software),
    };
    Ok(Beginning { cover, head, agreement })
}

struct Exporter<'a> {
    store: &'a Store,
    writer: Writer<'a>,
    /// Read and waiting to share a batch with what comes next.
    gathered: Vec<Stored>,
    gathered_bytes: usize,
    expected: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Exporter<'_> {
    fn everything(&mut self, scope: &Scope) -> Result<(), ExportError> {
        let categories = self.store.read(categories)?;
        for prefix in scope.tops(categories) {
            self.selection(Selection::Prefix { prefix, after: Vec::new() })?;
        }
        Ok(())
    }

    /// Class by class, the most urgent first.
    fn rows_after(
        &mut self,
        scope: &Scope,
        after: i64,
        identity: &Identity,
    ) -> Result<(), ExportError> {
        let ends = CLASSES.iter().skip(1).map(|first| first - 1).chain([u16::MAX]);
        for (first, last) in CLASSES.iter().zip(ends) {
            let categories = CategorySet::range(Category(*first), Category(last));
            let class =
                Scope::of_grants(&[reading(AddressCode::COUNTRY, categories)], Rights::READ);
            let scope = scope.intersection(&class);
            // No change was sent to this node by itself, so nothing is excepted.
            let except = identity.certificate.serial();
            self.selection(Selection::Rows { after, scope, except })?;
        }
        Ok(())
    }

    /// What came before, and the tier above is not known to hold.
    fn not_known_to_be_held(
        &mut self,
        scope: &Scope,
        through: i64,
        tier: u8,
    ) -> Result<(), ExportError> {
        let mut after = 0;
        loop {
            let (keys, last) = self.store.read(|c| waiting(c, after, through, tier))?;
            let mut documents: Vec<(Home, Vec<ChangeId>)> = Vec::new();
            for key in keys.iter().filter(|key| scope.allows(&key.to_bytes())) {
                match documents.last_mut().filter(|(home, _)| *home == key.home) {
                    Some((_, ids)) => ids.push(key.change),
                    None => documents.push((key.home, vec![key.change])),
                }
            }
            for (home, mut ids) in documents {
                ids.sort_unstable();
                self.expected += ids.len() as u64;
                self.selection(Selection::Ids { prefix: KeyPrefix::document(&home), ids })?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// Photos and files, after all changes: a document that names one must be there before it.
    fn blobs(&mut self, chosen: Chosen<'_>) -> Result<u64, ExportError> {
        let (store, writer) = (self.store, &mut self.writer);
        let mut count = 0;
        photos::each_blob(store, chosen, |found| {
            let Some(outline) = photos::outline(store, found)? else { return Ok(()) };
            let owners = photos::owners_body(store, found, chosen.scope)?;
            count += 1;
            let chunk = |place| Ok::<_, ExportError>(photos::chunk(store, found, place)?);
            writer.blob(&owners, &outline, chunk)
        })?;
        Ok(count)
    }

    fn selection(&mut self, selection: Selection) -> Result<(), ExportError> {
        let mut next = Some(selection);
        while let Some(selection) = next {
            let reply =
                self.store.serve(StoreRequest::Read { selection, bytes: limits::BATCH_BYTES })?;
            let StoreReply::Read { changes, rest, .. } = reply else {
                unreachable!("the store answered a read with {reply:?}");
            };
            next = rest;
            self.gather(changes)?;
        }
        Ok(())
    }

    fn gather(&mut self, changes: Vec<Stored>) -> Result<(), ExportError> {
        let bytes = changes.iter().map(|stored| stored.carried.bytes.len()).sum::<usize>();
        if self.gathered_bytes + bytes > limits::BATCH_BYTES
            || self.gathered.len() + changes.len() > limits::BATCH_CHANGES
        {
            self.flush()?;
        }
        self.gathered.extend(changes);
        self.gathered_bytes += bytes;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.gathered_bytes = 0;
        self.writer.batch(std::mem::take(&mut self.gathered))?;
        let done = self.writer.count.total;
        (self.progress)(done, self.expected.max(done));
        Ok(())
    }
}

/// The categories of which there is something, ascending.
fn categories(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<Category>> {
    let mut found = Vec::new();
    let mut from = Vec::new();
    let mut select =
        connection.prepare("SELECT key FROM change WHERE key >= ?1 ORDER BY key LIMIT 1")?;
    loop {
        let mut rows = select.query([&from])?;
        let Some(row) = rows.next()? else { return Ok(found) };
        let Some(first) = row.get_ref(0)?.as_blob()?.first_chunk::<2>() else { return Ok(found) };
        let category = u16::from_be_bytes(*first);
        found.push(Category(category));
        match category.checked_add(1) {
            Some(next) => from = next.to_be_bytes().to_vec(),
            None => return Ok(found),
        }
    }
}

type WaitingPage = (Vec<SetKey>, Option<i64>);

/// A page of keys that wait for a tier, up to a row, and the row to go on after.
fn waiting(
    connection: &rusqlite::Connection,
    after: i64,
    through: i64,
    tier: u8,
) -> rusqlite::Result<WaitingPage> {
    let mut select = connection.prepare_cached(
        "SELECT outbox.row, key FROM outbox CROSS JOIN change USING (row) WHERE outbox.row > ?1 \
         AND outbox.row <= ?2 AND awaited & ?3 <> 0 ORDER BY outbox.row \
         LIMIT ?4",
    )?;
    let mut rows = select.query((after, through, tier, WAITING_PAGE))?;
    let mut keys = Vec::new();
    let mut last = after;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        keys.extend(SetKey::from_bytes(row.get_ref(1)?.as_blob()?).ok());
    }
    Ok((keys, (last > after).then_some(last)))
}
