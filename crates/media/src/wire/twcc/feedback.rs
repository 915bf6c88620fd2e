//! The feedback packet, read.

use crate::wire::WireError;
use crate::wire::bytes::{read_u8, read_u16, read_u24, read_u32};

const HEADER: usize = 20;

/// A feedback packet, checked to hold everything it promises; iterate with [`Feedback::statuses`].
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    pub sender_ssrc: u32,
    pub media_ssrc: u32,
    /// First sequence number reported on.
    pub base: u16,
    /// Number of packets reported on.
    pub count: u16,
    /// Reference time in units of 64 ms (24 bits, wraps).
    pub reference: u32,
    /// Feedback packet counter.
    pub counter: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Most packets one feedback may report on. Run-length chunks could otherwise make a tiny packet cost a long loop.
    pub const MAX_COUNT: u16 = 8192;

    /// Reads a whole RTCP packet (padding removed).
    pub fn parse(packet: &'a [u8]) -> Result<Feedback<'a>, WireError> {
        let count = read_u16(packet, 14)?;
        if count > Self::MAX_COUNT {
            return Err(WireError::Malformed);
        }
        let body = packet.get(HEADER..).ok_or(WireError::Truncated)?;
        let (chunks, deltas) = split_chunks(body, count)?;
        Ok(Feedback {
            sender_ssrc: read_u32(packet, 4)?,
            media_ssrc: read_u32(packet, 8)?,
            base: read_u16(packet, 12)?,
            count,
            reference: read_u24(packet, 16)?,
            counter: read_u8(packet, 19)?,
            chunks,
            deltas,
        })
    }

    /// Every packet reported on, in order: its sequence number and, when it arrived, its arrival in ticks of 250 us
    /// after the reference time.
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            sequence: self.base,
            remaining: self.count,
            chunk: Chunk::default(),
            chunks: self.chunks,
            deltas: self.deltas,
            ticks: 0,
        }
    }

    /// The reference time, unwrapped to be near the one before.
    pub(super) fn unwrap_reference(&self, previous: i64) -> i64 {
        let difference = (self.reference.wrapping_sub(previous as u32) << 8) as i32 >> 8;
        previous + i64::from(difference)
    }
}

/// Finds where the chunks end and checks that all deltas are there.
fn split_chunks(body: &[u8], count: u16) -> Result<(&[u8], &[u8]), WireError> {
    let mut remaining = count;
    let mut at = 0;
    let mut delta_bytes = 0;
    while remaining > 0 {
        let mut chunk = Chunk::parse(read_u16(body, at)?);
        at += 2;
        while remaining > 0 {
            let Some(symbol) = chunk.next() else { break };
            delta_bytes += symbol.delta_len()?;
            remaining -= 1;
        }
    }
    let (chunks, deltas) = body.split_at_checked(at).ok_or(WireError::Truncated)?;
    if deltas.len() < delta_bytes { Err(WireError::Truncated) } else { Ok((chunks, deltas)) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol(pub u8);

impl Symbol {
    fn delta_len(self) -> Result<usize, WireError> {
        match self.0 {
            0..=2 => Ok(usize::from(self.0)),
            _ => Err(WireError::Malformed),
        }
    }
}

/// A packet status chunk: symbols of 1 or 2 bits, or one symbol many times.
#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    remaining: u16,
    /// Upcoming symbols, from the top; for a run the one symbol.
    bits: u16,
    /// Bits per symbol; 0 = run.
    width: u32,
}

impl Chunk {
    fn parse(word: u16) -> Chunk {
        match (word & 0x8000 != 0, word & 0x4000 != 0) {
            (false, _) => Chunk { remaining: word & 0x1FFF, bits: word >> 13 & 3, width: 0 },
            (true, false) => Chunk { remaining: 14, bits: word << 2, width: 1 },
            (true, true) => Chunk { remaining: 7, bits: word << 2, width: 2 },
        }
    }

    fn next(&mut self) -> Option<Symbol> {
        self.remaining = self.remaining.checked_sub(1)?;
        if self.width == 0 {
            return Some(Symbol(self.bits as u8));
        }
        let symbol = self.bits >> (16 - self.width);
        self.bits <<= self.width;
        Some(Symbol(symbol as u8))
    }
}

/// Iterator over (sequence number, arrival ticks), see [`Feedback::statuses`].
#[derive(Debug, Clone)]
pub struct Statuses<'a> {
    sequence: u16,
    remaining: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
    ticks: i64,
}

impl Statuses<'_> {
    fn symbol(&mut self) -> Option<Symbol> {
        loop {
            if let Some(symbol) = self.chunk.next() {
                return Some(symbol);
            }
            let (word, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunk = Chunk::parse(u16::from_be_bytes(*word));
            self.chunks = rest;
        }
    }

    fn delta(&mut self, symbol: Symbol) -> Option<i64> {
        if symbol.0 == 1 {
            let (delta, rest) = self.deltas.split_first()?;
            self.deltas = rest;
            return Some(i64::from(*delta));
        }
        let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
        self.deltas = rest;
        Some(i64::from(i16::from_be_bytes(*delta)))
    }
}

impl Iterator for Statuses<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let symbol = self.symbol()?;
        if symbol.0 == 0 {
            return Some((sequence, None));
        }
        self.ticks += self.delta(symbol)?;
        Some((sequence, Some(self.ticks)))
    }
}
