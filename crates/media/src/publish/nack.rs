//! Which packets of an incoming stream are missing, and when to ask for each.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More than this missing at once is not worth asking for one by one.
const MAX_MISSING: usize = 100;
/// As libwebrtc's own receivers: where a fifth is lost both ways, one packet in two hundred needs more than five.
const MAX_TRIES: u8 = 10;
/// The quickest of so many answers took a round trip: the others may have been asked for more than once.
const ANSWERS: usize = 8;
/// Time for a packet that was merely overtaken to arrive.
const REORDERING: Duration = Duration::from_millis(10);
const MIN_SPACING: Duration = Duration::from_millis(20);
const MAX_SPACING: Duration = Duration::from_millis(400);

#[derive(Debug)]
struct Missing {
    index: u64,
    tries: u8,
    due: Instant,
    /// When it was asked for first.
    asked: Option<Instant>,
}

/// The missing packets of one stream, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Nacks {
    missing: VecDeque<Missing>,
    /// From asking for a packet first to its repair, of the last few.
    answers: VecDeque<Duration>,
}

/// The gap was too large to be filled: only a key frame helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyMissing;

impl Nacks {
    /// A packet newer than all before arrived, and these indexes were skipped.
    ///
    /// # Errors
    /// When there are too many; everything asked for until now is given up too.
    pub fn on_gap(&mut self, now: Instant, skipped: std::ops::Range<u64>) -> Result<(), TooManyMissing> {
        let len = skipped.end.saturating_sub(skipped.start);
        if self.missing.len() as u64 + len > MAX_MISSING as u64 {
            self.missing.clear();
            return Err(TooManyMissing);
        }
        let due = now + REORDERING;
        self.missing.extend(skipped.map(|index| Missing { index, tries: 0, due, asked: None }));
        Ok(())
    }

    /// A late packet arrived, as a repair or by itself. True when it had been asked for.
    pub fn on_late(&mut self, now: Instant, index: u64, repair: bool) -> bool {
        let Ok(place) = self.missing.binary_search_by_key(&index, |missing| missing.index) else { return false };
        let asked = self.missing.remove(place).and_then(|missing| missing.asked);
        if let Some(asked) = asked.filter(|_| repair) {
            self.answers.truncate(ANSWERS - 1);
            self.answers.push_front(now.saturating_duration_since(asked));
        }
        asked.is_some()
    }

    /// Appends the sequence numbers to ask for now, in ascending order of index. `round_trip` is taken while nothing was
    /// answered: a peer that only publishes reports none.
    pub fn collect_due(&mut self, now: Instant, round_trip: Duration, into: &mut Vec<u16>) {
        let round_trip = self.answers.iter().min().copied().unwrap_or(round_trip);
        let spacing = (round_trip * 5 / 4).clamp(MIN_SPACING, MAX_SPACING);
        self.missing.retain_mut(|missing| {
            if missing.due > now {
                return true;
            }
            if missing.tries == MAX_TRIES {
                return false;
            }
            missing.tries += 1;
            missing.asked.get_or_insert(now);
            missing.due = now + spacing;
            into.push(missing.index as u16);
            true
        });
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(80);

    fn due(nacks: &mut Nacks, now: Instant) -> Vec<u16> {
        let mut into = Vec::new();
        nacks.collect_due(now, RTT, &mut into);
        into
    }

    #[test]
    fn an_overtaken_packet_is_not_asked_for() {
        let (mut nacks, start) = (Nacks::default(), Instant::now());
        nacks.on_gap(start, 10..12).expect("few");
        assert!(due(&mut nacks, start).is_empty());
        assert!(!nacks.on_late(start, 10, false));
        assert_eq!(due(&mut nacks, start + REORDERING), [11]);
        assert!(nacks.on_late(start + RTT, 11, true), "it was asked for");
        assert_eq!(nacks.next_due(), None);
    }

    #[test]
    fn a_packet_is_asked_for_ten_times_a_round_trip_apart_and_then_given_up() {
        let (mut nacks, start) = (Nacks::default(), Instant::now());
        nacks.on_gap(start, 65_536..65_537).expect("few");
        let mut asked = 0;
        for ms in 0..2000 {
            asked += due(&mut nacks, start + Duration::from_millis(ms)).len();
        }
        assert_eq!(asked, 10);
        assert_eq!(nacks.next_due(), None);
    }

    #[test]
    fn the_quickest_repair_tells_how_long_to_wait_for_the_next() {
        let (mut nacks, start) = (Nacks::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        nacks.on_gap(start, 10..14).expect("few");
        assert_eq!(due(&mut nacks, at(10)), [10, 11, 12, 13]);
        assert!(nacks.on_late(at(15), 10, false), "it was overtaken by more than we wait, which tells nothing");
        assert!(nacks.on_late(at(50), 11, true));
        assert_eq!(due(&mut nacks, at(110)), [12, 13], "these were asked for before anything was known");
        assert!(nacks.on_late(at(150), 12, true), "140 ms after it was asked for first");
        assert!(due(&mut nacks, at(159)).is_empty());
        assert_eq!(due(&mut nacks, at(160)), [13], "40 ms and a quarter later");
    }

    #[test]
    fn a_gap_too_large_to_fill_is_given_up_at_once() {
        let (mut nacks, start) = (Nacks::default(), Instant::now());
        nacks.on_gap(start, 0..60).expect("few");
        assert_eq!(nacks.on_gap(start, 70..120), Err(TooManyMissing));
        assert_eq!(nacks.next_due(), None);
    }
}
