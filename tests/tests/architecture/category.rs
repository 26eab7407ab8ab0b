//! Numbers of categories stand in the kinds of data alone: a number written elsewhere is one that
//! no preset, role or name knows of.

use super::tree::code_lines;

/// Numbers of categories in the code of one file, its tests left out.
pub(crate) fn numbers(path: &str, text: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "kinds.rs" || name == "tests.rs" {
        return Vec::new();
    }
    let numbered = |line: &str| {
        let after = |rest: &str| rest.trim_start().starts_with(|c: char| c.is_ascii_digit());
        line.split("Category(").skip(1).any(after)
    };
    let found = code_lines(text).filter(|(_, line)| numbered(line));
    found.map(|(number, line)| format!("{path}:{number}: {}", line.trim())).collect()
}

#[test]
fn a_number_of_a_category_is_found() {
    for bad in ["let c = Category(0x2005);", "Category( 8192)", "f(Category(a), Category(0x1))"] {
        assert_eq!(numbers("node/web/src/lib.rs", bad).len(), 1, "{bad}");
    }
    for good in [
        "let c = Category(number);",
        "Category::TICKET",
        "// once Category(0x2005)",
        "fn a() {}\n#[cfg(test)]\nmod tests {\nconst A: Category = Category(0x2005);\n}",
    ] {
        assert_eq!(numbers("node/web/src/lib.rs", good), Vec::<String>::new(), "{good}");
    }
    assert!(numbers("governance/src/ticket/kinds.rs", "Category(0x2005)").is_empty());
}
