//! Who checks a password next, of those whom the node does not know.
//!
//! Each network has one check under way or waiting for its turn; more of the same network wait for
//! it. So a network with a thousand guesses is one place in front of somebody else's, not a thousand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Networks that are remembered before those with nobody waiting are forgotten.
const NETWORKS: usize = 256;

/// The passwords of strangers that wait to be checked, one place for each network.
#[derive(Debug)]
pub(crate) struct PasswordQueue {
    all: Semaphore,
    by_network: Mutex<BTreeMap<IpAddr, Arc<Semaphore>>>,
}

impl PasswordQueue {
    /// So many at a time.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Semaphore::new(at_once), by_network: Mutex::default() }
    }

    /// Waits for the turn of a network, which ends when both are dropped.
    pub(crate) async fn take(
        &self,
        network: IpAddr,
    ) -> Result<(SemaphorePermit<'_>, OwnedSemaphorePermit), AcquireError> {
        let own = self.of(network).acquire_owned().await?;
        Ok((self.all.acquire().await?, own))
    }

    fn of(&self, network: IpAddr) -> Arc<Semaphore> {
        let mut known = self.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NETWORKS {
            // Who waits or has a turn holds it as well.
            known.retain(|_, queue| Arc::strong_count(queue) > 1);
        }
        Arc::clone(known.entry(network).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that somebody of another network is next, however many of one wait, and that what is
    /// remembered of networks is bounded.
    #[tokio::test]
    async fn one_network_is_one_place() {
        let password_queue = Arc::new(PasswordQueue::new(1));
        let [many, one]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = password_queue.take(many).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for network in (0..50).map(|_| many).chain([one]) {
            let password_queue = Arc::clone(&password_queue);
            waiting.spawn(async move {
                password_queue.take(network).await.map(|_turn| network).unwrap()
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), one);
        assert_eq!(waiting.join_all().await.len(), 50);
        for number in 0..2_000_u32 {
            let network = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            drop(password_queue.take(network).await.unwrap());
        }
        assert!(password_queue.by_network.lock().unwrap().len() <= NETWORKS);
    }
}
