//! The shape of source files: length, names, nothing left open, no test put aside.

use super::tree::{code_lines, has_word};

/// Lines of a file before the tests that close it.
const MAX_LINES: usize = 600;

/// File names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["mod", "utils", "helpers", "common", "manager", "misc"];

/// What is wrong with the shape of one Rust file.
pub(crate) fn findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = code_lines(text).count();
    if lines > MAX_LINES {
        findings.push(format!("{path}: {lines} lines without its tests, {MAX_LINES} at most"));
    }
    let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if EMPTY_NAMES.contains(&name) {
        findings.push(format!("{path}: name the file after the noun it holds"));
    }
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        // Spelled in two parts, or this file would find itself.
        for open in [concat!("to", "do!"), concat!("unimple", "mented!")] {
            if code.contains(&format!("{open}(")) && has_word(code, open.trim_end_matches('!')) {
                findings.push(format!("{path}:{}: {open} is left open", index + 1));
            }
        }
        let attribute = code.trim_start();
        if attribute.starts_with(concat!("#[ig", "nore")) {
            findings.push(format!("{path}:{}: a test put aside; mend or delete it", index + 1));
        }
    }
    findings
}

#[test]
fn long_nameless_and_open_files_are_found() {
    let long = "x\n".repeat(MAX_LINES + 1);
    assert_eq!(findings("a/b.rs", &long).len(), 1);
    assert_eq!(findings("a/b.rs", &format!("#[cfg(test)]\nmod tests {{\n{long}")).len(), 0);
    assert_eq!(findings("a/utils.rs", "").len(), 1);
    assert_eq!(findings("a/mod.rs", "").len(), 1);
    assert_eq!(findings("a/b.rs", concat!("    to", "do!()")).len(), 1);
    assert_eq!(findings("a/b.rs", concat!("    #[ig", "nore = \"slow\"]")).len(), 1);
}
