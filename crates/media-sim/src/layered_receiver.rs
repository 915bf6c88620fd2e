//! What a client gets of a stream with layers within (SVC), judged as a decoder would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rustc_hash::FxHashSet;

use crate::layered::LayeredTag;

/// Pictures that wait for something missing before another key picture is asked for: a third of a second.
const PATIENCE: usize = 10;
/// Pictures that are remembered as references; the furthest is four back.
const REFERENCES: u32 = 64;

#[derive(Debug, Default)]
struct Frame {
    tag: Option<LayeredTag>,
    seen: FxHashSet<u16>,
}

impl Frame {
    fn is_whole(&self) -> bool {
        self.tag.is_some_and(|tag| self.seen.len() == usize::from(tag.packets))
    }
}

/// One picture as it comes in: its frames by spatial layer.
#[derive(Debug, Default)]
struct Picture {
    frames: BTreeMap<u8, Frame>,
    /// The marker came: no higher layer follows.
    ends: bool,
}

impl Picture {
    fn is_whole(&self) -> bool {
        self.ends && self.frames.values().all(Frame::is_whole)
    }
}

/// A picture that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub at: Instant,
    pub picture: u32,
    /// Highest layer of it.
    pub spatial: u8,
    pub temporal: u8,
}

/// One such track as one subscriber sees it.
#[derive(Debug, Default)]
pub struct LayeredReceiver {
    open: BTreeMap<u32, Picture>,
    /// Picture and spatial layer of what was decoded.
    decoded: BTreeSet<(u32, u8)>,
    sequences: FxHashSet<u64>,
    pub duplicates: u64,
    pub shown: Vec<Shown>,
}

impl LayeredReceiver {
    pub fn packet(&mut self, now: Instant, sequence: u64, marker: bool, tag: LayeredTag) {
        if !self.sequences.insert(sequence) {
            self.duplicates += 1;
            return;
        }
        if self.shown.last().is_some_and(|shown| tag.picture <= shown.picture) {
            return;
        }
        let picture = self.open.entry(tag.picture).or_default();
        picture.ends |= marker;
        let frame = picture.frames.entry(tag.spatial).or_default();
        frame.tag = Some(tag);
        frame.seen.insert(tag.index);
        while self.show(now) {}
    }

    /// Decodes the next picture that can be; those before it are given up, as libwebrtc's frame buffer does.
    fn show(&mut self, now: Instant) -> bool {
        let next = self.open.iter().find(|(_, picture)| picture.is_whole() && self.is_decodable(picture));
        let Some(number) = next.map(|(number, _)| *number) else { return false };
        let after = self.open.split_off(&(number + 1));
        let Some(picture) = std::mem::replace(&mut self.open, after).remove(&number) else { return false };
        self.decoded.extend(picture.frames.keys().map(|spatial| (number, *spatial)));
        self.decoded = self.decoded.split_off(&(number.saturating_sub(REFERENCES), 0));
        if let Some(tag) = picture.frames.values().next_back().and_then(|frame| frame.tag) {
            self.shown.push(Shown { at: now, picture: number, spatial: tag.spatial, temporal: tag.temporal });
        }
        true
    }

    fn is_decodable(&self, picture: &Picture) -> bool {
        let mut tags = picture.frames.values().filter_map(|frame| frame.tag);
        tags.all(|tag| {
            let before = tag.back == 0 || self.decoded.contains(&(tag.picture - u32::from(tag.back), tag.spatial));
            let below = !tag.below || picture.frames.contains_key(&(tag.spatial - 1));
            before && below
        })
    }

    /// A decoder that waits for something it cannot get: ask for a key picture.
    pub fn is_stuck(&self) -> bool {
        self.open.values().filter(|picture| picture.is_whole()).count() > PATIENCE
    }

    /// Spatial layer of the newest shown picture.
    pub fn layer(&self) -> Option<u8> {
        self.shown.last().map(|shown| shown.spatial)
    }
}
