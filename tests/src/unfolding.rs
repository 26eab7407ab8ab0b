//! Automerge changes written by hand, run by run, so that few bytes stand for many operations.
//!
//! The layout is told in `crdt/src/history/expansion.rs`.

use sha2::{Digest as _, Sha256};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHANGE: u8 = 1;
/// Specifications of columns.
const KEY: u8 = 0x15;
const INSERT: u8 = 0x34;
const ACTION: u8 = 0x42;
const VALUE_META: u8 = 0x56;
const VALUE: u8 = 0x57;
const PREDECESSORS: u8 = 0x70;
const PREDECESSOR_ACTOR: u8 = 0x71;
const PREDECESSOR_COUNTER: u8 = 0x73;
/// The action that sets a field, and the type of a text in the description of a value.
const PUT: u64 = 1;
const TEXT: u64 = 6;

/// A change that puts texts into one field.
#[derive(Debug, Clone)]
pub struct Puts {
    /// The actor that the header of the signed change calls for.
    pub actor: [u8; 16],
    /// Name of the field.
    pub field: String,
    /// How often it is put, each time without text but the first.
    pub puts: u64,
    /// Predecessors of the first of them.
    pub predecessors: u64,
    /// Text of the first.
    pub text: String,
}

impl Puts {
    /// The bytes of the Automerge change.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { field, puts, predecessors, text, .. } = self;
        let name = [unsigned(field.len() as u64), field.clone().into_bytes()].concat();
        let described = unsigned((text.len() as u64) << 4 | TEXT);
        let mut meta = [signed(-1), described].concat();
        let mut groups = [signed(-1), unsigned(*predecessors)].concat();
        if *puts > 1 {
            let others = i64::try_from(puts - 1).expect("so many are never put");
            meta.extend(run(others, &unsigned(TEXT)));
            groups.extend(run(others, &unsigned(0)));
        }
        let all = i64::try_from(*puts).expect("so many are never put");
        let mut columns = vec![
            (KEY, run(all, &name)),
            (INSERT, unsigned(*puts)),
            (ACTION, run(all, &unsigned(PUT))),
            (VALUE_META, meta),
            (VALUE, text.clone().into_bytes()),
            (PREDECESSORS, groups),
        ];
        if *predecessors > 0 {
            let named = i64::try_from(*predecessors).expect("so many are never named");
            columns.push((PREDECESSOR_ACTOR, run(named, &unsigned(0))));
            columns.push((PREDECESSOR_COUNTER, run(named, &signed(1))));
        }
        columns.retain(|(_, data)| !data.is_empty());
        chunk(&self.actor, &columns)
    }
}

/// A change chunk without dependencies, the first of its actor.
fn chunk(actor: &[u8; 16], columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut data = vec![0, 16];
    data.extend_from_slice(actor);
    data.extend_from_slice(&[1, 1, 0, 0, 0]);
    data.extend(unsigned(columns.len() as u64));
    for (specification, bytes) in columns {
        data.push(*specification);
        data.extend(unsigned(bytes.len() as u64));
    }
    data.extend(columns.iter().flat_map(|(_, bytes)| bytes));
    let mut hashed = vec![CHANGE];
    hashed.extend(unsigned(data.len() as u64));
    hashed.extend(data);
    let checksum = Sha256::digest(&hashed);
    [MAGIC.as_slice(), checksum.get(..4).expect("a hash is longer"), &hashed].concat()
}

fn run(times: i64, value: &[u8]) -> Vec<u8> {
    let times = if times == 1 { -1 } else { times };
    [signed(times).as_slice(), value].concat()
}

fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn signed(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
