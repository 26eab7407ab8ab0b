//! Invitations as pictures: QR codes for terminal, screen and paper, and one printable sheet per
//! village.
//!
//! A sheet is an A4 page as SVG in millimetres, complete in itself: QR, name, code, what to do in
//! four steps, until when. [`write()`] puts the sheets of a list into a directory, for the owner
//! only, with `index.html`, from which all are printed at once. Whoever has a sheet can join in
//! the place of that village, so the directory is to be deleted after printing.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use askama::Template;
use cunlian_host::admin::invitation::Invited;

use crate::frame::clock;
use crate::frame::text::Text;

pub use picture::{PictureError, png, svg, terminal};

mod picture;

/// Characters of the token on one line of a sheet, in groups of eight.
const LINE_GROUPS: usize = 5;
const GROUP: usize = 8;

#[derive(Template)]
#[template(path = "admin/sheet.svg", escape = "html")]
struct Sheet {
    name: String,
    name_size: u32,
    modules: usize,
    squares: String,
    lines: Vec<Line>,
}

/// A line of text: place and size in millimetres.
#[derive(Default)]
struct Line {
    x: usize,
    y: usize,
    size: usize,
    bold: bool,
    mono: bool,
    text: String,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ texts.tag() }}"><head><meta charset="utf-8"><title>{{ texts.t("sheet-index") }}</title>
<style>body{font:16px/1.5 sans-serif;margin:16mm}table{border-collapse:collapse}td,th{border:1px solid #999;padding:4px 12px;text-align:left}img{display:block;width:210mm;max-width:100%}
@media print{@page{size:A4;margin:0}section{break-before:page}img{width:210mm;height:296mm}}</style></head>
<body><h1>{{ texts.t("sheet-index") }}</h1><p>{{ texts.t("sheet-index-lead") }}</p>
<table><thead><tr><th>{{ texts.t("sheet-code") }}</th><th>{{ texts.t("sheet-name") }}</th><th>{{ texts.t("sheet-until") }}</th><th>{{ texts.t("sheet-id") }}</th></tr></thead>
<tbody>{% for row in rows %}<tr><td><a href="{{ row.file }}">{{ row.code }}</a></td><td>{{ row.name }}</td><td>{{ row.until }}</td><td>{{ row.id }}</td></tr>
{% endfor %}</tbody></table>
{% for row in rows %}<section><img src="{{ row.file }}" alt="{{ row.name }} {{ row.code }}"></section>
{% endfor %}</body></html>
"#
)]
struct Index {
    texts: Text,
    rows: Vec<IndexRow>,
}

struct IndexRow {
    file: String,
    code: String,
    name: String,
    until: String,
    id: String,
}

/// Why sheets were not written.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// The picture cannot be drawn.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The template fails.
    #[error("the sheet cannot be drawn: {0}")]
    Template(#[from] askama::Error),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// The sheet of one invitation, as SVG.
pub fn sheet(invited: &Invited, texts: Text) -> Result<String, SheetError> {
    let (modules, squares) = picture::path(&invited.token)?;
    let characters = u32::try_from(invited.name.chars().count()).unwrap_or(u32::MAX).max(1);
    let mut lines = heading(invited, texts);
    lines.extend(steps(texts));
    lines.extend(typed(&invited.token));
    let name_size = (170 / characters).clamp(5, 16);
    Ok(Sheet { name: invited.name.clone(), name_size, modules, squares, lines }.render()?)
}

fn heading(invited: &Invited, texts: Text) -> Vec<Line> {
    let tier = texts.of("tier", invited.tier.name());
    let invited_by = texts.t2("sheet-parent", ("tier", tier), ("parent", &invited.parent));
    let plain = |x, y, size, text| Line { x, y, size, text, ..Line::default() };
    let bold = |y, size, text| Line { x: 118, y, size, bold: true, text, ..Line::default() };
    let mono = |x, y, text| Line { x, y, size: 6, mono: true, text, ..Line::default() };
    vec![
        plain(20, 28, 7, texts.t("sheet-title")),
        mono(20, 60, invited.region.to_string()),
        plain(20, 69, 5, invited_by),
        plain(118, 88, 5, texts.t("sheet-until")),
        bold(98, 8, clock::full(invited.expires_at_ms)),
        plain(118, 114, 5, texts.t("sheet-id")),
        mono(118, 122, invited.id.clone()),
        bold(140, 6, texts.t("sheet-once")),
        plain(118, 149, 5, texts.t("sheet-lost")),
    ]
}

fn steps(texts: Text) -> impl Iterator<Item = Line> {
    let steps = [
        texts.t("sheet-step1"),
        texts.t("sheet-step2"),
        texts.t("sheet-step3"),
        texts.t("sheet-step4"),
        texts.t("sheet-typed"),
    ];
    let places = [(178, 6), (189, 6), (200, 6), (211, 6), (228, 4)];
    steps.into_iter().zip(places).map(|(text, (y, size))| Line {
        x: 20,
        y,
        size,
        text,
        ..Line::default()
    })
}

/// The token in groups that the eye can follow while typing.
fn typed(token: &str) -> Vec<Line> {
    let characters: Vec<char> = token.chars().collect();
    let groups: Vec<String> =
        characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    let lines = groups.chunks(LINE_GROUPS).zip((238..).step_by(7));
    lines
        .map(|(line, y)| Line {
            x: 20,
            y,
            size: 5,
            mono: true,
            text: line.join(" "),
            ..Line::default()
        })
        .collect()
}

/// Writes one sheet per invitation, and `index.html`, into a directory, which is made.
pub fn write(directory: &Path, invited: &[Invited], texts: Text) -> Result<(), SheetError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| SheetError::Io { path: directory.to_owned(), source })?;
    let mut rows = Vec::new();
    for invited in invited {
        let file = format!("{}.svg", invited.region);
        write_file(&directory.join(&file), sheet(invited, texts)?.as_bytes())?;
        rows.push(IndexRow {
            file,
            code: invited.region.to_string(),
            name: invited.name.clone(),
            until: clock::full(invited.expires_at_ms),
            id: invited.id.clone(),
        });
    }
    let index = Index { texts, rows }.render()?;
    write_file(&directory.join("index.html"), index.as_bytes())
}

/// Writes a file that holds a secret: for its owner only.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), SheetError> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            // One that was there already may have been for everybody; a device stays as it is.
            if file.metadata()?.is_file() {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
            }
            file.write_all(bytes)
        });
    written.map_err(|source| SheetError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use cunlian_protocol::certificate::Tier;

    use super::*;

    /// Shows that a sheet names the village and has a text at every place.
    #[test]
    fn a_sheet_names_its_village() {
        let invited = Invited {
            id: "0011223344556677".to_owned(),
            token: "cunlian-invite-1:".to_owned() + &"A".repeat(200),
            tier: Tier::Village,
            region: "370322102310".parse().unwrap(),
            name: "苑兴村".to_owned(),
            parent: "高城镇".to_owned(),
            addresses: Vec::new(),
            expires_at_ms: 0,
        };
        let sheet = sheet(&invited, Text::default()).unwrap();
        assert!(sheet.contains("苑兴村") && sheet.contains("370322102310"), "{sheet}");
        assert!(!sheet.contains("[sheet-"), "{sheet}");
    }
}
