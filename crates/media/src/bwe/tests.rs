//! The estimator on a simulated line: a rate, a queue, a delay, random loss; virtual time.

use super::*;

struct Line {
    start: Instant,
    now: Instant,
    rate_bps: u64,
    /// When the bottleneck has sent what it holds.
    busy_until: Instant,
    loss_percent: u64,
    random: u64,
    sequence: u64,
}

impl Line {
    fn new(rate_bps: u64) -> Line {
        let start = Instant::now();
        Line { start, now: start, rate_bps, busy_until: start, loss_percent: 0, random: 7, sequence: 0 }
    }

    fn dice(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % 100
    }

    fn send(&mut self, bytes: u32) -> Outcome {
        let queue = self.busy_until.saturating_duration_since(self.now);
        let lost = queue > Duration::from_millis(400) || self.dice() < self.loss_percent;
        if !lost {
            let service = Duration::from_nanos(u64::from(bytes) * 8_000_000_000 / self.rate_bps);
            self.busy_until = self.busy_until.max(self.now) + service;
        }
        self.sequence += 1;
        let arrived = (self.busy_until - self.start) + Duration::from_millis(20);
        Outcome { sequence: self.sequence, sent: self.now, bytes, cluster: 0, arrived: (!lost).then_some(arrived) }
    }

    /// Sends at the lower of what the application has and the estimate allows, feedback every 50 ms.
    fn run(&mut self, bwe: &mut Bwe, seconds: u64, application_bps: u64) {
        for _ in 0..seconds * 20 {
            let rate = application_bps.min(bwe.estimate_bps());
            let packets = (rate / 20 / (1_200 * 8)).max(1) as u32;
            let mut outcomes = vec![];
            for _ in 0..packets {
                outcomes.push(self.send(1_200));
                self.now += Duration::from_millis(50) / packets;
            }
            bwe.on_outcomes(self.now, &outcomes);
        }
    }
}

#[test]
fn a_narrow_line_is_found_and_not_flooded() {
    let (mut line, mut bwe) = (Line::new(500_000), Bwe::default());
    bwe.set_desired(3_000_000);
    line.run(&mut bwe, 10, 3_000_000);
    assert!((200_000..650_000).contains(&bwe.estimate_bps()), "{}", bwe.estimate_bps());
}

#[test]
fn an_easy_line_keeps_the_optimistic_start() {
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    bwe.set_desired(3_000_000);
    line.run(&mut bwe, 10, 3_000_000);
    assert!(bwe.estimate_bps() >= START_BPS);
    assert!(!bwe.congested());
}

#[test]
fn the_estimate_returns_when_the_line_widens() {
    let (mut line, mut bwe) = (Line::new(400_000), Bwe::default());
    bwe.set_desired(2_000_000);
    line.run(&mut bwe, 10, 2_000_000);
    assert!(bwe.estimate_bps() < 600_000);
    line.rate_bps = 10_000_000;
    line.run(&mut bwe, 60, 2_000_000);
    assert!(bwe.estimate_bps() > 1_500_000, "{}", bwe.estimate_bps());
}

#[test]
fn heavy_random_loss_lowers_and_light_loss_does_not() {
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    line.loss_percent = 20;
    line.run(&mut bwe, 5, 2_000_000);
    assert!(bwe.estimate_bps() < START_BPS / 2);
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    line.loss_percent = 1;
    line.run(&mut bwe, 5, 2_000_000);
    assert!(bwe.estimate_bps() >= START_BPS);
}

#[test]
fn a_failed_rise_makes_the_next_attempt_wait_longer() {
    let (mut line, mut bwe) = (Line::new(500_000), Bwe::default());
    bwe.set_desired(3_000_000);
    line.run(&mut bwe, 60, 3_000_000);
    assert!(bwe.backoff > FIRST_BACKOFF);
    assert!(bwe.backoff <= LONGEST_BACKOFF);
}

#[test]
fn a_receiver_estimate_caps_ours() {
    let mut bwe = Bwe::default();
    bwe.on_remb(Instant::now(), 300_000);
    assert_eq!(bwe.estimate_bps(), 300_000);
}
