//! Commands of the signal plane.

use std::time::Instant;

use super::Shard;
use super::rooms::Room;
use crate::api::{
    CloseReason, Command, Event, Expected, PeerId, PeerOptions, PeerRole, Publication, RoomId, SubscriptionSettings,
    TrackId,
};
use crate::peer::{Fault, Peer, Published};
use crate::publish::track::{Subscriber, Track};
use crate::slab::Key;

impl Shard {
    pub(super) fn apply(&mut self, now: Instant, command: Command) {
        match command {
            Command::CreateRoom { room } => {
                self.rooms.entry(room).or_insert_with(|| Room::new(now));
            }
            Command::CloseRoom { room } => self.close_room(now, room),
            Command::CreatePeer { peer, room, role, options } => self.create_peer(now, peer, room, role, options),
            Command::ClosePeer { peer } => self.close_peer(now, peer),
            Command::Expect { peer, expected } => self.expect(peer, expected),
            Command::Offer { peer, offer_id, sdp } => self.offer(now, peer, offer_id, &sdp),
            Command::MakeOffer { peer, ice_restart } => self.make_offer(now, peer, ice_restart),
            Command::LimitBandwidth { peer, bps } => self.limit_bandwidth(now, peer, bps),
            Command::Answer { peer, offer_id, sdp } => self.answer(now, peer, offer_id, &sdp),
            Command::Publish { peer, publication } => self.publish(now, peer, publication),
            Command::Unpublish { track } => self.unpublish(now, track),
            Command::SetMuted { track, muted } => self.set_muted(now, track, muted),
            Command::Subscribe { peer, track, settings } => self.subscribe(now, peer, track, settings),
            Command::Unsubscribe { peer, track } => self.unsubscribe(now, peer, track),
            Command::MoveSubscription { peer, from, to } => self.move_subscription(now, peer, from, to),
            Command::SetSubscription { peer, track, settings } => self.set_subscription(now, peer, track, settings),
            Command::PublishData { peer, track, handle } => self.publish_data(peer, track, handle),
            Command::UnpublishData { track } => self.unpublish_data(track),
            Command::SubscribeData { peer, track, handle } => self.subscribe_data(peer, track, handle),
            Command::UnsubscribeData { peer, track } => self.unsubscribe_data(peer, track),
            Command::SendData { peers, channel, payload, sender } => {
                self.send_data(now, &peers, channel, payload, sender);
            }
        }
    }

    fn create_peer(&mut self, now: Instant, id: PeerId, room: RoomId, role: PeerRole, options: PeerOptions) {
        if self.peer_of.contains_key(&id) {
            return;
        }
        let refuse = |shard: &mut Shard, reason, message: &str| {
            shard.effects.events.push(Event::PeerClosed { peer: id, reason, message: message.to_owned() });
        };
        if self.peers.len() >= self.config.limits.max_peers {
            return refuse(self, CloseReason::LimitExceeded, "this node has as many peers as it may");
        }
        if !self.rooms.contains_key(&room) {
            return refuse(self, CloseReason::Internal, "the room does not exist");
        }
        match Peer::new(now, id, room, role, options, self.config.clone(), self.identity.clone()) {
            Ok(mut peer) => {
                peer.shed = self.shed;
                let ufrag = peer.negotiation.credentials().0.as_bytes().to_vec();
                let key = self.peers.insert(Box::new(peer));
                self.peer_of.insert(id, key);
                self.ufrags.insert(ufrag, key);
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.peers.push(key);
                }
                self.schedule(key);
            }
            Err(fault) => refuse(self, fault.reason, &fault.message),
        }
    }

    fn close_peer(&mut self, now: Instant, id: PeerId) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        if let Some(mut peer) = self.remove_peer(now, key) {
            peer.close(now, &mut self.parting);
            if !self.parting.transmits.is_empty() {
                self.timers.wake(now);
            }
        }
    }

    fn close_room(&mut self, now: Instant, id: RoomId) {
        let ids = |room: &Room| room.peers.iter().filter_map(|key| self.peers.get(*key)).map(|p| p.id).collect();
        let peers: Vec<PeerId> = self.rooms.get(&id).map(ids).unwrap_or_default();
        for peer in peers {
            self.close_peer(now, peer);
        }
        self.rooms.remove(&id);
    }

    /// Takes a peer out of every table; its tracks end for everybody.
    pub(super) fn remove_peer(&mut self, now: Instant, key: Key) -> Option<Peer> {
        let peer = *self.peers.remove(key)?;
        self.peer_of.remove(&peer.id);
        for ufrag in peer.negotiation.ufrags() {
            self.ufrags.remove(ufrag);
        }
        for address in &peer.addresses {
            if self.addresses.get(address) == Some(&key) {
                self.addresses.remove(address);
            }
        }
        if let Some(room) = self.rooms.get_mut(&peer.room) {
            room.peers.retain(|other| *other != key);
        }
        for (_, down) in peer.downs.iter() {
            if let Some(track) = self.tracks.get_mut(down.track) {
                track.subscribers.retain(|subscriber| subscriber.peer != key);
                self.effects.wanted_changed(down.track);
            }
        }
        for published in &peer.published {
            if let Some(track) = self.tracks.get(published.track) {
                self.unpublish(now, track.id);
            }
        }
        for published in &peer.data_published {
            if let Some(track) = self.data_tracks.get(published.track) {
                self.unpublish_data(track.id);
            }
        }
        for track in &peer.data_subscribed {
            if let Some(track) = self.data_tracks.get_mut(*track) {
                track.subscribers.retain(|subscriber| subscriber.peer != key);
            }
        }
        Some(peer)
    }

    fn expect(&mut self, id: PeerId, expected: Expected) {
        if let Some(peer) = self.peer_of.get(&id).and_then(|key| self.peers.get_mut(*key)) {
            peer.expect(expected);
        }
    }

    fn offer(&mut self, now: Instant, id: PeerId, offer_id: u32, sdp: &str) {
        let reject = |message: &str| Event::OfferRejected { peer: id, offer_id, message: message.to_owned() };
        let Some(key) = self.peer_of.get(&id).copied() else {
            self.effects.events.push(reject("the peer does not exist"));
            return;
        };
        if self.peers.get(key).is_some_and(|peer| peer.role == PeerRole::Subscriber) {
            self.effects.events.push(reject("on this connection the server offers"));
            return;
        }
        let before = self.ufrags_of(key);
        let answered =
            self.quietly(now, key, |peer, tracks, effects| match peer.apply_offer(now, offer_id, sdp, tracks) {
                Ok(applied) => {
                    effects.events.extend(applied.events);
                    peer.ask_for_sections(tracks, effects);
                    Ok(applied.bound)
                }
                Err(message) => {
                    effects.events.push(reject(&message));
                    Ok(Vec::new())
                }
            });
        match answered {
            Some(bound) => self.after_description(now, key, before, &bound),
            None => self.effects.events.push(reject("the peer was closed")),
        }
    }

    fn make_offer(&mut self, now: Instant, id: PeerId, ice_restart: bool) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let before = self.ufrags_of(key);
        self.quietly(now, key, |peer, tracks, effects| {
            if peer.role != PeerRole::Subscriber {
                return Err(Fault::new(CloseReason::ProtocolError, "on this connection the client offers"));
            }
            effects.events.push(peer.make_offer(now, ice_restart, tracks)?);
            Ok(())
        });
        self.after_description(now, key, before, &[]);
    }

    fn limit_bandwidth(&mut self, now: Instant, id: PeerId, bps: u64) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        self.quietly(now, key, |peer, tracks, effects| {
            peer.limit_bandwidth((bps > 0).then_some(bps));
            peer.allocate(now, tracks, effects);
            Ok(())
        });
        self.timers.wake(now);
    }

    fn answer(&mut self, now: Instant, id: PeerId, offer_id: u32, sdp: &str) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let before = self.ufrags_of(key);
        let bound = self.quietly(now, key, |peer, tracks, effects| {
            let applied = peer.apply_answer(now, offer_id, sdp, tracks)?;
            let Some(applied) = applied else { return Ok(Vec::new()) };
            effects.events.extend(applied.events);
            peer.ask_for_sections(tracks, effects);
            Ok(applied.bound)
        });
        self.after_description(now, key, before, &bound.unwrap_or_default());
    }

    fn ufrags_of(&self, key: Key) -> Vec<Vec<u8>> {
        self.peers.get(key).map(|peer| peer.negotiation.ufrags().map(<[u8]>::to_vec).collect()).unwrap_or_default()
    }

    /// After a description was applied: our ufrag may be another one, and subscriptions may have got sections.
    fn after_description(&mut self, now: Instant, key: Key, before: Vec<Vec<u8>>, bound: &[Key]) {
        for ufrag in before {
            self.ufrags.remove(&ufrag);
        }
        for ufrag in self.ufrags_of(key) {
            self.ufrags.insert(ufrag, key);
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        bound.iter().for_each(|down| peer.introduce(now, *down));
        for down in bound.iter().filter_map(|down| peer.downs.get_mut(*down).map(|down| down.track)) {
            self.effects.layers_changed(down);
        }
        for (_, down) in peer.downs.iter().filter(|(_, down)| down.is_hopeless()) {
            self.effects.wanted_changed(down.track);
        }
        self.timers.wake(now);
    }

    fn publish(&mut self, now: Instant, id: PeerId, publication: Publication) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        if self.track_of.contains_key(&publication.track) {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        let (room, track_id, mid) = (peer.room, publication.track, publication.mid.clone());
        let mut track = Track::new(room, key, publication);
        track.publisher_clock = peer.ingress.clock;
        let track = self.tracks.insert(track);
        self.track_of.insert(track_id, track);
        if let Some(section) = peer.ingress.section_mut(&mid) {
            section.track = Some(track);
        }
        peer.published.push(Published { mid, track });
        if let Some(room) = self.rooms.get_mut(&room) {
            room.tracks.push(track);
        }
        self.watch_room(now, room);
    }

    fn unpublish(&mut self, now: Instant, id: TrackId) {
        let Some(key) = self.track_of.remove(&id) else { return };
        let Some(track) = self.tracks.remove(key) else { return };
        for subscriber in &track.subscribers {
            if let Some(peer) = self.peers.get_mut(subscriber.peer) {
                peer.unsubscribe(now, &track, &mut self.effects);
            }
            self.mark_dirty(now, subscriber.peer);
        }
        if let Some(publisher) = self.peers.get_mut(track.publisher) {
            publisher.published.retain(|published| published.track != key);
            for section in publisher.ingress.sections.iter_mut().filter(|s| s.track == Some(key)) {
                section.track = None;
            }
        }
        if let Some(room) = self.rooms.get_mut(&track.room) {
            room.tracks.retain(|other| *other != key);
        }
    }

    fn set_muted(&mut self, now: Instant, id: TrackId, muted: bool) {
        let Some(key) = self.track_of.get(&id).copied() else { return };
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.publication.muted != muted {
            track.publication.muted = muted;
            self.effects.layers_changed(key);
            self.timers.wake(now);
            let silenced = if muted && !track.is_video() { track.subscribers.clone() } else { Vec::new() };
            for listener in silenced {
                if let Some(peer) = self.peers.get_mut(listener.peer) {
                    peer.end_sound(now, listener.down);
                }
                self.mark_dirty(now, listener.peer);
            }
        }
    }

    fn subscribe(&mut self, now: Instant, id: PeerId, track_id: TrackId, settings: SubscriptionSettings) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let Some(track_key) = self.track_of.get(&track_id).copied() else { return };
        let (Some(peer), Some(track)) = (self.peers.get_mut(key), self.tracks.get_mut(track_key)) else { return };
        if peer.role == PeerRole::Publisher {
            let message = "this connection only publishes".to_owned();
            self.effects.events.push(Event::SubscriptionFailed { peer: id, track: track_id, message });
            return;
        }
        let (down, new) = peer.subscribe(track_key, track, settings);
        if !new {
            return self.set_subscription(now, id, track_id, settings);
        }
        track.subscribers.push(Subscriber { peer: key, down });
        self.effects.wanted_changed(track_key);
        self.effects.needs_section(key);
        self.timers.wake(now);
    }

    fn unsubscribe(&mut self, now: Instant, id: PeerId, track_id: TrackId) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let Some(track_key) = self.track_of.get(&track_id).copied() else { return };
        let (Some(peer), Some(track)) = (self.peers.get_mut(key), self.tracks.get_mut(track_key)) else { return };
        let Some(down) = peer.unsubscribe(now, track, &mut self.effects) else { return };
        track.subscribers.retain(|subscriber| subscriber.down != down || subscriber.peer != key);
        self.effects.wanted_changed(track_key);
        self.mark_dirty(now, key);
    }

    fn move_subscription(&mut self, now: Instant, id: PeerId, from: TrackId, to: TrackId) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let Some(new) = self.track_of.get(&to).copied() else { return };
        let (Some(peer), Some(track)) = (self.peers.get_mut(key), self.tracks.get_mut(new)) else { return };
        let Some((down, old)) = peer.move_subscription(from, new, track) else { return };
        track.subscribers.push(Subscriber { peer: key, down });
        if let Some(track) = self.tracks.get_mut(old) {
            track.subscribers.retain(|subscriber| subscriber.down != down || subscriber.peer != key);
        }
        for track in [old, new] {
            self.effects.wanted_changed(track);
        }
        self.effects.layers_changed(new);
        self.effects.needs_section(key);
        self.timers.wake(now);
    }

    fn set_subscription(&mut self, now: Instant, id: PeerId, track_id: TrackId, settings: SubscriptionSettings) {
        let Some(key) = self.peer_of.get(&id).copied() else { return };
        let Some(track_key) = self.track_of.get(&track_id).copied() else { return };
        let (Some(peer), Some(track)) = (self.peers.get_mut(key), self.tracks.get(track_key)) else { return };
        let Some(down) = peer.down_of.get(&track_id).copied().and_then(|down| peer.downs.get_mut(down)) else {
            return;
        };
        down.settings = settings;
        if let Some(layer) = peer.down_of.get(&track_id).copied().and_then(|down| peer.retarget(down, track)) {
            self.effects.want_keyframe(track_key, layer);
        }
        peer.allocate(now, &self.tracks, &mut self.effects);
        self.effects.wanted_changed(track_key);
        self.timers.wake(now);
    }

    /// Runs something on a peer outside of a wake-up: what it sends waits for the next tick.
    pub(super) fn quietly<R>(
        &mut self,
        now: Instant,
        key: Key,
        work: impl FnOnce(&mut Peer, &mut crate::slab::Slab<Track>, &mut crate::effects::Effects) -> Result<R, Fault>,
    ) -> Option<R> {
        let mut parting = std::mem::take(&mut self.parting);
        let result = self.with_peer(now, key, &mut parting, |peer, tracks, _, effects| work(peer, tracks, effects));
        self.parting = parting;
        result
    }
}
