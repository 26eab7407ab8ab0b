//! The ticket that a document belongs to: its steps, the contact of who reported it, its photos.

use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;

use super::{Ticket, contact_home, fold};
use crate::capability::subject::{Subject, Whole, is_here};

/// Most tickets at one address that are looked through for the one that a contact belongs to.
const TICKETS_OF_ADDRESS: usize = 100_000;

/// All documents of the ticket that are here; `None` when the ticket itself is not.
pub(super) fn whole(store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
    let Some(ticket) = ticket_of(store, home)? else { return Ok(None) };
    let mut whole = Whole::default();
    for home in of_ticket(&ticket) {
        if is_here(store, &home)? {
            whole.homes.push(home);
        } else if !whole.missing.contains(&home.category) {
            whole.missing.push(home.category);
        }
    }
    Ok(Some(whole))
}

/// The ticket, by its title; many have none.
pub(super) fn subject(store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
    let found = ticket_of(store, home)?;
    Ok(found.map(|ticket| Subject { home: ticket.home, title: ticket.title }))
}

fn ticket_of(store: &Store, home: &Home) -> Result<Option<Ticket>, Fault> {
    let Some(home) = ticket_home(store, home)? else { return Ok(None) };
    let view = store.view(&home)?;
    Ok(view.map(|view| fold(&view, &store.authority())))
}

/// A contact has an id made from that of its ticket; a photo says which ticket it is of, unless it
/// was erased.
fn ticket_home(store: &Store, home: &Home) -> Result<Option<Home>, Fault> {
    let at = |document| Home { category: Category::TICKET, document, ..*home };
    match home.category {
        Category::TICKET_CONTACT => {
            let prefix = KeyPrefix::region(Category::TICKET, &Region::exact(home.address));
            let tickets = store.documents(&prefix, TICKETS_OF_ADDRESS)?;
            Ok(tickets.into_iter().find(|ticket| contact_home(ticket) == *home))
        }
        Category::TICKET_PHOTO => {
            let view = store.view(home)?;
            Ok(view.and_then(|view| super::photo::ticket(&view)).map(at))
        }
        _ => Ok(Some(*home)),
    }
}

/// All documents of a ticket that may be here: its steps, its contact and its photos.
fn of_ticket(ticket: &Ticket) -> Vec<Home> {
    let photos = ticket.photos.iter().chain(&ticket.result_photos);
    let photo = |document| Home { category: Category::TICKET_PHOTO, document, ..ticket.home };
    let contact = ticket.reporter.map(|_| ticket.contact_home());
    let rest = contact.into_iter().chain(photos.copied().map(photo));
    std::iter::once(ticket.home).chain(rest).collect()
}
