//! Tickets: queues ordered by due time, one with its trace, by receipt, and similar ones.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, ToSql, named_params};

use crate::access::reader::{Condition, Reader};
use crate::query::{self, broken, change, home, range, serial};
use crate::ticket::{
    Assignee, Body, Card, Channel, Clock, Kind, Receipt, ReceiptError, State, contact_home,
};

/// Two tickets ask the same if they have at least this share of the shorter one's words in
/// common, in percent …
pub const SIMILAR_PERCENT: usize = 40;
/// … and at least this many words.
pub const SIMILAR_WORDS: usize = 3;

/// Which tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// At and below this region.
    pub region: AddressCode,
    /// In one of these states; empty means any but unreported.
    pub states: Vec<State>,
    /// Reported through this channel.
    pub channel: Option<Channel>,
    /// Assigned to somebody who works at or below this address.
    pub assignee_region: Option<AddressCode>,
    /// Assigned to exactly this name.
    pub assignee: Option<String>,
    /// How many to leave out.
    pub offset: u32,
    /// How many to return.
    pub limit: u32,
}

impl Filter {
    /// The first 100 tickets of any state in `region`.
    pub fn all(region: AddressCode) -> Self {
        Self {
            region,
            states: Vec::new(),
            channel: None,
            assignee_region: None,
            assignee: None,
            offset: 0,
            limit: 100,
        }
    }

    /// The first 100 tickets in `region` that somebody in office still has to do something on.
    pub fn open(region: AddressCode) -> Self {
        let states = State::ALL.into_iter().filter(|state| state.is_open()).collect();
        Self { states, ..Self::all(region) }
    }
}

/// A ticket as lists show it. Times in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// Its base document.
    pub home: Home,
    /// What the villager keeps; empty while unreported.
    pub receipt: String,
    /// Where it stands.
    pub state: State,
    /// One line.
    pub title: String,
    /// The villager's words, numbers masked.
    pub text: String,
    /// How it came in.
    pub channel: Option<Channel>,
    /// Limit class, suggested or fixed.
    pub kind: Option<Kind>,
    /// Who is to handle it.
    pub assignee: Option<Assignee>,
    /// Time of the report.
    pub reported_ms: Option<i64>,
    /// Time of the acceptance.
    pub accepted_ms: Option<i64>,
    /// Time of the first answer.
    pub replied_ms: Option<i64>,
    /// Time of result or rejection.
    pub completed_ms: Option<i64>,
    /// Time of rating or rejection.
    pub closed_ms: Option<i64>,
    /// The clock; `None` before the acceptance.
    pub clock: Option<Clock>,
    /// The villager's stars.
    pub stars: Option<u8>,
    /// How often it was returned.
    pub returns: u32,
    /// Time of the latest action that was taken.
    pub updated_ms: i64,
    /// Why it was erased; `None` when it was not. What was in it is then not here.
    pub erased: Option<String>,
    /// Whether its sign-off stands; `None` when nobody has signed.
    pub signed: Option<bool>,
    /// Two-character words, for likeness.
    words: String,
}

impl TicketRow {
    /// The card at `now_ms`; `None` before the acceptance.
    pub fn card(&self, now_ms: i64) -> Option<Card> {
        self.clock.map(|clock| clock.card(now_ms))
    }

    /// Where it stands in lists: the order of [`list`].
    fn rank(&self) -> (u8, Option<i64>, i64, DocumentId) {
        let running = self.clock.filter(|clock| clock.stopped_ms.is_none());
        let reported = self.state == State::Reported;
        let group = if running.is_some() { 0 } else { 2 - u8::from(reported) };
        let then = if reported { self.reported_ms.unwrap_or(0) } else { -self.updated_ms };
        (group, running.map(|clock| clock.due_ms), then, self.home.document)
    }

    /// The share of common words with `other`, in percent of the words of the shorter one; 0
    /// with fewer than [`SIMILAR_WORDS`] of them.
    pub fn likeness_percent(&self, other: &Self) -> usize {
        let mine: BTreeSet<&str> = self.words.split_whitespace().collect();
        let theirs: BTreeSet<&str> = other.words.split_whitespace().collect();
        let common = mine.intersection(&theirs).count();
        if common < SIMILAR_WORDS {
            return 0;
        }
        (common * 100).checked_div(mine.len().min(theirs.len())).unwrap_or(0)
    }

    /// Whether both are of one village and ask the same.
    pub fn is_similar(&self, other: &Self) -> bool {
        self.home.address == other.home.address && self.likeness_percent(other) >= SIMILAR_PERCENT
    }
}

/// One step of the trace as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// When its author's device recorded it, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// The author's certificate.
    pub author: Serial,
    /// The name in it.
    pub handler: String,
    /// The signed change.
    pub change: ChangeId,
    /// What was done.
    pub body: Body,
    /// `taken`, `no_right`, `not_now`, `invalid`, `unknown` or `reverted`.
    pub outcome: String,
    /// Why it was not taken; empty when it was.
    pub reason: String,
    /// The state after it.
    pub state: State,
    /// Whether its author was revoked before it.
    pub tainted: bool,
}

impl StepRow {
    /// Whether the action counts.
    pub fn is_taken(&self) -> bool {
        self.outcome == "taken"
    }
}

/// What the contact document of a ticket holds. Only nodes that may read it have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReporterContact {
    /// Name; may be empty.
    pub name: String,
    /// Phone; may be empty.
    pub phone: String,
    /// The words with the numbers that are masked in the ticket; empty when none were.
    pub text: String,
}

const COLUMNS: &str = "category, address, document, receipt, state, title, text, channel, kind,
    assignee, assignee_address, reported_ms, accepted_ms, replied_ms, completed_ms, closed_ms,
    yellow_ms, due_ms, stopped_ms, stars, returns, words, updated_ms, signed,
    erased";

/// What [`Filter`] and reader ask, but the region.
const WHERE: &str = "category = :category AND address >= :from AND address < :to
    AND CASE :states WHEN '' THEN state <> 'unreported'
        ELSE instr(:states, ' ' || state || ' ') > 0 END
    AND (:channel IS NULL OR channel = :channel)
    AND (:assignee IS NULL OR assignee = :assignee)
    AND (:assignee_from IS NULL
        OR assignee_address >= :assignee_from AND assignee_address < :assignee_to)";

/// The values of [`WHERE`].
struct Conditions<'a> {
    from: String,
    to: String,
    states: String,
    channel: Option<&'static str>,
    assignee: Option<&'a str>,
    assignee_range: (Option<String>, Option<String>),
}

impl<'a> Conditions<'a> {
    fn of(filter: &'a Filter) -> Self {
        let (from, to) = range(filter.region);
        let mut states = String::new();
        for state in &filter.states {
            states.extend([" ", state.as_str(), " "]);
        }
        Self {
            from,
            to,
            states,
            channel: filter.channel.map(Channel::as_str),
            assignee: filter.assignee.as_deref(),
            assignee_range: filter.assignee_region.map(range).unzip(),
        }
    }

    fn named(&self) -> [(&str, &dyn ToSql); 8] {
        [
            (":category", &Category::TICKET.0),
            (":from", &self.from),
            (":to", &self.to),
            (":states", &self.states),
            (":channel", &self.channel),
            (":assignee", &self.assignee),
            (":assignee_from", &self.assignee_range.0),
            (":assignee_to", &self.assignee_range.1),
        ]
    }
}

/// The tickets of `filter` that `reader` may read: running clocks first, by due time; then those
/// not accepted, oldest first; then the rest, newest first.
pub fn list(
    connection: &Connection,
    reader: &Reader,
    filter: &Filter,
) -> rusqlite::Result<Vec<TicketRow>> {
    let readable = reader.condition(Category::TICKET);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM ticket WHERE {WHERE} AND {}
         ORDER BY CASE WHEN due_ms IS NOT NULL AND stopped_ms IS NULL THEN 0
                       WHEN state = 'reported' THEN 1 ELSE 2 END,
                  CASE WHEN stopped_ms IS NULL THEN due_ms END,
                  CASE WHEN state = 'reported' THEN reported_ms ELSE -updated_ms END,
                  document
         LIMIT :limit OFFSET :offset",
        readable.sql()
    ))?;
    let conditions = Conditions::of(filter);
    let mut named = readable.with(&conditions.named());
    named.push((":limit", &filter.limit));
    named.push((":offset", &filter.offset));
    let rows = statement.query_map(&*named, ticket)?;
    rows.collect()
}

/// The tickets of `filter` in each of `regions` instead of its own, which do not overlap, in the
/// order of [`list`].
pub fn list_within(
    connection: &Connection,
    reader: &Reader,
    filter: &Filter,
    regions: &[AddressCode],
) -> rusqlite::Result<Vec<TicketRow>> {
    if let [region] = regions {
        return list(connection, reader, &Filter { region: *region, ..filter.clone() });
    }
    let limit = filter.limit.saturating_add(filter.offset);
    let mut all = Vec::new();
    for region in regions {
        let filter = Filter { region: *region, offset: 0, limit, ..filter.clone() };
        all.extend(list(connection, reader, &filter)?);
    }
    all.sort_by_key(TicketRow::rank);
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(all.into_iter().skip(size(filter.offset)).take(size(filter.limit)).collect())
}

/// How many tickets [`list_within`] would give without limit and offset.
pub fn count_within(
    connection: &Connection,
    reader: &Reader,
    filter: &Filter,
    regions: &[AddressCode],
) -> rusqlite::Result<u64> {
    let readable = reader.condition(Category::TICKET);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT count(*) FROM ticket WHERE {WHERE} AND {}",
        readable.sql()
    ))?;
    let mut count = 0;
    for region in regions {
        let filter = Filter { region: *region, ..filter.clone() };
        let conditions = Conditions::of(&filter);
        let named = readable.with(&conditions.named());
        count += statement.query_row(&*named, |row| query::count(row, 0))?;
    }
    Ok(count)
}

/// How many tickets at and below `region` are in each state, in the order of the process.
pub fn counts_by_state(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
) -> rusqlite::Result<Vec<(State, u64)>> {
    let mut counts = by(connection, reader, region, "state", "1", |row| state(row, 0))?;
    counts.sort_unstable();
    Ok(counts)
}

/// How many open tickets each address at and below `region` has; addresses without one are left
/// out.
pub fn open_by_address(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
) -> rusqlite::Result<BTreeMap<AddressCode, u64>> {
    const OPEN: &str = "state IN ('reported', 'accepted', 'assigned', 'handling')";
    let counts = by(connection, reader, region, "address", OPEN, |row| query::address(row, 0))?;
    Ok(counts.into_iter().collect())
}

/// The names that tickets in `regions` have been assigned to, at most `limit`.
pub fn assignees_within(
    connection: &Connection,
    regions: &[AddressCode],
    limit: u32,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT assignee FROM ticket
         WHERE category = :category AND address >= :from AND address < :to
             AND assignee <> '' ORDER BY assignee LIMIT :limit",
    )?;
    let mut found = BTreeSet::new();
    for region in regions {
        let (from, to) = range(*region);
        let named = named_params! {
            ":category": Category::TICKET.0, ":from": from, ":to": to, ":limit": limit,
        };
        for name in statement.query_map(named, |row| row.get::<_, String>(0))? {
            found.insert(name?);
        }
    }
    Ok(found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
}

/// How many tickets at and below `region` that hold `condition` have each value of `column`.
fn by<T>(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    column: &str,
    condition: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<(T, u64)>> {
    let (from, to) = range(region);
    let readable: Condition = reader.condition(Category::TICKET);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {column}, count(*) FROM ticket
         WHERE category = :category AND address >= :from AND address < :to
             AND {condition} AND {} GROUP BY {column}",
        readable.sql()
    ))?;
    let own = named_params! {":category": Category::TICKET.0, ":from": from, ":to": to};
    let named = readable.with(own);
    let rows = statement.query_map(&*named, |row| Ok((read(row)?, query::count(row, 1)?)))?;
    rows.collect()
}

/// The ticket with this base document.
pub fn one(connection: &Connection, document: DocumentId) -> rusqlite::Result<Option<TicketRow>> {
    first(connection, "document = :value", &document.0)
}

/// The ticket with this receipt.
pub fn by_receipt(
    connection: &Connection,
    receipt: &Receipt,
) -> rusqlite::Result<Option<TicketRow>> {
    first(connection, "receipt = :value", &receipt.as_str())
}

/// The ticket with the receipt a villager typed; the error says what is wrong with the text.
pub fn by_receipt_text(
    connection: &Connection,
    text: &str,
) -> rusqlite::Result<Result<Option<TicketRow>, ReceiptError>> {
    match Receipt::parse(text) {
        Ok(receipt) => by_receipt(connection, &receipt).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// Every action of the ticket, in order, also those not taken.
pub fn trace(connection: &Connection, ticket: &Home) -> rusqlite::Result<Vec<StepRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT at_ms, author, handler, change, body, outcome, reason, state, tainted
         FROM ticket_step
         WHERE category = :category AND address = :address AND document = :document
         ORDER BY step",
    )?;
    let named = named_params! {
        ":category": ticket.category.0,
        ":address": ticket.address.as_str(),
        ":document": ticket.document.0,
    };
    let rows = statement.query_map(named, |row| {
        let body: String = row.get(4)?;
        Ok(StepRow {
            at_ms: row.get(0)?,
            author: serial(row, 1)?,
            handler: row.get(2)?,
            change: change(row, 3)?,
            body: Body::decode(&body),
            outcome: row.get(5)?,
            reason: row.get(6)?,
            state: state(row, 7)?,
            tainted: row.get(8)?,
        })
    })?;
    rows.collect()
}

/// Who reported the ticket; `None` when nobody left a name or this node may not have it.
pub fn contact(
    connection: &Connection,
    ticket: &Home,
) -> rusqlite::Result<Option<ReporterContact>> {
    let home = contact_home(ticket);
    let mut statement = connection.prepare_cached(
        "SELECT name, phone, text FROM ticket_contact
         WHERE category = :category AND address = :address AND document = :document",
    )?;
    let mut rows = statement.query(named_params! {
        ":category": home.category.0,
        ":address": home.address.as_str(),
        ":document": home.document.0,
    })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(ReporterContact { name: row.get(0)?, phone: row.get(1)?, text: row.get(2)? }))
}

/// Other tickets of the same town that ask the same and that `reader` may read, the most alike
/// first; at most `limit`.
/// Those of other villages are held to be similar by their words alone.
pub fn similar(
    connection: &Connection,
    reader: &Reader,
    ticket: &TicketRow,
    limit: usize,
) -> rusqlite::Result<Vec<TicketRow>> {
    let region = ticket.home.address.truncate(Level::Town).unwrap_or(ticket.home.address);
    let nearby = Filter { limit: 2_000, ..Filter::all(region) };
    let mut alike: Vec<(usize, TicketRow)> = list(connection, reader, &nearby)?
        .into_iter()
        .filter(|other| other.home != ticket.home)
        .map(|other| (ticket.likeness_percent(&other), other))
        .filter(|(percent, _)| *percent >= SIMILAR_PERCENT)
        .collect();
    alike.sort_by_key(|(percent, other)| (usize::MAX - percent, other.home));
    Ok(alike.into_iter().map(|(_, other)| other).take(limit).collect())
}

/// `tickets` with those of one village that ask the same put together: each group in the order
/// of the list, the groups by their first.
pub fn grouped(tickets: Vec<TicketRow>) -> Vec<Vec<TicketRow>> {
    let mut groups: Vec<Vec<TicketRow>> = Vec::new();
    for ticket in tickets {
        let same = |group: &&mut Vec<TicketRow>| group.iter().any(|t| t.is_similar(&ticket));
        match groups.iter_mut().find(same) {
            Some(group) => group.push(ticket),
            None => groups.push(vec![ticket]),
        }
    }
    groups
}

fn first(
    connection: &Connection,
    condition: &str,
    value: &dyn ToSql,
) -> rusqlite::Result<Option<TicketRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM ticket WHERE {condition} ORDER BY address, document LIMIT 1"
    ))?;
    let mut rows = statement.query_map(named_params! {":value": value}, ticket)?;
    rows.next().transpose()
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<TicketRow> {
    let name: Option<String> = row.get(9)?;
    let assignee = match name {
        Some(name) => Some(Assignee { name, address: query::address(row, 10)? }),
        None => None,
    };
    let clock = match (row.get(16)?, row.get(17)?) {
        (Some(yellow_ms), Some(due_ms)) => {
            Some(Clock { yellow_ms, due_ms, stopped_ms: row.get(18)? })
        }
        (None | Some(_), None) | (None, Some(_)) => None,
    };
    let channel: Option<String> = row.get(7)?;
    let kind: Option<String> = row.get(8)?;
    Ok(TicketRow {
        home: home(row)?,
        receipt: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
        state: state(row, 4)?,
        title: row.get(5)?,
        text: row.get(6)?,
        channel: channel.as_deref().and_then(Channel::from_name),
        kind: kind.as_deref().and_then(Kind::from_name),
        assignee,
        reported_ms: row.get(11)?,
        accepted_ms: row.get(12)?,
        replied_ms: row.get(13)?,
        completed_ms: row.get(14)?,
        closed_ms: row.get(15)?,
        clock,
        stars: row.get(19)?,
        returns: row.get(20)?,
        words: row.get(21)?,
        updated_ms: row.get(22)?,
        erased: row.get(24)?,
        signed: match row.get_ref(23)?.as_str()? {
            "stands" => Some(true),
            "void" => Some(false),
            _ => None,
        },
    })
}

/// A state name that this version does not have.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of a ticket state")]
struct UnknownState(String);

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let name: String = row.get(column)?;
    State::from_name(&name).ok_or_else(|| broken(column, Type::Text, UnknownState(name)))
}
