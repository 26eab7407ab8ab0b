//! Photos from phones: decoded, turned upright, made smaller and encoded anew.
//!
//! Encoding anew is what removes EXIF: position, device and time of the phone never reach the
//! store. A photo travels as a blob, after all other data; it is kept so small that a village on a
//! line of 8 kB/s hands it up within a minute.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits};

use crate::limits::{PHOTO_BYTES, PHOTO_DECODED_BYTES, PHOTO_PIXELS, PHOTO_SIDE};

mod jpeg;
pub(crate) mod stored;

/// Most bytes of the result.
pub(crate) const STORED_BYTES_MAX: usize = 400 << 10;

/// Why a photo is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhotoError {
    /// The upload is larger than [`PHOTO_BYTES`].
    #[error("the photo has more than {} MiB", PHOTO_BYTES >> 20)]
    TooLarge,
    /// The picture is larger than what may be decoded.
    #[error("the picture has too many pixels")]
    TooManyPixels,
    /// Not a JPEG or PNG picture, or a damaged one.
    #[error("not a picture in JPEG or PNG format: {0}")]
    Unreadable(ImageError),
}

impl PhotoError {
    /// The end of the key of the text that says it to people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::TooManyPixels => "too-many-pixels",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// The picture as a JPEG of at most [`STORED_BYTES_MAX`] bytes. Blocking: some 100 ms.
pub(crate) fn prepare(upload: &[u8]) -> Result<Vec<u8>, PhotoError> {
    if upload.len() > PHOTO_BYTES {
        return Err(PhotoError::TooLarge);
    }
    let picture = decode(upload)?;
    let mut side = PHOTO_SIDE;
    loop {
        let scaled = if picture.width().max(picture.height()) > side {
            picture.resize(side, side, FilterType::Triangle)
        } else {
            picture.clone()
        };
        for quality in [82, 70, 55] {
            let jpeg = encode(&scaled, quality)?;
            if jpeg.len() <= STORED_BYTES_MAX {
                return Ok(jpeg);
            }
        }
        // Noise compresses badly; a smaller picture always fits in the end.
        side = side * 3 / 4;
    }
}

fn decode(upload: &[u8]) -> Result<DynamicImage, PhotoError> {
    let mut reader = ImageReader::new(Cursor::new(upload))
        .with_guessed_format()
        .map_err(|error| PhotoError::Unreadable(ImageError::IoError(error)))?;
    let kept_bytes = if reader.format() == Some(ImageFormat::Jpeg) {
        jpeg::kept_bytes(upload)
    } else {
        (reader.format() == Some(ImageFormat::Png)).then_some(0)
    };
    let Some(kept_bytes) = kept_bytes else {
        let unknown = image::error::ImageFormatHint::Unknown;
        return Err(PhotoError::Unreadable(ImageError::Unsupported(unknown.into())));
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(PHOTO_DECODED_BYTES);
    reader.limits(limits);
    let refused = |error| match error {
        ImageError::Limits(_) => PhotoError::TooManyPixels,
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Unsupported(_)
        | ImageError::IoError(_) => PhotoError::Unreadable(error),
    };
    let mut decoder = reader.into_decoder().map_err(refused)?;
    // The header says how much it unfolds to, before anything does.
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let decoded_bytes = decoder.total_bytes().saturating_add(kept_bytes);
    if pixels > PHOTO_PIXELS || decoded_bytes > PHOTO_DECODED_BYTES {
        return Err(PhotoError::TooManyPixels);
    }
    let orientation = decoder.orientation().map_err(refused)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
    // Made smaller before it is turned, and coarsely first: turning takes the memory of a second
    // picture, the finer way that of several.
    let coarse = 2 * PHOTO_SIDE;
    if width.max(height) > coarse {
        picture = picture.thumbnail(coarse, coarse);
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn encode(picture: &DynamicImage, quality: u8) -> Result<Vec<u8>, PhotoError> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .encode_image(&picture.to_rgb8())
        .map_err(PhotoError::Unreadable)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use image::RgbImage;

    use super::*;

    fn noise(width: u32, height: u32) -> DynamicImage {
        let mut state = 1_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()
        };
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |_, _| {
            let [r, g, b, _] = next();
            image::Rgb([r, g, b])
        }))
    }

    /// Shows that even noise, which compresses worst, comes out within the bound and readable.
    #[test]
    fn the_worst_picture_fits() {
        let mut png = Vec::new();
        noise(1500, 1100).write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        let jpeg = prepare(&png).unwrap();
        assert!(jpeg.len() <= STORED_BYTES_MAX, "{} bytes", jpeg.len());
        assert!(image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).is_ok());
    }

    /// Shows that EXIF is gone: a JPEG with a position in its APP1 segment loses the segment.
    #[test]
    fn exif_is_removed() {
        let plain = encode(&noise(64, 48), 80).unwrap();
        let exif = b"Exif\0\0GPSLatitude 37.17";
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let (start, rest) = plain.split_at(2);
        let with_exif = [start, &[0xff, 0xe1], &length, exif.as_slice(), rest].concat();
        let stored = prepare(&with_exif).unwrap();
        assert!(!stored.windows(4).any(|bytes| bytes == b"Exif"));
    }

    /// Shows that a small file that unfolds into a huge picture is refused before it is decoded.
    #[test]
    fn a_bomb_is_refused() {
        let png = |width, height| {
            let mut png = Vec::new();
            let blank = DynamicImage::ImageLuma8(image::GrayImage::new(width, height));
            blank.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
            png
        };
        let huge = png(6_001, 4_000);
        assert!(huge.len() < 200_000 && u64::from(6_001_u32 * 4_000) > PHOTO_PIXELS);
        assert!(matches!(prepare(&huge), Err(PhotoError::TooManyPixels)));
        assert!(prepare(&png(12_000, 10)).is_ok(), "a long one has few pixels");
    }

    /// Shows that a small file whose decoder would have to keep more than the picture, because it
    /// comes in several scans, is refused as well, while one as a telephone makes it is taken.
    #[test]
    fn a_picture_in_many_scans_is_counted_in_full() {
        let sent = |marker, size, in_scan| prepare(&jpeg::tests::blank(marker, size, in_scan));
        for (marker, in_scan) in [(0xc2, 3), (0xc0, 1)] {
            let refused = sent(marker, (6_000, 4_000), in_scan);
            assert!(matches!(refused, Err(PhotoError::TooManyPixels)), "{refused:?}");
        }
        let taken = sent(0xc2, (4_000, 3_000), 3);
        assert!(taken.is_ok(), "{taken:?}");
        let cut = jpeg::tests::blank(0xc2, (6_000, 4_000), 3);
        assert!(matches!(prepare(&cut[..100]), Err(PhotoError::Unreadable(_))));
    }

    /// Shows that what is no picture is refused with the reason for people.
    #[test]
    fn text_is_not_a_picture() {
        assert_eq!(prepare(b"<svg/>").unwrap_err().name(), "unreadable");
    }
}
