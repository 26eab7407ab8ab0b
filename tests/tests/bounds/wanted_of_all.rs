//! What all peers of a node together ask for and are not sent yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::hub::{ConnectionId, Effect, Event, Hub};
use cunlian_protocol::limits;
use cunlian_protocol::session::{self, Channel, Role, Session};
use cunlian_protocol::sync::{StoreReply, StoreRequest, Verdict};
use cunlian_protocol::wire::{self, Bounded, FaultCode, Message, Prefixed, Wanted};
use cunlian_tests::measured::growth_kib;
use cunlian_tests::member::{Member, root};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::pair::documents_at;

/// A town with sessions to villages that ask and take nothing.
struct Town {
    hub: Hub,
    rng: StdRng,
    villages: BTreeMap<u64, (String, u32)>,
    closed: Vec<(u64, FaultCode)>,
}

impl Town {
    /// With so many villages, their hellos said.
    fn with_villages(count: u8) -> Self {
        let county = Member::county(2);
        let town = county.certify(3, Tier::Town, "370322102", "高城镇");
        let mut authority = Authority::new(root());
        for certificate in &town.identity.chain {
            authority.insert(certificate).unwrap();
        }
        let authority = Arc::new(authority);
        let hub = Hub::new(town.identity.clone(), Arc::clone(&authority), Vec::new());
        let (rng, villages) = (StdRng::seed_from_u64(1), BTreeMap::new());
        let mut story = Self { hub, rng, villages, closed: Vec::new() };
        for number in 0..count {
            let code = format!("370322102{:03}", 300 + u32::from(number));
            let village = town.certify(10 + number, Tier::Village, &code, &code);
            let expected = town.public_key();
            let role = Role::Dialler { expected, lineage: [0; 16], renewing: false };
            let channel = |peer_key| Channel { exporter: [9; 32], peer_key };
            let identity = Arc::new(village.identity.clone());
            let known = Arc::clone(&authority);
            let mut below = Session::new(identity, known, role, channel(expected), 0, 0);
            let hello = below.start(0).into_iter().find_map(|effect| match effect {
                session::Effect::Send(frame) => Some(frame),
                _ => None,
            });
            let connection = ConnectionId(number.into());
            let key = village.public_key();
            story.feed(Event::Accepted { connection, channel: channel(key) });
            let bytes = hello.unwrap()[4..].to_vec();
            story.feed(Event::Frame { connection, bytes });
            story.villages.insert(connection.0, (code, 0));
        }
        assert_eq!(story.closed, []);
        story
    }

    fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.hub.handle(1, &mut self.rng, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Store { connection, number, request: StoreRequest::Admit { .. } } => {
                    let reply = Ok(StoreReply::Admit(Verdict::Open));
                    self.feed(Event::Stored { connection, number, reply });
                }
                Effect::Send { connection, frame } => {
                    self.feed(Event::Sent { connection, bytes: frame.len() });
                }
                Effect::Close { connection, code, .. } => self.closed.push((connection.0, code)),
                _ => {}
            }
        }
    }

    /// A village asks for so many ranges by so many short ids each, or for all that is there.
    fn want(&mut self, village: u64, ranges: u32, ids: Option<usize>) {
        let (code, asked) = self.villages.get_mut(&village).unwrap();
        let (first, code) = (*asked, code.clone());
        *asked += ranges;
        let wanted = || match ids {
            Some(count) => Wanted::Shorts(Bounded(vec![[7; 8]; count])),
            None => Wanted::All,
        };
        let items = documents_at(&code, first, ranges).map(|prefix| (prefix, wanted())).collect();
        let message = Message::Want { number: u64::from(first) + 1, items: Prefixed(items) };
        let bytes = wire::encode(&message)[4..].to_vec();
        self.feed(Event::Frame { connection: ConnectionId(village), bytes });
    }
}

/// Shows that the short ids of all villages together are remembered up to a sum, in bounded memory,
/// and that with more of them one that asks for most gives way, not who asks for little; and that
/// there is room again afterwards.
#[test]
fn short_ids_of_all_are_remembered_up_to_a_sum() {
    let test = concat!(module_path!(), "::short_ids_of_all_are_remembered_up_to_a_sum");
    let grown = growth_kib(test, || {
        let greedy = limits::NODE_WANTED_IDS / limits::WANTED_IDS;
        let honest = greedy as u64;
        let mut town = Town::with_villages(u8::try_from(greedy).unwrap() + 1);
        for village in 0..honest {
            for _ in 0..limits::WANTED_IDS / limits::SKETCH_ITEMS {
                town.want(village, 1, Some(limits::SKETCH_ITEMS));
            }
        }
        assert_eq!(town.closed, []);
        assert_eq!(town.hub.remembered().ids, limits::NODE_WANTED_IDS);
        for _ in 0..10 {
            town.want(honest, 1, Some(3));
        }
        assert_eq!(town.closed, [(honest - 1, FaultCode::Busy)]);
        let left = limits::NODE_WANTED_IDS - limits::WANTED_IDS + 30;
        assert_eq!(town.hub.remembered().ids, left);
        let connection = ConnectionId(0);
        town.feed(Event::Gone { connection, reason: "closed".to_owned() });
        assert_eq!(town.hub.remembered().ids, left - limits::WANTED_IDS);
    });
    assert!(grown < 128 << 10, "{} MiB", grown >> 10);
}

/// Shows the same of the ranges that they ask for.
#[test]
fn ranges_of_all_are_remembered_up_to_a_number() {
    let test = concat!(module_path!(), "::ranges_of_all_are_remembered_up_to_a_number");
    let grown = growth_kib(test, || {
        let greedy = limits::NODE_WANTED / limits::WANTED;
        let honest = greedy as u64;
        let each = u32::try_from(limits::QUERY_PREFIXES).unwrap();
        let mut town = Town::with_villages(u8::try_from(greedy).unwrap() + 1);
        for village in 0..honest {
            for _ in 0..limits::WANTED / limits::QUERY_PREFIXES {
                town.want(village, each, None);
            }
        }
        assert_eq!(town.closed, []);
        let asked = town.hub.remembered().ranges;
        let mut room = u32::try_from(limits::NODE_WANTED - asked).unwrap();
        while room > 0 {
            town.want(honest, room.min(each), None);
            room -= room.min(each);
        }
        assert_eq!(town.closed, []);
        town.want(honest, 1, None);
        assert_eq!(town.closed, [(honest - 1, FaultCode::Busy)]);
        assert!(town.hub.remembered().ranges <= limits::NODE_WANTED);
    });
    assert!(grown < 256 << 10, "{} MiB", grown >> 10);
}
