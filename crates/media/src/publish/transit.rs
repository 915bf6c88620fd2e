//! How the packets of a stream arrive against their timestamps, so that a source whose clock stood still is noticed.
//!
//! libwebrtc counts the sound it sends: while a microphone is closed its timestamps rest, and its sender reports go on as
//! if they ran. The first packet afterwards seems as old as the mute was long, until the next report seconds later.

/// A stream that paused for less has no clock that stood still, and one that comes late by less is late.
const PAUSE_MS: u32 = 300;
/// The quickest packet of so long stands for the way without queues.
const WINDOW_MS: u32 = 1_000;

/// Times in milliseconds since any moment; transits are arrivals minus timestamps, in timestamp units. All of them wrap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transit {
    /// Of the quickest packet of the last window, and of this one.
    before: u32,
    now: u32,
    window: u32,
    last: u32,
    /// The source's clock stood still, and it has not said since what its timestamps mean.
    guessed: bool,
}

impl Transit {
    pub fn new(at: u32, transit: u32) -> Transit {
        Transit { before: transit, now: transit, window: at, last: at, guessed: false }
    }

    /// Notes a packet. When timestamps are found to mean other moments than they did: by how much later ones, which may
    /// be negative.
    ///
    /// What waited in a queue looks like a clock that stood still. The packets behind it come ever sooner, and take it
    /// back.
    #[inline]
    pub fn on_packet(&mut self, at: u32, transit: u32, clock_rate: u32) -> Option<i32> {
        let paused = at.wrapping_sub(self.last);
        self.last = at;
        let later = self.later(transit);
        if paused >= PAUSE_MS && later >= (PAUSE_MS * (clock_rate / 1000)) as i32 {
            *self = Transit { guessed: true, ..Transit::new(at, transit) };
            return Some(later);
        }
        if at.wrapping_sub(self.window) > WINDOW_MS {
            (self.before, self.now, self.window) = (self.now, transit, at);
        } else if is_less(transit, self.now) {
            self.now = transit;
        }
        Some(later).filter(|later| self.guessed && *later < 0)
    }

    /// The source said what its timestamps mean.
    pub fn on_report(&mut self) {
        self.guessed = false;
    }

    /// Than the quickest.
    fn later(&self, transit: u32) -> i32 {
        let quickest = if is_less(self.now, self.before) { self.now } else { self.before };
        transit.wrapping_sub(quickest) as i32
    }
}

fn is_less(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    /// Packets at these times in milliseconds, with these timestamps in milliseconds.
    fn moves(transit: &mut Transit, packets: impl IntoIterator<Item = (u64, u64)>) -> Vec<i32> {
        let one = |(at, timestamp): (u64, u64)| {
            let units = (at.wrapping_sub(timestamp)).wrapping_mul(48) as u32;
            transit.on_packet(at as u32, units, RATE).map(|moved| moved / 48)
        };
        packets.into_iter().filter_map(one).collect()
    }

    fn talking() -> Transit {
        let mut transit = Transit::new(0, 0);
        let steady = (0..100).map(|n| (n * 20 + n % 3, n * 20));
        assert!(moves(&mut transit, steady).is_empty());
        transit
    }

    #[test]
    fn a_clock_that_stood_still_is_measured_by_the_quickest_packet_afterwards() {
        let packets = [(12_007, 2_000), (12_024, 2_020), (12_046, 2_040), (12_061, 2_060)];
        assert_eq!(moves(&mut talking(), packets), [10_007, -3, -3]);
    }

    #[test]
    fn what_the_source_says_itself_is_not_mended() {
        let mut transit = talking();
        assert_eq!(moves(&mut transit, [(12_007, 2_000)]), [10_007]);
        transit.on_report();
        assert!(moves(&mut transit, [(12_020, 2_020), (12_040, 2_040)]).is_empty());
    }

    #[test]
    fn a_queue_that_empties_takes_back_what_was_guessed() {
        let burst = (0..60).map(|n| (3_200 + n, 2_000 + n * 20));
        assert_eq!(moves(&mut talking(), burst).iter().sum::<i32>(), 3_259 - 3_180);
        let whole =
            (0..62).map(|n| (3_200 + n, 2_000 + n * 20)).chain((62..100).map(|n| (2_000 + n * 20, 2_000 + n * 20)));
        assert_eq!(moves(&mut talking(), whole).iter().sum::<i32>(), 0);
    }

    #[test]
    fn a_clock_that_ran_on_through_a_pause_is_left_alone() {
        assert!(moves(&mut talking(), [(12_000, 12_000), (12_020, 12_020)]).is_empty());
        assert!(moves(&mut talking(), [(2_200, 2_000)]).is_empty(), "too short to tell from a line that is late");
    }
}
