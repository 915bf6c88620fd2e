//! Which shard a room, peer, track or ICE user fragment lives on. Asked per command and per control event, never per
//! packet.

use std::collections::hash_map::Entry;

use auralink_media::api::{Command, Event, PeerId, RoomId, TrackId};
use rustc_hash::{FxHashMap, FxHashSet};

pub type ShardIndex = usize;

#[derive(Debug)]
struct Room {
    shard: ShardIndex,
    peers: FxHashSet<PeerId>,
}

#[derive(Debug)]
struct Peer {
    shard: ShardIndex,
    room: RoomId,
    ufrag: String,
    tracks: Vec<TrackId>,
}

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Shard(ShardIndex),
    /// What it names is gone or never was.
    Unknown,
}

#[derive(Debug)]
pub struct Directory {
    /// Rooms plus peers per shard: a room is work to come.
    loads: Vec<usize>,
    rooms: FxHashMap<RoomId, Room>,
    peers: FxHashMap<PeerId, Peer>,
    tracks: FxHashMap<TrackId, PeerId>,
    ufrags: FxHashMap<String, ShardIndex>,
}

impl Directory {
    pub fn new(shards: usize) -> Directory {
        Directory {
            loads: vec![0; shards],
            rooms: FxHashMap::default(),
            peers: FxHashMap::default(),
            tracks: FxHashMap::default(),
            ufrags: FxHashMap::default(),
        }
    }

    /// Where the command goes; `SendData`, which may go to several, is routed by [`Directory::split`].
    pub fn route(&self, command: &Command) -> Route {
        let shard = match command {
            Command::CreateRoom { room } => {
                Some(self.rooms.get(room).map_or_else(|| self.least_loaded(), |known| known.shard))
            }
            Command::CloseRoom { room } | Command::CreatePeer { room, .. } => self.rooms.get(room).map(|r| r.shard),
            Command::ClosePeer { peer }
            | Command::Expect { peer, .. }
            | Command::Offer { peer, .. }
            | Command::MakeOffer { peer, .. }
            | Command::LimitBandwidth { peer, .. }
            | Command::Answer { peer, .. }
            | Command::Publish { peer, .. }
            | Command::Subscribe { peer, .. }
            | Command::Unsubscribe { peer, .. }
            | Command::MoveSubscription { peer, .. }
            | Command::SetSubscription { peer, .. }
            | Command::PublishData { peer, .. }
            | Command::SubscribeData { peer, .. }
            | Command::UnsubscribeData { peer, .. } => self.peers.get(peer).map(|p| p.shard),
            Command::Unpublish { track } | Command::UnpublishData { track } | Command::SetMuted { track, .. } => {
                self.tracks.get(track).and_then(|peer| self.peers.get(peer)).map(|p| p.shard)
            }
            Command::SendData { .. } => None,
        };
        shard.map_or(Route::Unknown, Route::Shard)
    }

    fn least_loaded(&self) -> ShardIndex {
        self.loads.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(index, _)| index)
    }

    /// The peers that still exist, per shard.
    pub fn split(&self, peers: &[PeerId]) -> Vec<(ShardIndex, Vec<PeerId>)> {
        let mut parts: Vec<(ShardIndex, Vec<PeerId>)> = Vec::with_capacity(1);
        for peer in peers {
            let Some(shard) = self.peers.get(peer).map(|p| p.shard) else { continue };
            match parts.iter_mut().find(|(index, _)| *index == shard) {
                Some((_, part)) => part.push(*peer),
                None => parts.push((shard, vec![*peer])),
            }
        }
        parts
    }

    /// Records what a command routed to `shard` changes.
    pub fn note_command(&mut self, shard: ShardIndex, command: &Command) {
        match command {
            Command::CreateRoom { room } => self.add_room(*room, shard),
            Command::CloseRoom { room } => self.remove_room(*room),
            Command::CreatePeer { peer, room, .. } => self.add_peer(*peer, *room, shard),
            Command::ClosePeer { peer } => self.remove_peer(*peer),
            Command::Publish { peer, publication } => self.add_track(publication.track, *peer),
            Command::PublishData { peer, track, .. } => self.add_track(*track, *peer),
            Command::Unpublish { track } | Command::UnpublishData { track } => self.remove_track(*track),
            _ => {}
        }
    }

    /// Records what a shard's event changes.
    pub fn note_event(&mut self, event: &Event) {
        match event {
            Event::Answer { peer, sdp, .. } | Event::Offer { peer, sdp, .. } => self.set_ufrag(*peer, sdp),
            Event::PeerClosed { peer, .. } => self.remove_peer(*peer),
            _ => {}
        }
    }

    /// The peer to close when the event cannot be delivered.
    pub fn owner(&self, event: &Event) -> Option<PeerId> {
        match event {
            Event::Answer { peer, .. }
            | Event::OfferRejected { peer, .. }
            | Event::Offer { peer, .. }
            | Event::Connected { peer }
            | Event::Route { peer, .. }
            | Event::ChannelOpen { peer, .. }
            | Event::PeerClosed { peer, .. }
            | Event::SectionsNeeded { peer, .. }
            | Event::OfferNeeded { peer }
            | Event::SectionFreed { peer }
            | Event::Subscribed { peer, .. }
            | Event::SubscriptionFailed { peer, .. }
            | Event::StreamState { peer, .. }
            | Event::Quality { peer, .. }
            | Event::UnlabeledData { peer, .. }
            | Event::Data { peer, .. } => Some(*peer),
            Event::TrackStarted { track, .. } | Event::TrackEnded { track } | Event::QualitiesWanted { track, .. } => {
                self.tracks.get(track).copied()
            }
            Event::Speakers { .. } => None,
        }
    }

    pub fn knows_peer(&self, peer: PeerId) -> bool {
        self.peers.contains_key(&peer)
    }

    /// The shard whose peer was told to use this ICE user fragment with us.
    pub fn shard_of_ufrag(&self, ufrag: &str) -> Option<ShardIndex> {
        self.ufrags.get(ufrag).copied()
    }

    /// Forgets everything on a shard; returns its rooms.
    pub fn forget_shard(&mut self, shard: ShardIndex) -> Vec<RoomId> {
        let mut rooms: Vec<RoomId> = self.rooms.iter().filter(|(_, r)| r.shard == shard).map(|(id, _)| *id).collect();
        rooms.sort_unstable();
        for room in &rooms {
            self.remove_room(*room);
        }
        rooms
    }

    pub fn remove_peer(&mut self, peer: PeerId) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        if let Some(room) = self.rooms.get_mut(&gone.room) {
            room.peers.remove(&peer);
        }
        for track in gone.tracks {
            self.tracks.remove(&track);
        }
        self.ufrags.remove(&gone.ufrag);
        self.remove_load(gone.shard);
    }

    fn add_room(&mut self, room: RoomId, shard: ShardIndex) {
        if let Entry::Vacant(vacant) = self.rooms.entry(room) {
            vacant.insert(Room { shard, peers: FxHashSet::default() });
            self.add_load(shard);
        }
    }

    fn add_peer(&mut self, peer: PeerId, room: RoomId, shard: ShardIndex) {
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        if self.peers.contains_key(&peer) {
            return;
        }
        entry.peers.insert(peer);
        self.peers.insert(peer, Peer { shard, room, ufrag: String::new(), tracks: Vec::new() });
        self.add_load(shard);
    }

    fn remove_room(&mut self, room: RoomId) {
        let Some(gone) = self.rooms.remove(&room) else { return };
        self.remove_load(gone.shard);
        for peer in gone.peers {
            self.remove_peer(peer);
        }
    }

    fn add_track(&mut self, track: TrackId, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if self.tracks.insert(track, peer).is_none() {
            entry.tracks.push(track);
        }
    }

    fn remove_track(&mut self, track: TrackId) {
        if let Some(peer) = self.tracks.remove(&track).and_then(|peer| self.peers.get_mut(&peer)) {
            peer.tracks.retain(|known| *known != track);
        }
    }

    fn set_ufrag(&mut self, peer: PeerId, sdp: &str) {
        let Some(ufrag) = sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:")) else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.ufrag != ufrag {
            self.ufrags.remove(&entry.ufrag);
            entry.ufrag = ufrag.to_owned();
            self.ufrags.insert(ufrag.to_owned(), entry.shard);
        }
    }

    fn add_load(&mut self, shard: ShardIndex) {
        if let Some(load) = self.loads.get_mut(shard) {
            *load += 1;
        }
    }

    fn remove_load(&mut self, shard: ShardIndex) {
        if let Some(load) = self.loads.get_mut(shard) {
            *load = load.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use auralink_media::api::{Kind, PeerOptions, PeerRole, Publication, Source};

    use super::*;

    fn apply(directory: &mut Directory, command: &Command) -> Route {
        let route = directory.route(command);
        if let Route::Shard(shard) = route {
            directory.note_command(shard, command);
        }
        route
    }

    fn create_peer(peer: u64, room: u64) -> Command {
        let options = PeerOptions::default();
        Command::CreatePeer { peer: PeerId(peer), room: RoomId(room), role: PeerRole::Single, options }
    }

    fn publish(peer: u64, track: u64) -> Command {
        let publication = Publication {
            sif_trailer: Vec::new(),
            make_red: false,
            track: TrackId(track),
            sid: String::new(),
            stream_id: String::new(),
            stream: String::new(),
            kind: Kind::Audio,
            source: Source::Microphone,
            muted: false,
            layers: Vec::new(),
            mid: "0".to_owned(),
        };
        Command::Publish { peer: PeerId(peer), publication }
    }

    fn answer(peer: u64, ufrag: &str) -> Event {
        Event::Answer {
            peer: PeerId(peer),
            offer_id: 1,
            sdp: format!("v=0\r\na=ice-ufrag:{ufrag}\r\n"),
            mid_to_track: Vec::new(),
            sections: Vec::new(),
        }
    }

    #[test]
    fn rooms_go_to_the_least_loaded_shard_and_peers_follow_their_room() {
        let mut directory = Directory::new(2);
        assert_eq!(apply(&mut directory, &Command::CreateRoom { room: RoomId(1) }), Route::Shard(0));
        assert_eq!(apply(&mut directory, &Command::CreateRoom { room: RoomId(2) }), Route::Shard(1));
        assert_eq!(apply(&mut directory, &create_peer(10, 2)), Route::Shard(1));
        assert_eq!(apply(&mut directory, &create_peer(11, 2)), Route::Shard(1));
        assert_eq!(apply(&mut directory, &Command::CreateRoom { room: RoomId(3) }), Route::Shard(0));
        assert_eq!(apply(&mut directory, &create_peer(12, 9)), Route::Unknown);
        let parts = directory.split(&[PeerId(10), PeerId(99), PeerId(11)]);
        assert_eq!(parts, [(1, vec![PeerId(10), PeerId(11)])]);
    }

    #[test]
    fn nothing_is_left_of_a_closed_room() {
        let mut directory = Directory::new(1);
        apply(&mut directory, &Command::CreateRoom { room: RoomId(1) });
        apply(&mut directory, &create_peer(10, 1));
        apply(&mut directory, &publish(10, 100));
        directory.note_event(&answer(10, "abcd"));
        assert_eq!(directory.shard_of_ufrag("abcd"), Some(0));
        apply(&mut directory, &Command::CloseRoom { room: RoomId(1) });
        assert!(directory.peers.is_empty() && directory.tracks.is_empty() && directory.ufrags.is_empty());
        assert_eq!(directory.loads, [0]);
    }

    #[test]
    fn an_ice_restart_replaces_the_user_fragment() {
        let mut directory = Directory::new(1);
        apply(&mut directory, &Command::CreateRoom { room: RoomId(1) });
        apply(&mut directory, &create_peer(10, 1));
        directory.note_event(&answer(10, "first"));
        directory.note_event(&answer(10, "second"));
        assert_eq!(directory.shard_of_ufrag("first"), None);
        assert_eq!(directory.shard_of_ufrag("second"), Some(0));
    }

    #[test]
    fn a_failed_shard_is_forgotten_with_all_its_rooms() {
        let mut directory = Directory::new(2);
        for room in 1..=4 {
            apply(&mut directory, &Command::CreateRoom { room: RoomId(room) });
        }
        assert_eq!(directory.forget_shard(0), [RoomId(1), RoomId(3)]);
        assert_eq!(directory.route(&Command::CloseRoom { room: RoomId(1) }), Route::Unknown);
        assert_eq!(directory.route(&Command::CloseRoom { room: RoomId(2) }), Route::Shard(1));
    }
}
