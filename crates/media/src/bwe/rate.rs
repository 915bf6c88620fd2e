//! What arrived, and what did not, lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Length of the window over which the acknowledged rate is formed.
const WINDOW: Duration = Duration::from_millis(500);
/// Slots of the window.
const SLOT: Duration = Duration::from_millis(50);
const RECENT: Duration = Duration::from_millis(250);
const RECENT_PACKETS: u32 = 8;
/// Loss is judged over at least this many packets and this long.
const LOSS_PACKETS: u32 = 20;
const LOSS_INTERVAL: Duration = Duration::from_millis(500);

/// What arrived in one slot of the receiver's clock.
#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u64,
    bytes: u64,
    packets: u32,
}

/// Arrived bits over the last half second of the receiver's clock.
#[derive(Debug, Default)]
pub struct RateWindow {
    slots: VecDeque<Slot>,
}

impl RateWindow {
    pub fn on_packet(&mut self, arrived: Duration, bytes: u32) {
        let number = (arrived.as_micros() / SLOT.as_micros()) as u64;
        match self.slots.back_mut() {
            Some(last) if last.number >= number => {
                last.bytes += u64::from(bytes);
                last.packets += 1;
            }
            _ => self.slots.push_back(Slot { number, bytes: u64::from(bytes), packets: 1 }),
        }
        let oldest = number.saturating_sub(slots_in(WINDOW));
        while self.slots.front().is_some_and(|slot| slot.number < oldest) {
            self.slots.pop_front();
        }
    }

    pub fn bps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.slots.front(), self.slots.back()) else { return 0 };
        let span_ms = (last.number - first.number + 1) * SLOT.as_millis() as u64;
        let bytes: u64 = self.slots.iter().map(|slot| slot.bytes).sum();
        bytes * 8_000 / span_ms
    }

    /// The same over the last quarter of a second, if that saw enough packets: how fast a queue is emptied that began to
    /// stand only now. The slot that is still being filled is left out.
    pub fn recent_bps(&self) -> u64 {
        let Some(last) = self.slots.back() else { return 0 };
        let from = last.number.saturating_sub(slots_in(RECENT));
        let whole = self.slots.iter().filter(|slot| (from..last.number).contains(&slot.number));
        let (bytes, packets) =
            whole.fold((0, 0), |(bytes, packets), slot| (bytes + slot.bytes, packets + slot.packets));
        if packets < RECENT_PACKETS { self.bps() } else { bytes * 8_000 / RECENT.as_millis() as u64 }
    }
}

fn slots_in(span: Duration) -> u64 {
    (span.as_micros() / SLOT.as_micros()) as u64
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
