//! Messages waiting for one peer's data channels, and how much it may send on them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{Channel, Limits};
use crate::data_track;

/// What became of a message handed to an [`Outbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Yes,
    /// Room was made by dropping this many older messages of the same lossy channel.
    Dropping(u64),
    /// A reliable channel whose reader is too slow: the peer has to go.
    Overflow,
}

/// One message on its way to one peer; the bytes are shared with everybody else it goes to.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Arc<[u8]>,
    /// Of a data track: what the header says towards this peer.
    handle: Option<u16>,
}

impl Message {
    pub fn plain(bytes: Arc<[u8]>) -> Message {
        Message { bytes, handle: None }
    }

    pub fn of_track(bytes: Arc<[u8]>, handle: u16) -> Message {
        Message { bytes, handle: Some(handle) }
    }

    /// As it leaves; `scratch` is used when it has to differ from what others get.
    pub fn write<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let Some(handle) = self.handle else { return &self.bytes };
        scratch.clear();
        scratch.extend_from_slice(&self.bytes);
        data_track::set_handle(scratch, handle);
        scratch
    }
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Bytes that have left it, ever.
    read: u64,
}

/// One queue per channel, each bounded in bytes. Lossy channels drop their oldest message, the reliable one overflows.
pub(crate) struct Outbox {
    queues: [Queue; 3],
    max_reliable: usize,
    max_lossy: usize,
    behind: Option<Behind>,
}

/// The reader of a reliable channel is behind when this part of what may wait does wait,
const BEHIND: usize = 4;
/// and until no more than this part is left.
const CAUGHT_UP: usize = 16;
/// Its pace is measured over so much time,
const STRETCH: Duration = Duration::from_millis(500);
/// and until that has passed taken to be this, in bytes per second.
const UNKNOWN_PACE: f64 = 1_048_576.0;
/// Nobody waits for a reader slower than this, in bytes per second (1 Mbit/s): it harms only itself.
const SLOWEST: f64 = 125_000.0;

/// How fast the reader of a reliable channel empties its queue.
struct Behind {
    since: Instant,
    /// [`Queue::read`] at that time.
    read: u64,
    bytes_per_s: f64,
}

impl Outbox {
    pub fn new(limits: &Limits) -> Outbox {
        let (max_reliable, max_lossy) = (limits.max_data_queue_bytes, limits.max_lossy_queue_bytes);
        Outbox { queues: Default::default(), max_reliable, max_lossy, behind: None }
    }

    pub fn push(&mut self, channel: Channel, message: Message) -> Queued {
        let reliable = channel == Channel::Reliable;
        let max_bytes = if reliable { self.max_reliable } else { self.max_lossy };
        let Some(queue) = self.queues.get_mut(channel as usize) else { return Queued::Overflow };
        let mut dropped = 0;
        while queue.bytes + message.bytes.len() > max_bytes {
            if reliable {
                return Queued::Overflow;
            }
            match queue.messages.pop_front() {
                Some(oldest) => queue.bytes -= oldest.bytes.len(),
                None => return Queued::Dropping(1),
            }
            dropped += 1;
        }
        queue.bytes += message.bytes.len();
        queue.messages.push_back(message);
        if dropped == 0 { Queued::Yes } else { Queued::Dropping(dropped) }
    }

    pub fn front(&self, channel: Channel) -> Option<&Message> {
        self.queues.get(channel as usize).and_then(|queue| queue.messages.front())
    }

    pub fn pop(&mut self, channel: Channel) {
        if let Some(queue) = self.queues.get_mut(channel as usize) {
            if let Some(message) = queue.messages.pop_front() {
                queue.bytes -= message.bytes.len();
                queue.read += message.bytes.len() as u64;
            }
        }
    }

    /// How many bytes a second the senders of reliable messages may bring so that their reader, which is behind, does
    /// not fall behind further: what it reads, less the more of its queue is used, which makes several senders share.
    /// None: it is not behind, or too slow to be waited for.
    pub fn pace(&mut self, now: Instant) -> Option<f64> {
        let queue = self.queues.get(Channel::Reliable as usize)?;
        let part = if self.behind.is_some() { CAUGHT_UP } else { BEHIND };
        if queue.bytes <= self.max_reliable / part {
            self.behind = None;
            return None;
        }
        let start = Behind { since: now, read: queue.read, bytes_per_s: UNKNOWN_PACE };
        let behind = self.behind.get_or_insert(start);
        let elapsed = now.saturating_duration_since(behind.since);
        if elapsed >= STRETCH {
            let bytes_per_s = (queue.read - behind.read) as f64 / elapsed.as_secs_f64();
            *behind = Behind { since: now, read: queue.read, bytes_per_s };
        }
        let free = 1.0 - queue.bytes as f64 / self.max_reliable as f64;
        (behind.bytes_per_s >= SLOWEST).then_some(behind.bytes_per_s * free)
    }

    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.messages.is_empty())
    }
}

/// A bucket of tokens that fills with time up to one second's worth.
struct Bucket {
    tokens: f64,
    per_s: f64,
}

impl Bucket {
    fn full(per_s: u32) -> Bucket {
        Bucket { tokens: f64::from(per_s), per_s: f64::from(per_s) }
    }

    fn fill(&mut self, seconds: f64) {
        self.tokens = (self.tokens + seconds * self.per_s).min(self.per_s);
    }
}

/// How much one peer may send on its data channels.
///
/// The datagrams beyond are dropped before they are decrypted. To SCTP that is a lossy network: it slows down and sends
/// again, so reliable messages come late, not never. The same makes a sender wait for its readers.
pub(crate) struct Intake {
    bytes: Bucket,
    messages: Bucket,
    /// What readers that are behind bear, and until when that holds.
    readers: Option<(Instant, Bucket)>,
    filled: Instant,
}

/// Of a DTLS record: data, as opposed to handshake and alert.
const APPLICATION_DATA: u8 = 23;
/// How long a sender is slowed down after the last message that a reader was behind with.
const SLOWED: Duration = Duration::from_secs(1);
/// Smaller datagrams are acknowledgements of what the peer itself reads; who waits for its readers still gives those.
const ACKNOWLEDGEMENT: usize = 300;

impl Intake {
    pub fn new(now: Instant, limits: &Limits) -> Intake {
        let (bytes, messages) = (limits.max_data_bytes_per_s, limits.max_data_messages_per_s);
        Intake { bytes: Bucket::full(bytes), messages: Bucket::full(messages), readers: None, filled: now }
    }

    /// From now on, and for [`SLOWED`], the peer's readers bear no more than so many bytes a second.
    pub fn slow_down(&mut self, now: Instant, bytes_per_s: f64) {
        let tokens = self.readers.as_ref().map_or(0.0, |(_, bucket)| bucket.tokens.min(bytes_per_s));
        self.readers = Some((now + SLOWED, Bucket { tokens, per_s: bytes_per_s }));
    }

    /// May this DTLS datagram come in?
    pub fn admit(&mut self, now: Instant, datagram: &[u8]) -> bool {
        if datagram.first() != Some(&APPLICATION_DATA) {
            return true;
        }
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.bytes.fill(seconds);
        self.messages.fill(seconds);
        self.readers.take_if(|(until, _)| *until <= now);
        let len = datagram.len() as f64;
        if self.bytes.tokens < len || self.messages.tokens < 0.0 {
            return false;
        }
        if let Some((_, readers)) = &mut self.readers {
            readers.fill(seconds);
            if readers.tokens < len && datagram.len() > ACKNOWLEDGEMENT {
                return false;
            }
            readers.tokens -= len;
        }
        self.bytes.tokens -= len;
        true
    }

    /// May this message be passed on? A reliable one may always, at the cost of datagrams to come.
    pub fn admit_message(&mut self, channel: Channel) -> bool {
        if self.messages.tokens < 1.0 && channel != Channel::Reliable {
            return false;
        }
        self.messages.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(len: usize) -> Message {
        Message::plain(vec![0; len].into())
    }

    fn outbox(bytes: usize) -> Outbox {
        Outbox::new(&Limits { max_data_queue_bytes: bytes, max_lossy_queue_bytes: bytes, ..Limits::default() })
    }

    #[test]
    fn a_full_lossy_queue_drops_its_oldest_messages() {
        let mut outbox = outbox(100);
        assert_eq!(outbox.push(Channel::Lossy, message(60)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Lossy, message(30)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Lossy, message(50)), Queued::Dropping(1));
        assert_eq!(outbox.front(Channel::Lossy).map(|m| m.bytes.len()), Some(30));
        assert_eq!(outbox.push(Channel::Lossy, message(101)), Queued::Dropping(1), "too large to ever fit");
    }

    #[test]
    fn a_full_reliable_queue_overflows_and_other_channels_are_not_affected() {
        let mut outbox = outbox(100);
        assert_eq!(outbox.push(Channel::Reliable, message(80)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Reliable, message(30)), Queued::Overflow);
        assert_eq!(outbox.push(Channel::DataTrack, message(80)), Queued::Yes);
        outbox.pop(Channel::Reliable);
        assert_eq!(outbox.push(Channel::Reliable, message(30)), Queued::Yes);
    }

    #[test]
    fn the_pace_of_a_reader_that_is_behind_is_what_it_reads_less_the_more_of_its_queue_is_used() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut outbox = outbox(1_600_000);
        let push = |outbox: &mut Outbox, count: usize| {
            for _ in 0..count {
                assert_eq!(outbox.push(Channel::Reliable, message(10_000)), Queued::Yes);
            }
        };
        push(&mut outbox, 40);
        assert_eq!(outbox.pace(at(0)), None, "a quarter may wait");
        push(&mut outbox, 40);
        assert_eq!(outbox.pace(at(0)), Some(UNKNOWN_PACE / 2.0));
        (0..20).for_each(|_| outbox.pop(Channel::Reliable));
        assert_eq!(outbox.pace(at(499)), Some(UNKNOWN_PACE * 0.625));
        assert_eq!(outbox.pace(at(500)), Some(400_000.0 * 0.625));
        (0..50).for_each(|_| outbox.pop(Channel::Reliable));
        assert_eq!(outbox.pace(at(600)), None, "it has caught up");
        push(&mut outbox, 70);
        assert!(outbox.pace(at(700)).is_some());
        assert_eq!(outbox.pace(at(1_200)), None, "it reads nothing: nobody waits for it");
    }

    #[test]
    fn a_sender_brings_what_its_readers_bear_and_acknowledges_what_it_reads() {
        let start = Instant::now();
        let mut intake = Intake::new(start, &Limits::default());
        let data = [APPLICATION_DATA; 1_000];
        let admitted = |intake: &mut Intake, now| (0..50).filter(|_| intake.admit(now, &data)).count();
        intake.slow_down(start, 10_000.0);
        assert_eq!(admitted(&mut intake, start), 0);
        assert!(intake.admit(start, &data[..100]));
        assert_eq!(admitted(&mut intake, start + Duration::from_millis(510)), 5);
        intake.slow_down(start + Duration::from_millis(510), 20_000.0);
        assert_eq!(admitted(&mut intake, start + Duration::from_millis(1_010)), 10);
        assert_eq!(admitted(&mut intake, start + Duration::from_millis(1_510)), 50, "none of them is behind any more");
    }

    #[test]
    fn subscribers_of_a_data_track_share_its_bytes_and_read_their_own_handle() {
        let packet: Arc<[u8]> = vec![0x18, 0, 0, 7, 0, 1, 0, 1, 0, 0, 0, 9, b'x'].into();
        let mut scratch = Vec::new();
        let (first, second) = (Message::of_track(packet.clone(), 0x0102), Message::of_track(packet.clone(), 3));
        assert_eq!(first.write(&mut scratch), [0x18, 0, 1, 2, 0, 1, 0, 1, 0, 0, 0, 9, b'x']);
        assert_eq!(second.write(&mut scratch), [0x18, 0, 0, 3, 0, 1, 0, 1, 0, 0, 0, 9, b'x']);
        assert_eq!(Message::plain(packet.clone()).write(&mut scratch), &packet[..]);
    }

    #[test]
    fn a_peer_may_send_so_many_bytes_a_second_and_handshakes_are_not_counted() {
        let start = Instant::now();
        let limits = Limits { max_data_bytes_per_s: 1_000, ..Limits::default() };
        let mut intake = Intake::new(start, &limits);
        let data = [APPLICATION_DATA; 100];
        let admitted = |intake: &mut Intake, now| (0..50).filter(|_| intake.admit(now, &data)).count();
        assert_eq!(admitted(&mut intake, start), 10);
        assert_eq!(admitted(&mut intake, start + Duration::from_millis(500)), 5);
        assert!(intake.admit(start + Duration::from_millis(500), &[22; 1_200]));
        assert_eq!(admitted(&mut intake, start + Duration::from_secs(60)), 10, "a second's worth is saved, not more");
    }

    #[test]
    fn too_many_lossy_messages_are_dropped_and_reliable_ones_make_the_next_datagrams_wait() {
        let start = Instant::now();
        let limits = Limits { max_data_messages_per_s: 10, ..Limits::default() };
        let mut intake = Intake::new(start, &limits);
        assert_eq!((0..50).filter(|_| intake.admit_message(Channel::Lossy)).count(), 10);
        assert_eq!((0..5).filter(|_| intake.admit_message(Channel::Reliable)).count(), 5);
        assert!(!intake.admit(start + Duration::from_millis(400), &[APPLICATION_DATA; 100]));
        assert!(intake.admit(start + Duration::from_millis(600), &[APPLICATION_DATA; 100]));
    }
}
