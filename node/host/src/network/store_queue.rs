//! A queue of store requests of one connection: started in order, answered in order.
//!
//! Mostly one after another, so that certificates precede the changes they cover. Only batches of
//! changes that follow each other overlap: the store checks the next one on the other cores while
//! the disk takes the one before. It comes to the same, for the store does its work again when
//! something it was based on has changed.

use std::collections::VecDeque;
use std::future::pending;

use cunlian_crdt::store::Store;
use cunlian_protocol::hub::{ConnectionId, Event};
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Batches of one peer in the store at a time.
const BATCHES: usize = 2;

/// What the store made of one request.
type Served = Result<Result<StoreReply, cunlian_crdt::store::Fault>, JoinError>;

struct Running {
    number: u64,
    is_batch: bool,
    task: JoinHandle<Result<StoreReply, cunlian_crdt::store::Fault>>,
}

/// Starts a queue; replies go to `events`. It ends, after its last request, with its sender.
pub(super) fn start(
    store: Store,
    events: mpsc::Sender<Event>,
    connection: ConnectionId,
) -> mpsc::UnboundedSender<(u64, StoreRequest)> {
    let (sender, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut running: VecDeque<Running> = VecDeque::new();
        // Taken from the queue, and waiting for those before it.
        let mut next: Option<(u64, StoreRequest)> = None;
        let mut open = true;
        while open || next.is_some() || !running.is_empty() {
            tokio::select! {
                biased;
                (number, served) = first(&mut running) => {
                    let reply = reply(served);
                    if events.send(Event::Stored { connection, number, reply }).await.is_err() {
                        return;
                    }
                }
                request = requests.recv(), if open && next.is_none() => {
                    open = request.is_some();
                    next = request;
                }
            }
            if let Some((number, request)) =
                next.take_if(|(_, request)| may_start(&running, request))
            {
                let (store, is_batch) = (store.clone(), is_batch(&request));
                let task = spawn_blocking(move || store.serve(request));
                running.push_back(Running { number, is_batch, task });
            }
        }
    });
    sender
}

fn may_start(running: &VecDeque<Running>, request: &StoreRequest) -> bool {
    let batches = is_batch(request) && running.iter().all(|running| running.is_batch);
    running.is_empty() || (batches && running.len() < BATCHES)
}

fn is_batch(request: &StoreRequest) -> bool {
    matches!(request, StoreRequest::Ingest { .. })
}

/// The oldest request, once it is done; never, when there is none.
async fn first(running: &mut VecDeque<Running>) -> (u64, Served) {
    let Some(oldest) = running.front_mut() else { return pending().await };
    let served = (&mut oldest.task).await;
    let number = oldest.number;
    running.pop_front();
    (number, served)
}

fn reply(served: Served) -> Result<StoreReply, String> {
    match served {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(_) => Err("the store's thread was stopped".to_owned()),
    }
}
