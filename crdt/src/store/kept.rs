//! How much is kept of what each peer has sent: counted with every row that comes or goes.
//!
//! A quota bounds what is *taken* from a peer, and never comes down; this is what is still here of it
//! after what was purged, revoked and erased. Triggers of the database keep the counts in the
//! transaction that changes the rows, so that no way into or out of the log can forget them; looking
//! them up reads a row for each certificate under which somebody ever sent something, and for each
//! peer with photos, however large the store is.
//!
//! | table | one row for each |
//! |---|---|
//! | `kept` | small number of the certificate that changes came from, 0 for what was written here: changes, their bytes, documents of which it sent the first change |
//! | `kept_blob` | key of the peer that photos came from: how many, and their bytes |

use std::collections::BTreeMap;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::id::{PublicKey, Serial};
use rusqlite::Connection;

use super::{Fault, Store};

/// What is kept of what one peer has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Changes.
    pub changes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents of which it sent the first change.
    pub documents: u64,
    /// Photos and files, those in progress included.
    pub blobs: u64,
    /// Their bytes, those in progress counted in full.
    pub blob_bytes: u64,
}

/// What is kept of everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptOfAll {
    /// By the key of the peer; all its certificates together.
    pub by_peer: BTreeMap<PublicKey, Kept>,
    /// What was written here, and what came from peers whose certificates are not kept. Photos of this
    /// node's own are not among it.
    pub others: Kept,
}

impl Store {
    /// What is kept of what each peer has sent. Quick, however large the store is.
    pub fn kept(&self) -> Result<KeptOfAll, Fault> {
        let authority = self.authority();
        self.inner.readers.with(|connection| Ok(of_all(connection, &authority)?))
    }
}

fn of_all(connection: &Connection, authority: &Authority) -> rusqlite::Result<KeptOfAll> {
    let mut all = KeptOfAll::default();
    let mut select = connection.prepare_cached(
        "SELECT serial, changes, bytes, documents FROM kept LEFT JOIN author ON author.id = origin",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let serial = row.get::<_, Option<[u8; 16]>>(0)?.map(Serial);
        let known = serial.and_then(|serial| authority.get(&serial));
        let kept = match known {
            Some(certificate) => all.by_peer.entry(certificate.body().subject).or_default(),
            None => &mut all.others,
        };
        kept.changes += row.get::<_, u64>(1)?;
        kept.bytes += row.get::<_, u64>(2)?;
        kept.documents += row.get::<_, u64>(3)?;
    }
    let mut select = connection.prepare_cached("SELECT origin, blobs, bytes FROM kept_blob")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let kept = all.by_peer.entry(PublicKey(row.get(0)?)).or_default();
        kept.blobs = row.get(1)?;
        kept.blob_bytes = row.get(2)?;
    }
    all.by_peer.retain(|_, kept| *kept != Kept::default());
    Ok(all)
}

/// Bytes of the blobs that a peer has given, those in progress counted in full.
pub(super) fn blob_bytes(connection: &Connection, peer: &[u8]) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(bytes), 0) FROM kept_blob WHERE origin = ?1";
    connection.prepare_cached(sql)?.query_row([peer], |row| row.get(0))
}

/// The counts as they would be anew, of the first table and of the second.
const RECOUNT: [(&str, &str); 2] = [
    (
        "kept",
        "SELECT origin, sum(changes), sum(bytes), sum(documents) FROM (
             SELECT origin, count(*) AS changes, sum(length(bytes)) AS bytes, 0 AS documents
                 FROM change GROUP BY origin
             UNION ALL SELECT origin, 0, 0, count(*) FROM document GROUP BY origin
         ) GROUP BY origin",
    ),
    (
        "kept_blob",
        "SELECT origin, count(*), sum(bytes) FROM blob WHERE origin IS NOT NULL GROUP BY origin",
    ),
];

/// Makes both tables anew.
pub(super) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    for (table, recount) in RECOUNT {
        connection
            .execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} {recount};"))?;
    }
    Ok(())
}

/// Tables that differ from a recount, and in how many rows; rows of nothing do not count.
pub(super) fn wrong(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for ((table, recount), some) in
        RECOUNT.into_iter().zip(["changes + bytes + documents > 0", "blobs > 0"])
    {
        let kept = format!("SELECT * FROM {table} WHERE {some}");
        let sql = format!(
            "SELECT count(*) FROM (SELECT * FROM ({recount} EXCEPT {kept}) \
             UNION ALL SELECT * FROM ({kept} EXCEPT {recount}))"
        );
        let differ: u64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if differ > 0 {
            wrong.push(format!("{table}: {differ} rows are not those of a recount"));
        }
    }
    Ok(wrong)
}
