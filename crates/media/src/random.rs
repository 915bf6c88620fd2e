//! Randomness of the operating system: ICE credentials and stream numbers must not be guessable.

use aws_lc_rs::rand;

/// The ICE alphabet (RFC 8839 section 5.4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The operating system refused us random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRandomness;

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

pub(crate) fn number() -> Result<u32, NoRandomness> {
    Ok(u32::from_be_bytes(bytes()?))
}

/// `N` characters of the ICE alphabet, six random bits each.
pub(crate) fn ice_text<const N: usize>() -> Result<String, NoRandomness> {
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 63)).map(|letter| char::from(*letter));
    Ok(bytes::<N>()?.iter().filter_map(letter).collect())
}
