//! One certificate, and all of them.

use cunlian_tests::federation::{COUNTY, TOWN};
use serde_json::{Value, json};

use super::desk::Desk;

/// Shows that a node describes itself: who issued it, how long it is valid, and each grant with
/// the name of its place and the names of categories and rights, the numbers of none of them.
#[test]
fn a_node_shows_itself_in_words() {
    let desk = Desk::new();
    desk.import(TOWN);
    let text = desk.text(TOWN, &["show"]);
    for line in [
        "高城镇 (node, town)",
        "issuer   高青县 (",
        "(729 days left)",
        "state    valid",
        "  1  高青县 高城镇 (370322102) and everything below",
        "     categories  public, division, alert, ticket,",
        "library/*/base",
        "     rights      read, write, assign, sign-off, erase",
        "高青县 (370322) alone",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let (card, _) = desk.json(TOWN, &["show"]);
    let serial = desk.open(TOWN).identity.certificate.serial().to_string();
    assert_eq!((&card["serial"], &card["state"]), (&json!(serial), &json!("valid")));
    assert_eq!(card["grants"][0]["place"], json!("高青县 高城镇"));
    assert_eq!(card["grants"][0]["depth"], json!("subtree"));
}

/// Shows that a certificate is found by login, by name and by the beginning of its serial, that
/// all three are the same one, and that somebody unknown is refused with a hint.
#[test]
fn a_certificate_is_found_by_what_people_know_of_it() {
    let desk = Desk::new();
    let (by_login, _) = desk.json(TOWN, &["show", "dispatcher"]);
    let (name, serial) = (by_login["name"].as_str().unwrap(), by_login["serial"].as_str().unwrap());
    assert_eq!(by_login["login"], json!("dispatcher"));
    assert_eq!(by_login["issuer"]["name"], json!("高城镇"));
    assert_eq!(desk.json(TOWN, &["show", name]).0, by_login);
    assert_eq!(desk.json(TOWN, &["show", &serial[..10]]).0, by_login);
    let ran = desk.cert(TOWN, &["show", "nobody"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("hint: see them all"), "{ran:?}");
}

/// Shows that the tree has everybody below their issuer, this node marked, and a revoked town with
/// everything below it void.
#[test]
fn the_tree_shows_who_certified_whom_and_what_is_void() {
    let desk = Desk::new();
    let (tree, _) = desk.json(TOWN, &["tree"]);
    let branches = tree["certificates"].as_array().unwrap();
    let find = |name: &str| branches.iter().find(|b| b["name"] == json!(name)).unwrap();
    let (county, town) = (find("高青县"), find("高城镇"));
    assert_eq!((&county["issuer"], &county["depth"]), (&Value::Null, &json!(1)));
    assert_eq!((&town["issuer"], &town["own"]), (&county["serial"], &json!(true)));
    assert_eq!(branches.iter().filter(|b| b["own"] == json!(true)).count(), 1);
    let people = branches.iter().filter(|b| b["kind"] == json!("operator"));
    assert!(people.clone().count() > 1 && people.clone().all(|b| b["issuer"] == town["serial"]));
    assert!(branches.iter().all(|b| b["state"] == json!("valid")));

    desk.revoke(COUNTY, town["serial"].as_str().unwrap().parse().unwrap(), TOWN);
    let text = desk.text(TOWN, &["tree"]);
    let state = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
    assert!(state("  高青县  ").contains("valid"), "{text}");
    assert!(state("    高城镇  ").contains("revoked"), "{text}");
    assert!(state("      苑兴村  ").contains("void, because one above it is revoked"), "{text}");
}
