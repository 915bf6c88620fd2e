//! Which peer or room has something to do when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Shard;
use crate::api::{Egress, RoomId};
use crate::slab::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Peer(Key),
    Room(RoomId),
}

/// A heap with lazy deletion: an entry that its owner no longer waits for does nothing when it comes up.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// Something waits for the very next tick.
    wake: Option<Instant>,
}

impl Timers {
    pub fn push(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub fn next(&self) -> Option<Instant> {
        let first = self.heap.peek().map(|Reverse((at, _))| *at);
        [first, self.wake].into_iter().flatten().min()
    }

    /// Asks for a tick as soon as possible.
    pub fn wake(&mut self, now: Instant) {
        self.wake.get_or_insert(now);
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Shard {
    /// Sees to it that the peer is ticked in time.
    pub(super) fn schedule(&mut self, key: Key) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let due = peer.next_timeout(self.epoch.0);
        if peer.scheduled.is_none_or(|at| due < at) {
            peer.scheduled = Some(due);
            self.timers.push(due, Timer::Peer(key));
        }
    }

    /// Has the peer ticked as soon as possible.
    pub(super) fn mark_dirty(&mut self, now: Instant, key: Key) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(key);
            self.timers.wake(now);
        }
    }

    pub(super) fn run_timers(&mut self, now: Instant, egress: &mut Egress) {
        self.timers.wake = None;
        for key in std::mem::take(&mut self.dirty) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.dirty = false;
            }
            self.tick_peer(now, key, egress);
        }
        while let Some((at, timer)) = self.timers.pop_due(now) {
            match timer {
                Timer::Peer(key) => {
                    let Some(peer) = self.peers.get_mut(key) else { continue };
                    if peer.scheduled == Some(at) {
                        peer.scheduled = None;
                        self.tick_peer(now, key, egress);
                    }
                }
                Timer::Room(room) => self.tick_room(now, room),
            }
        }
    }

    fn tick_peer(&mut self, now: Instant, key: Key, egress: &mut Egress) {
        let ours = self.ntp(now);
        self.with_peer(now, key, egress, |peer, tracks, egress, effects| peer.tick(now, ours, tracks, egress, effects));
    }
}
