//! Holds the tree to what `docs/architecture.md` promises: licences, sources, banned crates, the
//! direction of dependencies, the purity of the protocol, the shape of files and pages.
//!
//! Every rule is a function from text to a list of findings, shown to fail on a bad sample beside
//! it, and then applied to the real tree by a test of this file. Cargo is asked through its own
//! commands; the network is not needed beyond what a build has fetched already.

#[path = "architecture/category.rs"]
mod category;
#[path = "architecture/document.rs"]
mod document;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/licence.rs"]
mod licence;
#[path = "architecture/packages.rs"]
mod packages;
#[path = "architecture/page.rs"]
mod page;
#[path = "architecture/purity.rs"]
mod purity;
#[path = "architecture/rooms.rs"]
mod rooms;
#[path = "architecture/shape.rs"]
mod shape;
#[path = "architecture/suites.rs"]
mod suites;
#[path = "architecture/tree.rs"]
mod tree;

/// The crates from the bottom of the stack to its top.
const CRATES: [&str; 7] = ["protocol", "crdt", "governance", "host", "web", "node", "tests"];

/// The directories that hold them.
const DIRECTORIES: [&str; 5] = ["protocol", "crdt", "governance", "node", "tests"];

/// Where their sources stand.
const SOURCES: [&str; 6] =
    ["protocol/src", "crdt/src", "governance/src", "node/host/src", "node/web/src", "node/src"];

/// Fails with one finding per line.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_licence_is_allowed() {
    assert_none(&licence::refused(&packages::metadata()));
}

#[test]
fn every_source_is_the_registry_and_no_banned_crate_is_locked() {
    let locked = packages::locked(&tree::read("Cargo.lock"));
    assert!(locked.len() > 100, "the lock file was not understood: {} packages", locked.len());
    assert_none(&packages::foreign_sources(&locked));
    assert_none(&packages::banned(&locked));
}

#[test]
fn dependencies_point_one_way() {
    assert_none(&packages::wrong_directions(&packages::metadata()));
}

#[test]
fn protocol_links_no_input_or_output() {
    let names = packages::linked_by("cunlian-protocol");
    assert!(names.contains("ed25519-dalek"), "cargo tree was not understood: {names:?}");
    assert_none(&purity::impure_packages(&names));
}

#[test]
fn protocol_source_has_no_clock_socket_file_thread_or_hash_order() {
    let files = tree::rust_files(&["protocol/src"]);
    assert!(!files.is_empty(), "no source of the protocol crate was found");
    for (path, text) in files {
        assert_none(&purity::impure_protocol_source(&path, &text));
    }
}

#[test]
fn crates_below_node_read_no_clock_and_open_no_socket() {
    let files = tree::rust_files(&["crdt/src", "governance/src"]);
    assert!(!files.is_empty(), "no source of crdt and governance was found");
    for (path, text) in files {
        assert_none(&purity::clock_or_socket(&path, &text));
    }
}

#[test]
fn every_suite_is_linked() {
    let paths: Vec<_> =
        tree::rust_files(&["tests/tests"]).into_iter().map(|(path, _)| path).collect();
    assert!(paths.len() > 20, "the suites were not found: {paths:?}");
    let mut naming = vec![tree::read("tests/Cargo.toml")];
    naming.extend(tree::rust_files(&["tests/suites"]).into_iter().map(|(_, text)| text));
    assert_none(&suites::unlinked(&paths, &naming));
}

#[test]
fn numbers_of_categories_stand_in_kinds_alone() {
    for (path, text) in tree::rust_files(&DIRECTORIES) {
        if !path.starts_with("protocol/") && !path.starts_with("tests/") {
            assert_none(&category::numbers(&path, &text));
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_loop() {
    for sources in SOURCES {
        let below = |(path, text): (String, String)| {
            let inner = path.strip_prefix(&format!("{sources}/"))?.to_owned();
            Some((inner, text))
        };
        let files: Vec<_> = tree::rust_files(&[sources]).into_iter().filter_map(below).collect();
        assert!(files.len() > 5, "no sources in {sources}");
        assert_none(&imports::loops(&files));
    }
}

#[test]
fn pages_judge_no_rights_and_ask_no_tables() {
    let files = tree::rust_files(&["node/web/src"]);
    assert!(files.len() > 40, "the pages were not found");
    for (path, text) in files {
        assert_none(&rooms::judging_or_asking(&path, &text));
    }
}

#[test]
fn tables_of_the_store_are_asked_by_the_store() {
    // Makes up millions of rows that no author ever signed.
    const FILLS: &str = "node/src/bench/reconcile/fill.rs";
    for (path, text) in tree::rust_files(&["governance/src", "node"]) {
        if path != FILLS {
            assert_none(&rooms::own_tables(&path, &text));
        }
    }
}

#[test]
fn files_have_the_agreed_shape() {
    for (path, text) in tree::rust_files(&DIRECTORIES) {
        assert_none(&shape::findings(&path, &text));
    }
}

#[test]
fn pages_have_no_inline_script_or_style() {
    for (path, text) in tree::files(&["node/web/templates"], "html") {
        assert_none(&page::findings(&path, &text));
    }
}

#[test]
fn every_invariant_of_the_architecture_document_names_an_existing_test() {
    let text = tree::read("docs/architecture.md");
    let guards = document::guards(&text).expect("the table of invariants");
    assert!(guards.len() >= 8, "only {} invariants were found", guards.len());
    assert_none(&document::missing(&guards, tree::read_if_there));
}

/// Shows that each constant of the protocol's limits has a row in the table of bounds that names a
/// guard; that these exist is shown with those of the other security documents.
#[test]
fn every_bound_is_filled_by_a_test() {
    let limits = tree::read("protocol/src/limits.rs");
    let table = tree::read("docs/security/bounds.md");
    let bounds = document::constants(&limits);
    assert!(bounds.len() >= 50, "only {} bounds were found", bounds.len());
    assert_none(&document::without_row(&bounds, &table));
    let broken = "pub const NEW_BOUND: usize = 1;";
    assert_eq!(document::without_row(&document::constants(broken), &table).len(), 1);
}

#[test]
fn every_test_named_in_the_security_documents_exists() {
    let documents = tree::files(&["docs/security"], "md");
    let guards: Vec<_> = documents.iter().flat_map(|(_, text)| document::named(text)).collect();
    assert!(guards.len() >= 50, "only {} tests are named", guards.len());
    assert_none(&document::missing(&guards, tree::read_if_there));
}
