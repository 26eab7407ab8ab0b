//! Changes as a machine makes them that has a key and a certificate and asks nobody.

use std::path::Path;
use std::sync::Arc;

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_crdt::store::{Store, StoreIdentity, StoreOptions};
use cunlian_governance::projection::GovernanceProjector;
use cunlian_host::clock::now_ms;
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION, actor};
use cunlian_protocol::id::Serial;
use rand::Rng as _;

use crate::hostile::Stolen;

/// The bytes of one sound change for each text, numbered from 1, made in a store of their own. Each
/// call is a new session that knows nothing of others, as on a machine that was set back.
pub fn authored(author: &Stolen, texts: &[(Home, &str)]) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    authored_in(dir.path(), author, (rand::rng().next_u64(), now_ms()), texts)
}

/// The same in a directory, in a session of this number, at a time.
pub fn authored_in(
    dir: &Path,
    author: &Stolen,
    (session, now_ms): (u64, i64),
    texts: &[(Home, &str)],
) -> Vec<Vec<u8>> {
    let chain = author.hostile.chain.clone();
    let serial = author.certificate.serial();
    let identity = StoreIdentity { root: author.root, own: Some(serial), chain };
    let projector = Arc::new(GovernanceProjector);
    let store = Store::open(dir, projector, identity, StoreOptions::default());
    let store = store.expect("a new store opens");
    let signer = Author { serial, key: author.hostile.key.clone(), session };
    for (home, text) in texts {
        let edit = Edit::Put { field: "note".to_owned(), text: (*text).to_owned() };
        let (source, task) = ("test".to_owned(), String::new());
        let write = Write { home: *home, edits: vec![edit], source, task };
        store.write(&signer, vec![write], now_ms).expect("the author may write");
    }
    let bytes = |row: &rusqlite::Row<'_>| row.get(0);
    let read = store.read(|connection| {
        let mut select = connection.prepare("SELECT bytes FROM change ORDER BY seq")?;
        select.query_map([], bytes)?.collect::<rusqlite::Result<Vec<Vec<u8>>>>()
    });
    read.expect("the log can be read")
}

/// A change that says that somebody else made it, signed by whoever has this key.
pub fn signed_as(by: &Stolen, author: Serial, home: Home, text: &str) -> Vec<u8> {
    let sound = authored(by, &[(home, text)]);
    let change = sound.into_iter().next().map(SignedChange::from_log);
    let change = change.expect("one change was made").expect("it is in the log");
    let own = change.header();
    let payload = change.payload().expect("it was not erased").to_vec();
    let header = Header { author, ..*own };
    // The payload says who made it; as many bytes say who is to have made it.
    let (old, new) = (actor(&own.author, own.session), actor(&author, own.session));
    let payload = replaced(payload, &old, &new);
    let signed =
        SignedChange::sign(&header, &payload, &by.hostile.key).expect("it is not too large");
    signed.bytes().to_vec()
}

/// A change that no store would let its author write; its payload is none.
pub fn unwritten(by: &Stolen, home: Home) -> Vec<u8> {
    let author = by.certificate.serial();
    let (kind, recorded_at_ms) = (ChangeKind::EDIT, now_ms());
    let header =
        Header { version: VERSION, kind, home, author, session: 1, seq: 1, recorded_at_ms };
    let signed = SignedChange::sign(&header, b"not written", &by.hostile.key);
    signed.expect("it is not too large").bytes().to_vec()
}

fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old);
    let place = at.and_then(|at| bytes.get_mut(at..at + new.len())).expect("the actor is named");
    place.copy_from_slice(new);
    bytes
}
