//! A token bucket with catch-up credit.
//!
//! Media leaves as fast as it comes while there is credit; a burst is at most one frame (so that it can leave as one GSO
//! run) or the credit saved up. Credit may go into debt by one burst, which the next visits pay back; time that was not
//! used to send is not lost, up to `CREDIT`: a late timer must not lower the rate.

use std::time::{Duration, Instant};

/// Credit that can be saved up, as time at the pacing rate.
const CREDIT: Duration = Duration::from_millis(40);

#[derive(Debug, Clone)]
pub struct Pacer {
    rate_bps: u64,
    /// Bits that may be sent now; negative is debt.
    credit_bits: i64,
    filled: Instant,
}

impl Pacer {
    pub fn new(rate_bps: u64, now: Instant) -> Pacer {
        let mut pacer = Pacer { rate_bps: rate_bps.max(1), credit_bits: 0, filled: now };
        pacer.credit_bits = pacer.full();
        pacer
    }

    pub fn set_rate(&mut self, now: Instant, rate_bps: u64) {
        self.fill(now);
        self.rate_bps = rate_bps.max(1);
        self.credit_bits = self.credit_bits.min(self.full());
    }

    /// May a burst start now?
    pub fn ready(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.credit_bits > 0
    }

    pub fn spend(&mut self, bytes: usize) {
        self.credit_bits = self.credit_bits.saturating_sub((bytes as i64).saturating_mul(8));
    }

    /// When `ready` will be true again.
    pub fn next_ready(&self) -> Instant {
        if self.credit_bits > 0 {
            return self.filled;
        }
        let missing = self.credit_bits.unsigned_abs() + 1;
        self.filled
            + Duration::from_nanos((u128::from(missing) * 1_000_000_000).div_ceil(u128::from(self.rate_bps)) as u64)
    }

    fn full(&self) -> i64 {
        (u128::from(self.rate_bps) * CREDIT.as_nanos() / 1_000_000_000) as i64
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled);
        let earned = u128::from(self.rate_bps) * elapsed.as_nanos() / 1_000_000_000;
        if earned == 0 {
            return; // Keep the fraction: frequent visits must not round the rate down.
        }
        self.filled = now;
        self.credit_bits = self.credit_bits.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(self.full());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_frame_may_leave_as_one_burst_and_is_paid_back() {
        let start = Instant::now();
        let mut pacer = Pacer::new(1_000_000, start);
        assert!(pacer.ready(start));
        pacer.spend(12_000); // 96 kbit against 40 kbit of credit: 56 ms of debt
        assert!(!pacer.ready(start + 50 * MS));
        assert!(pacer.ready(pacer.next_ready()));
        assert!(pacer.next_ready() <= start + 60 * MS);
    }

    #[test]
    fn a_late_visit_catches_up() {
        let start = Instant::now();
        let mut pacer = Pacer::new(8_000_000, start);
        pacer.spend(40_000); // all credit gone: 320 kbit
        let mut sent = 0;
        let late = start + 30 * MS;
        while pacer.ready(late) {
            pacer.spend(1_000);
            sent += 1_000;
        }
        assert!(sent >= 30_000, "30 ms at 8 Mbit/s are 30 kB, sent {sent}");
    }

    proptest! {
        #[test]
        fn the_long_run_rate_is_held(gaps in prop::collection::vec(1u64..30_000, 200), rate in 200_000u64..20_000_000) {
            let start = Instant::now();
            let mut pacer = Pacer::new(rate, start);
            let (mut now, mut bits) = (start, 0u64);
            for gap in gaps {
                now += Duration::from_micros(gap);
                while pacer.ready(now) {
                    pacer.spend(1_000);
                    bits += 8_000;
                }
            }
            let elapsed = (now - start + CREDIT).as_secs_f64();
            prop_assert!(bits as f64 <= rate as f64 * elapsed + 8_000.0);
            prop_assert!(bits as f64 >= rate as f64 * (now - start).as_secs_f64() - 8_000.0);
        }
    }
}
