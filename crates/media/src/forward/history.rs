//! What was sent on one down track, so that a lost packet can be rebuilt from the publisher's packet store.

use std::time::{Duration, Instant};

use auralink_prefetch::soon;

use super::rewrite::Vp8Ids;

const VIDEO_SLOTS: usize = 512;
/// More than a second of packets of 20 ms: what is asked for later is not played any more.
const AUDIO_SLOTS: usize = 64;
/// The same packet asked for again too soon is on its way already; unknown or odd round trips are bounded.
const SOONEST_REPEAT: Duration = Duration::from_millis(10);
const LATEST_REPEAT: Duration = Duration::from_millis(500);
/// As often as libwebrtc asks for one packet.
const MAX_RESENDS: u8 = 10;

/// How one packet was sent: which stored packet it was made of, and the fields that were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Index of the packet in its layer, the lower half.
    pub source: u32,
    pub layer: u8,
    /// As sent: the last packet of the picture as the subscriber gets it.
    pub marker: bool,
    /// Roll-over counter << 16 | sequence number as sent.
    pub index: u64,
    pub timestamp: u32,
    /// Transport-wide sequence number it carried: a resend on the same SSRC must be the same packet, bit by bit.
    pub transport: u16,
    /// It carried more header extensions than are remembered: it cannot be made again bit by bit.
    pub extended: bool,
    pub vp8: Vp8Ids,
}

/// One remembered packet in 24 bytes: there are hundreds of these per subscription.
#[derive(Clone, Copy)]
struct Slot {
    source: u32,
    /// Lower half of the index; the upper follows from the newest.
    index: u32,
    timestamp: u32,
    /// Milliseconds since the history began.
    resent_ms: u32,
    transport: u16,
    picture_id: u16,
    tl0_pic_idx: u8,
    key_index: u8,
    layer: u8,
    /// Times it was sent again (lower bits), [`EXTENDED`] and [`MARKER`].
    flags: u8,
}

const EXTENDED: u8 = 0x80;
const MARKER: u8 = 0x40;
const RESENDS: u8 = 0x3F;
/// More than any packet is ever resent: an empty place.
const NOTHING: Slot = Slot {
    source: 0,
    index: 0,
    timestamp: 0,
    resent_ms: 0,
    transport: 0,
    picture_id: 0,
    tl0_pic_idx: 0,
    key_index: 0,
    layer: 0,
    flags: RESENDS,
};

pub(crate) struct History {
    /// Empty until something is sent.
    slots: Vec<Slot>,
    len: usize,
    newest: u64,
    origin: Instant,
}

impl History {
    pub fn new(now: Instant, video: bool) -> History {
        let len = if video { VIDEO_SLOTS } else { AUDIO_SLOTS };
        History { slots: Vec::new(), len, newest: 0, origin: now }
    }

    #[inline]
    pub fn insert(&mut self, sent: &Sent) {
        if self.slots.is_empty() {
            self.slots = vec![NOTHING; self.len];
        }
        self.newest = self.newest.max(sent.index);
        let place = sent.index as usize & (self.len - 1);
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot {
                source: sent.source,
                index: sent.index as u32,
                timestamp: sent.timestamp,
                resent_ms: 0,
                transport: sent.transport,
                picture_id: sent.vp8.picture_id,
                tl0_pic_idx: sent.vp8.tl0_pic_idx,
                key_index: sent.vp8.key_index,
                layer: sent.layer,
                flags: (if sent.extended { EXTENDED } else { 0 }) | (if sent.marker { MARKER } else { 0 }),
            };
        }
    }

    /// The packet behind this one will be inserted soon.
    #[inline]
    pub fn soon(&self, index: u64) {
        if let Some(slot) = self.slots.get((index as usize + 1) & (self.len - 1)) {
            soon(slot);
        }
    }

    /// The packet with this sequence number if it may be sent (again) now, `soonest` after the time before; counts it as
    /// sent.
    pub fn take_for_resend(&mut self, now: Instant, soonest: Duration, sequence: u16) -> Option<Sent> {
        let place = sequence as usize & (self.len - 1);
        let since = now.saturating_duration_since(self.origin).as_millis() as u32;
        let slot = self.slots.get_mut(place).filter(|slot| slot.index as u16 == sequence)?;
        let repeat_ms = soonest.clamp(SOONEST_REPEAT, LATEST_REPEAT).as_millis() as u32;
        let recent = since.wrapping_sub(slot.resent_ms) < repeat_ms;
        let resends = slot.flags & RESENDS;
        if resends >= MAX_RESENDS || (resends > 0 && recent) {
            return None;
        }
        slot.flags += 1;
        slot.resent_ms = since;
        let behind = (self.newest as u32).wrapping_sub(slot.index);
        Some(Sent {
            source: slot.source,
            layer: slot.layer,
            marker: slot.flags & MARKER != 0,
            index: self.newest.checked_sub(u64::from(behind))?,
            timestamp: slot.timestamp,
            transport: slot.transport,
            extended: slot.flags & EXTENDED != 0,
            vp8: Vp8Ids { picture_id: slot.picture_id, tl0_pic_idx: slot.tl0_pic_idx, key_index: slot.key_index },
        })
    }

    /// Forgets everything: what was sent cannot be rebuilt bit by bit any more.
    pub fn clear(&mut self) {
        self.slots.fill(NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(index: u64) -> Sent {
        let vp8 = Vp8Ids { picture_id: 7, ..Vp8Ids::default() };
        Sent {
            source: 3,
            layer: 1,
            marker: index % 3 == 0,
            index,
            timestamp: 5,
            transport: 9,
            extended: index % 2 == 0,
            vp8,
        }
    }

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    #[test]
    fn a_packet_is_resent_once_per_round_trip_and_not_for_ever() {
        let start = Instant::now();
        let mut history = History::new(start, true);
        history.insert(&sent(0x1_0005));
        let ask = |history: &mut History, ms: u64| {
            history.take_for_resend(start + Duration::from_millis(ms), ROUND_TRIP, 5).map(|sent| sent.index)
        };
        assert_eq!(ask(&mut history, 0), Some(0x1_0005));
        assert_eq!(ask(&mut history, 50), None);
        for again in 1..10 {
            assert_eq!(ask(&mut history, 120 * again), Some(0x1_0005));
        }
        assert_eq!(ask(&mut history, 2000), None);
    }

    #[test]
    fn packets_that_were_never_sent_or_are_too_old_cannot_be_resent() {
        let start = Instant::now();
        let mut history = History::new(start, true);
        for index in 0..600 {
            history.insert(&sent(index));
        }
        assert_eq!(history.take_for_resend(start, ROUND_TRIP, 10), None);
        assert_eq!(history.take_for_resend(start, ROUND_TRIP, 700), None);
        assert!(history.take_for_resend(start, ROUND_TRIP, 599).is_some());
    }

    #[test]
    fn what_was_sent_is_remembered_whole_even_beyond_four_billion_packets() {
        let start = Instant::now();
        let mut history = History::new(start, false);
        for index in 0xFFFF_FFF0u64..0x1_0000_0010 {
            history.insert(&sent(index));
        }
        for index in [0xFFFF_FFF0u64, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_000F] {
            assert_eq!(history.take_for_resend(start, ROUND_TRIP, index as u16), Some(sent(index)));
        }
        assert_eq!(std::mem::size_of::<Slot>(), 24);
    }
}
