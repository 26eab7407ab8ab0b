//! Suites are named by hand in `tests/Cargo.toml` and `tests/suites/`, so that few binaries are
//! linked; a suite that nobody names would never run, and nobody would notice.

/// The suites of `paths` that neither the manifest nor a file of `suites/` names.
pub(crate) fn unlinked(paths: &[String], naming: &[String]) -> Vec<String> {
    let is_named = |path: &&String| {
        let file = path.trim_start_matches("tests/tests/");
        let quoted = [format!("\"tests/{file}\""), format!("\"../tests/{file}\"")];
        naming.iter().any(|text| quoted.iter().any(|name| text.contains(name)))
    };
    let suites = paths.iter().filter(|path| path.matches('/').count() == 2);
    let unnamed = suites.filter(|path| !is_named(path));
    unnamed
        .map(|path| format!("{path}: no file of tests/suites/ links it, so it never runs"))
        .collect()
}

#[test]
fn a_suite_that_nobody_links_is_found() {
    let paths = ["store.rs", "lost.rs", "store/world.rs"].map(|file| format!("tests/tests/{file}"));
    let naming = ["#[path = \"../tests/store.rs\"]\nmod store;".to_owned()];
    let found = unlinked(&paths, &naming);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.iter().all(|finding| finding.starts_with("tests/tests/lost.rs")), "{found:?}");
}
