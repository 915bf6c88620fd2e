//! H264 payloads (RFC 6184).

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Does this payload start a key frame (SPS or IDR slice)?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    match payload {
        [header, rest @ ..] => match header & 0x1f {
            IDR | SPS => true,
            STAP_A => aggregated_types(rest).any(is_key),
            FU_A => rest.first().is_some_and(|fu| fu & 0x80 != 0 && is_key(fu & 0x1f)),
            _ => false,
        },
        [] => false,
    }
}

/// Same profile, whatever the level and constraint bits of the two profile-level-ids: what browsers encode as Baseline
/// or High is decoded by what they call Constrained Baseline or Constrained High.
pub fn same_profile(a: u32, b: u32) -> bool {
    a >> 16 == b >> 16
}

fn is_key(nal_type: u8) -> bool {
    matches!(nal_type, IDR | SPS)
}

/// Types of the NAL units in a STAP-A (each with a 16-bit size before it).
fn aggregated_types(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (size, tail) = rest.split_first_chunk::<2>()?;
        let header = tail.first()?;
        rest = tail.get(usize::from(u16::from_be_bytes(*size)).max(1)..).unwrap_or_default();
        Some(header & 0x1f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn idr_and_parameter_sets_start_a_key_frame() {
        assert!(starts_keyframe(&[0x65, 0x88]));
        assert!(starts_keyframe(&[0x67, 0x42]));
        assert!(starts_keyframe(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]), "STAP-A with SPS");
        assert!(starts_keyframe(&[0x78, 0, 1, 0x09, 0, 2, 0x67, 0x42]), "SPS behind an access unit delimiter");
        assert!(starts_keyframe(&[0x7c, 0x85]), "first fragment of an IDR slice");
    }

    #[test]
    fn other_slices_and_later_fragments_do_not() {
        assert!(!starts_keyframe(&[0x41, 0x9a]));
        assert!(!starts_keyframe(&[0x7c, 0x05]));
        assert!(!starts_keyframe(&[0x7c, 0x81]));
        assert!(!starts_keyframe(&[0x78, 0, 2, 0x41, 0x9a]));
        assert!(!starts_keyframe(&[0x78, 0]));
        assert!(!starts_keyframe(&[]));
    }

    #[test]
    fn profiles_are_compared_without_level_and_constraints() {
        assert!(same_profile(0x42_E01F, 0x42_0034));
        assert!(!same_profile(0x42_E01F, 0x4D_001F));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>) {
            starts_keyframe(&payload);
        }
    }
}
