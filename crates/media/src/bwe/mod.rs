//! Send-side bandwidth estimation for one subscriber, from transport-wide feedback.
//!
//! The delay-gradient detector and the loss rule follow draft-ietf-rmcat-gcc-02. Two things differ because an SFU cannot
//! make up media to fill the line: the estimate starts optimistic (most lines carry a call), and while less is sent than
//! was estimated it may grow towards what the subscriber would like, so that the next higher layer itself is the probe.
//! After a rise that congested the line, the next attempt waits longer (back-off). Rates are what arrives: loss that no
//! lower rate would mend (see `line_loss` and `buffer`) lowers nothing, and what is repaired for it is paid for by it.

mod buffer;
mod delay;
mod line_loss;
pub(crate) mod probe;
mod queue;
mod rate;

use std::time::{Duration, Instant};

use crate::wire::twcc::Outcome;
use buffer::Buffer;
use delay::{DelayDetector, Usage};
use line_loss::{LineLoss, Seen};
use queue::QueueDelay;
use rate::{BusyRate, LossWindow, RateWindow};

const MIN_BPS: u64 = 50_000;
const MAX_BPS: u64 = 100_000_000;
/// Where an unknown line starts.
pub const START_BPS: u64 = 5_000_000;
/// Factor on the acknowledged rate when the queue grows.
const DECREASE: f64 = 0.85;
/// Factor when delay grew but no queue stands: often only jitter, so the line is not judged by what little was sent.
const GENTLE_DECREASE: f64 = 0.85;
/// Factor on what is given while the line carries it.
const GIVEN: f64 = 1.1;
/// From here on a queue is taken for real (RFC 8836 wants less than about this from us).
const STANDING_QUEUE_MS: f64 = 50.0;
/// Above this the estimate does not grow.
const QUIET_QUEUE_MS: f64 = 25.0;
/// A queue this full that still grows needs no second opinion.
const GROWN_QUEUE_MS: f64 = 100.0;
/// Growth per second without congestion: careful near the rate that congested the line last, else quick.
const INCREASE_NEAR_LIMIT: f64 = 0.08;
const INCREASE_FAR: f64 = 0.20;
/// And never faster than this near the limit, in bits per second each second: the queue tells late.
const MOST_NEAR_LIMIT: f64 = 50_000.0;
const NEAR: std::ops::Range<f64> = 0.75..1.25;
/// Loss above this lowers the estimate, below the other it may rise (RFC draft section 6).
const HIGH_LOSS: f64 = 0.10;
const LOW_LOSS: f64 = 0.02;
const FIRST_BACKOFF: Duration = Duration::from_secs(3);
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);
/// No rise this long after a gentle decrease.
const GENTLE_HOLD: Duration = Duration::from_secs(1);
/// A decrease this soon after a rise is blamed on the rise.
const BLAME: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Bwe {
    estimate_bps: f64,
    /// What the subscriber would use if it could; growth beyond it would be guessing.
    desired_bps: u64,
    delay: DelayDetector,
    queue: QueueDelay,
    buffer: Buffer,
    acked: RateWindow,
    busy: BusyRate,
    loss: LossWindow,
    line_loss: LineLoss,
    /// The fullest queue since the loss was judged last.
    fullest_ms: f64,
    updated: Option<Instant>,
    decreased: Option<Instant>,
    hold_until: Option<Instant>,
    /// The line is not probed before.
    rest_until: Option<Instant>,
    backoff: Duration,
    rising_since: Option<Instant>,
    /// What the line delivered when it was last full.
    limit_bps: Option<f64>,
    congested: bool,
    /// What the subscriber is given, and whether a probe comes on top of it.
    given_bps: u64,
    probed: bool,
    /// What is lost of all sent until then is the prober's to judge.
    probed_until: Option<Instant>,
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
            queue: QueueDelay::default(),
            buffer: Buffer::default(),
            acked: RateWindow::default(),
            busy: BusyRate::default(),
            loss: LossWindow::default(),
            line_loss: LineLoss::default(),
            fullest_ms: 0.0,
            updated: None,
            decreased: None,
            hold_until: None,
            rest_until: None,
            backoff: FIRST_BACKOFF,
            rising_since: None,
            limit_bps: None,
            congested: false,
            given_bps: 0,
            probed: false,
            probed_until: None,
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

    /// A receiver-side estimate (REMB) caps ours; without any feedback about packets it is ours. True when it lowered it.
    pub fn on_remb(&mut self, now: Instant, bps: u64) -> bool {
        let (before, told) = (self.estimate_bps, (bps as f64).clamp(MIN_BPS as f64, MAX_BPS as f64));
        if self.updated.is_none() {
            self.estimate_bps = told;
        } else if told < before {
            self.estimate_bps = told;
            self.hold_until = Some(now + FIRST_BACKOFF);
            self.rest_until = self.hold_until;
        }
        self.estimate_bps < before
    }

    /// May the line be probed for more now? How soon again is the prober's to know; growth by guessing waits longer.
    pub fn may_probe(&self, now: Instant) -> bool {
        !self.congested && self.rest_until.is_none_or(|until| now >= until) && self.queue.millis() <= STANDING_QUEUE_MS
    }

    /// Share of what is sent that the line loses whatever the rate, 0..=1.
    pub fn line_loss(&self) -> f64 {
        self.line_loss.share()
    }

    /// Is it to be tested whether loss depends on the rate? Gives what is sent, in bits per second.
    pub fn loss_to_test(&self) -> Option<u64> {
        let lost = self.line_loss.in_doubt()?;
        // What is lost is sent again.
        Some((self.given_bps as f64 / (1.0 - lost.min(0.5))) as u64)
    }

    /// A test sent `ratio` times as much, and this share of it was lost.
    pub fn on_loss_tested(&mut self, now: Instant, ratio: f64, share: f64) {
        self.line_loss.on_tested(now, ratio, share);
    }

    /// A test of the loss could not tell.
    pub fn on_loss_untold(&mut self, now: Instant) {
        self.line_loss.on_untold(now);
    }

    /// What the line delivered when it was last full, until it carries more.
    pub fn full_at_bps(&self) -> Option<u64> {
        self.limit_bps.map(|bps| bps as u64)
    }

    /// A probe was carried at this rate.
    pub fn on_carried(&mut self, bps: u64) {
        self.limit_bps = self.limit_bps.filter(|limit| *limit >= bps as f64);
        self.estimate_bps = self.estimate_bps.max(bps as f64).min(MAX_BPS as f64);
    }

    /// A probe was too much: no growth by guessing before the next one.
    pub fn hold(&mut self, until: Instant) {
        self.hold_until = Some(self.hold_until.map_or(until, |held| held.max(until)));
    }

    /// Tells what the subscriber is given, audio included.
    pub fn set_given(&mut self, bps: u64) {
        self.given_bps = bps;
    }

    /// Tells whether a probe runs. What it does to the line says nothing against what was carried without it.
    pub fn set_probed(&mut self, now: Instant, probed: bool) {
        if probed || self.probed {
            self.probed_until = Some(now);
        }
        self.probed = probed;
    }

    /// Does more wait at the bottleneck than a frame or two?
    pub fn queue_stands(&self) -> bool {
        self.queue.millis() > STANDING_QUEUE_MS
    }

    /// Takes the outcomes of one feedback packet, in sending order. True when they lowered the estimate.
    pub fn on_outcomes(&mut self, now: Instant, outcomes: &[Outcome]) -> bool {
        if outcomes.is_empty() {
            return false;
        }
        let before_bps = self.estimate_bps;
        let mut usage = Usage::Normal;
        // What was sent before the last decrease tells of the rate before it, however late it comes.
        let mut answers = false;
        for outcome in outcomes {
            let fresh = self.decreased.is_none_or(|decreased| outcome.sent > decreased);
            answers |= fresh;
            if fresh && self.probed_until.is_none_or(|until| outcome.sent > until) {
                self.loss.on_packet(outcome.arrived.is_none());
            }
            let Some(arrived) = outcome.arrived else { continue };
            self.acked.on_packet(arrived, outcome.bytes);
            let own_ms = || f64::from(outcome.bytes) * 8_000.0 / (self.acked.bps() as f64).max(1.0);
            if self.queue.on_packet(outcome.sent, arrived, own_ms) {
                self.delay.forget_route();
                self.buffer = Buffer::default();
            }
            let queue_ms = self.queue.millis();
            self.fullest_ms = self.fullest_ms.max(queue_ms);
            self.buffer.on_queue(now, queue_ms);
            self.busy.on_packet(arrived, outcome.bytes, queue_ms > QUIET_QUEUE_MS);
            usage = usage.max(self.delay.on_packet(outcome.sent, arrived));
        }
        let elapsed = self.updated.map_or(Duration::ZERO, |u| now.saturating_duration_since(u));
        self.updated = Some(now);
        if !answers {
            return false;
        }
        let loss = self.excess_loss(now);
        match (usage, loss) {
            _ if self.is_full(usage, loss) => self.on_full(now),
            (_, Some(loss)) if loss > HIGH_LOSS => self.on_loss(now, loss),
            (Usage::Over, _) => self.on_delay(now),
            (Usage::Under, _) => self.congested = false,
            (Usage::Normal, loss) => {
                self.congested = false;
                if loss.is_none_or(|l| l < LOW_LOSS) {
                    self.increase(now, elapsed);
                }
            }
        }
        self.estimate_bps < before_bps
    }

    /// The share that was lost by sending too much, once there is enough to judge.
    fn excess_loss(&mut self, now: Instant) -> Option<f64> {
        let window = self.loss.take_if_due(now)?;
        let flat = !self.buffer.may_overflow(std::mem::take(&mut self.fullest_ms));
        let matters = self.given_bps < self.desired_bps;
        let seen = Seen { flat, queues: self.buffer.queues(now) };
        Some(self.line_loss.excess(now, window, seen, matters))
    }

    /// Does a queue stand that is becoming longer, or loses what does not fit into it?
    fn is_full(&self, usage: Usage, loss: Option<f64>) -> bool {
        let queue_ms = self.queue.millis();
        let overflows = loss.is_some_and(|loss| loss > LOW_LOSS) && self.buffer.may_overflow(queue_ms);
        let grows = queue_ms > GROWN_QUEUE_MS && self.queue.grows();
        queue_ms > STANDING_QUEUE_MS && (usage == Usage::Over || overflows || grows)
    }

    /// A queue stands: what comes out of it is what the line carries.
    fn on_full(&mut self, now: Instant) {
        let rate = self.busy.bps().unwrap_or_else(|| self.acked.recent_bps()) as f64;
        let carried = if self.probed { self.carried_bps() } else { 0.0 };
        if self.decrease(now, carried.max(rate * DECREASE)) {
            self.limit_bps = Some(rate);
            self.back_off(now);
        }
    }

    /// Loss lowers the estimate by half its share; far above what arrives it is worth less to begin with.
    fn on_loss(&mut self, now: Instant, loss: f64) {
        let plausible = (1.5 * self.acked.bps() as f64 + 10_000.0).max(0.5 * self.estimate_bps);
        if self.decrease(now, self.estimate_bps.min(plausible) * (1.0 - 0.5 * loss)) {
            self.back_off(now);
        }
    }

    /// Delay grew, but no queue stands (yet).
    fn on_delay(&mut self, now: Instant) {
        let acked = self.acked.bps() as f64 * DECREASE;
        let carried = self.carried_bps();
        if self.decrease(now, acked.max(self.estimate_bps * GENTLE_DECREASE).max(carried)) {
            self.hold_until = Some(now + GENTLE_HOLD);
            self.rest_until = self.rest_until.max(self.hold_until);
        }
    }

    /// What the line carries without a queue, with a little room: a layer's rate is never twice the same.
    fn carried_bps(&self) -> f64 {
        self.given_bps as f64 * GIVEN
    }

    /// True when the estimate was lowered: at most once per round trip, since the feedback that follows still shows the
    /// old rate.
    fn decrease(&mut self, now: Instant, to_bps: f64) -> bool {
        self.congested = true;
        if self.decreased.is_some_and(|d| now.saturating_duration_since(d) < Duration::from_millis(300)) {
            return false;
        }
        self.estimate_bps = self.estimate_bps.min(to_bps.max(MIN_BPS as f64));
        self.decreased = Some(now);
        self.loss = LossWindow::default();
        self.delay.forget_trend();
        true
    }

    /// Waits before rising again, longer each time a rise ended like this.
    fn back_off(&mut self, now: Instant) {
        if self.rising_since.is_some_and(|r| now.saturating_duration_since(r) < BLAME) {
            self.backoff = (self.backoff * 3 / 2).min(LONGEST_BACKOFF);
        }
        self.rising_since = None;
        self.hold_until = Some(now + self.backoff);
        self.rest_until = Some(now + FIRST_BACKOFF);
    }

    fn increase(&mut self, now: Instant, elapsed: Duration) {
        if self.hold_until.is_some_and(|h| now < h) || self.queue.millis() > QUIET_QUEUE_MS {
            return;
        }
        let acked = self.acked.bps() as f64;
        // The line proved `acked`; beyond 1.5 times that only the wish for a higher layer justifies growth.
        let ceiling = (1.5 * acked + 10_000.0).max(self.desired_bps as f64 * 1.2);
        if self.estimate_bps < ceiling {
            let near = self.limit_bps.is_some_and(|limit| NEAR.contains(&(self.estimate_bps / limit.max(1.0))));
            let per_second = match near {
                true => (self.estimate_bps * INCREASE_NEAR_LIMIT).min(MOST_NEAR_LIMIT),
                false => self.estimate_bps * INCREASE_FAR,
            };
            let step = per_second * elapsed.as_secs_f64().min(1.0);
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
