//! Who fills this node, for people: of each child what is fullest, and everything else on demand.

use cunlian_host::status::{ChildLedger, Ledger, LedgerEntry};

use super::link::size;
use crate::frame::figure::grouped;
use crate::frame::text::Text;

/// The children of this node, the fullest first.
pub(crate) struct LedgerView {
    pub(crate) children: Vec<ChildView>,
    /// What came from nobody below.
    pub(crate) others: String,
    pub(crate) not_listed: Option<String>,
}

/// One child.
pub(crate) struct ChildView {
    pub(crate) name: String,
    pub(crate) code: String,
    /// What is fullest.
    pub(crate) first: Option<EntryView>,
    /// What of it is here.
    pub(crate) kept: Vec<String>,
    /// Everything that has a bound, the fullest first.
    pub(crate) entries: Vec<EntryView>,
}

/// One figure beside its bound.
pub(crate) struct EntryView {
    pub(crate) label: String,
    /// `6.2 GiB of 16 GiB`.
    pub(crate) amount: String,
    /// `38 %`.
    pub(crate) percent: String,
    /// Thousandths, at most 1,000.
    pub(crate) permille: u64,
    /// `nearly full`, when it is.
    pub(crate) warning: Option<String>,
}

impl LedgerView {
    /// `None` when there is nobody below.
    pub(crate) fn of(texts: Text, ledger: &Ledger) -> Option<Self> {
        if ledger.children.is_empty() {
            return None;
        }
        let (n, size) = (grouped(ledger.other_changes), size(ledger.other_bytes));
        let others = [("n", &n), ("size", &size), ("documents", &grouped(ledger.other_documents))];
        let others = others.map(|(name, value)| (name, value as &dyn std::fmt::Display));
        let not_listed = (ledger.not_listed > 0)
            .then(|| texts.t1("ledger-not-listed", "n", grouped(ledger.not_listed)));
        Some(Self {
            children: ledger.children.iter().map(|child| ChildView::of(texts, child)).collect(),
            others: texts.with("ledger-others", &others),
            not_listed,
        })
    }
}

impl ChildView {
    fn of(texts: Text, child: &ChildLedger) -> Self {
        let bounded = child.entries.iter().filter_map(|entry| EntryView::of(texts, entry));
        let kept = child.entries.iter().filter(|entry| entry.bound.is_none());
        let kept =
            kept.map(|entry| format!("{} {}", label(texts, entry), amount(entry, entry.used)));
        Self {
            name: child.name.clone(),
            code: child.region.plate_text(),
            first: child.fullest().and_then(|entry| EntryView::of(texts, entry)),
            kept: kept.collect(),
            entries: bounded.collect(),
        }
    }
}

impl EntryView {
    fn of(texts: Text, entry: &LedgerEntry) -> Option<Self> {
        let (bound, permille) = (entry.bound?, entry.permille()?);
        let said = (amount(entry, entry.used), amount(entry, bound));
        let warning = entry
            .is_nearly_full()
            .then(|| texts.t(if permille >= 1_000 { "ledger-full" } else { "ledger-nearly-full" }));
        Some(Self {
            label: label(texts, entry),
            amount: texts.t2("ledger-of", ("used", said.0), ("bound", said.1)),
            percent: percent(permille),
            permille: permille.min(1_000),
            warning,
        })
    }
}

/// What a child should be looked at for, in a line; `None` when nothing is nearly full.
pub(crate) fn warning(texts: Text, child: &ChildLedger) -> Option<String> {
    let entry = child.fullest().filter(|entry| entry.is_nearly_full())?;
    let view = EntryView::of(texts, entry)?;
    let said = [("what", &view.label), ("amount", &view.amount), ("percent", &view.percent)];
    let said = said.map(|(name, value)| (name, value as &dyn std::fmt::Display));
    Some(texts.with("ledger-warning", &said))
}

fn label(texts: Text, entry: &LedgerEntry) -> String {
    texts.of("ledger-item", entry.what.name())
}

fn amount(entry: &LedgerEntry, amount: u64) -> String {
    if entry.what.is_bytes() { size(amount) } else { grouped(amount) }
}

/// Little is not nothing: below one in a hundred there is a digit more.
fn percent(permille: u64) -> String {
    match permille {
        0..10 => format!("{}.{} %", permille / 10, permille % 10),
        _ => format!("{} %", permille / 10),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use cunlian_host::status::LedgerItem;
    use cunlian_protocol::address::AddressCode;
    use cunlian_protocol::id::Serial;

    use super::*;
    use crate::frame::text::Language;

    fn child(name: &str, used: u64) -> ChildLedger {
        ChildLedger {
            name: name.to_owned(),
            region: AddressCode::parse("370322102").unwrap(),
            serial: Serial([1; 16]),
            entries: vec![
                LedgerEntry { what: LedgerItem::PhotoBytes, used, bound: Some(16 << 30) },
                LedgerEntry { what: LedgerItem::Certificates, used: 4, bound: Some(8_192) },
                LedgerEntry { what: LedgerItem::Changes, used: 12_345, bound: None },
            ],
        }
    }

    /// Shows that a figure stands beside its bound in both languages, that what is nearly full is said
    /// in words, and that what has no bound is not shown as a part of anything.
    #[test]
    fn figures_stand_beside_their_bounds() {
        let ledger = Ledger { children: vec![child("高城镇", 14 << 30)], ..Ledger::default() };
        let view = LedgerView::of(Text::new(Language::English), &ledger).unwrap();
        let first = view.children[0].first.as_ref().unwrap();
        assert_eq!(
            (first.amount.as_str(), first.percent.as_str()),
            ("14.0 GiB of 16.0 GiB", "87 %")
        );
        assert_eq!(first.warning.as_deref(), Some("nearly full"));
        assert_eq!(view.children[0].entries[1].percent, "0.0 %");
        assert_eq!(view.children[0].kept, ["Entries and corrections here 12,345"]);
        let view = LedgerView::of(Text::new(Language::Chinese), &ledger).unwrap();
        let first = view.children[0].first.as_ref().unwrap();
        assert_eq!(
            (first.label.as_str(), first.warning.as_deref()),
            ("照片和附件", Some("快满了"))
        );
        assert!(LedgerView::of(Text::new(Language::Chinese), &Ledger::default()).is_none());
    }

    /// Shows that the line for the administrator comes when four fifths are reached and not before.
    #[test]
    fn the_administrator_is_told_in_time() {
        let texts = Text::new(Language::English);
        let bound = 16_u64 << 30;
        assert_eq!(warning(texts, &child("a", bound / 5 * 4 - (16 << 20))), None);
        let line = warning(texts, &child("a", bound)).unwrap();
        assert!(line.contains("16.0 GiB of 16.0 GiB") && line.contains("100 %"), "{line}");
    }
}
