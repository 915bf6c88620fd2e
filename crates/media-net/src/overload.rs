//! Whether a shard's thread keeps up with what arrives, and how much it should leave out when it does not.

use std::time::{Duration, Instant};

use auralink_media::shed;

const WINDOW: Duration = Duration::from_millis(250);
/// A thread that works this share of the time has no time left, in percent.
const BUSY: u32 = 95;
/// Below this there is room for more than one level's worth.
const RELAXED: u32 = 70;
/// Work between two moments at which nothing waited: so long the last to arrive has waited. A burst may last as long; a
/// thread that is busy all the time and behind by this much does not catch up.
const BEHIND: Duration = Duration::from_millis(20);
/// So late what is played next is too late: no time to go step by step.
const FAR_BEHIND: Duration = Duration::from_millis(500);
/// Windows in a row before (more) is left out: many joins at once take as long, and so does what already waits.
const PATIENCE: u32 = 2;
/// How long there must be room before less is left out; twice as long each time that was too soon.
const FIRST_HOLD: Duration = Duration::from_secs(2);
const LONGEST_HOLD: Duration = Duration::from_secs(64);
/// A rise this soon after a fall says that the fall was too soon.
const TOO_SOON: Duration = Duration::from_secs(10);

pub struct Overload {
    level: u8,
    raised: u64,
    /// The current window: when it began, how much of it was work, and how far behind the thread was at worst.
    began: Instant,
    worked: Duration,
    worst: Duration,
    /// Work since nothing waited.
    behind: Duration,
    /// Windows in a row in which the thread did not keep up.
    late: u32,
    relaxed_since: Option<Instant>,
    hold: Duration,
    lowered: Option<Instant>,
}

impl Overload {
    pub fn new(now: Instant) -> Overload {
        Overload {
            level: 0,
            raised: 0,
            began: now,
            worked: Duration::ZERO,
            worst: Duration::ZERO,
            behind: Duration::ZERO,
            late: 0,
            relaxed_since: None,
            hold: FIRST_HOLD,
            lowered: None,
        }
    }

    /// How much to leave out, see [`shed`]; 0 = nothing.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Times the level was raised.
    pub fn raised(&self) -> u64 {
        self.raised
    }

    /// Takes note of one turn of the loop, waiting not included. `drained`: all that had arrived was taken. True when
    /// the level changed.
    pub fn turn(&mut self, begun: Instant, ended: Instant, drained: bool) -> bool {
        let work = ended.saturating_duration_since(begun);
        self.worked += work;
        self.behind += work;
        self.worst = self.worst.max(self.behind);
        if drained {
            self.behind = Duration::ZERO;
        }
        let window = ended.saturating_duration_since(self.began);
        if window < WINDOW {
            return false;
        }
        let share = |percent: u32| window * percent / 100;
        let (worked, worst) = (std::mem::take(&mut self.worked), std::mem::take(&mut self.worst));
        self.began = ended;
        if worked >= share(BUSY) && worst >= BEHIND {
            self.relaxed_since = None;
            self.late += 1;
            return self.late >= PATIENCE && self.raise(ended, if worst >= FAR_BEHIND { 2 } else { 1 });
        }
        self.late = 0;
        if worked > share(RELAXED) {
            self.relaxed_since = None;
            return false;
        }
        let since = *self.relaxed_since.get_or_insert(ended);
        self.level > 0 && ended.saturating_duration_since(since) >= self.hold && self.lower(ended)
    }

    fn raise(&mut self, now: Instant, levels: u8) -> bool {
        if self.level == shed::HIGHEST {
            return false;
        }
        let too_soon = self.lowered.take().is_some_and(|at| now.saturating_duration_since(at) < TOO_SOON);
        self.hold = if too_soon { (self.hold * 2).min(LONGEST_HOLD) } else { self.hold };
        self.level = (self.level + levels).min(shed::HIGHEST);
        self.late = 0;
        self.raised += 1;
        true
    }

    fn lower(&mut self, now: Instant) -> bool {
        self.level -= 1;
        self.relaxed_since = None;
        if self.lowered.is_some_and(|at| now.saturating_duration_since(at) >= LONGEST_HOLD) {
            self.hold = FIRST_HOLD;
        }
        self.lowered = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that works `percent` of each of so many turns of 10 ms; gives the levels it went through.
    struct Thread {
        now: Instant,
        overload: Overload,
    }

    impl Thread {
        fn new() -> Thread {
            let now = Instant::now();
            Thread { now, overload: Overload::new(now) }
        }

        fn runs(&mut self, for_ms: u64, percent: u32, drained: bool) -> Vec<u8> {
            let turn = Duration::from_millis(10);
            let mut levels = Vec::new();
            for _ in 0..for_ms / 10 {
                let ended = self.now + turn * percent / 100;
                if self.overload.turn(self.now, ended, drained) {
                    levels.push(self.overload.level());
                }
                self.now += turn;
            }
            levels
        }
    }

    #[test]
    fn a_busy_thread_that_keeps_up_leaves_nothing_out() {
        assert_eq!(Thread::new().runs(60_000, 100, true), []);
    }

    #[test]
    fn a_burst_leaves_nothing_out() {
        let mut thread = Thread::new();
        for _ in 0..20 {
            assert_eq!(thread.runs(400, 100, false), []);
            assert_eq!(thread.runs(400, 10, true), []);
        }
    }

    #[test]
    fn a_thread_that_falls_behind_leaves_out_more_and_more() {
        let mut thread = Thread::new();
        assert_eq!(thread.runs(480, 100, false), []);
        let levels = thread.runs(5_000, 100, false);
        assert_eq!((levels.first(), levels.last()), (Some(&2), Some(&shed::HIGHEST)), "far behind: two at once");
        assert!(levels.is_sorted() && thread.overload.raised() == levels.len() as u64);
    }

    #[test]
    fn with_room_again_it_leaves_out_less_step_by_step() {
        let mut thread = Thread::new();
        thread.runs(1_000, 100, false);
        let level = thread.overload.level();
        assert!(level > 0);
        assert_eq!(thread.runs(10_000, 80, true), [], "it would be too much again");
        let levels = thread.runs(60_000, 50, true);
        assert_eq!(levels, (0..level).rev().collect::<Vec<u8>>());
    }

    #[test]
    fn who_was_wrong_waits_longer_before_the_next_try() {
        let mut thread = Thread::new();
        thread.runs(600, 100, false);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let (before, level) = (thread.now, thread.overload.level());
            while thread.overload.level() == level {
                thread.runs(10, 50, true);
            }
            waits.push(thread.now - before);
            thread.runs(600, 100, false);
        }
        assert!(waits.is_sorted_by(|a, b| *a * 3 < *b * 2), "{waits:?}");
    }
}
