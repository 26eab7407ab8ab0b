//! What belongs into which room: rights are judged below the pages, and tables of the store are
//! asked in the crate that makes them.

use super::tree::code_lines;

/// Tables of the store itself. Those of projections, and the node's own small ones, are asked for by
/// who makes them.
const TABLES: [&str; 17] = [
    "author",
    "blob",
    "blob_chunk",
    "blob_proof",
    "blob_reference",
    "certificate",
    "change",
    "document",
    "equivocation",
    "follower",
    "meta",
    "outbox",
    "quarantine",
    "receipt",
    "revocation",
    "summary",
    "touched",
];

/// Beginnings of statements, and calls that run them.
const STATEMENTS: [&str; 7] =
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", ".prepare(", ".prepare_cached(", ".query_row("];

/// Code of a page that judges rights by itself or asks tables.
pub(crate) fn judging_or_asking(path: &str, text: &str) -> Vec<String> {
    let finding = |number: usize, what: &str| format!("{path}:{number}: {what} in a page");
    let mut findings = Vec::new();
    for (number, line) in code_lines(text) {
        if line.contains(".may(") {
            findings.push(finding(number, "a judgement of rights"));
        }
        if STATEMENTS.iter().any(|statement| line.contains(statement)) {
            findings.push(finding(number, "a statement"));
        }
    }
    findings
}

/// Statements above the store on its own tables.
pub(crate) fn own_tables(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in code_lines(text) {
        for before in ["FROM ", "INTO ", "UPDATE ", "JOIN "] {
            let named = line.split(before).skip(1);
            let table = named.map(|rest| rest.split(|c: char| !is_part(c)).next().unwrap_or(""));
            for table in table.filter(|table| TABLES.contains(table)) {
                findings.push(format!("{path}:{number}: {table} is a table of the store"));
            }
        }
    }
    findings
}

fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

#[test]
fn a_page_that_judges_or_asks_is_found() {
    for bad in [
        "if authority.may(&serial, Rights::READ, &home).is_ok() {}",
        "let sql = \"SELECT name FROM record\";",
        "connection.prepare(sql)?;",
    ] {
        assert!(!judging_or_asking("x.rs", bad).is_empty(), "{bad}");
    }
    let good = "// authority.may(…)\nlet may = actor.reads(&home);\nphoto::prepare(&upload)";
    assert_eq!(judging_or_asking("x.rs", good), Vec::<String>::new());
}

#[test]
fn a_statement_on_a_table_of_the_store_is_found() {
    for bad in ["SELECT key FROM change", "JOIN author ON", "INSERT INTO meta VALUES"] {
        assert_eq!(own_tables("x.rs", bad).len(), 1, "{bad}");
    }
    for good in ["SELECT * FROM ticket", "FROM document_title", "a change FROM within"] {
        assert_eq!(own_tables("x.rs", good), Vec::<String>::new(), "{good}");
    }
}
