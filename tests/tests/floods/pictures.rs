//! Pictures that unfold.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};

use super::*;

/// Shows that nine pictures of a hundred and forty million points, from one telephone at once, are
/// each refused in words, that the memory of the node does not grow by them, and that nobody
/// waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_unfold_are_refused() {
    let village = Village::start();
    let mut png = Vec::new();
    let blank = DynamicImage::ImageLuma8(GrayImage::new(12_000, 12_000));
    blank.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
    assert!(png.len() < 1_000_000, "{}", png.len());
    let mut reports = tokio::task::JoinSet::new();
    for number in 0..9 {
        let (mut visitor, png) = (village.visitor(FLOOD), png.clone());
        reports.spawn(async move {
            let text = format!("第{number}处漏水");
            let answer = visitor.report(VILLAGE, &text, Some(&png)).await;
            (answer.status, answer.text())
        });
    }
    village.serves(7).await;
    for (status, text) in reports.join_all().await {
        assert_eq!(status, 422, "{text}");
        assert!(text.contains("照片尺寸太大"), "{text}");
    }
    village.assert_memory();
}

/// Shows that a photo as large as is taken, which the telephone held upright and wrote down lying,
/// arrives upright, without what the telephone wrote beside it, and within the memory of the node.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_photo_arrives_upright() {
    let village = Village::start();
    // Red where the top of the scene is: with orientation 6 that is the left edge of what is stored.
    let scene = RgbImage::from_fn(6_000, 4_000, |x, _| {
        if x < 3_000 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) }
    });
    let mut plain = Vec::new();
    JpegEncoder::new_with_quality(&mut plain, 80).encode_image(&scene).unwrap();
    drop(scene);
    let exif = [
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".as_slice(),
        b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    ];
    let exif = exif.concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let (start, rest) = plain.split_at(2);
    let photo = [start, &[0xff, 0xe1], &length, &exif, rest].concat();

    let mut visitor = village.visitor(7);
    let sent = visitor.report(VILLAGE, "桥上的栏杆断了", Some(&photo)).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    village.assert_memory();
    let page = visitor.get(&sent.header("location")).await.text();
    let href = page.split("src=\"").map(|rest| rest.split('"').next().unwrap());
    let href = href.into_iter().find(|href| href.contains("/photo/")).expect("a photo is shown");
    let stored = visitor.get(href).await;
    assert_eq!(stored.status, 200);
    assert!(!stored.bytes.windows(4).any(|four| four == b"Exif"));
    let picture = image::load_from_memory(&stored.bytes).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    assert!(width < height && height <= 1_600, "{width}×{height}");
    let (top, bottom) =
        (picture.get_pixel(width / 2, 10), picture.get_pixel(width / 2, height - 10));
    assert!(top[0] > 150 && top[2] < 100, "{top:?}");
    assert!(bottom[2] > 150 && bottom[0] < 100, "{bottom:?}");
}
