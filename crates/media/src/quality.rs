//! Connection quality of a peer as one score, 1 (bad) to 5 (excellent), from what RTCP tells.
//!
//! The E-model of ITU-T G.107 in the simplified form commonly used for packet networks: delay and loss lower a rating R,
//! which maps to a mean opinion score. 0 is kept for "nothing heard of it although it should send" (LiveKit's LOST).

use std::time::{Duration, Instant};

/// How often a score is formed.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// What was seen of one peer during an interval, both directions together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observation {
    /// Packets that should have arrived and packets that did not, before repair.
    pub expected: u64,
    pub lost: u64,
    pub rtt_ms: f32,
    pub jitter_ms: f32,
    /// The peer has unmuted tracks or subscriptions, so that silence means trouble.
    pub should_flow: bool,
    /// Anything valid arrived from it.
    pub heard: bool,
}

/// The score of one observation: 0 = lost, else 1..=5.
pub fn score(seen: &Observation) -> f32 {
    if !seen.heard {
        return if seen.should_flow { 0.0 } else { 5.0 };
    }
    let loss_percent =
        if seen.expected == 0 { 0.0 } else { 100.0 * seen.lost.min(seen.expected) as f32 / seen.expected as f32 };
    let delay_ms = seen.rtt_ms / 2.0 + 2.0 * seen.jitter_ms + 10.0;
    let delay_penalty = if delay_ms < 160.0 { delay_ms / 40.0 } else { (delay_ms - 120.0) / 10.0 };
    let rating = (93.2 - delay_penalty - 2.5 * loss_percent).clamp(0.0, 100.0);
    let opinion = 1.0 + 0.035 * rating + 7e-6 * rating * (rating - 60.0) * (100.0 - rating);
    // 93.2 maps to 4.4; spread so that a perfect line is 5.
    (opinion * 5.0 / 4.4).clamp(1.0, 5.0)
}

/// The score of a peer over time: drops count at once, recovery is believed after two intervals.
#[derive(Debug)]
pub struct Tracker {
    next: Instant,
    reported: f32,
}

impl Tracker {
    pub fn new(now: Instant) -> Tracker {
        Tracker { next: now + INTERVAL, reported: 5.0 }
    }

    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    pub fn due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Ends an interval. Returns the new score when it changed enough to be told.
    pub fn update(&mut self, now: Instant, seen: &Observation) -> Option<f32> {
        self.next = now + INTERVAL;
        let fresh = score(seen);
        let next = if fresh > self.reported && self.reported > 0.0 { (self.reported + fresh) / 2.0 } else { fresh };
        if (next - self.reported).abs() < 0.1 {
            return None;
        }
        self.reported = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lost: u64, rtt_ms: f32) -> Observation {
        Observation { expected: 1000, lost, rtt_ms, jitter_ms: 2.0, should_flow: true, heard: true }
    }

    #[test]
    fn a_clean_line_is_excellent_and_each_fault_lowers_the_score() {
        assert!(score(&seen(0, 20.0)) > 4.8);
        assert!(score(&seen(50, 20.0)) < score(&seen(10, 20.0)));
        assert!(score(&seen(0, 600.0)) < score(&seen(0, 100.0)));
        assert!(score(&seen(400, 600.0)) < 2.0);
    }

    #[test]
    fn silence_is_lost_only_when_media_should_flow() {
        let quiet = Observation { should_flow: false, ..Observation::default() };
        assert_eq!(score(&quiet), 5.0);
        assert_eq!(score(&Observation { should_flow: true, ..quiet }), 0.0);
    }

    #[test]
    fn only_changes_are_told_and_recovery_takes_two_intervals() {
        let start = Instant::now();
        let mut tracker = Tracker::new(start);
        assert_eq!(tracker.update(start, &seen(0, 20.0)), None);
        let bad = tracker.update(start, &seen(300, 20.0)).unwrap_or(5.0);
        assert!(bad < 3.0);
        let better = tracker.update(start, &seen(0, 20.0)).unwrap_or(bad);
        assert!(better > bad && better < 4.5);
    }
}
