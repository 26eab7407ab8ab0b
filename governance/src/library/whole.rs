//! The record that a document is part of, with all its parts and the places it was at.

use std::collections::BTreeSet;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;

use crate::capability::subject::{Subject, Whole, alone};
use crate::library::catalogue::{self, Class, Part};
use crate::library::{Place, relocation};

/// Most moves of one record that are followed.
const MOVES_MAX: usize = 64;

/// Most records at one address that are looked through for the one that a part belongs to.
const RECORDS_OF_ADDRESS: usize = 100_000;

/// All documents of the record; `None` when its base is not here, which alone says what it is.
pub(super) fn whole(store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
    let Some((class, _)) = class_of(store, home)? else { return alone(store, home).map(Some) };
    let Some(base) = base_of(store, &class, home)? else { return Ok(None) };
    let place = Place { address: base.address, record: base.document };
    let homes = of_record(&class, place, |home| store.view(home))?;
    let is_missing = |part: &Part| !homes.contains(&class.home(*part, place.address, place.record));
    let missing = class.parts().filter(is_missing).map(|part| class.category(part)).collect();
    Ok(Some(Whole { homes, missing }))
}

/// The base of the record, by its name.
pub(super) fn subject(store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
    let Some((class, _)) = class_of(store, home)? else { return Ok(None) };
    let Some(base) = base_of(store, &class, home)? else { return Ok(None) };
    let Some(view) = store.view(&base)?.filter(|view| view.erased.is_none()) else {
        return Ok(None);
    };
    let title = view.fields.get("name").map(|field| field.current.text.clone());
    Ok(Some(Subject { home: base, title: title.unwrap_or_default() }))
}

/// The class of a document, as the catalogue has it there, and which part it is.
fn class_of(store: &Store, home: &Home) -> Result<Option<(Class, Part)>, Fault> {
    let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
    let Some((number, part)) = home.category.class_and_part() else { return Ok(None) };
    Ok(catalogue.by_number(number).cloned().zip(Part::from_number(part)))
}

/// The base document of a record. Other parts have ids made from it, which cannot be turned back,
/// so the records at the address are tried.
pub(crate) fn base_of(store: &Store, class: &Class, home: &Home) -> Result<Option<Home>, Fault> {
    let base = class.category(Part::Base);
    if home.category == base {
        return Ok(store.view(home)?.map(|_| *home));
    }
    let prefix = KeyPrefix::region(base, &Region::exact(home.address));
    let bases = store.documents(&prefix, RECORDS_OF_ADDRESS)?;
    Ok(bases.into_iter().find(|base| is_part(home.category, *base, home)))
}

fn is_part(category: Category, base: Home, part: &Home) -> bool {
    base.document.part(category) == part.document
}

/// All documents of the record at `place` that are here, also of the places it came from and went
/// to; `view` reads a document.
fn of_record<E>(
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use cunlian_crdt::document::{Edit, FieldValue, FieldView, Write, Writer};
    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::id::{ChangeId, DocumentId, Serial};

    use super::*;
    use crate::library::catalogue::Catalogue;
    use crate::library::masking::unmask;
    use crate::library::{Origin, record};

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
