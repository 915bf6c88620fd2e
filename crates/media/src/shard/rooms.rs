//! Rooms: who is in them, who speaks, and the slow supervision of their tracks.

use std::time::Instant;

use super::Shard;
use super::timers::Timer;
use crate::api::{Event, Kind, PeerId, RoomId};
use crate::grid;
use crate::slab::Key;
use crate::speakers::Speakers;

pub(super) struct Room {
    pub peers: Vec<Key>,
    pub tracks: Vec<Key>,
    speakers: Speakers,
    /// A timer of this room is set: it runs while there are tracks.
    watched: bool,
}

impl Room {
    pub fn new(now: Instant) -> Room {
        Room { peers: Vec::new(), tracks: Vec::new(), speakers: Speakers::new(now), watched: false }
    }
}

impl Shard {
    /// Starts the room's timer when it has something to supervise.
    pub(super) fn watch_room(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if !room.watched {
            room.watched = true;
            room.speakers.window_ended(now);
            let due = grid::at_or_after(self.epoch.0, room.speakers.next_timeout());
            self.timers.push(due, Timer::Room(id));
        }
    }

    pub(super) fn tick_room(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let tracks = room.tracks.clone();
        if room.speakers.window_ended(now) {
            self.report_speakers(id, &tracks);
        }
        for key in &tracks {
            self.supervise_track(now, *key);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        // One more window after the last track is gone, so that its speaker is reported silent.
        room.watched = !tracks.is_empty();
        if room.watched {
            let due = grid::at_or_after(self.epoch.0, room.speakers.next_timeout().max(now));
            self.timers.push(due, Timer::Room(id));
        }
    }

    fn report_speakers(&mut self, id: RoomId, tracks: &[Key]) {
        let mut levels: Vec<(PeerId, f32)> = Vec::new();
        for key in tracks {
            let Some(track) = self.tracks.get_mut(*key).filter(|track| track.kind() == Kind::Audio) else { continue };
            let level = track.meter.level();
            let level = if track.publication.muted { 0.0 } else { level };
            if let Some(peer) = self.peers.get(track.publisher) {
                levels.push((peer.id, level));
            }
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let levels = room.speakers.update(&levels);
        if !levels.is_empty() {
            self.effects.events.push(Event::Speakers { room: id, levels });
        }
    }

    fn supervise_track(&mut self, now: Instant, key: Key) {
        let Some(track) = self.tracks.get_mut(key).filter(|track| track.is_video()) else { return };
        if track.note_silence(now) {
            self.effects.layers_changed(key);
        }
        let Some(track) = self.tracks.get(key) else { return };
        if track.dynacast_timeout().is_some_and(|at| at <= now) {
            self.effects.wanted_changed(key);
        }
    }

    /// Tells the publisher's side which qualities anybody wants, when that changed.
    pub(super) fn update_wanted(&mut self, now: Instant, key: Key) {
        let Some(track) = self.tracks.get(key).filter(|track| track.is_video()) else { return };
        let wanted_by = |subscriber: &crate::publish::track::Subscriber| {
            self.peers.get(subscriber.peer)?.wanted_quality(subscriber.down, track)
        };
        let wanted = track.subscribers.iter().filter_map(wanted_by).max();
        let Some(track) = self.tracks.get_mut(key) else { return };
        if let Some(qualities) = track.update_wanted(now, wanted) {
            self.effects.events.push(Event::QualitiesWanted { track: track.id, qualities });
        }
    }
}
