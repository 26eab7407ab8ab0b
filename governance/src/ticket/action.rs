//! The actions of a ticket and their stored form.
//!
//! An action is stored as one JSON object: `v` is the version, `op` names the action, the rest
//! are its fields. A body of a later version or with an unknown `op` is kept and shown as
//! unknown.
//!
//! ```json
//! {"v":1,"op":"accept","kind":"policy"}
//! ```

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::{Deserialize, Serialize};

use crate::signoff::Signed;

/// The version of actions this crate writes and the newest it reads.
const VERSION: u64 = 1;

/// How a ticket came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// 门牌二维码: the villager scanned a door plate.
    Plate,
    /// 县热线 6310000.
    Hotline,
    /// 市热线 12345.
    CityHotline,
    /// 自主上报: found by the village itself.
    OwnReport,
    /// 网格: found by a grid worker.
    Grid,
    /// 来访: somebody came to the office.
    WalkIn,
    /// 企业诉求.
    Enterprise,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 7] = [
        Self::Plate,
        Self::Hotline,
        Self::CityHotline,
        Self::OwnReport,
        Self::Grid,
        Self::WalkIn,
        Self::Enterprise,
    ];

    /// Stable name, as stored and used in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Hotline => "hotline",
            Self::CityHotline => "city_hotline",
            Self::OwnReport => "own_report",
            Self::Grid => "grid",
            Self::WalkIn => "walk_in",
            Self::Enterprise => "enterprise",
        }
    }

    /// The channel with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

/// Limit class of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Emergency and epidemic.
    Emergency,
    /// Policy and farming advice.
    Policy,
    /// Public services and livelihood.
    Service,
    /// Everything else.
    Other,
}

impl Kind {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::Policy, Self::Service, Self::Other];

    /// Stable name, as stored and used in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Policy => "policy",
            Self::Service => "service",
            Self::Other => "other",
        }
    }

    /// The class with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The unit or person a ticket is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignee {
    /// Name of the unit or the person in office.
    pub name: String,
    /// Where they work: a village, a town.
    pub address: AddressCode,
}

/// One step of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Action {
    /// 上报.
    Report {
        /// How it came in.
        channel: Channel,
        /// One line.
        title: String,
        /// The villager's words, numbers masked.
        text: String,
        /// What the reporter thinks it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
        /// The contact document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reporter: Option<DocumentId>,
        /// Photos.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        photos: Vec<DocumentId>,
    },
    /// 受理: classify; the clock starts.
    Accept {
        /// Limit class.
        kind: Kind,
    },
    /// 不予受理.
    Reject {
        /// What the villager is told.
        reason: String,
    },
    /// 补充材料: ask the villager for more. A later note answers it.
    AskMore {
        /// What is missing.
        text: String,
    },
    /// 指派, also to somebody else than before.
    Assign {
        /// To whom.
        to: Assignee,
    },
    /// 退回: the wrong unit.
    Return {
        /// Why.
        reason: String,
    },
    /// 处置: begin or report progress.
    Handle {
        /// What the villager may read about it; may be empty.
        text: String,
    },
    /// 反馈: the result.
    Feedback {
        /// The result in words.
        text: String,
        /// The result in pictures.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        photos: Vec<DocumentId>,
    },
    /// 评价.
    Rate {
        /// 1 to 5.
        stars: u8,
        /// Words; may be empty.
        text: String,
    },
    /// A remark or what was asked for.
    Note {
        /// The words.
        text: String,
    },
    /// 签批: a leader puts their name under the case as it stands.
    SignOff {
        /// What was signed.
        #[serde(flatten)]
        signed: Signed,
        /// Their opinion; may be empty.
        text: String,
    },
}

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// 上报.
    Report,
    /// 受理.
    Accept,
    /// 不予受理.
    Reject,
    /// 补充材料.
    AskMore,
    /// 指派.
    Assign,
    /// 退回.
    Return,
    /// 处置.
    Handle,
    /// 反馈.
    Feedback,
    /// 评价.
    Rate,
    /// 备注.
    Note,
    /// 签批.
    SignOff,
}

impl Verb {
    /// All kinds of actions, in the order of the process.
    pub const ALL: [Self; 11] = [
        Self::Report,
        Self::Accept,
        Self::Reject,
        Self::AskMore,
        Self::Assign,
        Self::Return,
        Self::Handle,
        Self::Feedback,
        Self::Rate,
        Self::Note,
        Self::SignOff,
    ];

    /// Stable name, equal to the stored `op`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::AskMore => "ask_more",
            Self::Assign => "assign",
            Self::Return => "return",
            Self::Handle => "handle",
            Self::Feedback => "feedback",
            Self::Rate => "rate",
            Self::Note => "note",
            Self::SignOff => "sign_off",
        }
    }

    /// The kind of action with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }
}

impl Action {
    /// What kind of action it is.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Report { .. } => Verb::Report,
            Self::Accept { .. } => Verb::Accept,
            Self::Reject { .. } => Verb::Reject,
            Self::AskMore { .. } => Verb::AskMore,
            Self::Assign { .. } => Verb::Assign,
            Self::Return { .. } => Verb::Return,
            Self::Handle { .. } => Verb::Handle,
            Self::Feedback { .. } => Verb::Feedback,
            Self::Rate { .. } => Verb::Rate,
            Self::Note { .. } => Verb::Note,
            Self::SignOff { .. } => Verb::SignOff,
        }
    }

    /// The words people read: text, reason, assignee's name or class; may be empty.
    pub fn text(&self) -> &str {
        match self {
            Self::Report { text, .. }
            | Self::AskMore { text }
            | Self::Handle { text }
            | Self::Feedback { text, .. }
            | Self::Rate { text, .. }
            | Self::Note { text }
            | Self::SignOff { text, .. } => text,
            Self::Reject { reason } | Self::Return { reason } => reason,
            Self::Assign { to } => &to.name,
            Self::Accept { kind } => kind.as_str(),
        }
    }

    /// The stored form.
    pub fn encode(&self) -> String {
        let envelope = Envelope { v: VERSION, action: self };
        serde_json::to_string(&envelope).expect("actions serialise to JSON")
    }

    /// The write that appends this action to `ticket`, whatever its state. Commands of people go
    /// through [`super::Ticket::act`].
    pub fn write(&self, ticket: Home, source: &str) -> Write {
        Write {
            home: ticket,
            edits: vec![Edit::Append { body: self.encode() }],
            source: source.to_owned(),
            task: String::new(),
        }
    }
}

/// An operation of a ticket document as far as this version understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A known action.
    Known(Action),
    /// The JSON text of one this version does not know.
    Unknown(String),
}

impl Body {
    /// Reads the stored form.
    pub fn decode(text: &str) -> Self {
        let version = serde_json::from_str::<VersionOnly>(text).map(|version| version.v);
        let action = match version {
            Ok(VERSION) => serde_json::from_str(text).ok(),
            Ok(_) | Err(_) => None,
        };
        action.map_or_else(|| Self::Unknown(text.to_owned()), Self::Known)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    v: u64,
    #[serde(flatten)]
    action: &'a Action,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the stored form, byte for byte: other nodes of this version read exactly this.
    #[test]
    fn the_stored_form_is_fixed() {
        let accept = Action::Accept { kind: Kind::Policy };
        assert_eq!(accept.encode(), r#"{"v":1,"op":"accept","kind":"policy"}"#);
        let report = Action::Report {
            channel: Channel::Plate,
            title: "路灯".to_owned(),
            text: "路灯不亮".to_owned(),
            kind: None,
            reporter: Some(DocumentId([0xab; 16])),
            photos: Vec::new(),
        };
        let stored = r#"{"v":1,"op":"report","channel":"plate","title":"路灯","text":"路灯不亮","reporter":"abababababababababababababababab"}"#;
        assert_eq!(report.encode(), stored);
        assert_eq!(Body::decode(stored), Body::Known(report));
        let signed = Signed { digest: "ab".to_owned(), covers: vec!["cd".to_owned()] };
        let sign_off = Action::SignOff { signed, text: "同意".to_owned() };
        let stored = r#"{"v":1,"op":"sign_off","digest":"ab","covers":["cd"],"text":"同意"}"#;
        assert_eq!(sign_off.encode(), stored);
        assert_eq!(Body::decode(stored), Body::Known(sign_off));
    }

    /// Shows that what a later version wrote is kept word for word.
    #[test]
    fn later_versions_are_kept_as_unknown() {
        for text in [
            r#"{"v":2,"op":"accept","kind":"policy"}"#,
            r#"{"v":1,"op":"teleport"}"#,
            r#"{"v":1,"op":"accept","kind":"whatever"}"#,
            "not json",
        ] {
            assert_eq!(Body::decode(text), Body::Unknown(text.to_owned()));
        }
    }
}
