//! Moving a record to another village: choose where, see what goes along and what stays, confirm.
//!
//! Only for who may write in both villages, which is the town and above. Everything is one call of
//! the store: after a power cut either all of it is there or none.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::divisions::Status;
use cunlian_governance::library::catalogue::Part;
use cunlian_governance::library::relocate::{self as moves, relocate};
use cunlian_governance::library::relocation::{self, RelocationError};
use cunlian_governance::refusal::{Failed, Refused as _};
use cunlian_protocol::address::{AddressCode, Level};
use serde::Deserialize;

use super::record::{Loaded, RecordPath, SOURCE, base_of, load, part_names, record_href};
use crate::frame::code::code_of;
use crate::frame::component::{Choice, FieldInput};
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::place::{name_of, place_name, villages_of};
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "library/record_move.html")]
struct MovePage {
    texts: Text,
    page: Page,
    back: String,
    action: String,
    error: Option<String>,
    from: String,
    /// The choice of a village; after it, what is to be confirmed.
    choice: Option<FieldInput>,
    village: String,
    to: String,
    goes: String,
    stays: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct MoveQuery {
    #[serde(default)]
    village: String,
}

/// The villages of these regions to which `author` may move a record of this class.
fn villages(
    store: &Store,
    actor: &Actor,
    loaded: &Loaded,
    regions: &[AddressCode],
) -> Result<Vec<Choice>, Failure> {
    let own = loaded.place.address.truncate(Level::Village);
    Ok(store.read(|connection| {
        let listed = regions.iter().flat_map(|region| villages_of(connection, region));
        let open = listed.filter(|village| {
            let there = relocation::destination(loaded.place, village.code);
            let home = loaded.class.home(Part::Base, there.address, there.record);
            village.status == Status::Active && Some(village.code) != own && actor.edits(&home)
        });
        let choice = |code: AddressCode| Choice {
            value: code.to_string(),
            label: name_of(connection, &code, 2),
        };
        Ok(open.map(|village| choice(village.code)).collect())
    })?)
}

pub(super) async fn choose_move(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): RecordPath,
    Query(asked): Query<MoveQuery>,
) -> Result<Response, Failure> {
    let (texts, regions) = (staff.visit.texts, state.regions());
    let author = staff.person.author.serial;
    let frame = Page::staff(&state, &staff, String::new());
    let page = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let loaded = load(store, &author, class, place)?;
        loaded.still_here()?;
        let actor = Actor::new(store.authority(), author);
        if !moves::may_move(&actor, &loaded.home()) {
            return Err(Failed::Refused(RelocationError::NoRight).into());
        }
        move_page(store, &actor, &loaded, &regions, &asked.village, frame, texts)
    })
    .await?;
    Ok(html(&page))
}

fn move_page(
    store: &Store,
    actor: &Actor,
    loaded: &Loaded,
    regions: &[AddressCode],
    typed: &str,
    frame: Page,
    texts: Text,
) -> Result<MovePage, Failure> {
    let back = record_href(&loaded.home());
    let mut page = MovePage {
        texts,
        page: Page { title: texts.t1("move-title", "name", loaded.name(texts)), ..frame },
        action: format!("{back}/move"),
        back,
        error: None,
        from: place_name(store, &loaded.place.address)?,
        choice: None,
        village: String::new(),
        to: String::new(),
        goes: String::new(),
        stays: None,
    };
    let village = code_of(typed);
    let planned =
        village.map(|to| moves::plan(store, actor, &loaded.class, loaded.place, to, SOURCE));
    match planned {
        Some(Ok(plan)) => {
            page.village = plan.place.address.to_string();
            page.to = place_name(store, &plan.place.address)?;
            page.goes = part_names(texts, &plan.taken);
            page.stays = (!plan.left.is_empty())
                .then(|| texts.t1("move-stays", "parts", part_names(texts, &plan.left)));
            return Ok(page);
        }
        Some(Err(Failed::Refused(error))) if error != RelocationError::NoRight => {
            page.error = Some(texts.refusal(&error.refusal()));
        }
        Some(Err(failure)) => return Err(failure.into()),
        None => {}
    }
    let choices = villages(store, actor, loaded, regions)?;
    let field = FieldInput::choice(texts, "village", texts.t("move-village"), choices);
    page.choice = Some(FieldInput { value: typed.to_owned(), required: true, ..field });
    Ok(page)
}

pub(super) async fn do_move(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): RecordPath,
    posted: Posted,
) -> Result<Response, Failure> {
    let to = code_of(posted.text("village")).ok_or_else(|| Failure::malformed("village"))?;
    let base = ask(&state, move |store| base_of(store, &category, &address, &document));
    let (class, place) = base.await?;
    let moved =
        staff.act(&state, SOURCE, move |acting| relocate(acting, &class, place, to)).await?;
    Ok(Redirect::to(&format!("{}?saved=1", record_href(&moved.home))).into_response())
}
