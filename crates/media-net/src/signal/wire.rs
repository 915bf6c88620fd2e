//! A TCP connection, and what waits to be written to it.
//!
//! The WebSocket library would copy each message into a buffer that grows, and keep it as large as it ever was for as long
//! as the connection lives: for each participant of a large room the list of all of them. Here long messages are written
//! from where they are.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use tungstenite::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A longer message is not copied.
const COPIED: usize = 2 * 1024;
/// Kept although nothing waits.
const KEPT: usize = 1024;
/// Written at once, if there is as much.
const CHUNK: usize = 8 * 1024;

/// Writing to it always succeeds and writes nothing yet; `push` does.
pub struct Wire {
    pub stream: TcpStream,
    /// Bytes read from it so far.
    pub read: u64,
    waiting: Vec<u8>,
    pushed: usize,
    /// The payload whose header ends what waits.
    long: Bytes,
    /// What the library answered meanwhile, to a ping or a goodbye: comes after that payload.
    answers: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Wire {
        Wire { stream, read: 0, waiting: Vec::new(), pushed: 0, long: Bytes::new(), answers: Vec::new() }
    }

    /// Bytes that the kernel did not take yet.
    pub fn len(&self) -> usize {
        self.waiting.len() - self.pushed + self.long.len() + self.answers.len()
    }

    /// No further message is to be framed before this is pushed.
    pub fn is_full(&self) -> bool {
        !self.long.is_empty() || self.waiting.len() >= CHUNK
    }

    /// Frames a message, of which nothing is masked (RFC 6455 section 5.1).
    pub fn frame(&mut self, kind: Data, payload: Bytes) -> tungstenite::Result<()> {
        let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut self.waiting)?;
        if payload.len() <= COPIED {
            self.waiting.extend_from_slice(&payload);
        } else {
            self.long = payload;
        }
        Ok(())
    }

    /// Gives the kernel what it has room for; whether that was all.
    pub fn push(&mut self) -> io::Result<bool> {
        loop {
            if !self.push_waiting()? || !self.push_long()? {
                return Ok(false);
            }
            if self.answers.is_empty() {
                return Ok(true);
            }
            self.waiting.append(&mut self.answers);
        }
    }

    fn push_waiting(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.waiting.get(self.pushed..).filter(|rest| !rest.is_empty()) {
            let Some(count) = give(&mut self.stream, rest)? else { return Ok(false) };
            self.pushed += count;
        }
        self.pushed = 0;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        Ok(true)
    }

    fn push_long(&mut self) -> io::Result<bool> {
        while !self.long.is_empty() {
            let Some(count) = give(&mut self.stream, &self.long)? else { return Ok(false) };
            self.long = self.long.slice(count..);
        }
        Ok(true)
    }
}

/// How much the kernel took; none: it has no room.
fn give(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    match stream.write(bytes) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = if self.long.is_empty() { &mut self.waiting } else { &mut self.answers };
        end.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
