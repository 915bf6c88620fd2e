//! What publishers send: synthetic but valid media (Opus-sized audio packets, VP8 frames) whose payloads end in a stamp,
//! so that a receiver in this process can tell how long a packet took.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use auralink_media::wire::rtcp::{self, NtpTime, SenderInfo};
use auralink_media::wire::rtp::{self, Outgoing as Fields};
use auralink_media::wire::srtp::Context;

use crate::io::{self, Outgoing};
use crate::sdp::{self, Kind};

const MAGIC: [u8; 4] = *b"aura";
pub const STAMP: usize = 16;
/// Packets kept for retransmission, a power of two.
const HISTORY: usize = 1024;
const OPUS_INTERVAL: Duration = Duration::from_millis(20);
const OPUS_SAMPLES: u32 = 960;
const OPUS_PAYLOAD: usize = 80;
/// A TOC byte of RFC 6716: CELT, fullband, 20 ms, mono, one frame.
const OPUS_TOC: u8 = 0xF8;
const VP8_CLOCK: u32 = 90_000;

/// How the video of one publisher is cut.
#[derive(Debug, Clone, Copy)]
pub struct VideoShape {
    pub packets_per_frame: usize,
    /// RTP payload of every packet, in bytes.
    pub payload: usize,
    pub fps: u32,
}

struct Stored {
    index: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// Which header extensions the answer left us, and the section's mid.
#[derive(Debug, Clone, Default)]
pub struct Negotiated {
    pub mid: String,
    pub mid_extension: bool,
    pub twcc: bool,
    pub audio_level: bool,
}

/// What a track writes into: one burst of encrypted datagrams, and the transport-wide counter.
pub struct Burst<'a> {
    pub context: &'a Context,
    pub twcc: &'a mut u16,
    pub destination: SocketAddr,
    pub buffer: &'a mut Vec<u8>,
    pub datagrams: &'a mut Vec<Outgoing>,
}

/// One published track.
pub struct Track {
    pub kind: Kind,
    pub cid: String,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    pub negotiated: Option<Negotiated>,
    /// When the next frame is due.
    pub next: Instant,
    /// Packets sent, retransmissions not counted.
    pub sent: u64,
    shape: VideoShape,
    index: u64,
    rtx_index: u64,
    timestamp: u32,
    picture: u16,
    key_frame_wanted: bool,
    octets: u32,
    history: Vec<Stored>,
}

impl Track {
    pub fn new(kind: Kind, cid: String, ssrc: u32, shape: VideoShape, first: Instant) -> Track {
        Track {
            kind,
            cid,
            ssrc,
            rtx_ssrc: ssrc ^ 0x5555_5555,
            negotiated: None,
            next: first,
            sent: 0,
            shape,
            // Any start below half the range, so that a receiver's first guess of the roll-over counter is right.
            index: u64::from(ssrc & 0x3FFF),
            rtx_index: u64::from(ssrc >> 18),
            timestamp: ssrc.wrapping_mul(2_654_435_761),
            picture: (ssrc & 0x7FFF) as u16,
            key_frame_wanted: true,
            octets: 0,
            history: Vec::new(),
        }
    }

    fn interval(&self) -> Duration {
        match self.kind {
            Kind::Audio => OPUS_INTERVAL,
            Kind::Video => Duration::from_secs(1) / self.shape.fps.max(1),
        }
    }

    pub fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// Write the frame that is due and plan the next one.
    pub fn write_frame(&mut self, now: Instant, burst: &mut Burst<'_>) {
        self.next += self.interval();
        if self.next < now {
            // We were held up: catch up with the clock, not with the missed frames.
            self.next = now + self.interval();
        }
        match self.kind {
            Kind::Audio => {
                let mut payload = vec![OPUS_TOC; OPUS_PAYLOAD];
                stamp(&mut payload);
                self.write_packet(payload, false, burst);
                self.timestamp = self.timestamp.wrapping_add(OPUS_SAMPLES);
            }
            Kind::Video => {
                let key = std::mem::take(&mut self.key_frame_wanted);
                for position in 0..self.shape.packets_per_frame {
                    let last = position + 1 == self.shape.packets_per_frame;
                    self.write_packet(self.vp8_payload(position == 0, key), last, burst);
                }
                self.picture = (self.picture + 1) & 0x7FFF;
                self.timestamp = self.timestamp.wrapping_add(VP8_CLOCK / self.shape.fps.max(1));
            }
        }
    }

    /// A VP8 payload (RFC 7741): descriptor with a 15-bit picture id, then on the first packet the frame header, with
    /// start code and size on key frames.
    fn vp8_payload(&self, first: bool, key: bool) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.shape.payload);
        payload.extend_from_slice(&[if first { 0x90 } else { 0x80 }, 0x80]);
        payload.extend_from_slice(&(0x8000 | self.picture).to_be_bytes());
        if first {
            payload.extend_from_slice(&[if key { 0x10 } else { 0x11 }, 0x02, 0x00]);
        }
        if first && key {
            payload.extend_from_slice(&[0x9D, 0x01, 0x2A]);
            payload.extend_from_slice(&1280u16.to_le_bytes());
            payload.extend_from_slice(&720u16.to_le_bytes());
        }
        payload.resize(self.shape.payload.max(payload.len() + STAMP), 0xA5);
        stamp(&mut payload);
        payload
    }

    fn write_packet(&mut self, payload: Vec<u8>, marker: bool, burst: &mut Burst<'_>) {
        let fields = Fields {
            payload_type: if self.kind == Kind::Audio { sdp::OPUS } else { sdp::VP8 },
            marker,
            sequence: self.index as u16,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            padding: false,
        };
        self.write_protected(&fields, self.index, &[&payload], burst);
        self.sent += 1;
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        if self.kind == Kind::Video {
            let stored = Stored { index: self.index, timestamp: self.timestamp, marker, payload };
            let slot = self.index as usize % HISTORY;
            if self.history.len() < HISTORY {
                self.history.resize_with(HISTORY, || Stored {
                    index: u64::MAX,
                    timestamp: 0,
                    marker: false,
                    payload: Vec::new(),
                });
            }
            self.history[slot] = stored;
        }
        self.index += 1;
    }

    /// Answer a NACK by a retransmission (RFC 4588) when the packet is still known.
    pub fn retransmit(&mut self, sequence: u16, burst: &mut Burst<'_>) {
        let newest = self.index.saturating_sub(1);
        let index = newest.wrapping_sub(u64::from((newest as u16).wrapping_sub(sequence)));
        let slot = index as usize % HISTORY;
        let Some(position) = self.history.get(slot).filter(|stored| stored.index == index).map(|_| slot) else {
            return;
        };
        let stored = std::mem::take(&mut self.history[position].payload);
        let fields = Fields {
            payload_type: sdp::VP8_RTX,
            marker: self.history[position].marker,
            sequence: self.rtx_index as u16,
            timestamp: self.history[position].timestamp,
            ssrc: self.rtx_ssrc,
            padding: false,
        };
        self.write_protected(&fields, self.rtx_index, &[&sequence.to_be_bytes(), &stored], burst);
        self.history[position].payload = stored;
        self.rtx_index += 1;
    }

    fn write_protected(&self, fields: &Fields, index: u64, payload: &[&[u8]], burst: &mut Burst<'_>) {
        let Some(negotiated) = &self.negotiated else { return };
        let start = burst.buffer.len();
        let twcc = burst.twcc.to_be_bytes();
        let level = [0x80 | 30u8];
        let on = |wanted: bool, id: u8| if wanted { id } else { 0 };
        let extensions: [(u8, &[u8]); 3] = [
            (on(negotiated.mid_extension, sdp::MID_ID), negotiated.mid.as_bytes()),
            (on(negotiated.twcc, sdp::TWCC_ID), &twcc),
            (on(negotiated.audio_level && self.kind == Kind::Audio, sdp::AUDIO_LEVEL_ID), &level),
        ];
        let header_len = rtp::write_header(burst.buffer, fields, &extensions);
        for part in payload {
            burst.buffer.extend_from_slice(part);
        }
        if burst.context.protect_rtp(burst.buffer, start, header_len, fields.ssrc, index).is_err() {
            burst.buffer.truncate(start);
            return;
        }
        *burst.twcc = burst.twcc.wrapping_add(1);
        let len = burst.buffer.len() - start;
        burst.datagrams.push(Outgoing { start, len, destination: burst.destination });
    }

    /// A sender report with CNAME, appended.
    pub fn write_report(&self, out: &mut Vec<u8>) {
        let info = SenderInfo {
            ssrc: self.ssrc,
            ntp: NtpTime::from_system(SystemTime::now()),
            rtp_timestamp: self.timestamp,
            packets: self.sent as u32,
            octets: self.octets,
        };
        rtcp::write_sender_report(out, &info, &[]);
        rtcp::write_cname(out, self.ssrc, "loadgen");
    }
}

fn stamp(payload: &mut [u8]) {
    let at = payload.len() - STAMP;
    payload[at..at + 4].copy_from_slice(&MAGIC);
    payload[at + 8..].copy_from_slice(&io::monotonic_ns().to_be_bytes());
}

/// The monotonic time (ns) a payload was stamped with; nothing for payloads that are not ours.
pub fn read_stamp(payload: &[u8]) -> Option<u64> {
    let stamp = payload.get(payload.len().checked_sub(STAMP)?..)?;
    let (magic, rest) = stamp.split_at(4);
    let time: [u8; 8] = rest.get(4..)?.try_into().ok()?;
    (magic == MAGIC).then(|| u64::from_be_bytes(time))
}

/// Does this VP8 payload start a key frame?
pub fn starts_key_frame(payload: &[u8]) -> bool {
    let Some(&first) = payload.first() else { return false };
    if first & 0x17 != 0x10 {
        return false; // not the start of partition 0
    }
    let mut at = 1;
    if first & 0x80 != 0 {
        let Some(&flags) = payload.get(1) else { return false };
        at = 2;
        if flags & 0x80 != 0 {
            at += if payload.get(2).is_some_and(|id| id & 0x80 != 0) { 2 } else { 1 };
        }
        at += usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
    }
    payload.get(at).is_some_and(|header| header & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: VideoShape = VideoShape { packets_per_frame: 2, payload: 200, fps: 30 };

    #[test]
    fn stamps_survive_in_the_payload_and_foreign_payloads_have_none() {
        let mut payload = vec![0u8; 80];
        assert_eq!(read_stamp(&payload), None);
        let before = io::monotonic_ns();
        stamp(&mut payload);
        assert!(read_stamp(&payload).is_some_and(|time| time >= before));
        assert_eq!(read_stamp(b"short"), None);
    }

    #[test]
    fn only_the_first_packet_of_a_key_frame_starts_one() {
        let track = Track::new(Kind::Video, "cid".into(), 7, SHAPE, Instant::now());
        assert!(starts_key_frame(&track.vp8_payload(true, true)));
        assert!(!starts_key_frame(&track.vp8_payload(true, false)));
        assert!(!starts_key_frame(&track.vp8_payload(false, true)));
        assert_eq!(track.vp8_payload(true, true).len(), 200);
    }
}
