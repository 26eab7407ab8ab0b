//! Where and when samples are drawn.

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;

use crate::generator::{Generator, Role, Scene};

/// Where and when samples are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The village.
    pub village: AddressCode,
    /// How much is wanted, in the unit that people count: records, tickets, notices.
    pub count: usize,
    /// The moment as of which it is drawn, milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
}

/// The write of a document with these fields, as somebody signs it at the spot.
pub fn fields(
    spot: &Spot,
    role: Role,
    category: Category,
    document: DocumentId,
    fields: &[(&str, &str)],
) -> Scene {
    let put = |(field, text): &(&str, &str)| Edit::Put {
        field: (*field).to_owned(),
        text: (*text).to_owned(),
    };
    let home = Home { category, address: spot.village, document };
    let edits = fields.iter().map(put).collect();
    let write = Write { home, edits, source: "sample".to_owned(), task: String::new() };
    Scene { role, at_ms: spot.now_ms, write }
}

/// As many documents of one field as are wanted, with these texts by turns.
pub fn lines(
    seed: u64,
    spot: &Spot,
    role: Role,
    category: Category,
    field: &str,
    texts: &[&str],
) -> Vec<Scene> {
    let generator = Generator::new(seed ^ u64::from(category.0).rotate_right(16));
    let line = |(number, text): (u64, &&str)| {
        let text = format!("{text} {}", number + 1);
        let document = generator.document_at(spot.village, number);
        fields(spot, role, category, document, &[(field, text.as_str())])
    };
    (0..).zip(texts.iter().cycle()).take(spot.count).map(line).collect()
}
