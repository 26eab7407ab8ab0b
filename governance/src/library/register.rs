//! A new record: from the form of a terminal, from a program, from an import.

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use rusqlite::Connection;

use super::catalogue::{self, Part};
use super::record::{self, Problem, RecordError};
use super::{Fields, Origin, Place};
use crate::access::acting::Acting;
use crate::divisions::{self, Division, Resolution};
use crate::refusal::Failed;
use crate::submission::{Intended, Placed, placed};

/// What is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Key of its class.
    pub class: String,
    /// Where it belongs: a village, or something in it. `None` where what was typed is no code.
    pub address: Option<AddressCode>,
    /// Texts by key of the field.
    pub fields: Fields,
    /// Where the texts come from.
    pub origin: Origin,
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its base document.
    pub home: Home,
    /// What was written; empty when the same was here before.
    pub changes: Vec<ChangeId>,
}

/// Registers a record, with all that is wrong said at once. What was sent before is not registered
/// again.
pub fn register(
    acting: &Acting<'_>,
    new: &NewRecord,
    intended: Intended,
) -> Result<Written, Failed<RecordError>> {
    let store = acting.store;
    let address = new.address.unwrap_or(AddressCode::COUNTRY);
    let (catalogue, misplaced) = store.read(|connection| {
        Ok((catalogue::at(connection, address)?, misplaced(connection, new.address)))
    })?;
    let class = record::find(&catalogue, &new.class).map_err(Failed::Refused)?;
    let placed = placed(store, intended, |record| {
        let place = Place { address, record };
        let made = record::register(&catalogue, &new.class, place, &new.fields, &new.origin);
        match (made, &misplaced) {
            (made, None) => made,
            (Err(RecordError::Fields(mut problems)), Some(problem)) => {
                problems.insert("address".to_owned(), problem.clone());
                Err(RecordError::Fields(problems))
            }
            (_, Some(problem)) => {
                Err(RecordError::Fields([("address".to_owned(), problem.clone())].into()))
            }
        }
    });
    let Placed { document, writes, is_here } = placed?.map_err(Failed::Refused)?;
    let home = class.home(Part::Base, address, document);
    let changes = if is_here { Vec::new() } else { acting.write(writes)? };
    Ok(Written { home, changes })
}

/// What is wrong with the place of a new record.
fn misplaced(connection: &Connection, address: Option<AddressCode>) -> Option<Problem> {
    let Some(address) = address.filter(|code| code.level() >= Level::Village) else {
        return Some(Problem::NotInVillage);
    };
    // A damaged or missing register must not keep people from their work.
    let Ok(Resolution::Succeeded { from, to }) = divisions::resolve(connection, &address) else {
        return None;
    };
    let name = |to: &Division| format!("{} {}", to.name, to.code);
    let new = to.iter().map(name).collect::<Vec<_>>().join("、");
    Some(Problem::Joined { old: from.name, new })
}
