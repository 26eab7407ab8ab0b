//! Changing a record: the form, and what happens when somebody else was faster.
//!
//! The form carries what its reader saw (`was.FIELD`). A field that others have changed since is
//! not written over at once: the form comes back, says what stands there now, and writes over it
//! when it is sent again.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::access::actor::Actor;
use cunlian_governance::library::catalogue::Part;
use cunlian_governance::library::edit::{self as domain, Edited};
use cunlian_governance::library::{Fields, Origin};

use super::form::{not_in_form, parts_of};
use super::record::{Loaded, RecordPath, SOURCE, base_of, load, record_href};
use super::register::{Before, Filled, FormPage, again, problems_in};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::visit::Staff;
use crate::state::WebState;

/// The record of a path as far as the person may read it, if it is still here to be changed.
async fn changeable(
    state: &WebState,
    staff: &Staff,
    (category, address, document): (String, String, String),
) -> Result<Loaded, Failure> {
    let reader = staff.person.author.serial;
    let loaded = ask(state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        load(store, &reader, class, place)
    })
    .await?;
    loaded.still_here()?;
    Ok(loaded)
}

pub(super) async fn edit_form(
    State(state): State<WebState>,
    staff: Staff,
    Path(path): RecordPath,
) -> Result<Response, Failure> {
    let loaded = changeable(&state, &staff, path).await?;
    let current = loaded.fields();
    let filled = Filled { values: current.clone(), ..Filled::default() };
    Ok(html(&edit_page(&state, &staff, &loaded, &current, filled)?))
}

fn edit_page(
    state: &WebState,
    staff: &Staff,
    loaded: &Loaded,
    current: &Fields,
    filled: Filled,
) -> Result<FormPage, Failure> {
    let texts = staff.visit.texts;
    let (class, place) = (&loaded.class, loaded.place);
    let actor = Actor::new(state.store().authority(), staff.person.author.serial);
    // A part that may be written but not read would be overwritten blindly.
    let may = |part: Part| {
        let home = class.home(part, place.address, place.record);
        actor.edits(&home)
    };
    let mut parts = parts_of(texts, class, &filled.values, &filled.problems, &may, false);
    if parts.is_empty() {
        return Err(Failure::Forbidden(texts.t("no-right-to-edit")));
    }
    let problems = problems_in(texts, filled.error, None, &mut parts);
    let href = record_href(&loaded.home());
    let before =
        |(name, text): (&String, &String)| Before { name: name.clone(), text: text.clone() };
    Ok(FormPage {
        texts,
        page: Page::staff(state, staff, texts.t1("edit-title", "name", loaded.name(texts))),
        action: format!("{href}/edit"),
        back: href,
        document: place.record.to_string(),
        before: current.iter().map(before).collect(),
        problems,
        address: None,
        parts,
        hidden: not_in_form(texts, class, &may),
    })
}

pub(super) async fn edit(
    State(state): State<WebState>,
    staff: Staff,
    Path(path): RecordPath,
    posted: Posted,
) -> Result<Response, Failure> {
    let loaded = changeable(&state, &staff, path).await?;
    let (mut fields, mut seen) = (Fields::new(), Fields::new());
    for (name, text) in posted.0 {
        match name.strip_prefix("was.") {
            Some(name) => drop(seen.insert(name.to_owned(), text)),
            None if name == "document" => {}
            None => drop(fields.insert(name, text)),
        }
    }
    let edited = Edited {
        fields: fields.clone(),
        seen: Some(seen.clone()),
        origin: Origin { source: SOURCE.to_owned(), task: String::new() },
    };
    let (class, place) = (loaded.class.clone(), loaded.place);
    let written =
        staff.act(&state, SOURCE, move |acting| domain::edit(acting, &class, place, &edited));
    match written.await {
        Ok(written) => {
            let saved = if written.changes.is_empty() { "" } else { "?saved=1" };
            let target = format!("{}{saved}", record_href(&written.home));
            Ok(Redirect::to(&target).into_response())
        }
        Err(failure) => {
            let filled = again(fields, &failure, &staff);
            // Who has been told what others wrote has seen it.
            seen.extend(failure.overtaken());
            let page = edit_page(&state, &staff, &loaded, &seen, filled)?;
            Ok(form_again(&page, failure.status()))
        }
    }
}
