//! Invitations to nodes: one running parent, and new machines that redeem their tokens over QUIC
//! on loopback, each with a key and a data directory of its own.
//!
//! The clock runs from the list of invitations until the last machine has its certificate on disk.
//! The limit is what this cannot do without, with nothing around it, the three parts one after the
//! other:
//!
//! | part | what is done for each machine |
//! |---|---|
//! | files | its files written anew, each synced, then their directory; as many machines at a time as join at a time |
//! | rows | one durable transaction of the parent with the certificate |
//! | signatures | four made and three checked for handshake, request and certificate, and the chain checked, on one core |
//!
//! Machines that join at the same time share transactions of the parent, so a limit above the time
//! of the joins is no mistake.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cunlian_host::admin::Request;
use cunlian_host::admin::invitation::{
    BulkInvitationRequest, BulkRow, Invitations, Listed, State, VALID_MS,
};
use cunlian_host::admin::issuing::LIFETIME_MS;
use cunlian_host::clock::now_ms;
use cunlian_host::control::ask;
use cunlian_host::keystore::{Keystore, NODE_KEY};
use cunlian_host::network::enrol::joining::{Places, join};
use cunlian_protocol::enrolment::Token;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::signing::{self, Context, SigningKey, public_key};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::super::limit::raw_table;
use super::super::rate::rate;
use super::DIFFERS;
use crate::demo::layout::Node;
use crate::failure::Failure;
use crate::service::Service;

/// Machines that join at the same time: half of what a parent serves at a time.
const AT_ONCE: usize = 16;
/// The code of the first village that is invited, below the six digits of its county.
const FIRST_VILLAGE: usize = 100_201;
/// Signatures made for one machine: the handshake on both sides, its request, its certificate.
const MADE: usize = 4;
/// Signatures checked for one machine, its chain apart: the handshake on both sides, its request.
const CHECKED: usize = 3;

/// Machines that joined.
#[derive(Debug, Clone, Serialize)]
pub struct Joins {
    /// Machines.
    pub nodes: usize,
    /// At work at the same time.
    pub at_once: usize,
    /// Making all invitations.
    pub invite_seconds: f64,
    /// All of it.
    pub seconds: f64,
    /// Machines per second.
    pub per_second: f64,
    /// The limit as a part of the time.
    pub limit_share: f64,
    /// What it cannot do without.
    pub limit: Limit,
}

/// Seconds for all machines.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// The three parts together.
    pub seconds: f64,
    /// Writing the files of the machines durably.
    pub file_seconds: f64,
    /// Files of one machine.
    pub files: usize,
    /// A durable transaction for each.
    pub row_seconds: f64,
    /// Microseconds of one such transaction, which is about one fsync.
    pub transaction_us: f64,
    /// Signatures made and checked.
    pub signature_seconds: f64,
    /// Signatures made for one machine.
    pub signatures_made: usize,
    /// Signatures checked for one machine.
    pub signatures_checked: usize,
}

/// Lets `nodes` machines join below `parent`. `progress` gets those that have.
pub(super) fn measure(
    parent: &Node,
    scratch: &Path,
    nodes: usize,
    mut progress: impl FnMut(u64),
) -> Result<Joins, Failure> {
    let machines = scratch.join("machines");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (seconds, invite_seconds, keys, used) = runtime.block_on(async {
        let service = Service::start(&parent.dir).await?;
        let started = Instant::now();
        let outcome: Invitations = asked(parent, list(parent, nodes)).await?;
        if let Some(row) = outcome.rejected.first() {
            return Err(Failure::new(format!("invitation {}: {}", row.line, row.reason)));
        }
        let invite_seconds = started.elapsed().as_secs_f64();
        let tokens = outcome.invited.into_iter().map(|invited| invited.token.parse());
        let tokens = tokens.collect::<Result<Vec<Token>, _>>()?;
        let keys = join_all(&machines, tokens, &mut progress).await?;
        let seconds = started.elapsed().as_secs_f64();
        let listed: Vec<Listed> = asked(parent, Request::InviteList).await?;
        let used = listed.iter().filter(|listed| listed.state == State::Used).count();
        service.stop().await;
        Ok::<_, Failure>((seconds, invite_seconds, keys, used))
    })?;
    if keys.len() != nodes || used != nodes {
        let found = format!("{} keys and {used} invitations used, of {nodes}", keys.len());
        return Err(Failure::new(found).code(DIFFERS));
    }
    let limit = limit(&machines, scratch, nodes)?;
    let limit_share = limit.seconds / seconds;
    let per_second = rate(nodes as u64, seconds);
    let at_once = AT_ONCE;
    Ok(Joins { nodes, at_once, invite_seconds, seconds, per_second, limit_share, limit })
}

/// Has the running parent do it.
async fn asked<T: DeserializeOwned>(parent: &Node, request: Request) -> Result<T, Failure> {
    let dir = parent.dir.clone();
    let answer = spawn_blocking(move || ask(&dir, &request)).await?;
    Ok(serde_json::from_value(answer.map_err(|error| Failure::new(error.message))?)?)
}

/// An invitation for each of `nodes` villages of the parent's region.
fn list(parent: &Node, nodes: usize) -> Request {
    let row = |number: usize| BulkRow {
        line: number as u64 + 1,
        code: format!("{}{}", parent.region.as_str(), FIRST_VILLAGE + number),
        name: Some(format!("第{}村", number + 1)),
        valid_ms: None,
    };
    let (valid_ms, lifetime_ms) = (VALID_MS, LIFETIME_MS);
    let rows = (0..nodes).map(row).collect();
    Request::InviteBulk(BulkInvitationRequest {
        rows,
        valid_ms,
        lifetime_ms,
        addresses: Vec::new(),
    })
}

/// Redeems all tokens; gives the different keys that have been certified.
async fn join_all(
    machines: &Path,
    tokens: Vec<Token>,
    progress: &mut impl FnMut(u64),
) -> Result<BTreeSet<PublicKey>, Failure> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut joining = JoinSet::new();
    for token in tokens {
        let (dir, places) = (machines.join(token.invitation.to_string()), Arc::clone(&places));
        joining.spawn(async move {
            let _place = places.acquire().await?;
            join(&dir, &token, Places::default(), now_ms()).await?;
            Ok::<_, Failure>(public_key(&Keystore::new(&dir).key(NODE_KEY)?))
        });
    }
    let mut keys = BTreeSet::new();
    let mut done = 0;
    while let Some(joined) = joining.join_next().await {
        keys.insert(joined??);
        done += 1;
        progress(done);
    }
    Ok(keys)
}

fn limit(machines: &Path, scratch: &Path, nodes: usize) -> Result<Limit, Failure> {
    let mut joined = Vec::with_capacity(nodes);
    for entry in fs::read_dir(machines)? {
        joined.push(entry?.path());
    }
    let first = joined.first().ok_or_else(|| Failure::new("no machine has joined"))?;
    let identity = Keystore::new(first).identity()?;
    let files = fs::read_dir(first)?.count();
    let file_seconds = file_seconds(&joined, &scratch.join("files"))?;
    let row_seconds = row_seconds(&scratch.join("rows.sqlite"), nodes, &identity.chain)?;
    let signatures_checked = CHECKED + identity.chain.len();
    let signature_seconds = signature_seconds(&identity.key, nodes, signatures_checked)?;
    Ok(Limit {
        seconds: file_seconds + row_seconds + signature_seconds,
        file_seconds,
        files,
        row_seconds,
        transaction_us: row_seconds * 1e6 / rate(nodes as u64, 1.0),
        signature_seconds,
        signatures_made: MADE,
        signatures_checked,
    })
}

/// Writes the files of all machines anew, below `to`.
fn file_seconds(machines: &[PathBuf], to: &Path) -> Result<f64, Failure> {
    let mut contents = Vec::with_capacity(machines.len());
    for (number, machine) in machines.iter().enumerate() {
        let mut files = Vec::new();
        for entry in fs::read_dir(machine)? {
            let entry = entry?;
            files.push((entry.file_name(), fs::read(entry.path())?));
        }
        contents.push((to.join(number.to_string()), files));
    }
    let share = contents.len().div_ceil(AT_ONCE).max(1);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let writing = contents.chunks(share).map(|share| scope.spawn(|| write(share)));
        let writing: Vec<_> = writing.collect();
        let panicked = |_| std::io::Error::other("a thread of the limit panicked");
        writing.into_iter().try_for_each(|thread| thread.join().map_err(panicked)?)
    })?;
    Ok(started.elapsed().as_secs_f64())
}

/// A directory, and the names and contents of its files.
type Contents = (PathBuf, Vec<(OsString, Vec<u8>)>);

fn write(machines: &[Contents]) -> std::io::Result<()> {
    for (dir, files) in machines {
        fs::create_dir_all(dir)?;
        for (name, bytes) in files {
            let mut file = File::create(dir.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn row_seconds(path: &Path, nodes: usize, chain: &[Vec<u8>]) -> Result<f64, Failure> {
    let raw = raw_table(path)?;
    let certificate = chain.last().ok_or_else(|| Failure::new("a machine has no certificate"))?;
    let started = Instant::now();
    for _ in 0..nodes {
        raw.execute("INSERT INTO raw VALUES (NULL, ?1)", [certificate])?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn signature_seconds(key: &SigningKey, nodes: usize, checked: usize) -> Result<f64, Failure> {
    let (public, bytes) = (public_key(key), [7; 256]);
    let started = Instant::now();
    for _ in 0..nodes {
        let mut signature = signing::sign(key, Context::Request, &bytes);
        for _ in 1..MADE {
            signature = signing::sign(key, Context::Request, black_box(&bytes));
        }
        for _ in 0..checked {
            signing::verify(&public, Context::Request, black_box(&bytes), &signature)?;
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
