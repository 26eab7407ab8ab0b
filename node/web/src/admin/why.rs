//! May somebody see or do something, and why: a question that administrators are asked on the
//! telephone, answered in one word and then grant by grant.
//!
//! A question is an address (`/admin/why?who=…`), so that lists can link to it; nothing is written.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::library::catalogue::Catalogue;
use cunlian_host::admin::certificate::why::{Answer, Question, Verb};
use cunlian_host::admin::certificate::{Action, Desk};
use cunlian_host::admin::naming::part_name;
use cunlian_host::admin::{AdminError, Administration};
use serde::Deserialize;

use super::{Pick, code_of, words};
use crate::frame::administrator::{Admin, act, problem};
use crate::frame::clock::full;
use crate::frame::failure::Failure;
use crate::frame::layout::{Page, html};
use crate::frame::text::{Text, domain_language};
use crate::state::WebState;

const VERBS: [Verb; 6] =
    [Verb::Read, Verb::Write, Verb::Assign, Verb::SignOff, Verb::Erase, Verb::Issue];
pub(super) fn routes() -> Router<WebState> {
    Router::new().route("/admin/why", get(show))
}

#[derive(Template)]
#[template(path = "admin/why.html")]
struct WhyPage {
    texts: Text,
    page: Page,
    error: Option<String>,
    candidates: Vec<super::Candidate>,
    who: String,
    address: String,
    verbs: Vec<Pick>,
    categories: Vec<Pick>,
    answer: Option<AnswerView>,
}

/// The answer in the reader's language.
struct AnswerView {
    allowed: bool,
    question: String,
    as_of: String,
    /// Why nothing at all may be done with the certificate.
    obstacles: Vec<String>,
    /// What the answer is for, when it was asked for any kind of data.
    covered: Option<String>,
    grants: Vec<GrantView>,
}

struct GrantView {
    covers: bool,
    text: String,
    lacks: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WhyQuery {
    who: String,
    verb: String,
    address: String,
    category: String,
}

async fn show(
    State(state): State<WebState>,
    admin: Admin,
    Query(asked): Query<WhyQuery>,
) -> Result<Response, Failure> {
    let texts = admin.0.visit.texts;
    let own = state.place().0;
    let (wanted, who) = (asked.clone(), asked.who.trim().to_owned());
    // A page that was only opened has no question yet; a link names only whom it is about.
    let is_question = !who.is_empty() && !asked.verb.is_empty();
    let bad_code = code_of(&asked.address).is_none();
    let problem_first =
        (is_question && bad_code).then(|| texts.t1("admin-bad-code", "code", &asked.address));
    let asks = is_question && !bad_code;
    let read = act(&state, move |administration| {
        let desk = administration.desk()?;
        let answer = if asks { Some(answer(administration, &desk, &wanted, texts)) } else { None };
        let is_known = desk.find(wanted.who.trim()).is_ok();
        Ok((answer, is_known, categories(texts, &desk.catalogue, &wanted.category)))
    });
    let (answer, is_known, categories) =
        read.await.map_err(|error| Failure::Internal(error.message))?;
    let mut candidates = Vec::new();
    let (answer, error) = match answer {
        None => (None, problem_first),
        Some(Ok(answer)) => (Some(answer), None),
        Some(Err(error)) => {
            let error = if is_known {
                problem(texts, &error)
            } else {
                candidates = super::candidates(&state, texts, &who).await?;
                let key = if candidates.is_empty() { "who-nobody" } else { "who-which" };
                texts.t1(key, "who", &who)
            };
            (None, Some(error))
        }
    };
    let verbs = VERBS.into_iter().map(|verb| Pick {
        selected: verb.name() == asked.verb,
        value: verb.name().to_owned(),
        label: texts.of("may", verb.name()),
    });
    let page = Page::staff(&state, &admin.0, texts.t("admin-why-title"));
    Ok(html(&WhyPage {
        texts,
        page,
        error,
        candidates,
        who,
        address: match asked.address.trim() {
            "" => own.as_str().to_owned(),
            typed => typed.to_owned(),
        },
        verbs: verbs.collect(),
        categories,
        answer,
    }))
}

/// Every kind of data that has a name.
fn categories(texts: Text, catalogue: &Catalogue, chosen: &str) -> Vec<Pick> {
    let language = domain_language(texts);
    let kinds = Kinds::built_in();
    let beside = kinds.iter().filter(|kind| kind.first == kind.last);
    let singles = beside.map(|kind| (kind.name.to_owned(), kind.text(language).to_owned()));
    let parts = catalogue.classes().iter().flat_map(|class| {
        class.parts().map(move |part| {
            let label = texts.t2(
                "category-part",
                ("class", class.name(language)),
                ("part", part.name(language)),
            );
            (format!("library/{}/{}", class.key, part_name(part)), label)
        })
    });
    let any = (String::new(), texts.t("why-any"));
    let all = std::iter::once(any).chain(parts).chain(singles);
    all.map(|(value, label)| Pick { selected: value == chosen, value, label }).collect()
}

fn answer(
    administration: &Administration,
    desk: &Desk<'_>,
    asked: &WhyQuery,
    texts: Text,
) -> Result<AnswerView, AdminError> {
    let verb = VERBS.into_iter().find(|verb| verb.name() == asked.verb);
    let question = Question {
        who: asked.who.trim().to_owned(),
        verb: verb.ok_or_else(|| AdminError::new(texts.t("why-verb")))?,
        address: asked.address.trim().to_owned(),
        category: (!asked.category.is_empty()).then(|| asked.category.clone()),
        document: None,
        at_ms: None,
    };
    let answer = administration.certificate(&Action::Why(question))?;
    let answer: Answer = serde_json::from_value(answer).map_err(AdminError::new)?;
    Ok(in_words(desk, &answer, texts))
}

fn in_words(desk: &Desk<'_>, answer: &Answer, texts: Text) -> AnswerView {
    let (store, catalogue) = (desk.store, &desk.catalogue);
    let what = answer.category.as_ref();
    let what = what
        .map_or_else(|| texts.t("why-any"), |category| words::category(texts, catalogue, category));
    let grants = answer.grants.iter().map(|considered| GrantView {
        covers: considered.lacks.is_empty(),
        text: words::grant(store, texts, catalogue, &considered.grant),
        lacks: considered
            .lacks
            .iter()
            .map(|lack| words::lack(store, texts, catalogue, lack))
            .collect(),
    });
    // Those that cover come first: they are the answer to "why yes".
    let mut grants: Vec<GrantView> = grants.collect();
    grants.sort_by_key(|grant| !grant.covers);
    let covered = words::categories(texts, catalogue, &answer.covered);
    AnswerView {
        allowed: answer.allowed,
        question: texts.with(
            "why-question",
            &[
                ("name", &answer.who.name),
                ("verb", &texts.of("may", answer.verb.name())),
                ("place", &words::place(store, texts, &answer.address)),
                ("what", &what),
            ],
        ),
        as_of: full(answer.at_ms),
        obstacles: answer.obstacles.iter().map(|found| words::obstacle(texts, found)).collect(),
        covered: (answer.allowed && answer.category.is_none())
            .then(|| texts.t1("why-covered", "names", covered)),
        grants,
    }
}
