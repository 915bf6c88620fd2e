//! Dependency descriptor header extension (AV1 RTP payload format 1.0, appendix A), which VP9 and AV1 senders use.
//!
//! Read as far as forwarding a whole stream needs: frame limits, frame number, and whether the packet brings a new
//! template structure (then it belongs to a key frame, and what follows cannot be understood without it).

use super::super::WireError;
use super::super::bytes::{read_u8, read_u16};

/// Bytes every descriptor has; a longer one has more fields.
const MANDATORY: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    pub starts_frame: bool,
    pub ends_frame: bool,
    /// Template of the frame's dependencies, modulo 64.
    pub template: u8,
    pub frame: u16,
    /// Brings the templates: the first packet of a key frame.
    pub has_structure: bool,
    /// Tells which decode targets are active from here on.
    pub has_active_targets: bool,
}

impl Descriptor {
    /// Reads the value of the header extension.
    pub fn parse(value: &[u8]) -> Result<Descriptor, WireError> {
        let head = read_u8(value, 0)?;
        let frame = read_u16(value, 1)?;
        let flags = value.get(MANDATORY).copied().unwrap_or_default();
        Ok(Descriptor {
            starts_frame: head & 0x80 != 0,
            ends_frame: head & 0x40 != 0,
            template: head & 0x3F,
            frame,
            has_structure: flags & 0x80 != 0,
            // A new structure makes all its targets active unless told otherwise.
            has_active_targets: flags & 0x40 != 0,
        })
    }

    pub fn starts_keyframe(&self) -> bool {
        self.starts_frame && self.has_structure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mandatory_fields_are_three_bytes() {
        let seen = Descriptor::parse(&[0xC5, 0x12, 0x34]).unwrap();
        assert!(seen.starts_frame && seen.ends_frame && !seen.has_structure && !seen.starts_keyframe());
        assert_eq!((seen.template, seen.frame), (5, 0x1234));
    }

    #[test]
    fn a_structure_at_the_start_of_a_frame_is_a_key_frame() {
        assert!(Descriptor::parse(&[0x80, 0, 1, 0x80, 0]).unwrap().starts_keyframe());
        assert!(!Descriptor::parse(&[0x40, 0, 1, 0x80, 0]).unwrap().starts_keyframe());
        assert!(Descriptor::parse(&[0x80, 0, 2, 0x40, 0]).unwrap().has_active_targets);
    }

    #[test]
    fn a_short_value_is_refused() {
        assert_eq!(Descriptor::parse(&[0x80, 0]), Err(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Descriptor::parse(&value);
        }
    }
}
