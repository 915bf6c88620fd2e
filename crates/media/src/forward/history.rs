//! What was sent on one down track, so that a lost packet can be rebuilt from the publisher's packet store.

use std::time::{Duration, Instant};

use super::rewrite::Vp8Ids;

const VIDEO_SLOTS: usize = 512;
const AUDIO_SLOTS: usize = 256;
/// The same packet asked for again within a round trip is on its way already; unknown or odd round trips are bounded.
const SOONEST_REPEAT: Duration = Duration::from_millis(10);
const LATEST_REPEAT: Duration = Duration::from_millis(500);
const MAX_RESENDS: u8 = 5;

/// How one packet was sent: which stored packet it was made of, and the fields that were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Index of the packet in its layer.
    pub source: u64,
    pub layer: u8,
    /// Roll-over counter << 16 | sequence number as sent.
    pub index: u64,
    pub timestamp: u32,
    /// Transport-wide sequence number it carried: a resend on the same SSRC must be the same packet, bit by bit.
    pub transport: u16,
    pub vp8: Vp8Ids,
}

#[derive(Clone, Copy)]
struct Slot {
    sent: Sent,
    /// Milliseconds since the history began.
    resent_ms: u32,
    resends: u8,
}

pub(crate) struct History {
    slots: Box<[Option<Slot>]>,
    origin: Instant,
}

impl History {
    pub fn new(now: Instant, video: bool) -> History {
        let slots = vec![None; if video { VIDEO_SLOTS } else { AUDIO_SLOTS }].into();
        History { slots, origin: now }
    }

    #[inline]
    pub fn insert(&mut self, sent: Sent) {
        let place = sent.index as usize & (self.slots.len() - 1);
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(Slot { sent, resent_ms: 0, resends: 0 });
        }
    }

    /// The packet with this sequence number if it may be sent (again) now; counts it as sent.
    pub fn take_for_resend(&mut self, now: Instant, round_trip: Duration, sequence: u16) -> Option<Sent> {
        let place = sequence as usize & (self.slots.len() - 1);
        let since = now.saturating_duration_since(self.origin).as_millis() as u32;
        let slot = self.slots.get_mut(place)?.as_mut().filter(|slot| slot.sent.index as u16 == sequence)?;
        let repeat_ms = round_trip.clamp(SOONEST_REPEAT, LATEST_REPEAT).as_millis() as u32;
        let recent = since.wrapping_sub(slot.resent_ms) < repeat_ms;
        if slot.resends >= MAX_RESENDS || (slot.resends > 0 && recent) {
            return None;
        }
        slot.resends += 1;
        slot.resent_ms = since;
        Some(slot.sent)
    }

    /// Forgets everything: what was sent cannot be rebuilt bit by bit any more.
    pub fn clear(&mut self) {
        self.slots.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(index: u64) -> Sent {
        Sent { source: index, layer: 0, index, timestamp: 0, transport: 0, vp8: Vp8Ids::default() }
    }

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    #[test]
    fn a_packet_is_resent_once_per_round_trip_and_not_for_ever() {
        let start = Instant::now();
        let mut history = History::new(start, true);
        history.insert(sent(0x1_0005));
        let ask = |history: &mut History, ms: u64| {
            history.take_for_resend(start + Duration::from_millis(ms), ROUND_TRIP, 5).map(|sent| sent.index)
        };
        assert_eq!(ask(&mut history, 0), Some(0x1_0005));
        assert_eq!(ask(&mut history, 50), None);
        for again in [120, 240, 360, 480] {
            assert_eq!(ask(&mut history, again), Some(0x1_0005));
        }
        assert_eq!(ask(&mut history, 1000), None);
    }

    #[test]
    fn packets_that_were_never_sent_or_are_too_old_cannot_be_resent() {
        let start = Instant::now();
        let mut history = History::new(start, true);
        for index in 0..600 {
            history.insert(sent(index));
        }
        assert_eq!(history.take_for_resend(start, ROUND_TRIP, 10), None);
        assert_eq!(history.take_for_resend(start, ROUND_TRIP, 700), None);
        assert!(history.take_for_resend(start, ROUND_TRIP, 599).is_some());
    }
}
