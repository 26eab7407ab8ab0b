//! The history of one document: its changes in causal order, and the view they give.
//!
//! A document of this system uses a small, closed part of Automerge: texts in the root map, and
//! one append-only list, `operations`. That part can be read straight off the operations of the
//! changes, without building Automerge's own op set, which costs most of the time of a cold
//! synchronisation. [`History`] does so; the tests hold it to what Automerge itself reads.
//!
//! What [`payload`] lets through can neither take an operation out of the list nor replace the
//! list, so a workflow can only grow. Two nodes that append to a document while apart may each
//! make an `operations` object; both are read, in one causal order.
//!
//! Everything here is a function of the *set* of changes: which changes of a contradictory set
//! count (two payloads with one actor and number, an impossible start) does not depend on the
//! order of arrival. Nor does which of them count when there are too many: in causal order each
//! takes its operations and predecessors off [`limits::DOCUMENT_OPERATIONS`]; one that does not fit
//! into what is left is *beyond* the bound and waits, with what builds on it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use cunlian_protocol::change::Home;
use cunlian_protocol::limits;

use crate::document::{DocumentView, Erasure, FieldValue, FieldView, Operation};

mod ancestor;
mod authoring;
mod expansion;
pub(crate) mod payload;
mod review;

pub(crate) use authoring::EditError;
use payload::{Payload, Step};

/// Automerge's name of an operation: Lamport counter and actor. Greater wins.
pub(crate) type OpId = (u64, [u8; 16]);

/// Name of the list in the root map that holds the workflow operations.
pub(crate) const OPERATIONS: &str = "operations";

/// Changes of one document, as far as they are connected to its beginning.
#[derive(Debug)]
pub(crate) struct History {
    home: Home,
    /// In causal order.
    applied: Vec<Payload>,
    waiting: u32,
    /// How many of those that wait do so because the document holds too much.
    beyond: u32,
    /// Operations and predecessors applied.
    weight: u64,
    heads: BTreeSet<[u8; 32]>,
    /// Greatest operation counter applied.
    last_op: u64,
    /// Number of changes and the trace, when the document was erased.
    erased: Option<(u32, Erasure)>,
}

impl History {
    /// Orders the changes of the document at `home`. `opaque` counts changes of a newer version,
    /// which are kept but not read.
    pub(crate) fn new(home: Home, payloads: Vec<Payload>, opaque: u32) -> Self {
        let (mut kept, double) = without_doubles(payloads);
        let Order { counting, beyond } = causal_order(&kept);
        let waiting = kept.len() - counting.len() + double;
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(opaque);
        let applied: Vec<Payload> =
            counting.into_iter().filter_map(|index| kept.get_mut(index)?.take()).collect();
        let mut history = Self { waiting, beyond, ..Self::empty(home) };
        drop(kept);
        for mut payload in applied {
            payload.unfold();
            history.push(payload);
        }
        history
    }

    /// A document that was erased and of which so many changes are kept.
    pub(crate) fn erased(home: Home, changes: u32, erasure: Erasure) -> Self {
        Self { erased: Some((changes, erasure)), ..Self::empty(home) }
    }

    fn empty(home: Home) -> Self {
        let (applied, heads) = (Vec::new(), BTreeSet::new());
        Self { home, applied, waiting: 0, beyond: 0, weight: 0, heads, last_op: 0, erased: None }
    }

    /// Whether nothing can be added.
    pub(crate) fn is_erased(&self) -> bool {
        self.erased.is_some()
    }

    /// Whether more is applied than may count of a document.
    pub(crate) fn is_too_heavy(&self) -> bool {
        self.weight > limits::DOCUMENT_OPERATIONS as u64
    }

    /// How many changes do not count because they, or the document, hold too much.
    pub(crate) fn beyond(&self) -> u32 {
        self.beyond
    }

    /// Notes changes that are not read because they unfold too far.
    pub(crate) fn note_beyond(&mut self, changes: u32) {
        self.beyond = self.beyond.saturating_add(changes);
    }

    /// Adds a change made on top of all that is applied.
    pub(crate) fn push(&mut self, payload: Payload) {
        for dependency in &payload.dependencies {
            self.heads.remove(dependency);
        }
        self.heads.insert(payload.hash);
        self.last_op = self.last_op.max(payload.last_op());
        self.weight += payload.weight;
        self.applied.push(payload);
    }

    /// The document as these changes make it.
    pub(crate) fn view(&self) -> DocumentView {
        let fields = self.fields().into_iter().map(|(name, values)| {
            let mut values = values.into_iter().map(|value| FieldValue {
                text: value.text.to_owned(),
                writer: value.payload.writer.clone(),
            });
            let current = values.next().expect("a field is made by its first value");
            (name.to_owned(), FieldView { current, others: values.collect() })
        });
        let applied = u32::try_from(self.applied.len()).unwrap_or(u32::MAX);
        let erased = self.erased.as_ref();
        DocumentView {
            home: self.home,
            fields: fields.collect(),
            operations: self.operations(),
            changes: erased.map_or(applied, |(changes, _)| *changes),
            waiting: self.waiting,
            tainted: self.tainted(),
            erased: erased.map(|(_, erasure)| erasure.clone()),
        }
    }

    /// Values that no other change has taken note of, the winner first. Of very many those that
    /// win over the others; a value that replaces these leaves the next ones to be resolved.
    fn fields(&self) -> BTreeMap<&str, Vec<Value<'_>>> {
        self.fields_where(|_, _| true)
    }

    /// The same if only the steps that `counts` says had been made.
    fn fields_where(
        &self,
        counts: impl Fn(&Payload, &Step) -> bool,
    ) -> BTreeMap<&str, Vec<Value<'_>>> {
        let mut superseded: HashSet<OpId> = HashSet::new();
        let mut fields: BTreeMap<&str, Vec<Value<'_>>> = BTreeMap::new();
        for payload in &self.applied {
            for (id, step) in payload.steps().filter(|(_, step)| counts(payload, step)) {
                match step {
                    Step::Put { field, text, replaced } => {
                        superseded.extend(replaced);
                        let value = Value { id, text, payload };
                        fields.entry(field).or_default().push(value);
                    }
                    Step::Delete { replaced, .. } => superseded.extend(replaced),
                    Step::MakeOperations | Step::Append { .. } => {}
                }
            }
        }
        if !superseded.is_empty() {
            fields.retain(|_, values| {
                values.retain(|value| !superseded.contains(&value.id));
                !values.is_empty()
            });
        }
        for values in fields.values_mut() {
            values.sort_unstable_by_key(|value| Reverse(value.id));
            values.truncate(limits::FIELD_VALUES);
        }
        fields
    }

    /// Operations in causal order. Reviews are no operations of the workflow.
    fn operations(&self) -> Vec<Operation> {
        let reviews = self.reviews();
        let mut operations = Vec::new();
        for payload in &self.applied {
            let review = reviews.get(&payload.writer.change).filter(|review| !review.keep);
            let reverted_by = review.map(|review| review.writer.change);
            for (_, step) in payload.steps() {
                if let Step::Append { body, .. } = step
                    && review::read(body).is_none()
                {
                    let (body, writer) = (body.to_string(), payload.writer.clone());
                    operations.push(Operation { body, writer, reverted_by });
                }
            }
        }
        operations
    }
}

struct Value<'a> {
    id: OpId,
    text: &'a str,
    payload: &'a Payload,
}

/// Leaves one of those that are the same Automerge change or claim the same place in the
/// sequence of an actor: the one with the smallest change id.
fn without_doubles(mut payloads: Vec<Payload>) -> (Vec<Option<Payload>>, usize) {
    let count = payloads.len();
    if count > 1 {
        payloads.sort_unstable_by_key(|payload| payload.writer.change);
        let mut hashes = HashSet::new();
        let mut places = HashSet::new();
        payloads.retain(|payload| {
            hashes.insert(payload.hash) && places.insert((payload.actor, payload.actor_seq))
        });
    }
    let double = count - payloads.len();
    (payloads.into_iter().map(Some).collect(), double)
}

#[derive(Debug, Default)]
struct Order {
    /// Indexes of the changes that count, causes first.
    counting: Vec<usize>,
    /// How many do not fit.
    beyond: u32,
}

/// The changes whose dependencies are there, causes first, as far as they fit into a document; of
/// two that do not know of each other the one with the smaller start, then actor, comes first.
fn causal_order(payloads: &[Option<Payload>]) -> Order {
    if let [Some(only)] = payloads {
        let whole = only.dependencies.is_empty() && only.start_op == 1;
        return Order { counting: if whole { vec![0] } else { Vec::new() }, beyond: 0 };
    }
    let by_hash: HashMap<[u8; 32], &Payload> =
        payloads.iter().flatten().map(|payload| (payload.hash, payload)).collect();
    let mut missing: Vec<usize> = Vec::with_capacity(payloads.len());
    let mut dependents: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for (index, payload) in payloads.iter().enumerate() {
        let Some(payload) = payload else { continue };
        missing.push(payload.dependencies.len());
        for dependency in &payload.dependencies {
            dependents.entry(*dependency).or_default().push(index);
        }
        if payload.dependencies.is_empty() {
            ready.push(Reverse(payload.place(index)));
        }
    }
    let mut order = Order::default();
    let mut left = limits::DOCUMENT_OPERATIONS as u64;
    while let Some(Reverse((start_op, _, hash, index))) = ready.pop() {
        let Some(payload) = by_hash.get(&hash) else { continue };
        let known = payload.dependencies.iter().filter_map(|hash| by_hash.get(hash));
        if start_op != known.map(|payload| payload.last_op()).max().unwrap_or(0) + 1 {
            // No honest author numbers operations so; what builds on this change waits with it.
            continue;
        }
        let Some(rest) = left.checked_sub(payload.weight) else {
            order.beyond += 1;
            continue;
        };
        left = rest;
        order.counting.push(index);
        for dependent in dependents.remove(&hash).unwrap_or_default() {
            let Some(left) = missing.get_mut(dependent) else { continue };
            *left -= 1;
            if *left == 0
                && let Some(payload) = payloads.get(dependent).and_then(Option::as_ref)
            {
                ready.push(Reverse(payload.place(dependent)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests;
