//! Events of all shards on their way to the signal plane: one bounded queue with an eventfd.
//!
//! When the reader is slow, speakers, quality, routes and wanted qualities keep only their newest state, lossy data are
//! dropped and counted, and any other event that does not fit is handed back: its peer is closed, because half a
//! conversation about a peer is worse than none.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use auralink_media::api::{Channel, Event, PeerId, Proto, Quality, RoomId, TrackId};
use rustc_hash::FxHashMap;

use crate::sys::EventFd;

/// What the signal plane reads.
#[derive(Debug, Clone, PartialEq)]
pub enum NetEvent {
    Core(Event),
    /// The shard panicked and started again, empty: every peer in these rooms is gone.
    ShardFailed {
        shard: usize,
        rooms: Vec<RoomId>,
    },
}

enum Slot {
    Event(NetEvent),
    Speakers(RoomId),
    Quality(PeerId),
    Route(PeerId),
    Wanted(TrackId),
}

#[derive(Default)]
struct Queue {
    slots: VecDeque<Slot>,
    bytes: usize,
    speakers: FxHashMap<RoomId, Vec<(PeerId, f32, bool)>>,
    quality: FxHashMap<PeerId, f32>,
    routes: FxHashMap<PeerId, (Proto, SocketAddr)>,
    wanted: FxHashMap<TrackId, Vec<Quality>>,
    dropped: u64,
}

pub struct EventQueue {
    queue: Mutex<Queue>,
    readable: EventFd,
    max_events: usize,
    max_bytes: usize,
}

impl EventQueue {
    pub fn new(max_events: usize, max_bytes: usize) -> std::io::Result<EventQueue> {
        Ok(EventQueue { queue: Mutex::default(), readable: EventFd::new()?, max_events, max_bytes })
    }

    pub fn readable(&self) -> &EventFd {
        &self.readable
    }

    /// Queues the events in order. Those that do not fit and may not be dropped stay in `events`.
    pub fn publish(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let was_empty = queue.slots.is_empty();
        let mut refused = Vec::new();
        for event in events.drain(..) {
            if let Some(event) = queue.offer(event, self.max_events, self.max_bytes) {
                refused.push(event);
            }
        }
        let now_empty = queue.slots.is_empty();
        drop(queue);
        if was_empty && !now_empty {
            self.readable.signal();
        }
        *events = refused;
    }

    /// Queues an event that must arrive whatever the queue holds: the end of a peer or of a shard.
    pub fn force(&self, event: NetEvent) {
        self.lock().slots.push_back(Slot::Event(event));
        self.readable.signal();
    }

    /// Takes up to `max` events. Once none is left the eventfd is no longer readable.
    pub fn drain(&self, max: usize, into: &mut Vec<NetEvent>) {
        let mut queue = self.lock();
        for _ in 0..max {
            let Some(slot) = queue.slots.pop_front() else { break };
            into.extend(queue.resolve(slot));
        }
        if queue.slots.is_empty() {
            self.readable.reset();
        }
    }

    pub fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// Lossy data events given up so far.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Every critical section leaves the queue consistent, so a panicking holder does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Gives back an event that does not fit and may not be dropped.
    fn offer(&mut self, event: Event, max_events: usize, max_bytes: usize) -> Option<Event> {
        match event {
            Event::Speakers { room, levels } => self.merge_speakers(room, levels),
            Event::Quality { peer, score } => {
                if self.quality.insert(peer, score).is_none() {
                    self.slots.push_back(Slot::Quality(peer));
                }
            }
            Event::Route { peer, proto, address } => {
                if self.routes.insert(peer, (proto, address)).is_none() {
                    self.slots.push_back(Slot::Route(peer));
                }
            }
            Event::QualitiesWanted { track, qualities } => {
                if self.wanted.insert(track, qualities).is_none() {
                    self.slots.push_back(Slot::Wanted(track));
                }
            }
            event => {
                let bytes = payload_bytes(&event);
                if self.slots.len() < max_events && self.bytes + bytes <= max_bytes {
                    self.bytes += bytes;
                    self.slots.push_back(Slot::Event(NetEvent::Core(event)));
                } else if matches!(event, Event::Data { channel: Channel::Lossy | Channel::DataTrack, .. }) {
                    self.dropped += 1;
                } else {
                    return Some(event);
                }
            }
        }
        None
    }

    fn merge_speakers(&mut self, room: RoomId, levels: Vec<(PeerId, f32, bool)>) {
        let Some(pending) = self.speakers.get_mut(&room) else {
            self.speakers.insert(room, levels);
            self.slots.push_back(Slot::Speakers(room));
            return;
        };
        for level in levels {
            match pending.iter_mut().find(|known| known.0 == level.0) {
                Some(known) => *known = level,
                None => pending.push(level),
            }
        }
    }

    fn resolve(&mut self, slot: Slot) -> Option<NetEvent> {
        match slot {
            Slot::Event(event) => {
                if let NetEvent::Core(event) = &event {
                    self.bytes = self.bytes.saturating_sub(payload_bytes(event));
                }
                Some(event)
            }
            Slot::Speakers(room) => {
                self.speakers.remove(&room).map(|levels| NetEvent::Core(Event::Speakers { room, levels }))
            }
            Slot::Quality(peer) => {
                self.quality.remove(&peer).map(|score| NetEvent::Core(Event::Quality { peer, score }))
            }
            Slot::Route(peer) => {
                self.routes.remove(&peer).map(|(proto, address)| NetEvent::Core(Event::Route { peer, proto, address }))
            }
            Slot::Wanted(track) => {
                self.wanted.remove(&track).map(|qualities| NetEvent::Core(Event::QualitiesWanted { track, qualities }))
            }
        }
    }
}

fn payload_bytes(event: &Event) -> usize {
    match event {
        Event::Data { payload, .. } | Event::UnlabeledData { payload, .. } => payload.len(),
        Event::Answer { sdp, .. } | Event::Offer { sdp, .. } => sdp.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &EventQueue) -> Vec<NetEvent> {
        let mut events = Vec::new();
        queue.drain(usize::MAX, &mut events);
        events
    }

    fn lossy(byte: u8) -> Event {
        Event::Data { peer: PeerId(1), channel: Channel::Lossy, payload: vec![byte; 4] }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_speakers_quality_and_route_only() {
        let queue = EventQueue::new(2, 1000).unwrap();
        for step in 0..100u32 {
            let level = step as f32 / 100.0;
            queue.publish(&mut vec![
                Event::Speakers { room: RoomId(1), levels: vec![(PeerId(u64::from(step % 2)), level, true)] },
                Event::Quality { peer: PeerId(1), score: level },
                Event::Route { peer: PeerId(1), proto: Proto::Udp, address: ([127, 0, 0, 1], step as u16).into() },
            ]);
        }
        assert_eq!(queue.len(), 3);
        assert_eq!(
            drain(&queue),
            [
                NetEvent::Core(Event::Speakers {
                    room: RoomId(1),
                    levels: vec![(PeerId(0), 0.98, true), (PeerId(1), 0.99, true)]
                }),
                NetEvent::Core(Event::Quality { peer: PeerId(1), score: 0.99 }),
                NetEvent::Core(Event::Route {
                    peer: PeerId(1),
                    proto: Proto::Udp,
                    address: ([127, 0, 0, 1], 99).into()
                }),
            ]
        );
    }

    #[test]
    fn a_full_queue_drops_lossy_data_and_hands_control_events_back() {
        let queue = EventQueue::new(1, 1000).unwrap();
        let mut events = vec![lossy(1), lossy(2), Event::Connected { peer: PeerId(7) }];
        queue.publish(&mut events);
        assert_eq!(events, [Event::Connected { peer: PeerId(7) }]);
        assert_eq!(queue.dropped(), 1);
        assert_eq!(drain(&queue), [NetEvent::Core(lossy(1))]);
    }

    #[test]
    fn payload_bytes_are_bounded_and_released_by_draining() {
        let queue = EventQueue::new(100, 8).unwrap();
        queue.publish(&mut vec![lossy(1), lossy(2), lossy(3)]);
        assert_eq!(drain(&queue).len(), 2);
        queue.publish(&mut vec![lossy(4)]);
        assert_eq!(drain(&queue).len(), 1);
    }
}
