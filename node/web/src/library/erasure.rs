//! Erasing everything about a person or a place, on their demand (PIPL art. 47): what will go,
//! why, and a step to confirm it. For who has the right to erase the record.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::access::actor::Actor;
use cunlian_governance::library::catalogue::Part;
use cunlian_host::admin::erasure::ErasureRequest;
use cunlian_host::admin::people::Password;
use cunlian_protocol::change::Home;

use super::record::{RecordPath, base_of, load, part_names, record_href};
use crate::frame::administrator::{act, problem};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::place::place_name;
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::text::{Text, domain_language};
use crate::frame::visit::Staff;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "library/record_erase.html")]
struct ErasePage {
    texts: Text,
    page: Page,
    back: String,
    action: String,
    name: String,
    lead: String,
    error: Option<String>,
    reason: String,
}

pub(super) async fn choose_erase(
    State(state): State<WebState>,
    staff: Staff,
    Path(path): RecordPath,
) -> Result<Response, Failure> {
    show(&state, &staff, path, String::new(), None).await
}

async fn show(
    state: &WebState,
    staff: &Staff,
    (category, address, document): (String, String, String),
    reason: String,
    error: Option<String>,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let author = staff.person.author.serial;
    let found = ask(state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let loaded = load(store, &author, class, place)?;
        let home = loaded.home();
        if !Actor::new(store.authority(), author).erases(&home) {
            return Err(Failure::Forbidden(texts.t("erase-forbidden")));
        }
        let place = place_name(store, &home.address)?;
        let kind = loaded.class.name(domain_language(texts)).to_owned();
        let parts: Vec<Part> = loaded.class.parts().collect();
        let lead = texts.with(
            "erase-lead",
            &[
                ("name", &loaded.name(texts)),
                ("place", &place),
                ("parts", &part_names(texts, &parts)),
            ],
        );
        Ok((home, loaded.name(texts), kind, lead, loaded.is_erased()))
    });
    let (home, name, kind, lead, is_erased) = found.await?;
    let back = record_href(&home);
    if is_erased {
        return Ok(Redirect::to(&back).into_response());
    }
    let action = format!("{back}/erase");
    let page = Page::staff(state, staff, texts.t1("erase-title", "kind", kind));
    Ok(html(&ErasePage { texts, page, back, action, name, lead, error, reason }))
}

pub(super) async fn do_erase(
    State(state): State<WebState>,
    staff: Staff,
    Path(path): RecordPath,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let reason = posted.text("reason").to_owned();
    if reason.is_empty() || posted.text("sure") != "yes" {
        let error = texts.t(if reason.is_empty() { "erase-no-reason" } else { "erase-not-sure" });
        return show(&state, &staff, path, reason, Some(error)).await;
    }
    let (category, address, document) = path.clone();
    let home = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        Ok::<Home, Failure>(class.home(Part::Base, place.address, place.record))
    })
    .await?;
    let wish = ErasureRequest {
        address: home.address.as_str().to_owned(),
        category: home.category.to_string(),
        document: home.document.to_string(),
        person: true,
        reason: reason.clone(),
        login: String::new(),
        password: Password::new(String::new()),
    };
    let author = staff.person.author.clone();
    match act(&state, move |administration| administration.erase_as(&author, &wish)).await {
        Ok(_) => Ok(Redirect::to(&record_href(&home)).into_response()),
        Err(error) => show(&state, &staff, path, reason, Some(problem(texts, &error))).await,
    }
}
