//! The table of invitations.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | id | BLOB | 8 bytes, primary key |
//! | secret | BLOB | hash of the secret, 32 bytes, see `cunlian_protocol::enrolment::Secret::hash` |
//! | tier | TEXT | of the new node |
//! | region | TEXT | its address code |
//! | name | TEXT | its name |
//! | created | INTEGER | milliseconds since 1970-01-01 UTC |
//! | expires | INTEGER | end of the invitation, likewise |
//! | lifetime | INTEGER | validity of the certificate, milliseconds |
//! | attempts | INTEGER | wrong secrets tried |
//! | cancelled | INTEGER | when it was taken back, or NULL |
//! | subject | BLOB | key of the machine that used it, 32 bytes, or NULL |
//! | used | INTEGER | when it was used, or NULL |
//! | certificate | BLOB | what that machine was issued, or NULL |

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::enrolment::InvitationId;
use cunlian_protocol::id::PublicKey;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Listed, State, WRONG_SECRETS};

const COLUMNS: &str = "id, secret, tier, region, name, created, expires, lifetime, attempts, \
                       cancelled, subject, used, certificate";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: InvitationId,
    pub(super) secret_hash: [u8; 32],
    pub(super) tier: Tier,
    pub(super) region: AddressCode,
    pub(super) name: String,
    pub(super) created_at_ms: i64,
    pub(super) expires_at_ms: i64,
    pub(super) lifetime_ms: i64,
    pub(super) attempts: u32,
    pub(super) cancelled_at_ms: Option<i64>,
    pub(super) subject: Option<PublicKey>,
    pub(super) used_at_ms: Option<i64>,
    pub(super) certificate: Option<Vec<u8>>,
}

impl Row {
    /// What has become of it, at this time.
    pub(super) fn state(&self, now_ms: i64) -> State {
        if self.subject.is_some() {
            State::Used
        } else if self.cancelled_at_ms.is_some() {
            State::Cancelled
        } else if self.attempts >= WRONG_SECRETS {
            State::Locked
        } else if now_ms >= self.expires_at_ms {
            State::Expired
        } else {
            State::Open
        }
    }

    pub(super) fn listed(self, now_ms: i64) -> Listed {
        Listed {
            id: self.id.to_string(),
            state: self.state(now_ms),
            tier: self.tier,
            region: self.region,
            name: self.name,
            created_at_ms: self.created_at_ms,
            expires_at_ms: self.expires_at_ms,
            used_by: self.subject.map(|key| key.to_string()),
            used_at_ms: self.used_at_ms,
            attempts: self.attempts,
        }
    }
}

/// Makes the table where it does not exist.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS invitation (
             id BLOB PRIMARY KEY NOT NULL,
             secret BLOB NOT NULL,
             tier TEXT NOT NULL,
             region TEXT NOT NULL,
             name TEXT NOT NULL,
             created INTEGER NOT NULL,
             expires INTEGER NOT NULL,
             lifetime INTEGER NOT NULL,
             attempts INTEGER NOT NULL,
             cancelled INTEGER,
             subject BLOB,
             used INTEGER,
             certificate BLOB
         ) STRICT, WITHOUT ROWID",
    )
}

pub(super) fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO invitation ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    );
    connection.prepare_cached(&sql)?.execute(params![
        row.id.0,
        row.secret_hash,
        row.tier.name(),
        row.region.as_str(),
        row.name,
        row.created_at_ms,
        row.expires_at_ms,
        row.lifetime_ms,
        row.attempts,
        row.cancelled_at_ms,
        row.subject.map(|key| key.0),
        row.used_at_ms,
        row.certificate,
    ])?;
    Ok(())
}

pub(super) fn find(connection: &Connection, id: InvitationId) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM invitation WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.0], read).optional()
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM invitation ORDER BY created DESC, region, id");
    connection.prepare_cached(&sql)?.query_map([], read)?.collect()
}

/// Takes an invitation back that nobody has used.
pub(super) fn cancel(
    connection: &Connection,
    id: InvitationId,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let sql = "UPDATE invitation SET cancelled = ?2
               WHERE id = ?1 AND subject IS NULL AND cancelled IS NULL";
    connection.execute(sql, params![id.0, now_ms]).map(drop)
}

/// Counts a wrong secret.
pub(super) fn count_wrong(connection: &Connection, id: InvitationId) -> rusqlite::Result<()> {
    let sql = "UPDATE invitation SET attempts = attempts + 1 WHERE id = ?1 AND attempts < 1000000";
    connection.execute(sql, [id.0]).map(drop)
}

/// Binds an invitation to the machine that used it.
pub(super) fn bind(
    connection: &Connection,
    id: InvitationId,
    subject: &PublicKey,
    now_ms: i64,
    certificate: &[u8],
) -> rusqlite::Result<()> {
    let sql = "UPDATE invitation SET subject = ?2, used = ?3, certificate = ?4
               WHERE id = ?1 AND subject IS NULL";
    connection.execute(sql, params![id.0, subject.0, now_ms, certificate]).map(drop)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let tier: String = row.get(2)?;
    let tier = Tier::from_name(&tier).ok_or_else(|| damaged(2, "no tier"))?;
    let region: String = row.get(3)?;
    let region = AddressCode::parse(&region).map_err(|_| damaged(3, "no address code"))?;
    Ok(Row {
        id: InvitationId(row.get(0)?),
        secret_hash: row.get(1)?,
        tier,
        region,
        name: row.get(4)?,
        created_at_ms: row.get(5)?,
        expires_at_ms: row.get(6)?,
        lifetime_ms: row.get(7)?,
        attempts: row.get(8)?,
        cancelled_at_ms: row.get(9)?,
        subject: row.get::<_, Option<[u8; 32]>>(10)?.map(PublicKey),
        used_at_ms: row.get(11)?,
        certificate: row.get(12)?,
    })
}

fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}
