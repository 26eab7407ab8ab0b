//! Real nodes with data of later versions: they carry it, and no page breaks.

use std::time::Duration;

use cunlian_crdt::document::{Edit, Write};
use cunlian_node::demo::client::{Client, random_document};
use cunlian_node::service::{node_author, open_store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_tests::federation::{TOWN, VILLAGE, fleet, lay_out, well};
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_mins(2);
const NOW_MS: i64 = 1_790_000_000_000;

fn write(category: Category, edits: Vec<Edit>) -> Write {
    let address = format!("{VILLAGE}001").parse().unwrap();
    let home = Home { category, address, document: random_document() };
    Write { home, edits, source: "later".to_owned(), task: String::new() }
}

/// Shows that fields, operations, classes and categories of later versions travel from a village to
/// its town, and that search, records, tickets and pages of both go on as ever.
#[test]
fn no_page_breaks_on_what_is_not_known() {
    let dir = tempdir().unwrap();
    let layout = lay_out(&dir.path().join("nodes"), &[TOWN, VILLAGE]);
    let (town, village) = (layout.nodes[0].clone(), layout.nodes[1].clone());
    let put = |field: &str, text: &str| Edit::Put { field: field.into(), text: text.into() };
    let append = |body: &str| Edit::Append { body: body.into() };
    let record =
        write(Category::library(0, 0), vec![put("name", "王建国"), put("aura", "{\"v\":9}")]);
    let ticket = write(
        Category::TICKET,
        vec![
            append(r#"{"v":1,"op":"report","channel":"own_report","title":"路灯","text":"不亮"}"#),
            append(r#"{"v":9,"op":"teleport","to":["moon"]}"#),
            append("no JSON at all"),
            put("hue", "blue"),
        ],
    );
    let homes = [record.home, ticket.home];
    let others = [0x0abc_u16, 0x1abc, 0x2abc, 0x30ee, 0x3eee];
    let others = others.map(|number| write(Category(number), vec![put("x", "1"), append("{}")]));
    let (store, identity) = open_store(&village.dir).unwrap();
    let writes = [record, ticket].into_iter().chain(others).collect();
    store.write(&node_author(&identity), writes, NOW_MS).unwrap();
    drop((store, identity));
    let mut fleet = fleet(layout);
    well(fleet.start_all());
    well(fleet.converge(PATIENCE, |_| {}));
    for (node, login) in [(&town, "dispatcher"), (&village, "secretary")] {
        let client = well(Client::log_in(node, login));
        assert!(client.record(&homes[0]).is_some());
        assert!(client.ticket(&homes[1]).is_some());
        assert_eq!(well(client.search("王建国", "population", 5)).len(), 1);
        for page in ["/", "/status", "/login", "/plates", "/metrics", "/healthz", "/readyz"] {
            let reply = ureq::get(format!("http://{}{page}", node.http)).call();
            assert_eq!(reply.unwrap().status(), 200, "{page} of {}", node.name);
        }
    }
    fleet.stop_all();
    for node in [&town, &village] {
        let (store, _) = open_store(&node.dir).unwrap();
        assert!(store.verify().unwrap().is_sound(), "{}", node.name);
        assert_eq!(store.counts().unwrap().total.changes, 7, "{}", node.name);
    }
}
