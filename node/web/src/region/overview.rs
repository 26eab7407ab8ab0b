//! The county's figures: how much there is, how well tickets are answered, by which definition,
//! and of how many villages. Every figure leads down: county → town → village → tickets.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions::{self, Division, Status};
use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_governance::query::disclosure::{CellSum, Figure};
use cunlian_governance::query::region::{
    ClassCount, RegionCount, counts_by_child, counts_by_class,
};
use cunlian_governance::ticket::query::{self as tickets, Filter};
use cunlian_governance::ticket::statistics::{
    Measure, Period, Rate, Statistics, by_child, statistics,
};
use cunlian_protocol::address::{AddressCode, Level};
use rusqlite::Connection;
use serde::Deserialize;

use super::coverage::{Coverage, coverage};
use crate::frame::code::code_of;
use crate::frame::component::{Fact, Notice, TicketItem};
use crate::frame::failure::Failure;
use crate::frame::figure::{grouped, told};
use crate::frame::layout::{Page, html};
use crate::frame::place::name_of;
use crate::frame::reading::ask;
use crate::frame::text::{Text, domain_language};
use crate::frame::visit::Staff;
use crate::state::WebState;
use crate::ticket::item::ticket_items;
use crate::ticket::turn::Turn;

#[derive(Template)]
#[template(path = "region/overview.html")]
struct OverviewPage {
    texts: Text,
    page: Page,
    crumbs: Vec<Crumb>,
    place: String,
    coverage: Notice,
    tiles: Vec<Tile>,
    classes: Vec<String>,
    rows: Vec<CountRow>,
    totals: Vec<String>,
    rates: Vec<RateRow>,
    definitions: Vec<Fact>,
    tickets: Vec<TicketItem>,
    /// The same for a screen on the wall, or back from it.
    wall_href: String,
}

/// How the page is looked at.
#[derive(Deserialize)]
pub(super) struct Look {
    #[serde(default)]
    wall: String,
}

struct Crumb {
    href: String,
    label: String,
}

struct Tile {
    class: &'static str,
    figure: String,
    label: String,
}

struct CountRow {
    href: String,
    name: String,
    counts: Vec<String>,
    total: String,
}

struct RateRow {
    href: String,
    name: String,
    total: String,
    open: String,
    overdue: String,
    reply: String,
    completion: String,
    satisfaction: String,
}

pub(super) async fn overview(
    state: State<WebState>,
    staff: Staff,
    Query(look): Query<Look>,
) -> Result<Response, Failure> {
    let own = state.place().0;
    show(state, staff, own, &look).await
}

pub(super) async fn overview_of(
    state: State<WebState>,
    staff: Staff,
    Path(code): Path<String>,
    Query(look): Query<Look>,
) -> Result<Response, Failure> {
    let own = state.place().0;
    let code = code_of(&code).filter(|code| own.contains(code)).ok_or(Failure::NotFound)?;
    show(state, staff, code, &look).await
}

/// What the figures of a region are made of.
struct Figures {
    name: String,
    above: Vec<(AddressCode, String)>,
    coverage: Coverage,
    catalogue: Catalogue,
    classes: Vec<ClassCount>,
    all: Statistics,
    children: Vec<Division>,
    counts: Vec<RegionCount>,
    rates: BTreeMap<AddressCode, Statistics>,
}

fn figures(
    connection: &Connection,
    reader: &Reader,
    own: AddressCode,
    region: AddressCode,
    now_ms: i64,
) -> rusqlite::Result<Figures> {
    let period = Period::until(now_ms);
    let below = level_below(region.level());
    let is_village = region.level() >= Level::Village;
    let mut above: Vec<(AddressCode, String)> = region
        .ancestors()
        .filter(|code| *code != region && own.contains(code))
        .map(|code| (code, name_of(connection, &code, 1)))
        .collect();
    above.reverse();
    let listed = divisions::children(connection, &region).unwrap_or_default();
    Ok(Figures {
        name: name_of(connection, &region, 1),
        above,
        coverage: coverage(connection, region)?,
        catalogue: catalogue::at(connection, own)?,
        classes: counts_by_class(connection, reader, region)?,
        all: statistics(connection, reader, region, period)?,
        children: if is_village {
            Vec::new()
        } else {
            listed.into_iter().filter(|child| child.status == Status::Active).collect()
        },
        counts: if is_village {
            Vec::new()
        } else {
            counts_by_child(connection, reader, region, below)?
        },
        rates: if is_village {
            BTreeMap::new()
        } else {
            by_child(connection, reader, region, below, period)?
        },
    })
}

async fn show(
    State(state): State<WebState>,
    staff: Staff,
    region: AddressCode,
    look: &Look,
) -> Result<Response, Failure> {
    let (texts, now_ms, own) = (staff.visit.texts, state.now_ms(), state.place().0);
    let reader = staff.reader(&state);
    let (figures, tickets) = ask(&state, move |store| {
        let figures = store.read(|connection| figures(connection, &reader, own, region, now_ms))?;
        let mut tickets = Vec::new();
        if region.level() >= Level::Village {
            let all = Filter::all(region);
            let rows = store.read(|connection| tickets::list(connection, &reader, &all))?;
            tickets = ticket_items(store, rows, Turn::default(), texts, now_ms)?;
        }
        Ok::<_, Failure>((figures, tickets))
    })
    .await?;
    let language = domain_language(texts);
    let classes: Vec<_> = figures.catalogue.classes().iter().collect();
    let row = |child: &Division| {
        let empty = Vec::new();
        let counts = figures
            .counts
            .iter()
            .find(|count| count.address == child.code)
            .map_or(&empty, |count| &count.classes);
        let counts: Vec<CellSum> =
            classes.iter().map(|class| records_of(counts, class.number)).collect();
        CountRow {
            href: format!("/overview/{}", child.code),
            name: child.name.clone(),
            total: told(texts, counts.iter().copied().sum()),
            counts: counts.into_iter().map(|count| told(texts, count)).collect(),
        }
    };
    let numbers: Vec<u8> = classes.iter().map(|class| class.number).collect();
    let totals = totals(texts, &figures, &numbers);
    let title = texts.t1("overview-title", "place", &figures.name);
    let crumb = |(code, label): &(AddressCode, String)| Crumb {
        href: format!("/overview/{code}"),
        label: label.clone(),
    };
    let rates = figures.children.iter().map(|child| {
        let figures = figures.rates.get(&child.code).copied().unwrap_or_default();
        rate_row(child, &figures)
    });
    let definition = |measure: Measure| Fact {
        label: measure.name(language).to_owned(),
        text: measure.definition(language).to_owned(),
    };
    let wall = !look.wall.is_empty();
    Ok(html(&OverviewPage {
        texts,
        wall_href: format!("/overview/{region}{}", if wall { "" } else { "?wall=1" }),
        crumbs: figures.above.iter().map(crumb).collect(),
        place: figures.name.clone(),
        coverage: figures.coverage.notice(texts, now_ms),
        tiles: tiles(texts, &figures),
        classes: classes.iter().map(|class| class.name(language).to_owned()).collect(),
        rows: figures.children.iter().map(row).collect(),
        totals,
        rates: rates.collect(),
        definitions: Measure::ALL.into_iter().map(definition).collect(),
        tickets,
        page: Page { wall, ..Page::staff(&state, &staff, title) },
    }))
}

fn records_of(counts: &[ClassCount], number: u8) -> CellSum {
    counts.iter().find(|count| count.class == number).map(|count| count.told).unwrap_or_default()
}

/// The totals of the columns of these classes, and of all of them.
fn totals(texts: Text, figures: &Figures, numbers: &[u8]) -> Vec<String> {
    let of_class = |number: &u8| records_of(&figures.classes, *number);
    let all = numbers.iter().map(of_class).sum();
    numbers.iter().map(of_class).chain([all]).map(|total| told(texts, total)).collect()
}

fn tiles(texts: Text, figures: &Figures) -> Vec<Tile> {
    let records: CellSum = figures.classes.iter().map(|class| class.told).sum();
    // The number alone is large; that it is at least so many stands with what it counts.
    let (records, label) = match records.figure() {
        Figure::AtLeast(number) => (grouped(number), texts.t("tile-records-at-least")),
        Figure::Exactly(_) | Figure::Few => (told(texts, records), texts.t("tile-records")),
    };
    let tile = |class, figure: String, label: String| Tile { class, figure, label };
    let all = &figures.all;
    let overdue = if all.overdue > 0 { "bad" } else { "" };
    let mut tiles = vec![
        tile("", records, label),
        tile("", grouped(all.reported), texts.t("tile-tickets")),
        tile("", grouped(all.open), texts.t("tile-open")),
        tile(overdue, grouped(all.overdue), texts.t("tile-overdue")),
    ];
    let language = domain_language(texts);
    tiles.extend(
        Measure::ALL
            .into_iter()
            .map(|measure| tile("", rate(all.rate(measure)), measure.name(language).to_owned())),
    );
    tiles
}

fn rate_row(child: &Division, figures: &Statistics) -> RateRow {
    RateRow {
        href: format!("/overview/{}", child.code),
        name: child.name.clone(),
        total: grouped(figures.reported),
        open: grouped(figures.open),
        overdue: grouped(figures.overdue),
        reply: rate(figures.reply),
        completion: rate(figures.completion),
        satisfaction: rate(figures.satisfaction),
    }
}

/// `98.5%`, or a dash when there is nothing to divide by.
fn rate(rate: Rate) -> String {
    rate.basis_points()
        .map_or_else(|| "—".to_owned(), |points| format!("{}.{}%", points / 100, points % 100 / 10))
}

/// The level below a region that figures are listed by.
const fn level_below(level: Level) -> Level {
    match level {
        Level::Country => Level::Province,
        Level::Province => Level::City,
        Level::City => Level::County,
        Level::County => Level::Town,
        Level::Town
        | Level::Village
        | Level::Grid
        | Level::Building
        | Level::Unit
        | Level::Room => Level::Village,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that rates are cut, never rounded up to 100 %.
    #[test]
    fn rates_are_not_flattering() {
        assert_eq!(rate(Rate { numerator: 9_999, denominator: 10_000 }), "99.9%");
        assert_eq!(rate(Rate::default()), "—");
    }
}
