//! How full is the bottleneck's queue? One-way delay above the lowest one seen lately.

use std::time::{Duration, Instant};

/// The minimum is that of this window and the one before, so that it forgets a route that is gone.
const WINDOW: Duration = Duration::from_secs(10);
/// A queue stands when none of so many packets in a row found it empty.
const RECENT: usize = 5;
/// A queue grows when it did over this time, by this much.
const GROWTH_SPAN: Duration = Duration::from_millis(100);
const GROWTH_MS: f64 = 5.0;
/// From one packet to the next a queue grows by what was sent between. More than that, and than this, is another route.
const JUMP_MS: f64 = 50.0;

#[derive(Debug, Clone, Copy)]
struct Last {
    sent: Instant,
    travelled_ms: f64,
}

#[derive(Debug, Default)]
pub struct QueueDelay {
    origin: Option<(Instant, Duration)>,
    last: Option<Last>,
    recent_ms: [f64; RECENT],
    packets: usize,
    lowest_ms: f64,
    lowest_before_ms: f64,
    window_start: Duration,
    /// Arrival and queue at the last two looks at its growth.
    looks: [(Duration, f64); 2],
}

impl QueueDelay {
    /// Notes one arrived packet that takes `own_ms()` on a line of the rate that arrives. True when it came by another
    /// route than the one before, whose delays say nothing any more.
    ///
    /// An outage looks the same at first; what waited meanwhile comes at once then, and the minimum falls with it.
    pub fn on_packet(&mut self, sent: Instant, arrived: Duration, own_ms: impl FnOnce() -> f64) -> bool {
        let (first_sent, first_arrived) = *self.origin.get_or_insert((sent, arrived));
        let travelled_ms = millis(arrived) - millis(first_arrived) - signed_millis(sent, first_sent);
        let Some(last) = self.last.replace(Last { sent, travelled_ms }) else {
            (self.lowest_ms, self.lowest_before_ms) = (travelled_ms, travelled_ms);
            self.window_start = arrived;
            self.note(arrived, travelled_ms);
            return false;
        };
        let step_ms = travelled_ms - last.travelled_ms;
        let far = || JUMP_MS + 2.0 * own_ms() + signed_millis(sent, last.sent).max(0.0);
        let jumped = step_ms > JUMP_MS && step_ms > far();
        if jumped {
            self.lowest_ms += step_ms;
            self.lowest_before_ms += step_ms;
            self.packets = 0;
        }
        if arrived.saturating_sub(self.window_start) > WINDOW {
            self.lowest_before_ms = self.lowest_ms;
            self.lowest_ms = travelled_ms;
            self.window_start = arrived;
        }
        self.lowest_ms = self.lowest_ms.min(travelled_ms);
        self.note(arrived, travelled_ms);
        jumped
    }

    fn note(&mut self, arrived: Duration, travelled_ms: f64) {
        if let Some(slot) = self.recent_ms.get_mut(self.packets % RECENT) {
            *slot = travelled_ms;
        }
        self.packets += 1;
        let [_, (looked, _)] = self.looks;
        if self.packets == 1 || arrived.saturating_sub(looked) >= GROWTH_SPAN {
            let queue = self.millis();
            let [_, before] = self.looks;
            self.looks = if self.packets == 1 { [(arrived, queue); 2] } else { [before, (arrived, queue)] };
        }
    }

    /// What every one of the last few packets waited at least.
    pub fn millis(&self) -> f64 {
        if self.packets < RECENT {
            return 0.0;
        }
        let least = self.recent_ms.iter().copied().fold(f64::INFINITY, f64::min);
        (least - self.lowest_ms.min(self.lowest_before_ms)).max(0.0)
    }

    /// Is it fuller than it was a tenth of a second ago?
    pub fn grows(&self) -> bool {
        let [(_, before), _] = self.looks;
        self.millis() > before + GROWTH_MS
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn signed_millis(later: Instant, earlier: Instant) -> f64 {
    match later.checked_duration_since(earlier) {
        Some(ahead) => millis(ahead),
        None => -millis(earlier.saturating_duration_since(later)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_MS: f64 = 5.0;

    struct Road {
        start: Instant,
        at: Duration,
        queue: QueueDelay,
    }

    impl Road {
        fn new() -> Road {
            Road { start: Instant::now(), at: Duration::ZERO, queue: QueueDelay::default() }
        }

        /// 50 packets a second for so long, each `more_ms` slower than the one before. True when a jump was seen.
        fn run(&mut self, seconds: u64, delay_ms: &mut u64, more_ms: u64) -> bool {
            let mut jumped = false;
            for _ in 0..seconds * 50 {
                self.at += Duration::from_millis(20);
                *delay_ms += more_ms;
                let arrived = self.at + Duration::from_millis(*delay_ms);
                jumped |= self.queue.on_packet(self.start + self.at, arrived, || OWN_MS);
            }
            jumped
        }
    }

    #[test]
    fn a_growing_queue_is_seen_and_in_time_taken_for_the_way() {
        let (mut road, mut delay) = (Road::new(), 30);
        assert!(!road.run(5, &mut delay, 0));
        assert!(road.queue.millis() < 1.0 && !road.queue.grows());
        assert!(!road.run(1, &mut delay, 4), "a queue does not jump");
        assert!(road.queue.millis() > 150.0 && road.queue.grows());
        road.run(2, &mut delay, 0);
        assert!(road.queue.millis() > 150.0 && !road.queue.grows(), "it stands");
        road.run(33, &mut delay, 0);
        assert!(road.queue.millis() < 1.0, "after two windows the longer way is the way");
    }

    #[test]
    fn another_route_is_no_queue() {
        let (mut road, mut delay) = (Road::new(), 30);
        road.run(5, &mut delay, 0);
        delay = 310;
        assert!(road.run(1, &mut delay, 0));
        assert!(road.queue.millis() < 1.0 && !road.queue.grows());
        assert!(!road.run(1, &mut delay, 4));
        assert!(road.queue.millis() > 150.0, "a queue on the new route is seen");
    }

    #[test]
    fn after_an_outage_the_old_minimum_holds_again() {
        let (mut road, mut delay) = (Road::new(), 30);
        road.run(5, &mut delay, 0);
        // Half a second of packets arrive together.
        for waited in (0..25u64).rev() {
            road.at += Duration::from_millis(20);
            road.queue.on_packet(road.start + road.at, road.at + Duration::from_millis(30 + waited * 20), || OWN_MS);
        }
        road.run(1, &mut delay, 0);
        assert!(road.queue.millis() < 1.0);
        road.run(1, &mut delay, 2);
        assert!(road.queue.millis() > 70.0, "measured from the old minimum");
    }
}
