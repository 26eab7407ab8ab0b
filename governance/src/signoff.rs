//! Sign-offs (签批): a person with [`Rights::SIGN_OFF`](cunlian_protocol::rights::Rights) puts
//! their name under a case as it stands, and every later or concurrent change of what they signed
//! voids it for everybody to see.
//!
//! What is signed is a [`Matter`]: the fields of the document and the steps that count, each by
//! the id of its signed change. The contact of a reporter is a document of its own and not in it.
//! The operation that signs carries a [`Signed`]: the digest of the matter, and a tag of each
//! change in it. The digest decides; the tags only tell which change is not in it.
//!
//! The digest is BLAKE3 in key-derivation mode with the context `cunlian 2026-11 sign-off` over
//!
//! | bytes | content |
//! |---|---|
//! | 2 | category, big-endian |
//! | 1 + n | number of digits of the address, the digits |
//! | 16 | document |
//! | 4 | number of fields, big-endian |
//! | … | of each field, by name: text of the name, 4 bytes number of values, and of each value, the one shown first, then concurrent ones: 32 bytes change id, text |
//! | 4 | number of steps, big-endian |
//! | 32 each | change ids of the steps, in the order of the document |
//!
//! where a text is 4 bytes of length, big-endian, and its UTF-8.
//!
//! What it is not: it judges no rights and knows no ticket; a fold does, and says which steps
//! count.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_crdt::document::{FieldView, Writer};
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use serde::{Deserialize, Serialize};

/// Bytes of a change id that its tag shows.
const TAG_BYTES: usize = 8;

/// What there is to sign.
#[derive(Debug, Clone)]
pub struct Matter<'a> {
    home: Home,
    fields: &'a BTreeMap<String, FieldView>,
    steps: Vec<&'a Writer>,
}

/// What a sign-off carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The digest, 64 hexadecimal digits.
    pub digest: String,
    /// The first 8 bytes of the id of each change that was signed, 16 hexadecimal digits each, in
    /// rising order.
    pub covers: Vec<String>,
}

/// What became of a sign-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignOffStatus {
    /// What was signed is what is there.
    Stands,
    /// Something else is there.
    Void {
        /// The first change that was not signed; `None` when something that was signed is no
        /// longer there.
        since: Option<Writer>,
    },
}

impl SignOffStatus {
    /// Whether it stands.
    pub const fn stands(&self) -> bool {
        matches!(self, Self::Stands)
    }
}

impl<'a> Matter<'a> {
    /// The matter of the document `home` with these fields and no step yet.
    pub const fn new(home: Home, fields: &'a BTreeMap<String, FieldView>) -> Self {
        Self { home, fields, steps: Vec::new() }
    }

    /// Adds the next step that counts.
    pub fn push(&mut self, step: &'a Writer) {
        self.steps.push(step);
    }

    /// What signs the matter as it is here.
    pub fn signed(&self) -> Signed {
        let changes: BTreeSet<ChangeId> = self.writers().map(|writer| writer.change).collect();
        let covers: BTreeSet<String> = changes.iter().map(tag).collect();
        Signed { digest: self.digest(), covers: covers.into_iter().collect() }
    }

    /// What has become of `signed` now that the matter is this.
    pub fn status(&self, signed: &Signed) -> SignOffStatus {
        if signed.digest == self.digest() {
            return SignOffStatus::Stands;
        }
        let covered: BTreeSet<&str> = signed.covers.iter().map(String::as_str).collect();
        let since = self.writers().find(|writer| !covered.contains(tag(&writer.change).as_str()));
        SignOffStatus::Void { since: since.cloned() }
    }

    /// Who wrote what is signed: steps first, then fields by name.
    fn writers(&self) -> impl Iterator<Item = &'a Writer> + '_ {
        let fields = self.fields.values();
        let values = fields.flat_map(|field| std::iter::once(&field.current).chain(&field.others));
        self.steps.iter().copied().chain(values.map(|value| &value.writer))
    }

    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("cunlian 2026-11 sign-off");
        hasher.update(&self.home.category.0.to_be_bytes());
        let digits = self.home.address.as_bytes();
        hasher.update(&[u8::try_from(digits.len()).expect("a code has at most 26 digits")]);
        hasher.update(digits);
        hasher.update(self.home.document.as_bytes());
        hasher.update(&length(self.fields.len()));
        for (name, field) in self.fields {
            hash_text(&mut hasher, name);
            hasher.update(&length(field.others.len() + 1));
            for value in std::iter::once(&field.current).chain(&field.others) {
                hasher.update(value.writer.change.as_bytes());
                hash_text(&mut hasher, &value.text);
            }
        }
        hasher.update(&length(self.steps.len()));
        for step in &self.steps {
            hasher.update(step.change.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn tag(change: &ChangeId) -> String {
    change.to_string().chars().take(2 * TAG_BYTES).collect()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a document is far smaller than 4 GiB").to_be_bytes()
}

fn hash_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&length(text.len()));
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use cunlian_crdt::document::FieldValue;
    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::category::Category;
    use cunlian_protocol::id::{DocumentId, Serial};

    use super::*;

    fn home() -> Home {
        Home {
            category: Category::TICKET,
            address: AddressCode::parse("370322102310").unwrap(),
            document: DocumentId([3; 16]),
        }
    }

    fn writer(change: u8) -> Writer {
        Writer {
            author: Serial([1; 16]),
            seq: u64::from(change),
            recorded_at_ms: i64::from(change),
            change: ChangeId([change; 32]),
            source: String::new(),
            task: String::new(),
            tainted: false,
        }
    }

    fn fields(text: &str, change: u8) -> BTreeMap<String, FieldView> {
        let current = FieldValue { text: text.to_owned(), writer: writer(change) };
        BTreeMap::from([("order".to_owned(), FieldView { current, others: Vec::new() })])
    }

    fn matter<'a>(
        home: Home,
        fields: &'a BTreeMap<String, FieldView>,
        steps: &[&'a Writer],
    ) -> Matter<'a> {
        let mut matter = Matter::new(home, fields);
        for step in steps {
            matter.push(step);
        }
        matter
    }

    /// Shows the digest of one matter, byte for byte: other nodes and later versions must come to
    /// the same.
    #[test]
    fn the_digest_is_fixed() {
        let (fields, step) = (fields("停业整顿", 1), writer(2));
        let signed = matter(home(), &fields, &[&step]).signed();
        assert_eq!(signed.covers, ["0101010101010101", "0202020202020202"]);
        let digest = "56381d54ddc8c896ac6b09e849f4f891e257db374480fb07bca40788ff2ec8b9";
        assert_eq!(signed.digest, digest);
    }

    /// Shows that a sign-off stands for what was signed and for nothing else: another step, a step
    /// less, another order, another field, text, concurrent value or document.
    #[test]
    fn any_change_voids_it() {
        let (signed_fields, first, second) = (fields("停业", 1), writer(2), writer(3));
        let original = matter(home(), &signed_fields, &[&first, &second]);
        let signed = original.signed();
        assert!(original.status(&signed).stands());

        let void = |matter: &Matter<'_>| match matter.status(&signed) {
            SignOffStatus::Void { since } => since.map(|writer| writer.seq),
            SignOffStatus::Stands => panic!("it stands"),
        };
        let later = writer(4);
        assert_eq!(void(&matter(home(), &signed_fields, &[&first, &second, &later])), Some(4));
        assert_eq!(void(&matter(home(), &signed_fields, &[&first])), None);
        assert_eq!(void(&matter(home(), &signed_fields, &[&second, &first])), None);
        let rewritten = fields("不停业", 5);
        assert_eq!(void(&matter(home(), &rewritten, &[&first, &second])), Some(5));
        let mut conflicted = fields("停业", 1);
        let value = FieldValue { text: "罚款".to_owned(), writer: writer(6) };
        conflicted.get_mut("order").unwrap().others.push(value);
        assert_eq!(void(&matter(home(), &conflicted, &[&first, &second])), Some(6));
        let elsewhere = Home { document: DocumentId([4; 16]), ..home() };
        assert_eq!(void(&matter(elsewhere, &signed_fields, &[&first, &second])), None);
    }
}
