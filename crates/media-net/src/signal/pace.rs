//! How fast messages of a client are taken.

use std::time::{Duration, Instant};

/// A token bucket: `burst` messages at once, `per_s` in the long run.
#[derive(Debug)]
pub struct Pace {
    burst: f64,
    per_s: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    pub fn new(burst: u32, per_s: u32, now: Instant) -> Pace {
        Pace { burst: f64::from(burst), per_s: f64::from(per_s.max(1)), left: f64::from(burst), at: now }
    }

    /// Takes one; how long to wait before the next may be taken.
    pub fn take(&mut self, now: Instant) -> Option<Duration> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_s;
        self.left = self.burst.min(self.left + earned) - 1.0;
        self.at = now;
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / self.per_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(3, 10, start);
        assert!((0..3).all(|_| pace.take(start).is_none()));
        assert_eq!(pace.take(start), Some(Duration::from_millis(100)));
        assert_eq!(pace.take(start), Some(Duration::from_millis(200)));
        assert_eq!(pace.take(start + Duration::from_millis(300)), None);
    }

    #[test]
    fn whoever_waits_long_gets_one_burst_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(2, 10, start);
        let later = start + Duration::from_secs(3600);
        assert!((0..2).all(|_| pace.take(later).is_none()));
        assert!(pace.take(later).is_some());
    }
}
