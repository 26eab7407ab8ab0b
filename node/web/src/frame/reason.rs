//! Reasons that another node gives, in the reader's language.
//!
//! What a node refuses or postpones it explains in a sentence, which travels as it is and is written
//! in English: the log of the other side has it, and a program of another version may have sentences
//! that this one does not know. Those that are known are told in the reader's words, with the names
//! and numbers that are in them; others are shown as they came.

use std::fmt::Display;

use crate::frame::text::Text;

/// Known sentences: the key of the text, and the sentence with its parts in braces.
const KNOWN: [(&str, &str); 23] = [
    ("reason-quota-changes", "the bound of {n} changes in all on what {name} may send here {rest}"),
    ("reason-quota-bytes", "the bound of {n} MiB in all on what {name} may send here {rest}"),
    ("reason-quota-day-changes", "the bound of {n} changes a day on what {name} may send {rest}"),
    ("reason-quota-day-bytes", "the bound of {n} MiB a day on what {name} may send here {rest}"),
    (
        "reason-quota-photos",
        "the bound of {n} MiB of photos and files on what {name} may send {rest}",
    ),
    ("reason-little-space", "little space is left on the disk here; {rest}"),
    ("reason-takes-nothing", "the store here takes nothing at present; {rest}"),
    ("reason-unknown-author", "author {author} is unknown"),
    ("reason-no-right", "{name} has no right to {rights} category {category} at {address}"),
    ("reason-revoked", "{name} was revoked; what stands of its work ends with change number {n}"),
    ("reason-replaced", "the certificate of {name} was replaced by {successor}"),
    ("reason-expired", "the certificate of {name} is not valid at this time"),
    ("reason-busy", "this node has no session free"),
    ("reason-too-often", "this key connects too often; it may come in {n} ms"),
    ("reason-too-much-wanted", "this node can remember no more of what is asked for; come again"),
    ("reason-cloned", "another machine uses this identity"),
    ("reason-cloned-child", "two machines use the identity of {name}, or it was set back"),
    ("reason-took-over", "a newer connection of the same node took over"),
    ("reason-wrong-peer", "{name} is not who this connection is with"),
    ("reason-not-signed", "the issuer did not sign the certificate of {name}"),
    ("reason-silent", "the peer did not say hello in time"),
    ("reason-unconfirmed", "{name} came back from a copy and lets nobody in until {rest}"),
    ("reason-not-issuer", "this node was certified by another"),
];

/// A reason in the reader's words, or as it came.
pub(crate) fn reason(texts: Text, said: &str) -> String {
    for (key, sentence) in KNOWN {
        let Some(parts) = parts(sentence, said) else { continue };
        let parts: Vec<(&str, &dyn Display)> =
            parts.iter().map(|(name, value)| (*name, value as &dyn Display)).collect();
        return texts.with(key, &parts);
    }
    said.to_owned()
}

/// What stands in a text where the sentence has its braces; `None` when it is another text.
fn parts<'a>(sentence: &'a str, said: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut parts = Vec::new();
    let (mut pattern, mut rest) = (sentence, said);
    while let Some((before, after)) = pattern.split_once('{') {
        rest = rest.strip_prefix(before)?;
        let (name, next) = after.split_once('}')?;
        let until = next.split('{').next().unwrap_or_default();
        let end = if until.is_empty() { rest.len() } else { rest.find(until)? };
        let (value, left) = rest.split_at(end);
        // Names are quoted in a sentence.
        parts.push((name, value.trim_matches('"')));
        (pattern, rest) = (next, left);
    }
    (pattern == rest).then_some(parts)
}

#[cfg(test)]
mod tests {
    use cunlian_protocol::authority::Refusal;
    use cunlian_protocol::id::Serial;

    use super::*;
    use crate::frame::text::Language;

    /// Shows that every known sentence has words of its own in both languages with all that is in it,
    /// and that one that nobody knows is shown as it came.
    #[test]
    fn known_reasons_are_in_the_readers_words() {
        for (key, sentence) in KNOWN {
            let said = sentence.replace('{', "\u{ab}").replace('}', "\u{bb}");
            for language in [Language::Chinese, Language::English] {
                let told = reason(Text::new(language), &said);
                assert!(!told.contains(key) && told != said, "{key}: {told}");
            }
        }
        let text = Text::new(Language::Chinese);
        for other in ["", "the tea is cold", "the bound of 3 cups in all"] {
            assert_eq!(reason(text, other), other);
        }
    }

    /// Shows that the sentences are those that nodes really say, with names that have quotation marks.
    #[test]
    fn what_nodes_say_is_known() {
        let text = Text::new(Language::Chinese);
        let name = "苑兴村".to_owned();
        let successor = Serial([7; 16]);
        let refusals = [
            Refusal::UnknownAuthor { author: successor },
            Refusal::Revoked { name: name.clone(), through_seq: 8 },
            Refusal::Replaced { name: name.clone(), successor },
            Refusal::Expired { name },
        ];
        for refusal in refusals {
            let said = refusal.to_string();
            let told = reason(text, &said);
            assert!(told != said && !told.contains("certificate"), "{said}: {told}");
        }
        let quota = "the bound of 4096 MiB a day on what \"苑兴村\" may send here is reached; the \
                     rest is taken tomorrow, or when the administrator here raises the bound: \
                     cunlian node quota";
        let told = reason(text, quota);
        for part in ["4096 MiB", "苑兴村", "明天"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
