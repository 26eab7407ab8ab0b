//! Whose turn a ticket is.
//!
//! The next step of a ticket belongs to an office, not to a right: a dispatcher may do what a
//! village does, but it does not wait for them. So this goes by the role.

use cunlian_governance::ticket::State;
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_host::operator::is_by_assignment;
use cunlian_protocol::address::AddressCode;
use rusqlite::Connection;

use crate::frame::navigation::Asking;

/// The states in which a ticket waits for this person.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn(&'static [State]);

impl Turn {
    /// Of somebody in this role.
    pub(crate) fn of(role: &str) -> Self {
        const VILLAGE: &[State] = &[State::Reported, State::Assigned, State::Handling];
        const DISPATCHER: &[State] = &[State::Reported, State::Accepted];
        const OFFICER: &[State] = &[State::Assigned, State::Handling];
        Self(match role {
            "village_operator" | "grid_worker" => VILLAGE,
            "dispatcher" => DISPATCHER,
            role if is_by_assignment(role) => OFFICER,
            // Those who lead, count or administer are told of the work and do not do it.
            _ => &[],
        })
    }

    /// Whether the next step of a ticket in this state is theirs.
    pub(crate) fn is(self, state: State) -> bool {
        self.0.contains(&state)
    }
}

/// How many tickets wait for a person.
pub(super) fn waiting(connection: &Connection, asking: &Asking<'_>) -> rusqlite::Result<u64> {
    let turn = Turn::of(asking.role);
    if turn.0.is_empty() {
        return Ok(0);
    }
    let filter = Filter { states: turn.0.to_vec(), ..Filter::all(AddressCode::COUNTRY) };
    tickets::count_within(connection, asking.reader, &filter, asking.regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that every open ticket of a town waits for exactly one of dispatcher and officer, that
    /// one which is done waits for nobody, and that who only looks is not told that it is theirs.
    #[test]
    fn a_ticket_waits_for_the_office_whose_step_is_next() {
        let [dispatcher, officer, village] =
            ["dispatcher", "department_officer", "village_operator"].map(Turn::of);
        for state in State::ALL {
            let waits = [dispatcher, officer].iter().filter(|turn| turn.is(state)).count();
            assert_eq!(waits, usize::from(state.is_open()), "{state:?}");
            assert!(!village.is(state) || state.is_open(), "{state:?}");
            assert!(!Turn::of("analyst").is(state) && !Turn::of("leader").is(state));
        }
    }
}
