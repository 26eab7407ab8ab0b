//! Photos on the pages: here, on their way, of the time before blobs, erased.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cunlian_crdt::document::{Edit, Write};
use cunlian_crdt::store::Quota;
use cunlian_governance::ticket::{self, Channel, NewTicket, photo_home, photo_write};
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::blob::{BlobReference, BlobRequest, Postponed};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{DocumentId, PublicKey};
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::StoreRequest;

use super::chromium::Chromium;
use super::fixture::Node;
use super::plain::{Plain, fill};

const PHOTO: &[u8] = include_bytes!("photo.jpg");

/// A ticket with three photos: one that is here, one of which only the name has come, and one
/// whose document has not come. Gives the ticket, its receipt, and the photos.
fn report(node: &Node) -> (Home, String, [DocumentId; 3]) {
    let photos = [1, 2, 3].map(|byte| DocumentId([byte; 16]));
    let new = NewTicket {
        village: AddressCode::parse("370322102310").unwrap(),
        channel: Channel::WalkIn,
        title: "路面塌陷".to_owned(),
        text: "村东头路面塌陷".to_owned(),
        kind: None,
        photos: photos.to_vec(),
        name: String::new(),
        phone: String::new(),
        source: "plate".to_owned(),
    };
    let (receipt, mut writes) = ticket::report(&new, DocumentId([9; 16]), now_ms()).unwrap();
    let home = writes[0].home;
    let here = BlobReference::of(PHOTO, "image/jpeg").unwrap();
    let elsewhere = BlobReference::of(b"not here", "image/jpeg").unwrap();
    writes.push(photo_write(&home, photos[0], &here, "plate"));
    writes.push(photo_write(&home, photos[1], &elsewhere, "plate"));
    node.store.write_with_blobs(&node.author, writes, vec![PHOTO.to_vec()], now_ms()).unwrap();
    (home, receipt.to_string(), photos)
}

/// Shows that a page shows the photo that is here, with how far it has got, says of the others
/// that they have not come, and that what is asked for and not here is not found.
#[tokio::test(flavor = "multi_thread")]
async fn a_photo_on_its_way_is_said_to_be() {
    let node = Node::village().await;
    let (home, receipt, photos) = report(&node);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let page = plain.get(&format!("/t/{receipt}")).text;
        assert_eq!(page.matches("<img src=\"/t/").count(), 1, "{page}");
        assert_eq!(page.matches("照片还没有到").count(), 2, "{page}");
        let (status, jpeg) = plain.bytes(&format!("/t/{receipt}/photo/{}", photos[0]));
        assert!(status == 200 && jpeg == PHOTO);
        for absent in &photos[1..] {
            let (status, _) = plain.bytes(&format!("/t/{receipt}/photo/{absent}"));
            assert_eq!(status, 404);
        }
        plain.log_in("wang");
        let page = plain.get(&format!("/tickets/{}/{}", home.address, home.document)).text;
        assert_eq!(page.matches("照片还没有到").count(), 2, "{page}");
        let figure = page.split("<figure>").nth(1).unwrap().split("</figure>").next().unwrap();
        assert!(
            figure.contains("<img src=\"/tickets/370322102310/") && figure.contains("仅本机"),
            "{figure}"
        );
    });
    let erased = photo_home(&home, photos[0]);
    node.store.erase(&node.author, &[erased], "本人申请删除", now_ms()).unwrap();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let page = plain.get(&format!("/t/{receipt}")).text;
        assert!(page.contains("照片已删除") && !page.contains("<img"), "{page}");
        assert_eq!(plain.bytes(&format!("/t/{receipt}/photo/{}", photos[0])).0, 404);
    });
}

/// Shows that a clerk's form is saved while villagers' photos are being made smaller: not one of them
/// holds up who has none.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_photos_of_others() {
    let node = Node::village().await;
    let large = large_picture();
    tokio::task::block_in_place(|| {
        let clerk = Plain::new(&node.url);
        clerk.log_in("wang");
        let action = "/tickets/new";
        let typed = [("channel", "walk_in"), ("text", "来访的话")];
        let fields = fill(&clerk.get(action).text, action, &typed);
        std::thread::scope(|scope| {
            let uploads: Vec<_> = (0..4)
                .map(|number| {
                    let (url, large) = (&node.url, &large);
                    scope.spawn(move || {
                        let plain = Plain::new(url);
                        let action = "/p/370322102310/report";
                        let text = format!("第 {number} 张照片");
                        let fields = fill(&plain.get(action).text, action, &[("text", &text)]);
                        let answer = plain.upload(action, &fields, Some(large));
                        assert!(answer.text.contains("已收到，谢谢您"), "{}", answer.text);
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(300));
            let saved = clerk.send(action, &fields);
            assert!(saved.path.starts_with("/tickets/370322102310/"), "{}", saved.path);
            assert!(uploads.iter().any(|upload| !upload.is_finished()), "the clerk did not wait");
            for upload in uploads {
                upload.join().unwrap();
            }
        });
    });
}

/// A picture that takes a while to be made smaller.
fn large_picture() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(4_000, 3_000, |x, y| {
        image::Rgb([x % 251, y % 241, (x * y) % 239].map(|it| u8::try_from(it).unwrap()))
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Shows that a photo written before there were blobs, in base64 in its document, is still shown,
/// and that a picture that is none is a download, whatever its document says it is.
#[tokio::test(flavor = "multi_thread")]
async fn old_photos_are_shown_and_pages_are_not() {
    let node = Node::village().await;
    let (home, receipt, photos) = report(&node);
    let edits = vec![Edit::Put { field: "jpeg".to_owned(), text: BASE64.encode(PHOTO) }];
    let old = Write {
        home: photo_home(&home, photos[2]),
        edits,
        source: "plate".to_owned(),
        task: String::new(),
    };
    node.write(vec![old], now_ms());
    let page = b"<script>alert(1)</script>";
    let reference = BlobReference::of(page, "text/html").unwrap();
    let write = photo_write(&home, photos[1], &reference, "plate");
    node.store.write_with_blobs(&node.author, vec![write], vec![page.to_vec()], now_ms()).unwrap();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let (status, jpeg) = plain.bytes(&format!("/t/{receipt}/photo/{}", photos[2]));
        assert!(status == 200 && jpeg == PHOTO);
        let kind = plain.content_type(&format!("/t/{receipt}/photo/{}", photos[1]));
        assert_eq!(kind, "application/octet-stream");
    });
}

/// Shows that the page with photos here and on their way stands in a real browser without errors
/// and without anything running out at the side, on a phone too.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_with_photos_fits_a_phone() {
    let node = Node::village().await;
    let (_, receipt, _) = report(&node);
    let browser = Chromium::start().await;
    browser.open(&format!("{}/t/{receipt}", node.url)).await;
    browser.wait_for_text("照片还没有到").await;
    let overflow = "return document.documentElement.scrollWidth - window.innerWidth";
    assert!(browser.script(overflow).await.as_i64().unwrap() <= 0);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
}

/// Shows that a photo which the level above does not take now is said to be postponed, with its
/// reason, beside the photo and to the staff; that a villager is told in other words; and that one
/// which this node does not take is said to be postponed here.
#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_is_not_taken_is_said_to_be() {
    let node = Node::village().await;
    let (home, receipt, _) = report(&node);
    let why = "镇里的空间已满".to_owned();
    let postponed = Some(Postponed { over_bytes: 0, begun: true, why });
    let tell = |postponed: Option<Postponed>| {
        let request =
            BlobRequest::MarkPostponed { tier: Tier::Town.bit(), postponed, begun: Vec::new() };
        node.store.serve(StoreRequest::Blob(request)).unwrap();
    };
    tell(postponed);
    let child = PublicKey([5; 32]);
    let quota = Quota { blob_bytes: 0, ..Quota::default() };
    node.store.set_quota(&child, Some(quota)).unwrap();
    let look = BlobRequest::Missing {
        scope: Scope::everything(),
        from: child,
        limited: true,
        active: Vec::new(),
        without: BTreeSet::new(),
        after: None,
        at_ms: 1,
    };
    node.store.serve(StoreRequest::Blob(look)).unwrap();
    let ticket = format!("/tickets/{}/{}", home.address, home.document);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let page = plain.get(&format!("/t/{receipt}")).text;
        assert!(page.contains("照片还在村里") && !page.contains("镇里的空间已满"), "{page}");
        plain.log_in("wang");
        let page = plain.get(&ticket).text;
        let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
        let taken = figures[0].split("</figure>").next().unwrap();
        assert!(taken.contains("上级暂缓接收") && taken.contains("镇里的空间已满"), "{taken}");
        let missing = figures[1].split("</figure>").next().unwrap();
        assert!(
            missing.contains("本级暂缓接收：给“") && missing.contains("上限（0 MiB）"),
            "{missing}"
        );
        assert_eq!(page.matches("照片还没有到，到了").count(), 1, "{page}");
        tell(None);
        assert!(!plain.get(&ticket).text.contains("上级暂缓接收"));
    });
}
