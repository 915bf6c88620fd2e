//! Redundant audio (RFC 2198) for str0m, which does not know it: to it RED is a second Opus.

use str0m::RtcConfig;
use str0m::format::{Codec, FormatParams};
use str0m::media::Frequency;

use super::OPUS;

pub const RED: u8 = 63;
const AS_OPUS: [&str; 2] = ["a=rtpmap:63 opus/48000/2", "a=fmtp:63 stereo=1"];
const AS_RED: [&str; 2] = ["a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"];

/// A client that has RED besides Opus.
pub fn with_red(mut config: RtcConfig) -> RtcConfig {
    let format = FormatParams { stereo: Some(true), ..FormatParams::default() };
    config.codec_config().add_config(RED.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), format);
    config
}

/// A client's description as the server gets it.
pub fn shown(sdp: &str) -> String {
    std::iter::zip(AS_OPUS, AS_RED).fold(sdp.to_owned(), |sdp, (opus, red)| sdp.replace(opus, red))
}

/// The server's description as the client gets it.
pub fn hidden(sdp: &str) -> String {
    std::iter::zip(AS_RED, AS_OPUS).fold(sdp.to_owned(), |sdp, (red, opus)| sdp.replace(red, opus))
}

/// A RED payload of blocks (so many samples ago, and what), oldest first; the last is the primary one.
pub fn write(blocks: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let (primary, redundant) = blocks.split_last().unwrap();
    let mut payload = Vec::new();
    for (age, block) in redundant {
        let header = u32::from(0x80 | OPUS) << 24 | age << 10 | block.len() as u32;
        payload.extend_from_slice(&header.to_be_bytes());
    }
    payload.push(OPUS);
    redundant.iter().for_each(|(_, block)| payload.extend_from_slice(block));
    payload.extend_from_slice(&primary.1);
    payload
}

/// The blocks of a RED payload, as [`write`] takes them.
pub fn read(payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let (mut fields, mut at) = (Vec::new(), 0);
    while payload[at] & 0x80 != 0 {
        fields.push(u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
        at += 4;
    }
    assert!(fields.iter().all(|field| field >> 24 & 0x7F == u32::from(OPUS)) && payload[at] == OPUS);
    let mut rest = &payload[at + 1..];
    let mut blocks = Vec::new();
    for field in fields {
        let (block, behind) = rest.split_at(field as usize & 0x3FF);
        blocks.push((field >> 10 & 0x3FFF, block.to_vec()));
        rest = behind;
    }
    blocks.push((0, rest.to_vec()));
    blocks
}
