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
pub(super) fn place(store: &Store, texts: Text, code: &AddressCode) -> String {
    if code.as_str().is_empty() {
        return texts.t("place-country");
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
pub(super) fn holder(store: &Store, texts: Text, certificate: &Certificate) -> String {
    let kind = match certificate.body().kind {
        AuthorKind::Node => "node",
        AuthorKind::Operator => "operator",
        AuthorKind::Device => "device",
    };
    format!("{} · {}", texts.of("author", kind), place(store, texts, &own_region(certificate)))
}

/// The kind of data that has `name` at the command line ([`cunlian_host::admin::naming`]).
pub(super) fn category(texts: Text, catalogue: &Catalogue, name: &str) -> String {
    if let Some((class, part)) = name.strip_prefix("library/").and_then(|n| n.split_once('/')) {
        let language = domain_language(texts);
        let class = match catalogue.class(class) {
            Some(class) => class.name(language).to_owned(),
            None if class == "*" => texts.t("category-every-class"),
            None => class.to_owned(),
        };
        let known = Part::ALL.into_iter().find(|known| part_name(*known) == part);
        let part =
            known.map_or_else(|| texts.t("category-every-part"), |p| p.name(language).to_owned());
        return texts.t2("category-part", ("class", class), ("part", part));
    }
    let kinds = Kinds::built_in();
    if let Some(kind) = kinds.named(name) {
        return kind.text(domain_language(texts)).to_owned();
    }
    if let Ok(number) = u16::from_str_radix(name, 16) {
        return kinds.text(Category(number), domain_language(texts));
    }
    let key = format!("category-{name}");
    if texts.has(&key) {
        texts.of("category", name)
    } else {
        texts.t1("category-number", "number", name)
    }
}

/// Several kinds of data.
pub(super) fn categories(texts: Text, catalogue: &Catalogue, names: &[String]) -> String {
    let words = names.iter().map(|name| category(texts, catalogue, name));
    words.collect::<Vec<_>>().join(&texts.t("and"))
}

/// Several rights.
pub(super) fn rights(texts: Text, names: &[String]) -> String {
    if names.is_empty() {
        return texts.t("right-none");
    }
    names.iter().map(|name| texts.of("right", name)).collect::<Vec<_>>().join(&texts.t("and"))
}

/// Names of nodes and people.
pub(super) fn names(texts: Text, named: &[Named]) -> String {
    named.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(&texts.t("and"))
}

/// Why a certificate cannot be used; `None` while it can.
pub(super) fn refusal(desk: &Desk<'_>, texts: Text, serial: &Serial) -> Option<String> {
    let Some(certificate) = desk.authority.get(serial) else {
        return Some(texts.t("obstacle-unknown"));
    };
    // The weightiest comes first; a list has room for one.
    desk.obstacles(certificate, desk.now_ms).first().map(|found| obstacle(texts, found))
}

/// One reason why a certificate cannot be used, as a sentence.
pub(super) fn obstacle(texts: Text, obstacle: &Obstacle) -> String {
    let who = |by: &Option<Named>| {
        by.as_ref().map_or_else(|| texts.t("revocation-root"), |by| by.name.clone())
    };
    match obstacle {
        Obstacle::Expired { not_after_ms } => {
            texts.t1("obstacle-expired", "time", full(*not_after_ms))
        }
        Obstacle::Superseded { .. } => texts.t("obstacle-superseded"),
        Obstacle::Revoked { by, reason, .. } => {
            texts.t2("obstacle-revoked", ("by", who(by)), ("reason", reason))
        }
        Obstacle::AboveRevoked { above, by, reason, .. } => texts.with(
            "obstacle-above-revoked",
            &[("above", &above.name), ("by", &who(by)), ("reason", reason)],
        ),
        Obstacle::RootReplaced { .. } => texts.t("obstacle-root-replaced"),
        Obstacle::NotANode { .. } => texts.t("obstacle-not-a-node"),
    }
}

/// What a grant gives: where, to do what, with which data.
pub(super) fn grant(
    store: &Store,
    texts: Text,
    catalogue: &Catalogue,
    grant: &GrantWords,
) -> String {
    use cunlian_protocol::region::Depth;
    let place = place(store, texts, &grant.address);
    let place = match (grant.document, grant.depth) {
        (Some(_), _) => texts.t1("grant-document", "place", place),
        (None, Depth::Exact) => texts.t1("grant-exact", "place", place),
        (None, Depth::Subtree) => texts.t1("grant-subtree", "place", place),
    };
    let rights = rights(texts, &grant.rights);
    let categories = categories(texts, catalogue, &grant.categories);
    texts
        .with("grant-words", &[("place", &place), ("rights", &rights), ("categories", &categories)])
}

/// What a grant lacks, as a sentence.
pub(super) fn lack(store: &Store, texts: Text, catalogue: &Catalogue, lack: &Lack) -> String {
    let place = |code: &AddressCode| place(store, texts, code);
    let two = |key: &str, address: &AddressCode, region: &AddressCode| {
        texts.t2(key, ("address", place(address)), ("region", place(region)))
    };
    match lack {
        Lack::Elsewhere { region, address, .. } => two("lack-elsewhere", address, region),
        Lack::Above { region, address } => two("lack-above", address, region),
        Lack::ExactOnly { region, address } => two("lack-exact", address, region),
        Lack::Categories { names } => {
            texts.t1("lack-categories", "names", categories(texts, catalogue, names))
        }
        Lack::Rights { names } => texts.t1("lack-rights", "names", rights(texts, names)),
        Lack::Delegable { names } if names.is_empty() => texts.t("lack-delegable-any"),
        Lack::Delegable { names } => texts.t1("lack-delegable", "names", rights(texts, names)),
        Lack::OtherDocument { .. } => texts.t("lack-document"),
    }
}
