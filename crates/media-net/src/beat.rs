//! Whether a shard's thread gets round its loop. It says when it begins to work and when it waits again, one store
//! each; somebody else looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Work that takes longer than this is no work: one turn of the loop takes milliseconds.
pub const STUCK_AFTER: Duration = Duration::from_secs(5);
const WAITING: u64 = 0;

pub struct Beat {
    origin: Instant,
    /// Milliseconds since a little before `origin`, never 0.
    working_since: AtomicU64,
}

impl Beat {
    /// Counts as working until it first waits: a thread that never starts is stuck, too.
    pub fn new(now: Instant) -> Beat {
        let beat = Beat { origin: now, working_since: AtomicU64::new(WAITING) };
        beat.works(now);
        beat
    }

    pub fn works(&self, now: Instant) {
        self.working_since.store(self.stamp(now), Ordering::Relaxed);
    }

    pub fn waits(&self) {
        self.working_since.store(WAITING, Ordering::Relaxed);
    }

    pub fn is_stuck(&self, now: Instant) -> bool {
        let since = self.working_since.load(Ordering::Relaxed);
        since != WAITING && Duration::from_millis(self.stamp(now).saturating_sub(since)) >= STUCK_AFTER
    }

    fn stamp(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).map_or(u64::MAX, |ms| ms + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_works_too_long_is_stuck() {
        let start = Instant::now();
        let beat = Beat::new(start);
        assert!(!beat.is_stuck(start));
        assert!(beat.is_stuck(start + STUCK_AFTER), "it never waited");
        beat.waits();
        assert!(!beat.is_stuck(start + 10 * STUCK_AFTER), "nothing to do is no fault");
        beat.works(start + 10 * STUCK_AFTER);
        assert!(!beat.is_stuck(start + 10 * STUCK_AFTER + STUCK_AFTER / 2));
        assert!(beat.is_stuck(start + 11 * STUCK_AFTER));
    }
}
