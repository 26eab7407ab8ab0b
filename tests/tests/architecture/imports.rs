//! Loops of files that import each other: whoever wants to understand one of them has to read all.
//!
//! A file names another by a path: `use crate::a::b`, `super::c::d`, a child's name. A parent and
//! its own children may name each other, because they are one room with its inner walls; every other
//! loop is found. Paths are read from the text, so what a macro writes is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::code_lines;

/// Names of a module from the root of its crate.
type Module = Vec<String>;

/// The loops among the files of a crate, each as one finding. `files` are paths below the source
/// directory of the crate, such as `store/writer.rs`, and their texts.
pub(crate) fn loops(files: &[(String, String)]) -> Vec<String> {
    let files = files.iter().filter(|(path, _)| !path.ends_with("tests.rs"));
    let texts: BTreeMap<Module, &str> =
        files.map(|(path, text)| (module(path), text.as_str())).collect();
    let edges: BTreeMap<&Module, BTreeSet<&Module>> =
        texts.iter().map(|(from, text)| (from, imported(from, text, &texts))).collect();
    let reached: BTreeMap<_, _> =
        edges.keys().map(|from| (*from, reachable(from, &edges))).collect();
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for (from, reach) in &reached {
        if told.contains(from) || !reach.contains(from) {
            continue;
        }
        let back = |to: &&&Module| reached.get(**to).is_some_and(|reach| reach.contains(from));
        let members: Vec<&Module> = reach.iter().filter(back).copied().collect();
        let names: Vec<String> = members.iter().map(|member| member.join("::")).collect();
        told.extend(members);
        findings.push(format!("these files import each other: {}", names.join(", ")));
    }
    findings
}

fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let names = path.split('/').map(ToOwned::to_owned);
    names.filter(|name| name != "lib" && name != "main").collect()
}

fn reachable<'a>(
    from: &'a Module,
    edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        for to in edges.get(next).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}

/// The files that one names, but for its parents and children.
fn imported<'a>(
    from: &Module,
    text: &str,
    texts: &'a BTreeMap<Module, &str>,
) -> BTreeSet<&'a Module> {
    let related = |to: &Module| to.starts_with(from) || from.starts_with(to);
    let named = paths(text).into_iter().filter_map(|path| {
        let full = absolute(from, &path)?;
        let longest = (1..=full.len()).rev().find_map(|length| {
            let (module, _) = texts.get_key_value(full.get(..length)?)?;
            Some(module)
        });
        longest.filter(|to| !related(to))
    });
    named.collect()
}

/// A path from the root of the crate; none, when it leads elsewhere.
fn absolute(from: &Module, path: &[String]) -> Option<Module> {
    let mut base = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = rest.get(1..)?;
        }
        "super" | "self" => {
            while let Some((first @ ("super" | "self"), tail)) =
                rest.split_first().map(|(first, tail)| (first.as_str(), tail))
            {
                if first == "super" {
                    base.pop()?;
                }
                rest = tail;
            }
        }
        _ => {}
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The paths in the code of a file, those of braces taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code: Vec<&str> = code_lines(text).map(|(_, line)| line).collect();
    let mut found = Vec::new();
    // What stands before each open brace that belongs to a path.
    let mut open: Vec<Option<Vec<String>>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    for token in tokens(&code.join("\n")) {
        match token {
            Token::Name(name) => path.push(name.to_owned()),
            Token::Step => {}
            Token::Open(true) => {
                let before = open.last().cloned().flatten().unwrap_or_default();
                open.push(Some([before, std::mem::take(&mut path)].concat()));
            }
            Token::Open(false) | Token::Close | Token::Other => {
                if !path.is_empty() {
                    let before = open.last().cloned().flatten().unwrap_or_default();
                    found.push([before, std::mem::take(&mut path)].concat());
                }
                if matches!(token, Token::Open(_)) {
                    open.push(None);
                }
                if matches!(token, Token::Close) {
                    open.pop();
                }
            }
        }
    }
    found
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name that begins a path or goes on with it.
    Name(&'a str),
    /// `::`
    Step,
    /// `{`, and whether a path leads into it.
    Open(bool),
    Close,
    Other,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let name = rest.split(|c: char| !is_part(c)).next().unwrap_or_default();
        let length = if !name.is_empty() {
            // A name that follows none of `::` begins another path.
            if !matches!(tokens.last(), Some(Token::Step)) {
                tokens.push(Token::Other);
            }
            tokens.push(Token::Name(name));
            name.len()
        } else if rest.starts_with("::") {
            tokens.push(Token::Step);
            2
        } else {
            match first {
                '{' => {
                    let of_path = matches!(tokens.last(), Some(Token::Step));
                    tokens.push(Token::Open(of_path));
                }
                '}' => tokens.push(Token::Close),
                white if white.is_whitespace() => {}
                _ => tokens.push(Token::Other),
            }
            first.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens.push(Token::Other);
    tokens
}

#[cfg(test)]
fn crate_of(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_loop_of_files_is_found_and_told_once() {
    let files = [
        ("lib.rs", "pub mod a;\npub mod b;\npub mod c;"),
        ("a.rs", "use crate::{b::{self, B}, other};"),
        ("b.rs", "fn f() -> super::c::C { todo }"),
        ("c.rs", "use std::fmt;\nuse crate::a::A;"),
        ("d.rs", "use crate::a::A;"),
    ];
    assert_eq!(loops(&crate_of(&files)), ["these files import each other: a, b, c"]);
}

#[test]
fn a_parent_and_its_children_are_one_room() {
    let files = [
        ("a.rs", "mod b;\nmod c;\npub use b::B;\nfn f() { c::g() }"),
        ("a/b.rs", "use super::A;\nuse super::c::C;"),
        ("a/c.rs", "// use super::b::B;\nuse super::A;"),
    ];
    assert_eq!(loops(&crate_of(&files)), Vec::<String>::new());
}
