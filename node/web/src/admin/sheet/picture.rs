//! QR codes. Texts in capital letters and digits take the small alphanumeric form by themselves.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use qrcode::render::unicode::Dense1x2;
use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};

/// Modules of white around a code, ISO/IEC 18004 section 9.1.
const QUIET: usize = 4;
/// Pixels of one module in a PNG.
const PIXELS: usize = 8;

/// The code cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Too long for any code.
    #[error("the text is too long for a QR code: {0}")]
    Code(#[from] qrcode::types::QrError),
    /// The PNG cannot be made.
    #[error("the picture cannot be made: {0}")]
    Image(#[from] image::ImageError),
}

fn code(text: &str) -> Result<QrCode, PictureError> {
    // Paper in an office, seen once: medium correction keeps the modules large.
    Ok(QrCode::with_error_correction_level(text, EcLevel::M)?)
}

/// For a terminal of either colour: dark on light is said by characters alone.
pub fn terminal(text: &str) -> Result<String, PictureError> {
    let code = code(text)?;
    // Most terminals are dark; light modules are drawn, so that the code is light ground.
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).build())
}

/// As SVG, one unit per module.
pub fn svg(text: &str) -> Result<String, PictureError> {
    let (modules, squares) = path(text)?;
    let side = modules + 2 * QUIET;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/>\
         <path transform=\"translate({QUIET} {QUIET})\" d=\"{squares}\" fill=\"#000\"/></svg>\n"
    ))
}

/// As PNG, eight pixels per module.
pub fn png(text: &str) -> Result<Vec<u8>, PictureError> {
    let code = code(text)?;
    let (width, colors) = (code.width(), code.to_colors());
    let side = u32::try_from((width + 2 * QUIET) * PIXELS).unwrap_or(u32::MAX);
    let picture = GrayImage::from_fn(side, side, |x, y| {
        let module = |at: u32| (at as usize / PIXELS).checked_sub(QUIET).filter(|at| *at < width);
        let color = module(x).zip(module(y)).and_then(|(x, y)| colors.get(y * width + x));
        Luma([if color == Some(&Color::Dark) { 0 } else { 255 }])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Modules of one side, and the dark ones as the path of an SVG.
pub(super) fn path(text: &str) -> Result<(usize, String), PictureError> {
    let code = code(text)?;
    let mut squares = String::new();
    for (at, color) in code.to_colors().iter().enumerate() {
        if *color == Color::Dark {
            let (x, y) = (at % code.width(), at / code.width());
            squares.extend(["M", &x.to_string(), " ", &y.to_string(), "h1v1h-1z"]);
        }
    }
    Ok((code.width(), squares))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that the PNG has the dark modules where the code has them, and white around.
    #[test]
    fn a_png_shows_every_module() {
        let text = "CUNLIAN1ABC";
        let code = code(text).unwrap();
        let picture = image::load_from_memory(&png(text).unwrap()).unwrap().into_luma8();
        let side = picture.width() as usize;
        assert_eq!(side, (code.width() + 2 * QUIET) * PIXELS);
        for (at, color) in code.to_colors().into_iter().enumerate() {
            let place = |at: usize| u32::try_from((at + QUIET) * PIXELS + PIXELS / 2).unwrap();
            let (x, y) = (place(at % code.width()), place(at / code.width()));
            assert_eq!(picture.get_pixel(x, y).0 == [0], color == Color::Dark, "{x} {y}");
        }
        let edge = u32::try_from(QUIET * PIXELS - 1).unwrap();
        assert_eq!(picture.get_pixel(edge, 100).0, [255]);
    }
}
