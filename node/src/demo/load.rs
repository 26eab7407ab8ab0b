//! The data the demo begins with: written into the stores before the nodes start.
//!
//! Library records are signed by the node that keeps them: the terminal of a village, or the town
//! for villages without one. Tickets are signed step by step by who takes them, and carried
//! between the stores of village and town after each step, as synchronisation would.

use std::collections::BTreeMap;

use cunlian_crdt::document::{Author, Write};
use cunlian_crdt::store::Store;
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions;
use cunlian_governance::generator::{Generator, Role, SampleTicket};
use cunlian_governance::library::catalogue::Catalogue;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::{node_author, open_store};
use cunlian_host::operator::Operators;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::id::Serial;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::limits;
use cunlian_protocol::region::{Depth, Region};
use cunlian_protocol::scope::Scope;
use cunlian_protocol::sync::{Carried, Selection, StoreReply, StoreRequest};
use rand::Rng as _;

use super::fleet::PASSWORD;
use super::layout::{DIVISIONS, Layout, Node};
use crate::failure::Failure;

/// Writes given to a store at a time: large enough to share a transaction, small in memory.
const WRITES_AT_ONCE: usize = 1_000;
/// Operators who take steps in the generated tickets.
const ACTING: [&str; 3] = ["dispatcher", "liaison", "secretary"];
/// Tickets of a village.
const TICKETS: usize = 6;
/// Library records signed up to a month ago, so that not all is of today.
const MONTH_MS: i64 = 30 * 86_400_000;

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaded {
    /// Library documents of 高城镇: as many as were asked for.
    pub records: u64,
    /// Library documents of its neighbour's terminals, on top.
    pub neighbour_records: u64,
    /// Tickets.
    pub tickets: u64,
    /// Changes, all that was written.
    pub changes: u64,
}

struct Desk {
    store: Store,
    node: Author,
    staff: BTreeMap<String, Author>,
}

/// Loads `records` library documents over the villages of the town, and as many per village for
/// the terminals of its neighbour, directories, the catalogue, and tickets. `progress` gets the
/// library documents written so far.
pub fn load(
    layout: &Layout,
    records: usize,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<Loaded, Failure> {
    let generator = Generator::new(seed);
    let desks: Vec<Desk> = layout.nodes.iter().map(open).collect::<Result<_, _>>()?;
    let mut loaded = Loaded::default();
    let now = now_ms();
    for (node, desk) in layout.nodes.iter().zip(&desks) {
        if node.tier == Tier::County {
            loaded.changes += publish_divisions(desk, now - MONTH_MS)?;
            let writes = Catalogue::built_in().writes(node.region, "demo");
            loaded.changes += write(desk, &desk.node, writes, now - MONTH_MS)?;
        }
    }
    for (village, count) in shares(layout, records) {
        let desk = desk_of(layout, &desks, &village)?;
        loaded.changes += write(desk, &desk.node, generator.directory(village), now - MONTH_MS)?;
        let mut batch: Vec<Write> = Vec::with_capacity(WRITES_AT_ONCE);
        let mut written = 0;
        for group in generator.records(village, count) {
            batch.extend(group);
            if batch.len() >= WRITES_AT_ONCE {
                written += write(desk, &desk.node, std::mem::take(&mut batch), now - MONTH_MS)?;
                progress(loaded.records + loaded.neighbour_records + written);
            }
        }
        written += write(desk, &desk.node, batch, now - MONTH_MS)?;
        if layout.town().region.contains(&village) {
            loaded.records += written;
        } else {
            loaded.neighbour_records += written;
        }
        progress(loaded.records + loaded.neighbour_records);
        let tickets = generator.tickets(village, TICKETS, now);
        loaded.tickets += tickets.len() as u64;
        loaded.changes += play(layout, &desks, &village, &tickets)?;
    }
    loaded.changes += loaded.records + loaded.neighbour_records;
    Ok(loaded)
}

/// How many library documents each village gets.
fn shares(layout: &Layout, records: usize) -> Vec<(AddressCode, usize)> {
    let town: Vec<AddressCode> = layout.villages_of(layout.town()).collect();
    let each = records / town.len().max(1);
    let more = records % town.len().max(1);
    let of_town =
        town.iter().enumerate().map(|(at, village)| (*village, each + usize::from(at < more)));
    let others = layout
        .nodes
        .iter()
        .filter(|node| node.tier == Tier::Village && !layout.town().region.contains(&node.region))
        .map(|node| (node.region, each));
    of_town.chain(others).collect()
}

fn open(node: &Node) -> Result<Desk, Failure> {
    let (store, identity) = open_store(&node.dir)?;
    let operators = Operators::new(&node.dir);
    let mut staff = BTreeMap::new();
    // Opening a key takes a tenth of a second on purpose; only those who act are opened.
    let acting = operators.names()?.into_iter().filter(|name| ACTING.contains(&name.as_str()));
    for name in acting {
        let unlocked = operators.unlock(&name, PASSWORD, rand::rng().next_u64())?;
        staff.insert(name, unlocked.author);
    }
    Ok(Desk { store, node: node_author(&identity), staff })
}

/// The county publishes the register; returns what changes it wrote.
fn publish_divisions(desk: &Desk, at_ms: i64) -> Result<u64, Failure> {
    let Desk { store, node: author, .. } = desk;
    let before = store.counts()?.total.changes;
    let reader = Reader::everything();
    let acting = Acting { store, author, reader: &reader, source: "demo", now_ms: at_ms };
    divisions::import(&acting, DIVISIONS.as_bytes(), |_| {})
        .map_err(|error| Failure::new(&error))?;
    Ok(store.counts()?.total.changes - before)
}

fn write(desk: &Desk, author: &Author, writes: Vec<Write>, at_ms: i64) -> Result<u64, Failure> {
    let count = writes.len() as u64;
    if count > 0 {
        desk.store.write(author, writes, at_ms)?;
    }
    Ok(count)
}

fn desk_of<'a>(
    layout: &Layout,
    desks: &'a [Desk],
    village: &AddressCode,
) -> Result<&'a Desk, Failure> {
    let keeper = layout.keeper(village).and_then(|node| desks.get(node.index));
    keeper.ok_or_else(|| Failure::new(format!("no node keeps {village}")))
}

/// Plays the histories of a village's tickets, step by step, at the desks of who takes them.
fn play(
    layout: &Layout,
    desks: &[Desk],
    village: &AddressCode,
    tickets: &[SampleTicket],
) -> Result<u64, Failure> {
    let terminal = desk_of(layout, desks, village)?;
    let town = layout.nodes.iter().find(|n| n.tier == Tier::Town && n.region.contains(village));
    let town = town.and_then(|node| desks.get(node.index)).unwrap_or(terminal);
    let apart = !std::ptr::eq(terminal, town);
    let steps = tickets.iter().map(|ticket| ticket.scenes.len()).max().unwrap_or(0);
    let mut written = 0;
    for step in 0..steps {
        for scene in tickets.iter().filter_map(|ticket| ticket.scenes.get(step)) {
            let (desk, author) = match scene.role {
                Role::Village => (terminal, Some(&terminal.node)),
                // Cases have no step of a county.
                Role::Dispatcher | Role::County => (town, town.staff.get("dispatcher")),
                Role::Secretary if apart => (terminal, terminal.staff.get("secretary")),
                Role::Secretary => (town, town.staff.get("liaison")),
            };
            let author = author.unwrap_or(&desk.node);
            written += write(desk, author, vec![scene.write.clone()], scene.at_ms)?;
        }
        if apart {
            carry(village, terminal, town)?;
            carry(village, town, terminal)?;
        }
    }
    Ok(written)
}

/// Carries the tickets of a village from one store to another, with the certificates they need.
fn carry(village: &AddressCode, from: &Desk, to: &Desk) -> Result<(), Failure> {
    let authority = from.store.authority();
    let known: Vec<Vec<u8>> = authority
        .certificates()
        .flat_map(|certificate| authority.chain(&certificate.serial()))
        .map(|certificate| certificate.bytes().to_vec())
        .collect();
    to.store.add_certificates(&known)?;
    let region = Region { prefix: *village, depth: Depth::Subtree };
    let kinds = [Category::TICKET, Category::TICKET_CONTACT, Category::TICKET_PHOTO];
    for category in kinds {
        let prefix = KeyPrefix::region(category, &region);
        let mut next = Some(Selection::Prefix { prefix, after: Vec::new() });
        while let Some(selection) = next.take() {
            let reply =
                from.store.serve(StoreRequest::Read { selection, bytes: limits::BATCH_BYTES })?;
            let StoreReply::Read { changes, rest, .. } = reply else { break };
            next = rest;
            let changes: Vec<Carried> = changes
                .into_iter()
                .map(|stored| Carried { reached: 0, ..stored.carried })
                .collect();
            let (from, scope): (Serial, Scope) = (from.node.serial, Scope::everything());
            to.store.serve(StoreRequest::Ingest {
                from,
                scope,
                changes,
                sender_tiers: 0,
                at_ms: 0,
            })?;
        }
    }
    Ok(())
}
