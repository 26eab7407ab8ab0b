//! The description of the interface, made of its types: what cannot be sent is not described, and
//! what is described is what is read.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{OpenApi as Description, SecurityRequirement};
use utoipa::{Modify, OpenApi};

use super::extract::TOKEN_HEADER;
use crate::frame::session::SESSION_COOKIE;

/// Session as every call needs it, and the token, which those name that change something.
struct Session;

impl Modify for Session {
    fn modify(&self, description: &mut Description) {
        let schemes = &mut description.components.get_or_insert_default().security_schemes;
        let cookie = ApiKeyValue::with_description(
            SESSION_COOKIE,
            "set by the login; its name ends in the address of the node, such as `_370322102`",
        );
        let token = ApiKeyValue::with_description(TOKEN_HEADER, "`token` of the login");
        schemes.insert("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into());
        schemes.insert("token".to_owned(), SecurityScheme::ApiKey(ApiKey::Header(token)).into());
        description.security = Some(vec![SecurityRequirement::new("session", [""; 0])]);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cunlian",
        description = "Records, tickets and conflicts of one node. Every refusal is an object \
            with `error`, `message` and `hint`; keys that mean nothing are refused."
    ),
    modifiers(&Session)
)]
struct Interface;

/// The description (`OpenAPI` 3.1) of what the rooms describe.
pub(crate) fn description(rooms: impl Iterator<Item = Description>) -> Description {
    rooms.fold(Interface::openapi(), Description::merge_from)
}
