//! Packets we make ourselves on a stream whose publisher says nothing.
//!
//! After a mute the publisher may stop in the middle of a sound, and a decoder would go on with what it heard last:
//! a second of silence ends it. And some clients (pion) show a track only when its first packet came: they get some
//! before the publisher's. As LiveKit does.

use std::time::Duration;

use super::header::HeaderTemplate;
use super::rewrite::Rewritten;
use super::stream::DownStream;
use crate::line::Outlet;
use crate::negotiate::NegotiatedCodec;
use crate::publish::track::Track;
use crate::wire::codec::Codec;

/// Between two of them; also the length of a frame of silence.
pub(crate) const EVERY: Duration = Duration::from_millis(20);
/// How many after a mute: a second's.
pub(crate) const AFTER_MUTE: u16 = 50;
/// How many at most before the publisher's first packet: five seconds'.
pub(crate) const BEFORE_FIRST: u16 = 250;
/// Video has no frames of silence; its padding comes less often.
const PADDING_EVERY: u16 = 5;
const PADDING: u8 = 20;

/// 20 ms of silence, fullband CELT, mono (RFC 6716 section 3.1).
const OPUS: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// Samples of 20 ms at 8 kHz.
const G711_FRAME: usize = 160;
/// The smallest amplitude (ITU-T G.711, tables 2a and 1a).
const PCMU: u8 = 0xFF;
const PCMA: u8 = 0xD5;

/// Appends a frame of silence as the subscriber's decoder takes it. False for codecs without.
pub(super) fn write_frame(out: &mut Vec<u8>, own: &NegotiatedCodec) -> bool {
    match (own.codec, own.red_inner) {
        (Codec::Opus, _) => out.extend_from_slice(&OPUS),
        (Codec::Red, Some(inner)) => {
            // The primary block alone (RFC 2198 section 3).
            out.push(inner & 0x7F);
            out.extend_from_slice(&OPUS);
        }
        (Codec::Pcmu, _) => out.resize(out.len() + G711_FRAME, PCMU),
        (Codec::Pcma, _) => out.resize(out.len() + G711_FRAME, PCMA),
        _ => return false,
    }
    true
}

impl DownStream {
    /// From now on so many packets of ours, unless the publisher's come first.
    pub fn fall_silent(&mut self, packets: u16) {
        self.flowing = false;
        self.silent_for = packets;
    }

    pub fn has_sent(&self) -> bool {
        self.packets > 0
    }

    pub fn is_silent(&self) -> bool {
        self.silent_for > 0 && !self.flowing
    }

    /// Sends the next packet of ours.
    pub fn send_silence(&mut self, track: &Track, out: &mut Outlet<'_>) {
        self.silent_for -= 1;
        let Some(codec) = track.codec.or_else(|| Some(self.binding.codecs.first()?.codec)) else { return };
        if self.codec != Some(codec) && !self.adopt(codec, &track.publication) {
            return;
        }
        if track.is_video() {
            // A decoder that has begun waits for the next picture, and padding would tell it nothing.
            if self.silent_for % PADDING_EVERY == 0 && self.packets == 0 {
                let rewritten = self.rewriter.insert(self.by_arrival(out.now, track));
                self.send_padding(&rewritten, PADDING, 0, out);
            }
            return;
        }
        let timestamp = self.by_arrival(out.now, track);
        let own = self.binding.codecs.iter().find(|own| own.payload_type == self.header.payload_type());
        let mut frame = Vec::with_capacity(G711_FRAME + track.publication.sif_trailer.len());
        if own.is_some_and(|own| write_frame(&mut frame, own)) {
            // In an encrypted track, what tells the client that this frame is the server's.
            frame.extend_from_slice(&track.publication.sif_trailer);
            let rewritten = self.rewriter.insert(timestamp);
            self.send_own(&rewritten, false, &frame, out);
        }
    }

    pub(super) fn send_own(&mut self, rewritten: &Rewritten, marker: bool, payload: &[u8], out: &mut Outlet<'_>) {
        let Outlet { now, line, egress } = out;
        let start = egress.buffer.len();
        let header: &HeaderTemplate = &self.header;
        let transport = if header.counts_transport() { line.number(*now, header.len() + payload.len(), 0) } else { 0 };
        let (sequence, timestamp) = (rewritten.index as u16, rewritten.timestamp);
        let header_len = header.write(&mut egress.buffer, marker, sequence, timestamp, transport);
        egress.buffer.extend_from_slice(payload);
        if !line.send(egress, start, header_len, self.binding.ssrc, rewritten.index) {
            egress.buffer.truncate(start);
            return;
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.last_sent = *now;
    }
}
