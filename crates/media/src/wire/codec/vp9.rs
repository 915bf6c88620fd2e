//! VP9 payloads (RFC 9628).

/// Does this payload start a key frame? Not inter-predicted, start of a frame, lowest spatial layer.
pub fn starts_keyframe(payload: &[u8]) -> bool {
    const PICTURE_ID: u8 = 0x80;
    const INTER_PREDICTED: u8 = 0x40;
    const LAYERS: u8 = 0x20;
    const STARTS_FRAME: u8 = 0x08;
    let Some(&flags) = payload.first() else { return false };
    if flags & INTER_PREDICTED != 0 || flags & STARTS_FRAME == 0 {
        return false;
    }
    if flags & LAYERS == 0 {
        return true;
    }
    let picture_id_len = match (flags & PICTURE_ID != 0, payload.get(1)) {
        (false, _) => 0,
        (true, Some(first)) if first & 0x80 != 0 => 2,
        (true, _) => 1,
    };
    payload.get(1 + picture_id_len).is_some_and(|layer| layer >> 1 & 0x7 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_lowest_layer_of_an_independent_frame_starts_a_key_frame() {
        assert!(starts_keyframe(&[0x08]));
        assert!(starts_keyframe(&[0x8a, 0x85, 0x11]));
        assert!(starts_keyframe(&[0xaa, 0x85, 0x11, 0x00]), "15-bit picture id, spatial layer 0");
        assert!(starts_keyframe(&[0xaa, 0x05, 0x00]), "7-bit picture id, spatial layer 0");
    }

    #[test]
    fn predicted_frames_later_packets_and_upper_layers_do_not() {
        assert!(!starts_keyframe(&[0x48]));
        assert!(!starts_keyframe(&[0x00]));
        assert!(!starts_keyframe(&[0xaa, 0x05, 0x02]), "spatial layer 1");
        assert!(!starts_keyframe(&[0xaa]));
        assert!(!starts_keyframe(&[]));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>) {
            starts_keyframe(&payload);
        }
    }
}
