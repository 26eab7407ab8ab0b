//! A believable library and believable tickets from a seed, for the demo, benchmarks and tests.
//!
//! Everything follows from the seed and the village: no clock and no randomness of the system.
//! The same call gives the same documents on every machine, and one village does not depend on
//! another, so that each node can generate its own share. Nobody in it exists: names are drawn
//! from lists, identity numbers only have valid check characters.
//!
//! "Record" in counts means one document of the library: a base record and each of its sensitive
//! parts count one each.
//!
//! | module | draws |
//! |---|---|
//! | `random` | numbers |
//! | `names` | surnames and given names by generation |
//! | `household` | families at addresses |
//! | `scene` | who writes what and when |
//! | `<capability>/sample.rs` | the writes of families and public records; tickets in every state, and the story of 苑兴村 |

pub(crate) mod household;
pub(crate) mod names;
pub(crate) mod random;
pub(crate) mod scene;

use cunlian_crdt::document::Write;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::id::DocumentId;

pub use scene::{Role, Scene};

pub use crate::library::sample::Records;
pub use crate::ticket::sample::SampleTicket;

use crate::directory::{self, Contact};
use crate::ticket::sample;
use names::Names;
use random::Random;

/// The village of the story: 苑兴村 of 高城镇.
pub const STORY_VILLAGE: &str = "370322102310";

/// Draws documents from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
}

impl Generator {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Exactly `count` documents of the library of `village`, in groups of a household or of
    /// public records. Bases come before their parts, also where the count cuts a group.
    pub fn records(&self, village: AddressCode, count: usize) -> Records {
        Records::new(self.random(village, "records"), village, count)
    }

    /// The public contacts of `village`.
    pub fn directory(&self, village: AddressCode) -> Vec<Write> {
        let mut random = self.random(village, "directory");
        let names = Names::new(village, &mut random);
        let secretary = self.secretary(village);
        let entry = |(position, role): (u32, &str)| {
            let name =
                if role == "村支书" { secretary.clone() } else { names.adult(&mut random) };
            let contact = Contact {
                role: role.to_owned(),
                name,
                phone: format!("0533697{:04}", random.below(10_000)),
                duty: String::new(),
                position,
            };
            directory::publish(village, random.document(), &contact, "demo")
                .expect("generated contacts are complete")
        };
        (1..).zip(["村支书", "包村干部", "片警", "农管员", "网格员", "村医"]).map(entry).collect()
    }

    /// The name of the village's secretary, as in its directory and its assignments.
    pub fn secretary(&self, village: AddressCode) -> String {
        let mut random = self.random(village, "secretary");
        Names::new(village, &mut random).adult(&mut random)
    }

    /// `count` tickets of `village` as they stand at `now_ms`, going through every state in turn.
    /// Everything in them happened before `now_ms`.
    pub fn tickets(&self, village: AddressCode, count: usize, now_ms: i64) -> Vec<SampleTicket> {
        let mut random = self.random(village, "tickets");
        let names = Names::new(village, &mut random);
        let secretary = self.secretary(village);
        (0..count)
            .map(|number| sample::ticket(&mut random, &names, village, &secretary, number, now_ms))
            .collect()
    }

    /// The story of [`STORY_VILLAGE`] as it stands at `now_ms`: three families ask what
    /// rebuilding a house needs; the town has accepted the first and dispatched it to the
    /// village secretary, the others are waiting.
    pub fn story(&self, now_ms: i64) -> Vec<SampleTicket> {
        let village = AddressCode::parse(STORY_VILLAGE).expect("the constant is a village code");
        let mut random = self.random(village, "story");
        let names = Names::new(village, &mut random);
        let secretary = self.secretary(village);
        sample::story(&mut random, &names, village, &secretary, now_ms)
    }

    /// The `number`-th free document id of this seed, for documents a demo makes itself.
    pub fn document(&self, number: u64) -> DocumentId {
        Random::new(self.seed, &[b"document", &number.to_be_bytes()]).document()
    }

    /// The same at one village.
    pub fn document_at(&self, village: AddressCode, number: u64) -> DocumentId {
        let number = number.to_be_bytes();
        Random::new(self.seed, &[b"document", village.as_bytes(), &number]).document()
    }

    fn random(self, village: AddressCode, purpose: &str) -> Random {
        Random::new(self.seed, &[purpose.as_bytes(), village.as_bytes()])
    }
}

#[cfg(test)]
mod tests;
