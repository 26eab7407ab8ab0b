//! `/style`: each part that pages are made of, in both languages, in larger type and on the wall.
//!
//! The parts are the templates of the pages themselves, filled with samples, so that what is seen
//! here is what people get. The page is there while the program is being written, and at nodes
//! whose configuration asks for it, as the demo's does; it shows nothing of the store.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use cunlian_governance::ticket::{Clock, State as TicketState};
use cunlian_host::status::LinkState;

use crate::frame::clock::{full, machine};
use crate::frame::component::{
    Choice, ClockBadge, ConflictBox, ConflictValue, Fact, FieldInput, Height, Notice, PeerBadge,
    Problems, SyncBadge, TicketItem, TicketStateBadge, Trace, TraceRow, card_class,
};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::text::{Language, Text};
use crate::frame::visit::Visit;
use crate::state::WebState;

const HOUR_MS: i64 = 3_600_000;

pub(crate) fn routes() -> Router<WebState> {
    Router::new().route("/style", get(style))
}

#[derive(Template)]
#[template(path = "frame/style.html")]
struct StylePage {
    l: Text,
    page: Page,
    all: Vec<Specimens>,
}

/// All parts in one language and one look.
#[derive(Template)]
#[template(path = "frame/specimens.html")]
struct Specimens {
    l: Text,
    /// The class whose tokens are shown.
    look: &'static str,
    heading: String,
    ids: Ids,
    clocks: Vec<ClockBadge>,
    states: Vec<TicketStateBadge>,
    heights: Vec<SyncBadge>,
    peers: Vec<PeerBadge>,
    coverage: Notice,
    choices: Vec<Choice>,
    chosen: String,
    items: Vec<TicketItem>,
    trace: Trace,
    facts: Vec<Fact>,
    conflict: ConflictBox,
    problems: Option<Problems>,
    fields: Vec<FieldInput>,
}
impl HtmlSafe for Specimens {}

/// Names of controls, which may be there once on a page.
struct Ids {
    first: String,
    second: String,
}

async fn style(State(state): State<WebState>, visit: Visit) -> Result<Response, Failure> {
    if !state.0.config.style_page {
        return Err(Failure::NotFound);
    }
    let (l, now_ms) = (visit.l, state.now_ms());
    let (chinese, english) = (Text::new(Language::Chinese), Text::new(Language::English));
    let all = [
        (chinese, "light", "style-light"),
        (english, "light", "style-light"),
        (chinese, "elder", "style-elder"),
        (english, "elder", "style-elder"),
        (chinese, "wall", "style-wall"),
    ];
    let all = all.map(|(l, look, heading)| specimens(l, look, l.t(heading), now_ms));
    let page = Page::new(&state, &visit, l.t("style-title"));
    Ok(html(&StylePage { l, page, all: all.into() }))
}

fn specimens(l: Text, look: &'static str, heading: String, now_ms: i64) -> Specimens {
    let own = format!("{look}-{}", l.tag());
    let options: Vec<Choice> = [TicketState::Reported, TicketState::Assigned]
        .into_iter()
        .map(|state| Choice {
            value: state.as_str().to_owned(),
            label: l.of("state", state.as_str()),
        })
        .collect();
    let mut fields = fields(l, &own, options.clone());
    Specimens {
        l,
        look,
        heading,
        ids: Ids { first: format!("state-{own}"), second: format!("channel-{own}") },
        clocks: clocks(now_ms).iter().map(|clock| ClockBadge::of(l, clock, now_ms)).collect(),
        states: TicketState::ALL.into_iter().map(|state| TicketStateBadge::of(l, state)).collect(),
        heights: heights(l),
        peers: peers(l),
        coverage: Notice {
            class: "info",
            text: l.with("coverage", &[("k", &44), ("n", &318), ("as", &full(now_ms))]),
        },
        chosen: TicketState::Assigned.as_str().to_owned(),
        choices: options,
        items: items(l, now_ms),
        trace: trace(l, now_ms),
        facts: facts(l, now_ms),
        conflict: conflict(l, own, now_ms),
        problems: Problems::of(l, None, &mut fields),
        fields: fields.into_iter().map(|field| FieldInput { autofocus: false, ..field }).collect(),
    }
}

/// In time, soon due, overdue, done in time, done too late.
fn clocks(now_ms: i64) -> [Clock; 5] {
    let clock = |yellow_h: i64, due_h: i64, stopped_h: Option<i64>| Clock {
        yellow_ms: now_ms + yellow_h * HOUR_MS,
        due_ms: now_ms + due_h * HOUR_MS,
        stopped_ms: stopped_h.map(|hours| now_ms + hours * HOUR_MS),
    };
    [
        clock(24, 72, None),
        clock(-2, 5, None),
        clock(-72, -49, None),
        clock(24, 72, Some(-1)),
        clock(-72, -49, Some(-1)),
    ]
}

fn heights(l: Text) -> Vec<SyncBadge> {
    let all = [
        Height::Local,
        Height::Town,
        Height::TownLast,
        Height::County,
        Height::Home,
        Height::Refused,
        Height::Postponed,
    ];
    all.into_iter().map(|height| SyncBadge::of(l, height)).collect()
}

fn peers(l: Text) -> Vec<PeerBadge> {
    let all = [LinkState::Live, LinkState::Syncing, LinkState::Down, LinkState::Refused];
    let known = all.into_iter().map(|state| PeerBadge::of(l, state));
    known.chain([PeerBadge::kept_here(l)]).collect()
}

fn items(l: Text, now_ms: i64) -> Vec<TicketItem> {
    let all = clocks(now_ms).into_iter().zip([
        (TicketState::Handling, Height::County),
        (TicketState::Assigned, Height::Town),
        (TicketState::Accepted, Height::County),
        (TicketState::Answered, Height::Local),
        (TicketState::Closed, Height::Refused),
    ]);
    all.map(|(clock, (state, height))| {
        let turn = matches!(state, TicketState::Handling | TicketState::Assigned);
        TicketItem {
            turn,
            href: "#main".to_owned(),
            title: l.t("style-sample-text"),
            more: [l.t("style-sample-place"), l.of("channel", "plate"), full(now_ms)].join(" · "),
            card: card_class(Some(&clock), now_ms),
            clock: Some(ClockBadge::of(l, &clock, now_ms)),
            state: TicketStateBadge::of(l, state).for_whom(turn),
            sync: Some(SyncBadge::of(l, height)),
        }
    })
    .collect()
}

fn trace(l: Text, now_ms: i64) -> Trace {
    let step = |verb: &str, hours: i64, said: String, ignored: Option<String>| TraceRow {
        what: l.of("step", verb),
        who: l.t("style-sample-name"),
        time: full(now_ms - hours * HOUR_MS),
        machine_time: machine(now_ms - hours * HOUR_MS),
        said,
        ignored,
        signature: String::new(),
    };
    let steps = vec![
        step("report", 50, l.t("style-sample-text"), None),
        step("accept", 49, l.of("kind", "service"), None),
        step("accept", 48, l.of("kind", "other"), Some(l.of("outcome", "not_now"))),
        step("handle", 3, l.t("style-sample-step"), None),
    ];
    Trace { l, steps }
}

fn facts(l: Text, now_ms: i64) -> Vec<Fact> {
    let fact = |key: &str, text: String| Fact { label: l.t(key), text };
    vec![
        fact("fact-receipt", "261129-HT1PX2X".to_owned()),
        fact("fact-place", l.t("style-sample-place")),
        fact("fact-due", full(now_ms + 72 * HOUR_MS)),
    ]
}

fn conflict(l: Text, field: String, now_ms: i64) -> ConflictBox {
    let value = |text: &str, hours: i64, source: &str| ConflictValue {
        text: text.to_owned(),
        source: l.with(
            "written-by",
            &[
                ("name", &l.t("style-sample-name")),
                ("time", &full(now_ms - hours * HOUR_MS)),
                ("source", &l.of("source", source)),
            ],
        ),
    };
    ConflictBox {
        l,
        token: String::new(),
        action: "#main".to_owned(),
        back: String::new(),
        href: "#main".to_owned(),
        record: format!("{} · {}", l.t("style-sample-name"), l.t("style-sample-place")),
        field,
        label: l.t("contact-phone"),
        before: "13800138000".to_owned(),
        values: vec![value("13800138001", 5, "terminal"), value("13900139002", 4, "survey")],
        may_resolve: true,
    }
}

fn fields(l: Text, own: &str, options: Vec<Choice>) -> Vec<FieldInput> {
    let name = |name: &str| format!("{name}-{own}");
    vec![
        FieldInput {
            required: true,
            value: l.t("style-sample-name"),
            ..FieldInput::new(l, &name("name"), l.t("contact-name"))
        },
        FieldInput {
            kind: "tel",
            value: "1380013".to_owned(),
            hint: l.t("report-phone-hint"),
            error: Some(l.t("failure-malformed")),
            ..FieldInput::new(l, &name("phone"), l.t("contact-phone"))
        },
        FieldInput::choice(l, &name("kind"), l.t("fact-kind"), options),
        FieldInput { kind: "date", ..FieldInput::new(l, &name("due"), l.t("fact-due")) },
        FieldInput {
            hint: l.t("report-text-hint"),
            ..FieldInput::area(l, &name("text"), l.t("ticket-report"))
        },
    ]
}
