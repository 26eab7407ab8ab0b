//! One record: where its page stands, its documents as far as somebody may see them, and the words
//! for its parts and sources.

use axum::extract::Path;
use cunlian_crdt::document::DocumentView;
use cunlian_crdt::store::Store;
use cunlian_governance::access::actor::Actor;
use cunlian_governance::library::catalogue::{self, Catalogue, Class, Part};
use cunlian_governance::library::edit::EditError;
use cunlian_governance::library::{Fields, Place, relocation};
use cunlian_governance::refusal::Failed;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::Serial;

use crate::frame::failure::Failure;
use crate::frame::reading::ask;
use crate::frame::text::{Text, domain_language};
use crate::state::WebState;

/// Where values typed at a terminal come from.
pub(super) const SOURCE: &str = "terminal";

/// Category, address and document in the path of a record's page.
pub(super) type RecordPath = Path<(String, String, String)>;

/// The path of a record's page.
pub(crate) fn record_href(home: &Home) -> String {
    format!("/records/{}/{}/{}", home.category, home.address, home.document)
}

/// Where a value came from, in words.
pub(crate) fn source_name(texts: Text, source: &str) -> String {
    let key = format!("source-{source}");
    if texts.has(&key) { texts.of("source", source) } else { source.to_owned() }
}

/// The names of parts, as people list them.
pub(crate) fn part_names(texts: Text, parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.name(domain_language(texts))).collect();
    names.join(texts.t("and").as_str())
}

/// The catalogue that holds at this node.
pub(super) async fn catalogue(state: &WebState) -> Result<Catalogue, Failure> {
    let own = state.place().0;
    ask(state, move |store| store.read(|connection| catalogue::at(connection, own))).await
}

/// A record's documents, as far as `reader` may see them.
pub(super) struct Loaded {
    pub(super) class: Class,
    pub(super) place: Place,
    pub(super) views: Vec<(Part, DocumentView)>,
    /// The parts of the class this reader has no right to.
    pub(super) hidden: Vec<Part>,
}

/// Class and place of the base record in a path.
pub(super) fn base_of(
    store: &Store,
    category: &str,
    address: &str,
    document: &str,
) -> Result<(Class, Place), Failure> {
    let category = u16::from_str_radix(category, 16).map_err(|_| Failure::NotFound)?;
    let (class, part) = Category(category).class_and_part().ok_or(Failure::NotFound)?;
    if part != Part::Base.number() {
        return Err(Failure::NotFound);
    }
    let address = AddressCode::parse(address).map_err(|_| Failure::NotFound)?;
    let record = document.parse().map_err(|_| Failure::NotFound)?;
    let catalogue = store.read(|connection| catalogue::at(connection, address))?;
    let class = catalogue.by_number(class).ok_or(Failure::NotFound)?.clone();
    Ok((class, Place { address, record }))
}

pub(super) fn load(
    store: &Store,
    reader: &Serial,
    class: Class,
    place: Place,
) -> Result<Loaded, Failure> {
    let actor = Actor::new(store.authority(), *reader);
    let (mut views, mut hidden) = (Vec::new(), Vec::new());
    for part in class.parts() {
        let home = class.home(part, place.address, place.record);
        if !actor.reads(&home) {
            hidden.push(part);
            continue;
        }
        if let Some(view) = store.view(&home)? {
            views.push((part, view));
        }
    }
    if !views.iter().any(|(part, _)| *part == Part::Base) {
        return Err(Failure::NotFound);
    }
    Ok(Loaded { class, place, views, hidden })
}

impl Loaded {
    pub(super) fn fields(&self) -> Fields {
        let all = self.views.iter().flat_map(|(_, view)| &view.fields);
        all.map(|(key, field)| (key.clone(), field.current.text.clone())).collect()
    }

    pub(super) fn home(&self) -> Home {
        self.class.home(Part::Base, self.place.address, self.place.record)
    }

    /// The name: of a child the whole one, where the reader may see it.
    pub(super) fn name(&self, texts: Text) -> String {
        let mut fields = self.fields();
        let named = self.class.fields.iter();
        let mut behind = named.filter(|field| field.stands_in.as_deref() == Some("name"));
        let whole = behind.find_map(|field| fields.get(&field.key)).cloned();
        let unnamed = || texts.t(if self.is_erased() { "record-erased" } else { "record-unnamed" });
        whole.or_else(|| fields.remove("name")).unwrap_or_else(unnamed)
    }

    pub(super) fn base(&self) -> Option<&DocumentView> {
        self.views.iter().find(|(part, _)| *part == Part::Base).map(|(_, view)| view)
    }

    /// Whether nothing is left of it but that it was erased.
    pub(super) fn is_erased(&self) -> bool {
        self.base().is_some_and(|base| base.erased.is_some())
    }

    /// Where the record is now; `None` while it is here.
    pub(super) fn moved_to(&self) -> Option<Place> {
        self.base().and_then(relocation::moved_to)
    }

    /// Refuses to change what has moved away or was erased.
    pub(super) fn still_here(&self) -> Result<(), Failure> {
        let refused = |error: EditError| Err(Failed::Refused(error).into());
        if self.is_erased() {
            return refused(EditError::Erased);
        }
        match self.moved_to() {
            Some(place) => refused(EditError::Moved { to: place.address }),
            None => Ok(()),
        }
    }
}
