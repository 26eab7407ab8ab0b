//! What the hello of a stranger costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody, Tier};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::{Channel, Effect, Identity, Role, Session};
use cunlian_protocol::signing::public_key;
use cunlian_protocol::wire::{self, Bounded, FaultCode, Message};
use cunlian_tests::member::{Member, key, root};

/// Hellos of which the quickest counts: others of this machine have their turns as well.
const TRIES: usize = 200;

/// A county that knows so many certificates of its villages.
fn knowing(county: &Member, certificates: u32) -> Authority {
    let mut authority = Authority::new(root());
    for bytes in &county.identity.chain {
        authority.insert(bytes).unwrap();
    }
    let own = county.identity.certificate.body();
    for number in 0..certificates {
        let mut subject = [0; 32];
        subject[..4].copy_from_slice(&number.to_be_bytes());
        let body = CertificateBody {
            subject: PublicKey(subject),
            name: format!("村 {number}"),
            kind: AuthorKind::Node,
            tier: Tier::Village,
            issuer: Some(county.serial()),
            ..own.clone()
        };
        authority.insert(&Certificate::issue(&body, &county.identity.key)).unwrap();
    }
    authority
}

/// The first frame of a dialler with this identity.
fn hello(identity: &Identity, to: PublicKey) -> Vec<u8> {
    let role = Role::Dialler { expected: to, lineage: [0; 16], renewing: false };
    let channel = Channel { exporter: [9; 32], peer_key: to };
    let authority = Arc::new(Authority::new(root()));
    let mut session = Session::new(Arc::new(identity.clone()), authority, role, channel, 0, 0);
    let frame = session.start(0).into_iter().find_map(|effect| match effect {
        Effect::Send(frame) => Some(frame[4..].to_vec()),
        _ => None,
    });
    frame.unwrap()
}

/// How long a county takes to turn this hello away, at the quickest.
fn turned_away(
    county: &Member,
    authority: &Arc<Authority>,
    who: PublicKey,
    bytes: &[u8],
) -> Duration {
    let identity = Arc::new(county.identity.clone());
    let once = || {
        let channel = Channel { exporter: [9; 32], peer_key: who };
        let (identity, authority) = (Arc::clone(&identity), Arc::clone(authority));
        let mut session = Session::new(identity, authority, Role::Listener, channel, 0, 0);
        let begun = Instant::now();
        let effects = session.handle_frame(1, bytes);
        let took = begun.elapsed();
        let closed = effects.iter().find_map(|effect| match effect {
            Effect::Close { code, .. } => Some(*code),
            _ => None,
        });
        assert!(closed.is_some_and(FaultCode::is_refusal), "{effects:?}");
        took
    };
    (0..TRIES).map(|_| once()).min().unwrap()
}

/// Shows that a stranger's hello costs a county the same whether it knows a hundred certificates or
/// twenty thousand: whatever the stranger shows (a chain of another federation, that of a village
/// whose key it does not have, successions of other keys), nothing of what is known is copied or
/// walked for it. One copy alone would take longer than all that is allowed here.
#[test]
fn a_strangers_hello_costs_the_same_however_many_are_known() {
    let county = Member::county(2);
    let to = county.public_key();
    let other = Member::county(40).identity;
    let foreign = vec![Certificate::issue(other.certificate.body(), &key(200))];
    let foreign = Identity { chain: foreign, ..other };
    let village = county.certify(4, Tier::Village, "370322102310", "苑兴村").identity;
    let thief = public_key(&key(66));
    let succession = cunlian_protocol::succession::SuccessionBody {
        old: public_key(&key(200)),
        new: public_key(&key(201)),
        stands: Vec::new(),
    };
    let follower =
        Identity { successions: vec![succession.sign(&key(200), &key(201))], ..foreign.clone() };
    let hellos = [
        (public_key(&foreign.key), hello(&foreign, to)),
        (thief, hello(&village, to)),
        (public_key(&follower.key), hello(&follower, to)),
        (thief, wire::encode(&without_signature(&village, to))[4..].to_vec()),
    ];
    let few = Arc::new(knowing(&county, 100));
    let many = Arc::new(knowing(&county, 20_000));
    let copied = {
        let begun = Instant::now();
        drop(Authority::clone(&many));
        begun.elapsed()
    };
    for (number, (who, bytes)) in hellos.iter().enumerate() {
        let [of_few, of_many] =
            [&few, &many].map(|authority| turned_away(&county, authority, *who, bytes));
        let most = of_few.mul_f64(1.5) + copied / 10;
        assert!(of_many < most, "hello {number}: {of_few:?} and {of_many:?}, a copy {copied:?}");
    }
}

/// A hello with the chain of a village that nobody signed.
fn without_signature(village: &Identity, to: PublicKey) -> Message {
    let frame = hello(village, to);
    let Ok(wire::Frame::Message(Message::Hello(mut hello))) = wire::decode(&frame) else {
        panic!("a dialler begins with a hello");
    };
    hello.signature.0 = [7; 64];
    hello.software = Bounded(Vec::new());
    Message::Hello(hello)
}
