//! What arrived, and what did not, lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Length of the window over which the acknowledged rate is formed.
const WINDOW: Duration = Duration::from_millis(500);
/// Slots of the window.
const SLOT_MS: u64 = 50;
const RECENT: Duration = Duration::from_millis(250);
const RECENT_PACKETS: u32 = 8;
/// A bottleneck's rate is told from so much that came out of its queue, and no older than the longest.
const BUSY_PACKETS: u32 = 4;
const BUSY_LEAST: Duration = Duration::from_millis(60);
const BUSY_LONGEST: Duration = Duration::from_millis(250);
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
    /// Of all slots: the rate is asked for with every packet.
    bytes: u64,
}

impl RateWindow {
    pub fn on_packet(&mut self, arrived: Duration, bytes: u32) {
        let number = slots_in(arrived);
        self.bytes += u64::from(bytes);
        match self.slots.back_mut() {
            Some(last) if last.number >= number => {
                last.bytes += u64::from(bytes);
                last.packets += 1;
            }
            _ => self.slots.push_back(Slot { number, bytes: u64::from(bytes), packets: 1 }),
        }
        let oldest = number.saturating_sub(slots_in(WINDOW));
        while let Some(gone) = self.slots.front().copied().filter(|slot| slot.number < oldest) {
            self.bytes -= gone.bytes;
            self.slots.pop_front();
        }
    }

    pub fn bps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.slots.front(), self.slots.back()) else { return 0 };
        let span_ms = (last.number - first.number + 1) * SLOT_MS;
        self.bytes * 8_000 / span_ms
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

/// In 64 bits: dividing 128 of them takes as long as all the rest.
fn slots_in(span: Duration) -> u64 {
    (span.as_secs() * 1_000 + u64::from(span.subsec_millis())) / SLOT_MS
}

/// The rate of the bottleneck: what it delivers while a queue stands before it, whatever was sent. What came before the
/// queue stood tells of the sender instead.
#[derive(Debug, Default)]
pub struct BusyRate {
    current: Option<Busy>,
    /// The stretch right before the current one, in bits per second.
    before_bps: Option<u64>,
}

/// One stretch of time in which packets came out of a queue.
#[derive(Debug, Clone, Copy)]
struct Busy {
    /// Arrival of the packet that it is counted from; that one's bytes were delivered before.
    from: Duration,
    to: Duration,
    bytes: u64,
    packets: u32,
}

impl BusyRate {
    /// Notes a packet in order of arrival, and whether a queue stood before the bottleneck when it came.
    pub fn on_packet(&mut self, arrived: Duration, bytes: u32, queued: bool) {
        if !queued {
            *self = BusyRate::default();
            return;
        }
        let start = Busy { from: arrived, to: arrived, bytes: 0, packets: 0 };
        let Some(busy) = &mut self.current else {
            self.current = Some(start);
            return;
        };
        busy.to = busy.to.max(arrived);
        busy.bytes += u64::from(bytes);
        busy.packets += 1;
        if busy.to.saturating_sub(busy.from) >= BUSY_LONGEST {
            self.before_bps = busy.bps();
            self.current = Some(start);
        }
    }

    /// None before enough came out of the queue.
    pub fn bps(&self) -> Option<u64> {
        self.current.and_then(|busy| busy.bps()).or(self.before_bps)
    }
}

impl Busy {
    fn bps(&self) -> Option<u64> {
        let span = self.to.saturating_sub(self.from);
        let enough = self.packets >= BUSY_PACKETS && span >= BUSY_LEAST;
        enough.then(|| (u128::from(self.bytes) * 8_000_000 / span.as_micros().max(1)) as u64)
    }
}

/// What a window lost, 0..=1, of so many packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossShare {
    pub share: f64,
    pub packets: u32,
}

impl LossShare {
    /// Standard deviation of the share of so many packets where this share is lost by chance.
    pub fn deviation(self, share: f64) -> f64 {
        (share * (1.0 - share) / f64::from(self.packets.max(1))).sqrt()
    }
}

/// Counts reported packets, and those of them that were lost.
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

    /// The share once there is enough to judge; then the window starts anew.
    pub fn take_if_due(&mut self, now: Instant) -> Option<LossShare> {
        let since = *self.since.get_or_insert(now);
        if self.total < LOSS_PACKETS || now.saturating_duration_since(since) < LOSS_INTERVAL {
            return None;
        }
        let share = LossShare { share: f64::from(self.lost) / f64::from(self.total), packets: self.total };
        *self = LossWindow { since: Some(now), ..LossWindow::default() };
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_second_alone() {
        let mut window = RateWindow::default();
        for number in 0..200 {
            window.on_packet(Duration::from_millis(20 * number), if number < 100 { 12_500 } else { 1_250 });
        }
        assert!((450_000..=510_000).contains(&window.bps()), "{}", window.bps());
        window.on_packet(Duration::from_secs(100), 1_250);
        assert_eq!(window.bps(), 200_000, "one packet in one slot after a long pause");
    }

    /// 1,250 bytes every 20 ms: 500 kbit/s.
    fn drain(busy: &mut BusyRate, from_ms: u64, packets: u64) {
        for number in 0..packets {
            busy.on_packet(Duration::from_millis(from_ms + 20 * number), 1_250, true);
        }
    }

    #[test]
    fn a_bottleneck_s_rate_is_told_from_its_queue_alone() {
        let mut busy = BusyRate::default();
        for number in 0..100 {
            busy.on_packet(Duration::from_millis(number), 1_250, false);
        }
        drain(&mut busy, 100, 4);
        assert_eq!(busy.bps(), None, "too little to tell");
        drain(&mut busy, 180, 1);
        assert_eq!(busy.bps(), Some(500_000), "what came ten times as fast before is no part of it");
    }

    #[test]
    fn the_rate_of_the_last_stretch_holds_until_the_next_one_tells_or_the_queue_is_gone() {
        let mut busy = BusyRate::default();
        drain(&mut busy, 0, 14);
        assert_eq!(busy.bps(), Some(500_000));
        for number in 1..=8 {
            busy.on_packet(Duration::from_millis(260 + 10 * number), 1_250, true);
        }
        assert_eq!(busy.bps(), Some(1_000_000), "the line became wider");
        busy.on_packet(Duration::from_millis(400), 1_250, false);
        assert_eq!(busy.bps(), None);
    }
}
