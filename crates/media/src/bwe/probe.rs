//! Probing for more bandwidth: padding at a known rate, and whether it arrived at that rate.
//!
//! A subscriber that gets less than it wants is probed for its next step up. One that carries the probe gets the step;
//! after one that does not, the next waits: 3 s, and half as long again each time, up to 7 s: a line that widens is found
//! within ten seconds, and a probe takes so little of one that does not that nobody sees or hears it. For the same reason
//! a line that was full at some rate is first asked for a little more than that; if it carries it, for the rest at once.

use std::time::{Duration, Instant};

use crate::wire::twcc::Outcome;

/// A probe is this much more than what it is for.
const OVER_GOAL_PERCENT: u64 = 120;
/// At most this much above what is sent now: a probe must not fill the queue of a line that cannot carry it.
const MOST_PERCENT: u64 = 220;
/// At most this much of what the line delivered when it was last full.
const MOST_OF_FULL_PERCENT: u64 = 130;
const LEAST_EXTRA_BPS: u64 = 200_000;
const LENGTH: Duration = Duration::from_millis(250);
/// Padding leaves in portions this far apart.
const PORTION: Duration = Duration::from_millis(10);
/// Feedback about the last packets takes this long besides the round trip.
const PATIENCE: Duration = Duration::from_millis(250);
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(500);
/// From fewer packets no share of loss is told.
const LEAST_PACKETS: u32 = 15;
/// This share of the packets, and of the rate, must arrive.
const ARRIVED: f64 = 0.9;
const FIRST_BACKOFF: Duration = Duration::from_secs(3);
const LONGEST_BACKOFF: Duration = Duration::from_secs(7);
/// A step that a probe gained is kept for so long, else the line took it back; then the next wait is this, and twice as
/// long each time in a row.
const HELD: Duration = Duration::from_secs(20);
const FIRST_RELAPSE: Duration = Duration::from_secs(5);
const LONGEST_RELAPSE: Duration = Duration::from_secs(60);
/// Rates of the same step differ by so much.
const SAME_STEP_PERCENT: u64 = 110;
/// What a probe carried is what the next one starts from, for so long.
const PROVEN_FOR: Duration = Duration::from_secs(2);
/// A test of whether loss depends on the rate sends this much of what is sent without it.
const TEST_PERCENT: u64 = 150;
/// Between probes that went well.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// To carry this much, where this much is known to be carried.
    Rise { goal_bps: u64, from_bps: u64 },
    /// To see what is lost of so many times as much.
    Loss { ratio: f64 },
}

#[derive(Debug)]
struct Cluster {
    id: u32,
    purpose: Purpose,
    /// Padding, in bits per second.
    rate_bps: u64,
    began: Instant,
    /// Padding was sent for the time until then.
    paid: Instant,
    sent: u32,
    /// Of everything sent meanwhile, media too.
    packets: u32,
    arrived: u32,
    bytes: u64,
    first: Option<Duration>,
    last: Duration,
    first_bytes: u64,
}

#[derive(Debug)]
pub struct Prober {
    cluster: Option<Cluster>,
    ids: u32,
    not_before: Option<Instant>,
    backoff: Duration,
    /// What the last probe carried, and when.
    proven: Option<(Instant, u64)>,
    /// The step that was gained last: when, and what it was to carry.
    gained: Option<(Instant, u64)>,
    /// The wait after the last step that was taken back.
    relapse: Duration,
    /// Share that the line loses whatever is sent, 0..=1.
    line_loss: f64,
}

impl Default for Prober {
    fn default() -> Self {
        Prober {
            cluster: None,
            ids: 0,
            not_before: None,
            backoff: FIRST_BACKOFF,
            proven: None,
            gained: None,
            relapse: Duration::ZERO,
            line_loss: 0.0,
        }
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// The line carried this many bits per second.
    Carried(u64),
    /// It did not; the next probe is this far away.
    TooMuch(Duration),
    /// Of `ratio` times as much this share was lost.
    Lost { ratio: f64, share: f64 },
    /// A test of the loss could not tell.
    Untold,
}

impl Prober {
    /// Starts a probe, if it is time for one: the subscriber uses `sent_bps` and `goal_bps` would let it rise. `full_at_bps`
    /// is what the line delivered when it was last full.
    pub fn start(&mut self, now: Instant, sent_bps: u64, goal_bps: u64, full_at_bps: Option<u64>) {
        self.rest_after_relapse(now, goal_bps);
        if self.cluster.is_some() || self.not_before.is_some_and(|at| now < at) {
            return;
        }
        let proven = self.proven.filter(|(at, _)| now.saturating_duration_since(*at) < PROVEN_FOR);
        let base_bps = proven.map_or(sent_bps, |(_, bps)| bps.max(sent_bps));
        let most = (base_bps * MOST_PERCENT / 100).max(base_bps + LEAST_EXTRA_BPS);
        let most = full_at_bps.map_or(most, |full| most.min(full * MOST_OF_FULL_PERCENT / 100));
        let total = (goal_bps * OVER_GOAL_PERCENT / 100).min(most).max(sent_bps + LEAST_EXTRA_BPS);
        // So much has to arrive; of what is lost on the way more has to be sent.
        let extra = ((total - sent_bps) as f64 / (1.0 - self.line_loss)) as u64;
        self.begin(now, extra, Purpose::Rise { goal_bps, from_bps: base_bps });
    }

    /// Waits before a step is tried again that was gained and not kept: a short probe passed where its layer does not, and
    /// a picture that changes size ever again is worse than a smaller one.
    fn rest_after_relapse(&mut self, now: Instant, goal_bps: u64) {
        let same = |gained: u64| goal_bps <= gained * SAME_STEP_PERCENT / 100;
        let Some((at, _)) = self.gained.filter(|(_, gained)| same(*gained)) else { return };
        self.gained = None;
        let held = now.saturating_duration_since(at) >= HELD;
        self.relapse = if held { Duration::ZERO } else { (self.relapse * 2).clamp(FIRST_RELAPSE, LONGEST_RELAPSE) };
        self.not_before = self.not_before.max(Some(now + self.relapse));
    }

    /// Starts a test of whether loss depends on the rate, unless a probe runs. `sent_bps` is what is sent without it.
    pub fn test_loss(&mut self, now: Instant, sent_bps: u64) {
        if self.cluster.is_some() || sent_bps == 0 {
            return;
        }
        let extra = (sent_bps * (TEST_PERCENT - 100) / 100).max(LEAST_EXTRA_BPS);
        self.begin(now, extra, Purpose::Loss { ratio: (sent_bps + extra) as f64 / sent_bps as f64 });
    }

    /// Tells the share that the line loses whatever is sent, 0..=1.
    pub fn set_line_loss(&mut self, share: f64) {
        self.line_loss = share.clamp(0.0, 0.5);
    }

    fn begin(&mut self, now: Instant, rate_bps: u64, purpose: Purpose) {
        self.ids = self.ids.wrapping_add(1).max(1);
        self.cluster = Some(Cluster {
            id: self.ids,
            purpose,
            rate_bps,
            began: now,
            paid: now,
            sent: 0,
            packets: 0,
            arrived: 0,
            bytes: 0,
            first: None,
            last: Duration::ZERO,
            first_bytes: 0,
        });
    }

    /// Is padding being sent, or the outcome awaited?
    pub fn is_running(&self) -> bool {
        self.cluster.is_some()
    }

    /// When there is something to do.
    pub fn due(&self) -> Option<Instant> {
        let cluster = self.cluster.as_ref()?;
        let end = cluster.began + LENGTH;
        // The round trip, when it is long, comes on top.
        Some(if cluster.paid < end { (cluster.paid + PORTION).min(end) } else { end + PATIENCE + LONGEST_ROUND_TRIP })
    }

    /// Id and bytes of the padding to send now.
    pub fn portion(&mut self, now: Instant) -> Option<(u32, usize)> {
        let cluster = self.cluster.as_mut()?;
        let until = now.min(cluster.began + LENGTH);
        let elapsed = until.saturating_duration_since(cluster.paid);
        if elapsed < PORTION && until == now {
            return None;
        }
        cluster.paid = until;
        let bytes = u128::from(cluster.rate_bps) * elapsed.as_micros() / 8_000_000;
        (bytes > 0).then_some((cluster.id, bytes as usize))
    }

    /// So many packets of padding were sent.
    pub fn on_sent(&mut self, packets: u32) {
        if let Some(cluster) = &mut self.cluster {
            cluster.sent += packets;
        }
    }

    /// Takes what became of packets, in sending order.
    pub fn on_outcomes(&mut self, outcomes: &[Outcome]) {
        let Some(cluster) = &mut self.cluster else { return };
        for outcome in outcomes {
            if outcome.sent < cluster.began || outcome.sent > cluster.began + LENGTH {
                continue;
            }
            cluster.packets += 1;
            let Some(arrived) = outcome.arrived else { continue };
            cluster.arrived += 1;
            cluster.bytes += u64::from(outcome.bytes);
            if cluster.first.is_none() {
                (cluster.first, cluster.first_bytes) = (Some(arrived), u64::from(outcome.bytes));
            }
            cluster.last = cluster.last.max(arrived);
        }
    }

    /// Ends a probe that took its time, or that `congested` the line.
    pub fn conclude(&mut self, now: Instant, round_trip: Duration, congested: bool) -> Option<Finding> {
        let cluster = self.cluster.as_ref()?;
        let over = now >= cluster.began + LENGTH + PATIENCE + round_trip.min(LONGEST_ROUND_TRIP);
        if !over && !congested {
            return None;
        }
        let cluster = self.cluster.take()?;
        if !congested && cluster.sent == 0 {
            // There was no packet to probe with; nothing is known.
            self.not_before = Some(now + PAUSE);
            return None;
        }
        let (goal_bps, from_bps) = match cluster.purpose {
            Purpose::Rise { goal_bps, from_bps } => (goal_bps, from_bps),
            // A full line loses for another reason.
            Purpose::Loss { ratio } => {
                let share = cluster.lost().filter(|_| !congested);
                return Some(share.map_or(Finding::Untold, |share| Finding::Lost { ratio, share }));
            }
        };
        let carried = if congested { None } else { cluster.carried(self.line_loss) };
        Some(match carried {
            Some(bps) => {
                // A part of the way is none for the subscriber; else a line that carries that part were probed ever on.
                if bps >= goal_bps {
                    self.backoff = FIRST_BACKOFF;
                    self.gained = Some((now, goal_bps));
                }
                self.proven = Some((now, bps));
                self.not_before = match (bps >= goal_bps, bps >= from_bps * SAME_STEP_PERCENT / 100) {
                    (true, _) => Some(now + PAUSE),
                    // The rest of the way is probed at once.
                    (false, true) => None,
                    (false, false) => Some(now + self.backoff),
                };
                Finding::Carried(bps)
            }
            None => {
                let wait = self.backoff;
                self.not_before = Some(now + wait);
                self.backoff = (self.backoff * 3 / 2).min(LONGEST_BACKOFF);
                Finding::TooMuch(wait)
            }
        })
    }
}

impl Cluster {
    /// Share of the packets that did not arrive, 0..=1, if there were enough.
    fn lost(&self) -> Option<f64> {
        (self.packets >= LEAST_PACKETS).then(|| 1.0 - f64::from(self.arrived) / f64::from(self.packets))
    }

    /// What arrived per second, if that was nearly all that was sent and not lost whatever is sent.
    fn carried(&self, line_loss: f64) -> Option<u64> {
        let span = self.last.checked_sub(self.first?)?;
        let all = f64::from(self.arrived) >= ARRIVED * (1.0 - line_loss) * f64::from(self.packets);
        // As long in coming as in leaving: nothing queued up.
        let slowest = LENGTH.mul_f64(1.0 / ARRIVED);
        if !all || self.arrived < 5 || span > slowest {
            return None;
        }
        let bits = self.bytes.saturating_sub(self.first_bytes) * 8;
        Some((bits as f64 / span.max(LENGTH / 2).as_secs_f64()) as u64)
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Probes a line of this rate for `goal` while `sent` is used. Gives the finding.
    fn probe(prober: &mut Prober, now: &mut Instant, line_bps: u64, sent_bps: u64, goal_bps: u64) -> Option<Finding> {
        let start = *now;
        prober.start(start, sent_bps, goal_bps, None);
        let (mut outcomes, mut busy) = (Vec::new(), Duration::ZERO);
        for step in 0..600u64 {
            *now = start + MS * step as u32;
            let mut send = |bytes: u64, cluster: u32| {
                let at = Duration::from_millis(step);
                busy = busy.max(at) + Duration::from_nanos(bytes * 8_000_000_000 / line_bps);
                let arrived = Some(Duration::from_secs(9) + busy);
                outcomes.push(Outcome { sequence: 0, sent: *now, bytes: bytes as u32, cluster, arrived });
            };
            send(sent_bps / 8_000, 0);
            if let Some((cluster, mut bytes)) = prober.portion(*now) {
                while bytes > 0 {
                    send(255.min(bytes) as u64, cluster);
                    bytes = bytes.saturating_sub(255);
                    prober.on_sent(1);
                }
            }
        }
        prober.on_outcomes(&outcomes);
        *now += 500 * MS;
        prober.conclude(*now, 50 * MS, false)
    }

    #[test]
    fn a_line_with_room_carries_the_goal_and_a_fifth_more() {
        let (mut prober, mut now) = (Prober::default(), Instant::now());
        let found = probe(&mut prober, &mut now, 10_000_000, 500_000, 800_000);
        let Some(Finding::Carried(bps)) = found else { panic!("{found:?}") };
        assert!((850_000..1_050_000).contains(&bps), "{bps}");
    }

    #[test]
    fn a_probe_far_above_what_is_sent_goes_there_in_steps() {
        let (mut prober, mut now) = (Prober::default(), Instant::now());
        let found = probe(&mut prober, &mut now, 10_000_000, 500_000, 5_000_000);
        let Some(Finding::Carried(bps)) = found else { panic!("{found:?}") };
        assert!(bps < 1_250_000, "{bps}");
    }

    #[test]
    fn a_line_that_was_full_is_asked_for_a_little_more_and_then_for_the_rest_at_once() {
        let (mut prober, now) = (Prober::default(), Instant::now());
        prober.start(now, 350_000, 1_500_000, Some(500_000));
        assert_eq!(prober.cluster.as_ref().map(|cluster| cluster.rate_bps), Some(300_000));
        let (mut prober, mut now) = (Prober::default(), now);
        let found = probe(&mut prober, &mut now, 10_000_000, 350_000, 1_500_000);
        let Some(Finding::Carried(bps)) = found else { panic!("{found:?}") };
        assert!(bps < 1_500_000, "{bps}");
        prober.start(now, 350_000, 1_500_000, None);
        assert!(prober.is_running());
    }

    #[test]
    fn a_narrow_line_is_left_alone_longer_each_time() {
        let (mut prober, mut now) = (Prober::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..12 {
            let Some(Finding::TooMuch(wait)) = probe(&mut prober, &mut now, 550_000, 500_000, 900_000) else {
                panic!("the line is too narrow")
            };
            waits.push(wait.as_millis());
            assert_eq!(probe(&mut prober, &mut now.clone(), 550_000, 500_000, 900_000), None, "not so soon");
            now += wait;
        }
        assert_eq!(waits.get(..4), Some(&[3_000, 4_500, 6_750, 7_000][..]));
        assert_eq!(waits.last(), Some(&7_000));
    }

    #[test]
    fn a_step_that_was_gained_and_taken_back_is_tried_less_often_each_time() {
        let (mut prober, mut now) = (Prober::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let found = probe(&mut prober, &mut now, 10_000_000, 500_000, 800_000);
            assert!(matches!(found, Some(Finding::Carried(_))), "{found:?}");
            now += Duration::from_secs(3);
            let relapsed = now;
            while prober.cluster.is_none() {
                now += 100 * MS;
                prober.start(now, 500_000, 800_000, None);
            }
            waits.push((now - relapsed).as_secs());
            prober.cluster = None;
        }
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn congestion_ends_a_probe_at_once() {
        let (mut prober, now) = (Prober::default(), Instant::now());
        prober.start(now, 500_000, 900_000, None);
        assert_eq!(prober.conclude(now + 60 * MS, 50 * MS, true), Some(Finding::TooMuch(FIRST_BACKOFF)));
        assert_eq!(prober.due(), None);
    }
}
