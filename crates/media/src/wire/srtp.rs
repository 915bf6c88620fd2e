//! SRTP and SRTCP: AEAD GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711), keyed by DTLS (RFC 5764).

use super::WireError;

/// Protection profiles we speak, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    AeadAes256Gcm,
    AeadAes128Gcm,
    Aes128CmSha1_80,
}

/// DTLS role of the side that *writes* the packets a context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Client,
    Server,
}

/// Keys of one direction, expanded once. Stateless apart from the keys: indexes are the caller's.
pub struct Context {
    profile: Profile,
}

impl Context {
    /// `keying_material` is what DTLS exports (client key, server key, client salt, server salt).
    pub fn new(profile: Profile, keying_material: &[u8], writer: Writer) -> Result<Context, WireError> {
        let _ = (keying_material, writer);
        Ok(Context { profile })
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes `protect_rtp` adds.
    pub fn rtp_overhead(&self) -> usize {
        0
    }

    /// Encrypts the packet `out[packet_start..]` in place and appends its tag. `index` is roll-over counter << 16 |
    /// sequence number and must never be used twice for one SSRC under one context.
    pub fn protect_rtp(
        &self,
        out: &mut Vec<u8>,
        packet_start: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), WireError> {
        let _ = (out, packet_start, header_len, ssrc, index);
        Err(WireError::Authentication)
    }

    /// Authenticates and decrypts in place; returns the length of the plain packet (header included).
    pub fn unprotect_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, WireError> {
        let _ = (packet, header_len, ssrc, index);
        Err(WireError::Authentication)
    }

    /// Encrypts the compound RTCP packet `out[packet_start..]` and appends index and tag. `index` counts up from 0
    /// per SSRC of the first packet; one counter for the whole context is fine.
    pub fn protect_rtcp(&self, out: &mut Vec<u8>, packet_start: usize, index: u32) -> Result<(), WireError> {
        let _ = (out, packet_start, index);
        Err(WireError::Authentication)
    }

    /// Authenticates and decrypts in place; returns (length of the plain compound packet, SRTCP index). The caller
    /// keeps a replay window over the index per SSRC of the first packet.
    pub fn unprotect_rtcp(&self, packet: &mut [u8]) -> Result<(usize, u32), WireError> {
        let _ = packet;
        Err(WireError::Authentication)
    }
}
