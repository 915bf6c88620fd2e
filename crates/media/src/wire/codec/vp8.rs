//! VP8 payload descriptor (RFC 7741).

use super::super::WireError;
use super::super::bytes::{patch, read_u8, read_u16};

/// Does this payload start a key frame?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_ok_and(|d| d.keyframe)
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
        let first = read_u8(payload, 0)?;
        let mut parsed = Descriptor { starts_frame: first & 0x17 == 0x10, len: 1, ..Descriptor::default() };
        if first & 0x80 != 0 {
            parsed.parse_extension(payload)?;
        }
        // RFC 7741 4.3: the P bit of the payload header is 0 on key frames; it is there only where a frame starts.
        parsed.keyframe = parsed.starts_frame && read_u8(payload, parsed.len)? & 0x01 == 0;
        Ok(parsed)
    }

    fn parse_extension(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let flags = read_u8(payload, 1)?;
        let mut at = 2;
        if flags & 0x80 != 0 {
            let short = read_u8(payload, at)?;
            self.long_picture_id = short & 0x80 != 0;
            let id = if self.long_picture_id { read_u16(payload, at)? & 0x7fff } else { u16::from(short) };
            self.picture_id = Some(id);
            at += 1 + usize::from(self.long_picture_id);
        }
        if flags & 0x40 != 0 {
            self.tl0_pic_idx = Some(read_u8(payload, at)?);
            at += 1;
        }
        if flags & 0x30 != 0 {
            let layers = read_u8(payload, at)?;
            if flags & 0x20 != 0 {
                self.temporal = layers >> 6;
                self.layer_sync = layers & 0x20 != 0;
            }
            if flags & 0x10 != 0 {
                self.key_index = Some(layers & 0x1f);
            }
            at += 1;
        }
        self.len = at;
        Ok(())
    }

    /// Appends a descriptor for the only packet of a frame in the lowest temporal layer, with the fields that this one
    /// has. TL0PICIDX demands a temporal layer beside it (RFC 7741 section 4.2).
    pub fn write_first(&self, out: &mut Vec<u8>, picture_id: u16, tl0_pic_idx: u8, key_index: u8) {
        const STARTS_FRAME: u8 = 0x10;
        const LAYER_SYNC: u8 = 0x20;
        let flag = |field: bool, bit: u8| if field { bit } else { 0 };
        let (layered, keyed) = (self.tl0_pic_idx.is_some(), self.key_index.is_some());
        let fields = flag(self.picture_id.is_some(), 0x80) | flag(layered, 0x60) | flag(keyed, 0x10);
        if fields == 0 {
            out.push(STARTS_FRAME);
            return;
        }
        out.extend_from_slice(&[0x80 | STARTS_FRAME, fields]);
        match self.picture_id {
            Some(_) if self.long_picture_id => out.extend_from_slice(&(picture_id | 0x8000).to_be_bytes()),
            Some(_) => out.push((picture_id & 0x7F) as u8),
            None => {}
        }
        if layered {
            out.push(tl0_pic_idx);
        }
        if layered || keyed {
            out.push(flag(layered, LAYER_SYNC) | flag(keyed, key_index & 0x1F));
        }
    }

    /// Overwrites picture id, TL0PICIDX and KEYIDX in place, where present. The field widths stay as they are: a
    /// 7-bit picture id takes the lower 7 bits.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8, key_index: u8) {
        let mut at = 2;
        if self.picture_id.is_some() {
            if self.long_picture_id {
                patch(payload, at, &(picture_id | 0x8000).to_be_bytes());
            } else {
                patch(payload, at, &[(picture_id & 0x7f) as u8]);
            }
            at += 1 + usize::from(self.long_picture_id);
        }
        if self.tl0_pic_idx.is_some() {
            patch(payload, at, &[tl0_pic_idx]);
            at += 1;
        }
        if self.key_index.is_some() {
            let layers = payload.get(at).copied().unwrap_or_default() & 0xe0;
            patch(payload, at, &[layers | key_index & 0x1f]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_descriptor_is_one_byte() -> Result<(), WireError> {
        let key = Descriptor::parse(&[0x10, 0x00, 0x9d])?;
        assert!(key.starts_frame && key.keyframe && key.len == 1 && key.picture_id.is_none());
        assert!(!Descriptor::parse(&[0x10, 0x01])?.keyframe, "P bit set: predicted");
        assert!(!Descriptor::parse(&[0x00, 0x00])?.starts_frame);
        assert!(!Descriptor::parse(&[0x11, 0x00])?.starts_frame, "another partition");
        Ok(())
    }

    #[test]
    fn all_fields_are_read_and_rewritten_in_place() -> Result<(), WireError> {
        let mut payload = [0x90, 0xf0, 0x92, 0x34, 0x07, 0x65, 0x00, 0xaa];
        let seen = Descriptor::parse(&payload)?;
        assert_eq!((seen.picture_id, seen.tl0_pic_idx, seen.key_index), (Some(0x1234), Some(7), Some(5)));
        assert_eq!((seen.temporal, seen.layer_sync, seen.len), (1, true, 6));
        seen.rewrite(&mut payload, 0x7fff, 9, 31);
        let again = Descriptor::parse(&payload)?;
        assert_eq!((again.picture_id, again.tl0_pic_idx, again.key_index), (Some(0x7fff), Some(9), Some(31)));
        assert_eq!((again.temporal, again.layer_sync, payload[6], payload[7]), (1, true, 0x00, 0xaa));
        Ok(())
    }

    #[test]
    fn a_short_picture_id_stays_short() -> Result<(), WireError> {
        let mut payload = [0x90, 0x80, 0x05, 0x01];
        Descriptor::parse(&payload)?.rewrite(&mut payload, 0x1ff, 0, 0);
        assert_eq!(payload, [0x90, 0x80, 0x7f, 0x01]);
        Ok(())
    }

    proptest! {
        #[test]
        fn a_written_descriptor_has_the_fields_of_the_one_it_follows(
            like in prop::collection::vec(any::<u8>(), 1..10), id: u16, tl0: u8, key: u8,
        ) {
            let Ok(like) = Descriptor::parse(&like) else { return Ok(()) };
            let mut out = Vec::new();
            like.write_first(&mut out, id, tl0, key);
            let len = out.len();
            out.push(0x10);
            let written = Descriptor::parse(&out).unwrap_or_default();
            prop_assert!(written.keyframe && written.len == len && written.temporal == 0);
            let mask = if like.long_picture_id { 0x7FFF } else { 0x7F };
            prop_assert_eq!(written.picture_id, like.picture_id.map(|_| id & mask));
            prop_assert_eq!(written.tl0_pic_idx, like.tl0_pic_idx.map(|_| tl0));
            prop_assert_eq!(written.key_index, like.key_index.map(|_| key & 0x1F));
        }

        #[test]
        fn rewriting_keeps_length_and_media(mut payload in prop::collection::vec(any::<u8>(), 0..40), id: u16, tl0: u8) {
            if let Ok(seen) = Descriptor::parse(&payload) {
                let media = payload.get(seen.len..).map(<[u8]>::to_vec);
                seen.rewrite(&mut payload, id, tl0, 3);
                prop_assert_eq!(media.as_deref(), payload.get(seen.len..));
                prop_assert_eq!(Descriptor::parse(&payload).map(|d| d.len), Ok(seen.len));
            }
        }
    }
}
