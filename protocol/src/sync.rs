//! What a session asks of the store, and what the store answers.
//!
//! The session ([`crate::session`]) is pure, so it reads and writes the set through these
//! requests. The store in `cunlian-crdt` carries them out; a simulator may carry them out too.
//! Rows number the changes of one store in the order they were made durable, from 1.

use crate::blob::{BlobReply, BlobRequest};
use crate::category::URGENCY;
use crate::certificate::Tier;
use crate::durability::{News, Reply, Request};
use crate::id::{ChangeId, LineageToken, PublicKey, Serial};
use crate::key::{KeyPrefix, SetKey};
use crate::scope::Scope;
use crate::sketch::ShortKey;
use crate::summary::Summary;

/// Which changes to read, in key order unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All under a prefix, after a key (its bytes) when the read goes on.
    Prefix {
        /// Where.
        prefix: KeyPrefix,
        /// Last key read before; empty at the start.
        after: Vec<u8>,
    },
    /// Those with these ids under a prefix; ids that are not there are passed over.
    Ids {
        /// Where.
        prefix: KeyPrefix,
        /// Which, ascending.
        ids: Vec<ChangeId>,
    },
    /// Those with these short ids under a prefix; short ids of nothing are passed over.
    Shorts {
        /// Where.
        prefix: KeyPrefix,
        /// How ids are cut short.
        key: ShortKey,
        /// Which, ascending.
        shorts: Vec<u64>,
    },
    /// Those in `scope` with a row greater than `after`, in row order, without those that came
    /// from `except`.
    Rows {
        /// Row to start after.
        after: i64,
        /// What the receiver may see.
        scope: Scope,
        /// Where changes need not be sent back to.
        except: Serial,
    },
    /// As [`Selection::Rows`], but what is urgent first: each class of categories
    /// ([`crate::category::URGENCY`]) has a row of its own to start after. A read ends with the
    /// first class that gave something, unless it is the last one.
    Push {
        /// Rows to start after, by class.
        after: [i64; URGENCY.len()],
        /// So many classes are read, from the first one.
        classes: usize,
        /// What the receiver may see.
        scope: Scope,
        /// Where changes need not be sent back to.
        except: Serial,
    },
}

/// One change as it travels between stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The exact bytes of the signed change.
    pub bytes: Vec<u8>,
    /// Tiers (bits, see [`Tier::bit`]) above this node that are known to hold it durably.
    pub reached: u8,
}

/// One change read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its row in this store.
    pub row: i64,
    /// Its key.
    pub key: SetKey,
    /// Its author.
    pub author: Serial,
    /// What travels.
    pub carried: Carried,
}

/// What happened to one change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// New here and now durable.
    Accepted,
    /// Was here already, and durable.
    Known,
    /// Not kept, or kept in quarantine; the reason is for people.
    Refused {
        /// Why.
        reason: String,
    },
    /// Not kept, and nothing is wrong with it: it may come again later, for the peer has sent as
    /// much as it may for now.
    Postponed {
        /// Why, and what can be done.
        reason: String,
    },
}

/// How the certificate of a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certified {
    /// Valid, and not replaced.
    Current,
    /// Its time is over.
    Ended,
    /// Replaced by another one.
    Replaced,
}

/// Whether a child may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As ever.
    Open,
    /// For handing up what waits and a new certificate only.
    Renew,
    /// Two machines use this identity, or an old state came back.
    Forked,
}

/// What a session asks of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreRequest {
    /// Summaries of the widest prefixes of a scope that are not empty.
    Overview {
        /// The scope.
        scope: Scope,
    },
    /// Disjoint non-empty prefixes that cover everything under these (disjoint, ascending ones),
    /// the largest split first until there are about `nodes`.
    Frontier {
        /// Where.
        prefixes: Vec<KeyPrefix>,
        /// About how many are wanted.
        nodes: usize,
    },
    /// The own side of a frontier of the peer.
    Against {
        /// Disjoint ascending prefixes within which the peer's frontier covers all that it has.
        within: Vec<KeyPrefix>,
        /// The prefixes of its frontier.
        theirs: Vec<KeyPrefix>,
    },
    /// Short ids under a prefix, in key order; of more than [`crate::limits::SKETCH_ITEMS`] one
    /// more than that.
    Shorts {
        /// Where.
        prefix: KeyPrefix,
        /// How ids are cut short.
        key: ShortKey,
    },
    /// Changes, as many as fit the limits of a batch.
    Read {
        /// Which.
        selection: Selection,
        /// Most bytes of changes, unless a single one has more.
        bytes: usize,
    },
    /// Checks a batch and makes it durable.
    Ingest {
        /// Peer it came from.
        from: Serial,
        /// What this peer may send: changes whose key is outside are refused, not stored.
        scope: Scope,
        /// Changes in order; bytes are untrusted.
        changes: Vec<Carried>,
        /// Tier bit of the sender and those above it when the sender is above this node, else 0.
        sender_tiers: u8,
        /// The time, milliseconds since 1970-01-01 UTC: what a peer may send is counted by day.
        at_ms: i64,
    },
    /// Adds certificates, issuers first; bytes are untrusted.
    Certificates {
        /// Exact bytes.
        certificates: Vec<Vec<u8>>,
    },
    /// Adds successions of the root; bytes are untrusted.
    Successions {
        /// Exact bytes.
        successions: Vec<Vec<u8>>,
    },
    /// A child presents its lineage token: whether it may come in, and the token for next time.
    Admit {
        /// Key of the child.
        subject: PublicKey,
        /// What it presents.
        lineage: LineageToken,
        /// Whether this node gave it that, at whatever time.
        given: bool,
        /// What it will be given, made up by this node.
        fresh: LineageToken,
        /// Whether it says itself that it came back from a copy.
        renewing: bool,
        /// How its certificate stands.
        certified: Certified,
        /// Whether another machine with this key is in session at this moment.
        elsewhere: bool,
    },
    /// One further below presents its lineage token: whether it is the machine that came before.
    AdmitBelow {
        /// Its certificate.
        serial: Serial,
        /// What it presents.
        lineage: LineageToken,
        /// Whether this node gave it that, at whatever time.
        given: bool,
        /// What it will be given, made up by this node.
        fresh: LineageToken,
    },
    /// Adds revocations; bytes are untrusted.
    Revocations {
        /// Exact bytes.
        revocations: Vec<Vec<u8>>,
    },
    /// Which changes still wait to be held by some tier above, at most
    /// [`crate::limits::HELD_KEYS`], oldest first, after a row.
    Waiting {
        /// Row to start after.
        after: i64,
    },
    /// Which tiers hold what.
    Durability(Request),
    /// Notes that tiers hold changes durably.
    MarkReached {
        /// Changes and the tiers (bits) that hold them.
        reached: Vec<(SetKey, u8)>,
        /// The signed receipt, when one came.
        receipt: Option<Vec<u8>>,
    },
    /// Notes that a peer refused changes.
    MarkRefused {
        /// The peer.
        by: Serial,
        /// Changes and why.
        refused: Vec<(SetKey, String)>,
    },
    /// Notes that a tier above takes nothing of a class, and of those that are less urgent, for
    /// now, or that it takes something of it again.
    MarkPostponed {
        /// Tier bit of the peer.
        tier: u8,
        /// Position in [`crate::category::URGENCY`].
        class: u8,
        /// Why not; `None` when it does.
        reason: Option<String>,
    },
    /// About blobs.
    Blob(BlobRequest),
}

/// What the store answers; each variant to the request of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreReply {
    /// Non-empty widest prefixes, ascending, and the last row of the store.
    Overview {
        /// Prefixes with their summaries.
        tops: Vec<(KeyPrefix, Summary)>,
        /// Every later change has a greater row.
        last_row: i64,
    },
    /// A frontier, ascending.
    Frontier(Vec<(KeyPrefix, Summary)>),
    /// The own side of a frontier.
    Against {
        /// What is here under each of the peer's prefixes, in their order.
        mine: Vec<Summary>,
        /// Non-empty prefixes that none of the peer's covers or lies under, ascending.
        alone: Vec<(KeyPrefix, Summary)>,
    },
    /// Short ids with the ids they stand for.
    Shorts(Vec<(u64, ChangeId)>),
    /// Changes read.
    Read {
        /// In order of the selection.
        changes: Vec<Stored>,
        /// Where to go on; `None` at the end.
        rest: Option<Selection>,
        /// For [`Selection::Rows`] the row up to which everything was looked at; for
        /// [`Selection::Push`], when nothing is left, the last row of all classes that were read.
        through_row: i64,
    },
    /// What became of each change of the batch, in its order.
    Ingested {
        /// Id (of the bytes as they came) and fate.
        fates: Vec<(ChangeId, Fate)>,
        /// Whether one of them was made at this node, which did not know it: it was set back to an
        /// older state, or another machine uses its identity.
        set_back: bool,
    },
    /// Certificates were looked at; those refused with the reason.
    Certificates {
        /// Why some were not added.
        refused: Vec<String>,
    },
    /// Successions were looked at; those refused with the reason.
    Successions {
        /// Why some were not added.
        refused: Vec<String>,
    },
    /// What to do with the child, or with the one further below.
    Admit(Verdict),
    /// Revocations were looked at; those refused with the reason.
    Revocations {
        /// Why some were not added.
        refused: Vec<String>,
    },
    /// Waiting changes.
    Waiting {
        /// Key and the tiers (bits) that are not known to hold it.
        waiting: Vec<(SetKey, u8)>,
        /// Row to go on after; `None` at the end.
        rest: Option<i64>,
    },
    /// Which tiers hold what.
    Durability(Reply),
    /// Marked; those which were news.
    MarkReached {
        /// Changes and the tiers that were not known before to hold them.
        news: Vec<(SetKey, u8)>,
    },
    /// About blobs.
    Blob(BlobReply),
    /// Noted.
    MarkRefused,
    /// Noted.
    MarkPostponed,
}

impl StoreReply {
    /// What it tells of which tiers hold what. Of what came and was here already a peer above may
    /// have said that it is held above.
    pub fn news(&self) -> News {
        if let Self::MarkReached { news } = self {
            return News { changes: news.clone(), ..News::default() };
        }
        if let Self::Durability(Reply::Mark { news, .. }) = self {
            return news.clone();
        }
        if let Self::Ingested { fates, .. } = self {
            let more = fates.iter().any(|(_, fate)| *fate == Fate::Known);
            return News { more, ..News::default() };
        }
        News::default()
    }
}

/// Tiers as a set of bits, for display.
pub fn tiers(bits: u8) -> impl Iterator<Item = Tier> {
    Tier::ALL.into_iter().filter(move |tier| bits & tier.bit() != 0)
}
