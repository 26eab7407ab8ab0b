//! What the page of a ticket says of sign-offs.

use cunlian_governance::signoff::SignOffStatus;
use cunlian_governance::ticket::SignOff;

use crate::frame::clock::full;
use crate::frame::component::Notice;
use crate::frame::text::Text;

/// The name of what has become of a sign-off, as texts have it.
pub(crate) const fn signed_name(stands: bool) -> &'static str {
    if stands { "stands" } else { "void" }
}

/// One sign-off: who, when, what they said, and what has voided it.
pub(super) fn notice_of(texts: Text, sign_off: &SignOff) -> Notice {
    let by = ("name", &sign_off.handler as &dyn std::fmt::Display);
    let time = full(sign_off.at_ms);
    let mut text = texts.with("signed-by", &[by, ("time", &time)]);
    if !sign_off.text.is_empty() {
        text.extend([" ", &sign_off.text]);
    }
    let voided = voided_words(texts, sign_off);
    let class = if voided.is_some() { "bad" } else { "good" };
    if let Some(voided) = voided {
        text.extend([" ", &voided]);
    }
    Notice { class, text }
}

/// Why a sign-off no longer holds; `None` when it does.
pub(super) fn voided_words(texts: Text, sign_off: &SignOff) -> Option<String> {
    match &sign_off.standing {
        SignOffStatus::Stands => None,
        SignOffStatus::Void { since: Some(writer) } => Some(texts.with(
            "signed-voided",
            &[
                ("name", &sign_off.voided_by),
                ("time", &full(writer.recorded_at_ms)),
                ("id", &writer.change.to_string().chars().take(16).collect::<String>()),
            ],
        )),
        SignOffStatus::Void { since: None } => Some(texts.t("signed-voided-missing")),
    }
}
