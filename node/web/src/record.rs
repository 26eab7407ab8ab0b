//! Library records: register and edit; searching is `search`, the page of one is `page`.
//!
//! The form is made from the catalogue and shows only the parts this person may write; what they
//! may not read is not on the page. Either way the page says in words what is not shown and why.
//! `relocation` moves a record to another village, `erasure` takes all of it away.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::divisions::{self, Resolution};
use cunlian_governance::library::catalogue::{self, Catalogue, Class, Part};

use cunlian_governance::library::edit::EditError;
use cunlian_governance::library::register::{self, NewRecord, Written};
use cunlian_governance::library::{Fields, Origin, Place, relocation as moves};
use cunlian_governance::refusal::Failed;
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, Serial};

use self::erasure::{choose_erase, do_erase};
use self::form::{FormPart, not_in_form, parts_of};
use self::page::show;
use self::relocation::{choose_move, do_move};
use self::search::{search, search_fragment};
use crate::code::code_of;
use crate::component::{FieldInput, Problems};
use crate::failure::Failure;
use crate::form::Submission;
use crate::layout::{Page, form_again, html};
use crate::posted::Posted;
use crate::reading::ask;
use crate::state::WebState;
use crate::text::{Text, domain_language};
use crate::village::village_choices;
use crate::visit::Staff;
use crate::writing::new_document;

mod edit;
mod erasure;
mod form;
mod page;
pub(crate) mod relocation;
mod search;

/// Where values typed at a terminal come from.
const SOURCE: &str = "terminal";

pub(crate) fn routes() -> Router<WebState> {
    Router::new()
        .route("/records", get(search))
        .route("/fragment/records", get(search_fragment))
        .route("/records/new", get(classes))
        .route("/records/new/{class}", get(new_form).post(register_form))
        .route("/records/{category}/{address}/{document}", get(show))
        .route(
            "/records/{category}/{address}/{document}/edit",
            get(edit::edit_form).post(edit::edit),
        )
        .route("/records/{category}/{address}/{document}/move", get(choose_move).post(do_move))
        .route("/records/{category}/{address}/{document}/erase", get(choose_erase).post(do_erase))
}

/// The path of a record's page.
pub(crate) fn record_href(home: &Home) -> String {
    format!("/records/{}/{}/{}", home.category, home.address, home.document)
}

/// Where a value came from, in words.
pub(crate) fn source_name(l: Text, source: &str) -> String {
    let key = format!("source-{source}");
    if l.has(&key) { l.of("source", source) } else { source.to_owned() }
}

/// The catalogue that holds at this node.
async fn catalogue(state: &WebState) -> Result<Catalogue, Failure> {
    let own = state.place().0;
    ask(state, move |store| store.read(|connection| catalogue::at(connection, own))).await
}

#[derive(Template)]
#[template(path = "library/record_classes.html")]
struct ClassesPage {
    l: Text,
    page: Page,
    classes: Vec<ClassView>,
}

struct ClassView {
    value: String,
    label: String,
    note: String,
}

async fn classes(State(state): State<WebState>, staff: Staff) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let language = domain_language(l);
    let catalogue = catalogue(&state).await?;
    let view = |class: &Class| ClassView {
        value: class.key.clone(),
        label: class.name(language).to_owned(),
        note: class
            .fields
            .iter()
            .take(4)
            .map(|field| field.name(language))
            .collect::<Vec<_>>()
            .join(if language == cunlian_governance::language::Language::Chinese {
                "、"
            } else {
                ", "
            }),
    };
    let classes = catalogue.classes().iter().map(view).collect();
    let page = Page::staff(&state, &staff, l.t("register-choose"));
    Ok(html(&ClassesPage { l, page, classes }))
}

/// What the editor saw in a field, sent back with the form.
struct Before {
    name: String,
    text: String,
}

#[derive(Template)]
#[template(path = "library/record_form.html")]
struct FormPage {
    l: Text,
    page: Page,
    action: String,
    back: String,
    document: String,
    before: Vec<Before>,
    problems: Option<Problems>,
    address: Option<FieldInput>,
    parts: Vec<FormPart>,
    /// The parts that are not in the form, and why.
    hidden: Option<String>,
}

/// A form as it is shown: values, problems, and what went wrong as a whole.
#[derive(Default)]
struct Filled {
    values: Fields,
    problems: BTreeMap<String, String>,
    error: Option<String>,
}

async fn new_form(
    State(state): State<WebState>,
    staff: Staff,
    Path(class): Path<String>,
) -> Result<Response, Failure> {
    let filled = Filled::default();
    Ok(html(&register_page(&state, &staff, &class, new_document(), filled).await?))
}

async fn register_page(
    state: &WebState,
    staff: &Staff,
    class: &str,
    document: DocumentId,
    filled: Filled,
) -> Result<FormPage, Failure> {
    let l = staff.visit.l;
    let language = domain_language(l);
    let catalogue = catalogue(state).await?;
    let class = catalogue.class(class).ok_or(Failure::NotFound)?;
    let own = state.place().0;
    let writer = Actor::new(state.store().authority(), staff.person.author.serial);
    let may = |part: Part| {
        let address = if own.level() < Level::Village { None } else { Some(own) };
        may_write_somewhere(&writer, class.category(part), own, address, document)
    };
    let focus = filled.problems.is_empty();
    let mut parts = parts_of(l, class, &filled.values, &filled.problems, &may, focus);
    if parts.is_empty() {
        return Err(Failure::Forbidden(l.t("no-right-to-register")));
    }
    let hidden = not_in_form(l, class, &may);
    let mut address = address_field(state, l, own, &filled).await?;
    let problems = problems_in(l, filled.error, Some(&mut address), &mut parts);
    Ok(FormPage {
        l,
        page: Page::staff(state, staff, l.t1("register-title", "class", class.name(language))),
        action: format!("/records/new/{}", class.key),
        back: "/records/new".to_owned(),
        document: document.to_string(),
        before: Vec::new(),
        problems,
        address: Some(address),
        parts,
        hidden,
    })
}

/// Whether a new document of `category` may be written at `address`, or anywhere in `own`.
fn may_write_somewhere(
    writer: &Actor,
    category: Category,
    own: AddressCode,
    address: Option<AddressCode>,
    document: DocumentId,
) -> bool {
    if let Some(address) = address {
        let home = Home { category, address, document };
        return writer.writes(&home);
    }
    let overlaps = |prefix: &AddressCode| own.contains(prefix) || prefix.contains(&own);
    writer.writing(category).any(|grant| overlaps(&grant.region.prefix))
}

async fn address_field(
    state: &WebState,
    l: Text,
    own: AddressCode,
    filled: &Filled,
) -> Result<FieldInput, Failure> {
    let typed = filled.values.get("address").cloned();
    let error = filled.problems.get("address").cloned();
    let field = if own.level() < Level::Village {
        let villages = village_choices(state, own).await?;
        FieldInput::choice(l, "address", l.t("record-village"), villages)
    } else {
        let hint = l.t("record-address-hint");
        FieldInput { hint, max: 40, ..FieldInput::new(l, "address", l.t("record-address")) }
    };
    let fallback = if own.level() < Level::Village { "" } else { own.as_str() };
    let value = typed.unwrap_or_else(|| fallback.to_owned());
    Ok(FieldInput { value, error, required: true, ..field })
}

async fn register_form(
    State(state): State<WebState>,
    staff: Staff,
    Path(class_key): Path<String>,
    posted: Posted,
) -> Result<Response, Failure> {
    let submission = Submission::of(&class_key, &posted, None)?;
    let _turn = state.0.forms.turn().await;
    let mut fields: Fields = posted.0;
    fields.remove("document");
    let typed = fields.remove("address").unwrap_or_default();
    let new = NewRecord {
        class: class_key.clone(),
        address: code_of(&typed),
        fields: fields.clone(),
        origin: Origin { source: SOURCE.to_owned(), task: String::new() },
    };
    let intended = submission.intended();
    let written =
        staff.act(&state, SOURCE, move |acting| register::register(acting, &new, intended));
    match written.await {
        Ok(Written { home, .. }) => {
            let saved = submission.kept(&state);
            Ok(Redirect::to(&format!("{}?saved={saved}", record_href(&home))).into_response())
        }
        Err(failure) => {
            fields.insert("address".to_owned(), typed);
            let filled = again(fields, &failure, &staff);
            let page = register_page(&state, &staff, &class_key, submission.form, filled).await?;
            Ok(form_again(&page, failure.status()))
        }
    }
}

/// The form as it was sent, with what is wrong.
fn again(values: Fields, failure: &Failure, staff: &Staff) -> Filled {
    let problems = failure.problems(staff.visit.l);
    let is_conflict = failure.status() == StatusCode::CONFLICT;
    let error = (problems.is_empty() || is_conflict).then(|| failure.words(&staff.visit));
    Filled { values, problems, error }
}

fn problems_in(
    l: Text,
    whole: Option<String>,
    address: Option<&mut FieldInput>,
    parts: &mut [FormPart],
) -> Option<Problems> {
    let fields = parts.iter_mut().flat_map(|part| &mut part.fields);
    Problems::of(l, whole, address.into_iter().chain(fields))
}

/// A record's documents, as far as `reader` may see them.
struct Loaded {
    class: Class,
    place: Place,
    views: Vec<(Part, DocumentView)>,
    /// The parts of the class this reader has no right to.
    hidden: Vec<Part>,
}

/// Class and place of the base record in a path.
fn base_of(
    store: &Store,
    category: &str,
    address: &str,
    document: &str,
) -> Result<(Class, Place), Failure> {
    let category = u16::from_str_radix(category, 16).map_err(|_| Failure::NotFound)?;
    let (class, part) = Category(category).class_and_part().ok_or(Failure::NotFound)?;
    if part != Part::Base.number() {
        return Err(Failure::NotFound);
    }
    let address = AddressCode::parse(address).map_err(|_| Failure::NotFound)?;
    let record = document.parse().map_err(|_| Failure::NotFound)?;
    let catalogue = store.read(|connection| catalogue::at(connection, address))?;
    let class = catalogue.by_number(class).ok_or(Failure::NotFound)?.clone();
    Ok((class, Place { address, record }))
}

/// That the village of `code` was joined to another one, and which; `None` when it was not.
pub(crate) fn joined_note(
    store: &Store,
    code: &AddressCode,
    l: Text,
) -> Result<Option<String>, Failure> {
    let code = *code;
    let found = store.read(|connection| Ok(divisions::resolve(connection, &code)))?;
    // A damaged or missing register must not take a page down.
    let Ok(Resolution::Succeeded { from, to }) = found else { return Ok(None) };
    let names: Vec<String> = to.iter().map(|to| format!("{} {}", to.name, to.code)).collect();
    Ok(Some(l.t2("village-joined", ("old", from.name), ("new", names.join(l.t("and").as_str())))))
}

/// The names of parts, as people list them.
pub(crate) fn part_names(l: Text, parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.name(domain_language(l))).collect();
    names.join(l.t("and").as_str())
}

fn load(store: &Store, reader: &Serial, class: Class, place: Place) -> Result<Loaded, Failure> {
    let actor = Actor::new(store.authority(), *reader);
    let (mut views, mut hidden) = (Vec::new(), Vec::new());
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        if !actor.reads(&home) {
            hidden.push(part);
            continue;
        }
        if let Some(view) = store.view(&home)? {
            views.push((part, view));
        }
    }
    if !views.iter().any(|(part, _)| *part == Part::Base) {
        return Err(Failure::NotFound);
    }
    Ok(Loaded { class, place, views, hidden })
}

impl Loaded {
    fn fields(&self) -> Fields {
        let all = self.views.iter().flat_map(|(_, view)| &view.fields);
        all.map(|(key, field)| (key.clone(), field.current.text.clone())).collect()
    }

    fn home(&self) -> Home {
        self.class.home(Part::Base, self.place.address, self.place.record)
    }

    /// The name: of a child the whole one, where the reader may see it.
    fn name(&self, l: Text) -> String {
        let mut fields = self.fields();
        let named = self.class.fields.iter();
        let mut behind = named.filter(|field| field.stands_in.as_deref() == Some("name"));
        let whole = behind.find_map(|field| fields.get(&field.key)).cloned();
        let unnamed = || l.t(if self.is_erased() { "record-erased" } else { "record-unnamed" });
        whole.or_else(|| fields.remove("name")).unwrap_or_else(unnamed)
    }

    fn base(&self) -> Option<&DocumentView> {
        self.views.iter().find(|(part, _)| *part == Part::Base).map(|(_, view)| view)
    }

    /// Whether nothing is left of it but that it was erased.
    fn is_erased(&self) -> bool {
        self.base().is_some_and(|base| base.erased.is_some())
    }

    /// Where the record is now; `None` while it is here.
    fn moved_to(&self) -> Option<Place> {
        self.base().and_then(moves::moved_to)
    }

    /// Refuses to change what has moved away or was erased.
    fn still_here(&self) -> Result<(), Failure> {
        let refused = |error: EditError| Err(Failed::Refused(error).into());
        if self.is_erased() {
            return refused(EditError::Erased);
        }
        match self.moved_to() {
            Some(place) => refused(EditError::Moved { to: place.address }),
            None => Ok(()),
        }
    }
}

type RecordPath = Path<(String, String, String)>;
