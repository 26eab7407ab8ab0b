//! One record: every field with its source, author and time, its conflicts, and where it has moved.
//! What the reader may not see is named, and shown as its mask where it has one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use cunlian_crdt::document::{DocumentView, FieldView};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::language::Language;
use cunlian_governance::library::catalogue::Part;
use cunlian_governance::library::{Place, masking, relocate, relocation};
use cunlian_governance::query;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::Serial;
use serde::Deserialize;

use super::record::{Loaded, RecordPath, base_of, load, part_names, record_href, source_name};
use crate::conflict::boxes::boxes;
use crate::frame::clock::full;
use crate::frame::component::{ConflictBox, Height, SyncBadge};
use crate::frame::erasure::erased_words;
use crate::frame::failure::Failure;
use crate::frame::form::saved_words;
use crate::frame::layout::{Page, html};
use crate::frame::place::{joined_note, place_name};
use crate::frame::reading::{ask, progress};
use crate::frame::text::{Text, domain_language};
use crate::frame::visit::Staff;
use crate::state::WebState;

struct ShownField {
    label: String,
    text: String,
    source: String,
    conflict: bool,
}

struct ShownPart {
    title: String,
    /// That it was erased, by whom and why.
    erased: Option<String>,
    sync: Option<SyncBadge>,
    fields: Vec<ShownField>,
    /// Who wrote all of it and when, where that is the same for each field.
    source: Option<String>,
}

#[derive(Template)]
#[template(path = "library/record.html")]
struct RecordPage {
    texts: Text,
    page: Page,
    href: String,
    class: String,
    place: String,
    plate: String,
    sync: SyncBadge,
    saved: Option<String>,
    may_edit: bool,
    waiting: u32,
    conflicts: Vec<ConflictBox>,
    parts: Vec<ShownPart>,
    hidden: Option<String>,
    /// What became of the village, if it was joined to another.
    joined: Option<String>,
    moved_to: Option<Moved>,
    moved_from: Option<Moved>,
    may_move: bool,
    erase_href: Option<String>,
}

/// The other end of a move.
struct Moved {
    href: String,
    text: String,
    /// Somebody wrote here after the move, at a node that had not heard of it.
    later: bool,
}

#[derive(Deserialize)]
pub(super) struct SavedFlag {
    #[serde(default)]
    saved: String,
}

pub(super) async fn show(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): RecordPath,
    Query(shown): Query<SavedFlag>,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let reader = staff.person.author.serial;
    let token = staff.visit.token(&state);
    let page = Page::staff(&state, &staff, String::new());
    let saved = saved_words(texts, &shown.saved, "saved-here");
    let page = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let loaded = load(store, &reader, class, place)?;
        record_page(store, &reader, &loaded, page, &token, saved, texts)
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
    saved: Option<String>,
    texts: Text,
) -> Result<RecordPage, Failure> {
    let authority = store.authority();
    let actor = Actor::new(Arc::clone(&authority), *reader);
    let language = domain_language(texts);
    let (place, class) = (loaded.place, &loaded.class);
    let home = loaded.home();
    let href = record_href(&home);
    let mut conflicts = Vec::new();
    let (mut parts, mut heights) = (Vec::new(), Vec::new());
    let mut why_slowest = None;
    for (part, view) in &loaded.views {
        let found = store.read(|connection| {
            query::conflict::of_document(connection, view.home.address, view.home.document)
        })?;
        conflicts.extend(boxes(store, reader, found, texts, token, &href)?);
        let (reached, why) = progress(store, &view.home)?;
        heights.push(reached);
        why_slowest = why_slowest.or_else(|| why.clone());
        let fields = shown_fields(loaded, *part, view, &authority, texts);
        parts.push(ShownPart {
            title: part.name(language).to_owned(),
            erased: view.erased.as_ref().map(|erasure| {
                let name = authority.name(&erasure.by);
                erased_words(texts, &name, erasure.at_ms, &erasure.reason)
            }),
            sync: (loaded.views.len() > 1).then(|| SyncBadge::of(texts, reached).because(why)),
            source: common_source(&fields),
            fields,
        });
    }
    let moved_to = moved(store, loaded, "record-moved-to", loaded.moved_to(), texts)?;
    let from = loaded.base().and_then(relocation::moved_from);
    let is_here = moved_to.is_none() && !loaded.is_erased();
    let may_edit = is_here
        && class.parts().any(|part| {
            let home = class.home(part, place.address, place.record);
            actor.edits(&home)
        });
    Ok(RecordPage {
        texts,
        page: Page { title: loaded.name(texts), ..page },
        href,
        class: class.name(language).to_owned(),
        place: place_name(store, &place.address)?,
        plate: place.address.plate_text(),
        sync: SyncBadge::of(texts, slowest(&heights)).because(why_slowest).in_full(),
        saved,
        may_edit,
        waiting: loaded.views.iter().map(|(_, view)| view.waiting).sum(),
        conflicts,
        parts,
        hidden: (!loaded.hidden.is_empty())
            .then(|| texts.t1("record-hidden", "parts", part_names(texts, &loaded.hidden))),
        joined: joined_note(store, &place.address, texts)?,
        may_move: is_here && relocate::may_move(&actor, &home),
        erase_href: (!loaded.is_erased() && actor.erases(&home))
            .then(|| format!("{}/erase", record_href(&home))),
        moved_to,
        moved_from: moved(store, loaded, "record-moved-from", from, texts)?,
    })
}

/// The source of all fields, if there are several and they have one: said once, it is read.
fn common_source(fields: &[ShownField]) -> Option<String> {
    let (first, rest) = fields.split_first()?;
    let same = !rest.is_empty() && rest.iter().all(|field| field.source == first.source);
    same.then(|| first.source.clone())
}

/// The other end of a move, in words and with the way there.
fn moved(
    store: &Store,
    loaded: &Loaded,
    key: &str,
    place: Option<Place>,
    texts: Text,
) -> Result<Option<Moved>, Failure> {
    let Some(place) = place else { return Ok(None) };
    let home = loaded.class.home(Part::Base, place.address, place.record);
    let name = place_name(store, &place.address)?;
    let values = loaded.views.iter().flat_map(|(_, view)| &view.fields);
    let written = |(_, field): (&String, &FieldView)| field.current.writer.recorded_at_ms;
    let moved_ms = loaded.base().and_then(|base| base.fields.get(relocation::MOVED_TO));
    let moved_ms = moved_ms.map(|field| field.current.writer.recorded_at_ms);
    let later = moved_ms.is_some_and(|moved_ms| values.map(written).any(|at| at > moved_ms));
    Ok(Some(Moved { href: record_href(&home), text: texts.t1(key, "place", name), later }))
}

/// How far a record has come as a whole: as far as its slowest part that still travels; when all
/// are where they go, as far as the one that went furthest.
fn slowest(heights: &[Height]) -> Height {
    const ORDER: [Height; 6] = [
        Height::Refused,
        Height::Postponed,
        Height::Local,
        Height::Town,
        Height::County,
        Height::TownLast,
    ];
    let first = ORDER.into_iter().find(|height| heights.contains(height));
    first.unwrap_or(Height::Home)
}

/// The fields of a part in the order of the catalogue, then those it does not know.
fn shown_fields(
    loaded: &Loaded,
    part: Part,
    view: &DocumentView,
    authority: &Authority,
    texts: Text,
) -> Vec<ShownField> {
    let class = &loaded.class;
    let language = domain_language(texts);
    let known = class.fields.iter().filter(|field| field.part == part);
    let mut shown: Vec<ShownField> = known
        .filter_map(|field| {
            let stored = view.fields.get(&field.key)?;
            let option = field.options.iter().find(|option| option.zh == stored.current.text);
            let text = match option {
                Some(option) if language == Language::English => option.en.clone(),
                _ => stored.current.text.clone(),
            };
            Some(shown_field(field.name(language), text, stored, authority, texts))
        })
        .collect();
    let own = |key: &str| class.field(key).is_none() && !relocation::is_link(key);
    let unknown = view.fields.iter().filter(|(key, _)| own(key) && !masking::is_mask(key));
    shown.extend(
        unknown.map(|(key, field)| {
            shown_field(key, field.current.text.clone(), field, authority, texts)
        }),
    );
    if part == Part::Base {
        shown.extend(masks(loaded, view, authority, texts));
    }
    shown
}

/// The masks of what this reader may not see; who may sees the values.
fn masks<'a>(
    loaded: &'a Loaded,
    base: &'a DocumentView,
    authority: &'a Authority,
    texts: Text,
) -> impl Iterator<Item = ShownField> + 'a {
    let fields = loaded.class.fields.iter();
    let hidden = fields.filter(|field| loaded.hidden.contains(&field.part));
    hidden.filter_map(move |field| {
        let key = masking::mask_key(field).filter(|key| masking::is_mask(key))?;
        let stored = base.fields.get(&key)?;
        let label = texts.t1("field-masked", "name", field.name(domain_language(texts)));
        let text = stored.current.text.clone();
        Some(ShownField { conflict: false, ..shown_field(&label, text, stored, authority, texts) })
    })
}

fn shown_field(
    label: &str,
    text: String,
    field: &FieldView,
    authority: &Authority,
    texts: Text,
) -> ShownField {
    let writer = &field.current.writer;
    let mut name = authority.name(&writer.author);
    if writer.tainted {
        name = texts.t1("trace-tainted", "name", name);
    }
    ShownField {
        label: label.to_owned(),
        text,
        source: texts.with(
            "written-by",
            &[
                ("name", &name),
                ("time", &full(writer.recorded_at_ms)),
                ("source", &source_name(texts, &writer.source)),
            ],
        ),
        conflict: !field.others.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use cunlian_protocol::certificate::Tier;

    use super::*;
    use crate::frame::reading::height_of;

    /// Shows that a record whose phone ends at the town by its kind has arrived when its base is at
    /// the county, and that it has not while any part still travels.
    #[test]
    fn a_record_has_arrived_when_each_part_is_where_it_goes() {
        let (town, county) = (Tier::Town.bit(), Tier::County.bit());
        let base = height_of(town | county, 0);
        let contact = height_of(town, 0);
        assert_eq!((base, contact), (Height::County, Height::TownLast));
        assert_eq!(slowest(&[base, contact]), Height::County, "as the list says it");
        assert_eq!(slowest(&[height_of(town, county), contact]), Height::Town);
        assert_eq!(slowest(&[base, height_of(0, town)]), Height::Local);
        assert_eq!(slowest(&[contact]), Height::TownLast);
        assert_eq!(slowest(&[height_of(0, 0), contact]), Height::TownLast);
        assert_eq!(slowest(&[]), Height::Home);
    }
}
