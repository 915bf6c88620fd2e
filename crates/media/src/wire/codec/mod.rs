//! Codecs as far as an SFU needs to know them: names, key frames, temporal layers, descriptors to rewrite.

pub mod av1;
pub mod dependency;
pub mod h264;
pub mod h265;
pub(crate) mod red;
pub mod vp8;
pub mod vp9;

use crate::api::Kind;

/// A codec we forward. Two streams of equal `Codec` can be forwarded into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    Opus,
    /// Redundant audio (RFC 2198) around Opus.
    Red,
    /// G.711 µ-law and A-law (RFC 3551), as telephones speak them.
    Pcmu,
    Pcma,
    Vp8,
    /// `profile` is the profile-id of the fmtp (0 = 8 bit 4:2:0).
    Vp9 {
        profile: u8,
    },
    /// Profile and level as in profile-level-id; mode 0 or 1.
    H264 {
        profile_level: u32,
        packetization_mode: u8,
    },
    /// Profile as in profile-id (1 = Main, 2 = Main 10).
    H265 {
        profile: u8,
    },
    Av1,
}

impl Codec {
    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => Kind::Audio,
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::H264 { .. } | Codec::H265 { .. } | Codec::Av1 => Kind::Video,
        }
    }

    /// LiveKit's mime type.
    pub fn mime(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::Red => "audio/red",
            Codec::Pcmu => "audio/PCMU",
            Codec::Pcma => "audio/PCMA",
            Codec::Vp8 => "video/VP8",
            Codec::Vp9 { .. } => "video/VP9",
            Codec::H264 { .. } => "video/H264",
            Codec::H265 { .. } => "video/H265",
            Codec::Av1 => "video/AV1",
        }
    }

    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::H264 { .. } | Codec::H265 { .. } | Codec::Av1 => 90_000,
        }
    }

    /// Can a decoder set up for `self` decode what a sender of `sent` makes? H264: the same profile (levels and
    /// constraint bits differ between browsers) and at least the packetization mode, since mode 1 includes mode 0.
    pub fn accepts(self, sent: Codec) -> bool {
        match (self, sent) {
            (
                Codec::H264 { profile_level: a, packetization_mode: mode_a },
                Codec::H264 { profile_level: b, packetization_mode: mode_b },
            ) => h264::same_profile(a, b) && mode_b <= mode_a,
            _ => self == sent,
        }
    }

    /// Does this (unencrypted, padding-free) payload start a key frame? True for audio.
    pub fn starts_keyframe(self, payload: &[u8]) -> bool {
        match self {
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => true,
            Codec::Vp8 => vp8::starts_keyframe(payload),
            Codec::Vp9 { .. } => vp9::starts_keyframe(payload),
            Codec::H264 { .. } => h264::starts_keyframe(payload),
            Codec::H265 { .. } => h265::starts_keyframe(payload),
            Codec::Av1 => av1::starts_keyframe(payload),
        }
    }
}
