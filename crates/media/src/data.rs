//! Messages waiting for one peer's data channels.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::api::Channel;

/// What became of a message handed to an [`Outbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Yes,
    /// Room was made by dropping this many older messages of the same lossy channel.
    Dropping(u64),
    /// A reliable channel whose reader is too slow: the peer has to go.
    Overflow,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

/// One queue per channel, each bounded in bytes. Lossy channels drop their oldest message, the reliable one overflows.
pub(crate) struct Outbox {
    queues: [Queue; 3],
    max_bytes: usize,
}

impl Outbox {
    pub fn new(max_bytes: usize) -> Outbox {
        Outbox { queues: Default::default(), max_bytes }
    }

    pub fn push(&mut self, channel: Channel, message: Arc<[u8]>) -> Queued {
        let max_bytes = self.max_bytes;
        let Some(queue) = self.queues.get_mut(channel as usize) else { return Queued::Overflow };
        let mut dropped = 0;
        while queue.bytes + message.len() > max_bytes {
            if channel == Channel::Reliable {
                return Queued::Overflow;
            }
            match queue.messages.pop_front() {
                Some(oldest) => queue.bytes -= oldest.len(),
                None => return Queued::Dropping(1),
            }
            dropped += 1;
        }
        queue.bytes += message.len();
        queue.messages.push_back(message);
        if dropped == 0 { Queued::Yes } else { Queued::Dropping(dropped) }
    }

    pub fn front(&self, channel: Channel) -> Option<&Arc<[u8]>> {
        self.queues.get(channel as usize).and_then(|queue| queue.messages.front())
    }

    pub fn pop(&mut self, channel: Channel) {
        if let Some(queue) = self.queues.get_mut(channel as usize) {
            if let Some(message) = queue.messages.pop_front() {
                queue.bytes -= message.len();
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.messages.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Arc<[u8]> {
        vec![0; len].into()
    }

    #[test]
    fn a_full_lossy_queue_drops_its_oldest_messages() {
        let mut outbox = Outbox::new(100);
        assert_eq!(outbox.push(Channel::Lossy, message(60)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Lossy, message(30)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Lossy, message(50)), Queued::Dropping(1));
        assert_eq!(outbox.front(Channel::Lossy).map(|m| m.len()), Some(30));
        assert_eq!(outbox.push(Channel::Lossy, message(101)), Queued::Dropping(1), "too large to ever fit");
    }

    #[test]
    fn a_full_reliable_queue_overflows_and_other_channels_are_not_affected() {
        let mut outbox = Outbox::new(100);
        assert_eq!(outbox.push(Channel::Reliable, message(80)), Queued::Yes);
        assert_eq!(outbox.push(Channel::Reliable, message(30)), Queued::Overflow);
        assert_eq!(outbox.push(Channel::DataTrack, message(80)), Queued::Yes);
        outbox.pop(Channel::Reliable);
        assert_eq!(outbox.push(Channel::Reliable, message(30)), Queued::Yes);
    }
}
