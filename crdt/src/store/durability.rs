//! Questions of durability, their answers, and the marking of whole ranges.
//!
//! What is asked and answered is in [`cunlian_protocol::durability`]. Summary, row and what waits are
//! read in one snapshot, so that "all that is summed up here, up to this row" is one set. Marking
//! goes by keys in a snapshot of its own and writes by rows, which are never given twice: a change
//! that left the log meanwhile has no row any more, and one that came has a greater one.

use cunlian_protocol::durability::{
    Answer, Ask, Mark, News, Open, Question, Questions, Reply, Request, Within,
};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::{KeyPrefix, SetKey};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::sync::tiers;
use cunlian_protocol::wire::Bounded;
use rusqlite::Connection;

use super::outbox::{Ancestors, awaited, keep_receipt, lose, mark_reached};
use super::pending_counts::{waiting, waiting_under};
use super::rows::{Range, key_of, last_row, row_of};
use super::{Fault, Inner, summary};

/// Of so few changes each is asked for by its name.
const ASKED_BY_NAME: u64 = 48;
/// Changes marked in one transaction, which then takes some 10 ms.
const MARKED_TOGETHER: usize = 2_000;
/// Keys looked at in one snapshot.
const LOOKED_AT: u32 = 50_000;
/// Rows looked through to name the few changes that wait.
const LOOKED_THROUGH: u64 = 20_000;

pub(super) fn serve(inner: &Inner, request: Request) -> Result<Reply, Fault> {
    match request {
        Request::Unsettled { within, tiers } => inner.readers.with(|connection| {
            let through_row = last_row(connection)?;
            let asks = match within {
                Within::Scope(scope) => of_scope(connection, &scope, tiers)?,
                Within::Parts(parts) => of_parts(connection, &parts)?,
            };
            Ok(Reply::Unsettled { asks, through_row })
        }),
        Request::Answer { questions, own } => inner.readers.with(|connection| {
            let ancestors = &inner.shared.ancestors;
            let mut answering = Answering { connection, ancestors, own, ids: limits::ANSWER_IDS };
            Ok(Reply::Answer(answering.answer(&questions)?))
        }),
        Request::Mark(mark) => mark_range(inner, mark),
        Request::Lost { keys, tier } => inner.writer.submit(move |batch| {
            for key in &keys {
                lose(batch, key, tier)?;
            }
            Ok(Reply::Lost)
        }),
    }
}

/// The widest ranges of a scope in which something waits.
fn of_scope(connection: &Connection, scope: &Scope, tiers: u8) -> rusqlite::Result<Vec<Ask>> {
    if waiting(connection, tiers)? == 0 {
        return Ok(Vec::new());
    }
    let mut asks = Vec::new();
    for prefix in scope.tops(summary::categories(connection)?) {
        let waiting = waiting_by_tier(connection, &prefix, tiers)?;
        if !waiting.is_empty() {
            let summary = summary::of_prefix(connection, &prefix)?;
            asks.push(Ask { question: Question::Range { prefix, summary }, waiting });
        }
    }
    Ok(asks)
}

/// What to ask about the parts of ranges.
fn of_parts(connection: &Connection, parts: &[(KeyPrefix, u8)]) -> rusqlite::Result<Vec<Ask>> {
    let mut asks = Vec::new();
    let mut by_name = Vec::new();
    for (prefix, tiers) in parts {
        let count = waiting_under(connection, prefix, *tiers)?;
        if count == 0 {
            continue;
        }
        if count <= ASKED_BY_NAME || prefix.is_key() {
            by_name.extend(names(connection, prefix, *tiers)?);
            continue;
        }
        for (prefix, summary) in children(connection, prefix)? {
            let waiting = waiting_by_tier(connection, &prefix, *tiers)?;
            if !waiting.is_empty() {
                asks.push(Ask { question: Question::Range { prefix, summary }, waiting });
            }
        }
    }
    asks.sort_unstable_by(|one, other| range_of(one).cmp(&range_of(other)));
    asks.extend(by_name);
    Ok(asks)
}

fn range_of(ask: &Ask) -> Option<&KeyPrefix> {
    match &ask.question {
        Question::Range { prefix, .. } => Some(prefix),
        Question::Change(_) => None,
    }
}

/// The parts of a range; of a part that is all of it, the parts of that.
fn children(
    connection: &Connection,
    prefix: &KeyPrefix,
) -> rusqlite::Result<Vec<(KeyPrefix, Summary)>> {
    let mut within = (prefix.clone(), summary::of_prefix(connection, prefix)?);
    loop {
        let mut children = summary::children(connection, &within.0, &within.1)?;
        match children.as_mut_slice() {
            [only] if *only != within && !only.0.is_key() => within = only.clone(),
            _ => return Ok(children),
        }
    }
}

fn waiting_by_tier(
    connection: &Connection,
    prefix: &KeyPrefix,
    asked: u8,
) -> rusqlite::Result<Vec<(u8, u64)>> {
    let mut by_tier = Vec::new();
    for tier in tiers(asked) {
        let count = waiting_under(connection, prefix, tier.bit())?;
        if count > 0 {
            by_tier.push((tier.bit(), count));
        }
    }
    Ok(by_tier)
}

/// The changes under a prefix that wait, each asked for by its name.
fn names(connection: &Connection, prefix: &KeyPrefix, asked: u8) -> rusqlite::Result<Vec<Ask>> {
    let ask = |(key, awaited): (SetKey, u8)| Ask {
        question: Question::Change(key),
        waiting: tiers(awaited & asked).map(|tier| (tier.bit(), 1)).collect(),
    };
    Ok(waiting_keys(connection, prefix, asked)?.into_iter().map(ask).collect())
}

fn waiting_keys(
    connection: &Connection,
    prefix: &KeyPrefix,
    asked: u8,
) -> rusqlite::Result<Vec<(SetKey, u8)>> {
    let Range { start, end } = Range::of(prefix);
    let mut select = connection.prepare_cached(
        "SELECT key, awaited FROM change CROSS JOIN outbox USING (row) \
         WHERE key >= ?1 AND key < ?2 AND awaited & ?3 ORDER BY key",
    )?;
    let found = select.query_map((start, end, asked), |row| {
        Ok((key_of(row.get_ref(0)?.as_blob()?)?, row.get(1)?))
    })?;
    found.collect()
}

/// The side that is asked.
struct Answering<'a> {
    connection: &'a Connection,
    ancestors: &'a Ancestors,
    own: u8,
    /// How many more changes may be named.
    ids: usize,
}

impl Answering<'_> {
    fn answer(&mut self, questions: &Questions) -> rusqlite::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(questions.list.0.len());
        for question in &questions.list.0 {
            answers.push(match question {
                Question::Range { prefix, summary } => {
                    if summary::of_prefix(self.connection, prefix)? == *summary {
                        self.same(prefix, summary, questions.tiers)?
                    } else {
                        Answer::Differs
                    }
                }
                Question::Change(key) => Answer::Change { held: self.held(key)? },
            });
        }
        Ok(answers)
    }

    fn held(&self, key: &SetKey) -> rusqlite::Result<u8> {
        let Some(row) = row_of(self.connection, key)? else { return Ok(0) };
        let above = self.ancestors.covering(&key.to_bytes()) & !awaited(self.connection, row)?;
        Ok(self.own | above)
    }

    /// Both hold the same in this range; what of it is known to be further up.
    fn same(&mut self, prefix: &KeyPrefix, all: &Summary, asked: u8) -> rusqlite::Result<Answer> {
        let mut held = self.own;
        let mut open = Vec::new();
        for tier in tiers(self.ancestors.covering(prefix.as_bytes()) & asked) {
            let tier = tier.bit();
            let waiting = waiting_under(self.connection, prefix, tier)?;
            if waiting == 0 {
                held |= tier;
                continue;
            }
            let ids = Bounded(self.name(prefix, all, tier, waiting)?);
            open.push(Open { tier, waiting, ids });
        }
        let in_parts = self.ancestors.inside(prefix) & asked;
        Ok(Answer::Same { held, in_parts, open: Bounded(open) })
    }

    /// Ids of the changes that wait, ascending, when they are few and quickly found.
    fn name(
        &mut self,
        prefix: &KeyPrefix,
        all: &Summary,
        tier: u8,
        waiting: u64,
    ) -> rusqlite::Result<Vec<ChangeId>> {
        let few = usize::try_from(waiting).is_ok_and(|n| n <= limits::HELD_IDS.min(self.ids));
        if !few || all.count > LOOKED_THROUGH {
            return Ok(Vec::new());
        }
        let keys = waiting_keys(self.connection, prefix, tier)?;
        let mut ids: Vec<ChangeId> = keys.into_iter().map(|(key, _)| key.change).collect();
        ids.sort_unstable();
        self.ids -= ids.len();
        Ok(ids)
    }
}

/// Marks a part of a range.
fn mark_range(inner: &Inner, mark: Mark) -> Result<Reply, Fault> {
    let (rows, rest) = inner.readers.with(|connection| Ok(to_mark(connection, &mark)?))?;
    if rows.is_empty() {
        return Ok(Reply::Mark { marked: 0, news: News::default(), rest });
    }
    inner.writer.submit(move |batch| {
        let mut marked = 0;
        let mut news = News::default();
        for (row, key) in rows {
            let bits = mark_reached(batch, row, mark.tiers)?;
            if bits != 0 {
                marked += 1;
                news.changes.push((key, bits));
            }
        }
        if news.changes.len() > limits::NEWS_KEYS {
            news.changes.clear();
            news.ranges.push(mark.prefix);
        }
        if let Some(receipt) = mark.receipt.filter(|_| marked > 0) {
            keep_receipt(batch.connection, &receipt)?;
        }
        Ok(Reply::Mark { marked, news, rest })
    })
}

/// Rows with their keys, and the key after which to go on.
type ToMark = (Vec<(i64, SetKey)>, Option<Vec<u8>>);

fn to_mark(connection: &Connection, mark: &Mark) -> rusqlite::Result<ToMark> {
    if waiting_under(connection, &mark.prefix, mark.tiers)? == 0 {
        return Ok((Vec::new(), None));
    }
    let Range { start, end } = Range::of(&mark.prefix);
    let after = if mark.after.is_empty() { start } else { [&mark.after, [0].as_slice()].concat() };
    let mut select = connection.prepare_cached(
        "SELECT key, change.row, coalesce(awaited, 0) FROM change LEFT JOIN outbox \
         ON outbox.row = change.row WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
    )?;
    let mut rows = select.query((after, end, LOOKED_AT))?;
    let mut found = Vec::new();
    let mut looked = 0;
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        looked += 1;
        let bytes = row.get_ref(0)?.as_blob()?;
        bytes.clone_into(&mut last);
        let (number, awaited): (i64, u8) = (row.get(1)?, row.get(2)?);
        if awaited & mark.tiers == 0 || number > mark.through_row {
            continue;
        }
        let key = key_of(bytes)?;
        if mark.except.binary_search(&key.change).is_err() {
            found.push((number, key));
        }
        if found.len() == MARKED_TOGETHER {
            return Ok((found, Some(last)));
        }
    }
    Ok((found, (looked == LOOKED_AT).then_some(last)))
}
