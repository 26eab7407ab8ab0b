//! The frame around every room: who asks and in which language, what a page is made of, and how
//! forms are taken, data is read and saved.
//!
//! | module | what |
//! |---|---|
//! | `entry`, `failure` | the way in and out of every request |
//! | `login`, `account`, `session`, `known`, `visit`, `administrator` | who asks, with which token |
//! | `layout`, `navigation`, `component`, `figure`, `specimen`, `asset`, `appearance` | what pages are made of |
//! | `form`, `posted`, `kept`, `photo`, `uploads` | what is sent in |
//! | `reading`, `writing`, `waiting`, `place` | questions to the store, and saving |
//! | `api`, `room` | what the calls of all rooms share, what a room gives to the whole |
//! | `text`, `clock`, `code`, `url`, `erasure` | words, times, codes and addresses as people write them |
//!
//! What it is not: it knows no room. Rooms use it, and give to the whole what [`room`] says. What
//! the frame has of that itself is in its own entry of the list.

use axum::Router;
use utoipa::OpenApi as _;

use self::room::{Api, Room};
use crate::state::WebState;

pub(crate) mod account;
pub(crate) mod administrator;
pub(crate) mod api;
pub(crate) mod appearance;
pub(crate) mod asset;
pub mod clock;
pub(crate) mod code;
pub(crate) mod component;
pub(crate) mod entry;
pub(crate) mod erasure;
pub(crate) mod failure;
pub(crate) mod figure;
pub(crate) mod form;
pub(crate) mod kept;
pub(crate) mod known;
pub(crate) mod layout;
pub(crate) mod login;
pub(crate) mod navigation;
pub(crate) mod photo;
pub(crate) mod place;
pub(crate) mod posted;
pub(crate) mod reading;
pub(crate) mod reason;
pub(crate) mod room;
pub(crate) mod session;
pub(crate) mod specimen;
pub mod text;
pub(crate) mod uploads;
pub(crate) mod url;
pub(crate) mod visit;
pub(crate) mod waiting;
pub(crate) mod writing;

/// Login, account, language and size of type, the parts of pages, styles and scripts.
pub(crate) const ROOM: Room = Room {
    routes,
    api: Some(Api { routes: login::api::routes, description: login::api::Interface::openapi }),
    navigation: &[],
};

fn routes() -> Router<WebState> {
    Router::new()
        .merge(login::routes())
        .merge(account::routes())
        .merge(appearance::choosing::routes())
        .merge(specimen::routes())
        .merge(asset::routes())
}
