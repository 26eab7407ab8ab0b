//! The table set of the library: one row for each document, base or part.

use std::collections::BTreeMap;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Row, TableSet};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use pinyin::ToPinyin as _;
use rusqlite::types::Value;

use crate::catalogue::Part;
use crate::projection::{self, json, latest, text};
use crate::record;

/// Records of the library.
#[derive(Debug)]
pub(crate) struct Library;

impl TableSet for Library {
    fn name(&self) -> &'static str {
        "library"
    }

    fn version(&self) -> u32 {
        5
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS record (
    category INTEGER NOT NULL, address TEXT NOT NULL, document BLOB NOT NULL,
    class INTEGER NOT NULL, part INTEGER NOT NULL,
    name TEXT NOT NULL, pinyin TEXT NOT NULL, initials TEXT NOT NULL,
    fields TEXT NOT NULL, search TEXT NOT NULL,
    updated_ms INTEGER NOT NULL, author BLOB NOT NULL, conflicted INTEGER NOT NULL,
    moved_to TEXT NOT NULL,
    PRIMARY KEY (category, address, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_name ON record (name) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_pinyin ON record (pinyin) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_initials ON record (initials) WHERE part = 0;
CREATE INDEX IF NOT EXISTS record_children ON record (address) WHERE part = 5;
CREATE INDEX IF NOT EXISTS record_region ON record (address, class, part, moved_to, updated_ms);
"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["record"]
    }

    fn takes(&self, category: Category) -> bool {
        category.class_and_part().is_some()
    }

    fn rows(&self, view: &DocumentView, _: &Authority) -> Vec<Row> {
        match view.home.category.class_and_part() {
            Some((class, part)) if view.erased.is_none() => vec![row(view, class, part)],
            Some(_) | None => Vec::new(),
        }
    }
}

/// The row of the document `view` of `part` of `class`.
fn row(view: &DocumentView, class: u8, part: u8) -> Row {
    let fields: BTreeMap<&str, &str> = view
        .fields
        .iter()
        .filter(|(name, _)| !record::is_link(name))
        .map(|(name, field)| (name.as_str(), field.current.text.as_str()))
        .collect();
    let is_base = part == Part::Base.number();
    let name = if is_base { fields.get("name").copied().unwrap_or_default() } else { "" };
    let (pinyin, initials) = spell(name);
    let writer = latest(view);
    let conflicted = projection::conflicted(view).next().is_some();
    let moved = view.fields.get(record::MOVED_TO);
    projection::row(
        "record",
        &view.home,
        [
            Value::Integer(i64::from(class)),
            Value::Integer(i64::from(part)),
            text(name),
            text(pinyin),
            text(initials),
            json(&fields),
            text(search_text(&fields)),
            Value::Integer(writer.map_or(0, |writer| writer.recorded_at_ms)),
            Value::Blob(writer.map(|w| w.author.as_bytes().to_vec()).unwrap_or_default()),
            Value::Integer(i64::from(conflicted)),
            text(moved.map(|field| field.current.text.as_str()).unwrap_or_default()),
        ],
    )
}

/// Full pinyin and initials of `name` in lower case, without tones: 张三 → `zhangsan`, `zs`.
/// What has no pinyin stays as it is, without blanks.
pub(crate) fn spell(name: &str) -> (String, String) {
    let (mut full, mut initials) = (String::new(), String::new());
    for found in name.chars().filter(|found| !found.is_whitespace()) {
        if let Some(pinyin) = found.to_pinyin() {
            full.push_str(pinyin.plain());
            initials.push_str(pinyin.first_letter());
        } else {
            full.extend(found.to_lowercase());
            initials.extend(found.to_lowercase());
        }
    }
    (full, initials)
}

/// All texts of the document, one per line, in lower case, for search by a part of any field.
fn search_text(fields: &BTreeMap<&str, &str>) -> String {
    let lower: Vec<String> = fields.values().map(|text| text.to_lowercase()).collect();
    lower.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that names are spelled in full and by initials, and that what has no pinyin stays.
    #[test]
    fn names_are_spelled() {
        assert_eq!(spell("张三"), ("zhangsan".to_owned(), "zs".to_owned()));
        assert_eq!(spell("3号 A院"), ("3haoayuan".to_owned(), "3hay".to_owned()));
        assert_eq!(spell(""), (String::new(), String::new()));
    }
}
