//! Which part of a peer a datagram is for (RFC 7983), and the little of STUN (RFC 8489) needed to find the peer.

use crc::{CRC_32_ISO_HDLC, Crc};

/// Magic cookie of every STUN message.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER: usize = 20;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
/// RFC 8489 section 14.7: so that the checksum is not mistaken for one of another protocol.
const FINGERPRINT_MASK: u32 = 0x5354_554E;
const CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Stun,
    Dtls,
    Media,
    Unknown,
}

/// RFC 7983 section 7.
#[inline]
pub(crate) fn classify(datagram: &[u8]) -> Class {
    match datagram.first() {
        Some(0..=3) => Class::Stun,
        Some(20..=63) => Class::Dtls,
        Some(128..=191) => Class::Media,
        _ => Class::Unknown,
    }
}

/// A binding request as far as demultiplexing goes. Nothing of it is authenticated: the ICE agent decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BindingRequest<'a> {
    pub transaction: [u8; 12],
    /// Our ufrag: the part of USERNAME before the colon.
    pub ufrag: &'a [u8],
    /// USE-CANDIDATE was set.
    pub nominates: bool,
}

impl<'a> BindingRequest<'a> {
    pub fn parse(datagram: &'a [u8]) -> Option<BindingRequest<'a>> {
        let body = datagram.strip_prefix(&[0, 1])?;
        let length = u16::from_be_bytes(body.get(..2)?.try_into().ok()?) as usize;
        let cookie = body.get(2..6)?;
        let transaction = body.get(6..18)?.try_into().ok()?;
        if cookie != COOKIE || datagram.len() != HEADER + length {
            return None;
        }
        let (mut ufrag, mut nominates, mut protected) = (None, false, true);
        let mut rest = datagram.get(HEADER..)?;
        while let Some((kind, value, after)) = attribute(rest) {
            match kind {
                // RFC 8489 section 14.5: what follows it is not authenticated and does not count.
                MESSAGE_INTEGRITY => protected = false,
                USERNAME if protected => ufrag = value.split(|byte| *byte == b':').next(),
                USE_CANDIDATE if protected => nominates = true,
                // Section 6.3: a message with a wrong one is discarded. ICE demands one of every check, all known
                // clients send it, and one without is judged by its integrity alone.
                FINGERPRINT if !is_fingerprint(value, datagram.get(..datagram.len() - rest.len())?) => return None,
                _ => {}
            }
            rest = after;
        }
        Some(BindingRequest { transaction, ufrag: ufrag?, nominates })
    }
}

/// Of a message that begins with these bytes (RFC 8489 section 14.7).
fn is_fingerprint(value: &[u8], before: &[u8]) -> bool {
    value == (CRC_32.checksum(before) ^ FINGERPRINT_MASK).to_be_bytes()
}

/// Type, value and what follows (values are padded to four bytes).
fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let kind = u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
    let length = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize;
    let value = bytes.get(4..4 + length)?;
    let after = bytes.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, value, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0, 1];
        datagram.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
        datagram.extend_from_slice(&COOKIE);
        datagram.extend_from_slice(b"transaction!");
        datagram.extend_from_slice(attributes);
        datagram
    }

    #[test]
    fn the_local_ufrag_and_the_nomination_are_found() {
        let datagram = request(b"\x00\x06\x00\x07ours:th\x00\x00\x25\x00\x00");
        let parsed = BindingRequest::parse(&datagram);
        let expected = BindingRequest { transaction: *b"transaction!", ufrag: b"ours", nominates: true };
        assert_eq!(parsed, Some(expected));
    }

    /// The sample request of RFC 5769 section 2.1, as it stands there.
    const SAMPLE: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
        \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
        \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

    #[test]
    fn a_message_with_a_wrong_fingerprint_is_discarded_one_without_is_not() {
        assert_eq!(BindingRequest::parse(SAMPLE).map(|request| request.ufrag), Some(&b"evtj"[..]));
        for bit in 0..32 {
            let mut wrong = SAMPLE.to_vec();
            let at = wrong.len() - 4 + bit / 8;
            wrong[at] ^= 1 << (bit % 8);
            assert_eq!(BindingRequest::parse(&wrong), None);
        }
        let mut wrong = SAMPLE.to_vec();
        wrong[30] ^= 1;
        assert_eq!(BindingRequest::parse(&wrong), None, "it is of the whole message");
        let mut without = SAMPLE[..SAMPLE.len() - 8].to_vec();
        without[3] -= 8;
        assert!(BindingRequest::parse(&without).is_some());
        let short = request(b"\x00\x06\x00\x07ours:th\x00\x80\x28\x00\x02\xe5\x7a\x00\x00");
        assert_eq!(BindingRequest::parse(&short), None);
    }

    #[test]
    fn what_follows_the_integrity_does_not_count() {
        let integrity = [b"\x00\x08\x00\x14".as_slice(), &[0; 20]].concat();
        let before = b"\x00\x06\x00\x07ours:th\x00".as_slice();
        let after = b"\x00\x25\x00\x00\x00\x06\x00\x04x:th".as_slice();
        let datagram = request(&[before, &integrity, after].concat());
        let expected = BindingRequest { transaction: *b"transaction!", ufrag: b"ours", nominates: false };
        assert_eq!(BindingRequest::parse(&datagram), Some(expected));
    }

    #[test]
    fn truncated_and_foreign_datagrams_are_no_binding_requests() {
        let datagram = request(b"\x00\x06\x00\x07ours:th\x00");
        for end in 0..datagram.len() {
            assert_eq!(BindingRequest::parse(datagram.get(..end).unwrap_or_default()), None);
        }
        assert_eq!(BindingRequest::parse(&request(b"\x00\x25\x00\x00")), None, "without a user name");
        let beyond = request(b"\x00\x06\xFF\xFFours:th\x00");
        assert_eq!(BindingRequest::parse(&beyond), None);
    }

    #[test]
    fn classes_follow_the_first_byte() {
        let class = |first: u8| classify(&[first, 0, 0]);
        assert_eq!(class(0), Class::Stun);
        assert_eq!(class(22), Class::Dtls);
        assert_eq!(class(0x80), Class::Media);
        assert_eq!(class(200), Class::Unknown);
        assert_eq!(classify(&[]), Class::Unknown);
    }

    proptest! {
        #[test]
        fn random_attributes_neither_panic_nor_name_more_than_they_hold(
            attributes in prop::collection::vec((0u16..0x30, 0u16..40, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
            random in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = Vec::new();
            for (kind, length, value) in attributes {
                bytes.extend_from_slice(&kind.to_be_bytes());
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(&value);
            }
            let datagram = request(&bytes);
            if let Some(found) = BindingRequest::parse(&datagram) {
                prop_assert!(found.ufrag.len() <= bytes.len() && !found.ufrag.contains(&b':'));
            }
            classify(&random);
            prop_assert_eq!(BindingRequest::parse(&random), None, "without the cookie");
        }
    }
}
