//! What we sent, and what became of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Feedback, REFERENCE_TICKS, TICK_MICROS};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Arrived,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    bytes: u32,
    cluster: u32,
    state: State,
}

/// Numbers and remembers what is sent on one peer connection.
#[derive(Debug, Default)]
pub struct Sender {
    next: u64,
    /// The newest packets, ending with number `next - 1`.
    history: VecDeque<Sent>,
    in_flight: u64,
    /// Unwrapped reference time of the newest feedback, in units of 64 ms.
    reference: Option<i64>,
}

impl Sender {
    /// Packets remembered; feedback on older ones is ignored.
    pub const HISTORY: usize = 4096;
    /// Packets are forgotten after this time, reported or not.
    pub const MAX_AGE: Duration = Duration::from_secs(5);

    pub fn new() -> Sender {
        Sender::default()
    }

    /// The sequence number for the packet about to be written to the header extension. Remembers when it was sent, its
    /// size in bytes (headers included) and its probe cluster (0 = none).
    pub fn register(&mut self, now: Instant, bytes: u32, cluster: u32) -> u16 {
        while self.history.len() >= Self::HISTORY || self.oldest_is_stale(now) {
            let forgotten = self.history.pop_front();
            if let Some(Sent { state: State::InFlight, bytes, .. }) = forgotten {
                self.in_flight -= u64::from(bytes);
            }
        }
        self.history.push_back(Sent { at: now, bytes, cluster, state: State::InFlight });
        self.in_flight += u64::from(bytes);
        let sequence = self.next;
        self.next += 1;
        sequence as u16
    }

    fn oldest_is_stale(&self, now: Instant) -> bool {
        self.history.front().is_some_and(|sent| now.saturating_duration_since(sent.at) > Self::MAX_AGE)
    }

    /// Appends the outcome of every packet this feedback reports on, in sending order. A packet is reported lost once
    /// and arrived once; it may first be lost and later arrive. Feedback on unknown packets is ignored.
    pub fn on_feedback(&mut self, feedback: &Feedback<'_>, into: &mut Vec<Outcome>) {
        let Some(newest) = self.next.checked_sub(1) else { return };
        let oldest = self.next - self.history.len() as u64;
        // Starting high keeps arrival times positive whatever the first reference time is.
        let reference = feedback.unwrap_reference(self.reference.unwrap_or(1 << 24));
        self.reference = Some(self.reference.map_or(reference, |highest| highest.max(reference)));
        let reference_ticks = reference * REFERENCE_TICKS;
        for (sequence, ticks) in feedback.statuses() {
            let distance = (newest as u16).wrapping_sub(sequence);
            let Some(sequence) = newest.checked_sub(u64::from(distance)) else { continue };
            let Some(offset) = sequence.checked_sub(oldest) else { continue };
            let Some(sent) = self.history.get_mut(offset as usize) else { continue };
            let state = if ticks.is_some() { State::Arrived } else { State::Lost };
            if sent.state == State::Arrived || sent.state == state {
                continue;
            }
            if sent.state == State::InFlight {
                self.in_flight -= u64::from(sent.bytes);
            }
            sent.state = state;
            let arrived = ticks.map(|ticks| {
                Duration::from_micros(u64::try_from(reference_ticks + ticks).unwrap_or_default() * TICK_MICROS)
            });
            into.push(Outcome { sequence, sent: sent.at, bytes: sent.bytes, cluster: sent.cluster, arrived });
        }
    }

    /// Bytes sent and not yet reported on (bounded by the history).
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight
    }
}
