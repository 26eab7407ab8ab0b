//! The frame around every room: who asks and in which language, what a page is made of, and how
//! forms are taken, data is read and saved.
//!
//! | module | what |
//! |---|---|
//! | `entry`, `failure` | the way in and out of every request |
//! | `login`, `account`, `session`, `known`, `visit`, `administrator` | who asks, with which token |
//! | `layout`, `component`, `figure`, `specimen`, `asset`, `appearance` | what pages are made of |
//! | `form`, `posted`, `kept`, `photo`, `uploads` | what is sent in |
//! | `reading`, `writing`, `waiting`, `place` | questions to the store, and saving |
//! | `api` | what the calls of all rooms share |
//! | `text`, `clock`, `code`, `url`, `erasure` | words, times, codes and addresses as people write them |
//!
//! What it is not: it knows no room. Rooms use it; what they give to the whole is a list.

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
pub(crate) mod photo;
pub(crate) mod place;
pub(crate) mod posted;
pub(crate) mod reading;
pub(crate) mod session;
pub(crate) mod specimen;
pub mod text;
pub(crate) mod uploads;
pub(crate) mod url;
pub(crate) mod visit;
pub(crate) mod waiting;
pub(crate) mod writing;
