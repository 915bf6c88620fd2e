//! VP9 payload descriptor (RFC 9628 section 4.2).

use super::super::WireError;
use super::super::bytes::{read_u8, read_u16};

const PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const LAYER_INDICES: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const STARTS_FRAME: u8 = 0x08;
const ENDS_FRAME: u8 = 0x04;
const STRUCTURE: u8 = 0x02;
/// A frame refers to at most three others (flexible mode).
const MAX_REFERENCES: usize = 3;

/// Does this payload start a key frame?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_ok_and(|descriptor| descriptor.keyframe)
}

/// The payload descriptor. A "frame" here is one spatial layer of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    pub starts_frame: bool,
    pub ends_frame: bool,
    /// First packet of the lowest spatial layer of a picture that depends on no other.
    pub keyframe: bool,
    pub inter_predicted: bool,
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    pub long_picture_id: bool,
    pub has_layers: bool,
    /// 0 when layers are not told.
    pub spatial: u8,
    pub temporal: u8,
    /// U bit: a receiver may move up to this temporal layer here.
    pub switching_up: bool,
    /// D bit: depends on the spatial layer below of the same picture.
    pub inter_layer: bool,
    /// Non-flexible mode only.
    pub tl0_pic_idx: Option<u8>,
    /// Z bit: no higher spatial layer of any picture refers to this frame.
    pub not_reference_above: bool,
    /// A scalability structure follows.
    pub has_structure: bool,
    /// Length of the descriptor.
    pub len: usize,
}

impl Descriptor {
    pub fn parse(payload: &[u8]) -> Result<Descriptor, WireError> {
        let flags = read_u8(payload, 0)?;
        let set = |flag: u8| flags & flag != 0;
        let mut parsed = Descriptor {
            starts_frame: set(STARTS_FRAME),
            ends_frame: set(ENDS_FRAME),
            inter_predicted: set(INTER_PREDICTED),
            not_reference_above: set(0x01),
            has_structure: set(STRUCTURE),
            has_layers: set(LAYER_INDICES),
            len: 1,
            ..Descriptor::default()
        };
        if set(PICTURE_ID) {
            parsed.parse_picture_id(payload)?;
        }
        if set(LAYER_INDICES) {
            parsed.parse_layers(payload, set(FLEXIBLE))?;
        }
        if set(FLEXIBLE) && set(INTER_PREDICTED) {
            parsed.skip_references(payload)?;
        }
        if set(STRUCTURE) {
            parsed.skip_structure(payload)?;
        }
        if parsed.len > payload.len() {
            return Err(WireError::Truncated);
        }
        parsed.keyframe = parsed.starts_frame && !parsed.inter_predicted && parsed.spatial == 0;
        Ok(parsed)
    }

    fn parse_picture_id(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let short = read_u8(payload, self.len)?;
        self.long_picture_id = short & 0x80 != 0;
        let id = if self.long_picture_id { read_u16(payload, self.len)? & 0x7FFF } else { u16::from(short) };
        self.picture_id = Some(id);
        self.len += 1 + usize::from(self.long_picture_id);
        Ok(())
    }

    fn parse_layers(&mut self, payload: &[u8], flexible: bool) -> Result<(), WireError> {
        let layers = read_u8(payload, self.len)?;
        self.temporal = layers >> 5;
        self.switching_up = layers & 0x10 != 0;
        self.spatial = layers >> 1 & 0x07;
        self.inter_layer = layers & 0x01 != 0;
        self.len += 1;
        if !flexible {
            self.tl0_pic_idx = Some(read_u8(payload, self.len)?);
            self.len += 1;
        }
        Ok(())
    }

    fn skip_references(&mut self, payload: &[u8]) -> Result<(), WireError> {
        for _ in 0..MAX_REFERENCES {
            let reference = read_u8(payload, self.len)?;
            self.len += 1;
            if reference & 0x01 == 0 {
                return Ok(());
            }
        }
        Err(WireError::Malformed)
    }

    fn skip_structure(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let head = read_u8(payload, self.len)?;
        self.len += 1;
        if head & 0x10 != 0 {
            self.len += 4 * (usize::from(head >> 5) + 1);
        }
        if head & 0x08 == 0 {
            return Ok(());
        }
        let pictures = read_u8(payload, self.len)?;
        self.len += 1;
        for _ in 0..pictures {
            let references = read_u8(payload, self.len)? >> 2 & 0x03;
            self.len += 1 + usize::from(references);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_lowest_layer_of_an_independent_frame_starts_a_key_frame() {
        assert!(starts_keyframe(&[0x08]));
        assert!(starts_keyframe(&[0x88, 0x85, 0x11]), "15-bit picture id");
        assert!(starts_keyframe(&[0xA8, 0x85, 0x11, 0x00, 0x00]), "spatial layer 0");
        assert!(starts_keyframe(&[0xB8, 0x05, 0x00]), "flexible mode has no TL0PICIDX");
    }

    #[test]
    fn predicted_frames_later_packets_and_upper_layers_do_not() {
        assert!(!starts_keyframe(&[0x48]));
        assert!(!starts_keyframe(&[0x00]));
        assert!(!starts_keyframe(&[0xA8, 0x05, 0x02, 0x00]), "spatial layer 1");
        assert!(!starts_keyframe(&[0xA8]));
        assert!(!starts_keyframe(&[]));
    }

    #[test]
    fn layers_and_numbers_are_read() {
        let seen = Descriptor::parse(&[0xEC, 0x92, 0x34, 0x55, 0x09, 0xAA]).unwrap();
        assert_eq!((seen.picture_id, seen.tl0_pic_idx, seen.len), (Some(0x1234), Some(9), 5));
        assert_eq!((seen.temporal, seen.switching_up, seen.spatial, seen.inter_layer), (2, true, 2, true));
        assert!(seen.starts_frame && seen.ends_frame && seen.inter_predicted && !seen.keyframe);
    }

    #[test]
    fn references_and_the_scalability_structure_are_skipped() {
        // Flexible, predicted: two references.
        assert_eq!(Descriptor::parse(&[0xF8, 0x05, 0x00, 0x03, 0x04, 0xAA]).map(|seen| seen.len), Ok(5));
        // Two spatial layers with sizes, one picture in the group with two references.
        let structure = [0x0A, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 1, 0x08, 1, 2, 0xAA];
        assert_eq!(Descriptor::parse(&structure).map(|seen| (seen.len, seen.has_structure)), Ok((14, true)));
        assert_eq!(Descriptor::parse(&structure[..9]), Err(WireError::Truncated));
        assert_eq!(Descriptor::parse(&[0xF8, 0x05, 0x00, 0x03, 0x03, 0x03, 0x02]), Err(WireError::Malformed));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(seen) = Descriptor::parse(&payload) {
                prop_assert!(seen.len <= payload.len());
            }
        }
    }
}
