//! What every page has: place, link state, banner, navigation, who is logged in.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cunlian_governance::checks::{is_hidden, one_line_break};
use cunlian_host::operator::roles;
use cunlian_host::status::{Clock, Health, NodeStatus};

use crate::frame::administrator::administers;
use crate::frame::appearance::TypeSize;
use crate::frame::component::{LinkBadge, Notice};
use crate::frame::navigation::Entry;
use crate::frame::session::Person;
use crate::frame::text::{Language, Text};
use crate::frame::visit::{Staff, Visit};
use crate::state::WebState;

/// An entry of the navigation.
#[derive(Debug)]
pub(crate) struct NavItem {
    pub(crate) href: &'static str,
    pub(crate) label: String,
    pub(crate) current: bool,
    pub(crate) count: u64,
}

/// What stands above every page while something is wrong with the node.
#[derive(Debug)]
pub(crate) struct Banner {
    pub(crate) class: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
}

/// The frame of a page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) villager: bool,
    /// Larger type, as the visitor chose.
    pub(crate) elder: bool,
    /// Light on dark, for a screen on the wall.
    pub(crate) wall: bool,
    pub(crate) place: String,
    pub(crate) tier_name: String,
    pub(crate) home_href: String,
    pub(crate) link: LinkBadge,
    pub(crate) banner: Option<Banner>,
    pub(crate) nav: Vec<NavItem>,
    pub(crate) user: Option<String>,
    pub(crate) token: String,
    pub(crate) path: String,
    pub(crate) other_language: &'static str,
    pub(crate) other_language_name: &'static str,
}

impl Page {
    /// The frame for this visitor: with navigation if somebody has logged in.
    pub(crate) fn new(state: &WebState, visit: &Visit, title: String) -> Self {
        let texts = visit.texts;
        let status = state.status();
        let (other_language, other_language_name) = match texts.language {
            Language::Chinese => (Language::English.tag(), "English"),
            Language::English => (Language::Chinese.tag(), "中文"),
        };
        let nav = visit.person.as_ref().map(|person| nav(state, visit, person));
        Self {
            title,
            villager: visit.person.is_none() && is_villager_path(&visit.path),
            elder: visit.size == TypeSize::Large,
            wall: false,
            place: status.name.clone(),
            tier_name: texts.of("tier", status.tier.name()),
            home_href: "/".to_owned(),
            link: link_badge(state, visit),
            banner: banner(texts, &status),
            nav: nav.unwrap_or_default(),
            user: visit.person.as_ref().map(|person| user(texts, person)),
            token: visit.token(state),
            path: visit.path.clone(),
            other_language,
            other_language_name,
        }
    }

    /// The frame for staff.
    pub(crate) fn staff(state: &WebState, staff: &Staff, title: String) -> Self {
        Self::new(state, &staff.visit, title)
    }

    /// The frame for villagers, of the place whose plate they scanned.
    pub(crate) fn villager(
        state: &WebState,
        visit: &Visit,
        title: String,
        place: String,
        home_href: String,
    ) -> Self {
        let tier_name = visit.texts.t("villager-service");
        Self {
            villager: true,
            place,
            home_href,
            tier_name,
            nav: Vec::new(),
            user: None,
            ..Self::new(state, visit, title)
        }
    }

    /// What waits behind all entries of the navigation, for the button that shows them.
    pub(crate) fn waiting(&self) -> u64 {
        self.nav.iter().map(|item| item.count).sum()
    }

    /// The tokens of the stylesheet that this page takes.
    pub(crate) fn look(&self) -> &'static str {
        match (self.wall, self.villager, self.elder) {
            (true, ..) => "wall",
            (false, true, true) => "villager elder",
            (false, true, false) => "villager",
            (false, false, true) => "elder",
            (false, false, false) => "",
        }
    }
}

/// How the links are, for people of the node; how it is itself, for everybody else.
pub(crate) fn link_badge(state: &WebState, visit: &Visit) -> LinkBadge {
    let (texts, status) = (visit.texts, state.status());
    match visit.person {
        Some(_) => LinkBadge::of(texts, &status, state.now_ms()),
        None => LinkBadge::public(texts, &status),
    }
}

/// Name and role of who has logged in.
fn user(texts: Text, person: &Person) -> String {
    let role = roles().iter().find(|role| role.key == person.role);
    let role = role.map_or(person.role.as_str(), |role| match texts.language {
        Language::Chinese => &role.zh,
        Language::English => &role.en,
    });
    format!("{} · {role}", person.display_name)
}

pub(crate) fn is_villager_path(path: &str) -> bool {
    path.starts_with("/p/") || path == "/t" || path.starts_with("/t/") || path.starts_with("/t?")
}

fn nav(state: &WebState, visit: &Visit, person: &Person) -> Vec<NavItem> {
    let entries: Vec<&Entry> = state.entries(administers(state, person)).collect();
    let path = visit.path.split('?').next().unwrap_or_default();
    // The longest entry that begins the path is the current one.
    let within = |href: &str| {
        path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let hrefs = entries.iter().map(|entry| entry.href);
    let best = hrefs.filter(|href| within(href)).max_by_key(|href| href.len());
    let item = |entry: &Entry| NavItem {
        href: entry.href,
        label: visit.texts.t(entry.text),
        current: Some(entry.href) == best,
        count: visit.waiting.behind(entry.href),
    };
    entries.into_iter().map(item).collect()
}

fn banner(texts: Text, status: &NodeStatus) -> Option<Banner> {
    if let (Some(reason), Health::Ok) = (status.suspended, &status.health) {
        let name = reason.name();
        let (title, text) = (texts.of("suspended", name), texts.of("suspended-text", name));
        return Some(Banner { class: "bad", title, text });
    }
    let class = match &status.health {
        Health::Ok => match status.clock {
            Clock::Off { ahead_ms, doubt } => {
                let key = if ahead_ms > 0 { "clock-ahead" } else { "clock-behind" };
                let title = texts.t1(key, "span", super::clock::span(texts, ahead_ms));
                let text = texts.of("clock-doubt", doubt.name());
                return Some(Banner { class: "warn", title, text });
            }
            Clock::Ok | Clock::Unknown => return None,
        },
        Health::LowSpace { .. } => "warn",
        Health::DiskFull | Health::ReadOnly | Health::Corrupt { .. } | Health::Failed { .. } => {
            "bad"
        }
    };
    let name = status.health.name();
    Some(Banner { class, title: texts.of("health", name), text: texts.of("health-text", name) })
}

/// The frame's notice about the store, for pages of their own about it; with what the system said,
/// which is for people who have logged in, if it `is_detailed`.
pub(crate) fn health_notice(texts: Text, status: &NodeStatus, is_detailed: bool) -> Notice {
    let class = if status.health == Health::Ok { "good" } else { "bad" };
    let name = status.health.name();
    let text = format!("{} {}", texts.of("health", name), texts.of("health-text", name));
    match status.health.detail() {
        detail if is_detailed && !detail.is_empty() => {
            Notice { class, text: format!("{text} ({detail})") }
        }
        _ => Notice { class, text },
    }
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "frame/message.html")]
pub(crate) struct MessagePage {
    pub(crate) texts: Text,
    pub(crate) page: Page,
    pub(crate) text: String,
    pub(crate) hint: String,
    /// The way on, and what it is called.
    pub(crate) back: String,
    pub(crate) back_name: String,
}

/// A template as a response. What other nodes sent may hold characters that cannot be seen and
/// mislead; they are shown as such.
pub(crate) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) if text.contains(is_hidden) => {
            page(one_line_break(&text).replace(is_hidden, "\u{fffd}"))
        }
        Ok(text) => page(text),
        Err(error) => {
            // Views hold only ready values, so this is a bug of ours; people get a plain answer.
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn page(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// A form shown again with what was typed and what is wrong.
pub(crate) fn form_again(template: &impl Template, status: StatusCode) -> Response {
    let mut response = html(template);
    *response.status_mut() = status;
    response
}
