//! A camera whose layers are in one stream (SVC): VP9 payloads (RFC 9628) that carry their own account.
//!
//! Four pictures repeat: temporal layers 0 2 1 2. Each spatial layer refers to itself in earlier pictures, and to the one
//! below at key pictures alone ([`Scalability::L3T3Key`]) or always ([`Scalability::L3T3`]).

use std::time::Instant;

use str0m::Rtc;
use str0m::media::{Mid, Pt};
use str0m::rtp::RtpWrite;

use crate::frame::{LayerSpec, MAX_PAYLOAD};
use crate::source::{FRAME_INTERVAL, KEY_FRAME_FACTOR, RTX_AGE, RTX_PACKETS};

/// How layers build on each other (W3C's names of scalability modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalability {
    L3T3,
    L3T3Key,
}

/// Temporal layer, and how many pictures back the one is that it refers to.
const PATTERN: [(u8, u8); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];
const MAGIC: [u8; 4] = *b"AuSv";
/// Magic, picture, spatial and temporal layer, back, below, packet index, packets of the frame.
const TAG: usize = 4 + 4 + 1 + 1 + 1 + 1 + 2 + 2;

/// What a packet says about itself, at the end of its payload. A frame is one spatial layer of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayeredTag {
    pub picture: u32,
    pub spatial: u8,
    pub temporal: u8,
    /// Refers to the same layer so many pictures before; 0 = to none.
    pub back: u8,
    /// Refers to the layer below of the same picture.
    pub below: bool,
    pub index: u16,
    pub packets: u16,
}

impl LayeredTag {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(self.picture.to_be_bytes());
        out.extend([self.spatial, self.temporal, self.back, u8::from(self.below)]);
        out.extend(self.index.to_be_bytes());
        out.extend(self.packets.to_be_bytes());
    }

    pub fn read(payload: &[u8]) -> Option<LayeredTag> {
        let tag: &[u8; TAG] = payload.last_chunk()?;
        let [m0, m1, m2, m3, p0, p1, p2, p3, spatial, temporal, back, below, i0, i1, c0, c1] = *tag;
        ([m0, m1, m2, m3] == MAGIC).then_some(LayeredTag {
            picture: u32::from_be_bytes([p0, p1, p2, p3]),
            spatial,
            temporal,
            back,
            below: below == 1,
            index: u16::from_be_bytes([i0, i1]),
            packets: u16::from_be_bytes([c0, c1]),
        })
    }
}

/// The stream of such a camera.
#[derive(Debug)]
pub struct LayeredStream {
    specs: Vec<LayerSpec>,
    mode: Scalability,
    sequence: u64,
    picture: u32,
    /// Pictures since the last key picture.
    since_key: usize,
    pub key_wanted: bool,
    /// Index of the newest picture of the lowest temporal layer.
    tl0: u8,
}

impl LayeredStream {
    pub fn new(specs: &[LayerSpec], mode: Scalability) -> LayeredStream {
        let (sequence, picture) = (1_000, 0);
        LayeredStream { specs: specs.to_vec(), mode, sequence, picture, since_key: 0, key_wanted: true, tl0: 0 }
    }

    pub fn layers(&self) -> usize {
        self.specs.len()
    }

    /// Writes one spatial layer of the next picture, lowest first. True when that was a key picture's lowest.
    pub fn write(&mut self, rtc: &mut Rtc, mid: Mid, index: usize, pt: Pt, time: u32, at: Instant) -> bool {
        let Some(spec) = self.specs.get(index).copied() else { return false };
        let mut direct = rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else { return false };
        if index == 0 {
            self.begin_picture();
        }
        if self.picture == 1 && index == 0 {
            stream.set_rtx_cache(RTX_PACKETS, RTX_AGE, None);
        }
        let top = index + 1 == self.specs.len();
        let payloads = self.packetise(index as u8, &spec);
        let last = payloads.len() - 1;
        for (number, payload) in payloads.into_iter().enumerate() {
            let packet = RtpWrite::new(pt, self.sequence.into(), time, at, payload);
            stream.write_rtp(packet.marker(top && number == last).nackable(true));
            self.sequence += 1;
        }
        index == 0 && self.since_key == 0
    }

    fn begin_picture(&mut self) {
        self.picture += 1;
        self.since_key = if std::mem::take(&mut self.key_wanted) { 0 } else { self.since_key + 1 };
        self.tl0 = self.tl0.wrapping_add(u8::from(self.since_key % PATTERN.len() == 0));
    }

    fn packetise(&self, spatial: u8, spec: &LayerSpec) -> Vec<Vec<u8>> {
        let key = self.since_key == 0;
        let bytes = spec.frame_bytes(FRAME_INTERVAL) * if key { KEY_FRAME_FACTOR } else { 1 };
        let packets = bytes.div_ceil(MAX_PAYLOAD).max(1) as u16;
        let (temporal, back) = PATTERN.get(self.since_key % PATTERN.len()).copied().unwrap_or_default();
        let below = spatial > 0 && (key || self.mode == Scalability::L3T3);
        let back = if key { 0 } else { back };
        let (picture, index) = (self.picture, 0);
        let tag = LayeredTag { picture, spatial, temporal, back, below, index, packets };
        let one = |index| {
            let tag = LayeredTag { index, ..tag };
            let mut out = self.descriptor(&tag);
            let size = bytes.div_ceil(usize::from(packets)).max(out.len() + TAG);
            out.resize(size - TAG, 0x5a);
            tag.write(&mut out);
            out
        };
        (0..packets).map(one).collect()
    }

    /// Non-flexible mode, with a 15-bit picture id and layer indices (RFC 9628 section 4.2).
    fn descriptor(&self, tag: &LayeredTag) -> Vec<u8> {
        let set = |flag: bool, bit: u8| if flag { bit } else { 0 };
        let top = usize::from(tag.spatial) + 1 == self.specs.len();
        // Z: what lies above builds on this frame at key pictures alone.
        let referred = !top && (tag.back == 0 || self.mode == Scalability::L3T3);
        let flags = 0xa0
            | set(tag.back > 0, 0x40)
            | set(tag.index == 0, 0x08)
            | set(tag.index + 1 == tag.packets, 0x04)
            | set(!referred, 0x01);
        let [high, low] = ((self.picture & 0x7fff) as u16).to_be_bytes();
        // Each picture is one at which a receiver may move up to its temporal layer.
        let layers = tag.temporal << 5 | 0x10 | tag.spatial << 1 | set(tag.below, 0x01);
        vec![flags, high | 0x80, low, layers, self.tl0]
    }
}
