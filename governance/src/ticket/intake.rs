//! A ticket is taken down: by the villager who scanned a plate, by a clerk, by a hotline's program.

use cunlian_crdt::store::{Fault, Store, WriteError};
use cunlian_protocol::address::Level;
use cunlian_protocol::blob::BlobReference;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;

use super::command::{NewTicket, TicketError, report};
use super::fold::fold;
use super::photo::photo_write;
use super::receipt::Receipt;
use crate::access::acting::Acting;
use crate::divisions;
use crate::refusal::Failed;
use crate::submission::{Intended, Placed, derived, placed};

/// A ticket that was taken down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Its base document.
    pub home: Home,
    /// What the villager keeps.
    pub receipt: Receipt,
    /// What was written; empty when the same was sent before.
    pub changes: Vec<ChangeId>,
}

/// Takes a ticket down, with one picture in JPEG. A village that was joined to another one is the
/// other: a hotline may still know the old code. What was sent before is not taken down again.
pub fn intake(
    acting: &Acting<'_>,
    new: &NewTicket,
    intended: Intended,
    picture: Option<Vec<u8>>,
) -> Result<Reported, Failed<TicketError>> {
    let store = acting.store;
    let today = store.read(|connection| Ok(divisions::successor(connection, &new.village)))?;
    let village = today.unwrap_or(new.village);
    let new = NewTicket { village, source: acting.source.to_owned(), ..new.clone() };
    let reference = picture.as_deref().map(|jpeg| BlobReference::of(jpeg, "image/jpeg"));
    let reference = reference.transpose().map_err(WriteError::from)?;
    let placed = placed(store, intended, |document| {
        let photo = derived(&document, "photo", std::iter::empty(), None);
        let photos = reference.iter().map(|_| photo).collect();
        let (_, mut writes) =
            report(&NewTicket { photos, ..new.clone() }, document, acting.now_ms)?;
        let base = writes.first().map(|write| write.home);
        let named = base.zip(reference.as_ref());
        writes.extend(named.map(|(base, it)| photo_write(&base, photo, it, acting.source)));
        Ok(writes)
    });
    let Placed { document, writes, is_here } = placed?.map_err(Failed::Refused)?;
    let address = village.truncate(Level::Village).unwrap_or(village);
    let home = Home { category: Category::TICKET, address, document };
    let known = if is_here { receipt_of(store, &home)? } else { None };
    if let Some(receipt) = known {
        return Ok(Reported { home, receipt, changes: Vec::new() });
    }
    let contents = picture.into_iter().collect();
    let changes = store.write_with_blobs(acting.author, writes, contents, acting.now_ms)?;
    Ok(Reported { home, receipt: Receipt::of(&document, acting.now_ms), changes })
}

/// The receipt of a ticket that is here; `None` where there is none, or nothing is left of it.
pub fn receipt_of(store: &Store, home: &Home) -> Result<Option<Receipt>, Fault> {
    let view = store.view(home)?;
    Ok(view.and_then(|view| fold(&view, &store.authority()).receipt))
}
