//! Is the bottleneck queue growing? The trend-line filter and adaptive threshold of draft-ietf-rmcat-gcc-02, 5.3-5.4.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets sent within this time are one group: their spacing says nothing about the queue.
const GROUP: Duration = Duration::from_millis(5);
/// Groups in the regression.
const POINTS: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const THRESHOLD_START_MS: f64 = 12.5;
const THRESHOLD_RANGE_MS: (f64, f64) = (6.0, 600.0);
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// The trend must stay over the threshold this long.
const OVERUSE_MS: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    Normal,
    Under,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    last_arrived: Duration,
}

#[derive(Debug)]
pub struct DelayDetector {
    current: Option<Group>,
    previous: Option<Group>,
    origin: Option<Duration>,
    /// (arrival in ms, smoothed accumulated delay in ms)
    points: VecDeque<(f64, f64)>,
    accumulated_ms: f64,
    smoothed_ms: f64,
    deltas: u32,
    threshold_ms: f64,
    over_for_ms: f64,
    last_trend: f64,
    last_update_ms: f64,
}

impl Default for DelayDetector {
    fn default() -> Self {
        DelayDetector {
            current: None,
            previous: None,
            origin: None,
            points: VecDeque::with_capacity(POINTS + 1),
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            deltas: 0,
            threshold_ms: THRESHOLD_START_MS,
            over_for_ms: 0.0,
            last_trend: 0.0,
            last_update_ms: 0.0,
        }
    }
}

impl DelayDetector {
    /// Notes one arrived packet (in sending order) and judges the queue when that completes a group.
    pub fn on_packet(&mut self, sent: Instant, arrived: Duration) -> Usage {
        let Some(current) = &mut self.current else {
            self.current = Some(Group { first_sent: sent, last_sent: sent, last_arrived: arrived });
            return Usage::Normal;
        };
        if sent.saturating_duration_since(current.first_sent) <= GROUP {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived);
            return Usage::Normal;
        }
        let done = *current;
        *current = Group { first_sent: sent, last_sent: sent, last_arrived: arrived };
        let usage = match self.previous {
            Some(before) => self.on_group(&before, &done),
            None => Usage::Normal,
        };
        self.previous = Some(done);
        usage
    }

    /// After a decrease the queue drains: what was measured before says nothing any more.
    pub fn forget_trend(&mut self) {
        self.points.clear();
        self.accumulated_ms = 0.0;
        self.smoothed_ms = 0.0;
        self.deltas = 0;
        self.over_for_ms = 0.0;
        self.last_trend = 0.0;
    }

    /// The packets that follow take another route: their delay is not to be compared with what was measured before.
    pub fn forget_route(&mut self) {
        self.forget_trend();
        (self.current, self.previous) = (None, None);
    }

    fn on_group(&mut self, before: &Group, now: &Group) -> Usage {
        let sent_ms = millis(now.last_sent.saturating_duration_since(before.last_sent));
        let arrived_ms = millis(now.last_arrived) - millis(before.last_arrived);
        let origin = *self.origin.get_or_insert(now.last_arrived);
        let at_ms = millis(now.last_arrived) - millis(origin);
        self.deltas = (self.deltas + 1).min(60);
        self.accumulated_ms += arrived_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        self.points.push_back((at_ms, self.smoothed_ms));
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        if self.points.len() < POINTS {
            return Usage::Normal;
        }
        let trend = slope(&self.points) * f64::from(self.deltas) * GAIN;
        let usage = self.judge(trend, sent_ms);
        self.adapt(trend, at_ms);
        self.last_trend = trend;
        usage
    }

    fn judge(&mut self, trend: f64, sent_ms: f64) -> Usage {
        if trend > self.threshold_ms {
            self.over_for_ms += sent_ms;
            if self.over_for_ms > OVERUSE_MS && trend >= self.last_trend {
                self.over_for_ms = 0.0;
                return Usage::Over;
            }
            return Usage::Normal;
        }
        self.over_for_ms = 0.0;
        if trend < -self.threshold_ms { Usage::Under } else { Usage::Normal }
    }

    /// The threshold follows the trend slowly so that competing TCP flows do not starve us (draft, 5.4).
    fn adapt(&mut self, trend: f64, at_ms: f64) {
        let elapsed = (at_ms - self.last_update_ms).clamp(0.0, 100.0);
        self.last_update_ms = at_ms;
        if trend.abs() > self.threshold_ms + 15.0 {
            return; // A sudden spike (a route change) must not blunt the detector.
        }
        let speed = if trend.abs() < self.threshold_ms { THRESHOLD_DOWN } else { THRESHOLD_UP };
        self.threshold_ms += speed * (trend.abs() - self.threshold_ms) * elapsed;
        self.threshold_ms = self.threshold_ms.clamp(THRESHOLD_RANGE_MS.0, THRESHOLD_RANGE_MS.1);
    }
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1_000.0
}

/// Least-squares slope; 0 when all x are equal.
fn slope(points: &VecDeque<(f64, f64)>) -> f64 {
    let n = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (num, den) = points.iter().fold((0.0, 0.0), |(num, den), p| {
        let dx = p.0 - mean_x;
        (num + dx * (p.1 - mean_y), den + dx * dx)
    });
    if den == 0.0 { 0.0 } else { num / den }
}
