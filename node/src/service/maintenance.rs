//! What the hub leaves to the node: files of its identity, certificates of its children.
//!
//! One task takes the [`NodeTask`]s of the network in their order and does each on a thread for
//! blocking work; nothing of the network waits for it. Only a renewal is answered.

use std::path::PathBuf;

use cunlian_crdt::store::Suspension;
use cunlian_host::admin::{Administration, renewal};
use cunlian_host::clock::Clock;
use cunlian_host::keystore::{self, Keystore};
use cunlian_host::network::runtime::NodeTask;
use cunlian_host::{config, suspension};
use cunlian_protocol::hub::Event;
use cunlian_protocol::id::PublicKey;
use tokio::sync::mpsc;

use super::lineage_tokens::LineageTokens;

/// Why a task was not done.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does the tasks.
pub(super) struct Maintenance {
    pub(super) administration: Administration,
    pub(super) clock: Clock,
    pub(super) lines: LineageTokens,
}

impl Maintenance {
    /// Does them as they come, until the network ends.
    pub(super) async fn run(
        mut self,
        mut tasks: mpsc::UnboundedReceiver<NodeTask>,
        events: mpsc::Sender<Event>,
    ) {
        while let Some(task) = tasks.recv().await {
            let (again, answer) = tokio::task::spawn_blocking(move || {
                let answer = self.perform(task);
                (self, answer)
            })
            .await
            .expect("a task does not panic");
            self = again;
            if let Some(answer) = answer
                && events.send(answer).await.is_err()
            {
                return;
            }
        }
    }

    fn perform(&mut self, task: NodeTask) -> Option<Event> {
        let done = match task {
            NodeTask::Beacon(at_ms) => {
                self.clock.beacon(at_ms);
                Ok(())
            }
            NodeTask::Line { peer, token } => self.lines.keep(peer, token).map_err(Failure::from),
            NodeTask::Succeeded { old, new } => self.rename_peer(&old, &new),
            NodeTask::Issued(chain) => self.take_over(&chain),
            NodeTask::Suspend { reason } => self.suspend(&reason),
            NodeTask::Renew { connection, child, renewal, restricted } => {
                let Administration { store, identity, .. } = &self.administration;
                let now_ms = self.clock.now_ms();
                let outcome = renewal::renew(store, identity, now_ms, &child, &renewal, restricted);
                let name = store.authority().name(&child);
                match &outcome {
                    Ok(_) => tracing::info!(name, "certified anew"),
                    Err(error) => tracing::warn!(name, %error, "not certified anew"),
                }
                let outcome = outcome.map_err(|error| error.to_string());
                return Some(Event::Issued { connection, outcome });
            }
        };
        if let Err(error) = done {
            tracing::error!(error, "the node could not note what it was told");
        }
        None
    }

    /// In the text, so that what people wrote beside it stays.
    fn rename_peer(&self, old: &PublicKey, new: &PublicKey) -> Result<(), Failure> {
        let path = self.data_dir().join(config::FILE);
        let text = std::fs::read_to_string(&path)?;
        let renamed = text.replace(&old.to_string(), &new.to_string());
        if renamed != text {
            keystore::write(&path, renamed.as_bytes(), 0o644)?;
            tracing::warn!(%old, %new, "a peer has a new key");
        }
        Ok(())
    }

    /// The issuer gave a new chain. A node that was restored or copied is now another author, and
    /// may write again.
    fn take_over(&self, chain: &[Vec<u8>]) -> Result<(), Failure> {
        let Administration { store, identity, restart, .. } = &self.administration;
        if chain == identity.chain {
            return Ok(());
        }
        let keystore = Keystore::new(&self.administration.data_dir);
        let authority = store.authority();
        let successions = authority.successions().iter().map(|s| s.bytes().to_vec());
        keystore.add_successions(&successions.collect::<Vec<_>>())?;
        keystore.renew(chain)?;
        suspension::clear(self.data_dir())?;
        restart.ask();
        Ok(())
    }

    /// Another machine uses this identity. The next start asks to be certified anew.
    fn suspend(&self, reason: &str) -> Result<(), Failure> {
        let Administration { store, restart, .. } = &self.administration;
        if store.suspension().is_none() {
            tracing::error!(reason, "this node saves nothing more until it is certified anew");
            store.suspend(Suspension::Forked);
            suspension::suspend(self.data_dir(), Suspension::Forked, self.clock.now_ms())?;
            restart.ask();
        }
        Ok(())
    }

    fn data_dir(&self) -> &PathBuf {
        &self.administration.data_dir
    }
}
