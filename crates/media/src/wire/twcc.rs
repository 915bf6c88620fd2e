//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! [`Receiver`] remembers arrivals and writes feedback for what we receive. [`Sender`] numbers what we send and turns
//! the other side's [`Feedback`] into [`Outcome`]s for the bandwidth estimator.

use std::time::{Duration, Instant};

use super::WireError;

/// Arrivals on one peer connection, until they are reported.
#[derive(Debug)]
pub struct Receiver {
    origin: Instant,
}

impl Receiver {
    /// `origin` is the zero of the reported reference time.
    pub fn new(origin: Instant) -> Receiver {
        Receiver { origin }
    }

    /// Notes a packet that carried this transport-wide sequence number.
    pub fn on_packet(&mut self, sequence: u16, now: Instant) {
        let _ = (sequence, now, self.origin);
    }

    /// Arrivals waiting to be reported; report at the latest at 100 (a feedback packet must fit the MTU), and every
    /// 50-100 ms while there are any.
    pub fn pending(&self) -> usize {
        0
    }

    /// Appends one feedback packet covering everything since the last one. False (and nothing written) when no packet
    /// waits. `media_ssrc` may be any SSRC of the sender. Call again while it returns true: a long gap is split.
    pub fn write_feedback(&mut self, out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) -> bool {
        let _ = (out, sender_ssrc, media_ssrc);
        false
    }
}

/// A parsed feedback packet; iterate with [`Feedback::statuses`].
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
    body: &'a [u8],
}

/// What became of a packet we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Unwrapped transport-wide sequence number.
    pub sequence: u64,
    pub sent: Instant,
    /// Bytes on the wire as given to [`Sender::register`].
    pub bytes: u32,
    /// Probe cluster it belonged to; 0 = none.
    pub cluster: u32,
    /// Arrival on the receiver's clock (only differences mean something); none = reported lost.
    pub arrived: Option<Duration>,
}

/// Numbers and remembers what is sent on one peer connection.
#[derive(Debug)]
pub struct Sender {
    next: u64,
}

impl Sender {
    /// Packets remembered; feedback on older ones is ignored.
    pub const HISTORY: usize = 4096;

    pub fn new() -> Sender {
        Sender { next: 0 }
    }

    /// The sequence number for the packet about to be written to the header extension. Remembers when it was sent, its
    /// size in bytes (headers included) and its probe cluster (0 = none).
    pub fn register(&mut self, now: Instant, bytes: u32, cluster: u32) -> u16 {
        let _ = (now, bytes, cluster);
        let sequence = self.next;
        self.next += 1;
        sequence as u16
    }

    /// Appends the outcome of every packet this feedback reports on and that was not reported before, in sending order.
    pub fn on_feedback(&mut self, feedback: &Feedback<'_>, into: &mut Vec<Outcome>) -> Result<(), WireError> {
        let _ = (feedback.body, into);
        Ok(())
    }

    /// Bytes sent and not yet reported on (bounded by the history).
    pub fn in_flight_bytes(&self) -> u64 {
        0
    }
}

impl Default for Sender {
    fn default() -> Self {
        Sender::new()
    }
}
