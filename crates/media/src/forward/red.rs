//! Redundant audio (RFC 2198) on its way through: the payload types of its blocks, and its primary block alone.

/// Where the primary (newest) block of a RED payload lies.
pub(crate) fn primary(payload: &[u8]) -> Option<std::ops::Range<usize>> {
    let (headers, redundant) = blocks(payload)?;
    let start = headers + redundant;
    (start <= payload.len()).then_some(start..payload.len())
}

/// Writes the subscriber's payload type into every block header: the publisher's number means nothing to it.
pub(crate) fn set_payload_types(payload: &mut [u8], inner: u8) {
    let mut at = 0;
    while let Some(byte) = payload.get_mut(at) {
        let follows = *byte & 0x80 != 0;
        *byte = *byte & 0x80 | inner & 0x7F;
        if !follows {
            return;
        }
        at += 4;
    }
}

/// Length of all block headers, and of the redundant blocks behind them.
fn blocks(payload: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut redundant) = (0, 0);
    loop {
        let header = payload.get(at..)?;
        if header.first()? & 0x80 == 0 {
            return Some((at + 1, redundant));
        }
        let length = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]) & 0x03FF;
        redundant += usize::from(length);
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One redundant block of three bytes (timestamp offset 960) and a primary of two, both of payload type 111.
    const RED: [u8; 10] = [0x80 | 111, 0x0F, 0x00, 0x03, 111, b'o', b'l', b'd', b'n', b'w'];

    #[test]
    fn the_primary_block_is_what_follows_the_redundant_ones() {
        assert_eq!(primary(&RED), Some(8..10));
        assert_eq!(primary(&[111, b'x']), Some(1..2));
    }

    #[test]
    fn damaged_payloads_have_no_primary_block() {
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&RED[..4]), None);
        assert_eq!(primary(&RED[..7]), None);
    }

    #[test]
    fn every_block_gets_the_subscribers_payload_type() {
        let mut payload = RED;
        set_payload_types(&mut payload, 96);
        assert_eq!(payload, [0x80 | 96, 0x0F, 0x00, 0x03, 96, b'o', b'l', b'd', b'n', b'w']);
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(payload: Vec<u8>, inner: u8) {
            let found = primary(&payload);
            let mut renamed = payload.clone();
            set_payload_types(&mut renamed, inner);
            prop_assert_eq!(renamed.len(), payload.len());
            prop_assert_eq!(primary(&renamed), found.clone(), "blocks lie where they lay");
            if let Some(block) = found {
                prop_assert_eq!(renamed.get(block.clone()), payload.get(block), "the primary block is left as it was");
            }
        }
    }
}
