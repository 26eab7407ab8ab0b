//! Sessions of staff, and the token that ties a form to the browser it was given to.
//!
//! Sessions live in memory: a restart logs everybody out, and no key outlives its process
//! unsealed. The cookie holds 32 random bytes; the table is keyed by their hash, so that neither
//! a memory dump of the table nor its timing gives a cookie away. A session that has ended leaves
//! its reason behind for a while, so that the login page can say why.
//!
//! Every visitor, logged in or not, has a visit cookie. A form carries
//! `BLAKE3 keyed(secret, visit ‖ session)`; the secret follows from the node's key, so a villager
//! may send a form that was opened before the node restarted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use cunlian_crdt::document::Author;
use cunlian_host::keystore::hex;
use cunlian_protocol::id::DocumentId;
use rand::Rng as _;

/// A session ends this long after the last request, milliseconds.
const IDLE_MS: i64 = 2 * 3_600_000;
/// A session ends this long after login, whatever happens, milliseconds.
const LIFE_MS: i64 = 12 * 3_600_000;
/// Most sessions at a time; the one idle the longest makes room.
const SESSIONS: usize = 500;
/// How long the reason of an end is kept, milliseconds.
const REASON_MS: i64 = 24 * 3_600_000;
/// Most reasons kept; the oldest makes room.
const REASONS: usize = 2_000;

/// Beginning of the name of the session cookie; the node's address follows.
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
    /// Login name.
    pub(crate) name: String,
    /// Name on pages.
    pub(crate) display_name: String,
    /// Key of the role preset.
    pub(crate) role: String,
    /// Whether nothing may be done before another password is chosen.
    pub(crate) must_change: bool,
    /// Which password it was that opened the session.
    pub(crate) password_id: String,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing was done for two hours.
    Idle,
    /// Half a day after login.
    Old,
    /// So many others have logged in since.
    Crowded,
    /// The password was changed, or the administrator gave another.
    Password,
    /// The administrator removed the person.
    Removed,
    /// The person's certificate, or one above it, was revoked.
    Revoked,
    /// The person's certificate has ended.
    Expired,
}

impl Ended {
    /// The end of the key of its text.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Old => "old",
            Self::Crowded => "crowded",
            Self::Password => "password",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What a cookie stands for.
#[derive(Debug, Clone)]
pub(crate) enum SessionLookup {
    /// A person who has logged in.
    Person(Arc<Person>),
    /// A session that is over.
    Ended(Ended),
    /// Nothing this node remembers.
    Nothing,
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
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<[u8; 32], Entry>,
    ended: HashMap<[u8; 32], (Ended, i64)>,
}

impl Sessions {
    /// Starts a session and gives the value of its cookie.
    pub(crate) fn start(&self, person: Person, now_ms: i64) -> String {
        let cookie = random_hex();
        let entry = Entry {
            person: Arc::new(person),
            ends_at_ms: now_ms.saturating_add(LIFE_MS),
            idle_at_ms: now_ms.saturating_add(IDLE_MS),
        };
        let mut table = self.table();
        table.sweep(now_ms);
        if table.entries.len() >= SESSIONS {
            let idle_longest = table.entries.iter().min_by_key(|(_, entry)| entry.idle_at_ms);
            if let Some(key) = idle_longest.map(|(key, _)| *key) {
                table.end(key, Ended::Crowded, now_ms);
            }
        }
        table.entries.insert(table_key(&cookie), entry);
        cookie
    }

    /// What stands behind a cookie. With `is_use` the session goes on; what a page asks for by
    /// itself is no use.
    pub(crate) fn find(&self, cookie: &str, now_ms: i64, is_use: bool) -> SessionLookup {
        let mut table = self.table();
        let key = table_key(cookie);
        if let Some(end) = table.entries.get(&key).and_then(|entry| entry.end(now_ms)) {
            table.end(key, end, now_ms);
        }
        if let Some(entry) = table.entries.get_mut(&key) {
            if is_use {
                entry.idle_at_ms = now_ms + IDLE_MS;
            }
            return SessionLookup::Person(Arc::clone(&entry.person));
        }
        table.ended.get(&key).map_or(SessionLookup::Nothing, |(end, _)| SessionLookup::Ended(*end))
    }

    /// Ends a session as the person asked; nothing needs to be explained.
    pub(crate) fn end(&self, cookie: &str) {
        self.table().entries.remove(&table_key(cookie));
    }

    /// Ends a session for a reason that the person is told when they come back.
    pub(crate) fn end_because(&self, cookie: &str, end: Ended, now_ms: i64) {
        self.table().end(table_key(cookie), end, now_ms);
    }

    /// Ends every session of a person.
    pub(crate) fn end_all_of(&self, name: &str, end: Ended, now_ms: i64) {
        let mut table = self.table();
        let theirs = table.entries.iter().filter(|(_, entry)| entry.person.name == name);
        let theirs: Vec<[u8; 32]> = theirs.map(|(key, _)| *key).collect();
        for key in theirs {
            table.end(key, end, now_ms);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn sweep(&mut self, now_ms: i64) {
        let over = self.entries.iter().filter_map(|(key, entry)| Some((*key, entry.end(now_ms)?)));
        for (key, end) in over.collect::<Vec<_>>() {
            self.end(key, end, now_ms);
        }
    }

    fn end(&mut self, key: [u8; 32], end: Ended, now_ms: i64) {
        if self.entries.remove(&key).is_none() {
            return;
        }
        self.ended.retain(|_, (_, at_ms)| now_ms - *at_ms < REASON_MS);
        if self.ended.len() >= REASONS {
            let oldest = self.ended.iter().min_by_key(|(_, (_, at_ms))| *at_ms);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.ended.remove(&key);
            }
        }
        self.ended.insert(key, (end, now_ms));
    }
}

impl Entry {
    fn end(&self, now_ms: i64) -> Option<Ended> {
        if now_ms >= self.ends_at_ms {
            return Some(Ended::Old);
        }
        (now_ms >= self.idle_at_ms).then_some(Ended::Idle)
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

/// Makes and checks the tokens of forms, and ids that nobody else can choose.
#[derive(Debug)]
pub(crate) struct FormTokens {
    secret: [u8; 32],
    ids: [u8; 32],
}

impl FormTokens {
    /// Tokens of the node with this secret key.
    pub(crate) fn new(node_key: &[u8; 32]) -> Self {
        Self {
            secret: blake3::derive_key("cunlian 2026-11 form token", node_key),
            ids: blake3::derive_key("cunlian 2026-11 id of a form", node_key),
        }
    }

    /// The token for a visit and, once logged in, a session.
    pub(crate) fn token(&self, visit: &str, session: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(visit.as_bytes()).update(&[0]).update(session.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// An id that follows from another one for this node alone, so that nobody can choose it.
    pub(crate) fn own_id(&self, id: &DocumentId) -> DocumentId {
        let mut own = [0; DocumentId::LENGTH];
        let mut hasher = blake3::Hasher::new_keyed(&self.ids);
        hasher.update(id.as_bytes()).finalize_xof().fill(&mut own);
        DocumentId(own)
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
            name: "wang".to_owned(),
            display_name: "王书记".to_owned(),
            role: "village_operator".to_owned(),
            must_change: false,
            password_id: "1".to_owned(),
        }
    }

    impl SessionLookup {
        fn is_person(&self) -> bool {
            matches!(self, Self::Person(_))
        }
    }

    #[track_caller]
    fn assert_ended(found: &SessionLookup, expected: Ended) {
        assert!(matches!(found, SessionLookup::Ended(end) if *end == expected), "{found:?}");
    }

    /// Shows that use keeps a session alive, that idleness ends it, that it ends at last, and that
    /// the reason is remembered for who comes back.
    #[test]
    fn a_session_ends_when_idle_or_old() {
        let sessions = Sessions::default();
        let cookie = sessions.start(person(), 0);
        assert!(sessions.find(&cookie, IDLE_MS - 1, true).is_person());
        assert!(sessions.find(&cookie, 2 * IDLE_MS - 2, false).is_person(), "use keeps it alive");
        // A list that refreshes itself does not.
        assert_ended(&sessions.find(&cookie, 2 * IDLE_MS, true), Ended::Idle);
        assert_ended(&sessions.find(&cookie, 2 * IDLE_MS + 1, true), Ended::Idle);
        let cookie = sessions.start(person(), 0);
        let mut now_ms = 0;
        while sessions.find(&cookie, now_ms, true).is_person() {
            now_ms += 60_000;
        }
        assert_eq!(now_ms, LIFE_MS);
        assert_ended(&sessions.find(&cookie, now_ms, true), Ended::Old);
    }

    /// Shows that logging out ends the session at once and leaves nothing to explain.
    #[test]
    fn an_ended_session_is_gone() {
        let sessions = Sessions::default();
        let cookie = sessions.start(person(), 0);
        sessions.end(&cookie);
        assert!(matches!(sessions.find(&cookie, 1, true), SessionLookup::Nothing));
    }

    /// Shows that all sessions of one person end together, those of others stay, and the reasons
    /// that are kept are bounded.
    #[test]
    fn all_sessions_of_a_person_end_together() {
        let sessions = Sessions::default();
        let theirs = [sessions.start(person(), 0), sessions.start(person(), 0)];
        let other = sessions.start(Person { name: "li".to_owned(), ..person() }, 0);
        sessions.end_all_of("wang", Ended::Password, 1);
        for cookie in theirs {
            assert_ended(&sessions.find(&cookie, 2, true), Ended::Password);
        }
        assert!(sessions.find(&other, 2, true).is_person());
        for number in 0..i64::try_from(REASONS).unwrap() + 10 {
            sessions.start(person(), number);
            sessions.end_all_of("wang", Ended::Revoked, number);
        }
        assert_eq!(sessions.table().ended.len(), REASONS);
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
