//! The library (一库): records in classes, each part of a record a document of its own.

pub mod kinds;
pub(crate) mod projection;
mod whole;
