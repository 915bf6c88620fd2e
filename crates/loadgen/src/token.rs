//! Join tokens: LiveKit's JWT (HS256), minted from a key pair.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Long enough for the longest run, the join queue included.
const LIFETIME_S: u64 = 3600;

/// Unpadded base64url (RFC 4648 section 5).
pub fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// A token that lets `identity` join `room`, publish, subscribe and send data. Names must need no JSON escaping.
pub fn mint(key: &str, secret: &str, room: &str, identity: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = format!(
        r#"{{"iss":"{key}","sub":"{identity}","name":"{identity}","nbf":{},"exp":{},"video":{{"roomJoin":true,"room":"{room}","canPublish":true,"canSubscribe":true,"canPublishData":true}}}}"#,
        now.saturating_sub(10),
        now + LIFETIME_S,
    );
    let signed = format!("{}.{}", base64url(br#"{"alg":"HS256","typ":"JWT"}"#), base64url(claims.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", base64url(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_matches_rfc_4648() {
        let cases = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_token_has_three_parts_and_names_the_room() {
        let token = mint("key", "secret", "room", "someone");
        assert_eq!(token.split('.').count(), 3);
    }
}
