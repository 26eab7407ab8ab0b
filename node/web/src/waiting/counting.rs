//! Counting what waits for a visitor.

use cunlian_governance::query;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_protocol::address::AddressCode;

use super::{Turn, Waiting};
use crate::reading::ask;
use crate::state::WebState;
use crate::visit::{Staff, Visit};

impl Waiting {
    /// What waits for the visitor; nothing where no page will show it.
    pub(crate) async fn of(state: &WebState, visit: &Visit) -> Self {
        let Some(person) = visit.person.clone() else { return Self::default() };
        if visit.is_api || visit.is_fragment || visit.path.starts_with("/assets/") {
            return Self::default();
        }
        let turn = Turn::of(&person.role);
        let reader = Staff { person, visit: visit.clone() }.reader(state);
        let regions = state.regions();
        let counted = ask(state, move |store| {
            store.read(|connection| {
                let states = turn.0.to_vec();
                let filter = Filter { states, ..Filter::all(AddressCode::COUNTRY) };
                let tickets = match turn.0 {
                    [] => 0,
                    _ => tickets::count_within(connection, &reader, &filter, &regions)?,
                };
                let conflicts = query::conflict::count_within(connection, &reader, &regions)?;
                Ok(Self { tickets, conflicts })
            })
        });
        // A page is worth more than the counts beside it; the page itself says what fails.
        counted.await.unwrap_or_default()
    }
}
