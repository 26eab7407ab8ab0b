//! The languages that names of the domain are written in.

/// A language of names and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// zh-CN, the default.
    #[default]
    Chinese,
    /// English.
    English,
}
