//! VP8 payloads (RFC 7741) that carry their own account: which layer, frame and packet they are.

use std::time::Duration;

/// One simulcast layer of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSpec {
    /// `q`, `h`, `f`; `None` without simulcast.
    pub rid: Option<&'static str>,
    pub width: u16,
    pub height: u16,
    pub bitrate_bps: u32,
}

impl LayerSpec {
    /// Three layers as LiveKit's clients send them for 720p.
    pub const SIMULCAST: [LayerSpec; 3] = [
        LayerSpec { rid: Some("q"), width: 320, height: 180, bitrate_bps: 150_000 },
        LayerSpec { rid: Some("h"), width: 640, height: 360, bitrate_bps: 450_000 },
        LayerSpec { rid: Some("f"), width: 1280, height: 720, bitrate_bps: 1_700_000 },
    ];
    /// Three layers in one stream (SVC) of 720p, each without those below.
    pub const LAYERED: [LayerSpec; 3] = [
        LayerSpec { rid: None, width: 320, height: 180, bitrate_bps: 100_000 },
        LayerSpec { rid: None, width: 640, height: 360, bitrate_bps: 200_000 },
        LayerSpec { rid: None, width: 1280, height: 720, bitrate_bps: 1_100_000 },
    ];
    pub const SINGLE: [LayerSpec; 1] = [LayerSpec { rid: None, width: 640, height: 360, bitrate_bps: 600_000 }];

    /// Bytes of an ordinary frame.
    pub fn frame_bytes(&self, interval: Duration) -> usize {
        (f64::from(self.bitrate_bps) / 8.0 * interval.as_secs_f64()) as usize
    }
}

const MAGIC: [u8; 4] = *b"AuSi";
/// Magic, layer, key frame, frame number, packet index, packets of the frame.
const TAG: usize = 4 + 1 + 1 + 4 + 2 + 2;

/// What a packet says about itself, at the end of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTag {
    pub layer: u8,
    pub key: bool,
    pub frame: u32,
    pub index: u16,
    pub packets: u16,
}

impl FrameTag {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend([self.layer, u8::from(self.key)]);
        out.extend(self.frame.to_be_bytes());
        out.extend(self.index.to_be_bytes());
        out.extend(self.packets.to_be_bytes());
    }

    /// Of a received payload; `None` for anything that is not one of ours, such as padding.
    pub fn read(payload: &[u8]) -> Option<FrameTag> {
        let tag: &[u8; TAG] = payload.last_chunk()?;
        let [m0, m1, m2, m3, layer, key, f0, f1, f2, f3, i0, i1, p0, p1] = *tag;
        ([m0, m1, m2, m3] == MAGIC).then_some(FrameTag {
            layer,
            key: key == 1,
            frame: u32::from_be_bytes([f0, f1, f2, f3]),
            index: u16::from_be_bytes([i0, i1]),
            packets: u16::from_be_bytes([p0, p1]),
        })
    }
}

/// Largest payload of a packet, as libwebrtc's.
pub(crate) const MAX_PAYLOAD: usize = 1_100;

/// The packets of one frame of about `bytes` bytes.
pub fn packetise(layer: u8, spec: &LayerSpec, frame: u32, key: bool, picture_id: u16, bytes: usize) -> Vec<Vec<u8>> {
    let packets = bytes.div_ceil(MAX_PAYLOAD).max(1) as u16;
    (0..packets)
        .map(|index| {
            let mut out = descriptor(index == 0, picture_id, frame as u8);
            if index == 0 {
                frame_header(spec, key, &mut out);
            }
            let size = bytes.div_ceil(usize::from(packets)).max(out.len() + TAG);
            out.resize(size - TAG, 0x5a);
            FrameTag { layer, key, frame, index, packets }.write(&mut out);
            out
        })
        .collect()
}

/// The payload descriptor with a 15-bit picture id and TL0PICIDX (RFC 7741, 4.2).
fn descriptor(first: bool, picture_id: u16, tl0: u8) -> Vec<u8> {
    let [high, low] = (picture_id & 0x7fff).to_be_bytes();
    vec![0x80 | if first { 0x10 } else { 0 }, 0xe0, high | 0x80, low, tl0, 0]
}

/// The VP8 frame tag, and for key frames the start code and size (RFC 6386, 9.1).
fn frame_header(spec: &LayerSpec, key: bool, out: &mut Vec<u8>) {
    out.extend([if key { 0x10 } else { 0x11 }, 0x02, 0x00]);
    if key {
        out.extend([0x9d, 0x01, 0x2a]);
        out.extend(spec.width.to_le_bytes());
        out.extend(spec.height.to_le_bytes());
    }
}
