//! RTP packets (RFC 3550) with header extensions (RFC 8285), sequence unwrapping and replay protection (RFC 3711).

use super::WireError;
use super::bytes::{read_u8, read_u16, read_u32};

#[cfg(test)]
mod tests;

const FIXED_HEADER: usize = 12;
const ONE_BYTE_PROFILE: u16 = 0xBEDE;
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Is this packet of an RTP/RTCP port RTCP? (RFC 5761 section 4: second byte 192..=223.)
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet.get(1), Some(192..=223))
}

/// The header of an RTP packet. Header extensions are located, not copied: [`Header::extension`] reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    /// In units of the payload type's clock.
    pub timestamp: u32,
    pub ssrc: u32,
    /// The last byte of the *decrypted* payload counts the padding bytes.
    pub padding: bool,
    /// Fixed part, CSRC list and extensions: where the payload starts.
    pub header_len: usize,
    extension_start: usize,
    extension_profile: u16,
}

impl Header {
    /// Reads the header; works on encrypted packets (SRTP leaves the header in the clear). Allocates nothing.
    pub fn parse(packet: &[u8]) -> Result<Header, WireError> {
        let first = read_u8(packet, 0)?;
        if first >> 6 != 2 {
            return Err(WireError::Version);
        }
        let second = read_u8(packet, 1)?;
        let mut header_len = FIXED_HEADER + 4 * usize::from(first & 0x0F);
        let mut extension_start = header_len;
        let mut extension_profile = 0;
        if first & 0x10 != 0 {
            extension_profile = read_u16(packet, header_len)?;
            let words = read_u16(packet, header_len + 2)?;
            extension_start = header_len + 4;
            header_len = extension_start + 4 * usize::from(words);
        }
        if packet.len() < header_len {
            return Err(WireError::Truncated);
        }
        Ok(Header {
            payload_type: second & 0x7F,
            marker: second & 0x80 != 0,
            sequence: read_u16(packet, 2)?,
            timestamp: read_u32(packet, 4)?,
            ssrc: read_u32(packet, 8)?,
            padding: first & 0x20 != 0,
            header_len,
            extension_start,
            extension_profile,
        })
    }

    /// Value of the header extension with this id (1..=255), in the one-byte or the two-byte form. Id 0 is never found,
    /// so that 0 can stand for "not negotiated".
    pub fn extension<'p>(&self, packet: &'p [u8], id: u8) -> Option<&'p [u8]> {
        if id == 0 {
            return None;
        }
        self.extensions(packet).find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// All header extensions in order, as (id, value). Ends at the first element that does not fit.
    pub fn extensions<'p>(&self, packet: &'p [u8]) -> Extensions<'p> {
        let two_byte = self.extension_profile & 0xFFF0 == TWO_BYTE_PROFILE;
        let known = two_byte || self.extension_profile == ONE_BYTE_PROFILE;
        let elements = if known { packet.get(self.extension_start..self.header_len) } else { None };
        Extensions { rest: elements.unwrap_or_default(), two_byte }
    }

    /// The payload of a decrypted packet (`packet` ends where the payload does), without its padding.
    pub fn payload<'p>(&self, packet: &'p [u8]) -> Result<&'p [u8], WireError> {
        let body = packet.get(self.header_len..).ok_or(WireError::Truncated)?;
        if !self.padding {
            return Ok(body);
        }
        let count = usize::from(*body.last().ok_or(WireError::Padding)?);
        let end = body.len().checked_sub(count).filter(|_| count > 0).ok_or(WireError::Padding)?;
        body.get(..end).ok_or(WireError::Padding)
    }
}

/// Iterator over header extensions, see [`Header::extensions`].
#[derive(Debug, Clone)]
pub struct Extensions<'p> {
    rest: &'p [u8],
    two_byte: bool,
}

impl<'p> Iterator for Extensions<'p> {
    type Item = (u8, &'p [u8]);

    fn next(&mut self) -> Option<(u8, &'p [u8])> {
        loop {
            let (&head, tail) = self.rest.split_first()?;
            if head == 0 {
                self.rest = tail; // padding
                continue;
            }
            let (id, len, body) = if self.two_byte {
                let (&len, body) = tail.split_first()?;
                (head, usize::from(len), body)
            } else {
                (head >> 4, usize::from(head & 0x0F) + 1, tail)
            };
            // RFC 8285 section 4.2: id 15 in the one-byte form ends the processing.
            if !self.two_byte && id == 15 || body.len() < len {
                self.rest = &[];
                return None;
            }
            let (value, rest) = body.split_at(len);
            self.rest = rest;
            return Some((id, value));
        }
    }
}

/// The fields of a header to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub padding: bool,
}

/// Appends a header with these extensions (id, value) to `out` and returns its length. Extensions with id 0 are left
/// out, as are values longer than 255 bytes. The one-byte form is used unless an id is above 14 or a value is empty or
/// longer than 16 bytes.
pub fn write_header(out: &mut Vec<u8>, fields: &Outgoing, extensions: &[(u8, &[u8])]) -> usize {
    let start = out.len();
    let usable = || extensions.iter().filter(|(id, value)| *id != 0 && value.len() <= 255);
    let any = usable().next().is_some();
    out.push(0x80 | u8::from(fields.padding) << 5 | u8::from(any) << 4);
    out.push(u8::from(fields.marker) << 7 | fields.payload_type & 0x7F);
    out.extend_from_slice(&fields.sequence.to_be_bytes());
    out.extend_from_slice(&fields.timestamp.to_be_bytes());
    out.extend_from_slice(&fields.ssrc.to_be_bytes());
    if !any {
        return out.len() - start;
    }
    let two_byte = usable().any(|(id, value)| *id > 14 || value.is_empty() || value.len() > 16);
    let profile = if two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
    out.extend_from_slice(&profile.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    for (id, value) in usable() {
        if two_byte {
            out.extend_from_slice(&[*id, value.len() as u8]);
        } else {
            out.push(id << 4 | (value.len() - 1) as u8);
        }
        out.extend_from_slice(value);
    }
    let elements = out.len() - length_at - 2;
    out.resize(out.len() + elements.wrapping_neg() % 4, 0);
    let words = ((out.len() - length_at - 2) / 4) as u16;
    super::bytes::patch(out, length_at, &words.to_be_bytes());
    out.len() - start
}

/// The audio level of a packet (RFC 6464), from its header extension's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level in -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// The sender believes this is speech.
    pub voice: bool,
}

impl AudioLevel {
    pub fn parse(value: &[u8]) -> Option<AudioLevel> {
        value.first().map(|byte| AudioLevel { level: byte & 0x7F, voice: byte & 0x80 != 0 })
    }
}

/// Unwraps 16-bit sequence numbers into 48-bit packet indexes (RFC 3711 section 3.3.1 and appendix A).
///
/// [`guess`](Self::guess) does not change the state, so that a forged packet cannot move it: call
/// [`accept`](Self::accept) with the guessed index once the packet is authenticated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

impl SequenceExtender {
    /// The index (roll-over counter << 16 | sequence) this sequence number most likely has.
    pub fn guess(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return u64::from(sequence) };
        let difference = sequence.wrapping_sub(highest as u16) as i16;
        // Before the very first packet there is no lower roll-over counter to fall back to.
        highest.checked_add_signed(i64::from(difference)).unwrap_or(u64::from(sequence))
    }

    pub fn accept(&mut self, index: u64) {
        self.highest = Some(self.highest.map_or(index, |highest| highest.max(index)));
    }

    /// `guess` and `accept` in one step, for numbers that need no authentication.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let index = self.guess(sequence);
        self.accept(index);
        index
    }

    /// Highest accepted index, if any.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Which of the last [`ReplayWindow::SIZE`] packet indexes were seen (RFC 3711 section 3.3.2).
///
/// Check before the packet is decrypted, accept after it is authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayWindow {
    /// One past the highest accepted index; 0 = nothing accepted yet.
    end: u64,
    /// Bit `index % SIZE` is set when that index was seen.
    seen: [u64; Self::WORDS],
}

impl ReplayWindow {
    /// Indexes kept. A retransmission that arrives more than this many packets late is refused.
    pub const SIZE: u64 = 1024;
    const WORDS: usize = (Self::SIZE / 64) as usize;

    pub fn new() -> ReplayWindow {
        ReplayWindow { end: 0, seen: [0; Self::WORDS] }
    }

    /// Is this index new (neither seen nor too old)?
    pub fn is_new(&self, index: u64) -> bool {
        if index >= self.end {
            return true;
        }
        self.end - index <= Self::SIZE && !self.bit(index)
    }

    /// Marks the index as seen.
    pub fn accept(&mut self, index: u64) {
        if index >= self.end {
            let skipped = index - self.end;
            if skipped >= Self::SIZE {
                self.seen = [0; Self::WORDS];
            } else {
                for between in self.end..index {
                    self.set(between, false);
                }
            }
            self.end = index + 1;
        } else if self.end - index > Self::SIZE {
            return;
        }
        self.set(index, true);
    }

    fn bit(&self, index: u64) -> bool {
        let word = self.seen.get((index / 64) as usize % Self::WORDS).copied().unwrap_or_default();
        word >> (index % 64) & 1 != 0
    }

    fn set(&mut self, index: u64, value: bool) {
        if let Some(word) = self.seen.get_mut((index / 64) as usize % Self::WORDS) {
            *word = *word & !(1 << (index % 64)) | u64::from(value) << (index % 64);
        }
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        ReplayWindow::new()
    }
}
