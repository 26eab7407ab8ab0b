//! One record: every field with its source, author and time, and its conflicts.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use cunlian_crdt::document::{DocumentView, FieldView};
use cunlian_crdt::store::Store;
use cunlian_governance::catalogue::{Class, Language, Part};
use cunlian_governance::query;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::Serial;
use cunlian_protocol::rights::Rights;
use serde::Deserialize;

use super::{Loaded, RecordPath, base_of, load, record_href, source_name};
use crate::text::Text;
use crate::web::WebState;
use crate::web::clock::full;
use crate::web::component::{ConflictBox, Height, SyncBadge};
use crate::web::conflict;
use crate::web::failure::Failure;
use crate::web::layout::{Page, html};
use crate::web::reading::{ask, domain_language, height, place_name};
use crate::web::visit::Staff;

struct ShownField {
    label: String,
    text: String,
    source: String,
    conflict: bool,
}

struct ShownPart {
    title: String,
    sync: Option<SyncBadge>,
    fields: Vec<ShownField>,
}

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    l: Text,
    page: Page,
    href: String,
    class: String,
    place: String,
    plate: String,
    sync: SyncBadge,
    saved: bool,
    may_edit: bool,
    waiting: u32,
    conflicts: Vec<ConflictBox>,
    parts: Vec<ShownPart>,
    hidden: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    saved: String,
}

pub(super) async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): RecordPath,
    Query(shown): Query<Shown>,
) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let reader = staff.person.author.serial;
    let token = staff.visit.token(&state);
    let page = Page::staff(&state, &staff, String::new());
    let saved = !shown.saved.is_empty();
    let page = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let loaded = load(store, &reader, class, place)?;
        record_page(store, &reader, &loaded, page, &token, saved, l)
    })
    .await?;
    Ok(html(&page))
}

fn record_page(
    store: &Store,
    reader: &Serial,
    loaded: &Loaded,
    page: Page,
    token: &str,
    saved: bool,
    l: Text,
) -> Result<RecordPage, Failure> {
    let authority = store.authority();
    let language = domain_language(l);
    let (place, class) = (loaded.place, &loaded.class);
    let home = loaded.home();
    let href = record_href(&home);
    let mut conflicts = Vec::new();
    let (mut parts, mut heights) = (Vec::new(), BTreeSet::new());
    for (part, view) in &loaded.views {
        let found = store.read(|connection| {
            query::conflict::of_document(connection, view.home.address, view.home.document)
        })?;
        conflicts.extend(conflict::boxes(store, reader, found, l, token, &href)?);
        let reached = height(store, &view.home)?;
        heights.insert(rank(reached));
        parts.push(ShownPart {
            title: part.name(language).to_owned(),
            sync: (loaded.views.len() > 1).then(|| SyncBadge::of(l, reached)),
            fields: shown_fields(class, *part, view, &authority, l),
        });
    }
    // The record as a whole has come as far as its slowest part that travels.
    let slowest = heights.first().copied().map_or(Height::Home, height_of);
    let may_edit = class.parts().any(|part| {
        let home = class.home(part, place.address, place.record);
        authority.may(reader, Rights::WRITE, &home).is_ok()
    });
    Ok(RecordPage {
        l,
        page: Page { title: loaded.name(l), ..page },
        href,
        class: class.name(language).to_owned(),
        place: place_name(store, &place.address)?,
        plate: place.address.plate_text(),
        sync: SyncBadge::of(l, slowest),
        saved,
        may_edit,
        waiting: loaded.views.iter().map(|(_, view)| view.waiting).sum(),
        conflicts,
        parts,
        hidden: (loaded.hidden > 0).then(|| l.t1("record-hidden", "n", loaded.hidden)),
    })
}

/// Refused and local come before what has reached further; what does not travel comes last.
const fn rank(height: Height) -> u8 {
    match height {
        Height::Refused => 0,
        Height::Local => 1,
        Height::Town => 2,
        Height::County => 3,
        Height::Home => 4,
    }
}

const fn height_of(rank: u8) -> Height {
    match rank {
        0 => Height::Refused,
        1 => Height::Local,
        2 => Height::Town,
        3 => Height::County,
        _ => Height::Home,
    }
}

/// The fields of a part in the order of the catalogue, then those it does not know.
fn shown_fields(
    class: &Class,
    part: Part,
    view: &DocumentView,
    authority: &Authority,
    l: Text,
) -> Vec<ShownField> {
    let language = domain_language(l);
    let known = class.fields.iter().filter(|field| field.part == part);
    let mut shown: Vec<ShownField> = known
        .filter_map(|field| {
            let stored = view.fields.get(&field.key)?;
            let option = field.options.iter().find(|option| option.zh == stored.current.text);
            let text = match option {
                Some(option) if language == Language::English => option.en.clone(),
                _ => stored.current.text.clone(),
            };
            Some(shown_field(field.name(language), text, stored, authority, l))
        })
        .collect();
    let unknown = view.fields.iter().filter(|(key, _)| class.field(key).is_none());
    shown.extend(
        unknown
            .map(|(key, field)| shown_field(key, field.current.text.clone(), field, authority, l)),
    );
    shown
}

fn shown_field(
    label: &str,
    text: String,
    field: &FieldView,
    authority: &Authority,
    l: Text,
) -> ShownField {
    let writer = &field.current.writer;
    ShownField {
        label: label.to_owned(),
        text,
        source: l.with(
            "written-by",
            &[
                ("name", &authority.name(&writer.author)),
                ("time", &full(writer.recorded_at_ms)),
                ("source", &source_name(l, &writer.source)),
            ],
        ),
        conflict: !field.others.is_empty(),
    }
}
