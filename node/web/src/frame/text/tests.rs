//! What holds for the locale files as a whole.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cunlian_governance::refusals;
use cunlian_governance::ticket::{Channel, Kind, State, Verb};
use cunlian_protocol::certificate::Tier;

use super::*;

/// Keys of a Fluent file with the placeables each uses.
fn keys(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in source.lines() {
        if let Some((key, _)) = line.split_once(" =")
            && !key.starts_with([' ', '#', '.'])
        {
            key.clone_into(&mut current);
            found.entry(current.clone()).or_default();
        }
        for piece in line.split("{ $").skip(1) {
            let name: String = piece.chars().take_while(char::is_ascii_alphanumeric).collect();
            found.get_mut(&current).unwrap().insert(name);
        }
    }
    found
}

fn sources(directory: &Path, extension: &str, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, extension, into);
        } else if path.extension().is_some_and(|it| it == extension) {
            into.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Literal first arguments of the lookup methods in Rust and template sources.
fn used_keys(source: &str) -> Vec<String> {
    let mut used = Vec::new();
    for call in ["texts.t(\"", "texts.t1(\"", "texts.t2(\"", "texts.with(\"", "Key(\""] {
        for rest in source.split(call).skip(1) {
            used.push(rest.split('"').next().unwrap().to_owned());
        }
    }
    used
}

/// Shows that both languages have the same keys with the same values to fill in.
#[test]
fn both_languages_have_the_same_keys() {
    assert_eq!(keys(&source("zh-CN")), keys(&source("en")));
}

/// Shows that English texts hold no quotation mark or apostrophe that Chinese fonts draw as wide as
/// a character.
#[test]
fn english_has_no_marks_of_a_chinese_font() {
    let wide = |line: &&str| line.contains(['‘', '’', '“', '”', '，', '。', '：', '（', '）']);
    assert_eq!(source("en").lines().filter(wide).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Shows that every key written in a template or in the page code has a text, by reading the
/// sources.
#[test]
fn every_key_in_the_pages_has_a_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("templates"), "html", &mut files);
    sources(&root.join("src"), "rs", &mut files);
    let used: BTreeSet<String> = files.iter().flat_map(|file| used_keys(file)).collect();
    assert!(used.len() > 100, "the scan found only {} keys", used.len());
    let text = Text::default();
    let missing: Vec<&String> = used.iter().filter(|key| !text.has(key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// Shows that every value of an enumeration that pages name has its text.
#[test]
fn every_value_has_a_text() {
    let text = Text::default();
    let mut keys = Vec::new();
    let mut add = |prefix: &str, name: &str| keys.push(format!("{prefix}-{name}"));
    for state in State::ALL {
        add("state", state.as_str());
    }
    for verb in Verb::ALL {
        add("step", verb.as_str());
        add("done", verb.as_str());
        if !matches!(verb, Verb::Report | Verb::Rate) {
            for prefix in ["verb", "verb-lead", "verb-submit"] {
                add(prefix, verb.as_str());
            }
        }
    }
    for channel in Channel::ALL {
        add("channel", channel.as_str());
    }
    for kind in Kind::ALL {
        add("kind", kind.as_str());
        add("kind-limit", kind.as_str());
    }
    for tier in Tier::ALL {
        add("tier", tier.name());
    }
    let missing: Vec<&String> = keys.iter().filter(|key| !text.has(key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// Shows that every reason for which the domain refuses something has its text, which holds what it
/// is filled with, and that no text is of a reason that there is not.
#[test]
fn every_refusal_has_its_text() {
    let of_domain: BTreeSet<&str> = refusals::KEYS.concat().into_iter().collect();
    for tag in ["zh-CN", "en"] {
        let texts = keys(&source(tag)).into_keys();
        let texts: BTreeSet<String> =
            texts.filter_map(|key| Some(key.strip_prefix("refusal-")?.to_owned())).collect();
        assert_eq!(texts, of_domain.iter().map(|key| (*key).to_owned()).collect());
    }
}

/// Shows that the list of refusals names every error that has keys, by reading the sources.
#[test]
fn every_error_of_the_domain_is_listed() {
    let domain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../governance/src");
    let mut files = Vec::new();
    sources(&domain, "rs", &mut files);
    let list = std::fs::read_to_string(domain.join("refusals.rs")).unwrap();
    let mut errors = BTreeSet::new();
    for rest in files.iter().flat_map(|file| file.split("\nkeys!(").skip(1)) {
        errors.insert(rest.split(' ').next().unwrap());
    }
    assert!(errors.len() > 5, "the scan found only {errors:?}");
    let missing: Vec<_> =
        errors.iter().filter(|error| !list.contains(&format!("{error}::KEYS"))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// Shows that no text is left over that no page, prefix or enumeration uses.
#[test]
fn no_key_is_left_over() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("templates"), "html", &mut files);
    sources(&root.join("src"), "rs", &mut files);
    let all = files.concat();
    let mut prefixes = BTreeSet::new();
    for call in ["texts.of(\"", "texts.of_with(\"", "self.of_with(\""] {
        for rest in all.split(call).skip(1) {
            prefixes.insert(rest.split('"').next().unwrap().to_owned());
        }
    }
    let unused: Vec<String> = keys(&source("zh-CN"))
        .into_keys()
        .filter(|key| !all.contains(&format!("\"{key}\"")))
        .filter(|key| !prefixes.iter().any(|prefix| key.starts_with(&format!("{prefix}-"))))
        .collect();
    assert_eq!(unused, Vec::<String>::new());
}
