//! Counting what waits for a visitor, as the rooms count it.

use super::Waiting;
use crate::frame::navigation::{Asking, Count};
use crate::frame::reading::ask;
use crate::frame::visit::{Staff, Visit};
use crate::state::WebState;

impl Waiting {
    /// What waits for the visitor; nothing where no page will show it.
    pub(crate) async fn of(state: &WebState, visit: &Visit) -> Self {
        let Some(person) = visit.person.clone() else { return Self::default() };
        if visit.is_api || visit.is_fragment || visit.path.starts_with("/assets/") {
            return Self::default();
        }
        let counts = state.entries(false).filter_map(|entry| Some((entry.href, entry.waiting?)));
        let counts: Vec<(&'static str, Count)> = counts.collect();
        let role = person.role.clone();
        let reader = Staff { person, visit: visit.clone() }.reader(state);
        let regions = state.regions();
        let counted = ask(state, move |store| {
            store.read(|connection| {
                let asking = Asking { role: &role, reader: &reader, regions: &regions };
                let counted = counts
                    .iter()
                    .map(|(href, count)| Ok((*href, count(connection, &asking)?)))
                    .collect::<rusqlite::Result<_>>()?;
                Ok(Self(counted))
            })
        });
        // A page is worth more than the counts beside it; the page itself says what fails.
        counted.await.unwrap_or_default()
    }
}
