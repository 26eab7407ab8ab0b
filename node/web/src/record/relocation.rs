//! Moving a record to another village: choose where, see what goes along and what stays, confirm.
//!
//! Only for who may write in both villages, which is the town and above. Everything is one call of
//! the store: after a power cut either all of it is there or none.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_crdt::document::{DocumentView, Write};
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::divisions::{self, Resolution, Status};
use cunlian_governance::library::catalogue::{Class, Part};
use cunlian_governance::library::relocation::{self, RelocationError};
use cunlian_governance::library::{Origin, Place};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;
use cunlian_protocol::region::{Depth, Region};
use serde::Deserialize;

use super::{Loaded, RecordPath, base_of, load, part_names, record_href};
use crate::code::code_of;
use crate::component::{Choice, FieldInput};
use crate::failure::Failure;
use crate::layout::{Page, html};
use crate::posted::Posted;
use crate::reading::{ask, name_of, place_name, villages_of};
use crate::state::WebState;
use crate::text::{Text, domain_language};
use crate::visit::Staff;
use crate::writing::save;

#[derive(Template)]
#[template(path = "library/record_move.html")]
struct MovePage {
    l: Text,
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
pub(super) struct Asked {
    #[serde(default)]
    village: String,
}

/// Whether `author` may move the record with this base to some other village.
pub(super) fn may_move(author: &Actor, base: &Home) -> bool {
    let village = base.address.truncate(Level::Village);
    let leads_out = |region: &Region| {
        region.depth == Depth::Subtree
            && !village.is_some_and(|village| village.contains(&region.prefix))
    };
    author.edits(base) && author.editing(base.category).any(|grant| leads_out(&grant.region))
}

/// A move as it would be made.
pub(crate) struct Plan {
    /// Where the record will be.
    pub(crate) place: Place,
    /// What to write; nothing when it has already been moved there.
    pub(crate) writes: Vec<Write>,
    /// The parts that go along.
    pub(crate) taken: Vec<Part>,
    /// The parts that stay because the author lacks a right to them at one end.
    pub(crate) left: Vec<Part>,
}

/// Plans the move of the record `from` to the village `to`.
pub(crate) fn plan(
    store: &Store,
    author: &Serial,
    class: &Class,
    from: Place,
    to: AddressCode,
    source: &str,
    l: Text,
) -> Result<Plan, Failure> {
    let resolved = store.read(|connection| Ok(divisions::resolve(connection, &to)))?;
    if !matches!(resolved, Ok(Resolution::Active(_))) || to.level() < Level::Village {
        return Err(Failure::Malformed {
            reason: l.t1("move-no-village", "code", to),
            field: Some("village".to_owned()),
        });
    }
    let actor = Actor::new(store.authority(), *author);
    let place = relocation::destination(from, to);
    let may = |part: &Part| {
        let home = |place: Place| class.home(*part, place.address, place.record);
        [from, place].into_iter().all(|place| actor.edits(&home(place)))
    };
    let (taken, left): (Vec<Part>, Vec<Part>) = class.parts().partition(may);
    if !taken.contains(&Part::Base) {
        return Err(Failure::Forbidden(l.t("move-no-right")));
    }
    let mut views: Vec<(Part, DocumentView)> = Vec::new();
    for part in &taken {
        let home = class.home(*part, from.address, from.record);
        views.extend(store.view(&home)?.map(|view| (*part, view)));
    }
    let parts: Vec<_> = views.iter().map(|(part, view)| (*part, view)).collect();
    let origin = Origin { source: source.to_owned(), task: String::new() };
    let writes = match relocation::relocate(class, from, to, &parts, &origin) {
        Ok((_, writes)) => writes,
        Err(RelocationError::NoBase) => return Err(Failure::NotFound),
        // Sent twice: it is where it should be.
        Err(RelocationError::Moved { .. }) if already(&views) == Some(place) => Vec::new(),
        Err(error) => return Err(Failure::Conflict(error.message(domain_language(l)))),
    };
    Ok(Plan { place, writes, taken, left })
}

fn already(views: &[(Part, DocumentView)]) -> Option<Place> {
    views
        .iter()
        .find(|(part, _)| *part == Part::Base)
        .and_then(|(_, base)| relocation::moved_to(base))
}

/// The villages of these regions to which `author` may move a record of this class.
fn villages(
    store: &Store,
    author: &Serial,
    loaded: &Loaded,
    regions: &[AddressCode],
) -> Result<Vec<Choice>, Failure> {
    let actor = Actor::new(store.authority(), *author);
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
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let (l, regions) = (staff.visit.l, state.regions());
    let author = staff.person.author.serial;
    let frame = Page::staff(&state, &staff, String::new());
    let page = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let loaded = load(store, &author, class, place)?;
        loaded.still_here(l)?;
        let actor = Actor::new(store.authority(), author);
        if !may_move(&actor, &loaded.home()) {
            return Err(Failure::Forbidden(l.t("move-no-right")));
        }
        move_page(store, &author, &loaded, &regions, &asked.village, frame, l)
    })
    .await?;
    Ok(html(&page))
}

fn move_page(
    store: &Store,
    author: &Serial,
    loaded: &Loaded,
    regions: &[AddressCode],
    typed: &str,
    frame: Page,
    l: Text,
) -> Result<MovePage, Failure> {
    let back = record_href(&loaded.home());
    let mut page = MovePage {
        l,
        page: Page { title: l.t1("move-title", "name", loaded.name(l)), ..frame },
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
    let planned = village.map(|to| plan(store, author, &loaded.class, loaded.place, to, "", l));
    match planned {
        Some(Ok(plan)) => {
            page.village = plan.place.address.to_string();
            page.to = place_name(store, &plan.place.address)?;
            page.goes = part_names(l, &plan.taken);
            page.stays = (!plan.left.is_empty())
                .then(|| l.t1("move-stays", "parts", part_names(l, &plan.left)));
            return Ok(page);
        }
        Some(Err(Failure::Malformed { reason, .. } | Failure::Conflict(reason))) => {
            page.error = Some(reason);
        }
        Some(Err(failure)) => return Err(failure),
        None => {}
    }
    let choices = villages(store, author, loaded, regions)?;
    let field = FieldInput::choice(l, "village", l.t("move-village"), choices);
    page.choice = Some(FieldInput { value: typed.to_owned(), required: true, ..field });
    Ok(page)
}

pub(super) async fn do_move(
    State(state): State<WebState>,
    staff: Staff,
    Path((category, address, document)): RecordPath,
    posted: Posted,
) -> Result<Response, Failure> {
    let l = staff.visit.l;
    let author = staff.person.author.serial;
    let to = code_of(posted.text("village")).ok_or_else(|| Failure::malformed("village"))?;
    let (class, plan) = ask(&state, move |store| {
        let (class, place) = base_of(store, &category, &address, &document)?;
        let plan = plan(store, &author, &class, place, to, super::SOURCE, l)?;
        Ok::<_, Failure>((class, plan))
    })
    .await?;
    save(&state, staff.person.author.clone(), plan.writes, state.now_ms()).await?;
    let home = class.home(Part::Base, plan.place.address, plan.place.record);
    Ok(Redirect::to(&format!("{}?saved=1", record_href(&home))).into_response())
}
