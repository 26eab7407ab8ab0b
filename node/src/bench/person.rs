//! A person who works at a node while something else keeps it busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::sample::{Spread, spread};
use crate::demo::client::{Client, random_document};
use crate::demo::layout::Node;
use crate::failure::Failure;

/// From one record to the next.
const EVERY: Duration = Duration::from_millis(20);

/// How long saving a record took, from the request to the answer that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Saved {
    /// Records saved.
    pub records: u64,
    /// Milliseconds.
    #[serde(flatten)]
    pub latency: Spread,
}

/// A secretary at the keyboard; ends when dropped.
#[derive(Debug)]
pub(super) struct Person {
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<Result<Vec<f64>, Failure>>>,
}

impl Person {
    /// Logs in at `node` and begins to save records, through the API as a program of an office.
    pub(super) fn begin(node: &Node) -> Result<Self, Failure> {
        let client = Client::log_in(node, "secretary")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (node, ended) = (node.clone(), Arc::clone(&stop));
        let work = thread::spawn(move || save_until(&client, &node, &ended));
        Ok(Self { stop, work: Some(work) })
    }

    /// The person goes home.
    pub(super) fn end(mut self) -> Result<Saved, Failure> {
        self.stop.store(true, Ordering::Release);
        let work = self.work.take().map(JoinHandle::join);
        let latencies = match work {
            Some(Ok(outcome)) => outcome?,
            Some(Err(_)) | None => return Err(Failure::new("who saved records panicked")),
        };
        Ok(Saved { records: latencies.len() as u64, latency: spread(latencies) })
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Saves a record every [`EVERY`], at least one; gives the milliseconds each of them took.
fn save_until(client: &Client, node: &Node, stop: &AtomicBool) -> Result<Vec<f64>, Failure> {
    let mut latencies = Vec::new();
    let address = format!("{}001", node.region);
    loop {
        let fields =
            json!({"name": "王建国", "sex": "男", "birth": "1968-05-12", "household": "H001"});
        let begun = Instant::now();
        client.register("population", &address, random_document(), &fields)?;
        let took = begun.elapsed();
        latencies.push(took.as_secs_f64() * 1e3);
        if stop.load(Ordering::Acquire) {
            return Ok(latencies);
        }
        thread::sleep(EVERY.saturating_sub(took));
    }
}
