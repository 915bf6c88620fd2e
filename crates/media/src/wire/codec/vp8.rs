//! VP8 payload descriptor (RFC 7741).

use super::super::WireError;

/// Does this payload start a key frame?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let _ = payload;
    false
}

/// The payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// First packet of partition 0: the start of a frame.
    pub starts_frame: bool,
    /// This packet starts a key frame.
    pub keyframe: bool,
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    pub long_picture_id: bool,
    pub tl0_pic_idx: Option<u8>,
    /// Temporal layer; 0 when absent.
    pub temporal: u8,
    /// Y bit: depends only on the base layer, so that a receiver may move up to `temporal` here.
    pub layer_sync: bool,
    pub key_index: Option<u8>,
    /// Length of the descriptor.
    pub len: usize,
}

impl Descriptor {
    pub fn parse(payload: &[u8]) -> Result<Descriptor, WireError> {
        let _ = payload;
        Err(WireError::Truncated)
    }

    /// Overwrites picture id, TL0PICIDX and KEYIDX in place, where present. The field widths stay as they are: a
    /// 7-bit picture id takes the lower 7 bits.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8, key_index: u8) {
        let _ = (payload, picture_id, tl0_pic_idx, key_index);
    }
}
