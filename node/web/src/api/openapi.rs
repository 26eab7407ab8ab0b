//! The description of the interface, made of its types: what cannot be sent is not described, and
//! what is described is what is read.

use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{OpenApi as Description, RefOr, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi, ToSchema as _};

use crate::frame::api::extract::TOKEN_HEADER;
use crate::frame::session::SESSION_COOKIE;
use crate::ticket::api::Operation;

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

/// That a step takes its own keys and no others, which the type says ([`Operation`]) and the schema
/// made of it leaves out.
struct Closed;

impl Modify for Closed {
    fn modify(&self, description: &mut Description) {
        let schemas = &mut description.components.get_or_insert_default().schemas;
        let step = schemas.get_mut(Operation::name().as_ref());
        let Some(RefOr::T(Schema::OneOf(steps))) = step else { return };
        for step in &mut steps.items {
            if let RefOr::T(Schema::Object(step)) = step {
                step.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cunlian",
        description = "Records, tickets and conflicts of one node. Every refusal is an object \
            with `error`, `message` and `hint`; keys that mean nothing are refused."
    ),
    modifiers(&Session, &Closed),
    paths(
        super::log_in,
        super::status,
        crate::library::api::search,
        crate::library::api::register,
        crate::library::api::show,
        crate::library::api::edit,
        crate::library::api::relocate,
        crate::conflict::api::conflicts,
        crate::ticket::api::list,
        crate::ticket::api::report,
        crate::ticket::api::show,
        crate::ticket::api::act,
    )
)]
struct Interface;

/// The description (`OpenAPI` 3.1).
pub(crate) fn description() -> Description {
    Interface::openapi()
}
