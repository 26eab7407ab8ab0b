//! Tests of the record commands.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_protocol::category::Category;

use super::*;

fn place() -> Place {
    Place {
        address: AddressCode::parse("37032210231000100012").unwrap(),
        record: DocumentId([7; 16]),
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect()
}

fn origin() -> Origin {
    Origin { source: "form".to_owned(), task: "T1".to_owned() }
}

fn puts(write: &Write) -> Vec<(&str, &str)> {
    let mut puts = Vec::new();
    for edit in &write.edits {
        let Edit::Put { field, text } = edit else { continue };
        puts.push((field.as_str(), text.as_str()));
    }
    puts
}

/// Shows that a registered person becomes one document per part that has a value, that sensitive
/// fields are only in theirs, and that birth date and sex come from the identity number.
#[test]
fn a_record_is_split_into_its_parts() {
    let filled = fields(&[
        ("name", " 张三 "),
        ("id_number", "34052419800101001x"),
        ("phone", "138 0013 8000"),
        ("illness", ""),
    ]);
    let writes =
        register(&Catalogue::built_in(), "population", place(), &filled, &origin()).unwrap();
    let seen: Vec<_> = writes.iter().map(|w| (w.home.category, puts(w))).collect();
    let base = vec![("birth", "1980-01-01"), ("name", "张三"), ("sex", "男")];
    let expected = vec![
        (Category::library(0, 0), base),
        (Category::library(0, 1), vec![("id_number", "34052419800101001X")]),
        (Category::library(0, 2), vec![("phone", "13800138000")]),
    ];
    assert_eq!(seen, expected);
    let contact = writes.last().unwrap();
    assert_eq!(contact.home.document, place().record.part(Category::library(0, 2)));
    assert_eq!((contact.source.as_str(), contact.task.as_str()), ("form", "T1"));
}

/// Shows that every wrong field is reported at once, each with its own problem.
#[test]
fn all_problems_are_reported_together() {
    let filled = fields(&[
        ("sex", "雌"),
        ("id_number", "340524198001010011"),
        ("phone", "12"),
        ("shoe_size", "43"),
    ]);
    let result = register(&Catalogue::built_in(), "population", place(), &filled, &origin());
    let Err(RecordError::Fields(problems)) = result else { panic!("accepted: {result:?}") };
    let keys: Vec<_> = problems.keys().map(String::as_str).collect();
    assert_eq!(keys, ["id_number", "name", "phone", "sex", "shoe_size"]);
    assert_eq!(problems.get("name"), Some(&Problem::Required));
    assert_eq!(problems.get("shoe_size"), Some(&Problem::Unknown));
    assert!(problems.get("sex").unwrap().message(Language::Chinese).contains("男、女"));
}

/// Shows that a birth date that contradicts the identity number is not taken.
#[test]
fn birth_date_must_agree_with_the_identity_number() {
    let filled = fields(&[
        ("name", "张三"),
        ("birth", "1981-01-01"),
        ("sex", "男"),
        ("id_number", "34052419800101001X"),
    ]);
    let result = register(&Catalogue::built_in(), "population", place(), &filled, &origin());
    let disagrees = Problem::Disagrees { expected: "1980-01-01".to_owned() };
    assert_eq!(result, Err(RecordError::Fields(BTreeMap::from([("birth".to_owned(), disagrees)]))));
}

/// Shows that an edit writes only what changed, deletes what was emptied, and refuses to do
/// nothing.
#[test]
fn an_edit_writes_only_what_changed() {
    let catalogue = Catalogue::built_in();
    let current = fields(&[("name", "张三"), ("sex", "男"), ("ethnic", "汉族")]);
    let filled = fields(&[("name", "张三"), ("sex", "男"), ("ethnic", ""), ("phone", "6310000")]);
    let writes = edit(&catalogue, "population", place(), &current, &filled, &origin()).unwrap();
    let edits: Vec<_> = writes.iter().flat_map(|write| &write.edits).collect();
    let deleted = Edit::Delete { field: "ethnic".to_owned() };
    let put = Edit::Put { field: "phone".to_owned(), text: "6310000".to_owned() };
    assert_eq!(edits, [&deleted, &put]);
    let again = edit_same(&catalogue, &current);
    assert_eq!(again, Err(RecordError::Unchanged));
}

fn edit_same(catalogue: &Catalogue, current: &Fields) -> Result<Vec<Write>, RecordError> {
    edit(catalogue, "population", place(), current, current, &origin())
}

/// Shows that a required field cannot be emptied and that resolving writes the chosen text even
/// if it is the one shown.
#[test]
fn required_fields_stay_and_conflicts_are_resolved_by_a_write() {
    let catalogue = Catalogue::built_in();
    let current = fields(&[("name", "张三"), ("sex", "男")]);
    let emptied = fields(&[("name", " ")]);
    let result = edit(&catalogue, "population", place(), &current, &emptied, &origin());
    let required = BTreeMap::from([("name".to_owned(), Problem::Required)]);
    assert_eq!(result, Err(RecordError::Fields(required)));
    let writes = resolve(&catalogue, "population", place(), "name", "张三", &origin()).unwrap();
    assert_eq!(puts(writes.first().unwrap()), [("name", "张三")]);
}
