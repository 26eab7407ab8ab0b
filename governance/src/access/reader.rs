//! A reader: what one person may read, as conditions that stand inside of queries.
//!
//! A list that is cut after its query has short pages, and a count that is not cut counts what
//! nobody may see. So a query over data that not everybody reads takes a [`Reader`] and puts its
//! [`Condition`] beside its own.
//!
//! | grant | span of addresses |
//! |---|---|
//! | subtree of `p` | from `p` to before `p:` (`:` follows `9`) |
//! | exactly `p` | from `p` to before `p!` (`!` comes before `0`) |
//! | one document at `p` | the same, with this document |
//!
//! Who reads only what is assigned to them ([`Reader::only_assigned_to`]) reads of tickets those
//! that name one of their names as assignee, whatever their certificate says.
//!
//! What it is not: the check of writes, which is the protocol's, nor whether a certificate still
//! holds, which is looked at with every request.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::Grant;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use cunlian_protocol::region::Depth;
use cunlian_protocol::rights::Rights;
use rusqlite::ToSql;
use rusqlite::types::Value;

use crate::capabilities::Kinds;
use crate::ticket::kinds::Tickets;

/// What somebody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    spans: Vec<Span>,
    /// The names whose tickets they read; `None` for all tickets.
    assigned: Option<Vec<String>>,
}

/// One grant as a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    categories: CategorySet,
    from: String,
    to: String,
    document: Option<DocumentId>,
}

/// What a query has to hold for a reader: SQL about the columns `address` and `document`, of
/// tickets also `assignee` and of all kinds also `category`, with the values it names.
#[derive(Debug, Clone)]
pub struct Condition {
    sql: String,
    values: Vec<(String, Value)>,
}

impl Reader {
    /// What the holder of `serial` may read.
    pub fn of(authority: &Authority, serial: &Serial) -> Self {
        let grants = authority.get(serial).map_or(&[][..], |it| &it.body().grants);
        let readable = grants.iter().filter(|grant| grant.rights.contains(Rights::READ));
        Self { spans: readable.map(Span::of).collect(), assigned: None }
    }

    /// Who reads all that is here: the node itself.
    pub fn everything() -> Self {
        let all = Span {
            categories: CategorySet::all(),
            from: String::new(),
            to: ":".to_owned(),
            document: None,
        };
        Self { spans: vec![all], assigned: None }
    }

    /// The same reader, who of tickets reads only those assigned to one of `names`.
    #[must_use]
    pub fn only_assigned_to(self, names: Vec<String>) -> Self {
        Self { assigned: Some(names), ..self }
    }

    /// The names whose tickets they read; `None` for all tickets.
    pub fn assigned(&self) -> Option<&[String]> {
        self.assigned.as_deref()
    }

    /// Whether a document of this home may be read as far as its certificate says.
    pub fn may_read(&self, home: &Home) -> bool {
        self.spans.iter().any(|span| {
            span.categories.contains(home.category)
                && span.holds(home.address)
                && span.document.is_none_or(|document| document == home.document)
        })
    }

    /// Whether a ticket that is assigned to `assignee` may be read.
    pub fn may_read_ticket(&self, home: &Home, assignee: Option<&str>) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| Some(name.as_str()) == assignee);
        self.may_read(home) && self.assigned.as_ref().is_none_or(named)
    }

    /// Whether a document is in [`condition_of_all`](Self::condition_of_all).
    pub fn may_read_of_all(&self, home: &Home) -> bool {
        let is_hidden =
            self.assigned.is_some() && Kinds::of_capability(&Tickets).contains(home.category);
        self.may_read(home) && !is_hidden
    }

    /// What a query over documents of `category` must hold. A span within another is left out, so
    /// that a person with many grants asks no more than they must.
    pub fn condition(&self, category: Category) -> Condition {
        let held = |span: &&Span| span.categories.contains(category);
        let mut widest: Vec<&Span> = Vec::new();
        for span in self.spans.iter().filter(held) {
            if widest.iter().any(|wider| wider.covers(span)) {
                continue;
            }
            widest.retain(|narrower| !span.covers(narrower));
            widest.push(span);
        }
        let mut condition = Condition::of_nothing();
        for (n, span) in widest.into_iter().enumerate() {
            condition.add(n, span, None);
        }
        condition.sql.push(')');
        if let Some(names) = self.assigned.as_ref().filter(|_| category == Category::TICKET) {
            let bound = names
                .iter()
                .enumerate()
                .map(|(n, name)| condition.bind(format!(":reader_name_{n}"), name.clone().into()));
            let bound: Vec<String> = bound.collect();
            condition.sql.extend([" AND assignee IN (", &bound.join(", "), ")"]);
        }
        condition
    }

    /// Whether what they may read of a category is whole regions: no single documents, and not
    /// what is assigned to them. Then sums over addresses are sums over what they may read.
    pub fn reads_regions(&self, category: Category) -> bool {
        let mut spans = self.spans.iter().filter(|span| span.categories.contains(category));
        self.assigned.is_none() && spans.all(|span| span.document.is_none())
    }

    /// What a query over documents of all kinds must hold. Who reads of tickets only what is
    /// assigned to them finds nothing of tickets there: the parts of a ticket do not name it.
    pub fn condition_of_all(&self) -> Condition {
        let mut condition = Condition::of_nothing();
        for (n, span) in self.spans.iter().enumerate() {
            let tickets = Kinds::of_capability(&Tickets);
            let categories = match self.assigned {
                Some(_) => span.categories.without(&tickets),
                None => span.categories.clone(),
            };
            condition.add(n, span, Some(&categories));
        }
        condition.sql.push(')');
        condition
    }
}

impl Condition {
    /// No document, and a parenthesis that is open.
    fn of_nothing() -> Self {
        Self { sql: "(0".to_owned(), values: Vec::new() }
    }

    /// Or those of `span`, its number being `n`, and only of `categories`.
    fn add(&mut self, n: usize, span: &Span, categories: Option<&CategorySet>) {
        let from = self.bind(format!(":reader_from_{n}"), span.from.clone().into());
        let to = self.bind(format!(":reader_to_{n}"), span.to.clone().into());
        let mut parts = vec![format!("address >= {from} AND address < {to}")];
        if let Some(document) = span.document {
            let of = self.bind(format!(":reader_of_{n}"), document.0.to_vec().into());
            parts.push(format!("document = {of}"));
        }
        if let Some(categories) = categories {
            let ranges = categories.ranges();
            let mut within = vec!["0".to_owned()];
            within.extend(
                ranges.map(|(first, last)| format!("category BETWEEN {} AND {}", first.0, last.0)),
            );
            parts.push(format!("({})", within.join(" OR ")));
        }
        self.sql.extend([" OR (", &parts.join(" AND "), ")"]);
    }

    /// The text of it, in parentheses where it needs them.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values of a whole query: its own and those of the condition.
    pub fn with<'a>(&'a self, own: &[(&'a str, &'a dyn ToSql)]) -> Vec<(&'a str, &'a dyn ToSql)> {
        let mut all = own.to_vec();
        all.extend(self.values.iter().map(|(name, value)| (name.as_str(), value as &dyn ToSql)));
        all
    }

    fn bind(&mut self, name: String, value: Value) -> String {
        self.values.push((name.clone(), value));
        name
    }
}

impl Span {
    fn of(grant: &Grant) -> Self {
        let from = grant.region.prefix.as_str().to_owned();
        let end = if grant.region.depth == Depth::Exact { '!' } else { ':' };
        Self {
            categories: grant.categories.clone(),
            to: format!("{from}{end}"),
            from,
            document: grant.document,
        }
    }

    fn holds(&self, address: AddressCode) -> bool {
        let address = address.as_str();
        address >= self.from.as_str() && address < self.to.as_str()
    }

    /// Whether every document of `other`, kinds aside, is within this one.
    fn covers(&self, other: &Self) -> bool {
        self.from <= other.from
            && other.to <= self.to
            && (self.document.is_none() || self.document == other.document)
    }
}
