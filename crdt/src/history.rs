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
//! order of arrival.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use cunlian_protocol::change::Home;

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
        let order = causal_order(&kept);
        let waiting = kept.len() - order.len() + double;
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(opaque);
        let applied: Vec<Payload> =
            order.into_iter().filter_map(|index| kept.get_mut(index)?.take()).collect();
        let mut history = Self { waiting, ..Self::empty(home) };
        for payload in applied {
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
        Self { home, applied, waiting: 0, heads, last_op: 0, erased: None }
    }

    /// Whether nothing can be added.
    pub(crate) fn is_erased(&self) -> bool {
        self.erased.is_some()
    }

    /// Adds a change made on top of all that is applied.
    pub(crate) fn push(&mut self, payload: Payload) {
        for dependency in &payload.dependencies {
            self.heads.remove(dependency);
        }
        self.heads.insert(payload.hash);
        self.last_op = self.last_op.max(payload.last_op());
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

    /// Values that no other change has taken note of, the winner first.
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

/// Indexes of the changes whose dependencies are there, causes first; of two that do not know
/// of each other the one with the smaller start, then actor, comes first.
fn causal_order(payloads: &[Option<Payload>]) -> Vec<usize> {
    if let [Some(only)] = payloads {
        let whole = only.dependencies.is_empty() && only.start_op == 1;
        return if whole { vec![0] } else { Vec::new() };
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
    let mut order = Vec::with_capacity(payloads.len());
    while let Some(Reverse((start_op, _, hash, index))) = ready.pop() {
        let Some(payload) = by_hash.get(&hash) else { continue };
        let known = payload.dependencies.iter().filter_map(|hash| by_hash.get(hash));
        if start_op != known.map(|payload| payload.last_op()).max().unwrap_or(0) + 1 {
            // No honest author numbers operations so; what builds on this change waits with it.
            continue;
        }
        order.push(index);
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
