//! The wish of a node to be started again, because what it is has changed.

use std::sync::Arc;

use tokio::sync::Notify;

/// A wish to start again; clones are one wish. The default one is nobody's.
#[derive(Debug, Clone, Default)]
pub struct Restart {
    wish: Option<Arc<Notify>>,
}

impl Restart {
    /// A wish that somebody listens to.
    pub fn new() -> Self {
        Self { wish: Some(Arc::default()) }
    }

    /// Wishes it; the node goes on for the moment.
    pub fn ask(&self) {
        if let Some(wish) = &self.wish {
            wish.notify_one();
        }
    }

    /// Waits for the wish.
    pub async fn asked(&self) {
        match &self.wish {
            Some(wish) => wish.notified().await,
            None => std::future::pending().await,
        }
    }
}
