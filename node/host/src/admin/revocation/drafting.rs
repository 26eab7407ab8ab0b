//! What a revocation says: what of the work stands, by whom.
//!
//! | whose work | stands through |
//! |---|---|
//! | of the revoked key | the last change known here, or the number that was given |
//! | of people and devices that a revoked node certified | the last change known here |
//! | of nodes below, and of everybody below these | without end, or the last one known here |
//!
//! The last changes that stand are named by tags, as many as a revocation has room for, shared
//! fairly among the authors; a number whose change is not known here gets the empty tag.

use std::collections::{BTreeMap, BTreeSet};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::revocation::{Revocation, RevocationBody, Standing, Tag};

use super::RevocationRequest;
use crate::admin::AdminError;
use crate::admin::certificate::Desk;

/// Bodies to be signed, one for each certificate of the key.
pub(super) struct Draft {
    pub(super) bodies: Vec<RevocationBody>,
    pub(super) through_seq: u64,
    pub(super) people: Vec<Serial>,
    pub(super) go_on: Vec<Serial>,
    pub(super) revoked_with: Vec<Serial>,
}

/// Those below a certificate.
#[derive(Default)]
struct Below {
    people: Vec<Serial>,
    /// Nodes, and all below them.
    nodes: Vec<Serial>,
}

pub(super) fn draft(
    desk: &Desk<'_>,
    own: &Certificate,
    meant: &Certificate,
    wish: &RevocationRequest,
    reason: &str,
) -> Result<Draft, AdminError> {
    let authority = &*desk.authority;
    check_below(desk, own, meant)?;
    let keys = keys_of(authority, meant);
    let same = authority.certificates().filter(|c| keys.contains(&c.body().subject));
    let open = same.filter(|certificate| {
        issuer_of(authority, own, &certificate.serial()).is_some()
            && !is_dismissed(authority, certificate)
    });
    let open: Vec<&Certificate> = open.collect();
    if open.is_empty() {
        let known = authority.revocation(&meant.serial());
        let why = known.map(|known| known.body().reason.clone()).unwrap_or_default();
        let name = &meant.body().name;
        return Err(AdminError::new(format!(
            "the certificate of {name} was revoked before: {why}"
        ))
        .hint("see it with: cunlian revoke list"));
    }
    let each: BTreeMap<Serial, Below> =
        open.iter().map(|c| (c.serial(), below(authority, &c.serial()))).collect();
    let cut = each.values().flat_map(|below| {
        let nodes = below.nodes.iter().filter(|_| wish.with_children);
        below.people.iter().chain(nodes)
    });
    let mut budget = Budget::new(desk, each.keys().chain(cut), limits::REVOCATION_TAGS)?;
    let mut draft = Draft {
        bodies: Vec::new(),
        through_seq: 0,
        people: Vec::new(),
        go_on: Vec::new(),
        revoked_with: Vec::new(),
    };
    for (serial, Below { people, nodes }) in each {
        let is_meant = serial == meant.serial();
        let known = budget.standing(desk, &serial, wish.through_seq.filter(|_| is_meant))?;
        if is_meant {
            draft.through_seq = known.through_seq;
        }
        let mut descendants = Vec::with_capacity(people.len() + nodes.len());
        for person in &people {
            descendants.push(budget.standing(desk, person, None)?);
        }
        for node in &nodes {
            descendants.push(if wish.with_children {
                budget.standing(desk, node, None)?
            } else {
                Standing::all(*node)
            });
        }
        draft.bodies.push(RevocationBody {
            own: known,
            successor: None,
            descendants,
            reason: reason.to_owned(),
            issuer: issuer_of(authority, own, &serial),
        });
        draft.people.extend(people);
        let others = if wish.with_children { &mut draft.revoked_with } else { &mut draft.go_on };
        others.extend(nodes);
    }
    Ok(draft)
}

/// This node must stand above the one that is meant.
fn check_below(desk: &Desk<'_>, own: &Certificate, meant: &Certificate) -> Result<(), AdminError> {
    let name = &meant.body().name;
    if meant.body().subject == own.body().subject {
        return Err(AdminError::new(format!("{name} is this node, and cannot revoke itself"))
            .hint("its parent can"));
    }
    if issuer_of(&desk.authority, own, &meant.serial()).is_some() {
        return Ok(());
    }
    let by = meant.body().issuer;
    let by = by.map_or_else(|| "the root".to_owned(), |issuer| desk.authority.name(&issuer));
    Err(AdminError::new(format!("{name} was certified neither by this node nor below it"))
        .hint(format!("it can be revoked by who certified it, {by}, and by those above")))
}

/// The keys of the holder: of the certificate that is meant, of those that it took the place of,
/// and of those that took its place. Who stole one may have had it followed by one for a key of
/// his own before anybody noticed.
fn keys_of(authority: &Authority, meant: &Certificate) -> BTreeSet<PublicKey> {
    let key = |serial: &Serial| authority.get(serial).map(|c| c.body().subject);
    let replaced = |revocation: &Revocation| {
        let body = revocation.body();
        Some((key(&body.own.serial)?, key(&body.successor?)?))
    };
    let pairs: Vec<_> = authority.revocations().filter_map(replaced).collect();
    let mut keys = BTreeSet::from([meant.body().subject]);
    loop {
        let before = keys.len();
        for (old, new) in &pairs {
            if keys.contains(old) || keys.contains(new) {
                keys.extend([*old, *new]);
            }
        }
        if keys.len() == before {
            return keys;
        }
    }
}

/// The certificate of this node in the chain of another.
fn issuer_of(authority: &Authority, own: &Certificate, serial: &Serial) -> Option<Serial> {
    let chain = authority.chain(serial);
    let mut above = chain.iter().filter(|certificate| certificate.serial() != *serial);
    above.find(|above| above.body().subject == own.body().subject).map(|above| above.serial())
}

/// Whether a certificate was taken back, and not only replaced.
fn is_dismissed(authority: &Authority, certificate: &Certificate) -> bool {
    let mut known = authority.revocations_of(&certificate.serial()).iter();
    known.any(|revocation| revocation.body().successor.is_none())
}

fn below(authority: &Authority, serial: &Serial) -> Below {
    let mut below = Below::default();
    for certificate in authority.certificates() {
        let chain = authority.chain(&certificate.serial());
        let mut from = chain.iter().skip_while(|above| above.serial() != *serial).skip(1);
        match from.next().map(|first| first.body().kind) {
            Some(AuthorKind::Node) => below.nodes.push(certificate.serial()),
            Some(AuthorKind::Operator | AuthorKind::Device) => {
                below.people.push(certificate.serial());
            }
            None => {}
        }
    }
    below
}

/// How many tags each author gets.
struct Budget {
    /// Rises with the number of an author's changes, up to a fair share.
    share: BTreeMap<Serial, usize>,
}

impl Budget {
    /// Those with few changes get a tag for each, the others share what is left.
    fn new<'a>(
        desk: &Desk<'_>,
        authors: impl Iterator<Item = &'a Serial>,
        tags: usize,
    ) -> Result<Self, AdminError> {
        let authors: BTreeSet<Serial> = authors.copied().collect();
        let mut counts = Vec::with_capacity(authors.len());
        for author in authors {
            let last = desk.store.last_seq(&author)?;
            counts.push((usize::try_from(last).unwrap_or(usize::MAX), author));
        }
        counts.sort_unstable();
        let (mut left, mut share) = (tags, BTreeMap::new());
        for (place, (count, author)) in counts.iter().enumerate() {
            let fair = left / (counts.len() - place);
            let granted = fair.min(*count);
            left -= granted;
            share.insert(*author, granted);
        }
        Ok(Self { share })
    }

    /// What of an author stands: what is known here, or up to a number.
    fn standing(
        &mut self,
        desk: &Desk<'_>,
        author: &Serial,
        through_seq: Option<u64>,
    ) -> Result<Standing, AdminError> {
        let last = match through_seq {
            Some(number) => number,
            None => desk.store.last_seq(author)?,
        };
        let tags = self.share.get(author).copied().unwrap_or(0);
        let known = desk.store.last_changes(author, last, tags)?;
        let tags_back = u64::try_from(tags).unwrap_or(u64::MAX);
        let first = known.first().map_or(last, |(seq, _)| *seq);
        let first = first.max(last.saturating_sub(tags_back.saturating_sub(1)));
        let by_number: BTreeMap<u64, Tag> =
            known.into_iter().filter_map(|(seq, id)| Some((seq, *id.0.first_chunk()?))).collect();
        let numbers = (first.max(1)..=last).filter(|_| !by_number.is_empty());
        let tags = numbers.map(|seq| by_number.get(&seq).copied().unwrap_or_default());
        Ok(Standing { serial: *author, through_seq: last, tags: tags.collect() })
    }
}
