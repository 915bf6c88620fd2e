//! What a subscriber does with media: count it by SSRC, decrypt and check every Nth packet, and give the feedback a
//! real client gives (RR, TWCC or REMB, PLI until it has a key frame), so that no server holds back.

use std::time::{Duration, Instant};

use auralink_media::wire::rtcp::{self, NtpTime, Packet, ReportBlock};
use auralink_media::wire::rtp::{Header, SequenceExtender};
use auralink_media::wire::srtp::Context;
use auralink_media::wire::twcc;
use rustc_hash::FxHashMap;

use crate::media;
use crate::sdp;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// libwebrtc reports between every 50 and 250 ms.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
const MAX_PENDING_FEEDBACK: usize = 90;
const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(500);
/// What we say we could receive: no server should have a reason to hold back.
const REMB_BPS: u64 = 100_000_000;
const OUR_SSRC: u32 = 1;

/// One received stream.
struct Stream {
    extender: SequenceExtender,
    first: u64,
    received: u64,
    /// (expected, received) at the last report.
    reported: (u64, u64),
    last_report: Option<(NtpTime, Instant)>,
    video: bool,
    until_check: u32,
    first_at: Instant,
    key_frame: KeyFrame,
}

enum KeyFrame {
    Awaited {
        asked: Option<Instant>,
    },
    /// Its first packet came, with this timestamp.
    Begun(u32),
    Complete,
}

impl Stream {
    fn expected(&self) -> u64 {
        self.extender.highest().map_or(0, |highest| highest + 1 - self.first)
    }
}

/// Sums over all streams of a client; only ever growing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub received: u64,
    /// Of all datagrams with RTP that came, without UDP and IP headers.
    pub bytes: u64,
    /// Packets the sequence numbers say were sent to us, received or not.
    pub expected: u64,
    pub retransmitted: u64,
    pub checked: u64,
    pub failed_checks: u64,
}

impl Totals {
    pub fn add(&mut self, other: &Totals) {
        self.received += other.received;
        self.bytes += other.bytes;
        self.expected += other.expected;
        self.retransmitted += other.retransmitted;
        self.checked += other.checked;
        self.failed_checks += other.failed_checks;
    }
}

/// The receiving side of a client.
pub struct Inbound {
    streams: FxHashMap<u32, Stream>,
    twcc: twcc::Receiver,
    /// Which feedback the answer left us.
    pub twcc_wanted: bool,
    pub remb_wanted: bool,
    check_every: u32,
    bytes: u64,
    retransmitted: u64,
    checked: u64,
    failed_checks: u64,
    pub first_packet: Option<Instant>,
    pub first_frame: Option<Instant>,
    next_report: Instant,
    next_feedback: Instant,
}

impl Inbound {
    pub fn new(check_every: u32, now: Instant) -> Inbound {
        Inbound {
            streams: FxHashMap::default(),
            twcc: twcc::Receiver::new(now),
            twcc_wanted: false,
            remb_wanted: false,
            check_every: check_every.max(1),
            retransmitted: 0,
            bytes: 0,
            checked: 0,
            failed_checks: 0,
            first_packet: None,
            first_frame: None,
            next_report: now,
            next_feedback: now,
        }
    }

    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams that can be shown: audio, and video whose key frame is complete.
    pub fn streams_playing(&self) -> usize {
        self.streams.values().filter(|s| !s.video || matches!(s.key_frame, KeyFrame::Complete)).count()
    }

    pub fn totals(&self) -> Totals {
        Totals {
            received: self.streams.values().map(|stream| stream.received).sum(),
            expected: self.streams.values().map(Stream::expected).sum(),
            retransmitted: self.retransmitted,
            bytes: self.bytes,
            checked: self.checked,
            failed_checks: self.failed_checks,
        }
    }

    /// Take in one encrypted RTP packet. Returns the publisher's stamp of those that were checked, in nanoseconds.
    pub fn packet(&mut self, now: Instant, packet: &mut [u8], context: &Context) -> Option<u64> {
        let header = Header::parse(packet).ok()?;
        self.bytes += packet.len() as u64;
        if self.twcc_wanted {
            if let Some(&[high, low]) = header.extension(packet, sdp::TWCC_ID) {
                self.twcc.on_packet(u16::from_be_bytes([high, low]), now);
            }
        }
        if header.payload_type == sdp::VP8_RTX {
            self.retransmitted += 1;
            return None;
        }
        let check_every = self.check_every;
        let stream = self.streams.entry(header.ssrc).or_insert_with(|| Stream {
            extender: SequenceExtender::default(),
            first: u64::from(header.sequence),
            received: 0,
            reported: (0, 0),
            last_report: None,
            video: header.payload_type == sdp::VP8,
            until_check: 0,
            first_at: now,
            key_frame: KeyFrame::Awaited { asked: None },
        });
        let index = stream.extender.extend(header.sequence);
        stream.first = stream.first.min(index);
        stream.received += 1;
        self.first_packet.get_or_insert(now);
        let awaiting_frame = stream.video && !matches!(stream.key_frame, KeyFrame::Complete);
        if stream.until_check > 0 && !awaiting_frame {
            stream.until_check -= 1;
            return None;
        }
        stream.until_check = check_every - 1;
        self.checked += 1;
        let plain = context.unprotect_rtp(packet, header.header_len, header.ssrc, index);
        let Some(plain) = plain.ok().and_then(|length| packet.get(..length)) else {
            self.failed_checks += 1;
            return None;
        };
        let payload = header.payload(plain).ok()?;
        if awaiting_frame && stream.on_frame_packet(&header, payload) {
            self.first_frame.get_or_insert(now);
        }
        media::read_stamp(payload)
    }

    /// Note sender reports, for the delay fields of ours.
    pub fn note(&mut self, packet: &Packet<'_>, now: Instant) {
        if let Packet::SenderReport { info, .. } = packet {
            if let Some(stream) = self.streams.get_mut(&info.ssrc) {
                stream.last_report = Some((info.ntp, now));
            }
        }
    }

    pub fn next_timeout(&self) -> Instant {
        self.next_report.min(self.next_feedback)
    }

    /// Append the feedback that is due, as plain compound packets handed to `send` one by one.
    pub fn feedback(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        let mut out = Vec::new();
        let media_ssrc = self.streams.keys().next().copied().unwrap_or_default();
        if now >= self.next_feedback || self.twcc.pending() >= MAX_PENDING_FEEDBACK {
            self.next_feedback = now + FEEDBACK_INTERVAL;
            while self.twcc.write_feedback(&mut out, OUR_SSRC, media_ssrc) {
                send(&out);
                out.clear();
            }
            for (ssrc, stream) in &mut self.streams {
                if stream.wants_key_frame(now) {
                    rtcp::write_receiver_report(&mut out, OUR_SSRC, &[]);
                    rtcp::write_picture_loss(&mut out, OUR_SSRC, *ssrc);
                    send(&out);
                    out.clear();
                }
            }
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            let blocks: Vec<ReportBlock> =
                self.streams.iter_mut().map(|(ssrc, stream)| stream.report_block(*ssrc, now)).collect();
            for blocks in blocks.chunks(31) {
                rtcp::write_receiver_report(&mut out, OUR_SSRC, blocks);
                if self.remb_wanted && !self.twcc_wanted {
                    let ssrcs: Vec<u32> = blocks.iter().map(|block| block.ssrc).collect();
                    rtcp::write_remb(&mut out, OUR_SSRC, REMB_BPS, &ssrcs);
                }
                send(&out);
                out.clear();
            }
        }
    }
}

impl Stream {
    /// True once the key frame has come to its end.
    fn on_frame_packet(&mut self, header: &Header, payload: &[u8]) -> bool {
        if media::starts_key_frame(payload) {
            self.key_frame = KeyFrame::Begun(header.timestamp);
        }
        let ends =
            matches!(self.key_frame, KeyFrame::Begun(timestamp) if timestamp == header.timestamp && header.marker);
        if ends {
            self.key_frame = KeyFrame::Complete;
        }
        ends
    }

    fn wants_key_frame(&mut self, now: Instant) -> bool {
        let KeyFrame::Awaited { asked } = &mut self.key_frame else { return false };
        let due = self.video && now >= asked.unwrap_or(self.first_at) + KEY_FRAME_PATIENCE;
        if due {
            *asked = Some(now);
        }
        due
    }

    fn report_block(&mut self, ssrc: u32, now: Instant) -> ReportBlock {
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let interval = expected.saturating_sub(expected_before);
        let lost = interval.saturating_sub(received - received_before);
        let (last_sr, delay) = self.last_report.map_or((0, 0), |(ntp, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (ntp.compact(), delay as u32)
        });
        ReportBlock {
            ssrc,
            fraction_lost: (lost * 256).checked_div(interval).map_or(0, |share| share.min(255) as u8),
            cumulative_lost: expected.saturating_sub(received).min(i32::MAX as u64) as i32,
            highest_sequence: self.extender.highest().unwrap_or(0) as u32,
            jitter: 0,
            last_sr,
            delay_since_last_sr: delay,
        }
    }
}

/// Latency samples in nanoseconds, bounded.
#[derive(Debug, Default)]
pub struct Latencies {
    samples: Vec<u64>,
}

impl Latencies {
    const MOST: usize = 2_000_000;

    pub fn add(&mut self, latency_ns: u64) {
        if self.samples.len() < Self::MOST {
            self.samples.push(latency_ns);
        }
    }

    pub fn clear(&mut self) {
        self.samples.clear();
    }

    pub fn sorted(&mut self) -> &[u64] {
        self.samples.sort_unstable();
        &self.samples
    }
}

/// The nearest-rank percentile of sorted values; 0 when there are none.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99), percentile(&values, 100)), (50, 99, 100));
        assert_eq!((percentile(&[], 50), percentile(&[7], 99)), (0, 7));
    }
}
