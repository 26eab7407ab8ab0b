//! Door plates: the picture with name, code and QR, and the page to print them.
//!
//! The picture is SVG of 570 × 370 units, the size in millimetres of the largest plate; the two
//! smaller ones (270 × 170, 150 × 90) are the same picture scaled by the printer.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use cunlian_governance::divisions::{self, Status};
use cunlian_protocol::address::{AddressCode, Level};
use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;

use crate::frame::code::code_of;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::place::joined_note;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "plate/plates.html")]
struct PlatesPage {
    texts: Text,
    page: Page,
    code: String,
    error: Option<String>,
    plates: Vec<PlateView>,
}

struct PlateView {
    code: String,
    alt: String,
}

#[derive(Template)]
#[template(path = "plate/plate.svg", escape = "html")]
struct PlateSvg {
    name: String,
    name_size: u32,
    path: String,
    plate: String,
    modules: usize,
    squares: String,
    call: String,
    hotline: String,
}

#[derive(Deserialize)]
pub(super) struct CodeQuery {
    #[serde(default)]
    code: String,
}

pub(super) async fn plates(
    state: State<WebState>,
    staff: Staff,
    Query(asked): Query<CodeQuery>,
) -> Result<Response, Failure> {
    show(state, staff, asked.code).await
}

pub(super) async fn plates_of(
    state: State<WebState>,
    staff: Staff,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    show(state, staff, code).await
}

/// The plates of the codes named, one per line or comma; the node's own without any.
async fn show(
    State(state): State<WebState>,
    staff: Staff,
    typed: String,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let own = state.place().0;
    let mut error = None;
    let mut codes = Vec::new();
    for text in typed.split([',', '，', '\n']).map(str::trim).filter(|text| !text.is_empty()) {
        match code_of(text) {
            Some(code) if code.level() >= Level::Village => {
                let joined = ask(&state, move |store| joined_note(store, &code, texts)).await?;
                error = joined.or(error);
                codes.push(code);
            }
            _ => error = Some(texts.t1("plates-bad-code", "code", text)),
        }
    }
    codes.truncate(200);
    if codes.is_empty() && error.is_none() {
        codes = ask(&state, move |store| {
            store.read(|connection| {
                if own.level() >= Level::Village {
                    return Ok(vec![own]);
                }
                let villages = divisions::children(connection, &own).unwrap_or_default();
                let active =
                    villages.into_iter().filter(|village| village.status == Status::Active);
                Ok(active.map(|village| village.code).collect())
            })
        })
        .await?;
        codes.retain(|code: &AddressCode| code.level() >= Level::Village);
    }
    let plates = codes
        .iter()
        .map(|code| PlateView {
            code: code.as_str().to_owned(),
            alt: texts.t1("plates-alt", "code", code.plate_text()),
        })
        .collect();
    let page = Page::staff(&state, &staff, texts.t("plates-title"));
    Ok(html(&PlatesPage { texts, page, code: typed, error, plates }))
}

/// `/plate/{code}.svg`. Public: it says what hangs on the door.
pub(super) async fn picture(
    State(state): State<WebState>,
    Path(file): Path<String>,
) -> Result<Response, Failure> {
    let code = file.strip_suffix(".svg").and_then(code_of).ok_or(Failure::NotFound)?;
    if code.level() < Level::Village {
        return Err(Failure::NotFound);
    }
    let names = ask(&state, move |store| {
        store.read(|connection| Ok(divisions::name_path(connection, &code).unwrap_or_default()))
    })
    .await?;
    let url = format!("{}/p/{code}", state.public_url());
    let svg = draw(&names, &code, &url)?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

fn draw(names: &[String], code: &AddressCode, url: &str) -> Result<String, Failure> {
    // Quartile correction: a plate hangs in the weather for years.
    let qr = QrCode::with_error_correction_level(url, EcLevel::Q)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let mut squares = String::new();
    for (at, color) in qr.to_colors().iter().enumerate() {
        if *color == Color::Dark {
            let (x, y) = (at % qr.width(), at / qr.width());
            squares.extend(["M", &x.to_string(), " ", &y.to_string(), "h1v1h-1z"]);
        }
    }
    let (name, above) = match names.split_last() {
        Some((name, above)) => (name.clone(), above.join(" ")),
        None => (code.plate_text(), String::new()),
    };
    let characters = u32::try_from(name.chars().count()).unwrap_or(u32::MAX).max(1);
    let texts = Text::default();
    let svg = PlateSvg {
        name,
        name_size: (290 / characters).clamp(24, 64),
        path: above,
        plate: code.plate_text(),
        modules: qr.width(),
        squares,
        // A plate is in the language of the place, whoever prints it.
        call: texts.t("plate-call"),
        hotline: texts.t("plate-hotline"),
    };
    svg.render().map_err(|error| Failure::Internal(error.to_string()))
}
