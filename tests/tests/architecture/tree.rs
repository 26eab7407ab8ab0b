//! The checkout as text: files by extension, in a stable order.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// One file, by its path from the top.
pub(crate) fn read(path: &str) -> String {
    read_if_there(path).unwrap_or_else(|| panic!("{path} cannot be read"))
}

/// One file, by its path from the top, if it is there.
pub(crate) fn read_if_there(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// All Rust files below the given directories: path from the top, and text.
pub(crate) fn rust_files(directories: &[&str]) -> Vec<(String, String)> {
    files(directories, "rs")
}

/// All files with the extension below the given directories: path from the top, and text.
pub(crate) fn files(directories: &[&str], extension: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = directories.iter().map(|name| root.join(name)).collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                // Build directories and hidden ones are not ours.
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).expect("a text file");
                let short = path.strip_prefix(&root).expect("a path below the top");
                found.push((short.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// Lines of code with their numbers from 1: without line comments, and only up to the module of
/// tests that closes a file.
pub(crate) fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let end = (0..lines.len()).find(|&index| starts_tests(lines.get(index..).unwrap_or_default()));
    let count = end.unwrap_or(lines.len());
    lines
        .into_iter()
        .take(count)
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether a module with a body, compiled for tests alone, starts at the first line.
fn starts_tests(lines: &[&str]) -> bool {
    let is_module = |line: &&str| line.starts_with("mod ");
    lines.first().is_some_and(|line| line.starts_with("#[cfg(test)]"))
        // Other attributes may stand between, on a few lines.
        && lines.iter().take(8).find(|line| is_module(line)).is_some_and(|line| line.ends_with('{'))
}

/// Whether the text holds the word, not as a part of a longer identifier.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let is_open = !word.ends_with(part);
    text.match_indices(word).any(|(start, _)| {
        let before = text.get(..start).and_then(|rest| rest.chars().next_back());
        let after = text.get(start + word.len()..).and_then(|rest| rest.chars().next());
        !before.is_some_and(part) && (is_open || !after.is_some_and(part))
    })
}

#[test]
fn a_word_is_not_found_inside_a_longer_one() {
    assert!(has_word("a: HashMap<u8, u8>", "HashMap"));
    assert!(!has_word("a: MyHashMap<u8, u8>", "HashMap"));
    assert!(has_word("use std::{fs, io};", "std::{"));
}

#[test]
fn comments_and_closing_tests_are_not_code() {
    let lines: Vec<_> = code_lines("a // b\n#[cfg(test)]\nmod tests {\n}").collect();
    assert_eq!(lines, [(1, "a ")]);
    let lines: Vec<_> = code_lines("#[cfg(test)]\nmod samples;\na").collect();
    assert_eq!(lines.len(), 3, "a test module in its own file does not end this one");
}
