//! What a frame says, for traces and checks.

use std::fmt::Write as _;

use cunlian_protocol::blob::BlobMessage;
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::wire::{self, AskReply, Frame, Message, Prefixed};

/// The name of the message in a frame (length included), and what else is short to say.
pub(super) fn kind(frame: &[u8]) -> String {
    match decode(frame) {
        Some(Frame::Batch { batch, changes }) => {
            format!("batch {batch} of {} changes", changes.len())
        }
        Some(Frame::Message(Message::Goodbye { reason, .. })) => {
            format!("goodbye: {}", String::from_utf8_lossy(&reason.0))
        }
        Some(Frame::Message(message)) => {
            let mut name = FirstWord(String::new());
            // It gives up on purpose after the word.
            let _ = write!(name, "{message:?}");
            name.0
        }
        None => "no frame".to_owned(),
    }
}

/// Takes the first word of what is written, so that the rest need not be put in words.
struct FirstWord(String);

impl std::fmt::Write for FirstWord {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        for character in part.chars() {
            if !character.is_alphanumeric() {
                return Err(std::fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

/// The frame in these bytes, length included, if it is one.
pub(super) fn decode(frame: &[u8]) -> Option<Frame> {
    wire::decode(frame.get(4..)?).ok()
}

/// What a frame means for the checks.
pub(super) enum Meaning {
    /// Changes, and the number of their batch.
    Batch(u64, Vec<SignedChange>),
    /// A batch of the other side is durable, except for the changes at these places.
    Ack(u64, Vec<usize>),
    /// Names parts of the set.
    Prefixes(Vec<KeyPrefix>),
    /// About photos and files.
    Blob(BlobMessage),
    /// May name changes and documents.
    Other,
    /// Names certificates only.
    Certificates,
}

/// What a frame of an honest node means.
pub(super) fn meaning(frame: &[u8]) -> Meaning {
    match decode(frame) {
        Some(Frame::Batch { batch, changes }) => {
            let decoded = changes.into_iter().map(|carried| SignedChange::decode(carried.bytes));
            let changes = decoded.collect::<Result<_, _>>();
            Meaning::Batch(batch, changes.expect("an honest node sends changes"))
        }
        Some(Frame::Message(Message::Ack { batch, refused, postponed, .. })) => {
            let refused = refused.0.iter().map(|(at, _)| *at);
            let not_taken = refused.chain(postponed.0.iter().copied());
            Meaning::Ack(batch, not_taken.map(|at| at as usize).collect())
        }
        Some(Frame::Message(
            Message::Hello(_) | Message::Welcome(_) | Message::Certificates(_) | Message::Issued(_),
        )) => Meaning::Certificates,
        Some(Frame::Message(Message::Tops(page))) => prefixes(page.items),
        Some(Frame::Message(Message::Query(items))) => prefixes(items),
        Some(Frame::Message(Message::Want { items, .. })) => prefixes(items),
        Some(Frame::Message(Message::Answer(items))) => {
            let pages = items.0.into_iter().filter_map(|(_, told)| match told {
                AskReply::Frontier(page) => Some(page.items.0),
                AskReply::Symbols { .. } | AskReply::Shorts(_) | AskReply::TooMany => None,
            });
            Meaning::Prefixes(pages.flatten().map(|(prefix, _)| prefix).collect())
        }
        Some(Frame::Message(Message::Blob(message))) => Meaning::Blob(message),
        Some(Frame::Message(_)) => Meaning::Other,
        None => panic!("an honest node sends frames"),
    }
}

fn prefixes<T, const N: usize>(items: Prefixed<T, N>) -> Meaning {
    Meaning::Prefixes(items.0.into_iter().map(|(prefix, _)| prefix).collect())
}
