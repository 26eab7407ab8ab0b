//! What is said of something that was erased.

use crate::frame::clock::full;
use crate::frame::text::Text;

/// That something was erased, by whom, when and why.
pub(crate) fn erased_words(texts: Text, name: &str, at_ms: i64, reason: &str) -> String {
    texts.with("erased-by", &[("name", &name), ("time", &full(at_ms)), ("reason", &reason)])
}
