//! Names as they are found by typing: in Latin letters.

use pinyin::ToPinyin as _;

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
