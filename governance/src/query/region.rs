//! Figures by region: how much there is, where, and how fresh it is. Records that have moved away
//! are not counted where they were. What may be told of numbers of records stands beside them, made of
//! the same cells everywhere ([`super::disclosure`]); pages show nothing else.

use std::collections::BTreeMap;

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use rusqlite::{Connection, Row, named_params};

use super::disclosure::CellSum;
use super::{address, count, range};
use crate::access::reader::Reader;
use crate::divisions;

/// How many records of one class there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCount {
    /// Number of the class.
    pub class: u8,
    /// Records: base documents.
    pub records: u64,
    /// What may be told of these.
    pub told: CellSum,
    /// Documents: base documents and parts.
    pub documents: u64,
    /// Latest change, milliseconds since 1970-01-01 UTC.
    pub updated_ms: i64,
}

/// The library of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionCount {
    /// The region.
    pub address: AddressCode,
    /// Classes that have documents there, by number.
    pub classes: Vec<ClassCount>,
}

impl RegionCount {
    /// Records of all classes.
    pub fn records(&self) -> u64 {
        self.classes.iter().map(|class| class.records).sum()
    }

    /// What may be told of these.
    pub fn told(&self) -> CellSum {
        self.classes.iter().map(|class| class.told).sum()
    }

    /// Documents of all classes.
    pub fn documents(&self) -> u64 {
        self.classes.iter().map(|class| class.documents).sum()
    }

    /// Latest change; `None` without documents.
    pub fn updated_ms(&self) -> Option<i64> {
        self.classes.iter().map(|class| class.updated_ms).max()
    }
}

/// A village of which something is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VillageStatus {
    /// The village.
    pub address: AddressCode,
    /// Base documents of the library.
    pub records: u64,
    /// What may be told of these.
    pub told: CellSum,
    /// Tickets.
    pub tickets: u64,
    /// Latest change of either, milliseconds since 1970-01-01 UTC, by its author's clock.
    pub updated_ms: i64,
}

/// The library at and below `region`, by class, as far as `reader` may read it.
pub fn counts_by_class(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
) -> rusqlite::Result<Vec<ClassCount>> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT class, sum(part = 0), count(*), max(updated_ms) FROM record
         WHERE address >= :from AND address < :to AND moved_to = '' AND {}
         GROUP BY class, substr(address, 1, :village) ORDER BY class",
        readable.sql()
    ))?;
    let village = digits(Level::Village);
    let named = readable.with(named_params! {":from": from, ":to": to, ":village": village});
    let cells = statement.query_map(&*named, |row| cell(row, 0))?;
    let mut classes = Vec::new();
    for cell in cells {
        add_cell(&mut classes, cell?);
    }
    Ok(classes)
}

/// A cell of a class and a village, or an exact address above, from this column on.
fn cell(row: &Row<'_>, first: usize) -> rusqlite::Result<ClassCount> {
    let records = count(row, first + 1)?;
    Ok(ClassCount {
        class: row.get(first)?,
        records,
        told: CellSum::cell(records),
        documents: count(row, first + 2)?,
        updated_ms: row.get(first + 3)?,
    })
}

/// Counts a cell with those of its class, which come one after the other.
fn add_cell(classes: &mut Vec<ClassCount>, cell: ClassCount) {
    match classes.last_mut().filter(|class| class.class == cell.class) {
        Some(class) => {
            class.records += cell.records;
            class.told += cell.told;
            class.documents += cell.documents;
            class.updated_ms = class.updated_ms.max(cell.updated_ms);
        }
        None => classes.push(cell),
    }
}

/// The library below `region`, by regions of `level` such as towns of a county, ordered by
/// address, as far as `reader` may read it. Regions without documents are not in the list.
pub fn counts_by_child(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    level: Level,
) -> rusqlite::Result<Vec<RegionCount>> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT substr(address, 1, :digits) AS child, class, sum(part = 0), count(*),
                max(updated_ms)
         FROM record
         WHERE address >= :from AND address < :to AND length(address) >= :digits
             AND moved_to = '' AND {}
         GROUP BY child, class, substr(address, 1, :village) ORDER BY child, class",
        readable.sql()
    ))?;
    let (digits, village) = (digits(level), digits(Level::Village));
    let named = readable.with(named_params! {
        ":from": from, ":to": to, ":digits": digits, ":village": village,
    });
    let cells = statement.query_map(&*named, |row| Ok((address(row, 0)?, cell(row, 1)?)))?;
    let mut regions: BTreeMap<AddressCode, Vec<ClassCount>> = BTreeMap::new();
    for cell in cells {
        let (address, cell) = cell?;
        add_cell(regions.entry(address).or_default(), cell);
    }
    let region = |(address, classes)| RegionCount { address, classes };
    Ok(regions.into_iter().map(region).collect())
}

/// The villages at and below `region` of which something is here, ordered by address: the k of
/// "k of n villages in", n being what the register of divisions lists. What is at the old code of
/// a village that was joined to another counts for the other. That a village is in is told to all
/// who work here; its records are counted as far as `reader` may read them.
pub fn villages(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
) -> rusqlite::Result<Vec<VillageStatus>> {
    let (from, to) = range(region);
    let readable = reader.condition_of_all();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT substr(address, 1, :digits) AS village, sum(part = 0 AND moved_to = '' AND {}),
                0, max(updated_ms)
         FROM record
         WHERE address >= :from AND address < :to AND length(address) >= :digits
         GROUP BY village, class
         UNION ALL
         SELECT substr(address, 1, :digits), 0, count(*), max(updated_ms)
         FROM ticket
         WHERE category = :category AND address >= :from AND address < :to
             AND length(address) >= :digits AND erased IS NULL
         GROUP BY 1",
        readable.sql()
    ))?;
    let digits = digits(Level::Village);
    let named = readable.with(named_params! {
        ":category": Category::TICKET.0, ":from": from, ":to": to, ":digits": digits,
    });
    let rows = statement.query_map(&*named, |row| {
        let records = count(row, 1)?;
        Ok(VillageStatus {
            address: address(row, 0)?,
            records,
            told: CellSum::cell(records),
            tickets: count(row, 2)?,
            updated_ms: row.get(3)?,
        })
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(with_successors(connection, region, rows))
}

/// Each village once, with those that were joined to another one of `region` counted as part of it.
fn with_successors(
    connection: &Connection,
    region: AddressCode,
    rows: Vec<VillageStatus>,
) -> Vec<VillageStatus> {
    let mut villages: BTreeMap<AddressCode, VillageStatus> = BTreeMap::new();
    for row in rows {
        let today = divisions::successor(connection, &row.address);
        let address = today.filter(|today| region.contains(today)).unwrap_or(row.address);
        let village = villages.entry(address).or_insert(VillageStatus {
            address,
            records: 0,
            told: CellSum::default(),
            tickets: 0,
            updated_ms: row.updated_ms,
        });
        village.records += row.records;
        village.told += row.told;
        village.tickets += row.tickets;
        village.updated_ms = village.updated_ms.max(row.updated_ms);
    }
    villages.into_values().collect()
}

fn digits(level: Level) -> u32 {
    u32::try_from(level.digits()).expect("a code has at most 26 digits")
}
