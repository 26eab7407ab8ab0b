//! Elements that repeat on many pages, one template each in `templates/frame/component/`.
//!
//! Every badge says its state in words; colour and shape only repeat it.

use askama::Template;
use askama::filters::HtmlSafe;
use cunlian_governance::ticket::{Card, Clock, State};
use cunlian_host::status::{Health, LinkState, NodeStatus, PeerStatus};

use crate::frame::clock::{ago, short, span};
use crate::frame::reason::reason;
use crate::frame::text::Text;

/// The link to the parent, in the header of every staff page.
#[derive(Debug, Template)]
#[template(path = "frame/component/link_state.html")]
pub(crate) struct LinkBadge {
    class: &'static str,
    shape: &'static str,
    text: String,
    /// The same on a telephone, where the header is one row.
    short: String,
}
impl HtmlSafe for LinkBadge {}

impl LinkBadge {
    /// For who has not logged in: how the node itself is. The names of others, and what waits for
    /// them, are for its people.
    pub(crate) fn public(texts: Text, status: &NodeStatus) -> Self {
        let name = status.health.name();
        let is_well = matches!(status.health, Health::Ok | Health::LowSpace { .. });
        let (class, shape) = if is_well { ("", "full") } else { ("down", "") };
        let text = texts.of("health", name);
        Self { class, shape, short: text.clone(), text }
    }

    pub(crate) fn of(texts: Text, status: &NodeStatus, now_ms: i64) -> Self {
        let Some(parent) = status.parent() else {
            let children = status.peers.iter().filter(|peer| peer.state.is_up()).count();
            let text = texts.t2("link-top", ("up", children), ("all", status.peers.len()));
            let short = format!("{children}/{}", status.peers.len());
            return Self { class: "", shape: "full", text, short };
        };
        let (class, shape) = match parent.state {
            LinkState::Live => ("", "full"),
            LinkState::Syncing | LinkState::Connecting => ("", "half"),
            LinkState::Down | LinkState::Refused => ("down", ""),
        };
        let name = &parent.name;
        let mut text = match parent.state {
            LinkState::Down => texts.t1("link-down", "name", name),
            LinkState::Connecting => texts.t1("link-connecting", "name", name),
            LinkState::Syncing => texts.t1("link-syncing", "name", name),
            LinkState::Live => texts.t1("link-live", "name", name),
            LinkState::Refused => texts.t1("link-refused", "name", name),
        };
        let mut short = texts.of("peer", parent.state.name());
        if parent.pending_changes > 0 {
            text.push_str(&texts.t1("link-pending", "n", parent.pending_changes));
            short.push_str(&texts.t1("link-pending-short", "n", parent.pending_changes));
        }
        if let (false, Some(at_ms)) = (parent.state.is_up(), parent.last_success_ms) {
            text.push_str(&texts.t1("link-last", "ago", ago(texts, at_ms, now_ms)));
        }
        Self { class, shape, text, short }
    }
}

/// The state of one peer, in tables.
#[derive(Debug, Template)]
#[template(path = "frame/component/clock.html")]
pub(crate) struct PeerBadge {
    class: &'static str,
    shape: &'static str,
    text: String,
}
impl HtmlSafe for PeerBadge {}

impl PeerBadge {
    pub(crate) fn of(texts: Text, state: LinkState) -> Self {
        let (class, shape) = match state {
            LinkState::Live => ("done", "full"),
            LinkState::Syncing | LinkState::Connecting => ("open", "half"),
            LinkState::Down => ("waiting", ""),
            LinkState::Refused => ("overdue", "cross"),
        };
        Self { class, shape, text: texts.of("peer", state.name()) }
    }

    /// For a place that has no terminal of its own.
    pub(crate) fn kept_here(texts: Text) -> Self {
        Self { class: "calm", shape: "full", text: texts.t("peer-kept-here") }
    }
}

/// When a peer was last equal, in words.
pub(crate) fn last_success(texts: Text, peer: &PeerStatus, now_ms: i64) -> String {
    peer.last_success_ms.map_or_else(
        || texts.t("never"),
        |at_ms| format!("{} ({})", ago(texts, at_ms, now_ms), short(at_ms, now_ms)),
    )
}

/// How far up a document is known to be durable: 仅本机 / 已到镇 / 已到县.
#[derive(Debug, Template)]
#[template(path = "frame/component/sync_state.html")]
pub(crate) struct SyncBadge {
    texts: Text,
    class: &'static str,
    shape: &'static str,
    text: String,
    why: Option<String>,
    in_full: bool,
}
impl HtmlSafe for SyncBadge {}

/// How far up a document has come, as a page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Height {
    /// On this machine only.
    Local,
    /// At the town, on its way to the county.
    Town,
    /// At the town, which is where its kind ends.
    TownLast,
    /// At the county or above.
    County,
    /// This node is the highest that takes it.
    Home,
    /// Its parent refused it.
    Refused,
    /// On this machine only, because its parent has no room for it now.
    Postponed,
}

impl SyncBadge {
    pub(crate) fn of(texts: Text, height: Height) -> Self {
        let (class, shape, name) = Self::look(height);
        Self { texts, class, shape, text: texts.of("sync", name), why: None, in_full: false }
    }

    /// With the reason why it has come no further.
    pub(crate) fn because(self, why: Option<String>) -> Self {
        let why = why.map(|why| reason(self.texts, &why));
        Self { why, ..self }
    }

    /// With the reason beside it, not only under the pointer: a page about this one document.
    pub(crate) fn in_full(self) -> Self {
        Self { in_full: true, ..self }
    }

    /// In the words of a villager, who has a report and not a machine.
    pub(crate) fn for_villager(texts: Text, height: Height) -> Self {
        let (class, shape, name) = Self::look(height);
        let text = texts.of("sync-villager", name);
        Self { texts, class, shape, text, why: None, in_full: false }
    }

    const fn look(height: Height) -> (&'static str, &'static str, &'static str) {
        match height {
            Height::Local => ("waiting", "", "local"),
            Height::Town => ("waiting", "half", "town"),
            // What has arrived is as it should be: said, and no louder than the text beside it.
            Height::TownLast => ("calm", "full", "town-last"),
            Height::County => ("calm", "full", "county"),
            Height::Home => ("calm", "full", "home"),
            Height::Refused => ("overdue", "cross", "refused"),
            Height::Postponed => ("waiting", "", "postponed"),
        }
    }
}

/// State of a ticket.
#[derive(Debug, Template)]
#[template(path = "frame/component/ticket_state.html")]
pub(crate) struct TicketStateBadge {
    texts: Text,
    class: &'static str,
    state: &'static str,
}
impl HtmlSafe for TicketStateBadge {}

impl TicketStateBadge {
    pub(crate) fn of(texts: Text, state: State) -> Self {
        let class = match state {
            State::Reported | State::Accepted | State::Assigned | State::Handling => "open",
            State::Answered | State::Closed => "done",
            State::Unreported | State::Rejected | State::Erased => "",
        };
        Self { texts, class, state: state.as_str() }
    }

    /// As who takes the next step sees it, if `turn` says that it is theirs.
    pub(crate) fn for_whom(self, turn: bool) -> Self {
        if turn { Self { class: "turn", ..self } } else { self }
    }
}

/// The clock of a ticket: in time, soon due, overdue; running or stopped.
#[derive(Debug, Template)]
#[template(path = "frame/component/clock.html")]
pub(crate) struct ClockBadge {
    class: &'static str,
    shape: &'static str,
    text: String,
}
impl HtmlSafe for ClockBadge {}

impl ClockBadge {
    pub(crate) fn of(texts: Text, clock: &Clock, now_ms: i64) -> Self {
        let card = clock.card(now_ms);
        let (class, shape) = match card {
            Card::Green => ("open", "half"),
            Card::Yellow => ("due", "half"),
            Card::Red => ("overdue", "full"),
        };
        let text = match (clock.stopped_ms, card) {
            (Some(_), Card::Red) => texts.t("clock-met-late"),
            (Some(_), Card::Green | Card::Yellow) => texts.t("clock-met"),
            (None, Card::Red) => texts.t1("clock-red", "span", span(texts, now_ms - clock.due_ms)),
            (None, Card::Yellow) => {
                texts.t1("clock-yellow", "span", span(texts, clock.due_ms - now_ms))
            }
            (None, Card::Green) => {
                texts.t1("clock-green", "span", span(texts, clock.due_ms - now_ms))
            }
        };
        let (class, shape) = if clock.stopped_ms.is_some() && card != Card::Red {
            ("done", "full")
        } else {
            (class, shape)
        };
        Self { class, shape, text }
    }
}

/// The class of a list item that shows a card.
pub(crate) fn card_class(clock: Option<&Clock>, now_ms: i64) -> &'static str {
    match clock.filter(|clock| clock.stopped_ms.is_none()).map(|clock| clock.card(now_ms)) {
        Some(Card::Red) => "red",
        Some(Card::Yellow) => "yellow",
        Some(Card::Green) | None => "",
    }
}

/// One ticket in a list.
#[derive(Debug, Template)]
#[template(path = "frame/component/ticket_item.html")]
pub(crate) struct TicketItem {
    /// Whether the next step is the reader's.
    pub(crate) turn: bool,
    pub(crate) href: String,
    pub(crate) title: String,
    pub(crate) more: String,
    pub(crate) card: &'static str,
    pub(crate) clock: Option<ClockBadge>,
    pub(crate) state: TicketStateBadge,
    pub(crate) sync: Option<SyncBadge>,
}
impl HtmlSafe for TicketItem {}

/// One field of a form.
#[derive(Debug, Template)]
#[template(path = "frame/component/field.html")]
pub(crate) struct FieldInput {
    pub(crate) texts: Text,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) value: String,
    pub(crate) error: Option<String>,
    pub(crate) required: bool,
    /// `text`, `area`, `choice`, `date`, `number`, `tel`, `code`.
    pub(crate) kind: &'static str,
    pub(crate) options: Vec<Choice>,
    pub(crate) full: bool,
    pub(crate) autofocus: bool,
    pub(crate) max: usize,
}
impl HtmlSafe for FieldInput {}

/// What is wrong with a form that was sent, above it: each line leads to its field.
#[derive(Debug, Template)]
#[template(path = "frame/component/problems.html")]
pub(crate) struct Problems {
    text: String,
    lines: Vec<ProblemLine>,
}
impl HtmlSafe for Problems {}

#[derive(Debug)]
struct ProblemLine {
    id: String,
    text: String,
}

impl Problems {
    /// What is wrong as a whole, and with each of `fields`; the first of these gets the focus.
    pub(crate) fn of<'a>(
        texts: Text,
        whole: Option<String>,
        fields: impl IntoIterator<Item = &'a mut FieldInput>,
    ) -> Option<Self> {
        let mut lines = Vec::new();
        for field in fields {
            let Some(problem) = field.error.clone() else { continue };
            field.autofocus = lines.is_empty();
            let text = texts.t2("problem-line", ("label", &field.label), ("problem", problem));
            lines.push(ProblemLine { id: field.id.clone(), text });
        }
        let counted = || texts.t1("form-problems", "n", lines.len());
        let text = whole.or_else(|| (!lines.is_empty()).then(counted))?;
        Some(Self { text, lines })
    }
}

/// One option of a choice.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
}

impl FieldInput {
    /// A field of one line.
    pub(crate) fn new(texts: Text, name: &str, label: String) -> Self {
        Self {
            texts,
            id: format!("field-{name}"),
            name: name.to_owned(),
            label,
            hint: String::new(),
            value: String::new(),
            error: None,
            required: false,
            kind: "text",
            options: Vec::new(),
            full: false,
            autofocus: false,
            max: 500,
        }
    }

    /// A field of several lines.
    pub(crate) fn area(texts: Text, name: &str, label: String) -> Self {
        Self { kind: "area", full: true, max: 2_000, ..Self::new(texts, name, label) }
    }

    /// A choice.
    pub(crate) fn choice(texts: Text, name: &str, label: String, options: Vec<Choice>) -> Self {
        Self { kind: "choice", options, ..Self::new(texts, name, label) }
    }

    /// Attributes that tie hint and error to the control.
    fn described(&self) -> DescribedBy<'_> {
        DescribedBy(self)
    }

    fn input_type(&self) -> &'static str {
        match self.kind {
            "date" => "date",
            "tel" => "tel",
            _ => "text",
        }
    }

    fn input_mode(&self) -> InputMode {
        InputMode(self.kind)
    }
}

struct DescribedBy<'a>(&'a FieldInput);
impl HtmlSafe for DescribedBy<'_> {}

impl std::fmt::Display for DescribedBy<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = self.0;
        // Ids are made of catalogue keys, which are plain names, but the county may write them.
        let id: String =
            field.id.chars().filter(|c| c.is_alphanumeric() || "-_.".contains(*c)).collect();
        let mut ids = Vec::new();
        if !field.hint.is_empty() {
            ids.push(format!("{id}-hint"));
        }
        if field.error.is_some() {
            ids.push(format!("{id}-error"));
            out.write_str(" aria-invalid=\"true\"")?;
        }
        if field.required {
            out.write_str(" aria-required=\"true\"")?;
        }
        if ids.is_empty() {
            return Ok(());
        }
        write!(out, " aria-describedby=\"{}\"", ids.join(" "))
    }
}

struct InputMode(&'static str);
impl HtmlSafe for InputMode {}

impl std::fmt::Display for InputMode {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "number" => out.write_str(" inputmode=\"decimal\""),
            "code" => out.write_str(" autocapitalize=\"characters\" spellcheck=\"false\""),
            _ => Ok(()),
        }
    }
}

/// One concurrent value.
#[derive(Debug)]
pub(crate) struct ConflictValue {
    pub(crate) text: String,
    pub(crate) source: String,
}

/// A field with concurrent values, and the choice between them.
#[derive(Debug, Template)]
#[template(path = "frame/component/conflict.html")]
pub(crate) struct ConflictBox {
    pub(crate) texts: Text,
    pub(crate) token: String,
    pub(crate) action: String,
    pub(crate) back: String,
    pub(crate) href: String,
    pub(crate) record: String,
    pub(crate) field: String,
    pub(crate) label: String,
    /// What stood there before; empty where nothing did.
    pub(crate) before: String,
    pub(crate) values: Vec<ConflictValue>,
    pub(crate) may_resolve: bool,
}
impl HtmlSafe for ConflictBox {}

/// One step of a trace.
#[derive(Debug)]
pub(crate) struct TraceRow {
    pub(crate) what: String,
    pub(crate) who: String,
    pub(crate) time: String,
    pub(crate) machine_time: String,
    pub(crate) said: String,
    pub(crate) ignored: Option<String>,
    pub(crate) signature: String,
}

/// The trace of a ticket.
#[derive(Debug, Template)]
#[template(path = "frame/component/trace.html")]
pub(crate) struct Trace {
    pub(crate) texts: Text,
    pub(crate) steps: Vec<TraceRow>,
}
impl HtmlSafe for Trace {}

/// One photo.
#[derive(Debug)]
pub(crate) struct Photo {
    pub(crate) href: String,
    pub(crate) alt: String,
    /// Why there is no picture to be shown.
    pub(crate) note: Option<String>,
    /// How far the picture has got.
    pub(crate) sync: Option<SyncBadge>,
}

/// Photos side by side.
#[derive(Debug, Template)]
#[template(path = "frame/component/photos.html")]
pub(crate) struct Photos {
    pub(crate) photos: Vec<Photo>,
}
impl HtmlSafe for Photos {}

/// A name and what it is.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) text: String,
}

/// A coloured line.
#[derive(Debug, Template)]
#[template(path = "frame/component/coverage.html")]
pub(crate) struct Notice {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}
impl HtmlSafe for Notice {}
