//! Arrivals, and the feedback packets that report them.

use std::collections::VecDeque;
use std::time::Instant;

use super::{REFERENCE_TICKS, TICK_MICROS};
use crate::wire::rtcp;
use crate::wire::rtp::SequenceExtender;

/// Sequence numbers kept. A jump further than this starts over.
const WINDOW: u64 = 2048;
/// Numbers kept after they were reported, so that a late packet can be reported together with its neighbours.
const KEPT_AFTER_REPORT: u64 = 256;
/// Arrivals per feedback packet: at most 2 bytes each, plus chunks, within one MTU.
const MAX_ARRIVALS: usize = 400;
/// Statuses per feedback packet; a gap costs next to nothing, but a reader may limit the count.
const MAX_STATUSES: usize = 1024;

/// Arrivals on one peer connection, until they are reported.
#[derive(Debug)]
pub struct Receiver {
    origin: Instant,
    extender: SequenceExtender,
    /// Arrival in ticks since `origin`, of the numbers from `start`.
    window: VecDeque<Option<i64>>,
    start: u64,
    /// First number the next feedback reports on.
    unreported: u64,
    pending: usize,
    counter: u8,
}

impl Receiver {
    /// `origin` is the zero of the reported reference time.
    pub fn new(origin: Instant) -> Receiver {
        Receiver {
            origin,
            extender: SequenceExtender::default(),
            window: VecDeque::new(),
            start: 0,
            unreported: 0,
            pending: 0,
            counter: 0,
        }
    }

    /// Notes a packet that carried this transport-wide sequence number. One that came before counts once.
    pub fn on_packet(&mut self, sequence: u16, now: Instant) {
        let sequence = self.extender.extend(sequence);
        let end = self.start + self.window.len() as u64;
        if self.window.is_empty() || sequence >= end + WINDOW {
            self.window.clear();
            (self.start, self.unreported, self.pending) = (sequence, sequence, 0);
        }
        let Some(offset) = sequence.checked_sub(self.start) else { return };
        let offset = offset as usize;
        if offset >= self.window.len() {
            self.window.resize(offset + 1, None);
        }
        let ticks = now.saturating_duration_since(self.origin).as_micros() as u64 / TICK_MICROS;
        if let Some(slot @ None) = self.window.get_mut(offset) {
            *slot = Some(ticks as i64);
            self.pending += 1;
            self.unreported = self.unreported.min(sequence);
        }
        self.forget_before(self.end().saturating_sub(WINDOW));
    }

    /// Arrivals waiting to be reported; report at the latest at 100 (a feedback packet must fit the MTU), and every
    /// 50-100 ms while there are any.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Appends one feedback packet covering everything since the last one. False (and nothing written) when no packet
    /// waits. `media_ssrc` may be any SSRC of the sender. Call again while it returns true: a long gap is split.
    pub fn write_feedback(&mut self, out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) -> bool {
        if self.pending == 0 {
            return false;
        }
        let first = (self.unreported - self.start) as usize;
        let arrivals = || self.window.range(first.min(self.window.len())..).take(MAX_STATUSES);
        let Some(first_ticks) = arrivals().flatten().next().copied() else {
            self.skip_gap(first);
            return self.write_feedback(out, sender_ssrc, media_ssrc);
        };
        let reference = first_ticks.div_euclid(REFERENCE_TICKS);
        let count = reportable(arrivals(), reference * REFERENCE_TICKS);
        let packet = rtcp::begin_transport_cc(out);
        out.extend_from_slice(&sender_ssrc.to_be_bytes());
        out.extend_from_slice(&media_ssrc.to_be_bytes());
        out.extend_from_slice(&(self.unreported as u16).to_be_bytes());
        out.extend_from_slice(&(count as u16).to_be_bytes());
        out.extend_from_slice(&((reference as u32) << 8 | u32::from(self.counter)).to_be_bytes());
        let statuses = || deltas(arrivals().take(count), reference * REFERENCE_TICKS);
        write_chunks(out, statuses().map(symbol));
        for delta in statuses().flatten() {
            match u8::try_from(delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&(delta as i16).to_be_bytes()),
            }
        }
        rtcp::end(out, packet);
        self.counter = self.counter.wrapping_add(1);
        self.reported(count);
        true
    }

    fn end(&self) -> u64 {
        self.start + self.window.len() as u64
    }

    /// Nothing arrived among the next [`MAX_STATUSES`] numbers: says so by not reporting them at all.
    fn skip_gap(&mut self, first: usize) {
        let gap = self.window.range(first.min(self.window.len())..).take_while(|arrival| arrival.is_none()).count();
        self.unreported += gap as u64;
        if self.unreported >= self.end() {
            self.pending = 0;
        }
    }

    fn reported(&mut self, count: usize) {
        self.unreported += count as u64;
        let from = (self.unreported - self.start) as usize;
        self.pending = self.window.range(from.min(self.window.len())..).flatten().count();
        self.forget_before(self.unreported.saturating_sub(KEPT_AFTER_REPORT));
    }

    fn forget_before(&mut self, keep_from: u64) {
        while self.start < keep_from && self.window.pop_front().is_some() {
            self.start += 1;
        }
        self.unreported = self.unreported.max(self.start);
    }
}

/// Arrivals as deltas from one to the next, the first from `base`.
fn deltas<'w>(
    arrivals: impl Iterator<Item = &'w Option<i64>> + 'w,
    base: i64,
) -> impl Iterator<Item = Option<i64>> + 'w {
    let mut previous = base;
    arrivals.map(move |arrival| arrival.map(|ticks| ticks - std::mem::replace(&mut previous, ticks)))
}

/// How many of the statuses fit one packet: limited by size and by the 16 bits of a delta. Ends with an arrival.
fn reportable<'w>(arrivals: impl Iterator<Item = &'w Option<i64>> + 'w, base: i64) -> usize {
    let fits = |delta: &Option<i64>| delta.is_none_or(|delta| i16::try_from(delta).is_ok());
    let mut arrived = 0;
    let mut count = 0;
    for (position, delta) in deltas(arrivals, base).take_while(fits).enumerate() {
        if delta.is_some() {
            arrived += 1;
            count = position + 1;
        }
        if arrived == MAX_ARRIVALS {
            break;
        }
    }
    count
}

/// 0 = not received, 1 = one-byte delta, 2 = two-byte delta.
fn symbol(delta: Option<i64>) -> u8 {
    match delta {
        None => 0,
        Some(0..=255) => 1,
        Some(_) => 2,
    }
}

/// Writes status chunks: runs where they are worth it, else vectors of two-bit symbols.
fn write_chunks(out: &mut Vec<u8>, symbols: impl Iterator<Item = u8>) {
    let mut symbols = symbols.peekable();
    while let Some(first) = symbols.next() {
        let mut vector = 0xC000 | u16::from(first) << 12;
        let mut same = 1;
        while same < 7 && symbols.next_if_eq(&first).is_some() {
            vector |= u16::from(first) << (12 - 2 * same);
            same += 1;
        }
        if same == 7 || symbols.peek().is_none() {
            let more = std::iter::from_fn(|| symbols.next_if_eq(&first)).take(8191 - 7).count();
            out.extend_from_slice(&(u16::from(first) << 13 | (same + more) as u16).to_be_bytes());
            continue;
        }
        for position in same..7 {
            vector |= u16::from(symbols.next().unwrap_or(0)) << (12 - 2 * position);
        }
        out.extend_from_slice(&vector.to_be_bytes());
    }
}
