//! Masks: what who may not read a sensitive part sees of it.
//!
//! Whoever writes a value of a sensitive part may read it, and writes its mask as an ordinary
//! field of the base record in the same call: signed, replicated and read like any other. So no
//! node that lacks the part ever has to have seen the value.
//!
//! | field | mask in the base | shown |
//! |---|---|---|
//! | phone | `KEY_masked` | `138****8000` |
//! | identity number | `KEY_masked` | `370322********1234` |
//! | identity number where the base has `birth` | `KEY_masked` | `370322************` |
//! | name of an owner or guardian | `KEY_masked` | `张**` |
//! | name of a child | the base field it stands in for | `张**` |
//!
//! The third row is not the customary mask, and has to be so: place, birth and the last four are
//! the whole number.

use cunlian_crdt::document::{DocumentView, Edit, Write};

use super::{Fields, Origin};
use crate::checks;
use crate::library::catalogue::{Class, Field, Mask, Part};

/// How a base field that holds a mask ends.
const SUFFIX: &str = "_masked";

/// Whether the base field `key` is the mask of another field.
pub fn is_mask(key: &str) -> bool {
    key.ends_with(SUFFIX)
}

/// Whether a record of `class` has a text under `key`: a field of its own, or the mask of one.
pub fn has_text(class: &Class, key: &str) -> bool {
    let is_its_mask = |field: &Field| mask_key(field).as_deref() == Some(key);
    class.field(key).is_some() || class.fields.iter().any(is_its_mask)
}

/// The base field that shows the mask of `field`; `None` when it has no mask.
pub fn mask_key(field: &Field) -> Option<String> {
    field.masked()?;
    Some(field.stands_in.clone().unwrap_or_else(|| format!("{}{SUFFIX}", field.key)))
}

/// The mask of `text` in `field` of `class`; `None` when it has none.
pub fn mask(class: &Class, field: &Field, text: &str) -> Option<String> {
    Some(match field.masked()? {
        Mask::Name => checks::mask_name(text),
        Mask::Phone => checks::mask_phone(text),
        Mask::IdNumber => {
            let birth = class.field("birth").is_some_and(|birth| birth.part == Part::Base);
            if birth { checks::mask_id_number_to_place(text) } else { checks::mask_id_number(text) }
        }
    })
}

/// The edit of the base that goes with the text of `field` becoming `text`, which is empty when
/// it is deleted; `None` when there is nothing to do. `current` are the texts of the record.
pub fn mask_edit(class: &Class, field: &Field, text: &str, current: &Fields) -> Option<Edit> {
    let key = mask_key(field)?;
    let known = current.get(&key);
    if text.is_empty() {
        // What stands in the place of a name goes when somebody writes the name itself.
        return (field.stands_in.is_none() && known.is_some())
            .then_some(Edit::Delete { field: key });
    }
    let text = mask(class, field, text)?;
    (known != Some(&text)).then_some(Edit::Put { field: key, text })
}

/// Adds to the texts an editor saw the masks that are stored, so that they go with their values
/// also where the editor left them out.
pub fn with_masks(mut seen: Fields, stored: &Fields) -> Fields {
    for (key, text) in stored.iter().filter(|(key, _)| is_mask(key)) {
        seen.insert(key.clone(), text.clone());
    }
    seen
}

/// The write that takes the masks of `part` out of the base of a record; `None` when it holds none.
pub fn unmask(class: &Class, part: Part, base: &DocumentView, origin: &Origin) -> Option<Write> {
    let fields = class.fields.iter().filter(|field| field.part == part);
    let keys = fields.filter_map(mask_key).filter(|key| is_mask(key));
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
