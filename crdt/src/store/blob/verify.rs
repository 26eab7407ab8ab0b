//! Checking blobs against their ids, and references against documents.

use cunlian_protocol::blob::BlobName;
use cunlian_protocol::change::Home;
use cunlian_protocol::key::KeyPrefix;
use rusqlite::Connection;

use super::naming::Named;
use super::outlines::outline;
use super::{documents_of, name_of};

/// A table for what the documents of the log name, in the database that a verification fills.
const EXPECTED: &str = "CREATE TABLE IF NOT EXISTS named_blob (
    document BLOB NOT NULL, id BLOB NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (document, id, bytes)
) WITHOUT ROWID";

/// Notes what a document names, for [`verify`].
pub(in crate::store) fn expect(
    expected: &Connection,
    home: &Home,
    names: &[Named],
) -> rusqlite::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    expected.execute_batch(EXPECTED)?;
    let mut insert = expected.prepare_cached("INSERT INTO named_blob VALUES (?1, ?2, ?3)")?;
    let document = KeyPrefix::document(home);
    for Named { name, .. } in names {
        insert.execute((document.as_bytes(), name.id.0, name.bytes))?;
    }
    Ok(())
}

/// What is wrong with blobs and references, for people.
pub(in crate::store) fn verify(
    connection: &Connection,
    expected: &Connection,
) -> rusqlite::Result<Vec<String>> {
    let mut wrong = Vec::new();
    references(connection, expected, &mut wrong)?;
    let mut select = connection
        .prepare("SELECT number, id, bytes, missing, outline FROM blob ORDER BY number")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (number, name): (i64, _) = (row.get(0)?, name_of(row, 1, 2)?);
        let missing: u32 = row.get(3)?;
        let kept = row.get_ref(4)?.as_blob_or_null()?;
        if documents_of(connection, number)?.is_empty() {
            wrong.push(format!("{name:?} is named by no document"));
        }
        if let Some(reason) = chunks(connection, number, name, missing, kept)? {
            wrong.push(format!("{name:?}: {reason}"));
        }
    }
    Ok(wrong)
}

/// What is wrong with the chunks of one blob, if something is.
fn chunks(
    connection: &Connection,
    number: i64,
    name: BlobName,
    missing: u32,
    kept: Option<&[u8]>,
) -> rusqlite::Result<Option<String>> {
    let mut select = connection
        .prepare_cached("SELECT place, bytes FROM blob_chunk WHERE blob = ?1 ORDER BY place")?;
    let mut rows = select.query([number])?;
    let outline = outline(name, kept);
    let mut here = 0;
    while let Some(row) = rows.next()? {
        here += 1;
        let Some(outline) = &outline else {
            return Ok(Some("its outline is missing or wrong".to_owned()));
        };
        if let Err(error) = outline.verify(row.get(0)?, row.get(1)?) {
            return Ok(Some(error.to_string()));
        }
    }
    let counted = name.chunks().checked_sub(here) == Some(missing);
    Ok((!counted).then(|| format!("{here} chunks are here, {missing} are said to be missing")))
}

/// Compares the references with what the documents name, and their marks with the blobs.
fn references(
    connection: &Connection,
    expected: &Connection,
    wrong: &mut Vec<String>,
) -> rusqlite::Result<()> {
    expected.execute_batch(EXPECTED)?;
    let mut kept = connection.prepare(
        "SELECT document, id, blob.bytes, lacking, missing, awaited, \
         EXISTS (SELECT 1 FROM blob_proof WHERE blob_proof.document = blob_reference.document \
         AND blob_proof.blob = number) \
         FROM blob_reference JOIN blob ON number = blob ORDER BY document, id, blob.bytes",
    )?;
    let mut named = expected
        .prepare_cached("DELETE FROM named_blob WHERE document = ?1 AND id = ?2 AND bytes = ?3")?;
    let mut rows = kept.query([])?;
    while let Some(row) = rows.next()? {
        let (document, name): (Vec<u8>, _) = (row.get(0)?, name_of(row, 1, 2)?);
        if named.execute((document, name.id.0, name.bytes))? == 0 {
            wrong.push(format!("{name:?} is said to be named by a document that does not"));
        }
        let (lacking, missing, awaited): (u32, u32, u8) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let proving: bool = row.get(6)?;
        let whole = lacking == 0 && missing == 0;
        if whole == proving || (lacking == 0 && missing > 0) || (lacking > 0 && awaited > 0) {
            wrong.push(format!("{name:?} is marked as lacking or awaited, wrongly"));
        }
    }
    let mut left = expected.prepare("SELECT document, id, bytes FROM named_blob")?;
    let mut rows = left.query([])?;
    while let Some(row) = rows.next()? {
        wrong
            .push(format!("{:?} is named by a document, without a reference", name_of(row, 1, 2)?));
    }
    Ok(())
}
