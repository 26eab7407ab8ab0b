//! Records and conflicts as JSON.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cunlian_crdt::store::Store;
use cunlian_governance::catalogue::{Catalogue, Class, Part};
use cunlian_governance::query;
use cunlian_governance::query::record::Search;
use cunlian_governance::record::{self as domain, Fields, Origin, Place, RecordError};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use cunlian_protocol::rights::Rights;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Object};
use crate::text::Text;
use crate::web::WebState;
use crate::web::component::Height;
use crate::web::failure::Failure;
use crate::web::form::{Placed, placed};
use crate::web::reading::{ask, domain_language, height, progress};
use crate::web::record::joined_note;
use crate::web::record::relocation::plan;
use crate::web::writing::{new_document, save};

/// Most records in one answer.
const LIMIT_MAX: u32 = 1_000;
/// Where values sent by programs come from, unless they say otherwise.
const SOURCE: &str = "api";

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/api/v1/records", get(search).post(register))
        .route("/api/v1/records/{category}/{address}/{document}", get(show).put(edit))
        .route("/api/v1/records/{category}/{address}/{document}/move", post(relocate))
        .route("/api/v1/conflicts", get(conflicts))
}

/// How far up a document has come, for programs.
pub(super) const fn reached_name(height: Height) -> &'static str {
    match height {
        Height::Local => "local",
        Height::Town => "town",
        Height::County => "county",
        Height::Home => "home",
        Height::Refused => "refused",
        Height::Postponed => "postponed",
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    class: Option<String>,
    #[serde(default)]
    offset: u32,
    limit: Option<u32>,
}

async fn search(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let regions = state.regions();
    let reader = staff.person.author.serial;
    let l = staff.visit.l;
    let body = ask(&state, move |store| find(store, &reader, &regions, &asked, l)).await?;
    Ok(Json(body))
}

fn find(
    store: &Store,
    reader: &Serial,
    regions: &[AddressCode],
    asked: &Asked,
    l: Text,
) -> Result<Value, Failure> {
    let authority = store.authority();
    let may = |home: &Home| authority.may(reader, Rights::READ, home).is_ok();
    let region = regions.first().copied().unwrap_or(AddressCode::COUNTRY);
    let (catalogue, hits) = store.read(|connection| {
        let catalogue = query::catalogue(connection, region)?;
        let class = asked.class.as_deref().and_then(|key| catalogue.class(key));
        let search = Search {
            text: &asked.q,
            class: class.map(|class| class.number),
            region,
            offset: asked.offset,
            limit: asked.limit.unwrap_or(50).min(LIMIT_MAX),
        };
        let hits = query::record::search_as(connection, &search, regions, &may)?;
        Ok((catalogue.clone(), hits))
    })?;
    let mut records = Vec::new();
    for hit in hits.hits {
        let Some(class) = catalogue.by_number(hit.class) else { continue };
        let home = class.home(Part::Base, hit.place.address, hit.place.record);
        if may(&home) {
            records.push(json!({
                "class": class.key,
                "category": home.category.to_string(),
                "address": home.address,
                "document": home.document,
                "name": hit.name,
                "fields": hit.fields,
                "updated_ms": hit.updated_ms,
                "conflicted": hit.conflicted,
                "moved_to": hit.moved_to.map(|place| place_object(&class.key, place)),
                "reached": reached_name(height(store, &home)?),
            }));
        }
    }
    let note = match AddressCode::parse(asked.q.trim()) {
        Ok(code) => joined_note(store, &code, l)?,
        Err(_) => None,
    };
    Ok(json!({ "records": records, "more": hits.more, "note": note }))
}

/// A record elsewhere.
fn place_object(class: &str, place: Place) -> Value {
    json!({ "class": class, "address": place.address, "document": place.record })
}

#[derive(Deserialize)]
struct NewRecord {
    class: String,
    address: AddressCode,
    fields: Fields,
    document: Option<DocumentId>,
    source: Option<String>,
    task: Option<String>,
}

async fn catalogue(state: &WebState) -> Result<Catalogue, Failure> {
    let own = state.place().0;
    ask(state, move |store| store.read(|connection| query::catalogue(connection, own))).await
}

fn origin(source: Option<String>, task: Option<String>) -> Origin {
    let short = |text: String| text.chars().take(60).collect();
    Origin {
        source: source.map_or_else(|| SOURCE.to_owned(), short),
        task: task.map_or_else(String::new, short),
    }
}

async fn register(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Object(new): Object<NewRecord>,
) -> Result<Response, Failure> {
    let catalogue = catalogue(&state).await?;
    let class = catalogue.class(&new.class).ok_or_else(|| Failure::Malformed {
        reason: format!("there is no class {:?}", new.class),
        field: Some("class".to_owned()),
    })?;
    if new.address.level() < Level::Village {
        return Err(Failure::Malformed {
            reason: "a record belongs to a village or below".to_owned(),
            field: Some("address".to_owned()),
        });
    }
    let (address, l) = (new.address, staff.visit.l);
    if let Some(reason) = ask(&state, move |store| joined_note(store, &address, l)).await? {
        return Err(Failure::Malformed { reason, field: Some("address".to_owned()) });
    }
    let class = class.clone();
    let given = new.document.unwrap_or_else(new_document);
    let origin = origin(new.source, new.task);
    let _turn = state.0.forms.turn().await;
    let placed = ask(&state, move |store| {
        placed(store, given, |record| {
            let place = Place { address, record };
            domain::register(&catalogue, &new.class, place, &new.fields, &origin)
        })
    })
    .await?;
    match placed {
        Ok(Placed { document, writes, is_here }) => {
            let home = class.home(Part::Base, address, document);
            if is_here {
                return Ok(written(&home, StatusCode::OK, &[]));
            }
            let author = staff.person.author.clone();
            let changes = save(&state, author, writes, state.now_ms()).await?;
            Ok(written(&home, StatusCode::CREATED, &changes))
        }
        Err(error) => Ok(refused(&error, &staff)),
    }
}

fn written(home: &Home, status: StatusCode, changes: &[ChangeId]) -> Response {
    let body = json!({
        "category": home.category.to_string(),
        "address": home.address,
        "document": home.document,
        "changes": changes,
    });
    (status, Json(body)).into_response()
}

/// What is wrong with a record, field by field.
fn refused(error: &RecordError, staff: &crate::web::visit::Staff) -> Response {
    let l = staff.visit.l;
    let mut body = json!({
        "error": "malformed",
        "message": error.to_string(),
        "hint": l.t("failure-hint-malformed"),
    });
    if let (RecordError::Fields(problems), Some(object)) = (error, body.as_object_mut()) {
        let words: Fields = problems
            .iter()
            .map(|(key, problem)| (key.clone(), problem.message(domain_language(l))))
            .collect();
        object.insert("field".to_owned(), json!(problems.keys().next()));
        object.insert("fields".to_owned(), json!(words));
    }
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

type RecordPath = Path<(String, AddressCode, DocumentId)>;

/// The class and place of the base record in a path.
fn place_of(
    catalogue: &Catalogue,
    category: &str,
    address: AddressCode,
    record: DocumentId,
) -> Result<(Class, Place), Failure> {
    let category =
        u16::from_str_radix(category, 16).map(Category).map_err(|_| Failure::NotFound)?;
    let (class, part) = category.class_and_part().ok_or(Failure::NotFound)?;
    if part != Part::Base.number() {
        return Err(Failure::NotFound);
    }
    let class = catalogue.by_number(class).ok_or(Failure::NotFound)?.clone();
    Ok((class, Place { address, record }))
}

/// What `reader` may see of a record.
struct Texts {
    /// The texts of all parts that are here.
    fields: Fields,
    conflicts: Vec<Value>,
    /// The parts of the class that the reader has no right to.
    hidden: Vec<Part>,
    /// The parts that were erased, each with who did it and why.
    erased: Vec<(Part, Value)>,
}

impl Texts {
    /// Where the record is now; `None` while it is here.
    fn moved_to(&self) -> Option<Place> {
        self.fields.get(domain::MOVED_TO).and_then(|link| Place::from_link(link))
    }
}

fn texts(store: &Store, reader: &Serial, class: &Class, place: Place) -> Result<Texts, Failure> {
    let authority = store.authority();
    let (mut fields, mut conflicts, mut is_there) = (Fields::new(), Vec::new(), false);
    let (mut hidden, mut erased) = (Vec::new(), Vec::new());
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        if authority.may(reader, Rights::READ, &home).is_err() {
            hidden.push(part);
            continue;
        }
        let Some(view) = store.view(&home)? else { continue };
        is_there = true;
        if let Some(erasure) = &view.erased {
            let trace = json!({
                "part": part,
                "reason": erasure.reason,
                "author": erasure.by,
                "handler": authority.name(&erasure.by),
                "at_ms": erasure.at_ms,
                "change": erasure.change,
            });
            erased.push((part, trace));
        }
        for (key, field) in view.fields {
            if !field.others.is_empty() {
                let others = field.others.iter().map(|value| value.text.as_str());
                let values: Vec<&str> =
                    std::iter::once(field.current.text.as_str()).chain(others).collect();
                conflicts.push(json!({ "field": key, "values": values }));
            }
            fields.insert(key, field.current.text);
        }
    }
    if is_there { Ok(Texts { fields, conflicts, hidden, erased }) } else { Err(Failure::NotFound) }
}

async fn show(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Path((category, address, document)): RecordPath,
) -> Result<Json<Value>, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &category, address, document)?;
    let reader = staff.person.author.serial;
    ask(&state, move |store| {
        let found = texts(store, &reader, &class, place)?;
        let home = class.home(Part::Base, place.address, place.record);
        let (height, why) = progress(store, &home)?;
        let reached = reached_name(height);
        let moved_to = found.moved_to().map(|place| place_object(&class.key, place));
        let Texts { mut fields, conflicts, hidden, erased } = found;
        let erased: Vec<Value> = erased.into_iter().map(|(_, trace)| trace).collect();
        let moved_from = fields.get(domain::MOVED_FROM).and_then(|link| Place::from_link(link));
        fields.retain(|key, _| !domain::is_link(key));
        let class = &class.key;
        Ok::<_, Failure>(Json(json!({
            "class": class, "fields": fields, "conflicts": conflicts, "hidden": hidden,
            "erased": erased,
            "moved_to": moved_to,
            "moved_from": moved_from.map(|place| place_object(class, place)),
            "reached": reached,
            "reached_why": why,
        })))
    })
    .await
}

#[derive(Deserialize)]
struct Edited {
    fields: Fields,
    seen: Option<Fields>,
    source: Option<String>,
    task: Option<String>,
}

async fn edit(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Path((category, address, document)): RecordPath,
    Object(edited): Object<Edited>,
) -> Result<Response, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &category, address, document)?;
    let reader = staff.person.author.serial;
    let of_class = class.clone();
    let found = ask(&state, move |store| texts(store, &reader, &of_class, place)).await?;
    if let Some(place) = found.moved_to() {
        let l = staff.visit.l;
        return Err(Failure::Conflict(l.t1("record-moved-edit", "code", place.address)));
    }
    if found.erased.iter().any(|(part, _)| *part == Part::Base) {
        return Err(Failure::Conflict(staff.visit.l.t("record-erased")));
    }
    let seen = match edited.seen {
        Some(seen) => domain::with_masks(seen, &found.fields),
        None => found.fields,
    };
    let origin = origin(edited.source, edited.task);
    let home = class.home(Part::Base, place.address, place.record);
    match domain::edit(&catalogue, &class.key, place, &seen, &edited.fields, &origin) {
        Ok(writes) => {
            let author = staff.person.author.clone();
            let changes = save(&state, author, writes, state.now_ms()).await?;
            Ok(written(&home, StatusCode::OK, &changes))
        }
        Err(RecordError::Unchanged) => Ok(written(&home, StatusCode::OK, &[])),
        Err(error) => Ok(refused(&error, &staff)),
    }
}

#[derive(Deserialize)]
struct Move {
    village: AddressCode,
}

async fn relocate(
    State(state): State<WebState>,
    Caller(staff): Caller,
    Path((category, address, document)): RecordPath,
    Object(wanted): Object<Move>,
) -> Result<Response, Failure> {
    let catalogue = catalogue(&state).await?;
    let (class, place) = place_of(&catalogue, &category, address, document)?;
    let (author, l) = (staff.person.author.serial, staff.visit.l);
    let of_class = class.clone();
    let plan =
        ask(&state, move |store| plan(store, &author, &of_class, place, wanted.village, SOURCE, l))
            .await?;
    let changes = save(&state, staff.person.author.clone(), plan.writes, state.now_ms()).await?;
    let home = class.home(Part::Base, plan.place.address, plan.place.record);
    let status = if changes.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
    let body = json!({
        "category": home.category.to_string(),
        "address": home.address,
        "document": home.document,
        "parts": plan.taken,
        "left_behind": plan.left,
        "changes": changes,
    });
    Ok((status, Json(body)).into_response())
}

async fn conflicts(
    State(state): State<WebState>,
    Caller(staff): Caller,
) -> Result<Json<Value>, Failure> {
    let regions = state.regions();
    let reader = staff.reader(&state);
    ask(&state, move |store| {
        let found = store.read(|connection| {
            query::conflict::list_within(connection, &reader, &regions, LIMIT_MAX)
        })?;
        let conflicts: Vec<Value> = found
            .into_iter()
            .map(|conflict| {
                json!({
                    "category": conflict.home.category.to_string(),
                    "address": conflict.home.address,
                    "document": conflict.home.document,
                    "field": conflict.field,
                    "options": conflict.options,
                })
            })
            .collect();
        Ok::<_, Failure>(Json(json!({ "conflicts": conflicts })))
    })
    .await
}
