//! Figures of who fills this node, from the same [`Ledger`] that pages and commands show.
//!
//! The number of lines is bounded by the number of children that a ledger lists.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::status::{Ledger, LedgerEntry};

type Labels = [(&'static str, String); 3];

pub(super) fn register(registry: &mut Registry, ledger: &Ledger) {
    let (used, bounds) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    for child in &ledger.children {
        for LedgerEntry { what, used: amount, bound } in &child.entries {
            let labels: Labels = [
                ("child", child.name.clone()),
                ("region", child.region.as_str().to_owned()),
                ("what", what.name().to_owned()),
            ];
            used.get_or_create(&labels).set(whole(*amount));
            if let Some(bound) = bound {
                bounds.get_or_create(&labels).set(whole(*bound));
            }
        }
    }
    registry.register("ledger_used", "What is kept for a child, of each kind", used);
    registry.register("ledger_bound", "How much may be", bounds);
    let help = "Children beyond those that have figures of their own";
    registry.register("ledger_not_listed", help, ConstGauge::new(ledger.not_listed));
    let others = [
        (
            "ledger_other_changes",
            "Changes that came from others than children",
            ledger.other_changes,
        ),
        ("ledger_other_bytes", "Their bytes", ledger.other_bytes),
        ("ledger_other_documents", "Documents that began with these", ledger.other_documents),
    ];
    for (name, help, value) in others {
        registry.register(name, help, ConstGauge::new(value));
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
