//! The builders. Each appends one whole packet.

use super::super::bytes::patch;
use super::{
    BYE, FORMAT_APPLICATION, FORMAT_FULL_INTRA, FORMAT_NACK, FORMAT_PICTURE_LOSS, FORMAT_TRANSPORT_CC,
    PAYLOAD_FEEDBACK, RECEIVER_REPORT, ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_FEEDBACK,
};

/// The count field has five bits.
const MAX_COUNT: usize = 31;
/// The SDES item.
const CNAME: u8 = 1;

/// SR with up to 31 report blocks (more are left out).
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..MAX_COUNT).unwrap_or(blocks);
    let start = begin(out, blocks.len() as u8, SENDER_REPORT);
    out.extend_from_slice(&info.ssrc.to_be_bytes());
    out.extend_from_slice(&info.ntp.0.to_be_bytes());
    out.extend_from_slice(&info.rtp_timestamp.to_be_bytes());
    out.extend_from_slice(&info.packets.to_be_bytes());
    out.extend_from_slice(&info.octets.to_be_bytes());
    write_blocks(out, blocks);
    end(out, start);
}

/// RR with up to 31 report blocks (more are left out).
pub fn write_receiver_report(out: &mut Vec<u8>, sender_ssrc: u32, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..MAX_COUNT).unwrap_or(blocks);
    let start = begin(out, blocks.len() as u8, RECEIVER_REPORT);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    write_blocks(out, blocks);
    end(out, start);
}

fn write_blocks(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    for block in blocks {
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0xFF_FFFF;
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        out.extend_from_slice(&(u32::from(block.fraction_lost) << 24 | lost).to_be_bytes());
        out.extend_from_slice(&block.highest_sequence.to_be_bytes());
        out.extend_from_slice(&block.jitter.to_be_bytes());
        out.extend_from_slice(&block.last_sr.to_be_bytes());
        out.extend_from_slice(&block.delay_since_last_sr.to_be_bytes());
    }
}

/// SDES with one chunk and a CNAME (cut at 255 bytes).
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = cname.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    let start = begin(out, 1, SOURCE_DESCRIPTION);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[CNAME, name.len() as u8]);
    out.extend_from_slice(name);
    // The list of items ends with a zero byte; `end` fills the rest of the word with more.
    out.push(0);
    end(out, start);
}

/// Generic NACK; neighbours share an entry, so hand the numbers over in ascending order. Writes nothing when empty.
pub fn write_nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, sequences: &[u16]) {
    let mut sequences = sequences.iter().copied();
    let Some(mut first) = sequences.next() else { return };
    let start = begin(out, FORMAT_NACK, TRANSPORT_FEEDBACK);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    let mut following = 0u16;
    let mut entry = |first: u16, following: u16| {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&following.to_be_bytes());
    };
    for sequence in sequences {
        match sequence.wrapping_sub(first) {
            0 => {}
            distance @ 1..=16 => following |= 1 << (distance - 1),
            _ => {
                entry(first, following);
                (first, following) = (sequence, 0);
            }
        }
    }
    entry(first, following);
    end(out, start);
}

pub fn write_picture_loss(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    let start = begin(out, FORMAT_PICTURE_LOSS, PAYLOAD_FEEDBACK);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    end(out, start);
}

/// FIR for one stream; `command` must change with each new request.
pub fn write_full_intra(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, command: u8) {
    let start = begin(out, FORMAT_FULL_INTRA, PAYLOAD_FEEDBACK);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    // The media source of the header is unused (RFC 5104 section 4.3.1.2).
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    out.extend_from_slice(&[command, 0, 0, 0]);
    end(out, start);
}

/// REMB for up to 255 streams.
pub fn write_remb(out: &mut Vec<u8>, sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) {
    let ssrcs = ssrcs.get(..255).unwrap_or(ssrcs);
    let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
    let value = exponent << 18 | (bitrate_bps >> exponent) as u32;
    let start = begin(out, FORMAT_APPLICATION, PAYLOAD_FEEDBACK);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(b"REMB");
    out.extend_from_slice(&((ssrcs.len() as u32) << 24 | value).to_be_bytes());
    ssrcs.iter().for_each(|ssrc| out.extend_from_slice(&ssrc.to_be_bytes()));
    end(out, start);
}

/// BYE for up to 31 streams.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = ssrcs.get(..MAX_COUNT).unwrap_or(ssrcs);
    let start = begin(out, ssrcs.len() as u8, BYE);
    ssrcs.iter().for_each(|ssrc| out.extend_from_slice(&ssrc.to_be_bytes()));
    end(out, start);
}

/// Starts a packet and returns where; [`end`] fills in its length.
fn begin(out: &mut Vec<u8>, format: u8, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | format & 0x1F, packet_type, 0, 0]);
    start
}

/// Fills the last word with zeroes and writes the length.
pub(in crate::wire) fn end(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.resize(out.len() + len.wrapping_neg() % 4, 0);
    let words = ((out.len() - start) / 4 - 1) as u16;
    patch(out, start + 2, &words.to_be_bytes());
}

/// Starts a transport feedback packet of the congestion control format.
pub(in crate::wire) fn begin_transport_cc(out: &mut Vec<u8>) -> usize {
    begin(out, FORMAT_TRANSPORT_CC, TRANSPORT_FEEDBACK)
}
