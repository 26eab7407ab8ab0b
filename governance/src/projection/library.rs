//! Rows of the library: one per document, base or part.

use std::collections::BTreeMap;

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::Row;
use pinyin::ToPinyin as _;
use rusqlite::types::Value;

use super::{json, latest, text};
use crate::catalogue::Part;
use crate::record;

/// The row of the document `view` of `part` of `class`.
pub(super) fn row(view: &DocumentView, class: u8, part: u8) -> Row {
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
    let conflicted = super::conflicted(view).next().is_some();
    let moved = view.fields.get(record::MOVED_TO);
    super::row(
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
