//! The domain of cunlian (村联) as pure rules and projections.
//!
//! What it is: what a county's grassroots governance means in data, and nothing about how the
//! data travels. A use case takes who acts ([`access::acting`]) and what is asked, checks it, writes
//! it and says what came of it, or why not ([`refusal`]); the projector turns documents into table
//! rows; queries read these rows.
//!
//! | module | what it holds |
//! |---|---|
//! | [`capability`] | all capabilities, and the kinds of data each of them keeps |
//! | [`access`] | presets of tiers and roles of people, derived from the kinds |
//! | [`checks`] | identity numbers, credit codes, phones, dates, masks |
//! | [`library`] | records in classes: catalogue, commands, masks, moves, search |
//! | [`signoff`] | what a leader signs, and what voids it |
//! | [`ticket`] | tickets: actions, fold, commands, limits, calendar, receipt numbers |
//! | [`directory`] | the public contacts of a village |
//! | [`projection`] | documents → rows of the projection tables |
//! | [`query`] | what is asked of documents of every kind |
//! | [`divisions`] | the register of administrative divisions and their successors |
//! | [`conflict`] | concurrent values of a field are settled |
//! | [`erasure`] | what goes together when a person asks for deletion |
//! | [`refusal`] | why something is not done, as a value |
//! | [`submission`] | what is sent twice and made once |
//! | [`generator`] | a believable library and tickets from a seed, for demo and tests |
//!
//! What it is not: it has no clock, socket or operating-system randomness. Times are
//! milliseconds since 1970-01-01 UTC, passed in; document ids are drawn by the caller.
//!
//! Start reading at [`ticket`] for how a case moves, and at [`library::record`] for how data gets in.

pub mod access;
pub mod alert;
pub mod answer;
pub mod capabilities;
pub mod capability;
pub mod checks;
pub mod conflict;
pub mod directory;
pub mod divisions;
pub mod erasure;
pub mod generator;
pub mod journal;
pub mod language;
pub mod library;
pub mod notice;
pub mod projection;
pub mod query;
pub mod refusal;
pub mod refusals;
pub mod signoff;
pub(crate) mod spelling;
pub mod submission;
pub mod ticket;
