//! Why changes are refused, as the few classes that figures are kept of.
//!
//! A refusal is a sentence for people by the time it reaches the node: it came through the store
//! from whoever found the fault. The sentence is sorted by its words; the test below makes every
//! refusal there is, so that one whose words change does not silently become `other`.

/// One class of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalClass {
    /// Outside of what the peer may send.
    Scope,
    /// The author has no right to it.
    Right,
    /// The author's certificate is unknown.
    Author,
    /// The author was revoked, or its certificate replaced.
    Revoked,
    /// The author's certificate has run out.
    Expired,
    /// The signature does not hold.
    Signature,
    /// The payload is by another actor than author and session say.
    Actor,
    /// Larger than a change or a document may be.
    Size,
    /// The bytes of the change are not laid out as one.
    Layout,
    /// The payload is nothing a document may hold.
    Payload,
    /// The document was erased.
    Erased,
    /// More than is taken from one child; it may come again later.
    Quota,
    /// Anything else.
    Other,
}

impl RefusalClass {
    /// All classes.
    pub const ALL: [Self; 13] = [
        Self::Scope,
        Self::Right,
        Self::Author,
        Self::Revoked,
        Self::Expired,
        Self::Signature,
        Self::Actor,
        Self::Size,
        Self::Layout,
        Self::Payload,
        Self::Erased,
        Self::Quota,
        Self::Other,
    ];

    /// The class of a reason.
    pub fn of(reason: &str) -> Self {
        // What is quoted was chosen by whoever is named so, and says nothing about the reason.
        let plain: String = reason.split('"').step_by(2).collect();
        let has = |words: &str| plain.contains(words);
        match () {
            () if has("may send here is reached") => Self::Quota,
            () if has("outside of what this peer may send") => Self::Scope,
            () if has("has no right to") => Self::Right,
            () if has("author") && has("is unknown") => Self::Author,
            () if has("was revoked") || has("was replaced by") => Self::Revoked,
            () if has("is not valid at this time") => Self::Expired,
            () if has("signature does not hold") => Self::Signature,
            () if has("by another actor") => Self::Actor,
            () if has("are allowed") || has("would have more than") => Self::Size,
            () if has("erased") => Self::Erased,
            () if has("payload") || has("document could not be worked out") => Self::Payload,
            () if has("cut short") || has("of the change") || has("the change has") => Self::Layout,
            () => Self::Other,
        }
    }

    /// The value of the label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Right => "right",
            Self::Author => "author",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Signature => "signature",
            Self::Actor => "actor",
            Self::Size => "size",
            Self::Layout => "layout",
            Self::Payload => "payload",
            Self::Erased => "erased",
            Self::Quota => "quota",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::authority::Refusal;
    use cunlian_protocol::category::Category;
    use cunlian_protocol::change::{ChangeError, Home};
    use cunlian_protocol::id::{DocumentId, Serial};
    use cunlian_protocol::rights::Rights;
    use cunlian_protocol::signing::BadSignature;

    use super::*;

    /// Shows that each refusal of the protocol has its class, whatever the people in it are
    /// called.
    #[test]
    fn every_refusal_has_its_class() {
        let home = Home {
            category: Category::TICKET,
            address: AddressCode::parse("370322").unwrap(),
            document: DocumentId([1; 16]),
        };
        let name = "was revoked, \"cut short\", the signature does not hold".to_owned();
        let no_grant = Refusal::NoGrant { name: name.clone(), rights: Rights::WRITE, home };
        let unknown = Refusal::UnknownAuthor { author: Serial([1; 16]) };
        let revoked = Refusal::Revoked { name: name.clone(), through_seq: 1 };
        let successor = Serial([2; 16]);
        let replaced = Refusal::Replaced { name: name.clone(), successor };
        let expired = Refusal::Expired { name };
        let reached =
            "the bound of 4096 MiB a day on what \"a signature\" may send here is reached";
        for (reason, class) in [
            (no_grant.to_string(), RefusalClass::Right),
            (unknown.to_string(), RefusalClass::Author),
            (revoked.to_string(), RefusalClass::Revoked),
            (replaced.to_string(), RefusalClass::Revoked),
            (expired.to_string(), RefusalClass::Expired),
            (BadSignature.to_string(), RefusalClass::Signature),
            (ChangeError::TooLarge { got: 1 }.to_string(), RefusalClass::Size),
            (ChangeError::Length { got: 1 }.to_string(), RefusalClass::Layout),
            (ChangeError::Address.to_string(), RefusalClass::Layout),
            (ChangeError::Zero.to_string(), RefusalClass::Layout),
            (reached.to_owned(), RefusalClass::Quota),
            ("who knows".to_owned(), RefusalClass::Other),
        ] {
            assert_eq!(RefusalClass::of(&reason), class, "{reason}");
        }
    }
}
