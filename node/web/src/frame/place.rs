//! Places by name, and the villages of a region.

use std::collections::BTreeMap;

use cunlian_crdt::store::Store;
use cunlian_governance::divisions::{self, Division, Resolution, Status};
use cunlian_protocol::address::{AddressCode, Level};
use rusqlite::Connection;

use crate::frame::component::Choice;
use crate::frame::failure::Failure;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::state::WebState;

/// Names from the county down to `code`, separated by blanks; the printed code if none is known.
pub(crate) fn place_name(store: &Store, code: &AddressCode) -> Result<String, Failure> {
    let code = *code;
    Ok(store.read(|connection| Ok(name_of(connection, &code, 3)))?)
}

/// The last `most` names on the way to `code`, and the digits below the village.
pub(crate) fn name_of(connection: &Connection, code: &AddressCode, most: usize) -> String {
    // A node that has not imported the register yet shows codes.
    let mut names = divisions::name_path(connection, code).unwrap_or_default();
    if names.is_empty() {
        return code.plate_text();
    }
    names.drain(..names.len().saturating_sub(most));
    let below: Vec<&str> = [Level::Grid, Level::Building, Level::Unit, Level::Room]
        .into_iter()
        .filter_map(|level| code.segment(level))
        .collect();
    let mut name = names.join(" ");
    if !below.is_empty() {
        name.push(' ');
        name.push_str(&below.join("-"));
    }
    name
}

/// Names of places for one list, each looked up once.
pub(crate) struct PlaceNames {
    most: usize,
    known: BTreeMap<AddressCode, String>,
}

impl PlaceNames {
    /// Of each place the last `most` names on the way to it.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, known: BTreeMap::new() }
    }

    pub(crate) fn of(&mut self, store: &Store, code: AddressCode) -> Result<String, Failure> {
        if let Some(name) = self.known.get(&code) {
            return Ok(name.clone());
        }
        let most = self.most;
        let name = store.read(|connection| Ok(name_of(connection, &code, most)))?;
        self.known.insert(code, name.clone());
        Ok(name)
    }
}

/// That the village of `code` was joined to another one, and which; `None` when it was not.
pub(crate) fn joined_note(
    store: &Store,
    code: &AddressCode,
    texts: Text,
) -> Result<Option<String>, Failure> {
    let code = *code;
    let found = store.read(|connection| Ok(divisions::resolve(connection, &code)))?;
    // A damaged or missing register must not take a page down.
    let Ok(Resolution::Succeeded { from, to }) = found else { return Ok(None) };
    let names: Vec<String> = to.iter().map(|to| format!("{} {}", to.name, to.code)).collect();
    Ok(Some(texts.t2(
        "village-joined",
        ("old", from.name),
        ("new", names.join(texts.t("and").as_str())),
    )))
}

/// The active villages at and below `region`, by code.
pub(crate) fn villages_of(connection: &Connection, region: &AddressCode) -> Vec<Division> {
    if region.level() >= Level::Village {
        let village = region.truncate(Level::Village);
        return village
            .and_then(|village| divisions::find(connection, &village).ok().flatten())
            .into_iter()
            .collect();
    }
    let children = divisions::children(connection, region).unwrap_or_default();
    let active = children.into_iter().filter(|child| child.status == Status::Active);
    active
        .flat_map(|child| {
            if child.code.level() == Level::Village {
                vec![child]
            } else {
                villages_of(connection, &child.code)
            }
        })
        .collect()
}

/// The villages a clerk of this node may take a ticket down for.
pub(crate) async fn village_choices(
    state: &WebState,
    region: AddressCode,
) -> Result<Vec<Choice>, Failure> {
    ask(state, move |store| {
        store.read(|connection| {
            let villages = villages_of(connection, &region);
            let choice = |village: cunlian_governance::divisions::Division| Choice {
                value: village.code.as_str().to_owned(),
                label: village.name,
            };
            Ok(villages.into_iter().map(choice).collect())
        })
    })
    .await
}
