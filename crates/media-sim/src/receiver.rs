//! What a client gets: frames put together from packets, judged as a decoder would.

use std::collections::BTreeMap;
use std::time::Instant;

use rustc_hash::FxHashSet;

use crate::frame::FrameTag;

/// Frames in flight that are remembered before the oldest is given up.
const MAX_OPEN: usize = 64;

#[derive(Debug)]
struct Open {
    tag: FrameTag,
    seen: FxHashSet<u16>,
    first_at: Instant,
}

/// A frame that arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub at: Instant,
    pub first_at: Instant,
    pub tag: FrameTag,
    /// Could a decoder show it: a key frame, or next after one that it showed?
    pub decodable: bool,
}

/// When a frame or packet was captured, as a player learns it to play sound and picture together: by the newest sender
/// report of its stream (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    pub at: Instant,
    /// Of the frame, or of the packet of sound.
    pub number: u32,
    /// On the clock of the reports, in seconds.
    pub captured_s: f64,
}

/// One video track as one subscriber sees it.
#[derive(Debug, Default)]
pub struct VideoReceiver {
    pub timed: Vec<Timed>,
    /// By RTP time: one picture of whatever layer.
    open: BTreeMap<u64, Open>,
    pub frames: Vec<Received>,
    sequences: FxHashSet<u64>,
    pub packets: u64,
    pub bytes: u64,
    pub duplicates: u64,
    /// Payloads that are not ours, such as padding.
    pub foreign: u64,
    shown: Option<FrameTag>,
    /// Whole frames in decoding order wait here for those before them.
    whole: BTreeMap<u64, (Instant, Open)>,
    next_time: Option<u64>,
}

impl VideoReceiver {
    pub fn packet(&mut self, now: Instant, sequence: u64, time: u64, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        if !self.sequences.insert(sequence) {
            self.duplicates += 1;
            return;
        }
        self.packets += 1;
        self.bytes += payload.len() as u64;
        let Some(tag) = FrameTag::read(payload) else {
            self.foreign += 1;
            return;
        };
        let open = self.open.entry(time).or_insert_with(|| Open { tag, seen: FxHashSet::default(), first_at: now });
        open.seen.insert(tag.index);
        if open.seen.len() == usize::from(open.tag.packets) {
            if let Some(done) = self.open.remove(&time) {
                self.whole.insert(time, (now, done));
            }
        }
        self.show(now);
        while self.open.len() > MAX_OPEN {
            self.open.pop_first();
        }
    }

    /// Hands frames to the decoder in order of their time; one that is still missing packets holds later ones back
    /// for as long as a player's buffer would (half a second of RTP time), unless a key frame came.
    fn show(&mut self, _now: Instant) {
        while let Some((&time, (at, frame))) = self.whole.first_key_value() {
            let blocked = self.open.first_key_value().is_some_and(|(&open, _)| open < time);
            let newest = self.whole.last_key_value().map_or(time, |(&newest, _)| newest);
            let follows = self
                .shown
                .is_some_and(|shown| shown.layer == frame.tag.layer && frame.tag.frame == shown.frame.wrapping_add(1));
            let patience = newest.saturating_sub(time) < 45_000;
            if !follows && !frame.tag.key && patience && (blocked || self.next_time.is_some()) {
                return;
            }
            let decodable = frame.tag.key || follows;
            let received = Received { at: *at, first_at: frame.first_at, tag: frame.tag, decodable };
            if decodable {
                self.shown = Some(frame.tag);
                self.next_time = Some(time);
            }
            self.frames.push(received);
            self.whole.remove(&time);
        }
    }

    /// A decoder that waits for something it cannot get: ask for a key frame.
    pub fn is_stuck(&self) -> bool {
        let behind = self.frames.iter().rev().take_while(|frame| !frame.decodable).count();
        behind > 0 || self.whole.len() > 10
    }

    pub fn decodable(&self) -> impl DoubleEndedIterator<Item = &Received> {
        self.frames.iter().filter(|frame| frame.decodable)
    }

    /// Layer of the newest shown frame.
    pub fn layer(&self) -> Option<u8> {
        self.decodable().next_back().map(|frame| frame.tag.layer)
    }

    /// Decodable frames that arrived in this span.
    pub fn shown_between(&self, from: Instant, to: Instant) -> usize {
        self.decodable().filter(|frame| frame.at >= from && frame.at < to).count()
    }
}

/// One audio track as one subscriber hears it.
#[derive(Debug, Default)]
pub struct AudioReceiver {
    pub timed: Vec<Timed>,
    pub numbers: Vec<u32>,
    sequences: FxHashSet<u64>,
    pub duplicates: u64,
}

impl AudioReceiver {
    pub fn packet(&mut self, sequence: u64, number: Option<u32>) {
        if self.sequences.insert(sequence) {
            self.numbers.extend(number);
        } else {
            self.duplicates += 1;
        }
    }
}
