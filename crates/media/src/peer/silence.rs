//! Streams to a peer that are to carry packets of our own for a while.

use std::time::Instant;

use super::Peer;
use crate::api::Egress;
use crate::forward::silence::{AFTER_MUTE, BEFORE_FIRST, EVERY};
use crate::line::Outlet;
use crate::publish::track::Track;
use crate::slab::{Key, Slab};

impl Peer {
    /// The publisher of this sound muted it.
    pub fn end_sound(&mut self, now: Instant, down: Key) {
        self.fall_silent(now, down, AFTER_MUTE);
    }

    /// A subscription got its section. Clients that show a track only with its first packet get some of ours.
    pub fn introduce(&mut self, now: Instant, down: Key) {
        if self.options.shows_tracks_by_packet {
            self.fall_silent(now, down, BEFORE_FIRST);
        }
    }

    fn fall_silent(&mut self, now: Instant, down: Key, packets: u16) {
        let Some(stream) = self.downs.get_mut(down).and_then(|down| down.stream.as_mut()) else { return };
        if stream.has_sent() || packets == BEFORE_FIRST {
            stream.fall_silent(packets);
            self.duties.silence.get_or_insert(now);
        }
    }

    pub(super) fn send_silence(&mut self, now: Instant, tracks: &Slab<Track>, egress: &mut Egress) {
        let Some(line) = &mut self.line else {
            // The section was there before the connection.
            self.duties.silence = Some(now + EVERY);
            return;
        };
        self.duties.silence = None;
        let mut out = Outlet { now, line, egress };
        for (_, down) in self.downs.iter_mut() {
            let (Some(stream), Some(track)) = (&mut down.stream, tracks.get(down.track)) else { continue };
            if stream.is_silent() {
                stream.send_silence(track, &mut out);
                self.duties.silence = Some(now + EVERY);
            }
        }
    }
}
