//! How long a wake-up waits for more to arrive before it begins to work.

use std::time::{Duration, Instant};

/// A wake-up that sent this many datagrams means fan-out: gathering may make its runs longer.
const FAN_OUT: u64 = 16;
/// How long after such a wake-up the next ones are gathered: longer than between two frames of slow video.
const FAN_OUT_LASTS: Duration = Duration::from_millis(120);
/// The part of the longest wait that is waited however long the work takes.
const LEAST: u32 = 2;
/// Datagrams that left in a message with others for which a sleep of the thread is paid back.
const WORTH: u64 = 8;
/// The share of the newest wake-up in what is remembered, one in so many.
const MEMORY: u64 = 8;
/// Wake-ups that begin at once before it is tried again whether waiting would pay.
const TRY_EVERY: u32 = 32;

pub struct Gather {
    most: Duration,
    until: Instant,
    /// Datagrams per gathered wake-up that shared a message with others, times [`MEMORY`].
    merged: u64,
    /// Wake-ups in a row that did not wait because it did not pay.
    skipped: u32,
    waited: bool,
}

impl Gather {
    /// `most`: the longest wait; zero = never.
    pub fn new(most: Duration, now: Instant) -> Gather {
        Gather { most, until: now, merged: WORTH * MEMORY, skipped: 0, waited: false }
    }

    /// Under fan-out, lets the rest of a frame arrive before the first of it is worked on: one wake-up, one flush, one
    /// run of packets per subscriber. The longer the work of a wake-up takes, the shorter the wait, so that the last
    /// subscriber's packets are not late: while one wake-up is worked on, those of the next gather by themselves.
    pub fn wait(&mut self, now: Instant, last_work: Duration) -> Duration {
        self.waited = false;
        if self.most.is_zero() || now >= self.until {
            return Duration::ZERO;
        }
        if self.merged < WORTH * MEMORY && self.skipped < TRY_EVERY {
            self.skipped += 1;
            return Duration::ZERO;
        }
        (self.skipped, self.waited) = (0, true);
        self.most.saturating_sub(last_work).max(self.most / LEAST)
    }

    /// The wake-up sent so many datagrams in so many messages.
    pub fn sent(&mut self, now: Instant, datagrams: u64, messages: u64) {
        if datagrams < FAN_OUT {
            return;
        }
        self.until = now + FAN_OUT_LASTS;
        if self.waited {
            self.merged = self.merged - self.merged / MEMORY + datagrams.saturating_sub(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(500);

    /// Wake-ups 2 ms apart that each send 50 datagrams; gives in how many of them it waited.
    fn waits(gather: &mut Gather, now: &mut Instant, wakeups: u32, messages: u64) -> u32 {
        let mut waits = 0;
        for _ in 0..wakeups {
            waits += u32::from(!gather.wait(*now, Duration::ZERO).is_zero());
            gather.sent(*now, 50, messages);
            *now += Duration::from_millis(2);
        }
        waits
    }

    #[test]
    fn without_fan_out_nothing_waits() {
        let mut now = Instant::now();
        let mut gather = Gather::new(MOST, now);
        for _ in 0..10 {
            assert_eq!(gather.wait(now, Duration::ZERO), Duration::ZERO);
            gather.sent(now, FAN_OUT - 1, 1);
            now += Duration::from_millis(1);
        }
        gather.sent(now, FAN_OUT, 1);
        assert_eq!(gather.wait(now + FAN_OUT_LASTS / 2, Duration::ZERO), MOST);
        assert_eq!(gather.wait(now + FAN_OUT_LASTS, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn waiting_that_brings_nothing_is_given_up_and_tried_again_now_and_then() {
        let mut now = Instant::now();
        let mut gather = Gather::new(MOST, now);
        waits(&mut gather, &mut now, 100, 50);
        assert_eq!(waits(&mut gather, &mut now, 10 * (TRY_EVERY + 1), 50), 10);
        waits(&mut gather, &mut now, 2 * (TRY_EVERY + 1), 5);
        assert_eq!(waits(&mut gather, &mut now, 100, 5), 100, "frames come again");
    }

    #[test]
    fn the_longer_the_work_the_shorter_the_wait() {
        let now = Instant::now();
        let mut gather = Gather::new(MOST, now);
        gather.sent(now, 50, 5);
        for (work, wait) in [(0, 500), (100, 400), (250, 250), (9_000, 250)] {
            assert_eq!(gather.wait(now, Duration::from_micros(work)), Duration::from_micros(wait));
        }
    }
}
