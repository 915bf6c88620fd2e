//! How full is the bottleneck's queue? One-way delay above the lowest one seen lately.

use std::time::{Duration, Instant};

/// The minimum is that of this window and the one before, so that it forgets a route that is gone.
const WINDOW: Duration = Duration::from_secs(10);
const SMOOTHING: f64 = 0.9;

#[derive(Debug, Default)]
pub struct QueueDelay {
    origin: Option<(Instant, Duration)>,
    smoothed_ms: Option<f64>,
    lowest_ms: f64,
    lowest_before_ms: f64,
    window_start: Duration,
}

impl QueueDelay {
    /// Notes one arrived packet.
    pub fn on_packet(&mut self, sent: Instant, arrived: Duration) {
        let (first_sent, first_arrived) = *self.origin.get_or_insert((sent, arrived));
        let travelled_ms = millis(arrived) - millis(first_arrived) - signed_millis(sent, first_sent);
        let Some(smoothed_ms) = &mut self.smoothed_ms else {
            self.smoothed_ms = Some(travelled_ms);
            (self.lowest_ms, self.lowest_before_ms) = (travelled_ms, travelled_ms);
            self.window_start = arrived;
            return;
        };
        *smoothed_ms = SMOOTHING * *smoothed_ms + (1.0 - SMOOTHING) * travelled_ms;
        if arrived.saturating_sub(self.window_start) > WINDOW {
            self.lowest_before_ms = self.lowest_ms;
            self.lowest_ms = travelled_ms;
            self.window_start = arrived;
        }
        self.lowest_ms = self.lowest_ms.min(travelled_ms);
    }

    pub fn millis(&self) -> f64 {
        self.smoothed_ms.map_or(0.0, |smoothed| smoothed - self.lowest_ms.min(self.lowest_before_ms))
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn signed_millis(later: Instant, earlier: Instant) -> f64 {
    millis(later.saturating_duration_since(earlier)) - millis(earlier.saturating_duration_since(later))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_queue_is_seen_and_a_new_route_is_forgotten() {
        let (start, mut queue) = (Instant::now(), QueueDelay::default());
        let mut run = |seconds: std::ops::Range<u64>, delay_ms: u64| {
            for step in seconds.start * 50..seconds.end * 50 {
                let at = Duration::from_millis(20 * step);
                queue.on_packet(start + at, at + Duration::from_millis(delay_ms));
            }
            queue.millis()
        };
        assert!(run(0..5, 30) < 1.0);
        assert!(run(5..7, 130) > 90.0);
        assert!(run(7..40, 130) < 1.0, "after two windows the longer way is the way");
    }
}
