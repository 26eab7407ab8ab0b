//! Reads the stores of all nodes, with no node running, and says what differs from what it should
//! be. It trusts nothing that a node said about itself.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use cunlian_crdt::projector::Projector as _;
use cunlian_crdt::store::Store;
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::opening::open_store;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::{Home, SignedChange, VerifiedChange};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{Context, verify_all};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::client::Acknowledged;
use super::layout::{Layout, Node};
use crate::failure::Failure;

/// Identity numbers and phones of each keeper that are looked for where they must not be.
const CANARIES: usize = 200;
/// Most differences listed.
const LISTED: usize = 20;

/// What must be found.
#[derive(Debug, Default)]
pub struct Expected {
    /// Everything acknowledged to somebody.
    pub acknowledged: Vec<Acknowledged>,
    /// A record in conflict, and the values both sides wrote.
    pub conflict: Option<(Home, BTreeSet<String>)>,
    /// What was seen to be wrong while the nodes ran.
    pub broken: Vec<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What differs; empty is good.
    pub differences: Vec<String>,
    /// Different changes in all stores together.
    pub changes: u64,
    /// Tickets at the county.
    pub tickets: u64,
    /// Fields in conflict at the town.
    pub conflicts: u64,
    /// Ticket steps whose signatures were checked.
    pub trace_steps: u64,
    /// Changes in quarantine at all nodes.
    pub refused: u64,
}

/// Prefix of the document that holds a secret, and its digits.
type Canary = (Vec<u8>, Vec<u8>);

struct Opened<'a> {
    node: &'a Node,
    store: Store,
    scope: Scope,
    keys: BTreeSet<Vec<u8>>,
}

/// Checks all stores.
pub fn check(layout: &Layout, expected: &Expected) -> Result<Findings, Failure> {
    let mut found = Findings { differences: expected.broken.clone(), ..Findings::default() };
    let opened: Vec<Opened<'_>> = layout.nodes.iter().map(open).collect::<Result<_, _>>()?;
    let union: BTreeSet<Vec<u8>> = opened.iter().flat_map(|o| o.keys.iter().cloned()).collect();
    found.changes = union.len() as u64;
    check_acknowledged(&union, expected, &mut found);
    for one in &opened {
        check_scope(one, &union, &mut found);
        check_traces(one, &mut found)?;
        found.refused += one.store.counts()?.quarantined;
    }
    for one in &opened {
        if let Some(parent) = one.node.parent.and_then(|parent| opened.get(parent)) {
            check_projections(one, parent, &mut found)?;
        }
    }
    check_canaries(&opened, &mut found)?;
    check_conflict(layout, &opened, expected, &mut found)?;
    if let Some(county) = opened.first() {
        found.tickets = county.store.read(|c| count(c, "SELECT count(*) FROM ticket"))?;
    }
    let more = found.differences.len().saturating_sub(LISTED);
    found.differences.truncate(LISTED);
    if more > 0 {
        found.differences.push(format!("and {more} more"));
    }
    Ok(found)
}

fn open(node: &Node) -> Result<Opened<'_>, Failure> {
    let (store, identity) = open_store(&node.dir)?;
    let scope = store.authority().read_scope(&identity.certificate.serial());
    let keys = store.keys()?.iter().map(SetKey::to_bytes).collect();
    Ok(Opened { node, store, scope, keys })
}

fn check_acknowledged(union: &BTreeSet<Vec<u8>>, expected: &Expected, found: &mut Findings) {
    let ids: HashSet<Vec<u8>> = union
        .iter()
        .filter_map(|key| Some(key.get(key.len().checked_sub(32)?..)?.to_vec()))
        .collect();
    for Acknowledged { home, changes } in &expected.acknowledged {
        for change in changes {
            if !ids.contains(change.as_bytes().as_slice()) {
                let address = home.address;
                found
                    .differences
                    .push(format!("acknowledged change {change} at {address} is lost"));
            }
        }
    }
}

/// A node holds exactly what its scope covers of all that exists.
fn check_scope(one: &Opened<'_>, union: &BTreeSet<Vec<u8>>, found: &mut Findings) {
    let name = &one.node.name;
    let mut missing = 0;
    for key in union {
        missing += u64::from(one.scope.allows(key) && !one.keys.contains(key));
    }
    if missing > 0 {
        found.differences.push(format!("{name} lacks {missing} changes of its scope"));
    }
    let beyond = one.keys.iter().filter(|key| !one.scope.allows(key)).count();
    if beyond > 0 {
        found.differences.push(format!("{name} holds {beyond} changes outside its scope"));
    }
}

/// Every step of every ticket is a signed change of the log, signed by the author it names.
fn check_traces(one: &Opened<'_>, found: &mut Findings) -> Result<(), Failure> {
    let authority = one.store.authority();
    let steps: Vec<(String, Vec<u8>, Vec<u8>)> = one.store.read(|connection| {
        let sql = "SELECT address, document, change FROM ticket_step";
        let mut statement = connection.prepare(sql)?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    })?;
    let mut logs: BTreeMap<Home, BTreeMap<Vec<u8>, VerifiedChange>> = BTreeMap::new();
    for (address, document, id) in steps {
        let home = ticket_home(&address, &document)
            .ok_or_else(|| Failure::new(format!("{address} is not an address")))?;
        if let Entry::Vacant(entry) = logs.entry(home) {
            let log = one.store.changes_of(&home)?.into_iter();
            entry.insert(log.map(|change| (change.id().0.to_vec(), change)).collect());
        }
        let change = logs.get(&home).and_then(|log| log.get(&id));
        let signed = change.is_some_and(|change| {
            let author = authority.get(&change.header().author);
            let decoded = SignedChange::decode(change.bytes().to_vec());
            match (author, decoded) {
                (Some(author), Ok(decoded)) => {
                    verify_all(Context::Change, &[decoded.claim(author.body().subject)]) == [true]
                }
                _ => false,
            }
        });
        found.trace_steps += 1;
        if !signed {
            let name = &one.node.name;
            found.differences.push(format!(
                "{name}: a step of the ticket at {address} has no signature that holds"
            ));
        }
    }
    Ok(())
}

fn ticket_home(address: &str, document: &[u8]) -> Option<Home> {
    let address = address.parse().ok()?;
    let document = cunlian_protocol::id::DocumentId::from_slice(document)?;
    Some(Home { category: Category::TICKET, address, document })
}

/// In what both may see, child and parent have the same rows in every projection table.
fn check_projections(
    child: &Opened<'_>,
    parent: &Opened<'_>,
    found: &mut Findings,
) -> Result<(), Failure> {
    let both = child.scope.intersection(&parent.scope);
    for table in GovernanceProjector.tables() {
        let rows = |one: &Opened<'_>| {
            one.store
                .read(|connection| projection(connection, table, &both, child.node.region.as_str()))
        };
        if rows(child)? != rows(parent)? {
            let (child, parent) = (&child.node.name, &parent.node.name);
            found.differences.push(format!("{child} and {parent} differ in table {table}"));
        }
    }
    Ok(())
}

/// Hashes of the rows of a table within a scope. Rows outside `region` are those of the tiers
/// above, few, so that only the region's part of a large table is read.
fn projection(
    connection: &Connection,
    table: &str,
    scope: &Scope,
    region: &str,
) -> rusqlite::Result<BTreeSet<[u8; 32]>> {
    let sql = format!(
        "SELECT * FROM {table} WHERE address >= ?1 AND address < ?2 OR length(address) < ?3"
    );
    let mut statement = connection.prepare(&sql)?;
    let columns = statement.column_count();
    let length = i64::try_from(region.len()).unwrap_or(0);
    let mut rows = statement.query((region, format!("{region}:"), length))?;
    let mut hashes = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let category: u16 = row.get(0)?;
        let address: String = row.get(1)?;
        let document: Vec<u8> = row.get(2)?;
        let home = ticket_home(&address, &document)
            .map(|home| Home { category: Category(category), ..home });
        if !home.is_some_and(|home| scope.allows(KeyPrefix::document(&home).as_bytes())) {
            continue;
        }
        let mut digest = blake3::Hasher::new();
        for column in 0..columns {
            let value: Value = row.get(column)?;
            digest.update(format!("{value:?}\u{0}").as_bytes());
        }
        hashes.insert(*digest.finalize().as_bytes());
    }
    Ok(hashes)
}

/// Identity numbers and phones of one node are in no file of a node that may not see them.
fn check_canaries(opened: &[Opened<'_>], found: &mut Findings) -> Result<(), Failure> {
    for holder in opened {
        let canaries = canaries(holder)?;
        for other in opened {
            let hidden: HashSet<&[u8]> = canaries
                .iter()
                .filter(|(key, _)| !other.scope.allows(key))
                .map(|(_, digits)| digits.as_slice())
                .collect();
            let mut leaked = 0;
            for digits in leaks(&other.node.dir, &hidden)? {
                leaked += u64::from(!is_own(other, &digits)?);
            }
            if leaked > 0 {
                let (holder, other) = (&holder.node.name, &other.node.name);
                found
                    .differences
                    .push(format!("files of {other} hold {leaked} secrets of {holder}"));
            }
        }
    }
    Ok(())
}

/// Some identity numbers and phones in the sensitive parts of a node, with their home's prefix.
fn canaries(one: &Opened<'_>) -> Result<Vec<Canary>, Failure> {
    let texts: Vec<(u16, String, Vec<u8>, String)> = one.store.read(|connection| {
        let sql = "SELECT category, address, document, fields FROM record \
            WHERE part IN (1, 2) AND address >= ?1 ORDER BY document LIMIT ?2";
        let mut statement = connection.prepare(sql)?;
        let limit = i64::try_from(CANARIES).unwrap_or(i64::MAX);
        let region = one.node.region.as_str();
        statement
            .query_map((region, limit), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
            .collect()
    })?;
    let mut canaries = Vec::new();
    for (category, address, document, fields) in texts {
        let Some(home) = ticket_home(&address, &document) else { continue };
        let key = KeyPrefix::document(&Home { category: Category(category), ..home });
        for digits in fields.split(|c: char| !c.is_ascii_digit()).filter(|d| d.len() >= 11) {
            canaries.push((key.as_bytes().to_vec(), digits.as_bytes().to_vec()));
        }
    }
    Ok(canaries)
}

/// Whether a node has the same digits in a record it may see: two people's numbers can agree.
fn is_own(one: &Opened<'_>, digits: &[u8]) -> Result<bool, Failure> {
    let like = format!("%{}%", String::from_utf8_lossy(digits));
    let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE fields LIKE ?1)";
    Ok(one.store.read(|connection| connection.query_row(sql, [&like], |row| row.get(0)))?)
}

/// Which of the secrets are in the files of a data directory.
fn leaks(dir: &Path, hidden: &HashSet<&[u8]>) -> Result<Vec<Vec<u8>>, Failure> {
    if hidden.is_empty() {
        return Ok(Vec::new());
    }
    let lengths: BTreeSet<usize> = hidden.iter().map(|digits| digits.len()).collect();
    let mut leaked: BTreeSet<Vec<u8>> = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        for run in bytes.split(|byte| !byte.is_ascii_digit()).filter(|run| run.len() >= 11) {
            for length in &lengths {
                leaked.extend(
                    run.windows(*length)
                        .filter_map(|part| hidden.get(part))
                        .map(|part| part.to_vec()),
                );
            }
        }
    }
    Ok(leaked.into_iter().collect())
}

/// The conflict is there with both values, at the village and at the town.
fn check_conflict(
    layout: &Layout,
    opened: &[Opened<'_>],
    expected: &Expected,
    found: &mut Findings,
) -> Result<(), Failure> {
    let town = opened.get(layout.town().index);
    if let Some(town) = town {
        found.conflicts = town.store.read(|c| count(c, "SELECT count(*) FROM conflict"))?;
    }
    let Some((home, values)) = &expected.conflict else { return Ok(()) };
    let key = SetKey { home: *home, change: cunlian_protocol::id::ChangeId([0; 32]) }.to_bytes();
    for one in opened.iter().filter(|one| one.scope.allows(&key)) {
        let view = one.store.view(home)?;
        let field = view.as_ref().and_then(|view| view.fields.get("residence"));
        let shown: BTreeSet<String> = field
            .into_iter()
            .flat_map(|field| std::iter::once(&field.current).chain(&field.others))
            .map(|value| value.text.clone())
            .collect();
        if shown != *values {
            let name = &one.node.name;
            found
                .differences
                .push(format!("{name} shows {shown:?} instead of the conflict {values:?}"));
        }
    }
    Ok(())
}

fn count(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
