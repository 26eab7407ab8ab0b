//! Names that people know: of kinds of data, rights, places, and of what is wrong with a
//! certificate.
//!
//! What it is not: it decides nothing. [`cunlian_host::admin`] says what is so, in values; here they are
//! put into the reader's language.

use cunlian_crdt::store::Store;
use cunlian_governance::capabilities::Kinds;
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_host::admin::certificate::card::Obstacle;
use cunlian_host::admin::certificate::grant::{GrantWords, Lack};
use cunlian_host::admin::certificate::{Desk, Named};
use cunlian_host::admin::naming::part_name;
use cunlian_host::regions::own_region;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{AuthorKind, Certificate};
use cunlian_protocol::id::Serial;

use crate::frame::clock::full;
use crate::frame::place::name_of;
use crate::frame::text::{Text, domain_language};

/// Names on the way to an address that tell it apart from its neighbours.
const NAMES: usize = 3;

/// A place as people call it, with its digits behind.
pub(super) fn place(store: &Store, l: Text, code: &AddressCode) -> String {
    if code.as_str().is_empty() {
        return l.t("place-country");
    }
    let asked = *code;
    let name = store.read(|connection| Ok(name_of(connection, &asked, NAMES)));
    match name {
        // Without the register the name is the code already.
        Ok(name) if name != code.plate_text() => format!("{name} {code}"),
        Ok(_) | Err(_) => code.to_string(),
    }
}

/// What the holder of a certificate is and where: `人员 · 高青县 高城镇 370322102`.
pub(super) fn holder(store: &Store, l: Text, certificate: &Certificate) -> String {
    let kind = match certificate.body().kind {
        AuthorKind::Node => "node",
        AuthorKind::Operator => "operator",
        AuthorKind::Device => "device",
    };
    format!("{} · {}", l.of("author", kind), place(store, l, &own_region(certificate)))
}

/// The kind of data that has `name` at the command line ([`cunlian_host::admin::naming`]).
pub(super) fn category(l: Text, catalogue: &Catalogue, name: &str) -> String {
    if let Some((class, part)) = name.strip_prefix("library/").and_then(|n| n.split_once('/')) {
        let language = domain_language(l);
        let class = match catalogue.class(class) {
            Some(class) => class.name(language).to_owned(),
            None if class == "*" => l.t("category-every-class"),
            None => class.to_owned(),
        };
        let known = Part::ALL.into_iter().find(|known| part_name(*known) == part);
        let part =
            known.map_or_else(|| l.t("category-every-part"), |p| p.name(language).to_owned());
        return l.t2("category-part", ("class", class), ("part", part));
    }
    let kinds = Kinds::built_in();
    if let Some(kind) = kinds.named(name) {
        return kind.text(domain_language(l)).to_owned();
    }
    if let Ok(number) = u16::from_str_radix(name, 16) {
        return kinds.text(Category(number), domain_language(l));
    }
    let key = format!("category-{name}");
    if l.has(&key) { l.of("category", name) } else { l.t1("category-number", "number", name) }
}

/// Several kinds of data.
pub(super) fn categories(l: Text, catalogue: &Catalogue, names: &[String]) -> String {
    let words = names.iter().map(|name| category(l, catalogue, name));
    words.collect::<Vec<_>>().join(&l.t("and"))
}

/// Several rights.
pub(super) fn rights(l: Text, names: &[String]) -> String {
    if names.is_empty() {
        return l.t("right-none");
    }
    names.iter().map(|name| l.of("right", name)).collect::<Vec<_>>().join(&l.t("and"))
}

/// Names of nodes and people.
pub(super) fn names(l: Text, named: &[Named]) -> String {
    named.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(&l.t("and"))
}

/// Why a certificate cannot be used; `None` while it can.
pub(super) fn refusal(desk: &Desk<'_>, l: Text, serial: &Serial) -> Option<String> {
    let Some(certificate) = desk.authority.get(serial) else {
        return Some(l.t("obstacle-unknown"));
    };
    // The weightiest comes first; a list has room for one.
    desk.obstacles(certificate, desk.now_ms).first().map(|found| obstacle(l, found))
}

/// One reason why a certificate cannot be used, as a sentence.
pub(super) fn obstacle(l: Text, obstacle: &Obstacle) -> String {
    let who = |by: &Option<Named>| {
        by.as_ref().map_or_else(|| l.t("revocation-root"), |by| by.name.clone())
    };
    match obstacle {
        Obstacle::Expired { not_after_ms } => l.t1("obstacle-expired", "time", full(*not_after_ms)),
        Obstacle::Superseded { .. } => l.t("obstacle-superseded"),
        Obstacle::Revoked { by, reason, .. } => {
            l.t2("obstacle-revoked", ("by", who(by)), ("reason", reason))
        }
        Obstacle::AboveRevoked { above, by, reason, .. } => l.with(
            "obstacle-above-revoked",
            &[("above", &above.name), ("by", &who(by)), ("reason", reason)],
        ),
        Obstacle::RootReplaced { .. } => l.t("obstacle-root-replaced"),
        Obstacle::NotANode { .. } => l.t("obstacle-not-a-node"),
    }
}

/// What a grant gives: where, to do what, with which data.
pub(super) fn grant(store: &Store, l: Text, catalogue: &Catalogue, grant: &GrantWords) -> String {
    use cunlian_protocol::region::Depth;
    let place = place(store, l, &grant.address);
    let place = match (grant.document, grant.depth) {
        (Some(_), _) => l.t1("grant-document", "place", place),
        (None, Depth::Exact) => l.t1("grant-exact", "place", place),
        (None, Depth::Subtree) => l.t1("grant-subtree", "place", place),
    };
    let rights = rights(l, &grant.rights);
    let categories = categories(l, catalogue, &grant.categories);
    l.with("grant-words", &[("place", &place), ("rights", &rights), ("categories", &categories)])
}

/// What a grant lacks, as a sentence.
pub(super) fn lack(store: &Store, l: Text, catalogue: &Catalogue, lack: &Lack) -> String {
    let place = |code: &AddressCode| place(store, l, code);
    let two = |key: &str, address: &AddressCode, region: &AddressCode| {
        l.t2(key, ("address", place(address)), ("region", place(region)))
    };
    match lack {
        Lack::Elsewhere { region, address, .. } => two("lack-elsewhere", address, region),
        Lack::Above { region, address } => two("lack-above", address, region),
        Lack::ExactOnly { region, address } => two("lack-exact", address, region),
        Lack::Categories { names } => {
            l.t1("lack-categories", "names", categories(l, catalogue, names))
        }
        Lack::Rights { names } => l.t1("lack-rights", "names", rights(l, names)),
        Lack::Delegable { names } if names.is_empty() => l.t("lack-delegable-any"),
        Lack::Delegable { names } => l.t1("lack-delegable", "names", rights(l, names)),
        Lack::OtherDocument { .. } => l.t("lack-document"),
    }
}
