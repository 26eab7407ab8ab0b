//! One ticket: report, trace, and what this person may do with it now.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions::spoken_name;
use cunlian_governance::refusal::Failed;
use cunlian_governance::ticket::{
    self as domain, Action, Body, Channel, Outcome, Rules, Step, Ticket, TraceStep, Verb,
    photo_home,
};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};
use serde::Deserialize;

use super::form::{ActionForm, Resubmission, forms};
use super::item::similar_tickets;
use super::path::{ticket_home, ticket_href};
use super::signing::{notice_of, signed_name, voided_words};
use super::turn::Turn;
use crate::frame::clock::{full, machine};
use crate::frame::component::{
    Choice, ClockBadge, Fact, Notice, Photos, SyncBadge, TicketItem, TicketStateBadge, Trace,
    TraceRow,
};
use crate::frame::erasure::erased_words;
use crate::frame::failure::Failure;
use crate::frame::form::saved_words;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::photo::stored::{self, Audience};
use crate::frame::place::place_name;
use crate::frame::posted::Posted;
use crate::frame::reading::{ask, sync_badge};
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Where what is done at a terminal comes from.
pub(super) const SOURCE: &str = "terminal";

#[derive(Template)]
#[template(path = "ticket/ticket.html")]
struct TicketPage {
    texts: Text,
    page: Page,
    href: String,
    error: Option<String>,
    saved: Option<String>,
    state: TicketStateBadge,
    clock: Option<ClockBadge>,
    sync: SyncBadge,
    /// That it was erased, by whom and why.
    erased: Option<String>,
    text: String,
    photos: Photos,
    asked: Option<String>,
    result: Option<String>,
    result_photos: Photos,
    rating: Option<String>,
    /// Every sign-off, with what has become of it.
    sign_offs: Vec<Notice>,
    /// The badge of the one that counts.
    signed: Option<&'static str>,
    /// What the reader sees and may sign.
    digest: String,
    actions: Vec<ActionForm>,
    trace: Trace,
    facts: Vec<Fact>,
    contact: Option<Vec<Fact>>,
    similar: Vec<TicketItem>,
}

#[derive(Deserialize)]
pub(super) struct SavedFlag {
    #[serde(default)]
    saved: String,
}

/// All a ticket page needs from the store, read in one go.
struct Loaded {
    ticket: Ticket,
    sync: SyncBadge,
    place: String,
    photos: [Photos; 2],
    contact: Option<DocumentView>,
    similar: Vec<TicketItem>,
    assignees: Vec<Choice>,
    may: Vec<Verb>,
}

/// The ticket, if `reader` may read it.
pub(crate) fn load_ticket(store: &Store, reader: &Reader, home: &Home) -> Result<Ticket, Failure> {
    domain::read(store, reader, home)?.ok_or(Failure::NotFound)
}

fn load(
    store: &Store,
    actor: &Serial,
    reader: &Reader,
    home: &Home,
    texts: Text,
    now_ms: i64,
) -> Result<Loaded, Failure> {
    let ticket = load_ticket(store, reader, home)?;
    let authority = store.authority();
    let contact_home = ticket.contact_home();
    let contact = match ticket.reporter {
        Some(_) if reader.may_read(&contact_home) => store.view(&contact_home)?,
        _ => None,
    };
    let may = domain::possible(&Actor::new(Arc::clone(&authority), *actor), &ticket);
    let assignees =
        if may.contains(&Verb::Assign) { assignees(store, &home.address)? } else { Vec::new() };
    let similar = similar_tickets(store, reader, home, texts, now_ms)?;
    let sync = sync_badge(store, texts, home)?.in_full();
    let place = place_name(store, &home.address)?;
    let href = |id: &DocumentId| format!("{}/photo/{id}", ticket_href(home));
    let photos =
        |ids: &[DocumentId]| stored::photos(store, texts, Audience::Staff, home, ids, href);
    let photos = [photos(&ticket.photos)?, photos(&ticket.result_photos)?];
    Ok(Loaded { ticket, sync, place, photos, contact, similar, assignees, may })
}

/// Units of a town that have no certificate of their own yet, as its duty list names them.
const UNITS: [&str; 7] =
    ["党政办", "民政办", "农业农村办", "自然资源所", "综合执法队", "市场监管所", "派出所"];

/// Whom a dispatcher may name: the people of the village's directory, then the units of its town.
fn assignees(store: &Store, village: &AddressCode) -> Result<Vec<Choice>, Failure> {
    let mut choices = Vec::new();
    let name = place_name(store, village)?;
    let registered = name.rsplit(' ').next().unwrap_or_default();
    let short = spoken_name(registered);
    let contacts = crate::frame::reading::contacts(store, village)?;
    for contact in contacts {
        let name = format!("{short} {} {}", contact.role, contact.name);
        choices.push(Choice { value: format!("{village} {name}"), label: name });
    }
    // Most registers name a village by its committee.
    let named = short != registered;
    let committee = if named { registered.to_owned() } else { format!("{short}村委会") };
    choices.push(Choice { value: format!("{village} {committee}"), label: committee });
    if let Some(town) = village.truncate(Level::Town) {
        let town_name = place_name(store, &town)?;
        let town_short = town_name.rsplit(' ').next().unwrap_or_default().to_owned();
        for unit in UNITS {
            let label = format!("{town_short}{unit}");
            choices.push(Choice { value: format!("{town} {label}"), label });
        }
    }
    Ok(choices)
}

pub(super) async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Path((address, document)): Path<(String, String)>,
    Query(shown): Query<SavedFlag>,
) -> Result<Response, Failure> {
    let home = ticket_home(&address, &document)?;
    let page = ticket_page(&state, &staff, home, &shown.saved, None).await?;
    Ok(html(&page))
}

async fn ticket_page(
    state: &WebState,
    staff: &Staff,
    home: Home,
    saved: &str,
    again: Option<Resubmission>,
) -> Result<TicketPage, Failure> {
    let (texts, now_ms) = (staff.visit.texts, state.now_ms());
    let (actor, reader) = (staff.person.author.serial, staff.reader(state));
    let loaded =
        ask(state, move |store| load(store, &actor, &reader, &home, texts, now_ms)).await?;
    let ticket = &loaded.ticket;
    let clock = ticket.clock(Rules::built_in());
    let title = match &ticket.erased {
        Some(_) => texts.of("state", ticket.state.as_str()),
        None if ticket.title.is_empty() => texts.t("ticket-untitled"),
        None => ticket.title.clone(),
    };
    let actions = forms(texts, ticket, &loaded.may, &loaded.assignees, again.as_ref());
    let [photos, result_photos] = loaded.photos;
    let facts = facts(texts, ticket, &loaded.place, clock.map(|clock| clock.due_ms));
    Ok(TicketPage {
        texts,
        page: Page::staff(state, staff, title),
        href: ticket_href(&home),
        error: again.map(|again| again.error),
        saved: done_words(texts, ticket, saved),
        state: TicketStateBadge::of(texts, ticket.state)
            .for_whom(Turn::of(&staff.person.role).is(ticket.state) && !actions.is_empty()),
        clock: clock.map(|clock| ClockBadge::of(texts, &clock, now_ms)),
        erased: ticket
            .erased
            .as_ref()
            .map(|erased| erased_words(texts, &erased.handler, erased.at_ms, &erased.reason)),
        text: ticket.text.clone(),
        photos,
        asked: ticket.asked.clone(),
        result: ticket.result.clone(),
        result_photos,
        rating: rating_words(texts, ticket),
        sign_offs: ticket.sign_offs.iter().map(|sign_off| notice_of(texts, sign_off)).collect(),
        signed: ticket.sign_off().map(|sign_off| signed_name(sign_off.standing.stands())),
        digest: ticket.matter.digest.clone(),
        actions,
        trace: Trace {
            texts,
            steps: ticket.trace.iter().map(|s| trace_row(texts, ticket, s)).collect(),
        },
        facts,
        contact: loaded.contact.map(|view| contact_facts(texts, &view, &state.store().authority())),
        similar: loaded.similar,
        sync: loaded.sync,
    })
}

/// What was done with the step that led here, and what comes next.
fn done_words(texts: Text, ticket: &Ticket, saved: &str) -> Option<String> {
    let Some(verb) = Verb::from_name(saved) else { return saved_words(texts, saved, "saved-here") };
    let due = ticket.clock(Rules::built_in()).map(|clock| full(clock.due_ms - 1));
    let to = ticket.assignee.as_ref().map(|assignee| assignee.name.clone());
    let values = [("due", due.unwrap_or_default()), ("to", to.unwrap_or_default())];
    let values = values.each_ref().map(|(name, value)| (*name, value as &dyn std::fmt::Display));
    Some(texts.of_with("done", verb.as_str(), &values))
}

/// The rating in words, if there is one.
pub(crate) fn rating_words(texts: Text, ticket: &Ticket) -> Option<String> {
    let rating = ticket.rating.as_ref()?;
    let stars = texts.of("stars", &rating.stars.to_string());
    Some(texts.t2("ticket-rated", ("stars", stars), ("text", &rating.text)))
}

fn facts(texts: Text, ticket: &Ticket, place: &str, due_ms: Option<i64>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |label: String, text: Option<String>| {
        if let Some(text) = text {
            facts.push(Fact { label, text });
        }
    };
    fact(texts.t("fact-receipt"), ticket.receipt.as_ref().map(ToString::to_string));
    fact(texts.t("fact-place"), Some(place.to_owned()));
    fact(
        texts.t("fact-channel"),
        ticket.channel.map(|channel| texts.of("channel", channel.as_str())),
    );
    fact(texts.t("fact-kind"), ticket.kind.map(|kind| texts.of("kind", kind.as_str())));
    fact(texts.t("fact-assignee"), ticket.assignee.as_ref().map(|to| to.name.clone()));
    fact(texts.t("fact-reported"), ticket.reported_ms.map(full));
    fact(texts.t("fact-accepted"), ticket.accepted_ms.map(full));
    // The limit is the first moment that is too late; people read the last that is not.
    fact(texts.t("fact-due"), due_ms.map(|due_ms| full(due_ms - 1)));
    fact(texts.t("fact-completed"), ticket.completed_ms.map(full));
    fact(texts.t("fact-returns"), (ticket.returns > 0).then(|| ticket.returns.to_string()));
    facts
}

fn contact_facts(texts: Text, view: &DocumentView, authority: &Authority) -> Vec<Fact> {
    if let Some(erasure) = &view.erased {
        let name = authority.name(&erasure.by);
        let text = erased_words(texts, &name, erasure.at_ms, &erasure.reason);
        return vec![Fact { label: texts.of("state", "erased"), text }];
    }
    [
        ("name", texts.t("contact-name")),
        ("phone", texts.t("contact-phone")),
        ("text", texts.t("contact-text")),
    ]
    .into_iter()
    .filter_map(|(field, label)| {
        let text = view.fields.get(field)?.current.text.clone();
        Some(Fact { label, text })
    })
    .collect()
}

/// One step as staff see it: who did what, its words, and the signed change that proves it.
fn trace_row(texts: Text, ticket: &Ticket, step: &TraceStep) -> TraceRow {
    let (what, said) = match &step.body {
        Body::Known(action) => {
            (texts.of("step", action.verb().as_str()), action_words(texts, action))
        }
        Body::Unknown(_) => (texts.t("step-unknown"), String::new()),
    };
    let sign_off = ticket.sign_offs.iter().find(|sign_off| sign_off.change == step.change);
    let ignored = match &step.outcome {
        Outcome::Taken => sign_off.and_then(|sign_off| voided_words(texts, sign_off)),
        Outcome::NoRight(reason) | Outcome::Invalid(reason) => {
            let outcome = texts.of("outcome", step.outcome.as_str());
            Some(format!("{outcome} ({reason})"))
        }
        Outcome::NotNow(_) | Outcome::Unknown | Outcome::Reverted => {
            Some(texts.of("outcome", step.outcome.as_str()))
        }
    };
    let who = if step.tainted {
        texts.t1("trace-tainted", "name", &step.handler)
    } else {
        step.handler.clone()
    };
    TraceRow {
        what,
        who,
        time: full(step.at_ms),
        machine_time: machine(step.at_ms),
        said,
        ignored,
        signature: step.change.to_string().chars().take(16).collect(),
    }
}

/// The words of an action as people read them.
pub(crate) fn action_words(texts: Text, action: &Action) -> String {
    match action {
        Action::Accept { kind } => texts.of("kind", kind.as_str()),
        Action::Rate { stars, text } => {
            let stars = texts.of("stars", &stars.to_string());
            if text.is_empty() { stars } else { format!("{stars}\n{text}") }
        }
        Action::Report { .. }
        | Action::Reject { .. }
        | Action::AskMore { .. }
        | Action::Assign { .. }
        | Action::Return { .. }
        | Action::Handle { .. }
        | Action::Feedback { .. }
        | Action::Note { .. }
        | Action::SignOff { .. } => action.text().to_owned(),
    }
}

pub(super) async fn act(
    State(state): State<WebState>,
    staff: Staff,
    Path((address, document, verb)): Path<(String, String, String)>,
    posted: Posted,
) -> Result<Response, Failure> {
    let home = ticket_home(&address, &document)?;
    let verb = Verb::from_name(&verb).ok_or(Failure::NotFound)?;
    let fields = posted.0.clone();
    let acted = staff.act(&state, SOURCE, move |acting| {
        domain::act(acting, &home, &Step::named(verb, &fields).map_err(Failed::Refused)?)
    });
    match acted.await {
        Ok(acted) if acted.is_theirs => {
            let href = format!("{}?saved={}", ticket_href(&home), verb.as_str());
            Ok(Redirect::to(&href).into_response())
        }
        Ok(_) => Ok(Redirect::to("/tickets/handed-on").into_response()),
        Err(failure) => {
            let status = failure.status();
            let again = Resubmission { verb, posted, error: failure.words(&staff.visit) };
            let page = ticket_page(&state, &staff, home, "", Some(again)).await?;
            Ok(form_again(&page, status))
        }
    }
}

#[derive(Template)]
#[template(path = "ticket/ticket_handed_on.html")]
struct HandedOnPage {
    texts: Text,
    page: Page,
}

/// What somebody sees who has handed a ticket on and may not read it any more.
pub(super) async fn handed_on(State(state): State<WebState>, staff: Staff) -> Response {
    let texts = staff.visit.texts;
    html(&HandedOnPage {
        texts,
        page: Page::staff(&state, &staff, texts.t("ticket-handed-on-title")),
    })
}

/// A picture, as part of the ticket that names it: who may not read the ticket gets none.
pub(super) async fn photo(
    State(state): State<WebState>,
    staff: Staff,
    Path((address, document, photo)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    let home = ticket_home(&address, &document)?;
    let photo: DocumentId = photo.parse().map_err(|_| Failure::NotFound)?;
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let ticket = load_ticket(store, &reader, &home)?;
        let photo_home = photo_home(&home, photo);
        let is_named = ticket.photos.iter().chain(&ticket.result_photos).any(|id| *id == photo);
        if !is_named || !reader.may_read(&photo_home) {
            return Err(Failure::NotFound);
        }
        stored::load(store, &photo_home)
    })
    .await
}

/// Channels a clerk may choose; the plate is for villagers alone.
pub(crate) fn clerk_channels(texts: Text) -> Vec<Choice> {
    Channel::ALL
        .into_iter()
        .filter(|channel| *channel != Channel::Plate)
        .map(|channel| Choice {
            value: channel.as_str().to_owned(),
            label: texts.of("channel", channel.as_str()),
        })
        .collect()
}
