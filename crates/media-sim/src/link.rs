//! One direction of a path: loss, rate with a drop-tail queue, delay, jitter, reordering, duplication.
//!
//! Media, reports and the rest have their luck apart: how many packets one of them takes changes nothing for the others.

use std::time::{Duration, Instant};

use crate::rng::Rng;

/// How packets get lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    None,
    /// Each packet independently.
    Random(f64),
    /// Gilbert-Elliott: probability per packet to enter and to leave a burst, in which everything is lost.
    Burst {
        enter: f64,
        leave: f64,
    },
}

/// What a packet is of, as the bytes tell that encryption leaves in the clear (RFC 7983, RFC 5761).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Media,
    Reports,
    /// STUN, DTLS, SCTP.
    Other,
}

impl Class {
    pub fn of(datagram: &[u8]) -> Class {
        match datagram {
            [128..=191, 192..=223, ..] => Class::Reports,
            [128..=191, ..] => Class::Media,
            _ => Class::Other,
        }
    }
}

/// What a link does to packets. The default is perfect and immediate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    pub loss: Loss,
    /// Bits per second; `None` = without limit.
    pub rate_bps: Option<u64>,
    /// Bytes that may wait for the rate; what does not fit is lost.
    pub queue_bytes: usize,
    pub delay: Duration,
    /// Added to the delay, uniformly between zero and this; order is kept.
    pub jitter: Duration,
    /// Probability that a packet takes `reorder_by` longer, and so is overtaken.
    pub reorder: f64,
    pub reorder_by: Duration,
    pub duplicate: f64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        LinkConfig {
            loss: Loss::None,
            rate_bps: None,
            queue_bytes: 64 * 1024,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: 0.0,
            reorder_by: Duration::from_millis(20),
            duplicate: 0.0,
        }
    }
}

impl LinkConfig {
    /// A usual access line: 20 ms, a little jitter, no loss.
    pub fn line() -> LinkConfig {
        LinkConfig { delay: Duration::from_millis(20), jitter: Duration::from_millis(2), ..LinkConfig::default() }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    pub sent: u64,
    pub sent_bytes: u64,
    pub lost: u64,
    /// Did not fit into the queue.
    pub overflowed: u64,
    pub duplicated: u64,
    pub reordered: u64,
}

#[derive(Debug)]
pub struct Link {
    pub config: LinkConfig,
    pub counters: LinkCounters,
    /// By [`Class`].
    luck: [Rng; 3],
    in_burst: bool,
    /// When the last queued byte will have been serialised.
    busy_until: Option<Instant>,
    /// No packet arrives before this unless it was chosen to be reordered.
    last_arrival: Option<Instant>,
}

impl Link {
    pub fn new(config: LinkConfig, mut rng: Rng) -> Link {
        let luck = [rng.fork(), rng.fork(), rng.fork()];
        Link { config, counters: LinkCounters::default(), luck, in_burst: false, busy_until: None, last_arrival: None }
    }

    /// When a packet of this size, sent now, arrives: never, once, or twice.
    pub fn send(&mut self, now: Instant, class: Class, bytes: usize) -> [Option<Instant>; 2] {
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes as u64;
        if self.loses(class) {
            self.counters.lost += 1;
            return [None, None];
        }
        let Some(serialised) = self.serialise(now, bytes) else {
            self.counters.overflowed += 1;
            return [None, None];
        };
        let mut arrival = serialised + self.config.delay + self.config.jitter.mul_f64(self.luck(class).unit());
        if self.chance(class, self.config.reorder) {
            self.counters.reordered += 1;
            arrival += self.config.reorder_by;
        } else {
            arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
            self.last_arrival = Some(arrival);
        }
        let copy = self.chance(class, self.config.duplicate).then(|| arrival + Duration::from_micros(100));
        self.counters.duplicated += u64::from(copy.is_some());
        [Some(arrival), copy]
    }

    fn luck(&mut self, class: Class) -> &mut Rng {
        let [media, reports, other] = &mut self.luck;
        match class {
            Class::Media => media,
            Class::Reports => reports,
            Class::Other => other,
        }
    }

    fn chance(&mut self, class: Class, probability: f64) -> bool {
        self.luck(class).chance(probability)
    }

    fn loses(&mut self, class: Class) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random(probability) => self.chance(class, probability),
            Loss::Burst { enter, leave } => {
                let flips = self.chance(class, if self.in_burst { leave } else { enter });
                self.in_burst ^= flips;
                self.in_burst
            }
        }
    }

    /// When the packet has left the queue; `None` when the queue is full.
    fn serialise(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate_bps else { return Some(now) };
        let free_at = self.busy_until.map_or(now, |busy| busy.max(now));
        let waiting = free_at.saturating_duration_since(now).as_secs_f64() * rate as f64 / 8.0;
        if waiting + bytes as f64 > self.config.queue_bytes as f64 {
            return None;
        }
        let done = free_at + Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        self.busy_until = Some(done);
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(config: LinkConfig, count: u32, every: Duration) -> (Vec<Duration>, LinkCounters) {
        let start = Instant::now();
        let mut link = Link::new(config, Rng::new(7));
        let mut seen = Vec::new();
        for number in 0..count {
            seen.extend(
                link.send(start + every * number, Class::Media, 1000).into_iter().flatten().map(|at| at - start),
            );
        }
        (seen, link.counters)
    }

    #[test]
    fn random_loss_loses_about_what_was_asked_and_the_same_with_the_same_seed() {
        let config = LinkConfig { loss: Loss::Random(0.2), ..LinkConfig::default() };
        let (seen, counters) = arrivals(config, 10_000, Duration::from_millis(1));
        assert!((1_800..2_200).contains(&counters.lost), "{}", counters.lost);
        assert_eq!(seen.len() as u64, 10_000 - counters.lost);
        assert_eq!(arrivals(config, 10_000, Duration::from_millis(1)).0, seen);
    }

    #[test]
    fn bursts_lose_neighbours() {
        let config = LinkConfig { loss: Loss::Burst { enter: 0.01, leave: 0.25 }, ..LinkConfig::default() };
        let (seen, counters) = arrivals(config, 10_000, Duration::from_millis(1));
        let gaps = seen.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(1)).count() as u64;
        assert!(counters.lost > 2 * gaps, "{} lost in {gaps} gaps", counters.lost);
    }

    #[test]
    fn a_narrow_link_delays_up_to_its_queue_and_then_drops() {
        let config = LinkConfig { rate_bps: Some(800_000), queue_bytes: 10_000, ..LinkConfig::default() };
        // 1,000 bytes take 10 ms; twice as many are offered.
        let (seen, counters) = arrivals(config, 200, Duration::from_millis(5));
        assert!(seen.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(9)));
        assert!((80..120).contains(&counters.overflowed), "{}", counters.overflowed);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = LinkConfig { jitter: Duration::from_millis(30), ..LinkConfig::default() };
        assert!(arrivals(jitter, 1000, Duration::from_millis(1)).0.is_sorted());
        let reorder = LinkConfig { reorder: 0.1, ..LinkConfig::default() };
        let (seen, counters) = arrivals(reorder, 1000, Duration::from_millis(1));
        assert!(!seen.is_sorted() && counters.reordered > 50);
    }
}
