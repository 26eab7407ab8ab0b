//! Who stands behind a session cookie, at this moment.

use std::sync::Arc;

use cunlian_protocol::authority::Refusal;
use cunlian_protocol::id::Serial;

use crate::frame::session::{Ended, Person, SessionLookup};
use crate::state::WebState;

/// Who stands behind a session cookie.
pub(crate) struct Known {
    /// The person.
    pub(crate) person: Arc<Person>,
    /// The unit whose tickets they handle, as their file says now.
    pub(crate) unit: Option<String>,
}

/// The person behind a session cookie; the error says why there is none any more.
pub(crate) fn person(state: &WebState, cookie: &str, is_use: bool) -> Result<Option<Known>, Ended> {
    let now_ms = state.now_ms();
    match state.0.sessions.find(cookie, now_ms, is_use) {
        SessionLookup::Nothing => Ok(None),
        SessionLookup::Ended(end) => Err(end),
        SessionLookup::Person(person) => match still(state, &person, now_ms) {
            Ok(unit) => Ok(Some(Known { person, unit })),
            Err(end) => {
                state.0.sessions.end_because(cookie, end, now_ms);
                Err(end)
            }
        },
    }
}

/// Why an author may no longer work here.
pub(crate) fn validity(state: &WebState, serial: &Serial, now_ms: i64) -> Option<Ended> {
    let authority = state.store().authority();
    match authority.valid_at(authority.get(serial)?, now_ms) {
        Ok(()) => None,
        Err(Refusal::Expired { .. }) => Some(Ended::Expired),
        Err(
            Refusal::UnknownAuthor { .. }
            | Refusal::NoGrant { .. }
            | Refusal::Revoked { .. }
            | Refusal::Replaced { .. },
        ) => Some(Ended::Revoked),
    }
}

/// The unit of a person whose session still holds, or why it does not.
fn still(state: &WebState, person: &Person, now_ms: i64) -> Result<Option<String>, Ended> {
    let unit = match state.0.config.operators.entry(&person.name) {
        Ok(Some(entry)) if entry.password_id == person.password_id => entry.narrowing.unit,
        Ok(Some(_)) => return Err(Ended::Password),
        Ok(None) => return Err(Ended::Removed),
        // A disk that fails is no reason to lose what somebody is typing. Without the unit they
        // read less, never more.
        Err(error) => {
            tracing::warn!(%error, "the file of an operator cannot be read");
            None
        }
    };
    validity(state, &person.author.serial, now_ms).map_or(Ok(unit), Err)
}
