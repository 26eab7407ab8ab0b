//! The page behind the door plate, from scanning to rating.

use std::path::Path;
use std::process::Command;

use cunlian_governance::ticket::query as tickets;

use super::chromium::Chromium;
use super::fixture::Node;
use super::plain::{Plain, between, fill};

const PHOTO: &[u8] = include_bytes!("photo.jpg");

/// Shows that a villager sends text and photo from a browser, keeps a receipt, sees the photo
/// again, and finds the ticket by typing the number in lower case.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_with_photo_is_found_by_its_receipt() {
    let node = Node::village().await;
    let browser = Chromium::start().await;
    browser.open(&format!("{}/p/370322102310", node.url)).await;
    browser.click("a[href$='/report']").await;
    browser.type_in("#field-text", "村东头路灯坏了，电话 13800138000").await;
    browser.type_in("#field-phone", "13800138000").await;
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/photo.jpg");
    browser.type_in("#photo", photo.to_str().unwrap()).await;
    browser.click("main form button").await;
    browser.wait_for_text("已收到").await;
    let receipt = browser.text(".number-plate").await;
    let shown = browser.text("main").await;
    assert!(
        shown.contains("村里已收到，联网后自动送到镇里") && !shown.contains("13800138000"),
        "{shown}"
    );
    let width = "return document.querySelector('.photos img').naturalWidth";
    // The phone held the camera upright, which EXIF said and the stored picture now is.
    assert_eq!(browser.script(width).await, 1200);

    browser.open(&format!("{}/t", node.url)).await;
    browser.type_in("#receipt", &receipt.to_lowercase().replace('-', "")).await;
    browser.click("main form button").await;
    browser.wait_for_text("村东头路灯坏了").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
}

/// Shows, without scripts, that a photo loses its position, that strangers cannot fetch it, that
/// a form sent twice is one report, and that a result can be rated once.
#[tokio::test(flavor = "multi_thread")]
async fn a_photo_loses_its_position_and_a_doubled_form_is_one_report() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        assert!(PHOTO.windows(11).any(|bytes| bytes == b"GPSLatitude"));
        let plain = Plain::new(&node.url);
        let action = "/p/370322102310/report";
        let fields = fill(&plain.get(action).text, action, &[("text", "井盖松了")]);
        let first = plain.upload(action, &fields, Some(PHOTO));
        let second = plain.upload(action, &fields, Some(PHOTO));
        assert_eq!((first.status.as_u16(), &first.path), (200, &second.path));
        let photo = format!("/t/{}", between(&first.text, "<img src=\"/t/", "\""));
        let (status, jpeg) = plain.bytes(&photo);
        assert_eq!(status, 200);
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() < 400 << 10);
        assert!(!jpeg.windows(11).any(|bytes| bytes == b"GPSLatitude"));
        let id = photo.rsplit('/').next().unwrap();
        let receipt = photo.split('/').nth(2).unwrap();
        let find = |connection: &_| tickets::by_receipt_text(connection, receipt);
        let home = node.store.read(find).unwrap().unwrap().unwrap().home;
        let guessed = plain.get(&format!("/tickets/{}/{}/photo/{id}", home.address, home.document));
        assert!(guessed.path.starts_with("/login"), "{}", guessed.path);

        let refused = plain.upload(
            action,
            &fill(&plain.get(action).text, action, &[("text", "x")]),
            Some(b"no picture"),
        );
        assert_eq!(refused.status, 422);
        assert!(
            refused.text.contains("不是能识别的照片") && refused.text.contains(">x</textarea>")
        );
    });
}

/// Shows that the villager is told the result and rates it, without scripts.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_rated_once() {
    let node = Node::village().await;
    node.fill(0, 14);
    let receipt: String = node
        .store
        .read(|connection| {
            let sql = "SELECT receipt FROM ticket WHERE state = 'answered'";
            connection.query_row(sql, [], |row| row.get(0))
        })
        .unwrap();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let (page, action) = (format!("/t/{receipt}"), format!("/t/{receipt}/rate"));
        let form = plain.get(&page).text;
        let unrated = plain.send(&action, &fill(&form, &action, &[]));
        assert_eq!(unrated.status, 422, "a rating needs stars");
        let rated = plain.send(&action, &fill(&form, &action, &[("stars", "5"), ("text", "好")]));
        assert!(rated.text.contains("5 星") && !rated.text.contains(&action));
        let again = plain.send(&action, &fill(&form, &action, &[("stars", "1")]));
        assert_eq!(again.status, 409);
    });
}

/// Shows that the QR code of a plate, as Chromium draws it, is read back as the villager page's
/// address.
#[tokio::test(flavor = "multi_thread")]
async fn the_code_on_a_plate_leads_to_the_village_page() {
    let node = Node::village().await;
    let browser = Chromium::start().await;
    browser.open(&format!("{}/plate/370322102310.svg", node.url)).await;
    let picture = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    std::fs::write(picture.path(), browser.client.screenshot().await.unwrap()).unwrap();
    browser.end().await;
    let read = Command::new("zbarimg")
        .args(["--quiet", "--raw"])
        .arg(picture.path())
        .output()
        .expect("zbarimg is installed (Debian package zbar-tools)");
    let url = String::from_utf8(read.stdout).unwrap();
    assert_eq!(url.trim(), format!("{}/p/370322102310", node.url));
    let village = tokio::task::block_in_place(|| Plain::new("").get(url.trim()));
    assert!(village.text.contains("我要反映问题"));
}
