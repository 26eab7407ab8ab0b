//! Which licences a third-party package may carry, over the SPDX expression of its manifest.

use serde_json::Value;

/// Licences that ask for a notice and nothing more.
const ALLOWED: [&str; 6] = ["Apache-2.0", "MIT", "BSD-3-Clause", "ISC", "Unicode-3.0", "Zlib"];

/// Packages with a licence of their own beyond the list, each for a reason.
const EXCEPTIONS: [(&str, &str); 1] = [
    // Copyleft per file, used unchanged, and only by the browser tests: never in the binary.
    ("webdriver", "MPL-2.0"),
];

/// The packages of `cargo metadata` whose licence expression cannot be met by the lists.
pub(crate) fn refused(metadata: &Value) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array).expect("packages");
    packages.iter().filter_map(refusal).collect()
}

fn refusal(package: &Value) -> Option<String> {
    let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, expression) = (text("name"), text("license"));
    let allowed =
        |licence: &str| ALLOWED.contains(&licence) || EXCEPTIONS.contains(&(name, licence));
    (!is_met(expression, allowed))
        .then(|| format!("{name} {}: licence {expression:?} is not allowed", text("version")))
}

/// Whether the expression can be met with allowed licences alone. `OR` binds weaker than `AND`;
/// the old form `A/B` means `A OR B`; `X WITH Y` is one licence. What is not understood is not met.
fn is_met(expression: &str, allowed: impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed: &allowed };
    let met = reader.either();
    reader.words.is_empty() && met == Some(true)
}

/// Reads one expression from the left; `None` is a syntax error.
struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn either(&mut self) -> Option<bool> {
        let mut met = self.both()?;
        while self.take("OR") {
            met |= self.both()?;
        }
        Some(met)
    }

    fn both(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let met = self.either()?;
            return self.take(")").then_some(met);
        }
        let (name, rest) = self.words.split_first()?;
        self.words = rest;
        if matches!(*name, "OR" | "AND" | "WITH" | ")") {
            return None;
        }
        if self.take("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            return Some((self.allowed)(&format!("{name} WITH {exception}")));
        }
        Some((self.allowed)(name))
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[test]
fn expressions_are_evaluated_and_not_searched() {
    let met = |expression| is_met(expression, |name| ALLOWED.contains(&name));
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 OR GPL-2.0-only",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(met(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT OR",
        "(MIT",
        "MIT MIT",
        "GPL-2.0-only WITH MIT",
        "MPL-2.0",
    ] {
        assert!(!met(bad), "{bad}");
    }
}

#[test]
fn an_exception_holds_for_its_package_alone() {
    let package = |name: &str| serde_json::json!({ "name": name, "license": "MPL-2.0" });
    assert_eq!(refusal(&package("webdriver")), None);
    assert!(refusal(&package("another")).is_some());
}
