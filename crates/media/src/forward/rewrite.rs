//! One continuous stream out of many: sequence numbers, timestamps and VP8 picture numbers of a down track while its
//! source changes layer, pauses, or sends packets that are not forwarded.
//!
//! A gap in the source stays a gap (so that the subscriber asks for what is missing); packets left out on purpose leave
//! none. Sequence numbers never repeat, and nothing from before a switch is forwarded after it.

use crate::wire::codec::vp8;

/// Changes of numbering that a late packet may come from before of: runs of packets left out, or padding put in.
const TURNS: usize = 24;
/// Index of the first packet. Receivers take an unknown stream's roll-over counter as 0, so this stays well under 2^16
/// (RFC 3711 section 3.3.1) to survive early loss; the SSRC is random, so it need not be secret.
const FIRST_INDEX: u64 = 1000;

/// A packet of the source as the rewriter needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub layer: u8,
    pub index: u64,
    pub timestamp: u32,
    pub vp8: Option<vp8::Descriptor>,
}

/// VP8 numbers as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Vp8Ids {
    pub picture_id: u16,
    pub tl0_pic_idx: u8,
    pub key_index: u8,
}

/// Header fields of the packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Roll-over counter << 16 | sequence number.
    pub index: u64,
    pub timestamp: u32,
    pub vp8: Vp8Ids,
}

#[derive(Debug, Default, Clone, Copy)]
struct Vp8Offsets {
    picture_id: u16,
    tl0_pic_idx: u8,
    key_index: u8,
}

#[derive(Debug)]
pub(crate) struct Rewriter {
    started: bool,
    /// A timestamp was given to a packet.
    given: bool,
    layer: u8,
    /// First source index of the current run: older ones belong to what was before.
    first: u64,
    highest_in: u64,
    /// out = in + offset (wrapping), less what was skipped since.
    offset: u64,
    highest_out: u64,
    timestamp_offset: u32,
    last_timestamp: u32,
    /// Something of this run was sent.
    running: bool,
    /// Not among what every packet needs.
    turns: Box<[Turn; TURNS]>,
    /// Turns made, ever.
    turned: usize,
    offsets: Vp8Offsets,
    last_vp8: Vp8Ids,
    /// Which of the VP8 numbers the source has.
    numbered: Option<vp8::Descriptor>,
    /// Source picture ids left out since the run began, a ring.
    dropped: [u16; DROPPED],
    drops: usize,
}

/// Source indexes from here on (until the next turn) are sent with this offset.
#[derive(Debug, Clone, Copy)]
struct Turn {
    from: u64,
    offset: u64,
}

/// No packet is this new.
const NO_TURN: Turn = Turn { from: u64::MAX, offset: 0 };
/// VP8 pictures left out that a late packet may come from before of.
const DROPPED: usize = 16;

impl Rewriter {
    pub fn new(first_timestamp: u32) -> Rewriter {
        Rewriter {
            started: false,
            given: false,
            layer: 0,
            first: 0,
            highest_in: 0,
            offset: 0,
            highest_out: FIRST_INDEX,
            timestamp_offset: 0,
            last_timestamp: first_timestamp,
            running: false,
            turns: Box::new([NO_TURN; TURNS]),
            turned: 0,
            offsets: Vp8Offsets::default(),
            last_vp8: Vp8Ids::default(),
            numbered: None,
            dropped: [0; DROPPED],
            drops: 0,
        }
    }

    pub fn layer(&self) -> Option<u8> {
        self.started.then_some(self.layer)
    }

    /// Out timestamp minus in timestamp of the current layer.
    pub fn timestamp_offset(&self) -> u32 {
        self.timestamp_offset
    }

    /// Of the newest packet, as sent.
    pub fn highest(&self) -> u64 {
        self.highest_out
    }

    pub fn last_timestamp(&self) -> u32 {
        self.last_timestamp
    }

    /// Starts a run at this packet: the first one, one of another layer, or the first after a pause. `timestamp` is
    /// what its timestamp becomes; it is moved forward where it would not be later than what was sent.
    pub fn begin(&mut self, source: &Source, timestamp: u32) {
        let ahead = timestamp.wrapping_sub(self.last_timestamp) as i32;
        let timestamp = if self.given && ahead <= 0 { self.last_timestamp.wrapping_add(1) } else { timestamp };
        self.timestamp_offset = timestamp.wrapping_sub(source.timestamp);
        self.layer = source.layer;
        self.first = source.index;
        self.highest_in = source.index;
        self.offset = (self.highest_out + 1).wrapping_sub(source.index);
        self.running = false;
        self.turns.fill(NO_TURN);
        self.turned = 0;
        self.turn(source.index);
        self.drops = 0;
        if let Some(descriptor) = &source.vp8 {
            self.begin_vp8(descriptor);
        }
        self.started = true;
    }

    fn begin_vp8(&mut self, descriptor: &vp8::Descriptor) {
        self.numbered = Some(*descriptor);
        if !self.started {
            self.offsets = Vp8Offsets::default();
            // Encoders begin anywhere: what is newer shows only beside the first.
            self.last_vp8 = Vp8Ids {
                picture_id: descriptor.picture_id.unwrap_or_default(),
                tl0_pic_idx: descriptor.tl0_pic_idx.unwrap_or_default(),
                key_index: descriptor.key_index.unwrap_or_default(),
            };
            return;
        }
        let last = &self.last_vp8;
        self.offsets = Vp8Offsets {
            picture_id: last.picture_id.wrapping_add(1).wrapping_sub(descriptor.picture_id.unwrap_or_default()),
            tl0_pic_idx: last.tl0_pic_idx.wrapping_add(1).wrapping_sub(descriptor.tl0_pic_idx.unwrap_or_default()),
            key_index: last.key_index.wrapping_add(1).wrapping_sub(descriptor.key_index.unwrap_or_default()),
        };
    }

    /// Leaves out a packet of the current run (padding, or a layer that is not sent) without a gap. False when it is
    /// late: what came after it has its numbers, so the one it left open can only be filled.
    pub fn skip(&mut self, index: u64) -> bool {
        if !self.started || index <= self.highest_in {
            return false;
        }
        self.highest_in = index;
        self.offset = self.offset.wrapping_sub(1);
        self.turn(index + 1);
        true
    }

    /// Leaves out a packet of a VP8 picture that is not sent; the pictures that are stay numbered without a gap.
    pub fn skip_picture(&mut self, source: &Source) -> bool {
        if !self.skip(source.index) {
            return false;
        }
        let Some((id, mask)) = source.vp8.as_ref().and_then(picture_of) else { return true };
        if self.drops == 0 || self.newest_dropped() != id {
            if let Some(place) = self.dropped.get_mut(self.drops % DROPPED) {
                *place = id;
            }
            self.drops += 1;
            self.offsets.picture_id = self.offsets.picture_id.wrapping_sub(1) & mask;
        }
        true
    }

    fn newest_dropped(&self) -> u16 {
        self.dropped.get(self.drops.wrapping_sub(1) % DROPPED).copied().unwrap_or_default()
    }

    /// The number for a packet of ours put in after the newest one, or before the first of the run that has begun.
    pub fn insert(&mut self, timestamp: u32) -> Rewritten {
        let (index, from) = if !self.running && self.highest_in == self.first {
            (self.highest_out + 1, self.first)
        } else {
            (self.highest_in.wrapping_add(self.offset).wrapping_add(1), self.highest_in + 1)
        };
        self.offset = self.offset.wrapping_add(1);
        self.turn(from);
        self.highest_out = index;
        self.last_timestamp = timestamp;
        self.given = true;
        Rewritten { index, timestamp, vp8: Vp8Ids::default() }
    }

    /// The numbers for a picture of ours after the newest one, in a packet of its own, and how to write them; later
    /// pictures count on from it.
    pub fn insert_picture(&mut self, timestamp: u32) -> (Rewritten, vp8::Descriptor) {
        let descriptor = self.numbered.unwrap_or_default();
        let mask = if descriptor.long_picture_id { 0x7FFF } else { 0x7F };
        let Vp8Ids { picture_id, tl0_pic_idx, key_index } = self.last_vp8;
        let vp8 = Vp8Ids {
            picture_id: picture_id.wrapping_add(1) & mask,
            tl0_pic_idx: tl0_pic_idx.wrapping_add(1),
            key_index: key_index.wrapping_add(1) & 0x1F,
        };
        self.last_vp8 = vp8;
        let offsets = &mut self.offsets;
        offsets.picture_id = offsets.picture_id.wrapping_add(1);
        offsets.tl0_pic_idx = offsets.tl0_pic_idx.wrapping_add(1);
        offsets.key_index = offsets.key_index.wrapping_add(1);
        (Rewritten { vp8, ..self.insert(timestamp) }, descriptor)
    }

    /// The offset of now holds for packets from this one on.
    fn turn(&mut self, from: u64) {
        let last = self.turned.wrapping_sub(1) % TURNS;
        let again =
            self.turned > 0 && self.turns.get(last).is_some_and(|turn| turn.from + 1 == from || turn.from == from);
        let turn = Turn { from, offset: self.offset };
        // Right behind the last turn nothing was sent in between: it moves.
        let place = if again { last } else { self.turned % TURNS };
        if let Some(slot) = self.turns.get_mut(place) {
            *slot = turn;
        }
        self.turned += usize::from(!again);
    }

    /// The fields to send this packet of the current layer with; none when it is from before the run began.
    #[inline]
    pub fn rewrite(&mut self, source: &Source) -> Option<Rewritten> {
        if source.index < self.first {
            return None;
        }
        let mut index = source.index.wrapping_add(self.offset);
        if source.index < self.highest_in {
            index = source.index.wrapping_add(self.offset_of(source.index)?);
        } else {
            self.highest_in = source.index;
        }
        self.running = true;
        self.given = true;
        self.highest_out = self.highest_out.max(index);
        let timestamp = source.timestamp.wrapping_add(self.timestamp_offset);
        if (timestamp.wrapping_sub(self.last_timestamp) as i32) > 0 {
            self.last_timestamp = timestamp;
        }
        let vp8 = source.vp8.as_ref().map(|descriptor| self.rewrite_vp8(descriptor)).unwrap_or_default();
        Some(Rewritten { index, timestamp, vp8 })
    }

    /// The offset a late packet has its number by. None when that is not known any more.
    fn offset_of(&self, index: u64) -> Option<u64> {
        self.turns.iter().filter(|turn| turn.from <= index).max_by_key(|turn| turn.from).map(|turn| turn.offset)
    }

    fn rewrite_vp8(&mut self, descriptor: &vp8::Descriptor) -> Vp8Ids {
        let mask = if descriptor.long_picture_id { 0x7FFF } else { 0x7F };
        let after = if self.drops == 0 { 0 } else { self.dropped_after(descriptor) };
        let picture = descriptor.picture_id.unwrap_or_default().wrapping_add(self.offsets.picture_id);
        let ids = Vp8Ids {
            picture_id: picture.wrapping_add(after) & mask,
            tl0_pic_idx: descriptor.tl0_pic_idx.unwrap_or_default().wrapping_add(self.offsets.tl0_pic_idx),
            key_index: descriptor.key_index.unwrap_or_default().wrapping_add(self.offsets.key_index) & 0x1F,
        };
        let newer = ids.picture_id.wrapping_sub(self.last_vp8.picture_id) & mask <= mask / 2;
        if newer {
            self.last_vp8 = ids;
        }
        ids
    }

    /// How many pictures after this one were left out: a late packet has its picture's old number.
    fn dropped_after(&self, descriptor: &vp8::Descriptor) -> u16 {
        let Some((id, mask)) = picture_of(descriptor) else { return 0 };
        let newer = |dropped: &&u16| {
            let ahead = dropped.wrapping_sub(id) & mask;
            ahead != 0 && ahead <= mask / 2
        };
        self.dropped.iter().take(self.drops).filter(newer).count() as u16
    }
}

/// Picture id and the mask of its width.
fn picture_of(descriptor: &vp8::Descriptor) -> Option<(u16, u16)> {
    let mask = if descriptor.long_picture_id { 0x7FFF } else { 0x7F };
    descriptor.picture_id.map(|id| (id, mask))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(layer: u8, index: u64) -> Source {
        Source { layer, index, timestamp: index as u32 * 3000, vp8: None }
    }

    fn send(rewriter: &mut Rewriter, layer: u8, index: u64) -> Option<u64> {
        rewriter.rewrite(&source(layer, index)).map(|rewritten| rewritten.index - FIRST_INDEX)
    }

    fn begin(rewriter: &mut Rewriter, layer: u8, index: u64) {
        rewriter.begin(&source(layer, index), 0);
    }

    #[test]
    fn a_gap_stays_a_gap_and_a_late_packet_fills_it() {
        let mut rewriter = Rewriter::new(0);
        begin(&mut rewriter, 0, 500);
        let sent: Vec<_> = [500, 501, 504, 502].map(|index| send(&mut rewriter, 0, index)).into();
        assert_eq!(sent, [Some(1), Some(2), Some(5), Some(3)]);
    }

    #[test]
    fn packets_left_out_leave_no_gap_even_for_late_ones() {
        let mut rewriter = Rewriter::new(0);
        begin(&mut rewriter, 0, 10);
        assert_eq!(send(&mut rewriter, 0, 10), Some(1));
        rewriter.skip(12);
        assert_eq!(send(&mut rewriter, 0, 13), Some(3));
        assert_eq!(send(&mut rewriter, 0, 11), Some(2), "it was overtaken by the one left out");
        rewriter.skip(14);
        rewriter.skip(15);
        assert_eq!(send(&mut rewriter, 0, 16), Some(4));
    }

    #[test]
    fn another_layer_goes_on_where_the_last_one_ended() {
        let mut rewriter = Rewriter::new(0);
        begin(&mut rewriter, 0, 10);
        assert_eq!(send(&mut rewriter, 0, 10), Some(1));
        begin(&mut rewriter, 2, 70_000);
        assert_eq!(send(&mut rewriter, 2, 70_000), Some(2));
        assert_eq!(send(&mut rewriter, 2, 69_999), None, "from before the switch");
    }

    #[test]
    fn time_moves_forward_at_every_switch() {
        let mut rewriter = Rewriter::new(1000);
        rewriter.begin(&source(0, 1), 1000);
        let first = rewriter.rewrite(&source(0, 1)).unwrap().timestamp;
        rewriter.begin(&source(1, 1), first.wrapping_sub(500));
        let second = rewriter.rewrite(&source(1, 1)).unwrap().timestamp;
        assert_eq!(second.wrapping_sub(first), 1);
    }

    #[test]
    fn padding_put_in_takes_a_number_of_its_own() {
        let mut rewriter = Rewriter::new(0);
        begin(&mut rewriter, 0, 10);
        assert_eq!(send(&mut rewriter, 0, 10), Some(1));
        assert_eq!(send(&mut rewriter, 0, 12), Some(3));
        assert_eq!(rewriter.insert(0).index - FIRST_INDEX, 4);
        assert_eq!(rewriter.insert(0).index - FIRST_INDEX, 5);
        assert_eq!(send(&mut rewriter, 0, 13), Some(6));
        assert_eq!(send(&mut rewriter, 0, 11), Some(2), "late, from before the padding");
    }

    #[test]
    fn a_packet_of_ours_leaves_the_first_of_a_run_its_number_although_that_comes_late() {
        let mut rewriter = Rewriter::new(0);
        begin(&mut rewriter, 0, 10);
        rewriter.skip(11);
        assert_eq!(rewriter.insert(0).index - FIRST_INDEX, 2);
        assert_eq!(send(&mut rewriter, 0, 10), Some(1));
        assert_eq!(send(&mut rewriter, 0, 12), Some(3));
    }

    fn picture(index: u64, picture_id: u16) -> Source {
        let descriptor = vp8::Descriptor {
            picture_id: Some(picture_id),
            long_picture_id: true,
            tl0_pic_idx: Some(picture_id as u8),
            ..vp8::Descriptor::default()
        };
        Source { vp8: Some(descriptor), ..source(0, index) }
    }

    #[test]
    fn a_picture_put_in_takes_the_next_of_every_number() {
        let mut rewriter = Rewriter::new(0);
        rewriter.begin(&picture(10, 0x7FFE), 0);
        let before = rewriter.rewrite(&picture(10, 0x7FFE)).unwrap();
        let (first, descriptor) = rewriter.insert_picture(0);
        let (second, _) = rewriter.insert_picture(0);
        assert!(descriptor.long_picture_id && descriptor.tl0_pic_idx.is_some() && descriptor.key_index.is_none());
        assert_eq!([first.vp8.picture_id, second.vp8.picture_id], [0x7FFF, 0]);
        assert_eq!([first.vp8.tl0_pic_idx, second.vp8.tl0_pic_idx], [0xFF, 0]);
        assert_eq!([first.index, second.index], [before.index + 1, before.index + 2]);
        let after = rewriter.rewrite(&picture(11, 0x7FFF)).unwrap();
        assert_eq!((after.index, after.vp8.picture_id, after.vp8.tl0_pic_idx), (before.index + 3, 1, 1));
    }

    #[test]
    fn pictures_left_out_leave_no_gap_in_picture_ids_even_for_late_packets() {
        let mut rewriter = Rewriter::new(0);
        rewriter.begin(&picture(10, 0x7FFE), 0);
        let id = |rewriter: &mut Rewriter, index, id| rewriter.rewrite(&picture(index, id)).unwrap().vp8.picture_id;
        assert_eq!(id(&mut rewriter, 10, 0x7FFE), 0x7FFE);
        for index in [12, 13] {
            assert!(rewriter.skip_picture(&picture(index, 0x7FFF)), "two packets of one picture");
        }
        assert_eq!(id(&mut rewriter, 14, 0), 0x7FFF);
        assert_eq!(id(&mut rewriter, 11, 0x7FFE), 0x7FFE, "late, from before");
        assert!(rewriter.skip_picture(&picture(15, 1)));
        assert!(rewriter.skip_picture(&picture(16, 2)));
        assert_eq!(id(&mut rewriter, 17, 3), 0);
        assert!(!rewriter.skip_picture(&picture(15, 1)), "too late to leave no gap");
    }

    proptest! {
        /// Whatever is lost, late, left out or switched: no number is ever used for two packets.
        #[test]
        fn no_sequence_number_is_used_twice(
            steps in prop::collection::vec((0..10u8, 0..4u64, any::<bool>()), 1..400),
        ) {
            let mut rewriter = Rewriter::new(0);
            let (mut layer, mut next) = (0u8, 1000u64);
            let mut seen = std::collections::HashSet::new();
            let mut held: Option<u64> = None;
            begin(&mut rewriter, layer, next);
            for (action, lost, hold) in steps {
                next += lost;
                let index = next;
                next += 1;
                match action {
                    0 => {
                        layer = (layer + 1) % 3;
                        held = None;
                        begin(&mut rewriter, layer, index);
                    }
                    1 | 2 => {
                        rewriter.skip(index);
                        continue;
                    }
                    3 => {
                        let sent = rewriter.insert(0).index - FIRST_INDEX;
                        prop_assert!(seen.insert(sent), "{sent} twice");
                    }
                    _ if hold && held.is_none() => {
                        held = Some(index);
                        continue;
                    }
                    _ => {}
                }
                for index in [Some(index), held.filter(|_| !hold)].into_iter().flatten() {
                    if let Some(sent) = send(&mut rewriter, layer, index) {
                        prop_assert!(seen.insert(sent), "{sent} twice");
                    }
                }
                if !hold {
                    held = None;
                }
            }
        }
    }
}
