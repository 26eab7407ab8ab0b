//! Certificates for machines without a line: the text of a request comes in on a stick or a
//! telephone, what is issued goes out the same way.
//!
//! What a request asks for is shown before it is granted: who it is for is all that an
//! administrator has to judge, and what keeps a stranger's request out.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cunlian_host::address::{AddressError, NodeAddress};
use cunlian_host::admin::invitation::reachable_addresses;
use cunlian_host::admin::issuing::{IssuedFile, LIFETIME_MS, RequestFile};
use cunlian_host::config::Config;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::PublicKey;
use serde::Deserialize;

use super::{note, words};
use crate::frame::administrator::{Admin, act, problem};
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::posted::{Posted, PostedPhoto};
use crate::frame::text::Text;
use crate::state::WebState;

/// Groups of digits of a key that two people read to each other on the telephone.
const KEY_GROUPS: usize = 4;

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin/issue", get(open).post(look))
        .route("/admin/issue/confirm", post(issue))
        .route("/admin/issue/download", post(download))
}

#[derive(Template)]
#[template(path = "admin/issue.html")]
struct IssuePage {
    texts: Text,
    page: Page,
    error: Option<String>,
    request: String,
    address: String,
    draft: Option<Draft>,
}

/// What a request asks for, to be confirmed.
struct Draft {
    name: String,
    place: String,
    tier: String,
    key: String,
}

#[derive(Template)]
#[template(path = "admin/issued.html")]
struct IssuedPage {
    texts: Text,
    page: Page,
    done: String,
    issued: String,
}

/// What a request says of itself.
#[derive(Deserialize)]
struct Says {
    key: PublicKey,
    tier: Tier,
    region: AddressCode,
    name: String,
}

/// What the page shows beside the empty form.
#[derive(Default)]
struct OfflineForm {
    error: Option<String>,
    request: String,
    address: Option<String>,
    draft: Option<Draft>,
}

async fn open(State(state): State<WebState>, admin: Admin) -> Response {
    show(&state, &admin, OfflineForm::default())
}

fn show(state: &WebState, admin: &Admin, shown: OfflineForm) -> Response {
    let texts = admin.0.visit.texts;
    let page = Page::staff(state, &admin.0, texts.t("admin-issue-title"));
    let OfflineForm { error, request, address, draft } = shown;
    let address = address.unwrap_or_else(|| own_address(state));
    let failed = error.is_some();
    let page = IssuePage { texts, page, error, request, address, draft };
    if failed { form_again(&page, StatusCode::UNPROCESSABLE_ENTITY) } else { html(&page) }
}

/// Where new machines reach this one; empty if that is not known.
fn own_address(state: &WebState) -> String {
    let listen = Config::load(&state.administration().data_dir).map(|config| config.listen);
    let own = listen.map(reachable_addresses).unwrap_or_default();
    own.into_iter().next().unwrap_or_default()
}

/// Shows what the request asks for, after checking that it could be granted.
async fn look(
    State(state): State<WebState>,
    admin: Admin,
    PostedPhoto { form, photo: file }: PostedPhoto,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let pasted = form.text("request").to_owned();
    let request = match file {
        Some(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        None => pasted,
    };
    let address = form.text("address").to_owned();
    let again = |error: String, request: String| {
        let address = Some(address.clone());
        Ok(show(&state, &admin, OfflineForm { error: Some(error), request, address, draft: None }))
    };
    if request.is_empty() {
        return again(texts.t("issue-empty"), request);
    }
    if address_of(&address).is_err() {
        return again(texts.t1("admin-bad-address", "address", &address), request);
    }
    let Ok(parsed) = RequestFile::parse(&request) else {
        return again(texts.t("issue-not-a-request"), request);
    };
    let says = serde_json::to_value(&parsed).ok();
    let Some(says) = says.and_then(|says| serde_json::from_value::<Says>(says).ok()) else {
        return again(texts.t("issue-not-a-request"), request);
    };
    let (region, own) = (says.region, state.place().0);
    if !own.contains(&region) || region == own {
        return again(texts.t1("admin-outside", "code", region), request);
    }
    let checked = act(&state, move |administration| {
        let now_ms = (administration.now_ms)();
        parsed.certify(&administration.identity, now_ms, LIFETIME_MS)?;
        Ok(words::place(&administration.store, texts, &region))
    });
    match checked.await {
        Ok(place) => {
            let key = says.key.to_string();
            let draft = Draft {
                name: says.name,
                place,
                tier: texts.of("tier", says.tier.name()),
                key: groups(&key),
            };
            let address = Some(address);
            Ok(show(
                &state,
                &admin,
                OfflineForm { error: None, request, address, draft: Some(draft) },
            ))
        }
        Err(error) => again(problem(texts, &error), request),
    }
}

/// The first digits of a key, in groups that can be read aloud.
fn groups(key: &str) -> String {
    let digits: Vec<char> = key.chars().take(4 * KEY_GROUPS).collect();
    digits.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

/// `None` for no address at all.
fn address_of(text: &str) -> Result<Option<NodeAddress>, AddressError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

async fn issue(
    State(state): State<WebState>,
    admin: Admin,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let request = posted.text("request").to_owned();
    let address = posted.text("address").to_owned();
    let Ok(reached) = address_of(&address) else {
        let error = Some(texts.t1("admin-bad-address", "address", &address));
        return Ok(show(&state, &admin, OfflineForm { error, request, ..OfflineForm::default() }));
    };
    let asked = request.clone();
    let issued = act(&state, move |administration| {
        administration.issue_request(&asked, LIFETIME_MS, reached)
    });
    match issued.await {
        Ok(issued) => {
            let subject = format!("{} {} {}", issued.name, issued.region, issued.serial);
            note(&state, &admin, "issue", &subject).await?;
            let title = texts.t1("admin-issued-title", "name", &issued.name);
            let page = Page::staff(&state, &admin.0, title);
            let ends = full(issued.not_after_ms);
            let done = texts.t2("issue-done", ("name", &issued.name), ("time", ends));
            Ok(html(&IssuedPage { texts, page, done, issued: issued.issued }))
        }
        Err(error) => {
            let error = Some(problem(texts, &error));
            Ok(show(&state, &admin, OfflineForm { error, request, ..OfflineForm::default() }))
        }
    }
}

/// Gives the text back as a file, for browsers in which copying is hard. It is sent along because
/// the node does not keep what it has issued.
async fn download(_admin: Admin, posted: Posted) -> Result<Response, Failure> {
    let issued = IssuedFile::parse(posted.text("issued"));
    let issued = issued.map_err(|error| Failure::malformed(error.message))?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"cunlian-issued.txt\""),
    ];
    Ok((headers, format!("{}\n", issued.text())).into_response())
}
