//! The framing of RFC 4571: each datagram on a TCP connection is preceded by its length in two bytes.

use std::collections::VecDeque;

/// Longer frames than this are no media and no ICE: the connection is closed.
pub const MAX_FRAME_BYTES: usize = 4096;

/// The peer sent a frame we do not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLong(pub usize);

/// Cuts a byte stream into frames; keeps at most one unfinished frame and one read.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Start of what has not been handed out.
    at: usize,
}

impl FrameReader {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` when more bytes are needed. Empty frames (keep-alives) are skipped.
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, FrameTooLong> {
        loop {
            let Some([high, low]) = self.buffer.get(self.at..).and_then(|b| b.first_chunk::<2>()).copied() else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > MAX_FRAME_BYTES {
                return Err(FrameTooLong(length));
            }
            let start = self.at + 2;
            if self.buffer.len() < start + length {
                return Ok(None);
            }
            self.at = start + length;
            if length > 0 {
                return Ok(self.buffer.get_mut(start..start + length));
            }
        }
    }

    /// Bytes waiting to become a frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.at
    }
}

/// Frames waiting to be written. Bounded: when the reader is slow whole frames are refused, as a full link would lose
/// them; a frame that was begun is always finished, so the stream never loses its framing.
#[derive(Debug)]
pub struct FrameWriter {
    pending: VecDeque<u8>,
    capacity: usize,
}

impl FrameWriter {
    pub fn new(capacity: usize) -> FrameWriter {
        FrameWriter { pending: VecDeque::new(), capacity }
    }

    /// False when there is no room, or when the payload cannot be framed.
    pub fn push(&mut self, payload: &[u8]) -> bool {
        let Ok(length) = u16::try_from(payload.len()) else { return false };
        if self.pending.len() + 2 + payload.len() > self.capacity {
            return false;
        }
        self.pending.extend(length.to_be_bytes());
        self.pending.extend(payload);
        true
    }

    /// What should be written next.
    pub fn front(&self) -> &[u8] {
        let (first, second) = self.pending.as_slices();
        if first.is_empty() { second } else { first }
    }

    pub fn advance(&mut self, written: usize) {
        self.pending.drain(..written.min(self.pending.len()));
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}
