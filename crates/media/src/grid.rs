//! The moments at which what bears to wait is done, for all peers of a shard at once: to wake a thread up costs more
//! than most of what it is woken up for.

use std::time::{Duration, Instant};

/// The longest that such a thing waits.
pub const STEP: Duration = Duration::from_millis(10);

/// The first moment of the grid, which has one at `origin`, at or after `at`.
pub fn at_or_after(origin: Instant, at: Instant) -> Instant {
    let step = STEP.as_nanos() as u64;
    let since = at.saturating_duration_since(origin).as_nanos() as u64;
    origin + Duration::from_nanos(since.div_ceil(step) * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_between_two_moments_waits_for_the_later() {
        let origin = Instant::now();
        let at = |us: u64| origin + Duration::from_micros(us);
        for (due, moment) in [(0, 0), (1, 10_000), (9_999, 10_000), (10_000, 10_000), (10_001, 20_000)] {
            assert_eq!(at_or_after(origin, at(due)), at(moment), "{due}");
        }
    }
}
