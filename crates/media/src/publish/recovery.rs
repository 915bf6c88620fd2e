//! Which packets of a stream of redundant audio (RFC 2198) are here, so that what was lost can be taken out of the blocks
//! of those that follow, once.

/// Packets remembered, and so how late one may come and still be told apart from what was recovered: more than a second
/// of 20 ms each.
const WINDOW: u64 = 64;

/// How a packet came to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// As the publisher sent it.
    #[default]
    Sent,
    /// It was lost; a block of a later packet has its sound. Only for subscribers without redundancy of their own.
    Recovered,
    /// As the publisher sent it, so late that it was recovered before, or may have been.
    Late,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    index: u64,
    timestamp: u32,
    recovered: bool,
}

/// The newest packets of one stream.
#[derive(Debug)]
pub(crate) struct Recovery {
    seen: [Option<Seen>; WINDOW as usize],
    /// Nothing before it is recovered: subscribers were not there yet.
    first: u64,
    highest: u64,
}

impl Recovery {
    /// Begins with this packet.
    pub fn new(index: u64) -> Recovery {
        Recovery { seen: [None; WINDOW as usize], first: index, highest: index }
    }

    /// Notes a packet that arrived.
    pub fn on_packet(&mut self, index: u64, timestamp: u32) -> Origin {
        if index < self.first {
            return Origin::Sent;
        }
        if index + WINDOW <= self.highest || self.at(index).is_some_and(|seen| seen.recovered) {
            return Origin::Late;
        }
        self.note(Seen { index, timestamp, recovered: false });
        Origin::Sent
    }

    /// May a packet of this number and time be taken out of a block? True once, and only where it is missing and the time
    /// fits in between its neighbours': then the block is that packet's.
    pub fn recover(&mut self, index: u64, timestamp: u32) -> bool {
        let known = index < self.first || index + WINDOW <= self.highest || self.at(index).is_some();
        let window = index.saturating_sub(WINDOW)..index + WINDOW;
        let in_order = |seen: &Seen| {
            let later = timestamp.wrapping_sub(seen.timestamp) as i32;
            if seen.index < index { later > 0 } else { later < 0 }
        };
        let missing = !known && self.seen.iter().flatten().filter(|seen| window.contains(&seen.index)).all(in_order);
        if missing {
            self.note(Seen { index, timestamp, recovered: true });
        }
        missing
    }

    fn at(&self, index: u64) -> Option<&Seen> {
        self.seen.get((index % WINDOW) as usize)?.as_ref().filter(|seen| seen.index == index)
    }

    fn note(&mut self, seen: Seen) {
        self.highest = self.highest.max(seen.index);
        if let Some(place) = self.seen.get_mut((seen.index % WINDOW) as usize) {
            *place = Some(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(index: u64) -> u32 {
        (index as u32).wrapping_mul(960)
    }

    #[test]
    fn what_is_missing_is_recovered_once_and_comes_late_then() {
        let mut recovery = Recovery::new(10);
        assert_eq!(recovery.on_packet(10, at(10)), Origin::Sent);
        assert_eq!(recovery.on_packet(13, at(13)), Origin::Sent);
        assert!(recovery.recover(11, at(11)) && recovery.recover(12, at(12)));
        assert!(!recovery.recover(12, at(12)), "again");
        assert!(!recovery.recover(10, at(10)), "it is here");
        assert!(!recovery.recover(9, at(9)), "from before the first");
        assert_eq!(recovery.on_packet(11, at(11)), Origin::Late);
        assert_eq!(recovery.on_packet(14, at(14)), Origin::Sent);
    }

    #[test]
    fn a_block_of_another_packets_time_is_not_taken() {
        let mut recovery = Recovery::new(10);
        recovery.on_packet(10, at(10));
        recovery.on_packet(12, at(12));
        for wrong in [at(10), at(9), at(12), at(13)] {
            assert!(!recovery.recover(11, wrong), "{wrong}");
        }
        assert!(recovery.recover(11, at(11)));
    }

    #[test]
    fn who_is_so_late_that_nobody_knows_any_more_counts_as_recovered() {
        let mut recovery = Recovery::new(0);
        recovery.on_packet(0, at(0));
        recovery.on_packet(2, at(2));
        recovery.on_packet(1 + WINDOW, at(1 + WINDOW));
        assert_eq!(recovery.on_packet(1, at(1)), Origin::Late);
        assert!(!recovery.recover(1, at(1)));
    }

    proptest! {
        /// However packets are lost and overtaken: each is handed on once, as sent or as recovered.
        #[test]
        fn nothing_is_handed_on_twice(arrivals in prop::collection::vec((0..4u64, 0..100u64), 1..300)) {
            let mut recovery = Recovery::new(100);
            let (mut next, mut arrived) = (100, std::collections::HashSet::new());
            let mut handed_on = std::collections::HashSet::new();
            for (lost, back) in arrivals {
                next += lost;
                // Now and then one of those before, however late.
                let index = if back > 80 { (next - (back - 80) * 5).max(90) } else { next };
                next += u64::from(index == next);
                if !arrived.insert(index) {
                    continue;
                }
                if recovery.on_packet(index, at(index)) == Origin::Sent {
                    prop_assert!(handed_on.insert(index), "{index} twice");
                }
                for before in [index - 2, index - 1] {
                    if recovery.recover(before, at(before)) {
                        prop_assert!(handed_on.insert(before), "{before} twice");
                        prop_assert!(!arrived.contains(&before));
                    }
                }
            }
        }
    }
}
