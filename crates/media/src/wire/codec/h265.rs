//! H265 payloads (RFC 7798).

/// Pictures from which decoding may start: BLA, IDR, CRA and those reserved for such (ITU-T H.265, table 7-1).
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Does this payload start a key frame (parameter sets or a random access picture)?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    match payload {
        [header, _, rest @ ..] => match nal_type(*header) {
            AGGREGATION => aggregated_types(rest).any(is_key),
            FRAGMENT => rest.first().is_some_and(|fragment| fragment & 0x80 != 0 && is_key(fragment & 0x3f)),
            single => is_key(single),
        },
        _ => false,
    }
}

fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

fn is_key(nal_type: u8) -> bool {
    RANDOM_ACCESS.contains(&nal_type) || matches!(nal_type, VPS | SPS)
}

/// Types of the NAL units in an aggregation packet (each with a 16-bit size before it).
fn aggregated_types(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (size, tail) = rest.split_first_chunk::<2>()?;
        let header = tail.first()?;
        rest = tail.get(usize::from(u16::from_be_bytes(*size)).max(1)..).unwrap_or_default();
        Some(nal_type(*header))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn random_access_pictures_and_parameter_sets_start_a_key_frame() {
        assert!(starts_keyframe(&[0x26, 0x01, 0xaf]), "IDR_W_RADL");
        assert!(starts_keyframe(&[0x2a, 0x01]), "CRA");
        assert!(starts_keyframe(&[0x40, 0x01, 0x0c]), "VPS");
        assert!(starts_keyframe(&[0x60, 0x01, 0, 2, 0x46, 0x01, 0, 2, 0x42, 0x01]), "SPS behind a delimiter");
        assert!(starts_keyframe(&[0x62, 0x01, 0x93, 0xaf]), "first fragment of an IDR");
    }

    #[test]
    fn other_pictures_and_later_fragments_do_not() {
        assert!(!starts_keyframe(&[0x02, 0x01, 0xd0]), "TRAIL_R");
        assert!(!starts_keyframe(&[0x62, 0x01, 0x13]), "a later fragment of an IDR");
        assert!(!starts_keyframe(&[0x62, 0x01, 0x81]), "first fragment of another picture");
        assert!(!starts_keyframe(&[0x60, 0x01, 0, 2, 0x02, 0x01]));
        assert!(!starts_keyframe(&[0x26]));
        assert!(!starts_keyframe(&[]));
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>) {
            starts_keyframe(&payload);
        }
    }
}
