//! Search in the library.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use cunlian_crdt::store::Store;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions;
use cunlian_governance::library::catalogue::{self, Catalogue, Class, Part};
use cunlian_governance::library::query::{self as records, Hits, Search};
use cunlian_protocol::address::AddressCode;
use serde::Deserialize;

use super::record::record_href;
use crate::frame::code::code_of;
use crate::frame::component::{Choice, SyncBadge};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::place::{PlaceNames, joined_note};
use crate::frame::reading::{ask, sync_badge};
use crate::frame::text::{Text, domain_language};
use crate::frame::visit::Staff;
use crate::state::WebState;

/// Records on one page of results.
const SHOWN: u32 = 50;

#[derive(Deserialize, Clone, Default)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    class: String,
}

struct ResultRow {
    href: String,
    title: String,
    class: String,
    place: String,
    detail: String,
    conflict: bool,
    /// Where the record is now, if it has moved away.
    moved: Option<String>,
    sync: SyncBadge,
}

#[derive(Template)]
#[template(path = "library/records.html")]
struct RecordsPage {
    texts: Text,
    page: Page,
    query: String,
    chosen: String,
    classes: Vec<Choice>,
    rows: Vec<ResultRow>,
    note: Option<String>,
    found: String,
    empty: String,
}

#[derive(Template)]
#[template(path = "library/records_list.html")]
struct RecordsList {
    texts: Text,
    rows: Vec<ResultRow>,
    /// That the code that was typed is an old one.
    note: Option<String>,
    found: String,
    empty: String,
}

pub(super) async fn search(
    State(state): State<WebState>,
    staff: Staff,
    Query(asked): Query<SearchQuery>,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let catalogue = super::record::catalogue(&state).await?;
    let RecordsList { rows, note, found, empty, .. } = results(&state, &staff, &asked).await?;
    Ok(html(&RecordsPage {
        texts,
        page: Page::staff(&state, &staff, texts.t("records-title")),
        query: asked.q,
        chosen: asked.class,
        classes: class_choices(&catalogue, texts),
        rows,
        note,
        found,
        empty,
    }))
}

pub(super) async fn search_fragment(
    State(state): State<WebState>,
    staff: Staff,
    Query(asked): Query<SearchQuery>,
) -> Result<Response, Failure> {
    Ok(html(&results(&state, &staff, &asked).await?))
}

fn class_choices(catalogue: &Catalogue, texts: Text) -> Vec<Choice> {
    let choice = |class: &Class| Choice {
        value: class.key.clone(),
        label: class.name(domain_language(texts)).to_owned(),
    };
    catalogue.classes().iter().map(choice).collect()
}

async fn results(
    state: &WebState,
    staff: &Staff,
    asked: &SearchQuery,
) -> Result<RecordsList, Failure> {
    let (texts, regions) = (staff.visit.texts, state.regions());
    let reader = staff.reader(state);
    let asked = asked.clone();
    let text: String = asked.q.trim().chars().take(100).collect();
    let is_blank = text.is_empty();
    let (rows, more, note) = ask(state, move |store| {
        let note = match code_of(&text) {
            Some(code) => joined_note(store, &code, texts)?,
            None => None,
        };
        let (rows, more) =
            find(store, &reader, &regions, &SearchQuery { q: text, ..asked }, texts)?;
        Ok::<_, Failure>((rows, more, note))
    })
    .await?;
    let found = if more {
        texts.t1("records-found-more", "n", rows.len())
    } else {
        texts.t1("records-found", "n", rows.len())
    };
    let empty = if is_blank { texts.t("records-none-yet") } else { texts.t("records-none-found") };
    Ok(RecordsList { texts, rows, note, found, empty })
}

fn find(
    store: &Store,
    reader: &Reader,
    regions: &[AddressCode],
    asked: &SearchQuery,
    texts: Text,
) -> Result<(Vec<ResultRow>, bool), Failure> {
    let region = regions.first().copied().unwrap_or(AddressCode::COUNTRY);
    let typed = code_of(&asked.q).map(|code| code.to_string());
    let text = typed.as_deref().unwrap_or(&asked.q);
    let (catalogue, Hits { hits, more }) = store.read(|connection| {
        let catalogue = catalogue::at(connection, region)?;
        let class = catalogue.class(&asked.class).map(|class| class.number);
        let search = Search { text, class, region, offset: 0, limit: SHOWN };
        let hits = records::search_within(connection, reader, &search, regions)?;
        Ok((catalogue, hits))
    })?;
    let mut names = PlaceNames::new(1);
    let mut rows = Vec::new();
    for hit in hits {
        let Some(class) = catalogue.by_number(hit.class) else { continue };
        let home = class.home(Part::Base, hit.place.address, hit.place.record);
        let shown = class.fields.iter().filter(|field| field.key != "name");
        let detail: Vec<&str> = shown
            .filter_map(|field| hit.fields.get(&field.key).map(String::as_str))
            .take(3)
            .collect();
        rows.push(ResultRow {
            href: record_href(&home),
            title: if hit.name.is_empty() { texts.t("record-unnamed") } else { hit.name },
            class: class.name(domain_language(texts)).to_owned(),
            place: place_today(store, &mut names, hit.place.address, texts)?,
            moved: match hit.moved_to {
                Some(place) => {
                    Some(texts.t1("record-moved-badge", "place", names.of(store, place.address)?))
                }
                None => None,
            },
            detail: detail.join(" · "),
            conflict: hit.conflicted,
            sync: sync_badge(store, texts, &home)?,
        });
    }
    Ok((rows, more))
}

/// The name of a place; of a village that was joined to another one, with the name of the other.
fn place_today(
    store: &Store,
    names: &mut PlaceNames,
    address: AddressCode,
    texts: Text,
) -> Result<String, Failure> {
    let name = names.of(store, address)?;
    let today = store.read(|connection| Ok(divisions::successor(connection, &address)))?;
    match today {
        Some(today) => {
            let today = names.of(store, today)?;
            Ok(texts.t2("place-joined", ("old", name), ("new", today)))
        }
        None => Ok(name),
    }
}
