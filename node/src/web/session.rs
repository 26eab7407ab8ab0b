//! Sessions of staff, and the token that ties a form to the browser it was given to.
//!
//! Sessions live in memory: a restart logs everybody out, and no key outlives its process
//! unsealed. The cookie holds 32 random bytes; the table is keyed by their hash, so that neither
//! a memory dump of the table nor its timing gives a cookie away.
//!
//! Every visitor, logged in or not, has a visit cookie. A form carries
//! `BLAKE3 keyed(secret, visit ‖ session)`; the secret follows from the node's key, so a villager
//! may send a form that was opened before the node restarted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use cunlian_crdt::document::Author;
use rand::Rng as _;

use crate::keystore::hex;

/// A session ends this long after the last request, milliseconds.
const IDLE_MS: i64 = 2 * 3_600_000;
/// A session ends this long after login, whatever happens, milliseconds.
const LIFE_MS: i64 = 12 * 3_600_000;
/// Most sessions at a time; the one idle the longest makes room.
const SESSIONS: usize = 500;

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "cunlian_session";
/// Name of the visit cookie.
pub(crate) const VISIT_COOKIE: &str = "cunlian_visit";
/// Name of the language cookie.
pub(crate) const LANGUAGE_COOKIE: &str = "cunlian_lang";

/// A person who has logged in.
#[derive(Debug)]
pub(crate) struct Person {
    /// Signs the person's changes.
    pub(crate) author: Author,
    /// Name on pages.
    pub(crate) display_name: String,
    /// Key of the role preset.
    pub(crate) role: String,
}

#[derive(Debug)]
struct Entry {
    person: Arc<Person>,
    ends_at_ms: i64,
    idle_at_ms: i64,
}

/// All sessions of the node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

impl Sessions {
    /// Starts a session and gives the value of its cookie.
    pub(crate) fn start(&self, person: Person, now_ms: i64) -> String {
        let cookie = random_hex();
        let entry = Entry {
            person: Arc::new(person),
            ends_at_ms: now_ms + LIFE_MS,
            idle_at_ms: now_ms + IDLE_MS,
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.is_alive(now_ms));
        if entries.len() >= SESSIONS {
            let idle_longest = entries.iter().min_by_key(|(_, entry)| entry.idle_at_ms);
            if let Some(key) = idle_longest.map(|(key, _)| *key) {
                entries.remove(&key);
            }
        }
        entries.insert(table_key(&cookie), entry);
        cookie
    }

    /// The person behind a cookie. With `is_use` the session goes on; what a page asks for by
    /// itself is no use.
    pub(crate) fn find(&self, cookie: &str, now_ms: i64, is_use: bool) -> Option<Arc<Person>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = table_key(cookie);
        let entry = entries.get_mut(&key)?;
        if !entry.is_alive(now_ms) {
            entries.remove(&key);
            return None;
        }
        if is_use {
            entry.idle_at_ms = now_ms + IDLE_MS;
        }
        Some(Arc::clone(&entry.person))
    }

    /// Ends a session.
    pub(crate) fn end(&self, cookie: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&table_key(cookie));
    }
}

impl Entry {
    fn is_alive(&self, now_ms: i64) -> bool {
        now_ms < self.ends_at_ms && now_ms < self.idle_at_ms
    }
}

fn table_key(cookie: &str) -> [u8; 32] {
    *blake3::hash(cookie.as_bytes()).as_bytes()
}

/// 32 random bytes as hexadecimal text.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// Makes and checks the tokens of forms.
#[derive(Debug)]
pub(crate) struct FormTokens {
    secret: [u8; 32],
}

impl FormTokens {
    /// Tokens of the node with this secret key.
    pub(crate) fn new(node_key: &[u8; 32]) -> Self {
        Self { secret: blake3::derive_key("cunlian 2026-11 form token", node_key) }
    }

    /// The token for a visit and, once logged in, a session.
    pub(crate) fn token(&self, visit: &str, session: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(visit.as_bytes()).update(&[0]).update(session.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Whether `token` is the one for this visit and session. Compares in constant time.
    pub(crate) fn holds(&self, visit: &str, session: &str, token: &str) -> bool {
        let expected = blake3::Hash::from_hex(self.token(visit, session));
        let given = blake3::Hash::from_hex(token);
        matches!((expected, given), (Ok(expected), Ok(given)) if expected == given)
    }
}

/// The value of a cookie, if it was sent.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// A `Set-Cookie` value; `max_age_s` 0 takes the cookie away.
pub(crate) fn set_cookie(name: &str, value: &str, max_age_s: u32, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use cunlian_protocol::id::Serial;
    use cunlian_protocol::signing::SigningKey;

    use super::*;

    fn person() -> Person {
        let key = SigningKey::from_bytes(&[1; 32]);
        Person {
            author: Author { serial: Serial([1; 16]), key, session: 1 },
            display_name: "王书记".to_owned(),
            role: "village_operator".to_owned(),
        }
    }

    /// Shows that use keeps a session alive, that idleness ends it, and that it ends at last.
    #[test]
    fn a_session_ends_when_idle_or_old() {
        let sessions = Sessions::default();
        let cookie = sessions.start(person(), 0);
        assert!(sessions.find(&cookie, IDLE_MS - 1, true).is_some());
        assert!(sessions.find(&cookie, 2 * IDLE_MS - 2, false).is_some(), "use keeps it alive");
        let idle = sessions.find(&cookie, 2 * IDLE_MS, true);
        assert!(idle.is_none(), "a list that refreshes itself does not");
        let cookie = sessions.start(person(), 0);
        let mut now_ms = 0;
        while sessions.find(&cookie, now_ms, true).is_some() {
            now_ms += 60_000;
        }
        assert_eq!(now_ms, LIFE_MS);
    }

    /// Shows that logging out ends the session at once.
    #[test]
    fn an_ended_session_is_gone() {
        let sessions = Sessions::default();
        let cookie = sessions.start(person(), 0);
        sessions.end(&cookie);
        assert!(sessions.find(&cookie, 1, true).is_none());
    }

    /// Shows that a token holds only for the visit and the session it was made for, and again
    /// after a restart with the same node key.
    #[test]
    fn a_form_token_is_bound_to_visit_and_session() {
        let token = FormTokens::new(&[5; 32]).token("visit", "session");
        let restarted = FormTokens::new(&[5; 32]);
        assert!(restarted.holds("visit", "session", &token));
        assert!(!restarted.holds("visit", "", &token));
        assert!(!restarted.holds("other", "session", &token));
        assert!(!restarted.holds("visit", "session", ""));
    }

    /// Shows that a cookie is found among others and not by a name it only ends with.
    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "xcunlian_visit=a; cunlian_visit=b".parse().unwrap());
        assert_eq!(cookie(&headers, VISIT_COOKIE), Some("b"));
    }
}
