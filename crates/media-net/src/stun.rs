//! Just enough STUN (RFC 8489) to see which of our peers a first message is for. The core checks the integrity.

const HEADER: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const USERNAME: u16 = 0x0006;

/// Our half of the USERNAME (RFC 8445, 7.2.2: `<ours>:<theirs>`) of a well-formed binding request.
pub fn local_ufrag(message: &[u8]) -> Option<&str> {
    let (header, mut attributes) = message.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_be_bytes([*header.get(2)?, *header.get(3)?]));
    if header.get(..2)? != BINDING_REQUEST || header.get(4..8)? != MAGIC || length != attributes.len() {
        return None;
    }
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        let [t0, t1, l0, l1] = *head;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([t0, t1]) == USERNAME {
            let (ours, _theirs) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return (!ours.is_empty()).then_some(ours);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let padded = username.len().next_multiple_of(4);
        let mut out = vec![0x00, 0x01, 0, (4 + padded) as u8];
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[7; 12]);
        out.extend_from_slice(&[0x00, 0x06, 0, username.len() as u8]);
        out.extend_from_slice(username);
        out.resize(HEADER + 4 + padded, 0);
        out
    }

    #[test]
    fn the_first_half_of_the_username_is_ours() {
        assert_eq!(local_ufrag(&request(b"abcd:wxyz1")), Some("abcd"));
    }

    #[test]
    fn anything_else_is_not_a_request_for_us() {
        let whole = request(b"abcd:wxyz1");
        for end in 0..whole.len() {
            assert_eq!(local_ufrag(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(local_ufrag(&request(b"abcd")), None);
        assert_eq!(local_ufrag(&request(b":abcd")), None);
        let mut response = whole.clone();
        response[0] = 1;
        assert_eq!(local_ufrag(&response), None);
        let mut cookie = whole;
        cookie[4] ^= 1;
        assert_eq!(local_ufrag(&cookie), None);
    }
}
