//! `bench history`: what years of use make of a document and of a store.
//!
//! Every change is kept, for its signature is what a document is believed by. A node reads all
//! changes of a document when one more comes, so a document costs more the longer its history is.
//! The bench makes documents as old as asked, at the rates below, and measures at the end of each
//! year what one more change costs where it is saved and where it arrives.
//!
//! | document | changes a year | what they are |
//! |---|---|---|
//! | `record` | 3 | fields of a resident, corrected or asked for again |
//! | `directory` | 4 | who to call |
//! | `catalogue` | 24 | fields of a class, by the county |
//! | `ticket` | 60 | steps of one that never ends; most end after 12 in all |
//! | `journal` | 420 | revocations that a node notes: every seventh of 2,800 grid workers goes each year |
//! | `hot` | 1,825 | five changes every day of one field; no document of the domain is like this |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::Store;
use cunlian_governance::generator::Generator;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::open_store;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::session::Identity;
use cunlian_protocol::sync::{Carried, Fate, StoreReply, StoreRequest};
use serde::Serialize;

use super::federation::Federation;
use super::library::correction;
use super::machine::{Machine, own_peak_rss_mib};
use super::rate::rate;
use super::sample::spread;
use crate::failure::Failure;

/// Changes by one login, from which the next one takes over.
const BY_ONE_LOGIN: usize = 12;
/// Single changes of which the middle one counts.
const SAMPLES: usize = 9;
/// Changes that a record has after a year, beside the one that made it.
const RECORD_EDITS: usize = 3;
const YEAR_MS: i64 = 365 * 86_400_000;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// How old.
    pub years: usize,
    /// Records of the store whose size is measured.
    pub records: usize,
    /// Everything generated follows from it.
    pub seed: u64,
    /// Empty directory for the stores; a temporary one when absent.
    pub dir: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// How old documents and store are.
    pub years: u64,
    /// Each kind of document, at the end of each year.
    pub documents: Vec<Document>,
    /// A store in which every record was edited each year.
    pub store: Size,
    /// Largest document that is taken in.
    pub limit_bytes: u64,
    /// Most memory of both nodes together.
    pub rss_mib: f64,
}

/// One kind of document.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// Its name.
    pub kind: &'static str,
    /// Changes a year.
    pub changes_per_year: u64,
    /// Year after year; it ends early when the document is full.
    pub ages: Vec<Age>,
    /// Years until it is as large as a document may be.
    pub years_until_full: f64,
}

/// A document of some age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Age {
    /// Years.
    pub years: u64,
    /// Changes.
    pub changes: u64,
    /// Their bytes, signatures included.
    pub bytes: u64,
    /// Saving one more where it is written, durable.
    pub save_ms: f64,
    /// Taking one more in from a peer, durable.
    pub ingest_ms: f64,
    /// Reading it.
    pub view_ms: f64,
}

/// How large a store has become.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// Documents.
    pub records: u64,
    /// Changes.
    pub changes: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// For each record.
    pub bytes_per_record: f64,
    /// For each change.
    pub bytes_per_change: f64,
    /// The same records without any edit.
    pub new_bytes_per_record: f64,
}

/// A kind of document as it is made.
struct Kind {
    name: &'static str,
    changes_per_year: usize,
    category: Category,
    edit: fn(usize) -> Edit,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "record",
        changes_per_year: 3,
        category: Category::library(0, 0),
        edit: |number| put(&format!("field{}", number % 8), format!("第{number}次核实的内容")),
    },
    Kind {
        name: "directory",
        changes_per_year: 4,
        category: Category::DIRECTORY,
        edit: |number| put("phone", format!("0533697{:04}", number % 10_000)),
    },
    Kind {
        name: "catalogue",
        changes_per_year: 24,
        category: Category::CATALOGUE,
        edit: |number| put(&format!("field.{}", number % 40), "x".repeat(300)),
    },
    Kind {
        name: "ticket",
        changes_per_year: 60,
        category: Category::TICKET,
        edit: |number| append(format!(r#"{{"note":{{"text":"第{number}次催办，请尽快处理"}}}}"#)),
    },
    Kind {
        name: "journal",
        changes_per_year: 420,
        category: Category::JOURNAL,
        edit: |number| {
            append(format!(r#"{{"journal":{{"kind":"revocation","id":"{number:064x}"}}}}"#))
        },
    },
    Kind {
        name: "hot",
        changes_per_year: 1_825,
        category: Category::library(1, 0),
        edit: |number| put("on_duty", format!("值班员{}", number % 12)),
    },
];

fn put(field: &str, text: String) -> Edit {
    Edit::Put { field: field.to_owned(), text }
}

fn append(body: String) -> Edit {
    Edit::Append { body }
}

/// Runs all of it; `progress` gets the steps done and all of them.
pub fn run(options: &Options, mut progress: impl FnMut(u64, u64)) -> Result<Report, Failure> {
    let nodes = Federation::without_county(options.dir.as_deref())?;
    let (town, village) = (&nodes.town, &nodes.village);
    let steps = (KINDS.len() * options.years + 1) as u64;
    let mut step = 0;
    let mut documents = Vec::with_capacity(KINDS.len());
    {
        let (there, _) = open_store(&town.dir)?;
        let (here, identity) = open_store(&village.dir)?;
        there.add_certificates(&identity.chain)?;
        let meeting = Meeting { here: &here, there: &there, identity: &identity };
        for (number, kind) in (0..).zip(&KINDS) {
            let document = DocumentId([number; DocumentId::LENGTH]);
            let home = Home { category: kind.category, address: village.region, document };
            documents.push(meeting.grow(kind, home, options.years, || {
                step += 1;
                progress(step, steps);
            })?);
        }
    }
    let store = size(&town.dir, village.region, options)?;
    progress(steps, steps);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        years: options.years as u64,
        documents,
        store,
        limit_bytes: limits::DOCUMENT_BYTES as u64,
        rss_mib: own_peak_rss_mib()?,
    })
}

/// A village that writes and the town above it.
struct Meeting<'a> {
    here: &'a Store,
    there: &'a Store,
    identity: &'a Identity,
}

impl Meeting<'_> {
    /// Lets a document become older at both.
    fn grow(
        &self,
        kind: &Kind,
        home: Home,
        years: usize,
        mut progress: impl FnMut(),
    ) -> Result<Document, Failure> {
        let mut ages: Vec<Age> = Vec::with_capacity(years);
        let (each_year, mut made) = (kind.changes_per_year, 0);
        // The last changes of a year are those that are timed.
        let samples = SAMPLES.min(each_year);
        for year in 1..=years {
            let until = each_year * year;
            let room = ages.last().is_none_or(|age| {
                let of_each = age.bytes / age.changes.max(1) + 1;
                age.bytes + of_each * (each_year as u64) < limits::DOCUMENT_BYTES as u64
            });
            if room {
                let at_ms = now_ms() - YEAR_MS * i64::try_from(years - year)?;
                while made + samples < until {
                    let next = (made + BY_ONE_LOGIN).min(until - samples);
                    self.write(kind, home, made..next, at_ms)?;
                    made = next;
                }
                self.bring(&home)?;
                ages.push(self.measure(kind, home, year, made..until)?);
                made = until;
            }
            progress();
        }
        let last = ages.last().copied().ok_or_else(|| Failure::new("no year was measured"))?;
        let years_until_full = rate(limits::DOCUMENT_BYTES as u64, rate(last.bytes, 1.0))
            * rate(last.changes, rate(kind.changes_per_year as u64, 1.0));
        let changes_per_year = kind.changes_per_year as u64;
        Ok(Document { kind: kind.name, changes_per_year, ages, years_until_full })
    }

    /// Changes with these numbers, by a login of their own.
    fn write(
        &self,
        kind: &Kind,
        home: Home,
        numbers: std::ops::Range<usize>,
        at_ms: i64,
    ) -> Result<(), Failure> {
        let author = Author {
            serial: self.identity.certificate.serial(),
            key: self.identity.key.clone(),
            session: numbers.start as u64,
        };
        let writes = numbers.map(|number| Write {
            home,
            edits: vec![(kind.edit)(number)],
            source: "form".to_owned(),
            task: String::new(),
        });
        self.here.write(&author, writes.collect(), at_ms)?;
        Ok(())
    }

    /// What only the village has.
    fn new_at_village(&self, home: &Home) -> Result<Vec<Carried>, Failure> {
        let known = self.there.changes_of(home)?;
        let known: BTreeSet<ChangeId> = known.iter().map(VerifiedChange::id).collect();
        let mut all = self.here.changes_of(home)?;
        all.retain(|change| !known.contains(&change.id()));
        let carried =
            |change: &VerifiedChange| Carried { bytes: change.bytes().to_vec(), reached: 0 };
        Ok(all.iter().map(carried).collect())
    }

    /// Brings it to the town.
    fn bring(&self, home: &Home) -> Result<(), Failure> {
        for batch in self.new_at_village(home)?.chunks(limits::BATCH_CHANGES) {
            ingest(self.there, self.identity.certificate.serial(), batch.to_vec())?;
        }
        Ok(())
    }

    /// Changes with these numbers, one after the other, at both.
    fn measure(
        &self,
        kind: &Kind,
        home: Home,
        year: usize,
        numbers: std::ops::Range<usize>,
    ) -> Result<Age, Failure> {
        let (mut save, mut take, mut view) = (Vec::new(), Vec::new(), Vec::new());
        for number in numbers {
            let begun = Instant::now();
            self.write(kind, home, number..number + 1, now_ms())?;
            save.push(milliseconds(begun));
            take.push(self.bring_last(&home)?);
            let begun = Instant::now();
            self.here.view(&home)?;
            view.push(milliseconds(begun));
        }
        let all = self.here.changes_of(&home)?;
        let bytes = all.iter().map(|change| change.bytes().len() as u64).sum();
        let middle = |milliseconds| spread(milliseconds).p50_ms;
        let (save_ms, ingest_ms, view_ms) = (middle(save), middle(take), middle(view));
        let changes = all.len() as u64;
        Ok(Age { years: year as u64, changes, bytes, save_ms, ingest_ms, view_ms })
    }

    /// Brings the change made last to the town; gives the milliseconds of the taking in alone.
    fn bring_last(&self, home: &Home) -> Result<f64, Failure> {
        let new = self.new_at_village(home)?;
        let serial = self.identity.certificate.serial();
        let begun = Instant::now();
        ingest(self.there, serial, new)?;
        Ok(milliseconds(begun))
    }
}

fn ingest(store: &Store, from: Serial, changes: Vec<Carried>) -> Result<(), Failure> {
    let scope = Scope::everything();
    let request = StoreRequest::Ingest { from, scope, changes, sender_tiers: 0, at_ms: now_ms() };
    let StoreReply::Ingested { fates, .. } = store.serve(request)? else {
        return Err(Failure::new("the store answered a batch with something else"));
    };
    let lost = fates.into_iter().find_map(|(_, fate)| match fate {
        Fate::Refused { reason } | Fate::Postponed { reason } => Some(reason),
        Fate::Accepted | Fate::Known => None,
    });
    lost.map_or(Ok(()), |reason| Err(Failure::new(format!("a change was refused: {reason}"))))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Fills the store of `dir` with records and edits all of them, year after year.
fn size(dir: &Path, village: AddressCode, options: &Options) -> Result<Size, Failure> {
    let old = bytes_of(dir)?;
    let (store, identity) = open_store(dir)?;
    let before = store.counts()?.total;
    let author = |session| Author {
        serial: identity.certificate.serial(),
        key: identity.key.clone(),
        session,
    };
    let library = || Generator::new(options.seed).records(village, options.records).flatten();
    store.write(&author(0), library().collect(), now_ms())?;
    drop(store);
    let new = bytes_of(dir)?;
    let (store, _) = open_store(dir)?;
    for edit in 0..options.years * RECORD_EDITS {
        let text = format!("第{edit}次核实");
        let writes = library().filter_map(|write| correction(write, &text)).collect();
        store.write(&author(edit as u64 + 1), writes, now_ms())?;
    }
    let after = store.counts()?.total;
    drop(store);
    let bytes = bytes_of(dir)? - old;
    let (records, changes) = (after.documents - before.documents, after.changes - before.changes);
    let each = |bytes, count| rate(bytes, rate(count, 1.0));
    Ok(Size {
        records,
        changes,
        bytes,
        bytes_per_record: each(bytes, records),
        bytes_per_change: each(bytes, changes),
        new_bytes_per_record: each(new - old, records),
    })
}

/// Bytes of a closed store, whose log has been folded in.
fn bytes_of(dir: &Path) -> Result<u64, Failure> {
    Ok(std::fs::metadata(dir.join("store.sqlite"))?.len())
}
