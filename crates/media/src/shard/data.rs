//! Data messages of the signal plane, and data tracks, which are forwarded without it.

use std::sync::Arc;
use std::time::Instant;

use super::Shard;
use crate::api::{Channel, PeerId, TrackId};
use crate::data::Message;
use crate::data_track::{DataTrack, Published, Subscriber};
use crate::slab::Key;

impl Shard {
    pub(super) fn send_data(
        &mut self,
        now: Instant,
        peers: &[PeerId],
        channel: Channel,
        payload: Vec<u8>,
        sender: Option<PeerId>,
    ) {
        let message = Message::plain(payload.into());
        let mut pace: Option<f64> = None;
        for id in peers {
            let Some(key) = self.peer_of.get(id).copied() else { continue };
            let message = message.clone();
            self.quietly(now, key, |peer, _, effects| peer.send_data(channel, message, effects));
            self.mark_dirty(now, key);
            let behind = self.peers.get_mut(key).and_then(|peer| peer.reader_pace(now));
            pace = behind.map(|slower| pace.map_or(slower, |slow| slow.min(slower))).or(pace);
        }
        let sender = sender.and_then(|id| self.peer_of.get(&id)).copied();
        if let (Some(pace), Some(peer)) = (pace, sender.and_then(|key| self.peers.get_mut(key))) {
            peer.slow_down(now, pace);
        }
    }

    pub(super) fn publish_data(&mut self, id: PeerId, track: TrackId, handle: u16) {
        let Some(publisher) = self.peer_of.get(&id).copied() else { return };
        let Some(peer) = self.peers.get_mut(publisher) else { return };
        let taken = peer.data_published.iter().any(|published| published.handle == handle);
        let full = peer.data_published.len() >= self.config.limits.max_data_tracks_per_peer;
        if taken || full || handle == 0 || self.data_track_of.contains_key(&track) {
            return;
        }
        let key = self.data_tracks.insert(DataTrack { id: track, publisher, subscribers: Vec::new() });
        peer.data_published.push(Published { handle, track: key });
        self.data_track_of.insert(track, key);
    }

    pub(super) fn unpublish_data(&mut self, id: TrackId) {
        let Some(key) = self.data_track_of.remove(&id) else { return };
        let Some(track) = self.data_tracks.remove(key) else { return };
        if let Some(publisher) = self.peers.get_mut(track.publisher) {
            publisher.data_published.retain(|published| published.track != key);
        }
        for subscriber in &track.subscribers {
            if let Some(peer) = self.peers.get_mut(subscriber.peer) {
                peer.data_subscribed.retain(|track| *track != key);
            }
        }
    }

    pub(super) fn subscribe_data(&mut self, id: PeerId, track: TrackId, handle: u16) {
        let Some(peer_key) = self.peer_of.get(&id).copied() else { return };
        let Some(track_key) = self.data_track_of.get(&track).copied() else { return };
        let (Some(peer), Some(track)) = (self.peers.get_mut(peer_key), self.data_tracks.get_mut(track_key)) else {
            return;
        };
        match track.subscribers.iter_mut().find(|subscriber| subscriber.peer == peer_key) {
            Some(known) => known.handle = handle,
            None => {
                track.subscribers.push(Subscriber { peer: peer_key, handle });
                peer.data_subscribed.push(track_key);
            }
        }
    }

    pub(super) fn unsubscribe_data(&mut self, id: PeerId, track: TrackId) {
        let Some(peer_key) = self.peer_of.get(&id).copied() else { return };
        let Some(track_key) = self.data_track_of.get(&track).copied() else { return };
        if let Some(track) = self.data_tracks.get_mut(track_key) {
            track.subscribers.retain(|subscriber| subscriber.peer != peer_key);
        }
        if let Some(peer) = self.peers.get_mut(peer_key) {
            peer.data_subscribed.retain(|track| *track != track_key);
        }
    }

    /// Hands one packet to the subscribers; it leaves with the next tick, together with others for the same peer.
    pub(super) fn forward_data(&mut self, now: Instant, key: Key, packet: &Arc<[u8]>) {
        let Some(track) = self.data_tracks.get(key) else { return };
        for subscriber in &track.subscribers {
            let Some(peer) = self.peers.get_mut(subscriber.peer) else { continue };
            peer.send_packet(Message::of_track(packet.clone(), subscriber.handle), &mut self.effects);
            if !peer.dirty {
                peer.dirty = true;
                self.dirty.push(subscriber.peer);
                self.timers.wake(now);
            }
        }
    }
}
