//! Search in the library, and one record with the parts that are here.
//!
//! What people type is read like this, the first that fits:
//!
//! | text | searched in |
//! |---|---|
//! | nothing | everything in the region, by address |
//! | an address code in the region | everything at and below it, and what was joined to it or it was joined to, by address |
//! | four or more digits, `X` at the end | identity and contact parts that are here, and base texts |
//! | letters | full pinyin and initials, from the beginning |
//! | other | names, from the beginning; names of children in their part |
//!
//! What has moved away is in no list; it is found by name and number, and says where it is now.
//!
//! When names and pinyin have no match from the beginning, any part of any base text is tried.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::id::{DocumentId, Serial};
use rusqlite::{Connection, Row, ToSql, named_params};

use crate::access::reader::{Condition, Reader};
use crate::divisions;
use crate::library::catalogue::{Class, Part};
use crate::library::{Fields, Place};
use crate::query::conflict::{self, Conflict};
use crate::query::{address, document, json, range, serial};

/// Most part rows looked at for one number search.
const NUMBER_MATCHES: u32 = 200;

/// What to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search<'a> {
    /// What the person typed; may be empty.
    pub text: &'a str,
    /// Only this class.
    pub class: Option<u8>,
    /// Only at and below this region.
    pub region: AddressCode,
    /// How many to leave out.
    pub offset: u32,
    /// How many to return.
    pub limit: u32,
}

/// The base document of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Number of its class.
    pub class: u8,
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Texts of the base part.
    pub fields: Fields,
    /// Latest change, milliseconds since 1970-01-01 UTC.
    pub updated_ms: i64,
    /// Who made it.
    pub author: Serial,
    /// Whether a field has concurrent values.
    pub conflicted: bool,
    /// Where it is now; `None` unless it has moved away.
    pub moved_to: Option<Place>,
}

/// A page of hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// At most `limit`.
    pub hits: Vec<Hit>,
    /// Whether there are more after these.
    pub more: bool,
}

/// One part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPart {
    /// Which.
    pub part: Part,
    /// Its own document.
    pub document: DocumentId,
    /// Its texts.
    pub fields: Fields,
    /// Latest change, milliseconds since 1970-01-01 UTC.
    pub updated_ms: i64,
    /// Who made it.
    pub author: Serial,
    /// Its fields with concurrent values.
    pub conflicts: Vec<Conflict>,
}

/// A record with the parts that are here, base first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub place: Place,
    /// The parts.
    pub parts: Vec<RecordPart>,
}

impl Record {
    /// The texts of all parts.
    pub fn fields(&self) -> Fields {
        let all = self.parts.iter().flat_map(|part| &part.fields);
        all.map(|(key, text)| (key.clone(), text.clone())).collect()
    }

    /// The name, from the base part.
    pub fn name(&self) -> &str {
        let base = self.parts.iter().find(|part| part.part == Part::Base);
        base.and_then(|part| part.fields.get("name")).map_or("", String::as_str)
    }
}

/// Searches the base documents that `reader` may read in each of `regions`, which do not overlap,
/// instead of the search's own. Numbers, and names of children, are looked up only in the parts that
/// they may read: who may not read a phone does not find it out by guessing, and searches its mask.
pub fn search_within(
    connection: &Connection,
    reader: &Reader,
    search: &Search<'_>,
    regions: &[AddressCode],
) -> rusqlite::Result<Hits> {
    let text = search.text.trim().to_lowercase();
    let codes = typed_codes(connection, &text, regions);
    let asked = Asked { connection, readable: &reader.condition_of_all() };
    if text.is_empty() || !codes.is_empty() {
        let regions = if text.is_empty() { regions } else { codes.as_slice() };
        return each(search, regions, |search| asked.selected(search, Mode::Listed, ""));
    }
    each(search, regions, |search| asked.in_region(search, &text))
}

/// Searches the base documents that `reader` may read in the region of the search.
pub fn search(
    connection: &Connection,
    reader: &Reader,
    search: &Search<'_>,
) -> rusqlite::Result<Hits> {
    search_within(connection, reader, search, &[search.region])
}

/// The codes to list when `text` is one in `regions`: with those joined to it, or the one it was
/// joined to.
fn typed_codes(connection: &Connection, text: &str, regions: &[AddressCode]) -> Vec<AddressCode> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let code = (digits && text.len() >= 6).then(|| AddressCode::parse(text).ok()).flatten();
    let Some(code) = code else { return Vec::new() };
    let here = |code: &AddressCode| regions.iter().any(|region| region.contains(code));
    let mut codes: Vec<AddressCode> = divisions::family(connection, &code);
    codes.retain(here);
    let all = codes.clone();
    codes.retain(|code| !all.iter().any(|other| other != code && other.contains(code)));
    codes
}

/// The page of hits that one search gives in each of several regions, one after the other.
fn each(
    search: &Search<'_>,
    regions: &[AddressCode],
    mut find: impl FnMut(&Search<'_>) -> rusqlite::Result<Hits>,
) -> rusqlite::Result<Hits> {
    if let [region] = regions {
        return find(&Search { region: *region, ..search.clone() });
    }
    let limit = search.limit.saturating_add(search.offset).saturating_add(1);
    let mut hits = Vec::new();
    for region in regions {
        hits.extend(find(&Search { region: *region, offset: 0, limit, ..search.clone() })?.hits);
    }
    let offset = usize::try_from(search.offset).unwrap_or(usize::MAX);
    Ok(cut(hits.into_iter().skip(offset).collect(), search.limit))
}

/// The record at `place`, with the parts that are here; `None` if there is none of them.
pub fn record(
    connection: &Connection,
    class: &Class,
    place: Place,
) -> rusqlite::Result<Option<Record>> {
    let mut statement = connection.prepare_cached(
        "SELECT fields, updated_ms, author, conflicted FROM record
         WHERE category = :category AND address = :address AND document = :document",
    )?;
    let mut parts = Vec::new();
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        let mut rows = statement.query(named_params! {
            ":category": home.category.0,
            ":address": home.address.as_str(),
            ":document": home.document.0,
        })?;
        let Some(row) = rows.next()? else { continue };
        let conflicts = if row.get(3)? {
            conflict::of_document(connection, home.address, home.document)?
        } else {
            Vec::new()
        };
        parts.push(RecordPart {
            part,
            document: home.document,
            fields: json(row, 0)?,
            updated_ms: row.get(1)?,
            author: serial(row, 2)?,
            conflicts,
        });
    }
    Ok((!parts.is_empty()).then_some(Record { place, parts }))
}

const NEARBY: &str = "+address >= :from AND +address < :to";
const COLUMNS: &str =
    "class, address, document, name, fields, updated_ms, author, conflicted, moved_to";

/// How base rows are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All of the region, by address.
    Listed,
    /// Names that begin with the text.
    Name,
    /// Pinyin or initials that begin with the text.
    Pinyin,
    /// Base texts that contain the text.
    Within,
}

/// The statement for readable base rows in class and region, page by page.
///
/// Where the text selects by an index, the `+` keeps the address from being preferred: in a large
/// region it selects nothing. Two selects, because `OR` would not use both indexes.
fn statement(mode: Mode, readable: &Condition) -> String {
    let select = |condition: &str| {
        format!(
            "SELECT {COLUMNS} FROM record
             WHERE part = 0 AND (:class IS NULL OR class = :class) AND {condition} AND {}",
            readable.sql()
        )
    };
    let (rows, order) = match mode {
        Mode::Listed => (
            select(":text = '' AND moved_to = '' AND address >= :from AND address < :to"),
            "address, class, name, document",
        ),
        Mode::Name => (
            select(&format!("name >= :text AND name < :text || char(0x10ffff) AND {NEARBY}")),
            "name, address, document",
        ),
        Mode::Pinyin => {
            let full = select(&format!("pinyin >= :text AND pinyin < :text || '{{' AND {NEARBY}"));
            let initials =
                select(&format!("initials >= :text AND initials < :text || '{{' AND {NEARBY}"));
            (format!("{full} UNION {initials}"), "name, address, document")
        }
        Mode::Within => (
            select(
                "(instr(search, :text) > 0 OR instr(pinyin, :text) > 0)
                 AND address >= :from AND address < :to",
            ),
            "name, address, document",
        ),
    };
    format!("{rows} ORDER BY {order} LIMIT :limit OFFSET :offset")
}

/// One search of one reader.
struct Asked<'a> {
    connection: &'a Connection,
    readable: &'a Condition,
}

impl Asked<'_> {
    /// A search for what is neither nothing nor an address code.
    fn in_region(&self, search: &Search<'_>, text: &str) -> rusqlite::Result<Hits> {
        let number = text.strip_suffix('x').unwrap_or(text);
        if number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.by_number(search, text);
        }
        let letters = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ');
        let text: String = text.chars().filter(|found| !letters || *found != ' ').collect();
        let prefix = if letters { Mode::Pinyin } else { Mode::Name };
        let mut hits = self.selected(search, prefix, &text)?;
        if hits.hits.is_empty() && !self.any(search, prefix, &text)? {
            hits = self.selected(search, Mode::Within, &text)?;
        }
        if letters || hits.more || search.offset > 0 || text.chars().count() < 2 {
            return Ok(hits);
        }
        // Of a child the base has the surname alone.
        hits.hits.extend(self.in_parts(search, CHILDREN, &text)?);
        Ok(cut(once_each(hits.hits), search.limit))
    }

    /// The base rows of one page.
    fn selected(&self, search: &Search<'_>, mode: Mode, text: &str) -> rusqlite::Result<Hits> {
        let (from, to) = range(search.region);
        let mut statement = self.connection.prepare_cached(&statement(mode, self.readable))?;
        let limit = search.limit.saturating_add(1);
        let named: &[(&str, &dyn ToSql)] = named_params! {
            ":text": text, ":from": from, ":to": to, ":class": search.class,
            ":limit": limit, ":offset": search.offset,
        };
        let rows = statement.query_map(&*self.readable.with(named), hit)?;
        Ok(cut(rows.collect::<rusqlite::Result<Vec<_>>>()?, search.limit))
    }

    /// Whether there is any such row in class and region, on whatever page.
    fn any(&self, search: &Search<'_>, mode: Mode, text: &str) -> rusqlite::Result<bool> {
        let first = Search { offset: 0, limit: 1, ..search.clone() };
        Ok(!self.selected(&first, mode, text)?.hits.is_empty())
    }

    /// Records with `number` in an identity or contact part, then those with it in a base text.
    fn by_number(&self, search: &Search<'_>, number: &str) -> rusqlite::Result<Hits> {
        let mut hits = self.in_parts(search, NUMBERS, number)?;
        let all = Search { offset: 0, limit: NUMBER_MATCHES, ..search.clone() };
        hits.extend(self.selected(&all, Mode::Within, number)?.hits);
        let offset = usize::try_from(search.offset).unwrap_or(usize::MAX);
        Ok(cut(once_each(hits).into_iter().skip(offset).collect(), search.limit))
    }

    /// The records with `text` in one of these parts.
    ///
    /// A part row does not name its base, but it is at the same address, where there are few; the id
    /// of the part follows from that of the base.
    fn in_parts(&self, search: &Search<'_>, parts: &str, text: &str) -> rusqlite::Result<Vec<Hit>> {
        let (from, to) = range(search.region);
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT category, address, document, class FROM record
             WHERE {parts} AND instr(search, :text) > 0 AND address >= :from AND address < :to
                 AND (:class IS NULL OR class = :class) AND {}
             ORDER BY address, class, document LIMIT :limit",
            self.readable.sql()
        ))?;
        let named: &[(&str, &dyn ToSql)] = named_params! {
            ":text": text, ":from": from, ":to": to, ":class": search.class,
            ":limit": NUMBER_MATCHES,
        };
        let parts = statement.query_map(&*self.readable.with(named), |row| {
            let class: u8 = row.get(3)?;
            Ok((Category(row.get(0)?), address(row, 1)?, document(row, 2)?, class))
        })?;
        let mut hits: Vec<Hit> = Vec::new();
        for part in parts {
            let (category, address, document, class) = part?;
            hits.extend(self.owner(category, address, document, class)?);
        }
        Ok(hits)
    }

    /// The base row whose part of this category has this document id.
    fn owner(
        &self,
        category: Category,
        address: AddressCode,
        part: DocumentId,
        class: u8,
    ) -> rusqlite::Result<Option<Hit>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM record WHERE category = :category AND address = :address AND {}",
            self.readable.sql()
        ))?;
        let base = Category::library(class, Part::Base.number());
        let named = named_params! {":category": base.0, ":address": address.as_str()};
        let rows = statement.query_map(&*self.readable.with(named), hit)?;
        for candidate in rows {
            let candidate = candidate?;
            if candidate.place.record.part(category) == part {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }
}

/// The parts that numbers are looked up in.
const NUMBERS: &str = "part IN (1, 2)";
/// The part that names of children are looked up in.
const CHILDREN: &str = "part = 5";

fn once_each(mut hits: Vec<Hit>) -> Vec<Hit> {
    let mut seen = std::collections::BTreeSet::new();
    hits.retain(|hit| seen.insert((hit.class, hit.place.address, hit.place.record)));
    hits
}

fn cut(mut hits: Vec<Hit>, limit: u32) -> Hits {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = hits.len() > limit;
    hits.truncate(limit);
    Hits { hits, more }
}

fn hit(row: &Row<'_>) -> rusqlite::Result<Hit> {
    Ok(Hit {
        class: row.get(0)?,
        place: Place { address: address(row, 1)?, record: document(row, 2)? },
        name: row.get(3)?,
        fields: json(row, 4)?,
        updated_ms: row.get(5)?,
        author: serial(row, 6)?,
        conflicted: row.get(7)?,
        moved_to: Place::from_link(row.get_ref(8)?.as_str()?),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use cunlian_crdt::projector::Projector as _;

    use super::*;
    use crate::projection::GovernanceProjector;

    /// Shows that names and pinyin are looked up in their indexes and never by reading the whole
    /// library, as the plan of SQLite says.
    #[test]
    fn beginnings_are_looked_up_in_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&GovernanceProjector.schema()).unwrap();
        let readable = Reader::everything().condition_of_all();
        for (mode, index) in [(Mode::Name, "record_name"), (Mode::Pinyin, "record_pinyin")] {
            let sql = format!("EXPLAIN QUERY PLAN {}", statement(mode, &readable));
            let mut plan = connection.prepare(&sql).unwrap();
            let steps: Vec<String> = plan
                .query_map(
                    &*readable.with(named_params! {":text": "a", ":from": "", ":to": ":",
                    ":class": None::<u8>, ":limit": 1, ":offset": 0}),
                    |row| row.get(3),
                )
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert!(steps.iter().any(|step| step.contains(index)), "{mode:?}: {steps:?}");
            assert!(!steps.iter().any(|step| step.contains("SCAN")), "{mode:?}: {steps:?}");
        }
    }
}
