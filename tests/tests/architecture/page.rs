//! Templates hold no script or style of their own, so that the content security policy can forbid
//! both, and fetch nothing from elsewhere, so that they work with the line cut. Their tables are
//! those of the design language.

/// What is wrong with one template.
pub(crate) fn findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut found = |what: &str| findings.push(format!("{path}:{}: {what}", index + 1));
        if lower.contains("<style") || has_attribute(&lower, "style") {
            found("style inside the page");
        }
        if lower.split("<script").skip(1).any(|tag| !opening(tag).contains("src=")) {
            found("script inside the page");
        }
        if lower.contains("javascript:") || has_handler(&lower) {
            found("event handler inside the page");
        }
        // Its cells carry what they need to become cards on a telephone.
        let is_part = path.contains("/component/");
        if !is_part && ["<table", "<td"].iter().any(|tag| lower.contains(tag)) {
            found("a table that is not `component/table.html`");
        }
        for attribute in ["src=\"", "href=\""] {
            // A link a person follows may lead anywhere; what the browser loads may not.
            let loads = attribute == "src=\"" || lower.contains("<link");
            let foreign = |rest: &str| rest.starts_with("http") || rest.starts_with("//");
            if loads && lower.split(attribute).skip(1).any(foreign) {
                found("loaded from another server");
            }
        }
    }
    findings
}

fn opening(tag: &str) -> &str {
    tag.split('>').next().unwrap_or_default()
}

fn has_attribute(line: &str, name: &str) -> bool {
    line.contains(&format!(" {name}=")) || line.trim_start().starts_with(&format!("{name}="))
}

/// Whether a word of the line is an attribute like `onclick=`.
fn has_handler(line: &str) -> bool {
    line.split_whitespace().filter_map(|word| word.split_once("=\"")).any(|(name, _)| {
        name.len() > 2 && name.starts_with("on") && name.chars().all(|c| c.is_ascii_lowercase())
    })
}

#[test]
fn inline_script_style_and_foreign_files_are_found() {
    for bad in [
        "<script>alert(1)</script>",
        "<p style=\"color:red\">",
        "<style>p{}</style>",
        "<a href=\"javascript:x()\">",
        "<button onclick=\"x()\">",
        "<script src=\"https://cdn.example/htmx.js\"></script>",
        "<link rel=\"stylesheet\" href=\"//cdn.example/a.css\">",
        "<table><tr><td>a cell without the name of its column</td></tr></table>",
    ] {
        assert_eq!(findings("x.html", bad).len(), 1, "{bad}");
    }
    for good in [
        "<script src=\"/assets/htmx.js\" defer></script>",
        "<link rel=\"stylesheet\" href=\"/assets/page.css\">",
        "<a href=\"https://example.org/\">",
        "<input name=\"once\" value=\"on\">",
    ] {
        assert_eq!(findings("x.html", good), Vec::<String>::new(), "{good}");
    }
}
