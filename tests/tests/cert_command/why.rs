//! Why somebody may or may not.

use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE};
use serde_json::json;

use super::desk::Desk;

/// Shows that a yes names the grant that covers it and exits 0, with the address as digits or as
/// it is printed on plates.
#[test]
fn a_yes_names_the_grant() {
    let desk = Desk::new();
    for address in [VILLAGE, "370322 102 310-V"] {
        let text = desk.text(TOWN, &["why", "高城镇", "read", address, "ticket"]);
        let place = "高青县 高城镇 (370322102310)";
        assert!(text.starts_with(&format!("高城镇 may read ticket at {place}")), "{text}");
        assert!(text.contains("grant 1,") && text.contains(": covers it"), "{text}");
    }
    let (answer, code) = desk.json(TOWN, &["why", "dispatcher", "write", VILLAGE]);
    assert_eq!((code, &answer["allowed"]), (Some(0), &json!(true)));
    assert!(answer["covered"].as_array().unwrap().contains(&json!("library/*/base")), "{answer}");
}

/// Shows that a no exits 3 and says of each grant what it lacks: another town, a right, a
/// category, an address above.
#[test]
fn a_no_says_what_is_missing() {
    let desk = Desk::new();
    let no = |who: &str, verb: &str, rest: &[&str]| {
        let ran = desk.cert(TOWN, &[&["why", who, verb], rest].concat());
        assert_eq!(ran.code, Some(3), "{ran:?}");
        ran.stdout
    };
    let other_town = no("高城镇", "read", &["370322103", "ticket"]);
    let words = "370322103 is not inside 370322102: their town segments differ (103, not 102)";
    assert!(other_town.contains(words), "{other_town}");
    let other_county = no("高城镇", "read", &["330102", "ticket"]);
    let words = "330102 is not inside 370322102: their province segments differ (33, not 37)";
    assert!(other_county.contains(words), "{other_county}");
    let above = no("高城镇", "read", &[COUNTY, "ticket"]);
    assert!(above.contains("370322 lies above 370322102"), "{above}");
    assert!(above.contains("it is not for ticket"), "{above}");
    let below = no("高城镇", "read", &["370322103", "notice"]);
    assert!(below.contains("it is for 370322 alone, and 370322103 lies below it"), "{below}");
    let sensitive = no("高青县", "read", &[VILLAGE, "library/population/identity"]);
    assert!(sensitive.contains("it gives no right to read"), "{sensitive}");
    let person = no("dispatcher", "issue", &[VILLAGE]);
    assert!(person.contains("only nodes issue certificates, and this is a person"), "{person}");
    let later = no("高城镇", "read", &[VILLAGE, "ticket", "--at", "2099-01-01"]);
    assert!(later.contains("the certificate ended on"), "{later}");
}

/// Shows that the reasons are there as structure, so that a page can say them in its language.
#[test]
fn reasons_are_structured() {
    let desk = Desk::new();
    let (answer, code) = desk.json(TOWN, &["why", "高城镇", "read", "370322103", "ticket"]);
    assert_eq!((code, &answer["allowed"]), (Some(3), &json!(false)));
    let elsewhere = json!({
        "lacks": "elsewhere", "region": TOWN, "address": "370322103", "common": COUNTY,
    });
    assert_eq!(answer["grants"][0]["lacks"], json!([elsewhere]));
}

/// Shows that digits which end inside of a segment are never taken for a shorter address or one
/// that lies in it: 33010 is neither 3301 nor inside of it.
#[test]
fn digits_between_segments_are_explained() {
    let desk = Desk::new();
    let ran = desk.cert(TOWN, &["why", "高城镇", "read", "33010", "ticket"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("33010 is not an address: after 3301 comes a county"), "{ran:?}");
    assert!(ran.stderr.contains("33010 is neither 3301 nor inside of it"), "{ran:?}");
    let ran = desk.cert(TOWN, &["why", "高城镇", "read", "370322 102 310-W", "ticket"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("misread"), "{ran:?}");
}

/// Shows that a revocation is named with who revoked and why, at the revoked node and, as one above
/// it, at the people below.
#[test]
fn a_revocation_above_is_named() {
    let desk = Desk::new();
    let town = desk.open(TOWN).identity.certificate.serial();
    desk.revoke(COUNTY, town, TOWN);
    let why = |who: &str| desk.cert(TOWN, &["why", who, "read", VILLAGE, "ticket"]);
    let (node, person) = (why("高城镇"), why("dispatcher"));
    assert_eq!((node.code, person.code), (Some(3), Some(3)));
    let words = "the certificate was revoked by 高青县 (stolen); \
                 what its holder wrote up to change 7 stands";
    assert!(node.stdout.contains(words), "{node:?}");
    let words =
        format!("the certificate of 高城镇 above it ({town}) was revoked by 高青县 (stolen)");
    assert!(person.stdout.contains(&words), "{person:?}");
}
