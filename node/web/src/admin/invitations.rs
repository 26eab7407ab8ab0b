//! Inviting new nodes: the form, the sheet with the code to scan, and the list.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use cunlian_governance::divisions::{self, Status};
use cunlian_host::admin::invitation::{
    InvitationRequest, Invited, Listed, State as Became, tier_of,
};
use cunlian_protocol::address::AddressCode;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;

use super::{Pick, code_of, note};
use crate::frame::administrator::{Admin, act, problem};
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::posted::Posted;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::state::WebState;

const HOUR_MS: i64 = 3_600_000;
/// Hours an invitation may be chosen to be valid.
const HOURS: [i64; 4] = [24, 72, 7 * 24, 30 * 24];

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/admin/invitations", get(list).post(invite))
        .route("/admin/invitations/{id}/cancel", post(cancel))
}

#[derive(Template)]
#[template(path = "admin/invitations.html")]
struct InvitationsPage {
    texts: Text,
    page: Page,
    notice: Option<String>,
    error: Option<String>,
    name: String,
    /// A code typed instead of a choice from the list.
    other: String,
    addresses: String,
    hours: Vec<Pick>,
    places: Vec<Pick>,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    code: String,
    state: String,
    class: &'static str,
    made: String,
    ends: String,
    is_open: bool,
}

/// A sheet to print and carry to the new machine.
#[derive(Template)]
#[template(path = "admin/invitation.html")]
struct InvitationPage {
    texts: Text,
    page: Page,
    name: String,
    code: String,
    parent: String,
    ends: String,
    addresses: String,
    token: String,
    picture: String,
}

#[derive(Deserialize)]
struct CancelledFlag {
    #[serde(default)]
    cancelled: String,
}

async fn list(
    State(state): State<WebState>,
    admin: Admin,
    Query(shown): Query<CancelledFlag>,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let notice = (!shown.cancelled.is_empty()).then(|| texts.t("admin-invitation-cancelled"));
    show(&state, &admin, &Posted::default(), notice, None).await
}

async fn show(
    state: &WebState,
    admin: &Admin,
    typed: &Posted,
    notice: Option<String>,
    error: Option<String>,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let listed = act(state, cunlian_host::admin::Administration::invitations).await;
    let listed = listed.map_err(|error| Failure::Internal(error.message))?;
    let own = state.place().0;
    let below = ask(state, move |store| {
        store.read(|connection| Ok(divisions::children(connection, &own).unwrap_or_default()))
    });
    let code = typed.text("code").to_owned();
    let in_use = below.await?.into_iter().filter(|place| place.status == Status::Active);
    let places = in_use.map(|place| Pick {
        selected: place.code.as_str() == code,
        value: place.code.as_str().to_owned(),
        label: format!("{} {}", place.name, place.code),
    });
    let asked = typed.text("hours");
    let hours = HOURS.iter().map(|hours| Pick {
        selected: *asked == hours.to_string() || (asked.is_empty() && *hours == 72),
        value: hours.to_string(),
        label: match hours {
            24 => texts.t("admin-day"),
            hours => texts.t1("admin-days", "days", hours / 24),
        },
    });
    let page = Page::staff(state, &admin.0, texts.t("admin-invitations-title"));
    Ok(html(&InvitationsPage {
        texts,
        page,
        notice,
        error,
        name: typed.text("name").to_owned(),
        other: typed.text("other").to_owned(),
        addresses: typed.text("addresses").to_owned(),
        hours: hours.collect(),
        places: places.collect(),
        rows: listed.into_iter().map(|listed| row(texts, listed)).collect(),
    }))
}

fn row(texts: Text, listed: Listed) -> Row {
    let class = match listed.state {
        Became::Open => "info",
        Became::Used => "good",
        Became::Expired | Became::Cancelled => "",
        Became::Locked => "bad",
    };
    Row {
        is_open: matches!(listed.state, Became::Open | Became::Locked),
        state: texts.of("invitation", listed.state.name()),
        class,
        id: listed.id,
        name: listed.name,
        code: listed.region.as_str().to_owned(),
        made: full(listed.created_at_ms),
        ends: full(listed.expires_at_ms),
    }
}

async fn invite(
    State(state): State<WebState>,
    admin: Admin,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let wish = match wish(&state, texts, &posted) {
        Ok(wish) => wish,
        Err(error) => return show(&state, &admin, &posted, None, Some(error)).await,
    };
    match act(&state, move |administration| administration.invite(&wish)).await {
        Ok(invited) => {
            note(&state, &admin, "invite", invited.region.as_str()).await?;
            Ok(sheet(&state, &admin, &invited))
        }
        Err(error) => show(&state, &admin, &posted, None, Some(problem(texts, &error))).await,
    }
}

fn wish(state: &WebState, texts: Text, posted: &Posted) -> Result<InvitationRequest, String> {
    let typed = match posted.text("other") {
        "" => posted.text("code"),
        other => other,
    };
    let region: AddressCode =
        code_of(typed).ok_or_else(|| texts.t1("admin-bad-code", "code", typed))?;
    let tier = tier_of(region.level()).ok_or_else(|| texts.t1("admin-bad-code", "code", typed))?;
    let own = state.regions();
    if own.contains(&region) || !own.iter().any(|own| own.contains(&region)) {
        return Err(texts.t1("admin-outside", "code", typed));
    }
    let mut wish = InvitationRequest::new(tier, region);
    let name = posted.text("name");
    wish.name = (!name.is_empty()).then(|| name.to_owned());
    let hours = posted.text("hours").parse().ok().filter(|hours| HOURS.contains(hours));
    wish.valid_ms = hours.unwrap_or(72) * HOUR_MS;
    let addresses = posted.text("addresses").split([',', '，', ' ', '\n']);
    let addresses = addresses.map(str::trim).filter(|address| !address.is_empty());
    wish.addresses = addresses.map(str::to_owned).collect();
    let has_port = |address: &String| {
        address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    };
    if let Some(bad) = wish.addresses.iter().find(|address| !has_port(address)) {
        return Err(texts.t1("admin-bad-address", "address", bad));
    }
    Ok(wish)
}

fn sheet(state: &WebState, admin: &Admin, invited: &Invited) -> Response {
    let texts = admin.0.visit.texts;
    let picture = QrCode::with_error_correction_level(&invited.token, EcLevel::M).map(|code| {
        code.render::<svg::Color<'_>>().min_dimensions(360, 360).quiet_zone(true).build()
    });
    // Without the declaration that only a file of its own has.
    let picture = picture.unwrap_or_default();
    let picture = picture.find("<svg").and_then(|at| picture.get(at..)).unwrap_or_default();
    let page = Page::staff(state, &admin.0, texts.t1("admin-sheet-title", "name", &invited.name));
    html(&InvitationPage {
        texts,
        page,
        name: invited.name.clone(),
        code: invited.region.as_str().to_owned(),
        parent: invited.parent.clone(),
        ends: full(invited.expires_at_ms),
        addresses: invited.addresses.join(", "),
        token: invited.token.clone(),
        picture: picture.to_owned(),
    })
}

async fn cancel(
    State(state): State<WebState>,
    admin: Admin,
    Path(id): Path<String>,
    _posted: Posted,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let wanted = id.clone();
    match act(&state, move |administration| administration.cancel_invitation(&wanted)).await {
        Ok(_) => {
            note(&state, &admin, "cancel_invitation", &id).await?;
            Ok(Redirect::to("/admin/invitations?cancelled=1").into_response())
        }
        Err(error) => {
            show(&state, &admin, &Posted::default(), None, Some(problem(texts, &error))).await
        }
    }
}
