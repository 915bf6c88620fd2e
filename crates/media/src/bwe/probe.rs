//! Probing for more bandwidth: padding at a known rate, and whether it arrived at that rate.
//!
//! A subscriber that gets less than it wants is probed for its next step up. One that carries the probe gets the step;
//! after one that does not, the next waits: 3 s, and half as long again each time, up to 2 min (LiveKit's figures).

use std::time::{Duration, Instant};

use crate::wire::twcc::Outcome;

/// A probe is this much more than what it is for.
const OVER_GOAL_PERCENT: u64 = 120;
/// At most this much above what is sent now: a probe must not fill the queue of a line that cannot carry it.
const MOST_PERCENT: u64 = 220;
const LEAST_EXTRA_BPS: u64 = 200_000;
const LENGTH: Duration = Duration::from_millis(250);
/// Padding leaves in portions this far apart.
const PORTION: Duration = Duration::from_millis(10);
/// Feedback about the last packets takes this long besides the round trip.
const PATIENCE: Duration = Duration::from_millis(250);
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(500);
/// This share of the packets, and of the rate, must arrive.
const ARRIVED: f64 = 0.9;
const FIRST_BACKOFF: Duration = Duration::from_secs(3);
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);
/// Between probes that went well.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Cluster {
    id: u32,
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
}

impl Default for Prober {
    fn default() -> Self {
        Prober { cluster: None, ids: 0, not_before: None, backoff: FIRST_BACKOFF }
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The line carried this many bits per second.
    Carried(u64),
    /// It did not; the next probe is this far away.
    TooMuch(Duration),
}

impl Prober {
    /// Starts a probe, if it is time for one: the subscriber uses `sent_bps` and `goal_bps` would let it rise.
    pub fn start(&mut self, now: Instant, sent_bps: u64, goal_bps: u64) {
        if self.cluster.is_some() || self.not_before.is_some_and(|at| now < at) {
            return;
        }
        let most = (sent_bps * MOST_PERCENT / 100).max(sent_bps + LEAST_EXTRA_BPS);
        let total = (goal_bps * OVER_GOAL_PERCENT / 100).min(most).max(sent_bps + LEAST_EXTRA_BPS);
        self.ids = self.ids.wrapping_add(1).max(1);
        self.cluster = Some(Cluster {
            id: self.ids,
            rate_bps: total - sent_bps,
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
        let carried = if congested { None } else { cluster.carried() };
        Some(match carried {
            Some(bps) => {
                self.backoff = FIRST_BACKOFF;
                self.not_before = Some(now + PAUSE);
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
    /// What arrived per second, if that was nearly all that was sent.
    fn carried(&self) -> Option<u64> {
        let span = self.last.checked_sub(self.first?)?;
        let all = f64::from(self.arrived) >= ARRIVED * f64::from(self.packets);
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
        prober.start(start, sent_bps, goal_bps);
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
        assert_eq!(waits.get(..4), Some(&[3_000, 4_500, 6_750, 10_125][..]));
        assert_eq!(waits.last(), Some(&120_000));
    }

    #[test]
    fn congestion_ends_a_probe_at_once() {
        let (mut prober, now) = (Prober::default(), Instant::now());
        prober.start(now, 500_000, 900_000);
        assert_eq!(prober.conclude(now + 60 * MS, 50 * MS, true), Some(Finding::TooMuch(FIRST_BACKOFF)));
        assert_eq!(prober.due(), None);
    }
}
