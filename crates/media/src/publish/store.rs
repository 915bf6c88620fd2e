//! The last packets of one published layer, kept once for all its subscribers, so that each can be sent again.

use std::time::{Duration, Instant};

use crate::wire::codec::{Codec, red};

const SLOTS: usize = 512;
const FIRST_BYTES: usize = 16 * 1024;
const MAX_BYTES: usize = 1024 * 1024;
/// A ring that is written through faster than this grows, until [`MAX_BYTES`].
const WORTH_KEEPING: Duration = Duration::from_millis(1000);

#[derive(Clone, Copy)]
struct Slot {
    index: u64,
    /// Counted over the life of the ring; the place in it is this modulo its size.
    position: u64,
    len: u32,
    timestamp: u32,
    marker: bool,
    /// Bytes of the dependency descriptor behind the payload.
    dependency: u8,
    before: u8,
    content: Content,
}

/// What a stored payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    AsPublished,
    /// The same, and it is plain Opus.
    Opus,
    /// Plain Opus out of a block of redundant audio: its packet was lost.
    Recovered,
}

/// A stored packet: its payload as published (no padding), and the header fields a resend needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    pub payload: &'a [u8],
    /// Value of its dependency descriptor extension; empty = none.
    pub dependency: &'a [u8],
    pub timestamp: u32,
    pub marker: bool,
    /// Which packets before it go with it where it is sent as RED (see [`red::choose`]).
    pub before: u8,
    pub content: Content,
}

/// A ring of payload bytes with a ring of slots over it, by packet index. Its memory follows the layer's bit rate.
pub(crate) struct PacketStore {
    slots: Box<[Option<Slot>]>,
    ring: Vec<u8>,
    /// Where the next payload goes, counted over the life of the ring.
    end: u64,
    wrapped: Option<Instant>,
}

impl PacketStore {
    pub fn new() -> PacketStore {
        PacketStore { slots: vec![None; SLOTS].into(), ring: vec![0; FIRST_BYTES], end: 0, wrapped: None }
    }

    /// Keeps a packet in the place of the oldest. Payloads larger than a datagram can be are not kept.
    pub fn insert(
        &mut self,
        now: Instant,
        index: u64,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        dependency: &[u8],
    ) {
        let len = payload.len() + dependency.len();
        if len > FIRST_BYTES || dependency.len() > usize::from(u8::MAX) {
            return;
        }
        let mut from = (self.end % self.ring.len() as u64) as usize;
        if from + len > self.ring.len() {
            // Payloads are kept in one piece, so what does not fit before the end goes to the beginning.
            self.end += (self.ring.len() - from) as u64;
            self.wrap(now);
            from = 0;
        }
        let Some(room) = self.ring.get_mut(from..from + len) else { return };
        let (front, back) = room.split_at_mut(payload.len());
        front.copy_from_slice(payload);
        back.copy_from_slice(dependency);
        let (position, dependency) = (self.end, dependency.len() as u8);
        let len = payload.len();
        let content = Content::AsPublished;
        let slot = Slot { index, position, len: len as u32, timestamp, marker, dependency, before: 0, content };
        self.end += (len + usize::from(dependency)) as u64;
        if let Some(place) = self.slots.get_mut(index as usize % SLOTS) {
            *place = Some(slot);
        }
    }

    /// Keeps what was recovered of a lost packet of redundant audio.
    pub fn insert_recovered(&mut self, now: Instant, index: u64, timestamp: u32, payload: &[u8]) {
        self.insert(now, index, timestamp, false, payload, &[]);
        if let Some(slot) = self.slot_mut(index) {
            slot.content = Content::Recovered;
        }
    }

    /// May what came late be kept in the place of what was recovered of it? Not where the two differ: what was sent under
    /// one number is sent again as it was, or never.
    pub fn agrees(&self, index: u64, codec: Codec, payload: &[u8]) -> bool {
        let Some(known) = self.get(index as u32).filter(|known| known.content == Content::Recovered) else {
            return true;
        };
        let plain = if codec == Codec::Red { red::primary(payload) } else { Some(0..payload.len()) };
        plain.and_then(|place| payload.get(place)) == Some(known.payload)
    }

    /// Chooses the packets that go with this one of plain Opus where it is sent as RED, for all its subscribers and every
    /// time alike. Gives the bytes that they add.
    pub fn choose_before(&mut self, index: u64) -> usize {
        let Some(own) = self.get(index as u32) else { return 0 };
        let (timestamp, len) = (own.timestamp, own.payload.len());
        let before =
            self.before(index as u32).map(|found| found.map(|stored| (stored.timestamp, stored.payload.len())));
        let chosen = red::choose(timestamp, len, before);
        if let Some(slot) = self.slot_mut(index) {
            (slot.before, slot.content) = (chosen, Content::Opus);
        }
        let lengths = before.iter().enumerate().filter_map(|(place, found)| Some((place, found.as_ref()?.1)));
        lengths.filter(|(place, _)| chosen & (1 << place) != 0).map(|(_, len)| len + red::HEADER).sum()
    }

    /// The packets right before this one as far as they are here, newest first.
    fn before(&self, index: u32) -> [Option<Stored<'_>>; red::MOST_BLOCKS] {
        std::array::from_fn(|place| {
            let stored = self.get(index.wrapping_sub(place as u32 + 1))?;
            (stored.content == Content::Opus).then_some(stored)
        })
    }

    /// Appends a stored packet of plain Opus as RED. False, and nothing, when it or what goes with it is not here any more.
    pub fn write_red(&self, index: u32, out: &mut Vec<u8>, inner: u8) -> bool {
        let Some(own) = self.get(index) else { return false };
        let mut blocks = [None; red::MOST_BLOCKS];
        for (place, (block, stored)) in blocks.iter_mut().zip(self.before(index)).enumerate() {
            if own.before & (1 << place) == 0 {
                continue;
            }
            let Some(stored) = stored else { return false };
            *block = Some((own.timestamp.wrapping_sub(stored.timestamp), stored.payload));
        }
        red::write(out, &blocks, own.payload, inner);
        true
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize % SLOTS)?.as_mut().filter(|slot| slot.index == index)
    }

    fn wrap(&mut self, now: Instant) {
        let quick = self.wrapped.is_none_or(|last| now.saturating_duration_since(last) < WORTH_KEEPING);
        self.wrapped = Some(now);
        if quick && self.ring.len() < MAX_BYTES {
            // What was stored is given up: this happens a few times, while a layer's rate rises.
            self.ring = vec![0; self.ring.len() * 2];
            self.end = 0;
            self.slots.fill(None);
        }
    }

    /// The packet with this index (its lower half: the ring is far shorter).
    pub fn get(&self, index: u32) -> Option<Stored<'_>> {
        let slot = self.slots.get(index as usize % SLOTS)?.as_ref().filter(|slot| slot.index as u32 == index)?;
        let size = self.ring.len() as u64;
        if slot.position + size < self.end {
            return None;
        }
        let from = (slot.position % size) as usize;
        let end = from + slot.len as usize;
        let (payload, dependency) =
            (self.ring.get(from..end)?, self.ring.get(end..end + usize::from(slot.dependency))?);
        let Slot { timestamp, marker, before, content, .. } = *slot;
        Some(Stored { payload, dependency, timestamp, marker, before, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(store: &mut PacketStore, start: Instant, every: Duration, indexes: std::ops::Range<u64>, len: usize) {
        for index in indexes {
            let now = start + every * index as u32;
            store.insert(now, index, index as u32, index % 2 == 0, &vec![index as u8; len], &[]);
        }
    }

    #[test]
    fn a_second_of_video_can_be_sent_again_once_the_ring_has_grown() {
        let (mut store, start) = (PacketStore::new(), Instant::now());
        fill(&mut store, start, Duration::from_millis(4), 0..3000, 1100);
        for index in 2750..3000 {
            let stored = store.get(index as u32).map(|s| (s.payload.to_vec(), s.timestamp, s.marker));
            assert_eq!(stored, Some((vec![index as u8; 1100], index as u32, index % 2 == 0)));
        }
        assert!(store.ring.len() < MAX_BYTES, "memory follows the rate");
        assert_eq!(store.get(3000), None);
        assert_eq!(store.get(2000), None, "its slot was reused");
    }

    #[test]
    fn the_dependency_descriptor_is_kept_with_its_packet() {
        let (mut store, start) = (PacketStore::new(), Instant::now());
        store.insert(start, 1, 0, true, b"frame", b"descriptor");
        store.insert(start, 2, 0, true, b"other", b"");
        let kept = |index| store.get(index).map(|stored| (stored.payload, stored.dependency));
        assert_eq!(kept(1), Some((&b"frame"[..], &b"descriptor"[..])));
        assert_eq!(kept(2), Some((&b"other"[..], &b""[..])));
    }

    #[test]
    fn opus_is_made_red_with_what_was_here_when_it_came_and_the_same_again() {
        let (mut store, start) = (PacketStore::new(), Instant::now());
        let mut insert = |index: u64| {
            store.insert(start, index, 960 * index as u32, false, &[index as u8; 3], &[]);
            store.choose_before(index)
        };
        assert_eq!([5, 6, 8, 9].map(&mut insert), [0, 7, 7, 7]);
        let red = |store: &PacketStore, index| {
            let mut out = Vec::new();
            store.write_red(index, &mut out, 111).then_some(out)
        };
        let eighth = red(&store, 8);
        assert_eq!(
            eighth.as_deref(),
            Some(&[0x80 | 111, 0x1E, 0, 3, 111, 6, 6, 6, 8, 8, 8][..]),
            "1920 samples before"
        );
        store.insert(start, 7, 960 * 7, false, &[7; 3], &[]);
        store.choose_before(7);
        assert_eq!(red(&store, 8), eighth, "another came late");
        assert_eq!(red(&store, 7).map(|payload| payload.len()), Some(2 * 7 + 4));
        fill(&mut store, start, Duration::from_millis(1), 10..500, 1000);
        assert_eq!(red(&store, 8), None, "it was overwritten");
    }

    #[test]
    fn what_was_recovered_is_replaced_by_what_is_the_same_alone() {
        let (mut store, start) = (PacketStore::new(), Instant::now());
        store.insert_recovered(start, 1, 960, b"sound");
        assert!(store.agrees(1, Codec::Opus, b"sound") && store.agrees(1, Codec::Red, b"\x6Fsound"));
        assert!(!store.agrees(1, Codec::Red, b"\x6Fother") && !store.agrees(1, Codec::Red, b"\xEF"));
        assert!(store.agrees(2, Codec::Red, b"anything"));
        store.insert(start, 2, 1920, false, b"next", &[]);
        assert_eq!(store.choose_before(2), 0, "what is not the publisher's packet goes with no other");
    }

    #[test]
    fn what_was_overwritten_is_not_given_out() {
        let (mut store, start) = (PacketStore::new(), Instant::now());
        // Slow enough never to grow after the first wrap: 512 slots are more than the ring has bytes for.
        fill(&mut store, start, Duration::from_secs(1), 0..200, 1000);
        let kept: Vec<u64> = (0..200).filter(|index| store.get(*index as u32).is_some()).collect();
        assert!(kept.first().is_some_and(|first| *first > 150), "{kept:?}");
        for index in kept {
            assert_eq!(store.get(index as u32).map(|s| s.payload.first().copied()), Some(Some(index as u8)));
        }
    }
}
