//! Two sessions, a village that dials its town, brought together in memory; their stores answer what
//! a test says.

use std::collections::BTreeMap;
use std::sync::Arc;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::session::{Channel, Effect, Role, Session};
use cunlian_protocol::sync::{StoreReply, StoreRequest, Verdict};
use cunlian_protocol::wire::{self, FaultCode, Message};
use cunlian_tests::member::{Member, root};
use cunlian_tests::world::{VILLAGE, one_of_each};

/// One side: its session, and what it did with what it was told.
pub(super) struct Side {
    pub(super) session: Session,
    /// Requests to the store that are not answered, by number.
    pub(super) asked: BTreeMap<u64, StoreRequest>,
    /// Messages to the peer.
    pub(super) said: Vec<Message>,
    pub(super) closed: Option<FaultCode>,
}

impl Side {
    fn new(member: &Member, all: [&Member; 3], role: Role, peer: &Member) -> Self {
        let mut authority = Authority::new(root());
        for certificate in all.iter().flat_map(|member| &member.identity.chain) {
            authority.insert(certificate).unwrap();
        }
        let channel = Channel { exporter: [9; 32], peer_key: peer.public_key() };
        let identity = Arc::new(member.identity.clone());
        let session = Session::new(identity, Arc::new(authority), role, channel, 0, 0);
        Self { session, asked: BTreeMap::new(), said: Vec::new(), closed: None }
    }

    /// The peer sends a message.
    pub(super) fn hear(&mut self, message: &Message) {
        self.hear_frame(&wire::encode(message));
    }

    /// The peer sends a frame, its length included.
    pub(super) fn hear_frame(&mut self, frame: &[u8]) {
        let effects = self.session.handle_frame(1, &frame[4..]);
        self.take(effects);
    }

    /// The store answers a request.
    pub(super) fn answer(&mut self, number: u64, reply: StoreReply) {
        self.asked.remove(&number).unwrap();
        let effects = self.session.handle_stored(1, number, Ok(reply));
        self.take(effects);
    }

    /// The number of the one request for which this holds.
    pub(super) fn asked_for(&self, is_it: impl Fn(&StoreRequest) -> bool) -> u64 {
        let mut found = self.asked.iter().filter(|(_, request)| is_it(request));
        *found.next().unwrap().0
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => {
                    let more = self.session.handle_sent(1, frame.len());
                    self.take(more);
                    if let wire::Frame::Message(message) = wire::decode(&frame[4..]).unwrap() {
                        self.said.push(message);
                    }
                }
                Effect::Store { number, request } => {
                    let reply = match &request {
                        StoreRequest::Admit { .. } => StoreReply::Admit(Verdict::Open),
                        StoreRequest::Overview { .. } => {
                            StoreReply::Overview { tops: Vec::new(), last_row: 0 }
                        }
                        _ => {
                            self.asked.insert(number, request);
                            continue;
                        }
                    };
                    let effects = self.session.handle_stored(1, number, Ok(reply));
                    self.take(effects);
                }
                Effect::Close { code, .. } => self.closed = Some(code),
                _ => {}
            }
        }
    }
}

/// Village and town after their hellos; the village has said its root.
pub(super) fn village_and_town() -> (Side, Side) {
    let [county, town, village] = one_of_each();
    let all = [&county, &town, &village];
    let expected = town.public_key();
    let role = Role::Dialler { expected, lineage: [0; 16], renewing: false };
    let mut below = Side::new(&village, all, role, &town);
    let mut above = Side::new(&town, all, Role::Listener, &village);
    let effects = below.session.start(0);
    below.take(effects);
    let hello = below.said.remove(0);
    above.hear(&hello);
    let welcome = above.said.remove(0);
    assert!(matches!(welcome, Message::Welcome(_)), "{welcome:?}");
    below.hear(&welcome);
    assert_eq!((below.closed, above.closed), (None, None));
    (below, above)
}

/// Prefixes of so many documents of the village, ascending.
pub(super) fn documents(from: u32, count: u32) -> impl Iterator<Item = KeyPrefix> {
    documents_at(VILLAGE, from, count)
}

/// The same at another address.
pub(super) fn documents_at(
    address: &str,
    from: u32,
    count: u32,
) -> impl Iterator<Item = KeyPrefix> + use<> {
    let address = AddressCode::parse(address).unwrap();
    (from..from + count).map(move |number| {
        let mut document = [0; 16];
        document[..4].copy_from_slice(&number.to_be_bytes());
        let (category, document) = (Category::TICKET, DocumentId(document));
        KeyPrefix::document(&Home { category, address, document })
    })
}

/// The address of a grid of the village, and the prefix of all that is there.
pub(super) fn grid(number: u32) -> (String, KeyPrefix) {
    let address = format!("{VILLAGE}{number:03}");
    let bytes = [Category::TICKET.0.to_be_bytes().as_slice(), address.as_bytes()].concat();
    (address, KeyPrefix::from_bytes(&bytes).unwrap())
}
