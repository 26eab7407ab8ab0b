//! Records as JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET records?q=&class=&offset=&limit=` | | `{records, more, note}` |
//! | `POST records` | `{class, address, fields, document?}` | 201 `{category, address, document, changes}` |
//! | `GET records/CATEGORY/ADDRESS/DOCUMENT` | | `{class, fields, conflicts, hidden, erased, moved_to, moved_from, reached}` |
//! | `PUT records/CATEGORY/ADDRESS/DOCUMENT` | `{fields, seen?}` | `{…, changes}` |
//! | `POST records/CATEGORY/ADDRESS/DOCUMENT/move` | `{village}` | 201 `{category, address, document, parts, left_behind, changes}` |

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::library::catalogue::{self, Catalogue, Class, Part};
use cunlian_governance::library::query::{self as records, Search};
use cunlian_governance::library::{self as domain, Fields, Origin, Place};
use cunlian_governance::submission::Intended;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::id::{DocumentId, Serial};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use self::answer::{
    Concurrent, Elsewhere, ErasedPart, Found, FoundRecord, MovedRecord, Record, WrittenRecord,
};
use crate::frame::api::extract::{
    Caller, Named, Nothing, Object, StrictQuery, Texts, limit, short,
};
use crate::frame::api::names::{Address, CategoryNumber, Document};
use crate::frame::api::reached::Reached;
use crate::frame::api::refusal::{Always, ToFinders, ToPeople, ToWriters};
use crate::frame::failure::Failure;
use crate::frame::place::joined_note;
use crate::frame::reading::{ask, height, progress};
use crate::frame::text::Text;
use crate::frame::writing::new_document;
use crate::state::WebState;

pub(super) mod answer;

/// Most records in one answer.
const LIMIT_MAX: u32 = 1_000;
/// Records in one answer where nothing is said about it.
const LIMIT: u32 = 50;
/// Where values sent by programs come from, unless they say otherwise.
const SOURCE: &str = "api";

/// How these calls are described.
#[derive(OpenApi)]
#[openapi(paths(search, register, show, edit, relocate))]
pub(crate) struct Interface;

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/v1/records", get(search).post(register))
        .route("/api/v1/records/{category}/{address}/{document}", get(show).put(edit))
        .route("/api/v1/records/{category}/{address}/{document}/move", post(relocate))
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Name, pinyin, initials, address code, or digits of a number; all records without it.
    #[serde(default)]
    q: String,
    /// Key of one class, such as `population`; all classes without it.
    #[param(min_length = 1)]
    class: Option<String>,
    /// How many to leave out.
    #[serde(default)]
    #[param(maximum = 4_294_967_295_i64, format = Int64)]
    offset: u32,
    /// How many to give; 50 without it.
    #[param(maximum = 1000)]
    limit: Option<u32>,
}

/// Finds records by what people type, those of the node's region that the caller may read.
#[utoipa::path(get, path = "/api/v1/records", tag = "records", params(Wanted),
    responses((status = 200, body = Found), ToPeople, Always))]
async fn search(
    State(state): State<WebState>,
    Caller(staff): Caller,
    StrictQuery(wanted): StrictQuery<Wanted>,
) -> Result<Json<Found>, Failure> {
    let limit = limit(wanted.limit, LIMIT, LIMIT_MAX)?;
    let regions = state.regions();
    let reader = staff.reader(&state);
    let texts = staff.visit.texts;
    let found = ask(&state, move |store| find(store, &reader, &regions, &wanted, limit, texts));
    Ok(Json(found.await?))
}

fn find(
    store: &Store,
    reader: &Reader,
    regions: &[AddressCode],
    wanted: &Wanted,
    limit: u32,
    texts: Text,
) -> Result<Found, Failure> {
    let region = regions.first().copied().unwrap_or(AddressCode::COUNTRY);
    let catalogue = store.read(|connection| catalogue::at(connection, region))?;
    let class = match &wanted.class {
        Some(key) => Some(class_named(&catalogue, key)?.number),
        None => None,
    };
    let search = Search { text: &wanted.q, class, region, offset: wanted.offset, limit };
    let hits =
        store.read(|connection| records::search_within(connection, reader, &search, regions))?;
    let mut records = Vec::new();
    for hit in hits.hits {
        let Some(class) = catalogue.by_number(hit.class) else { continue };
        let home = class.home(Part::Base, hit.place.address, hit.place.record);
        records.push(FoundRecord {
            class: class.key.clone(),
            category: home.category.to_string(),
            address: home.address,
            document: home.document,
            name: hit.name,
            fields: hit.fields,
            updated_ms: hit.updated_ms,
            conflicted: hit.conflicted,
            moved_to: hit.moved_to.map(|place| Elsewhere::new(&class.key, place)),
            reached: height(store, &home)?.into(),
        });
    }
    let note = match AddressCode::parse(wanted.q.trim()) {
        Ok(code) => joined_note(store, &code, texts)?,
        Err(_) => None,
    };
    Ok(Found { records, more: hits.more, note })
}

fn class_named<'a>(catalogue: &'a Catalogue, key: &str) -> Result<&'a Class, Failure> {
    catalogue.class(key).ok_or_else(|| {
        let known: Vec<&str> = catalogue.classes().iter().map(|class| class.key.as_str()).collect();
        about("class", format!("there is no class {key:?}; there are {}", known.join(", ")))
    })
}

fn about(field: &str, reason: String) -> Failure {
    Failure::Malformed { reason, field: Some(field.to_owned()) }
}

/// A record to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecord {
    /// Key of a class of the catalogue, such as `population`.
    #[schema(min_length = 1)]
    class: String,
    /// Address code of a village or below.
    #[schema(value_type = Address)]
    address: AddressCode,
    /// Texts by key of the field; those of the class, and only these.
    fields: Texts,
    /// 32 hexadecimal digits that the caller has chosen: makes the call safe to repeat.
    #[schema(value_type = Option<Document>)]
    document: Option<DocumentId>,
    /// Where the values come from; `api` without it.
    #[schema(max_length = 60)]
    source: Option<String>,
    /// What they belong to, such as the number of a survey.
    #[schema(max_length = 60)]
    task: Option<String>,
}

async fn catalogue(state: &WebState) -> Result<Catalogue, Failure> {
    let own = state.place().0;
    ask(state, move |store| store.read(|connection| catalogue::at(connection, own))).await
}

fn origin(source: Option<&str>, task: Option<&str>) -> Result<Origin, Failure> {
    Ok(Origin {
        source: source.map_or_else(|| Ok(SOURCE.to_owned()), |text| short("source", text))?,
        task: task.map_or_else(|| Ok(String::new()), |text| short("task", text))?,
    })
}

/// Makes a record. A call with the `document` and the content of one before answers 200 and
/// changes nothing; with other content it makes another record.
#[utoipa::path(post, security(("session" = [], "token" = [])), path = "/api/v1/records", tag = "records", request_body = NewRecord,
    responses((status = 201, body = WrittenRecord), (status = 200, body = WrittenRecord), ToPeople, Always, ToWriters))]
async fn register(
    State(state): State<WebState>,
    Caller(staff): Caller,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(new): Object<NewRecord>,
) -> Result<Response, Failure> {
    let intended = Intended::Chosen(new.document.unwrap_or_else(new_document));
    let new = domain::register::NewRecord {
        origin: origin(new.source.as_deref(), new.task.as_deref())?,
        class: new.class,
        address: Some(new.address),
        fields: new.fields.0,
    };
    let _turn = state.0.forms.turn().await;
    let written = staff
        .act(&state, SOURCE, move |acting| domain::register::register(acting, &new, intended))
        .await?;
    let is_new = !written.changes.is_empty();
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(WrittenRecord::new(&written.home, written.changes))).into_response())
}

/// Which record.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct RecordPath {
    /// Category of its base document, 4 hexadecimal digits.
    #[param(value_type = CategoryNumber)]
    category: String,
    /// Its address code.
    #[param(value_type = Address)]
    address: AddressCode,
    /// Its base document, 32 hexadecimal digits.
    #[param(value_type = Document)]
    document: DocumentId,
}

/// The class and place of the base record in a path.
fn place_of(catalogue: &Catalogue, path: &RecordPath) -> Result<(Class, Place), Failure> {
    let category =
        u16::from_str_radix(&path.category, 16).map(Category).map_err(|_| Failure::NotFound)?;
    let (class, part) = category.class_and_part().ok_or(Failure::NotFound)?;
    if part != Part::Base.number() {
        return Err(Failure::NotFound);
    }
    let class = catalogue.by_number(class).ok_or(Failure::NotFound)?.clone();
    Ok((class, Place { address: path.address, record: path.document }))
}

/// What `reader` may see of a record.
struct Seen {
    /// The texts of all parts that are here.
    fields: Fields,
    conflicts: Vec<Concurrent>,
    /// The parts of the class that the reader has no right to.
    hidden: Vec<Part>,
    /// The parts that were erased.
    erased: Vec<ErasedPart>,
}

impl Seen {
    /// Where the record is now; `None` while it is here.
    fn moved_to(&self) -> Option<Place> {
        self.fields.get(domain::relocation::MOVED_TO).and_then(|link| Place::from_link(link))
    }
}

fn texts(store: &Store, reader: &Serial, class: &Class, place: Place) -> Result<Seen, Failure> {
    let authority = store.authority();
    let actor = Actor::new(Arc::clone(&authority), *reader);
    let (mut fields, mut conflicts, mut is_there) = (Fields::new(), Vec::new(), false);
    let (mut hidden, mut erased) = (Vec::new(), Vec::new());
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        if !actor.reads(&home) {
            hidden.push(part);
            continue;
        }
        let Some(view) = store.view(&home)? else { continue };
        is_there = true;
        if let Some(erasure) = &view.erased {
            erased.push(ErasedPart {
                part,
                reason: erasure.reason.clone(),
                author: erasure.by,
                handler: authority.name(&erasure.by),
                at_ms: erasure.at_ms,
                change: erasure.change,
            });
        }
        for (key, field) in view.fields {
            if !field.others.is_empty() {
                let others = field.others.iter().map(|value| value.text.clone());
                let values = std::iter::once(field.current.text.clone()).chain(others).collect();
                conflicts.push(Concurrent { field: key.clone(), values });
            }
            fields.insert(key, field.current.text);
        }
    }
    if is_there { Ok(Seen { fields, conflicts, hidden, erased }) } else { Err(Failure::NotFound) }
}

/// A record with all parts that the caller may read.
#[utoipa::path(get, path = "/api/v1/records/{category}/{address}/{document}", tag = "records",
    params(RecordPath), responses((status = 200, body = Record), ToPeople, Always, ToFinders))]
async fn show(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Named(path): Named<RecordPath>,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
) -> Result<Json<Record>, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &path)?;
    let reader = staff.person.author.serial;
    ask(&state, move |store| {
        let found = texts(store, &reader, &class, place)?;
        let home = class.home(Part::Base, place.address, place.record);
        let (height, reached_why) = progress(store, &home)?;
        let elsewhere = |place| Elsewhere::new(&class.key, place);
        let moved_to = found.moved_to().map(elsewhere);
        let Seen { mut fields, conflicts, hidden, erased } = found;
        let moved_from =
            fields.get(domain::relocation::MOVED_FROM).and_then(|link| Place::from_link(link));
        fields.retain(|key, _| !domain::relocation::is_link(key));
        Ok::<_, Failure>(Json(Record {
            class: class.key.clone(),
            fields,
            conflicts,
            hidden,
            erased,
            moved_to,
            moved_from: moved_from.map(elsewhere),
            reached: Reached::from(height),
            reached_why,
        }))
    })
    .await
}

/// What is to be changed in a record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edited {
    /// New texts by key of the field; an empty text deletes. Fields without a key here stay.
    fields: Texts,
    /// The texts that the caller saw when it decided. What somebody changed since then is not
    /// written over: the call answers 409 and names the fields. Without it the texts of now.
    seen: Option<Texts>,
    /// Where the values come from; `api` without it.
    #[schema(max_length = 60)]
    source: Option<String>,
    /// What they belong to, such as the number of a survey.
    #[schema(max_length = 60)]
    task: Option<String>,
}

/// Changes fields of a record. Texts that are as they were change nothing.
#[utoipa::path(put, security(("session" = [], "token" = [])), path = "/api/v1/records/{category}/{address}/{document}", tag = "records",
    params(RecordPath), request_body = Edited,
    responses((status = 200, body = WrittenRecord), ToPeople, Always, ToFinders, ToWriters))]
async fn edit(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Named(path): Named<RecordPath>,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(edited): Object<Edited>,
) -> Result<Response, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &path)?;
    let edited = domain::edit::Edited {
        origin: origin(edited.source.as_deref(), edited.task.as_deref())?,
        fields: edited.fields.0,
        seen: edited.seen.map(|Texts(seen)| seen),
    };
    let written = staff
        .act(&state, SOURCE, move |acting| domain::edit::edit(acting, &class, place, &edited))
        .await?;
    Ok(Json(WrittenRecord::new(&written.home, written.changes)).into_response())
}

/// Where a record is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// Address code of a village.
    #[schema(value_type = Address)]
    village: AddressCode,
}

/// Moves a record to another village, with the parts that the caller may write there.
#[utoipa::path(post, security(("session" = [], "token" = [])), path = "/api/v1/records/{category}/{address}/{document}/move",
    tag = "records", params(RecordPath), request_body = Move,
    responses((status = 201, body = MovedRecord), (status = 200, body = MovedRecord), ToPeople, Always, ToFinders, ToWriters))]
async fn relocate(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Named(path): Named<RecordPath>,
    StrictQuery(Nothing {}): StrictQuery<Nothing>,
    Object(wanted): Object<Move>,
) -> Result<Response, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &path)?;
    let moved = staff
        .act(&state, SOURCE, move |acting| {
            domain::relocate::relocate(acting, &class, place, wanted.village)
        })
        .await?;
    let status = if moved.changes.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
    let moved = MovedRecord {
        record: WrittenRecord::new(&moved.home, moved.changes),
        parts: moved.taken,
        left_behind: moved.left,
    };
    Ok((status, Json(moved)).into_response())
}
