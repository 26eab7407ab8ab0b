//! Tests of the record commands.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_crdt::document::{DocumentView, FieldValue, FieldView, Writer};
use cunlian_protocol::category::Category;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};

use super::*;
use crate::library::masking::with_masks;
use crate::library::relocation::{RelocationError, relocate};

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
    let base = vec![
        ("birth", "1980-01-01"),
        ("id_number_masked", "340524************"),
        ("name", "张三"),
        ("phone_masked", "138****8000"),
        ("sex", "男"),
    ];
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
    assert!(problems.get("sex").unwrap().to_string().contains("男、女"));
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
    let mask = Edit::Put { field: "phone_masked".to_owned(), text: "6******".to_owned() };
    let put = Edit::Put { field: "phone".to_owned(), text: "6310000".to_owned() };
    assert_eq!(edits, [&deleted, &mask, &put]);
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

/// Every edit of these writes: the part's number, the field, and its text or none when deleted.
fn edits(writes: &[Write]) -> Vec<(u8, &str, Option<&str>)> {
    let mut all = Vec::new();
    for write in writes {
        let (_, part) = write.home.category.class_and_part().unwrap();
        for edit in &write.edits {
            all.push(match edit {
                Edit::Put { field, text } => (part, field.as_str(), Some(text.as_str())),
                Edit::Delete { field } => (part, field.as_str(), None),
                Edit::Append { .. } | Edit::Review { .. } => panic!("records have no operations"),
            });
        }
    }
    all
}

/// Shows that a mask follows its value: it changes with it, goes with it, stays away where it says
/// the same, is chosen with it in a conflict, and cannot be typed.
#[test]
fn a_mask_follows_its_value() {
    let catalogue = Catalogue::built_in();
    let current =
        fields(&[("name", "张三"), ("phone", "13800138000"), ("phone_masked", "138****8000")]);
    let to = |phone: &str| {
        let filled = fields(&[("phone", phone)]);
        edit(&catalogue, "population", place(), &current, &filled, &origin()).unwrap()
    };
    let changed = to("13900139001");
    let expected = [(0, "phone_masked", Some("139****9001")), (2, "phone", Some("13900139001"))];
    assert_eq!(edits(&changed), expected);
    assert_eq!(edits(&to("13899998000")), [(2, "phone", Some("13899998000"))]);
    assert_eq!(edits(&to("")), [(0, "phone_masked", None), (2, "phone", None)]);
    let chosen =
        resolve(&catalogue, "population", place(), "phone", "13900139001", &origin()).unwrap();
    assert_eq!(edits(&chosen), expected);
    let typed = fields(&[("phone_masked", "13900139001")]);
    let result = edit(&catalogue, "population", place(), &current, &typed, &origin());
    let unknown = BTreeMap::from([("phone_masked".to_owned(), Problem::Unknown)]);
    assert_eq!(result, Err(RecordError::Fields(unknown)));
    let seen = with_masks(fields(&[("phone", "13800138000")]), &current);
    assert_eq!(seen.get("phone_masked").map(String::as_str), Some("138****8000"));
}

/// Shows that place, birth and mask of an identity number never make up the number, in any class,
/// and that health and benefits have no mask at all.
#[test]
fn masks_do_not_add_up_to_the_value() {
    let number = "34052419800101001X";
    for class in Catalogue::built_in().classes() {
        for field in &class.fields {
            let masked = mask(class, field, number);
            if field.kind == FieldKind::IdNumber {
                let masked = masked.unwrap();
                let birth = class.field("birth").is_some();
                let shown = if birth { "340524************" } else { "340524********001X" };
                assert_eq!(masked, shown, "{}", class.key);
            } else if matches!(field.part, Part::Base | Part::Health | Part::Welfare) {
                assert_eq!(masked, None, "{}.{}", class.key, field.key);
            }
        }
    }
}

/// Shows that a child's name is only in the part about children, whatever was typed in its place.
#[test]
fn a_childs_name_is_masked_in_the_base() {
    let catalogue = Catalogue::built_in();
    for typed in ["", "张小明"] {
        let filled = fields(&[
            ("name", typed),
            ("sex", "男"),
            ("child_name", "张小明"),
            ("guardian", "张三"),
        ]);
        let writes = register(&catalogue, "population", place(), &filled, &origin()).unwrap();
        let expected = [
            (0, "guardian_masked", Some("张*")),
            (0, "name", Some("张**")),
            (0, "sex", Some("男")),
            (5, "child_name", Some("张小明")),
            (5, "guardian", Some("张三")),
        ];
        let mut seen = edits(&writes);
        seen.sort_unstable();
        assert_eq!(seen, expected);
    }
    let nameless = fields(&[("sex", "男")]);
    assert!(register(&catalogue, "population", place(), &nameless, &origin()).is_err());
}

fn view(home: cunlian_protocol::change::Home, texts: &Fields) -> DocumentView {
    let writer = Writer {
        author: Serial([1; 16]),
        seq: 1,
        recorded_at_ms: 1,
        change: ChangeId([1; 32]),
        source: String::new(),
        task: String::new(),
        tainted: false,
    };
    let field = |(key, text): (&String, &String)| {
        let current = FieldValue { text: text.clone(), writer: writer.clone() };
        (key.clone(), FieldView { current, others: Vec::new() })
    };
    DocumentView {
        home,
        fields: texts.iter().map(field).collect(),
        operations: Vec::new(),
        changes: 1,
        waiting: 0,
        tainted: Vec::new(),
        erased: None,
    }
}

/// Shows that a move copies every part it is given, links old and new both ways, gives the same
/// documents when it is made twice, and is refused where it would lose something.
#[test]
fn a_move_copies_and_links() {
    let catalogue = Catalogue::built_in();
    let class = catalogue.class("population").unwrap();
    let home = |part| class.home(part, place().address, place().record);
    let base =
        view(home(Part::Base), &fields(&[("name", "张三"), ("phone_masked", "138****8000")]));
    let contact = view(home(Part::Contact), &fields(&[("phone", "13800138000")]));
    let to = AddressCode::parse("370322102203").unwrap();
    let parts = [(Part::Base, &base), (Part::Contact, &contact)];
    let (there, writes) = relocate(class, place(), to, &parts, &origin()).unwrap();
    let again = relocate(class, place(), to, &parts, &origin()).unwrap();
    assert_eq!(again, (there, writes.clone()));
    let homes: Vec<_> = writes.iter().map(|write| write.home).collect();
    let new = |part| class.home(part, there.address, there.record);
    let expected = [new(Part::Base), new(Part::Contact), home(Part::Base), home(Part::Contact)];
    assert_eq!((there.address, homes.as_slice()), (to, expected.as_slice()));
    let (gone, come) = (there.link(), place().link());
    let expected = [
        (0, "name", Some("张三")),
        (0, "phone_masked", Some("138****8000")),
        (0, "moved_from", Some(come.as_str())),
        (2, "phone", Some("13800138000")),
        (0, "moved_to", Some(gone.as_str())),
        (2, "moved_to", Some(gone.as_str())),
    ];
    assert_eq!(edits(&writes), expected);
    assert_eq!(Place::from_link(&gone), Some(there));

    let moved = view(home(Part::Base), &fields(&[("name", "张三"), ("moved_to", &gone)]));
    let refused = |to: &str, base: &DocumentView| {
        let to = AddressCode::parse(to).unwrap();
        relocate(class, place(), to, &[(Part::Base, base)], &origin()).unwrap_err()
    };
    assert_eq!(refused("370322102204", &moved), RelocationError::Moved { to });
    let own = AddressCode::parse("370322102310").unwrap();
    assert_eq!(refused("370322102310", &base), RelocationError::NotElsewhere { to: own });
    let mut two = base.clone();
    let other = two.fields.get("name").unwrap().current.clone();
    two.fields.get_mut("name").unwrap().others.push(other);
    let conflict = RelocationError::Conflict { field: "name".to_owned() };
    assert_eq!(refused("370322102203", &two), conflict);
}
