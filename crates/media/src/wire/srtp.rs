//! SRTP and SRTCP: AEAD GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711), keyed by DTLS (RFC 5764).

use auralink_prefetch::soon;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::WireError;
use super::bytes::read_u32;

#[cfg(test)]
mod tests;

const GCM_TAG: usize = 16;
const SHA1_80_TAG: usize = 10;
const SRTCP_INDEX: usize = 4;
/// What SRTCP leaves in the clear: the first header and the sender's SSRC.
const RTCP_CLEAR: usize = 8;
/// The E bit of the SRTCP index word: the packet is encrypted.
const ENCRYPTED: u32 = 0x8000_0000;

/// Protection profiles we speak, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    AeadAes256Gcm,
    AeadAes128Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    const fn key_len(self) -> usize {
        match self {
            Profile::AeadAes256Gcm => 32,
            Profile::AeadAes128Gcm | Profile::Aes128CmSha1_80 => 16,
        }
    }

    const fn salt_len(self) -> usize {
        match self {
            Profile::AeadAes256Gcm | Profile::AeadAes128Gcm => 12,
            Profile::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes of keying material DTLS must export: two keys and two salts (RFC 5764 section 4.2).
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }

    const fn tag_len(self) -> usize {
        match self {
            Profile::AeadAes256Gcm | Profile::AeadAes128Gcm => GCM_TAG,
            Profile::Aes128CmSha1_80 => SHA1_80_TAG,
        }
    }
}

/// DTLS role of the side that *writes* the packets a context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Client,
    Server,
}

/// Keys of one direction, expanded once. Stateless apart from the keys: indexes and replay windows are the caller's.
pub struct Context {
    profile: Profile,
    rtp: Cipher,
    /// Boxed, to have what every packet needs together.
    rtcp: Box<Cipher>,
}

impl Context {
    /// `keying_material` is what DTLS exports: client key, server key, client salt, server salt.
    pub fn new(profile: Profile, keying_material: &[u8], writer: Writer) -> Result<Context, WireError> {
        if keying_material.len() != profile.keying_material_len() {
            return Err(WireError::KeyingMaterial);
        }
        let (keys, salts) = keying_material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let (key, salt) = match writer {
            Writer::Client => (client_key, client_salt),
            Writer::Server => (server_key, server_salt),
        };
        let derivation = Derivation::new(profile, key, salt)?;
        Ok(Context {
            profile,
            rtp: derivation.cipher(Labels { key: 0, authentication: 1, salt: 2 })?,
            rtcp: Box::new(derivation.cipher(Labels { key: 3, authentication: 4, salt: 5 })?),
        })
    }

    /// The key of what is sent will be needed soon.
    #[inline]
    pub fn soon(&self) {
        match &self.rtp {
            Cipher::Gcm { .. } => {}
            Cipher::CounterMode(mode) => soon(&**mode),
        }
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes [`protect_rtp`](Self::protect_rtp) adds.
    pub fn rtp_overhead(&self) -> usize {
        self.profile.tag_len()
    }

    /// Encrypts the packet `out[packet_start..]` in place and appends its tag. `index` is roll-over counter << 16 |
    /// sequence number and must never be used twice for different packets of one SSRC under one context.
    pub fn protect_rtp(
        &self,
        out: &mut Vec<u8>,
        packet_start: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), WireError> {
        let packet = out.get_mut(packet_start..).ok_or(WireError::Truncated)?;
        let (header, payload) = packet.split_at_mut_checked(header_len).ok_or(WireError::Truncated)?;
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let tag = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(&*header), payload)
                    .map_err(|_| WireError::Authentication)?;
                out.extend_from_slice(tag.as_ref());
            }
            Cipher::CounterMode(mode) => {
                mode.apply(ssrc, index, payload)?;
                let tag = mode.tag(packet, &roll_over_counter(index))?;
                out.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// Authenticates and decrypts in place; returns the length of the plain packet (header included). On an error the
    /// packet's payload is scrambled.
    pub fn unprotect_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, WireError> {
        let plain_len = packet.len().checked_sub(self.profile.tag_len()).filter(|len| *len >= header_len);
        let plain_len = plain_len.ok_or(WireError::Truncated)?;
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut_checked(header_len).ok_or(WireError::Truncated)?;
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(&*header), sealed)
                    .map_err(|_| WireError::Authentication)?;
            }
            Cipher::CounterMode(mode) => {
                let (plain, tag) = packet.split_at_mut_checked(plain_len).ok_or(WireError::Truncated)?;
                mode.verify(plain, &roll_over_counter(index), tag)?;
                let payload = plain.get_mut(header_len..).ok_or(WireError::Truncated)?;
                mode.apply(ssrc, index, payload)?;
            }
        }
        Ok(plain_len)
    }

    /// Encrypts the compound RTCP packet `out[packet_start..]` and appends index and tag. `index` (31 bits) must never
    /// be used twice for one SSRC of the first packet; one counter for the whole context is fine.
    pub fn protect_rtcp(&self, out: &mut Vec<u8>, packet_start: usize, index: u32) -> Result<(), WireError> {
        let packet = out.get_mut(packet_start..).ok_or(WireError::Truncated)?;
        let ssrc = read_u32(packet, 4)?;
        let index = index & !ENCRYPTED;
        let index_word = (ENCRYPTED | index).to_be_bytes();
        let (clear, body) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(WireError::Truncated)?;
        match &*self.rtcp {
            Cipher::Gcm { key, salt } => {
                let associated = rtcp_associated(clear, index_word)?;
                let tag = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index.into()), Aad::from(associated), body)
                    .map_err(|_| WireError::Authentication)?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&index_word);
            }
            Cipher::CounterMode(mode) => {
                mode.apply(ssrc, index.into(), body)?;
                let tag = mode.tag(packet, &index_word)?;
                out.extend_from_slice(&index_word);
                out.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// Authenticates and decrypts in place; returns (length of the plain compound packet, SRTCP index). The caller
    /// keeps a replay window over the index per SSRC of the first packet. Unencrypted SRTCP is refused.
    pub fn unprotect_rtcp(&self, packet: &mut [u8]) -> Result<(usize, u32), WireError> {
        let ssrc = read_u32(packet, 4)?;
        let overhead = self.profile.tag_len() + SRTCP_INDEX;
        let plain_len = packet.len().checked_sub(overhead).filter(|len| *len >= RTCP_CLEAR);
        let plain_len = plain_len.ok_or(WireError::Truncated)?;
        let index_at = match self.profile {
            Profile::AeadAes256Gcm | Profile::AeadAes128Gcm => packet.len() - SRTCP_INDEX,
            Profile::Aes128CmSha1_80 => plain_len,
        };
        let index_word = read_u32(packet, index_at)?;
        if index_word & ENCRYPTED == 0 {
            return Err(WireError::Malformed);
        }
        let index = index_word & !ENCRYPTED;
        match &*self.rtcp {
            Cipher::Gcm { key, salt } => {
                let (clear, rest) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(WireError::Truncated)?;
                let associated = rtcp_associated(clear, index_word.to_be_bytes())?;
                let sealed = rest.get_mut(..plain_len - RTCP_CLEAR + GCM_TAG).ok_or(WireError::Truncated)?;
                key.open_in_place(gcm_nonce(salt, ssrc, index.into()), Aad::from(associated), sealed)
                    .map_err(|_| WireError::Authentication)?;
            }
            Cipher::CounterMode(mode) => {
                let (plain, trailer) = packet.split_at_mut_checked(plain_len).ok_or(WireError::Truncated)?;
                let (word, tag) = trailer.split_at_checked(SRTCP_INDEX).ok_or(WireError::Truncated)?;
                mode.verify(plain, word, tag)?;
                let body = plain.get_mut(RTCP_CLEAR..).ok_or(WireError::Truncated)?;
                mode.apply(ssrc, index.into(), body)?;
            }
        }
        Ok((plain_len, index))
    }
}

/// Says which profile, never the keys.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("profile", &self.profile).finish_non_exhaustive()
    }
}

#[allow(clippy::large_enum_variant)] // Those of the smaller one are few.
enum Cipher {
    /// Not boxed: the key is hundreds of bytes, and every packet needs them.
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    CounterMode(Box<CounterMode>),
}

struct CounterMode {
    key: EncryptingKey,
    salt: [u8; 14],
    authentication: hmac::Key,
}

impl CounterMode {
    /// Encrypts or decrypts (RFC 3711 section 4.1.1): IV = salt << 16 XOR SSRC << 64 XOR index << 16.
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) -> Result<(), WireError> {
        let [s0, s1, s2, s3] = ssrc.to_be_bytes();
        let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let mut iv = [0, 0, 0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, 0, 0];
        iv.iter_mut().zip(&self.salt).for_each(|(byte, salt)| *byte ^= salt);
        self.key
            .less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(|_| WireError::Authentication)?;
        Ok(())
    }

    /// Tag over packet and trailer.
    fn tag(&self, packet: &[u8], trailer: &[u8]) -> Result<[u8; SHA1_80_TAG], WireError> {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(trailer);
        context.sign().as_ref().first_chunk().copied().ok_or(WireError::Authentication)
    }

    fn verify(&self, packet: &[u8], trailer: &[u8], tag: &[u8]) -> Result<(), WireError> {
        let expected = self.tag(packet, trailer)?;
        verify_slices_are_equal(&expected, tag).map_err(|_| WireError::Authentication)
    }
}

/// Key derivation labels of RFC 3711 section 4.3.
struct Labels {
    key: u8,
    authentication: u8,
    salt: u8,
}

/// Key derivation with AES in counter mode as pseudo-random function (RFC 3711 section 4.3.3, RFC 6188 for AES-256),
/// derivation rate 0.
struct Derivation {
    profile: Profile,
    function: EncryptingKey,
    master_salt: [u8; 16],
}

impl Derivation {
    fn new(profile: Profile, master_key: &[u8], master_salt: &[u8]) -> Result<Derivation, WireError> {
        // A 96-bit salt is used as if it were 112 bits with zeroes on the right (RFC 7714 section 11).
        let mut padded = [0; 16];
        super::bytes::patch(&mut padded, 0, master_salt);
        Ok(Derivation { profile, function: counter_mode_key(master_key)?, master_salt: padded })
    }

    fn derive<const N: usize>(&self, label: u8) -> Result<[u8; N], WireError> {
        let mut input = self.master_salt;
        input[7] ^= label;
        let mut derived = [0; N];
        self.function
            .less_safe_encrypt(&mut derived, EncryptionContext::Iv128(FixedLength::from(input)))
            .map_err(|_| WireError::KeyingMaterial)?;
        Ok(derived)
    }

    fn cipher(&self, labels: Labels) -> Result<Cipher, WireError> {
        match self.profile {
            Profile::AeadAes256Gcm => gcm(&self.derive::<32>(labels.key)?, self.derive(labels.salt)?),
            Profile::AeadAes128Gcm => gcm(&self.derive::<16>(labels.key)?, self.derive(labels.salt)?),
            Profile::Aes128CmSha1_80 => Ok(Cipher::CounterMode(Box::new(CounterMode {
                key: counter_mode_key(&self.derive::<16>(labels.key)?)?,
                salt: self.derive(labels.salt)?,
                authentication: hmac::Key::new(
                    hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                    &self.derive::<20>(labels.authentication)?,
                ),
            }))),
        }
    }
}

fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Cipher, WireError> {
    let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
    let key = UnboundKey::new(algorithm, key).map_err(|_| WireError::KeyingMaterial)?;
    Ok(Cipher::Gcm { key: LessSafeKey::new(key), salt })
}

fn counter_mode_key(key: &[u8]) -> Result<EncryptingKey, WireError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| WireError::KeyingMaterial)?;
    EncryptingKey::ctr(key).map_err(|_| WireError::KeyingMaterial)
}

/// Nonce of RFC 7714: two zero bytes, SSRC, 48-bit index, all XOR salt. The 31-bit SRTCP index sits in the same place.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let [s0, s1, s2, s3] = ssrc.to_be_bytes();
    let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
    let mut nonce = [0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5];
    nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    Nonce::assume_unique_for_key(nonce)
}

fn roll_over_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn rtcp_associated(clear: &[u8], index_word: [u8; 4]) -> Result<[u8; 12], WireError> {
    let clear: &[u8; RTCP_CLEAR] = clear.first_chunk().ok_or(WireError::Truncated)?;
    let mut associated = [0; 12];
    super::bytes::patch(&mut associated, 0, clear);
    super::bytes::patch(&mut associated, RTCP_CLEAR, &index_word);
    Ok(associated)
}
