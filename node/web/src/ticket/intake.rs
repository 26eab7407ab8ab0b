//! Tickets taken down by staff.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use cunlian_governance::ticket::{self as domain, Channel, NewTicket};
use cunlian_protocol::address::Level;
use cunlian_protocol::id::DocumentId;

use super::page::{SOURCE, clerk_channels};
use super::path::ticket_href;
use crate::frame::code::code_of;
use crate::frame::component::{FieldInput, Problems};
use crate::frame::failure::Failure;
use crate::frame::form::Submission;
use crate::frame::layout::{Page, form_again, html};
use crate::frame::place::village_choices;
use crate::frame::posted::Posted;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::frame::writing::new_document;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "ticket/ticket_form.html")]
struct IntakePage {
    texts: Text,
    page: Page,
    document: String,
    problems: Option<Problems>,
    fields: Vec<FieldInput>,
}

pub(super) async fn intake(
    State(state): State<WebState>,
    staff: Staff,
) -> Result<Response, Failure> {
    let posted = Posted::default();
    let page = intake_page(&state, &staff, &posted, new_document(), &BTreeMap::new(), None).await?;
    Ok(html(&page))
}

async fn intake_page(
    state: &WebState,
    staff: &Staff,
    posted: &Posted,
    document: DocumentId,
    wrong: &BTreeMap<String, String>,
    error: Option<String>,
) -> Result<IntakePage, Failure> {
    let texts = staff.visit.texts;
    let region = state.place().0;
    let fill = |field: FieldInput, required: bool| FieldInput {
        value: posted.text(&field.name).to_owned(),
        error: wrong.get(&field.name).cloned(),
        required,
        ..field
    };
    let mut fields = vec![
        fill(
            FieldInput::choice(texts, "channel", texts.t("fact-channel"), clerk_channels(texts)),
            true,
        ),
        fill(FieldInput::area(texts, "text", texts.t("intake-text")), true),
        fill(FieldInput::new(texts, "name", texts.t("contact-name")), false),
        fill(
            FieldInput { kind: "tel", ..FieldInput::new(texts, "phone", texts.t("contact-phone")) },
            false,
        ),
    ];
    if region.level() < Level::Village {
        let villages = village_choices(state, region).await?;
        let field = FieldInput::choice(texts, "village", texts.t("intake-village"), villages);
        fields.insert(0, fill(field, true));
    }
    let problems = Problems::of(texts, error, &mut fields);
    Ok(IntakePage {
        texts,
        page: Page::staff(state, staff, texts.t("intake-title")),
        document: document.to_string(),
        problems,
        fields,
    })
}

pub(super) async fn take_down(
    State(state): State<WebState>,
    staff: Staff,
    posted: Posted,
) -> Result<Response, Failure> {
    let texts = staff.visit.texts;
    let submission = Submission::of("intake", &posted, None)?;
    let form = submission.form;
    let _turn = state.0.forms.turn().await;
    let own = state.place().0.truncate(Level::Village);
    let village = match posted.text("village") {
        "" => own,
        code => code_of(code),
    };
    let channel = Channel::from_name(posted.text("channel"));
    let (Some(village), Some(channel)) = (village, channel) else {
        let field = if village.is_none() { "village" } else { "channel" };
        let wrong = [(field.to_owned(), texts.t("choose-first"))].into();
        let page = intake_page(&state, &staff, &posted, form, &wrong, None).await?;
        return Ok(form_again(&page, StatusCode::UNPROCESSABLE_ENTITY));
    };
    let new = NewTicket {
        village,
        channel,
        title: String::new(),
        text: posted.text("text").to_owned(),
        kind: None,
        photos: Vec::new(),
        name: posted.text("name").to_owned(),
        phone: posted.text("phone").to_owned(),
        source: SOURCE.to_owned(),
    };
    let intended = submission.intended();
    let reported =
        staff.act(&state, SOURCE, move |acting| domain::intake(acting, &new, intended, None));
    match reported.await {
        Ok(reported) => {
            let saved = submission.kept(&state);
            let target = format!("{}?saved={saved}", ticket_href(&reported.home));
            Ok(Redirect::to(&target).into_response())
        }
        Err(failure) => {
            let problems = failure.problems(texts);
            let error = problems.is_empty().then(|| failure.words(&staff.visit));
            let page = intake_page(&state, &staff, &posted, form, &problems, error).await?;
            Ok(form_again(&page, failure.status()))
        }
    }
}
