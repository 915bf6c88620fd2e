//! Bit rate of a stream over the last seconds.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(1000);

/// Counts bytes and closes a window about once a second. The rate is that of the closed windows, each counting half as
/// much as the one after it: a key frame in one of them is no reason to give up a layer.
#[derive(Debug)]
pub(crate) struct RateMeter {
    since: Instant,
    bytes: u64,
    rate_bps: Option<u64>,
}

impl RateMeter {
    pub fn new(now: Instant) -> RateMeter {
        RateMeter { since: now, bytes: 0, rate_bps: None }
    }

    #[inline]
    pub fn on_bytes(&mut self, now: Instant, bytes: usize) {
        self.bytes += bytes as u64;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            let newest = (u128::from(self.bytes) * 8_000_000 / elapsed.as_micros().max(1)) as u64;
            self.rate_bps = Some(self.rate_bps.map_or(newest, |before| before.midpoint(newest)));
            self.since = now;
            self.bytes = 0;
        }
    }

    /// Bits per second; before the first window ended, what the window so far amounts to.
    pub fn bits_per_second(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).as_micros().max(100_000);
        self.rate_bps.unwrap_or((u128::from(self.bytes) * 8_000_000 / elapsed) as u64)
    }
}
