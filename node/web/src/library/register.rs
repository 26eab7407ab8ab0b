//! Registering a record: the choice of its class, and its form.
//!
//! The form is made from the catalogue and shows only the parts this person may write. The page
//! says in words what is not in it and why.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::access::actor::Actor;
use cunlian_governance::library::catalogue::{Class, Part};
use cunlian_governance::library::register::{self as domain, NewRecord, Written};
use cunlian_governance::library::{Fields, Origin};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use super::form::{FormPart, not_in_form, parts_of};
use super::record::{SOURCE, catalogue, record_href};
use crate::frame::code::code_of;
use crate::frame::component::{FieldInput, Problems};
use crate::frame::failure::Failure;
use crate::frame::form::Submission;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::place::village_choices;
use crate::frame::posted::Posted;
use crate::frame::text::{Text, domain_language};
use crate::frame::visit::Staff;
use crate::frame::writing::new_document;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "library/record_classes.html")]
struct ClassesPage {
    texts: Text,
    page: Page,
    classes: Vec<ClassView>,
}

struct ClassView {
    value: String,
    label: String,
    note: String,
}

pub(super) async fn classes(
    State(state): State<WebState>,
    staff: Staff,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let language = domain_language(texts);
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
    let page = Page::staff(&state, &staff, texts.t("register-choose"));
    Ok(html(&ClassesPage { texts, page, classes }))
}

/// What the editor saw in a field, sent back with the form.
pub(super) struct Before {
    pub(super) name: String,
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "library/record_form.html")]
pub(super) struct FormPage {
    pub(super) texts: Text,
    pub(super) page: Page,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) document: String,
    pub(super) before: Vec<Before>,
    pub(super) problems: Option<Problems>,
    pub(super) address: Option<FieldInput>,
    pub(super) parts: Vec<FormPart>,
    /// The parts that are not in the form, and why.
    pub(super) hidden: Option<String>,
}

/// A form as it is shown: values, problems, and what went wrong as a whole.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) values: Fields,
    pub(super) problems: BTreeMap<String, String>,
    pub(super) error: Option<String>,
}

pub(super) async fn new_form(
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
    let texts = staff.visit.texts;
    let language = domain_language(texts);
    let catalogue = catalogue(state).await?;
    let class = catalogue.class(class).ok_or(Failure::NotFound)?;
    let own = state.place().0;
    let writer = Actor::new(state.store().authority(), staff.person.author.serial);
    let may = |part: Part| {
        let address = if own.level() < Level::Village { None } else { Some(own) };
        may_write_somewhere(&writer, class.category(part), own, address, document)
    };
    let focus = filled.problems.is_empty();
    let mut parts = parts_of(texts, class, &filled.values, &filled.problems, &may, focus);
    if parts.is_empty() {
        return Err(Failure::Forbidden(texts.t("no-right-to-register")));
    }
    let hidden = not_in_form(texts, class, &may);
    let mut address = address_field(state, texts, own, &filled).await?;
    let problems = problems_in(texts, filled.error, Some(&mut address), &mut parts);
    Ok(FormPage {
        texts,
        page: Page::staff(state, staff, texts.t1("register-title", "class", class.name(language))),
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
    texts: Text,
    own: AddressCode,
    filled: &Filled,
) -> Result<FieldInput, Failure> {
    let typed = filled.values.get("address").cloned();
    let error = filled.problems.get("address").cloned();
    let field = if own.level() < Level::Village {
        let villages = village_choices(state, own).await?;
        FieldInput::choice(texts, "address", texts.t("record-village"), villages)
    } else {
        let hint = texts.t("record-address-hint");
        FieldInput { hint, max: 40, ..FieldInput::new(texts, "address", texts.t("record-address")) }
    };
    let fallback = if own.level() < Level::Village { "" } else { own.as_str() };
    let value = typed.unwrap_or_else(|| fallback.to_owned());
    Ok(FieldInput { value, error, required: true, ..field })
}

pub(super) async fn register(
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
    let written = staff.act(&state, SOURCE, move |acting| domain::register(acting, &new, intended));
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
pub(super) fn again(values: Fields, failure: &Failure, staff: &Staff) -> Filled {
    let problems = failure.problems(staff.visit.texts);
    let is_conflict = failure.status() == StatusCode::CONFLICT;
    let error = (problems.is_empty() || is_conflict).then(|| failure.words(&staff.visit));
    Filled { values, problems, error }
}

pub(super) fn problems_in(
    texts: Text,
    whole: Option<String>,
    address: Option<&mut FieldInput>,
    parts: &mut [FormPart],
) -> Option<Problems> {
    let fields = parts.iter_mut().flat_map(|part| &mut part.fields);
    Problems::of(texts, whole, address.into_iter().chain(fields))
}
