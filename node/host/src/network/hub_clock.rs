//! Time as the hub has it.

use std::time::Duration;

use tokio::time::Instant;

/// Time for the hub: the wall clock at start plus monotonic time since, so that a clock set back
/// or forward while the node runs moves no deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubClock {
    wall_ms: i64,
    started: Instant,
}

impl HubClock {
    /// Starts from the wall clock.
    pub(super) fn start(wall_ms: i64) -> Self {
        Self { wall_ms, started: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_add(elapsed)
    }

    pub(super) fn instant(&self, at_ms: i64) -> Instant {
        let ahead = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
        Instant::now() + Duration::from_millis(ahead)
    }
}
