//! The estimator on a simulated line: a rate, a queue, a delay, random loss; virtual time.

use proptest::prelude::*;

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
    line.run(&mut bwe, 25, 2_000_000);
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
fn what_a_full_line_also_loses_by_chance_is_told_by_its_queue_and_lowers_nothing() {
    let (mut line, mut bwe) = (Line::new(500_000), Bwe::default());
    line.loss_percent = 20;
    bwe.set_desired(3_000_000);
    line.run(&mut bwe, 2, 3_000_000);
    bwe.set_given(330_000);
    for second in 0..20 {
        line.run(&mut bwe, 1, 380_000);
        assert_eq!(bwe.loss_to_test(), None, "a test would fill the line");
        assert!(second < 3 || bwe.estimate_bps() > 330_000, "{} after {second} s", bwe.estimate_bps());
    }
    assert!((0.1..0.3).contains(&bwe.line_loss()), "{}", bwe.line_loss());
}

#[test]
fn loss_that_more_padding_does_not_raise_lowers_nothing() {
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    line.loss_percent = 20;
    bwe.set_given(2_000_000);
    let mut tests = 0;
    for _ in 0..20 {
        line.run(&mut bwe, 1, 2_000_000);
        if let Some(sent_bps) = bwe.loss_to_test() {
            assert!((2_200_000..2_900_000).contains(&sent_bps), "{sent_bps}: with what is sent again");
            bwe.on_loss_tested(line.now, 1.5, 0.2);
            tests += 1;
        }
    }
    assert_eq!(tests, 1);
    assert!(bwe.estimate_bps() >= START_BPS);
    assert!((0.15..0.25).contains(&bwe.line_loss()), "{}", bwe.line_loss());
}

#[test]
fn a_failed_rise_makes_the_next_attempt_wait_longer() {
    let (mut line, mut bwe) = (Line::new(500_000), Bwe::new(450_000));
    bwe.set_desired(1_500_000);
    let mut attempts = 0;
    let mut highest = 0;
    for _ in 0..240 {
        let layers = [100_000, 400_000, 1_500_000];
        let layer = layers.iter().rposition(|rate| *rate <= bwe.estimate_bps()).unwrap_or(0);
        attempts += u32::from(layer == 2 && highest != 2);
        highest = layer;
        line.run(&mut bwe, 1, layers[layer]);
    }
    assert!((1..15).contains(&attempts), "{attempts} attempts in four minutes");
    assert!(bwe.backoff > FIRST_BACKOFF && bwe.backoff <= LONGEST_BACKOFF);
}

#[test]
fn a_receiver_estimate_caps_ours() {
    let mut bwe = Bwe::default();
    assert!(bwe.on_remb(Instant::now(), 300_000));
    assert_eq!(bwe.estimate_bps(), 300_000);
}

#[test]
fn a_receiver_estimate_is_ours_where_nothing_else_is_told_and_a_limit_where_there_is_more() {
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    assert!(bwe.on_remb(line.now, 300_000) && !bwe.on_remb(line.now, 2_000_000));
    assert_eq!(bwe.estimate_bps(), 2_000_000);
    bwe.set_desired(1_000_000);
    line.run(&mut bwe, 1, 1_000_000);
    bwe.on_remb(line.now, 50_000_000);
    assert!(bwe.estimate_bps() < 3_000_000, "a limit, not an estimate");
    assert!(bwe.on_remb(line.now, 700_000));
    assert_eq!(bwe.estimate_bps(), 700_000);
}

const AUDIO_BPS: u64 = 48_000;

/// Sends video as it comes: 30 frames a second, each one burst, audio packets between; arrival jitter without loss.
fn run_bursts(line: &mut Line, bwe: &mut Bwe, seconds: u64, video_bps: u64, jitter_ms: u64) -> u64 {
    let mut lowest = u64::MAX;
    let mut outcomes = vec![];
    let mut last_arrival = Duration::ZERO;
    for step in 0..seconds * 1000 {
        let mut sizes = vec![];
        if step % 20 == 0 {
            sizes.push(120);
        }
        if step % 33 == 0 {
            let frame = (video_bps.min(bwe.estimate_bps().saturating_sub(AUDIO_BPS)) / 30 / 8) as u32;
            sizes.extend((0..frame.div_ceil(1_200)).map(|part| (frame - part * 1_200).min(1_200)));
        }
        for bytes in sizes {
            let mut outcome = line.send(bytes);
            let noise = Duration::from_micros(line.dice() * jitter_ms * 10);
            if let Some(arrived) = &mut outcome.arrived {
                *arrived = (*arrived + noise).max(last_arrival);
                last_arrival = *arrived;
            }
            outcomes.push(outcome);
        }
        if step % 100 == 99 {
            bwe.on_outcomes(line.now, &outcomes);
            outcomes.clear();
            lowest = lowest.min(bwe.estimate_bps());
        }
        line.now += Duration::from_millis(1);
    }
    lowest
}

#[test]
fn arrival_jitter_alone_does_not_take_the_bandwidth_away() {
    for jitter_ms in [2, 10, 20] {
        for video_bps in [0, 150_000, 2_500_000] {
            let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
            bwe.set_desired(2_500_000);
            let lowest = run_bursts(&mut line, &mut bwe, 30, video_bps, jitter_ms);
            assert!(lowest >= 4_000_000, "{jitter_ms} ms, {video_bps} bps: {lowest}");
        }
    }
}

#[test]
fn heavy_jitter_on_a_quiet_line_leaves_room_for_video() {
    let (mut line, mut bwe) = (Line::new(50_000_000), Bwe::default());
    bwe.set_desired(2_500_000);
    let lowest = run_bursts(&mut line, &mut bwe, 60, 0, 40);
    assert!(lowest > 1_000_000, "{lowest}");
}

#[test]
fn bursts_of_frames_find_the_rate_of_a_narrow_line_and_drain_its_queue() {
    for rate in [300_000, 800_000, 2_000_000] {
        let (mut line, mut bwe) = (Line::new(rate), Bwe::default());
        bwe.set_desired(2_500_000);
        run_bursts(&mut line, &mut bwe, 20, 2_500_000, 3);
        for _ in 0..20 {
            run_bursts(&mut line, &mut bwe, 1, 2_500_000, 3);
            let share = bwe.estimate_bps() as f64 / rate as f64;
            assert!((0.6..1.0).contains(&share), "{rate}: {share}");
            let queue = line.busy_until.saturating_duration_since(line.now);
            assert!(queue < Duration::from_millis(100), "{rate}: {queue:?}");
        }
    }
}

/// One thing that happens to an estimator.
#[derive(Debug, Clone)]
enum Happening {
    /// (milliseconds since the packet before, bytes, milliseconds on the way; none = lost)
    Feedback(Vec<(u64, u32, Option<u64>)>),
    Remb(u64),
    Carried(u64),
    Given(u64, u64),
    Probed(bool),
    LossTested(f64, f64),
    Time(u64),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let packet = (0u64..2_000, 0u32..70_000, prop::option::of(0u64..100_000));
    prop_oneof![
        6 => prop::collection::vec(packet, 0..60).prop_map(Happening::Feedback),
        1 => any::<u64>().prop_map(Happening::Remb),
        1 => any::<u64>().prop_map(Happening::Carried),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(desired, given)| Happening::Given(desired.into(), given.into())),
        1 => any::<bool>().prop_map(Happening::Probed),
        1 => (1.0f64..10.0, 0.0f64..=1.0).prop_map(|(ratio, share)| Happening::LossTested(ratio, share)),
        2 => (0u64..100_000).prop_map(Happening::Time),
    ]
}

proptest! {
    #[test]
    fn no_feedback_breaks_the_estimate(happenings in prop::collection::vec(any_happening(), 0..80)) {
        let start = Instant::now();
        let (mut now, mut bwe, mut sequence) = (start, Bwe::default(), 0);
        for happening in happenings {
            match happening {
                Happening::Feedback(packets) => {
                    let mut outcomes = vec![];
                    for (gap_ms, bytes, way_ms) in packets {
                        now += Duration::from_millis(gap_ms);
                        sequence += 1;
                        let arrived = way_ms.map(|way| (now - start) + Duration::from_millis(way));
                        outcomes.push(Outcome { sequence, sent: now, bytes, cluster: 0, arrived });
                    }
                    let before = bwe.estimate_bps();
                    let lowered = bwe.on_outcomes(now, &outcomes);
                    prop_assert!(!lowered || bwe.estimate_bps() <= before);
                }
                Happening::Remb(bps) => drop(bwe.on_remb(now, bps)),
                Happening::Carried(bps) => bwe.on_carried(bps),
                Happening::Given(desired, given) => {
                    bwe.set_desired(desired);
                    bwe.set_given(given);
                }
                Happening::Probed(probed) => bwe.set_probed(now, probed),
                Happening::LossTested(ratio, share) => bwe.on_loss_tested(now, ratio, share),
                Happening::Time(ms) => now += Duration::from_millis(ms),
            }
            prop_assert!((MIN_BPS..=MAX_BPS).contains(&bwe.estimate_bps()), "{}", bwe.estimate_bps());
        }
    }
}
