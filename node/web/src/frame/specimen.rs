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
    texts: Text,
    page: Page,
    all: Vec<Specimens>,
}

/// All parts in one language and one look.
#[derive(Template)]
#[template(path = "frame/specimens.html")]
struct Specimens {
    texts: Text,
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
    let (texts, now_ms) = (visit.texts, state.now_ms());
    let (chinese, english) = (Text::new(Language::Chinese), Text::new(Language::English));
    let all = [
        (chinese, "light", "style-light"),
        (english, "light", "style-light"),
        (chinese, "elder", "style-elder"),
        (english, "elder", "style-elder"),
        (chinese, "wall", "style-wall"),
    ];
    let all = all.map(|(texts, look, heading)| specimens(texts, look, texts.t(heading), now_ms));
    let page = Page::new(&state, &visit, texts.t("style-title"));
    Ok(html(&StylePage { texts, page, all: all.into() }))
}

fn specimens(texts: Text, look: &'static str, heading: String, now_ms: i64) -> Specimens {
    let own = format!("{look}-{}", texts.tag());
    let options: Vec<Choice> = [TicketState::Reported, TicketState::Assigned]
        .into_iter()
        .map(|state| Choice {
            value: state.as_str().to_owned(),
            label: texts.of("state", state.as_str()),
        })
        .collect();
    let mut fields = fields(texts, &own, options.clone());
    Specimens {
        texts,
        look,
        heading,
        ids: Ids { first: format!("state-{own}"), second: format!("channel-{own}") },
        clocks: clocks(now_ms).iter().map(|clock| ClockBadge::of(texts, clock, now_ms)).collect(),
        states: TicketState::ALL
            .into_iter()
            .map(|state| TicketStateBadge::of(texts, state))
            .collect(),
        heights: heights(texts),
        peers: peers(texts),
        coverage: Notice {
            class: "info",
            text: texts.with("coverage", &[("k", &44), ("n", &318), ("as", &full(now_ms))]),
        },
        chosen: TicketState::Assigned.as_str().to_owned(),
        choices: options,
        items: items(texts, now_ms),
        trace: trace(texts, now_ms),
        facts: facts(texts, now_ms),
        conflict: conflict(texts, own, now_ms),
        problems: Problems::of(texts, None, &mut fields),
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

fn heights(texts: Text) -> Vec<SyncBadge> {
    let all = [
        Height::Local,
        Height::Town,
        Height::TownLast,
        Height::County,
        Height::Home,
        Height::Refused,
        Height::Postponed,
    ];
    all.into_iter().map(|height| SyncBadge::of(texts, height)).collect()
}

fn peers(texts: Text) -> Vec<PeerBadge> {
    let all = [LinkState::Live, LinkState::Syncing, LinkState::Down, LinkState::Refused];
    let known = all.into_iter().map(|state| PeerBadge::of(texts, state));
    known.chain([PeerBadge::kept_here(texts)]).collect()
}

fn items(texts: Text, now_ms: i64) -> Vec<TicketItem> {
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
            title: texts.t("style-sample-text"),
            more: [texts.t("style-sample-place"), texts.of("channel", "plate"), full(now_ms)]
                .join(" · "),
            card: card_class(Some(&clock), now_ms),
            clock: Some(ClockBadge::of(texts, &clock, now_ms)),
            state: TicketStateBadge::of(texts, state).for_whom(turn),
            sync: Some(SyncBadge::of(texts, height)),
        }
    })
    .collect()
}

fn trace(texts: Text, now_ms: i64) -> Trace {
    let step = |verb: &str, hours: i64, said: String, ignored: Option<String>| TraceRow {
        what: texts.of("step", verb),
        who: texts.t("style-sample-name"),
        time: full(now_ms - hours * HOUR_MS),
        machine_time: machine(now_ms - hours * HOUR_MS),
        said,
        ignored,
        signature: String::new(),
    };
    let steps = vec![
        step("report", 50, texts.t("style-sample-text"), None),
        step("accept", 49, texts.of("kind", "service"), None),
        step("accept", 48, texts.of("kind", "other"), Some(texts.of("outcome", "not_now"))),
        step("handle", 3, texts.t("style-sample-step"), None),
    ];
    Trace { texts, steps }
}

fn facts(texts: Text, now_ms: i64) -> Vec<Fact> {
    let fact = |key: &str, text: String| Fact { label: texts.t(key), text };
    vec![
        fact("fact-receipt", "261129-HT1PX2X".to_owned()),
        fact("fact-place", texts.t("style-sample-place")),
        fact("fact-due", full(now_ms + 72 * HOUR_MS)),
    ]
}

fn conflict(texts: Text, field: String, now_ms: i64) -> ConflictBox {
    let value = |text: &str, hours: i64, source: &str| ConflictValue {
        text: text.to_owned(),
        source: texts.with(
            "written-by",
            &[
                ("name", &texts.t("style-sample-name")),
                ("time", &full(now_ms - hours * HOUR_MS)),
                ("source", &texts.of("source", source)),
            ],
        ),
    };
    ConflictBox {
        texts,
        token: String::new(),
        action: "#main".to_owned(),
        back: String::new(),
        href: "#main".to_owned(),
        record: format!("{} · {}", texts.t("style-sample-name"), texts.t("style-sample-place")),
        field,
        label: texts.t("contact-phone"),
        before: "13800138000".to_owned(),
        values: vec![value("13800138001", 5, "terminal"), value("13900139002", 4, "survey")],
        may_resolve: true,
    }
}

fn fields(texts: Text, own: &str, options: Vec<Choice>) -> Vec<FieldInput> {
    let name = |name: &str| format!("{name}-{own}");
    vec![
        FieldInput {
            required: true,
            value: texts.t("style-sample-name"),
            ..FieldInput::new(texts, &name("name"), texts.t("contact-name"))
        },
        FieldInput {
            kind: "tel",
            value: "1380013".to_owned(),
            hint: texts.t("report-phone-hint"),
            error: Some(texts.t("failure-malformed")),
            ..FieldInput::new(texts, &name("phone"), texts.t("contact-phone"))
        },
        FieldInput::choice(texts, &name("kind"), texts.t("fact-kind"), options),
        FieldInput { kind: "date", ..FieldInput::new(texts, &name("due"), texts.t("fact-due")) },
        FieldInput {
            hint: texts.t("report-text-hint"),
            ..FieldInput::area(texts, &name("text"), texts.t("ticket-report"))
        },
    ]
}
