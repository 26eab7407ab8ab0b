//! A record goes to another village, as somebody who may write in both of them asks for it.

use cunlian_crdt::document::{DocumentView, Write};
use cunlian_crdt::store::Store;
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::region::{Depth, Region};

use super::catalogue::{Class, Part};
use super::relocation::{self, RelocationError};
use super::{Origin, Place};
use crate::access::acting::Acting;
use crate::access::actor::Actor;
use crate::divisions::{self, Resolution};
use crate::refusal::Failed;

/// A move as it would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the record will be.
    pub place: Place,
    /// What is to be written; nothing when it has already been moved there.
    writes: Vec<Write>,
    /// The parts that go along.
    pub taken: Vec<Part>,
    /// The parts that stay because the author lacks a right to them at one end.
    pub left: Vec<Part>,
}

/// A move that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocated {
    /// The base of the record where it is now.
    pub home: Home,
    /// The parts that went along.
    pub taken: Vec<Part>,
    /// The parts that stayed.
    pub left: Vec<Part>,
    /// What was written; nothing when it had already been moved there.
    pub changes: Vec<ChangeId>,
}

/// Moves the record `from` to the village `to`, with the parts that who acts may write at both.
pub fn relocate(
    acting: &Acting<'_>,
    class: &Class,
    from: Place,
    to: AddressCode,
) -> Result<Relocated, Failed<RelocationError>> {
    let actor = acting.actor();
    let planned = plan(acting.store, &actor, class, from, to, acting.source)?;
    let Plan { place, writes, taken, left } = planned;
    let changes = acting.write(writes)?;
    Ok(Relocated {
        home: class.home(Part::Base, place.address, place.record),
        taken,
        left,
        changes,
    })
}

/// What [`relocate`] would do, as `actor`.
pub fn plan(
    store: &Store,
    actor: &Actor,
    class: &Class,
    from: Place,
    to: AddressCode,
    source: &str,
) -> Result<Plan, Failed<RelocationError>> {
    let refused = Failed::Refused;
    let resolved = store.read(|connection| Ok(divisions::resolve(connection, &to)))?;
    if !matches!(resolved, Ok(Resolution::Active(_))) || to.level() < Level::Village {
        return Err(refused(RelocationError::NoVillage { to }));
    }
    let place = relocation::destination(from, to);
    let may = |part: &Part| {
        let home = |place: Place| class.home(*part, place.address, place.record);
        [from, place].into_iter().all(|place| actor.edits(&home(place)))
    };
    let (taken, left): (Vec<Part>, Vec<Part>) = class.parts().partition(may);
    if !taken.contains(&Part::Base) {
        return Err(refused(RelocationError::NoRight));
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
        // Sent twice: it is where it should be.
        Err(RelocationError::Moved { .. }) if already(&views) == Some(place) => Vec::new(),
        Err(error) => return Err(refused(error)),
    };
    Ok(Plan { place, writes, taken, left })
}

/// Whether `actor` may move the record with this base to some other village.
pub fn may_move(actor: &Actor, base: &Home) -> bool {
    let village = base.address.truncate(Level::Village);
    let leads_out = |region: &Region| {
        region.depth == Depth::Subtree
            && !village.is_some_and(|village| village.contains(&region.prefix))
    };
    actor.edits(base) && actor.editing(base.category).any(|grant| leads_out(&grant.region))
}

fn already(views: &[(Part, DocumentView)]) -> Option<Place> {
    views
        .iter()
        .find(|(part, _)| *part == Part::Base)
        .and_then(|(_, base)| relocation::moved_to(base))
}
