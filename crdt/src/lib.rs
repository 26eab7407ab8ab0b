//! Documents, the log of signed changes, and the store of cunlian.
//!
//! What it is: Automerge documents ([`document`]), the SQLite store that holds log, documents,
//! summaries and projections in one transaction ([`store`]), the port through which a domain adds
//! its own tables ([`projector`]), and the file that carries changes where no line goes ([`bundle`]).
//!
//! What it is not: it knows no domain, no network and no clock.
//!
//! Start reading at [`store`].

pub mod bundle;
pub mod document;
mod history;
pub mod measure;
pub mod projector;
pub mod store;
