//! A conflict as pages show it: the field by name, every value and who wrote it.

use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::capabilities::Capabilities;
use cunlian_governance::capability::Subject;
use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_governance::query::conflict::Conflict;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;

use crate::frame::clock::full;
use crate::frame::component::{ConflictBox, ConflictValue};
use crate::frame::failure::Failure;
use crate::frame::place::name_of;
use crate::frame::text::{Text, domain_language};
use crate::library::record::{record_href, source_name};

/// Conflicts that may be read as boxes; `actor` may settle those they may write.
pub(crate) fn boxes(
    store: &Store,
    actor: &Serial,
    conflicts: Vec<Conflict>,
    texts: Text,
    token: &str,
    back: &str,
) -> Result<Vec<ConflictBox>, Failure> {
    let actor = Actor::new(store.authority(), *actor);
    let mut boxes = Vec::new();
    for conflict in conflicts {
        let home = conflict.home;
        let catalogue = store.read(|connection| catalogue::at(connection, home.address))?;
        let subject = Capabilities::of_program().subject(store, &home)?;
        let (href, name) = match subject {
            Some(Subject { home: base, .. }) if !actor.reads(&base) => {
                ("/conflicts".to_owned(), base.document.to_string())
            }
            Some(Subject { home: base, title }) if base.category.class_and_part().is_some() => {
                (record_href(&base), title)
            }
            Some(Subject { title, .. }) if !title.is_empty() => ("/conflicts".to_owned(), title),
            Some(_) | None => ("/conflicts".to_owned(), home.document.to_string()),
        };
        let place = store.read(|connection| Ok(name_of(connection, &home.address, 2)))?;
        let value = |option: cunlian_governance::projection::ConflictOption| ConflictValue {
            text: option.text,
            source: texts.with(
                "written-by",
                &[
                    ("name", &option.author),
                    ("time", &full(option.at_ms)),
                    ("source", &source_name(texts, &option.source)),
                ],
            ),
        };
        boxes.push(ConflictBox {
            texts,
            token: token.to_owned(),
            action: format!("/conflicts/{}/{}/{}", home.category, home.address, home.document),
            back: back.to_owned(),
            href,
            record: format!("{name} · {place}"),
            label: label_of(&catalogue, &home, &conflict.field, texts),
            before: store.common_ancestor(&home, &conflict.field)?.unwrap_or_default(),
            field: conflict.field,
            values: conflict.options.into_iter().map(value).collect(),
            may_resolve: actor.writes(&home),
        });
    }
    Ok(boxes)
}

/// The name of a field in the catalogue, or its key.
pub(crate) fn label_of(catalogue: &Catalogue, home: &Home, field: &str, texts: Text) -> String {
    let class = home.category.class_and_part().and_then(|(class, _)| catalogue.by_number(class));
    class
        .and_then(|class| class.field(field))
        .map_or_else(|| field.to_owned(), |field| field.name(domain_language(texts)).to_owned())
}
