//! Other grants for somebody.

use cunlian_host::admin::pending;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE};
use serde_json::json;

use super::desk::Desk;

const DOCUMENT: &str = "00112233445566778899aabbccddeeff";

fn certificate(authority: &Authority, serial: &serde_json::Value) -> Certificate {
    let serial: Serial = serial.as_str().unwrap().parse().unwrap();
    authority.get(&serial).unwrap().clone()
}

/// Shows that a case circle can be added to a person's grants: the new certificate is for the same
/// key, waits to be handed over, allows that one document and nothing beside it, and leaves the
/// old one valid, because nothing was taken away.
#[test]
fn a_case_circle_is_added() {
    let desk = Desk::new();
    let circle = format!("{TOWN}#{DOCUMENT}/ticket-contact/read");
    let at = ["why", "analyst", "read", TOWN, "ticket-contact", "--document", DOCUMENT];
    // The county may pass on what it may not read itself.
    assert_eq!(desk.cert(COUNTY, &at).code, Some(3));
    let (before, _) = desk.json(COUNTY, &["show", "analyst"]);
    let (changed, code) = desk.json(COUNTY, &["change", "analyst", "--add", &circle]);
    assert_eq!((code, &changed["narrowed"]), (Some(0), &json!(false)), "{changed}");
    assert_eq!(changed["card"]["key"], before["key"]);
    assert_eq!(changed["card"]["pending"], json!(true));
    assert!(changed["words"].to_string().contains("next login of analyst"), "{changed}");
    assert_eq!(desk.cert(COUNTY, &at).code, Some(0));
    let other = ["why", "analyst", "read", TOWN, "ticket-contact"];
    let ran = desk.cert(COUNTY, &other);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains(&format!("it is for document {DOCUMENT} only")), "{ran:?}");

    let county = desk.open(COUNTY);
    let authority = county.store.authority();
    let (old, new) = (
        certificate(&authority, &before["serial"]),
        certificate(&authority, &changed["card"]["serial"]),
    );
    assert_eq!(authority.valid_at(&old, old.body().issued_at_ms), Ok(()));
    let key = new.body().subject;
    assert_eq!(pending::of(&county.store, &key).unwrap(), Some(new.bytes().to_vec()));
    pending::forget(&county.store, &key).unwrap();
    assert_eq!(pending::of(&county.store, &key).unwrap(), None);
}

/// Shows that taking grants from a village supersedes its certificate at once, that all of its
/// work stands, and that the town finds the new one to hand over.
#[test]
fn what_is_taken_away_is_superseded() {
    let desk = Desk::new();
    let (before, _) = desk.json(TOWN, &["show", "苑兴村"]);
    let text = desk.text(TOWN, &["change", "苑兴村", "--remove", "2"]);
    assert!(text.contains("it is handed over as soon as 苑兴村 connects"), "{text}");
    assert!(text.contains("the old certificate is superseded everywhere"), "{text}");
    let town = desk.open(TOWN);
    let authority = town.store.authority();
    let old = certificate(&authority, &before["serial"]);
    assert_eq!(authority.stands(&old.serial(), 1_000_000, None), Ok(()));
    assert!(authority.valid_at(&old, old.body().issued_at_ms).is_err());
    let pending = pending::of(&town.store, &old.body().subject).unwrap().unwrap();
    let new = authority.get(&Serial::of(&pending)).unwrap();
    assert_eq!(new.body().grants.len() + 1, old.body().grants.len());
    drop(town);
    let (after, _) = desk.json(TOWN, &["show", before["serial"].as_str().unwrap()]);
    assert_eq!(after["state"], json!("superseded"));
    let no = desk.cert(TOWN, &["why", "苑兴村", "read", VILLAGE, "library/population/contact"]);
    assert_eq!(no.code, Some(3), "{no:?}");
}

/// Shows that who is below and has more than what is left is named, and goes on: a village that is
/// out of reach when its town loses something loses no work.
#[test]
fn those_below_who_have_more_are_named_and_go_on() {
    let desk = Desk::new();
    // The county sees the village and takes from the town what the village has of it.
    let (changed, _) = desk.json(COUNTY, &["change", "高城镇", "--remove", "2"]);
    assert_eq!(changed["beyond"][0]["name"], json!("苑兴村"), "{changed}");
    let authority = desk.open(COUNTY).store.authority();
    let village = certificate(&authority, &changed["beyond"][0]["serial"]);
    assert_eq!(authority.stands(&village.serial(), 1, None), Ok(()));
    assert_eq!(authority.valid_at(&village, village.body().issued_at_ms), Ok(()));
    let town = certificate(&authority, &changed["old"]["serial"]);
    assert!(authority.valid_at(&town, town.body().issued_at_ms).is_err());
}

/// Shows that a grant wider than the issuer's is refused before anything is written, with what is
/// too wide in it; and so are a number that does not exist, a time beyond the issuer's, and a
/// certificate of somebody else.
#[test]
fn what_is_too_wide_is_explained() {
    let desk = Desk::new();
    let refused = |arguments: &[&str]| {
        let ran = desk.cert(TOWN, &[&["change"], arguments].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("hint: "), "{ran:?}");
        ran.stderr
    };
    let wide = refused(&["苑兴村", "--add", "370322103/ticket/read"]);
    assert!(wide.contains("高城镇 may not give this grant"), "{wide}");
    assert!(wide.contains("370322103 is not inside 370322102"), "{wide}");
    let rights = refused(&["苑兴村", "--add", "370322:exact/notice/read,write"]);
    assert!(rights.contains("write may not be passed on"), "{rights}");
    let syntax = refused(&["苑兴村", "--add", "370322103"]);
    assert!(syntax.contains("is not a grant"), "{syntax}");
    assert!(refused(&["苑兴村", "--remove", "9"]).contains("no grant 9"));
    assert!(refused(&["苑兴村", "--until", "2099-01-01"]).contains("longer than 高城镇 itself"));
    assert!(refused(&["苑兴村", "--until", "2020-01-01"]).contains("is in the past"));
    assert!(refused(&["苑兴村"]).contains("nothing would change"));
    assert!(refused(&["高城镇", "--remove", "1"]).contains("was issued by 高青县"));
    let (card, _) = desk.json(TOWN, &["show", "苑兴村"]);
    assert_eq!((&card["state"], &card["pending"]), (&json!("valid"), &json!(false)));
}

/// Shows that a dry run says what would be done and writes nothing.
#[test]
fn a_dry_run_writes_nothing() {
    let desk = Desk::new();
    let (before, _) = desk.json(TOWN, &["tree"]);
    let text = desk.text(TOWN, &["change", "苑兴村", "--remove", "2", "--dry-run"]);
    assert!(text.contains("nothing was written"), "{text}");
    assert_eq!(desk.json(TOWN, &["tree"]).0, before);
    assert_eq!(desk.json(TOWN, &["show", "苑兴村"]).0["pending"], json!(false));
}
