//! `docs/architecture.md` states invariants in a table whose last column names the guard of each:
//! a test as `path/of/file.rs::name`, or a lint setting as `path/of/file#word`.

/// A guard as the document names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    path: String,
    name: String,
    is_test: bool,
}

/// All guards of the tables below the heading `Invariants`. Fails when a row names none.
pub(crate) fn guards(text: &str) -> Result<Vec<Guard>, String> {
    let section = text.split("\n## ").find(|section| section.starts_with("Invariants"));
    let rows = section
        .ok_or("there is no section Invariants")?
        .lines()
        .filter(|line| line.starts_with('|') && !is_head(line));
    let mut guards = Vec::new();
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let before = guards.len();
        guards.extend(last.split('`').skip(1).step_by(2).filter_map(guard));
        if guards.len() == before {
            return Err(format!("no guard is named in: {row}"));
        }
    }
    Ok(guards)
}

/// Whether a line of a table is its heading, or the line under it.
fn is_head(line: &str) -> bool {
    let last = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    last.trim() == "guard" || line.starts_with("|---")
}

fn guard(text: &str) -> Option<Guard> {
    let of = |(path, name): (&str, &str), is_test| Guard {
        path: path.to_owned(),
        name: name.to_owned(),
        is_test,
    };
    text.split_once("::")
        .map(|parts| of(parts, true))
        .or_else(|| text.split_once('#').map(|parts| of(parts, false)))
}

/// All guards that a text names, wherever: in backticks, in a file of the checkout.
pub(crate) fn named(text: &str) -> Vec<Guard> {
    let is_file = |guard: &Guard| guard.path.contains('/') && guard.path.contains('.');
    text.split('`').skip(1).step_by(2).filter_map(guard).filter(is_file).collect()
}

/// Names of the public constants of a file.
pub(crate) fn constants(source: &str) -> Vec<String> {
    let names =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    names.map(str::to_owned).collect()
}

/// Those of the names that no row of a table has in its first column beside a guard in its last.
pub(crate) fn without_row(names: &[String], table: &str) -> Vec<String> {
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let has = |name: &String| {
        let name = format!("`{name}`");
        rows.iter().any(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let guards = cells.last().map(|cell| named(cell).len()).unwrap_or_default();
            cells.first().is_some_and(|first| first.contains(&name)) && guards > 0
        })
    };
    names.iter().filter(|name| !has(name)).map(|name| format!("{name} has no row")).collect()
}

/// Guards that are not where the document says, given a way to read files.
pub(crate) fn missing(guards: &[Guard], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    guards.iter().filter_map(|guard| absence(guard, read(&guard.path).as_deref())).collect()
}

fn absence(guard: &Guard, text: Option<&str>) -> Option<String> {
    let Guard { path, name, is_test } = guard;
    let Some(text) = text else {
        return Some(format!("{path} is named as a guard and is not there"));
    };
    let wanted = if *is_test { format!("fn {name}(") } else { name.clone() };
    (!text.contains(&wanted)).then(|| format!("{path} has no {wanted:?}"))
}

#[test]
fn a_row_without_a_guard_and_a_guard_that_is_gone_are_found() {
    let head = "# A\n\n## Invariants\n\n| what | guard |\n|---|---|\n";
    let rows = "| a | `x.rs::holds` |\n| b | `clippy.toml#Instant` |\n";
    let found = guards(&format!("{head}{rows}\n## Next\n| c | d |\n")).expect("a table");
    assert_eq!(found.len(), 2);
    let read = |path: &str| (path == "x.rs").then(|| "fn holds() {}".to_owned());
    assert_eq!(missing(&found, read), ["clippy.toml is named as a guard and is not there"]);
    assert_eq!(missing(&found, |_| Some(String::new())).len(), 2);
    assert!(guards(&format!("{head}| a | nothing |\n")).is_err());
    assert!(guards("# A\n").is_err());
    let text = "As `a/x.rs::holds` shows, `Store::open` and `cunlian#1` are no guards.";
    assert_eq!(named(text).len(), 1);
}
