//! Frames that clear a subscriber's decoder when its stream ends: tiny black pictures, or silence.
//!
//! A client that gives the m-line to another track would else show the last picture until that track's first one. As
//! LiveKit does when it closes a down track: 0.2 s of them, and none for VP9, AV1 and H265.

use std::time::Duration;

use super::silence;
use super::stream::DownStream;
use crate::line::Outlet;
use crate::wire::codec::Codec;

/// Frames of 0.2 s.
const PICTURES: u8 = 6;
const SOUNDS: u8 = 10;
/// At 30 pictures per second.
const PICTURE_EVERY: Duration = Duration::from_nanos(33_333_333);

/// A black key frame of 16x16: `ffmpeg -f lavfi -i color=black:s=16x16 -frames:v 1 -c:v libvpx -b:v 10k`.
const VP8: [u8; 31] = [
    0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x10, 0x00, 0x10, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x85, 0x84, 0x88,
    0x02, 0x02, 0x00, 0x0C, 0x0D, 0x60, 0x00, 0xFE, 0xFF, 0xAB, 0x50, 0x80,
];
/// The same in H.264, constrained baseline profile, level 1, which every decoder takes: with libx264, `-profile:v baseline
/// -level 1.0`.
const H264_SPS: [u8; 20] = [
    0x67, 0x42, 0xC0, 0x0A, 0xDD, 0xEC, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0F, 0x03, 0xC4, 0x89,
    0xE0,
];
const H264_PPS: [u8; 5] = [0x68, 0xCE, 0x0F, 0x2C, 0x80];
const H264_IDR: [u8; 11] = [0x65, 0x88, 0x84, 0x04, 0xBC, 0x98, 0xA0, 0x00, 0x38, 0xA3, 0x80];
/// Several NAL units in one packet, and how important they are (RFC 6184 section 5.7.1).
const STAP_A: u8 = 0x78;

/// How many blank frames end a stream, and how often one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blanks {
    pub frames: u8,
    pub every: Duration,
}

/// None for codecs without.
fn blanks_of(codec: Codec) -> Option<Blanks> {
    match codec {
        Codec::Vp8 | Codec::H264 { .. } => Some(Blanks { frames: PICTURES, every: PICTURE_EVERY }),
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => Some(Blanks { frames: SOUNDS, every: silence::EVERY }),
        _ => None,
    }
}

/// Payloads of a black picture's packets. The trailer ends the picture itself: behind the NAL units of a STAP-A it would
/// be taken for another one.
fn h264_payloads(packetization_mode: u8, trailer: &[u8]) -> Vec<Vec<u8>> {
    let units = [H264_SPS.to_vec(), H264_PPS.to_vec(), [&H264_IDR, trailer].concat()];
    if packetization_mode == 0 {
        return units.to_vec();
    }
    let mut packet = vec![STAP_A];
    for unit in units {
        packet.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        packet.extend_from_slice(&unit);
    }
    vec![packet]
}

impl DownStream {
    /// What is to be sent when it ends: nothing where nothing was sent.
    pub fn blanks(&self) -> Option<Blanks> {
        blanks_of(self.codec.filter(|_| self.has_sent())?)
    }

    /// Sends a blank frame; in an encrypted track `trailer` tells the client that it is the server's.
    pub fn send_blank(&mut self, trailer: &[u8], out: &mut Outlet<'_>) {
        let payload_type = self.header.payload_type();
        let own = self.binding.codecs.iter().find(|own| own.payload_type == payload_type);
        let (Some(codec), Some(own)) = (self.codec, own) else { return };
        // It is another picture than the last, even at the same moment.
        let later = self.rewriter.last_timestamp().wrapping_add(1);
        let timestamp = self.timestamp_at(out.now, codec.clock_rate());
        let timestamp = if timestamp.wrapping_sub(later) as i32 > 0 { timestamp } else { later };
        match own.codec {
            Codec::Vp8 => {
                let (rewritten, descriptor) = self.rewriter.insert_picture(timestamp);
                let mut payload = Vec::with_capacity(VP8.len() + trailer.len() + descriptor.len + 1);
                let ids = rewritten.vp8;
                descriptor.write_first(&mut payload, ids.picture_id, ids.tl0_pic_idx, ids.key_index);
                payload.extend_from_slice(&VP8);
                payload.extend_from_slice(trailer);
                self.send_own(&rewritten, true, &payload, out);
            }
            Codec::H264 { packetization_mode, .. } => {
                let payloads = h264_payloads(packetization_mode, trailer);
                let last = payloads.len() - 1;
                for (number, payload) in payloads.iter().enumerate() {
                    let rewritten = self.rewriter.insert(timestamp);
                    self.send_own(&rewritten, number == last, payload, out);
                }
            }
            _ => {
                let mut payload = Vec::new();
                if silence::write_frame(&mut payload, own) {
                    payload.extend_from_slice(trailer);
                    let rewritten = self.rewriter.insert(timestamp);
                    self.send_own(&rewritten, false, &payload, out);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_one_packet_where_packets_of_many_units_are_taken_else_one_for_each() {
        let singles = h264_payloads(0, b"mark");
        assert_eq!(singles.iter().map(|unit| unit.first().unwrap() & 0x1F).collect::<Vec<_>>(), [7, 8, 5]);
        assert!(singles.last().unwrap().ends_with(b"mark"));
        let [packet] = h264_payloads(1, b"mark").try_into().unwrap();
        let mut rest = packet.get(1..).unwrap();
        for unit in singles {
            let (len, after) = rest.split_first_chunk().unwrap();
            assert_eq!(after.get(..usize::from(u16::from_be_bytes(*len))), Some(&unit[..]));
            rest = after.get(unit.len()..).unwrap();
        }
        assert!(rest.is_empty(), "what is left would be taken for a unit");
    }

    #[test]
    fn codecs_without_a_blank_frame_end_at_once() {
        assert_eq!(blanks_of(Codec::Opus).map(|blanks| blanks.frames), Some(10));
        assert_eq!(blanks_of(Codec::Vp8).map(|blanks| blanks.frames), Some(6));
        assert!([Codec::Av1, Codec::Vp9 { profile: 0 }].into_iter().all(|codec| blanks_of(codec).is_none()));
    }
}
