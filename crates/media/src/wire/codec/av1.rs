//! AV1 payloads (AV1 RTP payload format 1.0, section 4.4).

/// Does this payload start a key frame? The aggregation header's N bit marks the first packet of a coded video sequence.
pub fn starts_keyframe(payload: &[u8]) -> bool {
    const CONTINUES: u8 = 0x80;
    const NEW_SEQUENCE: u8 = 0x08;
    payload.first().is_some_and(|header| header & NEW_SEQUENCE != 0 && header & CONTINUES == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_new_sequence_starts_a_key_frame() {
        assert!(starts_keyframe(&[0x18, 0x0a]));
        assert!(!starts_keyframe(&[0x10, 0x32]));
        assert!(!starts_keyframe(&[0x88, 0x0a]), "a continued fragment starts nothing");
        assert!(!starts_keyframe(&[]));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>) {
            starts_keyframe(&payload);
        }
    }
}
