//! Redundant audio (RFC 2198): the blocks of a payload, its primary (newest) one, and payloads of our own making.
//!
//! The blocks before the primary one repeat the packets before it, oldest first. Which those are is told by their
//! timestamps alone; encoders (libwebrtc) put in the packets right before it, so the last redundant block is that of
//! the sequence number before.

use std::ops::Range;

/// Packets that are put before one at most, and looked for in one (LiveKit's number).
pub(crate) const MOST_BLOCKS: usize = 2;
/// Longest redundant block: ten bits tell its length (RFC 2198 section 3).
const LONGEST_BLOCK: usize = 0x3FF;
/// The oldest that a redundant block can be, in samples: fourteen bits.
const OLDEST: u32 = 0x3FFF;
/// A payload with more than this in it gets no further block: with all headers it still fits every path (libwebrtc's
/// limit of an audio packet).
const LONGEST_PAYLOAD: usize = 1200;

/// Header bytes of a redundant block, and of the primary one.
pub(crate) const HEADER: usize = 4;
const PRIMARY_HEADER: usize = 1;

/// A redundant block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// So many samples before the primary one.
    pub age: u32,
    /// Its place in the payload.
    pub place: Range<usize>,
}

/// Where the primary (newest) block of a RED payload lies.
pub(crate) fn primary(payload: &[u8]) -> Option<Range<usize>> {
    let (headers, redundant) = lengths(payload)?;
    let start = headers + redundant;
    (start <= payload.len()).then_some(start..payload.len())
}

/// The newest redundant blocks, newest first: that of the packet before, of the one before that. None in a damaged
/// payload.
pub(crate) fn redundant(payload: &[u8]) -> [Option<Block>; MOST_BLOCKS] {
    let mut newest = [const { None }; MOST_BLOCKS];
    let Some((headers, start)) =
        lengths(payload).zip(primary(payload)).map(|((headers, _), place)| (headers, place.start))
    else {
        return newest;
    };
    let mut end = start;
    let fields = payload.get(..headers - PRIMARY_HEADER).unwrap_or_default().rchunks_exact(HEADER);
    for (slot, field) in newest.iter_mut().zip(fields) {
        let (age, len) = age_and_length(field);
        *slot = Some(Block { age, place: end - len..end });
        end -= len;
    }
    newest
}

/// Writes the subscriber's payload type into every block header: the publisher's number means nothing to it.
pub(crate) fn set_payload_types(payload: &mut [u8], inner: u8) {
    let mut at = 0;
    while let Some(byte) = payload.get_mut(at) {
        let follows = *byte & 0x80 != 0;
        *byte = *byte & 0x80 | inner & 0x7F;
        if !follows {
            return;
        }
        at += HEADER;
    }
}

/// A packet that could be put before another: its timestamp and length.
pub(crate) type Earlier = (u32, usize);

/// Which of the packets before this one are put before it: a bit for each, the lowest for the one right before. Newest
/// first, until the payload is full. What was lost is left out.
pub(crate) fn choose(timestamp: u32, len: usize, earlier: [Option<Earlier>; MOST_BLOCKS]) -> u8 {
    let (mut chosen, mut total) = (0, PRIMARY_HEADER + len);
    for (place, (before, len)) in earlier.into_iter().enumerate().filter_map(|(place, found)| Some((place, found?))) {
        let age = timestamp.wrapping_sub(before);
        let longer = total + HEADER + len;
        if (1..=OLDEST).contains(&age) && (1..=LONGEST_BLOCK).contains(&len) && longer <= LONGEST_PAYLOAD {
            chosen |= 1 << place;
            total = longer;
        }
    }
    chosen
}

/// Appends a RED payload of redundant blocks (how many samples ago, and what), newest first, and the primary one.
pub(crate) fn write(out: &mut Vec<u8>, redundant: &[Option<(u32, &[u8])>; MOST_BLOCKS], primary: &[u8], inner: u8) {
    let oldest_first = || redundant.iter().rev().flatten();
    for (age, block) in oldest_first() {
        let length = (block.len() & LONGEST_BLOCK) as u32;
        out.extend_from_slice(&(u32::from(0x80 | inner) << 24 | (age & OLDEST) << 10 | length).to_be_bytes());
    }
    out.push(inner & 0x7F);
    for (_, block) in oldest_first() {
        out.extend_from_slice(block);
    }
    out.extend_from_slice(primary);
}

/// Length of all block headers, and of the redundant blocks behind them.
fn lengths(payload: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut redundant) = (0, 0);
    loop {
        let header = payload.get(at..)?;
        if header.first()? & 0x80 == 0 {
            return Some((at + PRIMARY_HEADER, redundant));
        }
        redundant += age_and_length(header.get(..HEADER)?).1;
        at += HEADER;
    }
}

/// Samples between a redundant block and the primary one, and its length.
fn age_and_length(header: &[u8]) -> (u32, usize) {
    let fields = header.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    (fields >> 10 & OLDEST, fields as usize & LONGEST_BLOCK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One redundant block of three bytes (timestamp offset 960) and a primary of two, both of payload type 111.
    const RED: [u8; 10] = [0x80 | 111, 0x0F, 0x00, 0x03, 111, b'o', b'l', b'd', b'n', b'w'];

    #[test]
    fn the_primary_block_is_what_follows_the_redundant_ones() {
        assert_eq!(primary(&RED), Some(8..10));
        assert_eq!(primary(&[111, b'x']), Some(1..2));
    }

    #[test]
    fn damaged_payloads_have_no_primary_block() {
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&RED[..4]), None);
        assert_eq!(primary(&RED[..7]), None);
    }

    #[test]
    fn redundant_blocks_are_found_newest_first() {
        let place = |age, place| Some(Block { age, place });
        assert_eq!(redundant(&RED), [place(960, 5..8), None]);
        let three = [0xEF, 0x1E, 0, 1, 0xEF, 0x0F, 0, 2, 0xEF, 0x07, 0x80, 1, 111, b'a', b'b', b'b', b'c', b'd'];
        assert_eq!(redundant(&three), [place(480, 16..17), place(960, 14..16)], "of three the newest two");
        assert_eq!(redundant(&three[..16]), [None, None], "damaged");
    }

    #[test]
    fn what_is_too_old_too_long_or_too_much_is_not_put_before_a_packet() {
        assert_eq!(choose(2000, 80, [Some((1040, 80)), Some((80, 80))]), 0b11);
        assert_eq!(choose(2000, 80, [None, Some((80, 80))]), 0b10, "over a gap");
        assert_eq!(choose(OLDEST, 80, [Some((0, 80)), Some((0u32.wrapping_sub(1), 80))]), 0b01, "14 bits of samples");
        assert_eq!(choose(2000, 80, [Some((2000, 80)), Some((2960, 80))]), 0, "not from before");
        assert_eq!(choose(2000, 80, [Some((1040, 1024)), Some((80, 0))]), 0, "10 bits of length");
        assert_eq!(choose(2000, 400, [Some((1040, 400)), Some((80, 400))]), 0b01, "one that is full");
        assert_eq!(choose(2000, 1300, [Some((1040, 1)), None]), 0);
    }

    #[test]
    fn every_block_gets_the_subscribers_payload_type() {
        let mut payload = RED;
        set_payload_types(&mut payload, 96);
        assert_eq!(payload, [0x80 | 96, 0x0F, 0x00, 0x03, 96, b'o', b'l', b'd', b'n', b'w']);
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>, inner: u8) {
            let found = primary(&payload);
            let mut renamed = payload.clone();
            set_payload_types(&mut renamed, inner);
            prop_assert_eq!(renamed.len(), payload.len());
            prop_assert_eq!(primary(&renamed), found.clone(), "blocks lie where they lay");
            if let Some(block) = found {
                prop_assert_eq!(renamed.get(block.clone()), payload.get(block), "the primary block is left as it was");
            }
            for block in redundant(&payload).into_iter().flatten() {
                prop_assert!(payload.get(block.place).is_some());
            }
        }

        #[test]
        fn what_is_written_reads_back(
            blocks: [Option<Vec<u8>>; MOST_BLOCKS], ages: [u16; MOST_BLOCKS], own: Vec<u8>, inner in 0..128u8,
        ) {
            let ages = ages.map(|age| u32::from(age) & OLDEST);
            let held = blocks.iter().zip(ages).map(|(block, age)| block.as_ref().map(|block| (age, block.as_slice())));
            let held: Vec<_> = held.collect();
            let mut payload = Vec::new();
            write(&mut payload, held.as_slice().try_into().unwrap(), &own, inner);
            prop_assert_eq!(payload.get(primary(&payload).unwrap()).unwrap(), &own[..]);
            let found: Vec<_> = redundant(&payload).into_iter().flatten().collect();
            let found: Vec<_> = found.into_iter().map(|block| (block.age, payload.get(block.place).unwrap())).collect();
            prop_assert_eq!(found, held.into_iter().flatten().collect::<Vec<_>>());
        }
    }
}
