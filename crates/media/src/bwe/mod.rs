//! Send-side bandwidth estimation for one subscriber, from transport-wide feedback.
//!
//! The delay-gradient detector and the loss rule follow draft-ietf-rmcat-gcc-02. Two things differ because an SFU cannot
//! make up media to fill the line: the estimate starts optimistic (most lines carry a call), and while less is sent than
//! was estimated it may grow towards what the subscriber would like, so that the next higher layer itself is the probe.
//! After a rise that congested the line, the next attempt waits longer (back-off).

mod delay;
mod rate;

use std::time::{Duration, Instant};

use crate::wire::twcc::Outcome;
use delay::{DelayDetector, Usage};
use rate::{LossWindow, RateWindow};

const MIN_BPS: u64 = 50_000;
const MAX_BPS: u64 = 100_000_000;
/// Where an unknown line starts.
pub const START_BPS: u64 = 5_000_000;
/// Factor on the acknowledged rate when the queue grows.
const DECREASE: f64 = 0.85;
/// Growth per second without congestion.
const INCREASE_PER_SECOND: f64 = 0.08;
/// Loss above this lowers the estimate, below the other it may rise (RFC draft section 6).
const HIGH_LOSS: f64 = 0.10;
const LOW_LOSS: f64 = 0.02;
const FIRST_BACKOFF: Duration = Duration::from_secs(3);
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);
/// A decrease this soon after a rise is blamed on the rise.
const BLAME: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Bwe {
    estimate_bps: f64,
    /// What the subscriber would use if it could; growth beyond it would be guessing.
    desired_bps: u64,
    delay: DelayDetector,
    acked: RateWindow,
    loss: LossWindow,
    updated: Option<Instant>,
    decreased: Option<Instant>,
    hold_until: Option<Instant>,
    backoff: Duration,
    rising_since: Option<Instant>,
    congested: bool,
}

impl Default for Bwe {
    fn default() -> Self {
        Bwe::new(START_BPS)
    }
}

impl Bwe {
    pub fn new(start_bps: u64) -> Bwe {
        Bwe {
            estimate_bps: start_bps as f64,
            desired_bps: 0,
            delay: DelayDetector::default(),
            acked: RateWindow::default(),
            loss: LossWindow::default(),
            updated: None,
            decreased: None,
            hold_until: None,
            backoff: FIRST_BACKOFF,
            rising_since: None,
            congested: false,
        }
    }

    /// What the line is believed to carry, in bits per second.
    pub fn estimate_bps(&self) -> u64 {
        self.estimate_bps as u64
    }

    /// Was the last word of the line that it is full?
    pub fn congested(&self) -> bool {
        self.congested
    }

    /// Bits per second that arrived lately.
    pub fn acked_bps(&self) -> u64 {
        self.acked.bps()
    }

    /// Tells what the subscriber would use if bandwidth were no matter (see `allocator::desired_bps`), audio included.
    pub fn set_desired(&mut self, bps: u64) {
        self.desired_bps = bps;
    }

    /// A receiver-side estimate (REMB) caps ours.
    pub fn on_remb(&mut self, now: Instant, bps: u64) {
        if (bps as f64) < self.estimate_bps {
            self.estimate_bps = (bps as f64).max(MIN_BPS as f64);
            self.hold_until = Some(now + FIRST_BACKOFF);
        }
    }

    /// Takes the outcomes of one feedback packet, in sending order.
    pub fn on_outcomes(&mut self, now: Instant, outcomes: &[Outcome]) {
        if outcomes.is_empty() {
            return;
        }
        let mut usage = Usage::Normal;
        for outcome in outcomes {
            self.loss.on_packet(outcome.arrived.is_none());
            let Some(arrived) = outcome.arrived else { continue };
            self.acked.on_packet(arrived, outcome.bytes);
            usage = usage.max(self.delay.on_packet(outcome.sent, arrived));
        }
        let elapsed = self.updated.map_or(Duration::ZERO, |u| now.saturating_duration_since(u));
        self.updated = Some(now);
        let loss = self.loss.take_if_due(now);
        match (usage, loss) {
            (Usage::Over, _) => self.decrease(now, self.acked.bps() as f64 * DECREASE),
            (_, Some(loss)) if loss > HIGH_LOSS => self.decrease(now, self.estimate_bps * (1.0 - 0.5 * loss)),
            (Usage::Under, _) => self.congested = false,
            (Usage::Normal, loss) => {
                self.congested = false;
                if loss.is_none_or(|l| l < LOW_LOSS) {
                    self.increase(now, elapsed);
                }
            }
        }
    }

    fn decrease(&mut self, now: Instant, to_bps: f64) {
        self.congested = true;
        // One decrease per round trip or so: the feedback that follows still shows the old queue.
        if self.decreased.is_some_and(|d| now.saturating_duration_since(d) < Duration::from_millis(300)) {
            return;
        }
        if to_bps < self.estimate_bps {
            self.estimate_bps = to_bps.max(MIN_BPS as f64);
        }
        if self.rising_since.is_some_and(|r| now.saturating_duration_since(r) < BLAME) {
            self.backoff = (self.backoff * 3 / 2).min(LONGEST_BACKOFF);
        }
        self.decreased = Some(now);
        self.rising_since = None;
        self.hold_until = Some(now + self.backoff);
        self.delay.forget_trend();
    }

    fn increase(&mut self, now: Instant, elapsed: Duration) {
        if self.hold_until.is_some_and(|h| now < h) {
            return;
        }
        let acked = self.acked.bps() as f64;
        // The line proved `acked`; beyond 1.5 times that only the wish for a higher layer justifies growth.
        let ceiling = (1.5 * acked + 10_000.0).max(self.desired_bps as f64 * 1.2);
        if self.estimate_bps < ceiling {
            let step = self.estimate_bps * INCREASE_PER_SECOND * elapsed.as_secs_f64().min(1.0);
            self.estimate_bps = (self.estimate_bps + step.max(1_000.0 * elapsed.as_secs_f64())).min(MAX_BPS as f64);
            self.rising_since.get_or_insert(now);
            if self.rising_since.is_some_and(|r| now.saturating_duration_since(r) > BLAME) {
                self.backoff = FIRST_BACKOFF;
            }
        }
    }
}

#[cfg(test)]
mod tests;
