//! What arrived, and what did not, lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Length of the window over which the acknowledged rate is formed.
const WINDOW: Duration = Duration::from_millis(500);
/// Slots of the window.
const SLOT: Duration = Duration::from_millis(50);
/// Loss is judged over at least this many packets and this long.
const LOSS_PACKETS: u32 = 20;
const LOSS_INTERVAL: Duration = Duration::from_millis(500);

/// Arrived bits over the last half second of the receiver's clock.
#[derive(Debug, Default)]
pub struct RateWindow {
    /// (slot number, bytes)
    slots: VecDeque<(u64, u64)>,
}

impl RateWindow {
    pub fn on_packet(&mut self, arrived: Duration, bytes: u32) {
        let slot = (arrived.as_micros() / SLOT.as_micros()) as u64;
        match self.slots.back_mut() {
            Some(last) if last.0 >= slot => last.1 += u64::from(bytes),
            _ => self.slots.push_back((slot, u64::from(bytes))),
        }
        let oldest = slot.saturating_sub((WINDOW.as_micros() / SLOT.as_micros()) as u64);
        while self.slots.front().is_some_and(|s| s.0 < oldest) {
            self.slots.pop_front();
        }
    }

    pub fn bps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.slots.front(), self.slots.back()) else { return 0 };
        let span_ms = (last.0 - first.0 + 1) * SLOT.as_millis() as u64;
        let bytes: u64 = self.slots.iter().map(|s| s.1).sum();
        bytes * 8_000 / span_ms
    }
}

/// Share of reported packets that were lost.
#[derive(Debug, Default)]
pub struct LossWindow {
    lost: u32,
    total: u32,
    since: Option<Instant>,
}

impl LossWindow {
    pub fn on_packet(&mut self, lost: bool) {
        self.total += 1;
        self.lost += u32::from(lost);
    }

    /// The share, 0..=1, once there is enough to judge; then the window starts anew.
    pub fn take_if_due(&mut self, now: Instant) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        if self.total < LOSS_PACKETS || now.saturating_duration_since(since) < LOSS_INTERVAL {
            return None;
        }
        let share = f64::from(self.lost) / f64::from(self.total);
        *self = LossWindow { since: Some(now), ..LossWindow::default() };
        Some(share)
    }
}
