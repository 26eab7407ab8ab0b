//! What has to go when a person asks for deletion (PIPL art. 47): never one document alone.
//!
//! A record is its base, its sensitive parts and, where it has moved, the copies that stayed
//! behind; a ticket is its steps, the contact of who reported it and its photos. These functions
//! name the documents; [`Store::erase`](cunlian_crdt::store::Store::erase) takes them all or none.
//! Where one sensitive part goes alone, its mask in the base goes with it ([`unmask`]).

use std::collections::BTreeSet;

use cunlian_crdt::document::{DocumentView, Edit, Write};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

use crate::library::catalogue::{Class, Part};
use crate::library::{Origin, Place, masking, relocation};
use crate::ticket::Ticket;

/// Most moves of one record that are followed.
pub const MOVES_MAX: usize = 64;

/// All documents of the record at `place` that are here, also of the places it came from and went
/// to; `view` reads a document.
pub fn of_record<E>(
    class: &Class,
    place: Place,
    mut view: impl FnMut(&Home) -> Result<Option<DocumentView>, E>,
) -> Result<Vec<Home>, E> {
    let (mut homes, mut seen) = (Vec::new(), BTreeSet::new());
    let mut waiting = vec![place];
    while let Some(place) = waiting.pop() {
        if seen.len() == MOVES_MAX || !seen.insert((place.address, place.record)) {
            continue;
        }
        for part in class.parts() {
            let home = class.home(part, place.address, place.record);
            let Some(found) = view(&home)? else { continue };
            if found.erased.is_none() {
                homes.push(home);
            }
            if part == Part::Base {
                waiting.extend(relocation::moved_to(&found));
                waiting.extend(relocation::moved_from(&found));
            }
        }
    }
    Ok(homes)
}

/// All documents of a ticket that may be here: its steps, its contact and its photos.
pub fn of_ticket(ticket: &Ticket) -> Vec<Home> {
    let photos = ticket.photos.iter().chain(&ticket.result_photos);
    let photo = |document| Home { category: Category::TICKET_PHOTO, document, ..ticket.home };
    let contact = ticket.reporter.map(|_| ticket.contact_home());
    let rest = contact.into_iter().chain(photos.copied().map(photo));
    std::iter::once(ticket.home).chain(rest).collect()
}

/// The write that takes the masks of `part` out of the base of a record; `None` when it holds none.
pub fn unmask(class: &Class, part: Part, base: &DocumentView, origin: &Origin) -> Option<Write> {
    let fields = class.fields.iter().filter(|field| field.part == part);
    let keys = fields.filter_map(masking::mask_key).filter(|key| masking::is_mask(key));
    let edits: Vec<Edit> = keys
        .filter(|key| base.fields.contains_key(key))
        .map(|field| Edit::Delete { field })
        .collect();
    (!edits.is_empty()).then(|| Write {
        home: base.home,
        edits,
        source: origin.source.clone(),
        task: origin.task.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use cunlian_crdt::document::{FieldValue, FieldView, Writer};
    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::id::{ChangeId, DocumentId, Serial};

    use super::*;
    use crate::library::catalogue::Catalogue;
    use crate::library::record;

    /// Carries out writes on documents in memory, the text of each field alone.
    fn apply(documents: &mut BTreeMap<Home, DocumentView>, writes: Vec<Write>) {
        let by = Writer {
            author: Serial([1; 16]),
            seq: 1,
            recorded_at_ms: 1,
            change: ChangeId([1; 32]),
            source: String::new(),
            task: String::new(),
            tainted: false,
        };
        for write in writes {
            let view = documents.entry(write.home).or_insert_with(|| DocumentView {
                home: write.home,
                fields: BTreeMap::new(),
                operations: Vec::new(),
                changes: 1,
                waiting: 0,
                tainted: Vec::new(),
                erased: None,
            });
            for edit in write.edits {
                match edit {
                    Edit::Put { field, text } => {
                        let current = FieldValue { text, writer: by.clone() };
                        view.fields.insert(field, FieldView { current, others: Vec::new() });
                    }
                    Edit::Delete { field } => drop(view.fields.remove(&field)),
                    Edit::Append { .. } | Edit::Review { .. } => panic!("records have fields"),
                }
            }
        }
    }

    /// Shows that the documents of a person who has moved are found from either village, that a
    /// part alone takes its mask with it, and that nobody else's documents are named.
    #[test]
    fn a_record_goes_with_its_parts_and_where_it_was() {
        let catalogue = Catalogue::built_in();
        let class = catalogue.class("population").unwrap();
        let mut documents = BTreeMap::new();
        let code = |text| AddressCode::parse(text).unwrap();
        let place =
            |number| Place { address: code("370322102310"), record: DocumentId([number; 16]) };
        for (number, name) in [(1, "苑大明"), (2, "苑丽")] {
            let fields = [("name", name), ("sex", "男"), ("phone", "13800138000")]
                .map(|(key, text)| (key.to_owned(), text.to_owned()));
            let writes = record::register(
                &catalogue,
                "population",
                place(number),
                &fields.into(),
                &Origin::default(),
            );
            apply(&mut documents, writes.unwrap());
        }
        let home = |part, place: Place| class.home(part, place.address, place.record);
        let base = documents.get(&home(Part::Base, place(1))).unwrap().clone();
        let contact = documents.get(&home(Part::Contact, place(1))).unwrap().clone();
        let parts = [(Part::Base, &base), (Part::Contact, &contact)];
        let to = code("370322102203");
        let (there, writes) =
            relocation::relocate(class, place(1), to, &parts, &Origin::default()).unwrap();
        apply(&mut documents, writes);
        let all: BTreeSet<Home> = [place(1), there]
            .into_iter()
            .flat_map(|place| [home(Part::Base, place), home(Part::Contact, place)])
            .collect();
        for start in [place(1), there] {
            let read = |home: &Home| Ok::<_, Infallible>(documents.get(home).cloned());
            let found = of_record(class, start, read).unwrap();
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
        }
        let unmasked = unmask(class, Part::Contact, &base, &Origin::default()).unwrap();
        assert_eq!(unmasked.home, base.home);
        assert_eq!(unmasked.edits, [Edit::Delete { field: "phone_masked".to_owned() }]);
        assert_eq!(unmask(class, Part::Health, &base, &Origin::default()), None);
    }
}
