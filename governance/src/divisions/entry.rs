//! Entries of the register as they stand in documents.
//!
//! The county publishes one document of [`Category::DIVISION`] for all divisions directly below one
//! other, so that a reform of one town costs one small change. All of them are homed at the county
//! itself, which every node below reads: a village that was joined to one of another town finds it.
//!
//! | document field | text |
//! |---|---|
//! | the digits of a code | JSON: `name`, and where there are any `parent`, `status`, `successors` |
//!
//! The level of a division is the length of its code. The id of a document is the digits of the code
//! above, two in a byte, behind three letters:
//!
//! | bytes | what |
//! |---|---|
//! | 0–2 | `div` |
//! | 3–15 | the digits, `f` behind the last of them |

use std::collections::BTreeMap;

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::{Deserialize, Serialize};

use super::limits::{SUCCESSORS_MAX, WRITE_BYTES};
use super::{Division, Status};

/// What an entry says of its code.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<AddressCode>,
    #[serde(default = "active", skip_serializing_if = "is_active")]
    status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    successors: Vec<AddressCode>,
}

const fn active() -> Status {
    Status::Active
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_active(status: &Status) -> bool {
    *status == Status::Active
}

/// The text of an entry.
pub(super) fn text(division: &Division) -> String {
    let entry = Entry {
        name: division.name.clone(),
        parent: division.parent,
        status: division.status,
        successors: division.successors.clone(),
    };
    serde_json::to_string(&entry).expect("an entry serialises to JSON")
}

/// The division that a field of a document homed at `home` names; `None` where it says nothing that
/// holds. A place speaks of itself and what is below it; a county and those above it also of what
/// they belong to.
pub(super) fn read(home: AddressCode, field: &str, text: &str) -> Option<Division> {
    let code = AddressCode::parse(field).ok()?;
    let is_above = code.contains(&home) && home.level() <= Level::County;
    if !home.contains(&code) && !is_above {
        return None;
    }
    let Entry { name, parent, status, successors } = serde_json::from_str(text).ok()?;
    let is_named = !name.trim().is_empty() && !name.chars().any(char::is_control);
    let fits = parent.is_none_or(|parent| parent != code && parent.contains(&code));
    let follows = successors.len() <= SUCCESSORS_MAX && !successors.contains(&code);
    (is_named && fits && follows).then_some(Division { code, name, parent, status, successors })
}

/// The writes that publish `divisions` in documents homed at `home`, each small enough for a change.
pub(super) fn writes(home: AddressCode, divisions: &[Division], source: &str) -> Vec<Write> {
    let mut documents: BTreeMap<DocumentId, Vec<&Division>> = BTreeMap::new();
    for division in divisions {
        documents.entry(document(&division.code)).or_default().push(division);
    }
    let mut writes = Vec::new();
    for (document, divisions) in documents {
        let home = Home { category: Category::DIVISION, address: home, document };
        let (mut edits, mut bytes) = (Vec::new(), 0);
        let mut close = |edits: &mut Vec<Edit>| {
            let edits = std::mem::take(edits);
            if !edits.is_empty() {
                writes.push(Write { home, edits, source: source.to_owned(), task: String::new() });
            }
        };
        for division in divisions {
            let (field, text) = (division.code.as_str().to_owned(), text(division));
            let more = field.len() + text.len();
            if bytes + more > WRITE_BYTES {
                close(&mut edits);
                bytes = 0;
            }
            bytes += more;
            edits.push(Edit::Put { field, text });
        }
        close(&mut edits);
    }
    writes
}

/// The document in which the entry of `code` stands.
fn document(code: &AddressCode) -> DocumentId {
    let above = code.parent().unwrap_or(AddressCode::COUNTRY);
    let mut digits = above.as_bytes().iter().map(|digit| digit - b'0').chain([0xf]);
    let mut id = [0; DocumentId::LENGTH];
    for (place, letter) in id.iter_mut().zip(b"div") {
        *place = *letter;
    }
    for place in id.iter_mut().skip(3) {
        *place = digits.next().unwrap_or(0xf) << 4 | digits.next().unwrap_or(0xf);
    }
    DocumentId(id)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn code(text: &str) -> AddressCode {
        AddressCode::parse(text).unwrap()
    }

    fn division(text: &str, name: &str) -> Division {
        let code = code(text);
        let (parent, status) = (code.parent(), Status::Active);
        Division { code, name: name.to_owned(), parent, status, successors: Vec::new() }
    }

    /// Shows that an entry is read back as it was written, and how small it is.
    #[test]
    fn an_entry_survives_its_text() {
        let county = code("370322");
        let mut village = division("370322102310", "苑兴村");
        assert_eq!(text(&village), r#"{"name":"苑兴村","parent":"370322102"}"#);
        assert_eq!(read(county, "370322102310", &text(&village)), Some(village.clone()));
        village.status = Status::Split;
        village.successors = vec![code("370322102311"), code("370322103201")];
        assert_eq!(read(county, "370322102310", &text(&village)), Some(village));
    }

    /// Shows that nobody names a place that is not theirs, and that an entry without sense says
    /// nothing.
    #[test]
    fn a_place_speaks_of_itself_and_what_is_below() {
        let name = r#"{"name":"x"}"#;
        for (home, of, counts) in [
            ("370322", "370322102310", true),
            ("370322", "3703", true),
            ("370322", "370323", false),
            ("370322102", "370322102310", true),
            ("370322102", "370322", false),
            ("370322102310", "370322102311", false),
        ] {
            assert_eq!(read(code(home), of, name).is_some(), counts, "{of} at {home}");
        }
        for text in [
            "",
            "[]",
            r#"{"name":" "}"#,
            r#"{"name":"a\u0000b"}"#,
            r#"{"name":"x","parent":"371"}"#,
            r#"{"name":"x","parent":"370323"}"#,
            r#"{"name":"x","status":"gone"}"#,
            r#"{"name":"x","status":"merged","successors":["370322102"]}"#,
        ] {
            assert_eq!(read(code("370322"), "370322102", text), None, "{text}");
        }
        let many = vec!["370322103"; SUCCESSORS_MAX + 1];
        let text = format!(r#"{{"name":"x","status":"split","successors":{many:?}}}"#);
        assert_eq!(read(code("370322"), "370322102", &text), None);
    }

    /// Shows that the villages of a town stand in one document, towns in another, and that no two
    /// places share one.
    #[test]
    fn divisions_below_one_other_share_a_document() {
        let villages = [division("370322102310", "甲村"), division("370322102311", "乙村")];
        let writes = writes(code("370322"), &villages, "test");
        assert_eq!(writes.len(), 1);
        let documents = ["37", "3703", "370322", "370322102", "370322102310", "370322102310001"];
        let mut documents = documents.map(|text| document(&code(text)));
        documents.sort_unstable();
        assert!(documents.windows(2).all(|pair| pair.first() != pair.last()));
        assert_eq!(document(&code("370322102")), document(&code("370322999")));
    }

    /// Shows that no change becomes larger than a change may be, however long the names are.
    #[test]
    fn a_town_with_long_names_is_several_writes() {
        let name = "很".repeat(1_300);
        let villages: Vec<_> =
            (200..500).map(|n| division(&format!("370322102{n}"), &name)).collect();
        let writes = writes(code("370322"), &villages, "test");
        assert!(writes.len() > 1);
        for write in &writes {
            let bytes = |edit: &Edit| match edit {
                Edit::Put { field, text } => field.len() + text.len(),
                Edit::Delete { .. } | Edit::Append { .. } | Edit::Review { .. } => 0,
            };
            assert!(write.edits.iter().map(bytes).sum::<usize>() <= WRITE_BYTES);
        }
        assert_eq!(writes.iter().map(|write| write.edits.len()).sum::<usize>(), 300);
    }
}
