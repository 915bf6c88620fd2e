//! How many packets a second one peer may have forwarded: what comes beyond it costs a decryption, and nobody else.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

pub(crate) struct Pace {
    since: Instant,
    taken: u32,
    per_window: u32,
}

impl Pace {
    pub fn new(now: Instant, packets_per_s: u32) -> Pace {
        Pace { since: now, taken: 0, per_window: packets_per_s }
    }

    /// May one more authentic packet come in?
    pub fn admit(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            self.taken = 0;
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= self.per_window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_come_in_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 100);
        let admitted = |pace: &mut Pace, at: u64| {
            let now = start + Duration::from_millis(at);
            (0..250).filter(|_| pace.admit(now)).count()
        };
        assert_eq!(admitted(&mut pace, 0), 100);
        assert_eq!(admitted(&mut pace, 999), 0);
        assert_eq!(admitted(&mut pace, 1_000), 100);
        assert_eq!(admitted(&mut pace, 5_000), 100, "a pause saves nothing up");
    }
}
