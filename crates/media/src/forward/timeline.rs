//! The timestamps of an outgoing stream: on from one source or layer to the next, and what sender reports say of them.

use std::time::Instant;

use super::rewrite::Source;
use super::stream::DownStream;
use crate::publish::track::Track;
use crate::wire::codec::Codec;
use crate::wire::rtcp::{NtpTime, SenderInfo};

impl DownStream {
    /// The timestamp of another layer's packet on our line: by the sender's reports where both layers have one, else by
    /// the time since the last packet.
    pub(super) fn aligned(&self, now: Instant, track: &Track, from: u8, source: &Source) -> u32 {
        let rate = clock_rate(track);
        let by_arrival = self.by_arrival(now, track);
        let anchors = (track.layer(from).and_then(|l| l.anchor), track.layer(source.layer).and_then(|l| l.anchor));
        let (Some(old), Some(new)) = anchors else { return by_arrival };
        let on_old_layer = old.timestamp_at(new.ntp_at(source.timestamp, rate), rate);
        let by_reports = on_old_layer.wrapping_add(self.offset_now(track, from));
        // Reports that contradict the arrival by a second are broken.
        let apart = (by_reports.wrapping_sub(by_arrival) as i32).unsigned_abs();
        if apart > rate { by_arrival } else { by_reports }
    }

    /// What makes timestamps of our line out of those of the layer it had: where their clock stood still since, ours did
    /// not.
    pub(super) fn offset_now(&self, track: &Track, layer: u8) -> u32 {
        let moved = track.layer(layer).map_or(0, |layer| layer.moved.wrapping_sub(self.moved));
        self.rewriter.timestamp_offset().wrapping_add(moved)
    }

    /// The timestamp of this moment by the time since the last packet.
    pub(super) fn by_arrival(&self, now: Instant, track: &Track) -> u32 {
        self.timestamp_at(now, clock_rate(track))
    }

    pub(super) fn timestamp_at(&self, now: Instant, clock_rate: u32) -> u32 {
        let elapsed = now.saturating_duration_since(self.last_sent).as_micros() as u64;
        self.rewriter.last_timestamp().wrapping_add((elapsed * u64::from(clock_rate) / 1_000_000) as u32)
    }

    /// What a sender report says at this moment: none before anything was sent, or while the publisher's clock is not
    /// known.
    pub fn sender_info(&self, ours: NtpTime, theirs: NtpTime, track: &Track) -> Option<SenderInfo> {
        let layer = self.rewriter.layer().filter(|_| self.packets > 0)?;
        let anchor = track.layer(layer)?.anchor?;
        let rate = self.codec?.clock_rate();
        let timestamp = anchor.timestamp_at(theirs, rate).wrapping_add(self.rewriter.timestamp_offset());
        Some(SenderInfo {
            ssrc: self.binding.ssrc,
            ntp: ours,
            rtp_timestamp: timestamp,
            packets: self.packets,
            octets: self.octets,
        })
    }
}

fn clock_rate(track: &Track) -> u32 {
    track.codec.map_or(90_000, Codec::clock_rate)
}
