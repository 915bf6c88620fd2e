//! Loss that does not depend on how much is sent: a bad radio link, not a full line. To send less would not lower it.
//!
//! While nothing queues up, loss has two causes that look alike at one rate: packets lost by chance, and a policer that
//! drops what exceeds its rate. They differ at a higher one. By chance the share stays what it is; of a policer's rate no
//! more arrives, so the share rises. So the line is tested with padding for a moment before the rate is lowered. (The
//! loss-based estimator of libwebrtc asks the same question of the rates that it happened to send at.)
//!
//! A line that was seen to let wait what it could not carry needs no test: it is no policer, and a test would fill it.

use std::time::{Duration, Instant};

use super::rate::LossShare;

/// Loss above this calls for a test, if so much is lost twice in a row.
const LEAST: f64 = 0.02;
/// More than this beyond what is known is not tested, but answered at once.
const MOST_UNTESTED: f64 = 0.35;
/// No line that loses more than this is believed to do so by chance.
const MOST: f64 = 0.35;
/// A test that has not told by then tells nothing any more.
const TEST_WITHIN: Duration = Duration::from_secs(2);
/// What a test found to depend on the rate is not tested again before.
const REFUTED_FOR: Duration = Duration::from_secs(10);
/// After one that could not tell, the next is not before.
const UNTOLD_FOR: Duration = Duration::from_secs(3);
/// What a test found holds for so long.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Weight of the newest share.
const SMOOTHING: f64 = 0.1;
/// Beyond this many standard deviations of a window, and this much, a share is another.
const DEVIATIONS: f64 = 2.0;
const MARGIN: f64 = 0.01;

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Nothing is known, or nothing is lost.
    Quiet,
    /// So much was lost for one window.
    Seen,
    /// A test is wanted, and for how long its outcome is awaited.
    Asked { until: Instant },
    /// The loss depends on the rate.
    Refuted { until: Instant },
    /// It does not; tested until then.
    Known { until: Instant },
}

/// What was seen of the line's queue.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// It was not so long in this window that it may have overflowed.
    pub flat: bool,
    /// The line lets wait what it cannot carry.
    pub queues: bool,
}

#[derive(Debug)]
pub struct LineLoss {
    state: State,
    /// Share that is lost whatever is sent, 0..=1.
    share: f64,
    /// Of the window before, or the one that a test is compared with.
    before: f64,
}

impl Default for LineLoss {
    fn default() -> Self {
        LineLoss { state: State::Quiet, share: 0.0, before: 0.0 }
    }
}

impl LineLoss {
    /// Share that is lost whatever is sent, 0..=1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The share of this window that is lost by sending too much, as far as is known. `matters` = the subscriber does not
    /// get all it wants, so that light loss holds it down.
    pub fn excess(&mut self, now: Instant, window: LossShare, seen: Seen, matters: bool) -> f64 {
        let Seen { flat, queues } = seen;
        let beyond = window.share - self.share - MARGIN - DEVIATIONS * window.deviation(self.share);
        if self.share > 0.0 && beyond <= 0.0 {
            if flat {
                self.follow(now, window.share, queues);
            }
            return 0.0;
        }
        let much = window.share > if matters { LEAST } else { super::HIGH_LOSS };
        if !flat || !much || beyond > MOST_UNTESTED {
            if matches!(self.state, State::Seen) || (flat && !much && !matches!(self.state, State::Asked { .. })) {
                self.state = State::Quiet;
            }
            return if much { window.share - self.share } else { window.share };
        }
        self.state = match self.state {
            State::Quiet | State::Known { .. } => {
                self.before = window.share;
                State::Seen
            }
            State::Seen if queues => {
                self.share = self.before.midpoint(window.share).min(MOST);
                State::Known { until: now + KNOWN_FOR }
            }
            State::Seen => {
                self.before = window.share;
                State::Asked { until: now + TEST_WITHIN }
            }
            State::Asked { until } if now >= until => State::Refuted { until: now + REFUTED_FOR },
            State::Refuted { until } if now >= until => State::Seen,
            state => state,
        };
        match self.state {
            State::Refuted { .. } => window.share - self.share,
            // Until the test has told.
            _ => 0.0,
        }
    }

    /// The share changes slowly with what is lost; after a while it is tested anew.
    fn follow(&mut self, now: Instant, share: f64, queues: bool) {
        self.share = (self.share + SMOOTHING * (share - self.share)).min(MOST);
        match self.state {
            _ if self.share < LEAST / 2.0 => *self = LineLoss::default(),
            State::Known { until } if now >= until && queues => self.state = State::Known { until: now + KNOWN_FOR },
            State::Known { until } if now >= until => {
                self.before = self.share;
                self.state = State::Asked { until: now + TEST_WITHIN };
            }
            State::Asked { until } if now >= until => self.state = State::Known { until: now + KNOWN_FOR },
            State::Seen => self.state = State::Known { until: now + KNOWN_FOR },
            _ => {}
        }
    }

    /// Is the line to be tested? Gives the share that is lost without the test.
    pub fn in_doubt(&self) -> Option<f64> {
        matches!(self.state, State::Asked { .. }).then_some(self.before)
    }

    /// The line was full during the test, or there was too little to tell from.
    pub fn on_untold(&mut self, now: Instant) {
        if matches!(self.state, State::Asked { .. }) {
            self.state = State::Refuted { until: now + UNTOLD_FOR };
        }
    }

    /// A test sent `ratio` times as much, and of that this share was lost.
    pub fn on_tested(&mut self, now: Instant, ratio: f64, share: f64) {
        if !matches!(self.state, State::Asked { .. }) {
            return;
        }
        let policed = 1.0 - (1.0 - self.before) / ratio.max(1.0);
        if share < (self.before + policed) / 2.0 {
            self.share = ((self.before + share) / 2.0).min(MOST);
            self.state = State::Known { until: now + KNOWN_FOR };
        } else {
            self.share = 0.0;
            self.state = State::Refuted { until: now + REFUTED_FOR };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(500);

    const FLAT: Seen = Seen { flat: true, queues: false };

    fn window(share: f64) -> LossShare {
        LossShare { share, packets: 100 }
    }

    /// A line in doubt about this share, and when.
    fn asked(share: f64) -> (LineLoss, Instant) {
        let (mut loss, now) = (LineLoss::default(), Instant::now());
        assert_eq!(loss.excess(now, window(share), FLAT, false), 0.0, "one window tells nothing yet");
        assert_eq!(loss.in_doubt(), None);
        assert_eq!(loss.excess(now + WINDOW, window(share), FLAT, false), 0.0);
        assert_eq!(loss.in_doubt(), Some(share));
        (loss, now + WINDOW)
    }

    #[test]
    fn what_a_line_with_a_queue_loses_while_little_waits_is_the_line_s() {
        let (mut loss, now) = (LineLoss::default(), Instant::now());
        let queues = Seen { flat: true, queues: true };
        assert_eq!(loss.excess(now, window(0.1), queues, true), 0.0);
        assert_eq!(loss.excess(now + WINDOW, window(0.2), queues, true), 0.0);
        assert!((0.149..0.151).contains(&loss.share()));
        let mut later = now;
        for _ in 0..=70 {
            later += WINDOW;
            assert_eq!(loss.excess(later, window(0.15), queues, true), 0.0);
            assert_eq!(loss.in_doubt(), None, "a test would fill it");
        }
        let full = Seen { flat: false, queues: true };
        assert!(loss.excess(later, window(0.4), full, true) > 0.2, "what overflows comes on top");
    }

    #[test]
    fn a_share_that_a_higher_rate_does_not_change_is_the_line_s() {
        let (mut loss, now) = asked(0.2);
        loss.on_tested(now, 1.5, 0.24);
        assert!((0.2..0.24).contains(&loss.share()));
        assert_eq!(loss.in_doubt(), None);
        assert_eq!(loss.excess(now, window(0.26), FLAT, false), 0.0, "by chance a little more");
        assert!(loss.excess(now, window(0.7), FLAT, false) > 0.4, "so much more is no chance");
    }

    #[test]
    fn a_share_that_rises_with_the_rate_comes_from_the_rate() {
        let (mut loss, now) = asked(0.2);
        loss.on_tested(now, 1.5, 0.45);
        assert_eq!(loss.share(), 0.0);
        assert_eq!(loss.excess(now, window(0.2), FLAT, false), 0.2);
    }

    #[test]
    fn where_a_queue_stands_or_most_is_lost_nothing_is_tested() {
        let (mut loss, now) = (LineLoss::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(loss.excess(now, window(0.2), Seen { flat: false, queues: false }, true), 0.2);
            assert_eq!(loss.excess(now, window(0.6), FLAT, true), 0.6);
        }
        assert_eq!(loss.in_doubt(), None);
    }

    #[test]
    fn a_test_that_never_ends_does_not_hold_the_rate_for_ever() {
        let (mut loss, now) = asked(0.2);
        assert_eq!(loss.excess(now + WINDOW, window(0.2), FLAT, false), 0.0);
        assert_eq!(loss.excess(now + TEST_WITHIN, window(0.2), FLAT, false), 0.2);
        assert_eq!(loss.in_doubt(), None);
    }

    #[test]
    fn light_loss_is_tested_where_it_keeps_a_subscriber_from_more() {
        let (mut loss, now) = (LineLoss::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(loss.excess(now, window(0.05), FLAT, false), 0.05);
        }
        assert_eq!(loss.in_doubt(), None);
        for _ in 0..2 {
            assert_eq!(loss.excess(now, window(0.05), FLAT, true), 0.0);
        }
        assert_eq!(loss.in_doubt(), Some(0.05));
    }

    #[test]
    fn a_line_that_recovers_is_taken_for_a_good_one_again_and_a_bad_one_is_tested_anew() {
        let (mut loss, mut now) = asked(0.2);
        loss.on_tested(now, 1.5, 0.2);
        for _ in 0..=60 {
            now += WINDOW;
            assert_eq!(loss.excess(now, window(0.2), FLAT, false), 0.0);
        }
        assert!(loss.in_doubt().is_some(), "half a minute later");
        loss.on_tested(now, 1.5, 0.2);
        for _ in 0..40 {
            now += WINDOW;
            assert_eq!(loss.excess(now, window(0.0), FLAT, false), 0.0);
        }
        assert_eq!((loss.share(), loss.in_doubt()), (0.0, None));
    }
}
