//! A TCP connection, and what waits to be written to it.
//!
//! The WebSocket library would keep, for as long as a connection lives, a buffer as large as the most that ever waited:
//! for each participant of a large room the list of all of them. Here it is given back once it is empty.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Kept although nothing waits.
const KEPT: usize = 1024;

/// Writing to it always succeeds and writes nothing yet; `push` does.
pub struct Wire {
    pub stream: TcpStream,
    /// Bytes read from it so far.
    pub read: u64,
    waiting: Vec<u8>,
    pushed: usize,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Wire {
        Wire { stream, read: 0, waiting: Vec::new(), pushed: 0 }
    }

    /// Bytes that the kernel did not take yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len() - self.pushed
    }

    /// Gives the kernel what it has room for; whether that was all.
    pub fn push(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.waiting.get(self.pushed..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.pushed += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.pushed = 0;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        Ok(true)
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
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
