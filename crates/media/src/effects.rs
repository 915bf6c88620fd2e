//! What handling one input asks of the rest of the shard, gathered until the input is done.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::api::{Counters, Event};
use crate::packet::Packet;
use crate::slab::Key;

#[derive(Default)]
pub(crate) struct Effects {
    pub events: Vec<Event>,
    /// Key frames wanted: (track, layer). Throttled when they are carried out.
    pub keyframes: Vec<(Key, u8)>,
    /// Lost packets out of the redundant blocks of the one that is taken in, in order.
    pub recovered: Vec<Packet>,
    /// Packets of data tracks.
    pub data: Vec<(Key, Arc<[u8]>)>,
    /// Tracks whose layers started, stopped or changed codec: their subscribers choose again.
    pub changed: Vec<Key>,
    /// Video tracks of which somebody wants more or less than before.
    pub wanted: Vec<Key>,
    /// Peers whose subscriptions wait for a section.
    pub waiting: Vec<Key>,
    /// Addresses proven to be the current peer's, and those it has too many of.
    pub reachable: Vec<SocketAddr>,
    pub unreachable: Vec<SocketAddr>,
    pub counters: Counters,
}

impl Effects {
    pub fn want_keyframe(&mut self, track: Key, layer: u8) {
        // Many subscribers wait for the same few; looking at the last ones is enough to merge them.
        if !self.keyframes.iter().rev().take(8).any(|wanted| *wanted == (track, layer)) {
            self.keyframes.push((track, layer));
        }
    }

    pub fn wanted_changed(&mut self, track: Key) {
        if !self.wanted.contains(&track) {
            self.wanted.push(track);
        }
    }

    pub fn needs_section(&mut self, peer: Key) {
        if !self.waiting.contains(&peer) {
            self.waiting.push(peer);
        }
    }

    pub fn layers_changed(&mut self, track: Key) {
        if !self.changed.contains(&track) {
            self.changed.push(track);
        }
    }
}
