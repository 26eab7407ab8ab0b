//! Prepared answers (预制答案).

pub mod kinds;
