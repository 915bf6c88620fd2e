//! What we sent, and what became of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use auralink_prefetch::soon;

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
    InFlight = 0,
    Lost = 1,
    Arrived = 2,
}

/// One remembered packet in 12 bytes: there are thousands of these per subscriber.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Microseconds since the first packet, the lower half.
    at_us: u32,
    /// Probe cluster, and the state in the lowest two bits.
    cluster_and_state: u32,
    bytes: u16,
}

impl Sent {
    fn state(self) -> State {
        match self.cluster_and_state & 3 {
            0 => State::InFlight,
            1 => State::Lost,
            _ => State::Arrived,
        }
    }

    fn set_state(&mut self, state: State) {
        self.cluster_and_state = self.cluster_and_state & !3 | state as u32;
    }

    fn cluster(self) -> u32 {
        self.cluster_and_state >> 2
    }
}

/// Numbers and remembers what is sent on one peer connection.
#[derive(Debug, Default)]
pub struct Sender {
    next: u64,
    /// The newest packets, ending with number `next - 1`.
    history: VecDeque<Sent>,
    in_flight: u64,
    /// When the first packet was registered, and the newest one, also as time since the first.
    origin: Option<Instant>,
    newest: Option<Instant>,
    newest_us: u64,
    /// Unwrapped reference time of the newest feedback, in units of 64 ms.
    reference: Option<i64>,
}

impl Sender {
    /// Packets remembered; feedback on older ones is ignored.
    pub const HISTORY: usize = 4096;
    /// Packets are forgotten after this time, reported or not.
    pub const MAX_AGE: Duration = Duration::from_secs(3);

    const MAX_AGE_US: u64 = Self::MAX_AGE.as_micros() as u64;

    pub fn new() -> Sender {
        Sender::default()
    }

    /// The end of the history will be needed soon.
    #[inline]
    pub fn soon(&self) {
        if let Some(sent) = self.history.back() {
            soon(sent);
        }
    }

    /// The sequence number for the packet about to be written to the header extension. Remembers when it was sent, its
    /// size in bytes (headers included) and its probe cluster (0 = none).
    pub fn register(&mut self, now: Instant, bytes: u32, cluster: u32) -> u16 {
        // Packets of one wake-up have one time.
        if self.newest != Some(now) {
            self.advance(now);
        }
        let bytes = bytes.min(u16::MAX.into()) as u16;
        let cluster_and_state = cluster << 2 | State::InFlight as u32;
        if self.history.len() >= Self::HISTORY {
            self.forget_oldest();
        }
        self.history.push_back(Sent { at_us: self.newest_us as u32, cluster_and_state, bytes });
        self.in_flight += u64::from(bytes);
        let sequence = self.next;
        self.next += 1;
        sequence as u16
    }

    /// Sets the clock and forgets what is too old.
    fn advance(&mut self, now: Instant) {
        self.newest = Some(now);
        let now_us = now.saturating_duration_since(*self.origin.get_or_insert(now)).as_micros() as u64;
        if now_us.saturating_sub(self.newest_us) > Self::MAX_AGE_US {
            // All are too old, perhaps by so much that their halved times say otherwise.
            self.history.clear();
            self.in_flight = 0;
        }
        self.newest_us = self.newest_us.max(now_us);
        while self.oldest_is_stale() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let forgotten = self.history.pop_front();
        if let Some(sent) = forgotten.filter(|sent| sent.state() == State::InFlight) {
            self.in_flight -= u64::from(sent.bytes);
        }
    }

    fn oldest_is_stale(&self) -> bool {
        let age_us = |sent: &Sent| u64::from((self.newest_us as u32).wrapping_sub(sent.at_us));
        self.history.front().is_some_and(|sent| age_us(sent) > Self::MAX_AGE_US)
    }

    /// Appends the outcome of every packet this feedback reports on, in sending order. A packet is reported lost once
    /// and arrived once; it may first be lost and later arrive. Feedback on unknown packets is ignored.
    pub fn on_feedback(&mut self, feedback: &Feedback<'_>, into: &mut Vec<Outcome>) {
        let (Some(newest), Some(origin)) = (self.next.checked_sub(1), self.origin) else { return };
        let newest_us = self.newest_us;
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
            let before = sent.state();
            if before == State::Arrived || before == state {
                continue;
            }
            if before == State::InFlight {
                self.in_flight -= u64::from(sent.bytes);
            }
            sent.set_state(state);
            let age_us = (newest_us as u32).wrapping_sub(sent.at_us);
            let at = origin + Duration::from_micros(newest_us.saturating_sub(u64::from(age_us)));
            let arrived = ticks.map(|ticks| {
                Duration::from_micros(u64::try_from(reference_ticks + ticks).unwrap_or_default() * TICK_MICROS)
            });
            into.push(Outcome { sequence, sent: at, bytes: u32::from(sent.bytes), cluster: sent.cluster(), arrived });
        }
    }

    /// Bytes sent and not yet reported on (bounded by the history).
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight
    }
}
