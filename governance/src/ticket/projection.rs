//! The table set of tickets: tickets, their steps and their contacts.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use crate::projection::row::{row, text};
use crate::ticket::{self, Body, Channel, Clock, Kind, Receipt, Rules, Ticket, TraceStep};

/// The columns of table `ticket`.
const COLUMNS: [&str; 25] = [
    "category",
    "address",
    "document",
    "receipt",
    "state",
    "title",
    "text",
    "channel",
    "kind",
    "assignee",
    "assignee_address",
    "reported_ms",
    "accepted_ms",
    "replied_ms",
    "completed_ms",
    "closed_ms",
    "yellow_ms",
    "due_ms",
    "stopped_ms",
    "stars",
    "returns",
    "words",
    "updated_ms",
    "signed",
    "erased",
];

/// The place of a column in a row of table `ticket`.
pub(super) fn column(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| *column == name)
}

/// Tickets, their steps and their contacts.
#[derive(Debug)]
pub(crate) struct Tickets;

impl TableSet for Tickets {
    fn name(&self) -> &'static str {
        "ticket"
    }

    fn version(&self) -> u32 {
        6
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS ticket (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    receipt TEXT, state TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    channel TEXT, kind TEXT, assignee TEXT, assignee_address TEXT,
    reported_ms INTEGER, accepted_ms INTEGER, replied_ms INTEGER, completed_ms INTEGER,
    closed_ms INTEGER, yellow_ms INTEGER, due_ms INTEGER, stopped_ms INTEGER,
    stars INTEGER, returns INTEGER NOT NULL, words TEXT NOT NULL, updated_ms INTEGER NOT NULL,
    signed TEXT NOT NULL, erased TEXT,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ticket_receipt ON ticket (receipt);
CREATE INDEX IF NOT EXISTS ticket_document ON ticket (document);
CREATE INDEX IF NOT EXISTS ticket_state ON ticket (state, due_ms);
CREATE INDEX IF NOT EXISTS ticket_pending ON ticket (due_ms) WHERE stopped_ms IS NULL;
CREATE INDEX IF NOT EXISTS ticket_reported ON ticket (reported_ms);

CREATE TABLE IF NOT EXISTS ticket_step (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    step INTEGER NOT NULL, at_ms INTEGER NOT NULL, author BLOB NOT NULL, handler TEXT NOT NULL,
    change BLOB NOT NULL, op TEXT NOT NULL, body TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL, tainted INTEGER NOT NULL,
    PRIMARY KEY (category, address, document, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS ticket_contact (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    name TEXT NOT NULL, phone TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["ticket", "ticket_step", "ticket_contact"]
    }

    fn takes(&self, category: Category) -> bool {
        matches!(category, Category::TICKET | Category::TICKET_CONTACT)
    }

    fn rows(&self, view: &DocumentView, authority: &Authority) -> Vec<Row> {
        match view.home.category {
            // An erased ticket keeps its place in the queue, without content.
            Category::TICKET => ticket_rows(view, authority),
            _ if view.erased.is_some() => Vec::new(),
            _ => vec![contact_row(view)],
        }
    }
}

/// The ticket row and one row per step.
fn ticket_rows(view: &DocumentView, authority: &Authority) -> Vec<Row> {
    let ticket = ticket::fold(view, authority);
    let mut rows = vec![ticket_row(&ticket)];
    rows.extend((0..).zip(&ticket.trace).map(|(number, step)| step_row(&ticket, number, step)));
    rows
}

/// The row of a contact document.
fn contact_row(view: &DocumentView) -> Row {
    let field = |name: &str| {
        text(view.fields.get(name).map(|field| field.current.text.as_str()).unwrap_or_default())
    };
    row("ticket_contact", &view.home, [field("name"), field("phone"), field("text")])
}

fn ticket_row(ticket: &Ticket) -> Row {
    let clock = ticket.clock(Rules::built_in());
    let clock_time = |time: fn(Clock) -> i64| integer(clock.map(time));
    let assignee = ticket.assignee.as_ref();
    row(
        "ticket",
        &ticket.home,
        [
            optional(ticket.receipt.as_ref().map(Receipt::as_str)),
            text(ticket.state.as_str()),
            text(&ticket.title),
            text(&ticket.text),
            optional(ticket.channel.map(Channel::as_str)),
            optional(ticket.kind.map(Kind::as_str)),
            optional(assignee.map(|assignee| assignee.name.as_str())),
            optional(assignee.map(|assignee| assignee.address.as_str())),
            integer(ticket.reported_ms),
            integer(ticket.accepted_ms),
            integer(ticket.replied_ms),
            integer(ticket.completed_ms),
            integer(ticket.closed_ms),
            clock_time(|clock| clock.yellow_ms),
            clock_time(|clock| clock.due_ms),
            integer(clock.and_then(|clock| clock.stopped_ms)),
            integer(ticket.rating.as_ref().map(|rating| i64::from(rating.stars))),
            Value::Integer(i64::from(ticket.returns)),
            text(words(&format!("{} {}", ticket.title, ticket.text))),
            Value::Integer(ticket.updated_ms),
            text(signed(ticket)),
            optional(ticket.erased.as_ref().map(|erased| erased.reason.as_str())),
        ],
    )
}

/// Whether somebody has signed it off: nothing, `stands` or `void`.
fn signed(ticket: &Ticket) -> &'static str {
    ticket.sign_off().map_or(
        "",
        |sign_off| {
            if sign_off.standing.stands() { "stands" } else { "void" }
        },
    )
}

fn step_row(ticket: &Ticket, number: i64, step: &TraceStep) -> Row {
    let (op, body) = match &step.body {
        Body::Known(action) => (action.verb().as_str(), action.encode()),
        Body::Unknown(body) => ("", body.clone()),
    };
    row(
        "ticket_step",
        &ticket.home,
        [
            Value::Integer(number),
            Value::Integer(step.at_ms),
            Value::Blob(step.author.as_bytes().to_vec()),
            text(&step.handler),
            Value::Blob(step.change.as_bytes().to_vec()),
            text(op),
            text(body),
            text(step.outcome.as_str()),
            text(step.outcome.reason()),
            text(step.state.as_str()),
            Value::Integer(i64::from(step.tainted)),
        ],
    )
}

/// The two-character words of `text`, sorted, each once, separated by blanks: what two tickets
/// have in common when they ask the same.
///
/// Chinese has no blanks, and neighbouring pairs of characters find the same matter without a
/// dictionary. Pairs of characters that nearly every report contains are left out.
pub(crate) fn words(text: &str) -> String {
    const COMMON: [&str; 16] = [
        "什么", "怎么", "我们", "请问", "一下", "需要", "可以", "没有", "这个", "那个", "多少",
        "时候", "哪些", "麻烦", "村里", "您好",
    ];
    let mut words = std::collections::BTreeSet::new();
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    for pair in letters.windows(2) {
        let [first, second] = pair else { continue };
        if first.is_alphanumeric() && second.is_alphanumeric() {
            words.insert(format!("{first}{second}"));
        }
    }
    let kept: Vec<String> =
        words.into_iter().filter(|word| !COMMON.contains(&word.as_str())).collect();
    kept.join(" ")
}

fn optional(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

fn integer(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that the columns are called as the table calls them.
    #[test]
    fn columns_are_those_of_the_table() {
        let connection = rusqlite::Connection::open_in_memory().expect("memory");
        connection.execute_batch(Tickets.schema()).expect("the schema holds");
        let select = connection.prepare("SELECT * FROM ticket").expect("the table is there");
        assert_eq!(select.column_names().collect::<Vec<_>>(), COLUMNS);
    }

    /// Shows that words are pairs of neighbouring characters, sorted, without those every report
    /// contains.
    #[test]
    fn words_are_sorted_pairs() {
        assert_eq!(words("翻建老房，翻建"), "建老 翻建 老房");
        assert_eq!(words("请问需要什么"), "要什 问需");
    }
}
