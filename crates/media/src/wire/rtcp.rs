//! RTCP (RFC 3550, RFC 4585, RFC 5104, REMB): a compound packet as an iterator that copies nothing, and builders that
//! append to a buffer. Every builder appends whole packets; calling several makes a compound packet.

use std::time::{SystemTime, UNIX_EPOCH};

use super::bytes::{read_u8, read_u16, read_u24, read_u32, read_u64};
use super::{WireError, twcc};

#[cfg(test)]
mod tests;
mod write;

pub(in crate::wire) use write::{begin_transport_cc, end};
pub use write::{
    write_bye, write_cname, write_full_intra, write_nack, write_picture_loss, write_receiver_report, write_remb,
    write_sender_report,
};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

const FORMAT_NACK: u8 = 1;
const FORMAT_TRANSPORT_CC: u8 = 15;
const FORMAT_PICTURE_LOSS: u8 = 1;
const FORMAT_FULL_INTRA: u8 = 4;
const FORMAT_APPLICATION: u8 = 15;

const REPORT_BLOCK: usize = 24;

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
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        Some(split_first(rest).and_then(|(packet, rest)| {
            let parsed = parse_one(packet)?;
            self.rest = rest;
            Ok(parsed)
        }))
    }
}

/// Cuts the first packet off (without its padding).
fn split_first(compound: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let first = read_u8(compound, 0)?;
    if first >> 6 != 2 {
        return Err(WireError::Version);
    }
    let len = 4 * (usize::from(read_u16(compound, 2)?) + 1);
    let (packet, rest) = compound.split_at_checked(len).ok_or(WireError::Truncated)?;
    if first & 0x20 == 0 {
        return Ok((packet, rest));
    }
    let padding = usize::from(packet.last().copied().unwrap_or_default());
    let end = len.checked_sub(padding).filter(|end| padding > 0 && *end >= 4).ok_or(WireError::Padding)?;
    Ok((packet.get(..end).ok_or(WireError::Padding)?, rest))
}

fn parse_one(packet: &[u8]) -> Result<Packet<'_>, WireError> {
    let format = read_u8(packet, 0)? & 0x1F;
    let packet_type = read_u8(packet, 1)?;
    Ok(match (packet_type, format) {
        (SENDER_REPORT, count) => Packet::SenderReport {
            info: SenderInfo {
                ssrc: read_u32(packet, 4)?,
                ntp: NtpTime(read_u64(packet, 8)?),
                rtp_timestamp: read_u32(packet, 16)?,
                packets: read_u32(packet, 20)?,
                octets: read_u32(packet, 24)?,
            },
            blocks: ReportBlocks { rest: list(packet, 28, count, REPORT_BLOCK)? },
        },
        (RECEIVER_REPORT, count) => Packet::ReceiverReport {
            ssrc: read_u32(packet, 4)?,
            blocks: ReportBlocks { rest: list(packet, 8, count, REPORT_BLOCK)? },
        },
        (SOURCE_DESCRIPTION, _) => Packet::SourceDescription,
        (BYE, count) => Packet::Bye { ssrcs: Ssrcs { rest: list(packet, 4, count, 4)? } },
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => Packet::Nack(Nack {
            sender_ssrc: read_u32(packet, 4)?,
            media_ssrc: read_u32(packet, 8)?,
            entries: packet.get(12..).ok_or(WireError::Truncated)?,
        }),
        (TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_CC) => Packet::TransportFeedback(twcc::Feedback::parse(packet)?),
        (PAYLOAD_FEEDBACK, FORMAT_PICTURE_LOSS) => {
            Packet::PictureLoss { sender_ssrc: read_u32(packet, 4)?, media_ssrc: read_u32(packet, 8)? }
        }
        (PAYLOAD_FEEDBACK, FORMAT_FULL_INTRA) => Packet::FullIntra(FullIntra {
            sender_ssrc: read_u32(packet, 4)?,
            entries: packet.get(12..).ok_or(WireError::Truncated)?,
        }),
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) if packet.get(12..16) == Some(b"REMB") => parse_remb(packet)?,
        _ => Packet::Other { packet_type, format },
    })
}

/// `count` elements of `size` bytes from `start`.
fn list(packet: &[u8], start: usize, count: u8, size: usize) -> Result<&[u8], WireError> {
    packet.get(start..start + usize::from(count) * size).ok_or(WireError::Truncated)
}

fn parse_remb(packet: &[u8]) -> Result<Packet<'_>, WireError> {
    let count = read_u8(packet, 16)?;
    let value = read_u24(packet, 17)?;
    let (exponent, mantissa) = (value >> 18, u64::from(value & 0x3_FFFF));
    // 18 bits shifted by up to 63: what does not fit is "unlimited".
    let bitrate_bps = if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX };
    let ssrcs = Ssrcs { rest: list(packet, 20, count, 4)? };
    Ok(Packet::Remb { sender_ssrc: read_u32(packet, 4)?, bitrate_bps, ssrcs })
}

/// Iterator over the report blocks of an SR or RR.
#[derive(Debug, Clone, Copy)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_at_checked(REPORT_BLOCK)?;
        self.rest = rest;
        let lost = read_u24(block, 5).ok()?;
        Some(ReportBlock {
            ssrc: read_u32(block, 0).ok()?,
            fraction_lost: read_u8(block, 4).ok()?,
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_sequence: read_u32(block, 8).ok()?,
            jitter: read_u32(block, 12).ok()?,
            last_sr: read_u32(block, 16).ok()?,
            delay_since_last_sr: read_u32(block, 20).ok()?,
        })
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
        let (ssrc, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        read_u32(ssrc, 0).ok()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    pub sender_ssrc: u32,
    pub media_ssrc: u32,
    entries: &'a [u8],
}

impl Nack<'_> {
    /// The missing sequence numbers in the order asked for (at most 17 per four bytes of packet).
    pub fn sequences(&self) -> impl Iterator<Item = u16> + use<'_> {
        self.entries.chunks_exact(4).flat_map(|entry| {
            let first = read_u16(entry, 0).unwrap_or_default();
            let following = read_u16(entry, 2).unwrap_or_default();
            let wanted = u32::from(following) << 1 | 1;
            (0..17u16).filter(move |offset| wanted >> offset & 1 != 0).map(move |offset| first.wrapping_add(offset))
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub struct FullIntra<'a> {
    pub sender_ssrc: u32,
    entries: &'a [u8],
}

impl FullIntra<'_> {
    /// (media SSRC, command sequence number). A repeated command number is a repeat of the same request.
    pub fn requests(&self) -> impl Iterator<Item = (u32, u8)> + use<'_> {
        self.entries.chunks_exact(8).filter_map(|entry| Some((read_u32(entry, 0).ok()?, read_u8(entry, 4).ok()?)))
    }
}
