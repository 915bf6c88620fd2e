//! Sections whose subscription has ended: blank frames clear the client's decoder before another track comes, and before
//! a description says that the section carries nothing.

use std::time::Instant;

use super::Peer;
use super::description::send_stream;
use crate::api::{Egress, Event};
use crate::effects::Effects;
use crate::forward::blank::Blanks;
use crate::forward::stream::DownStream;
use crate::line::Outlet;
use crate::negotiate::SendStream;
use crate::publish::track::Track;
use crate::slab::Key;

/// A stream that outlives its subscription.
pub(super) struct Ending {
    /// The subscription that was.
    down: Key,
    pub stream: DownStream,
    /// As it was described to the client, and is until the end.
    pub send: SendStream,
    trailer: Vec<u8>,
    blanks: Blanks,
    due: Instant,
}

impl Peer {
    /// The subscription is over; its stream ends with blank frames where the client's decoder may hold something.
    pub(super) fn end_stream(
        &mut self,
        now: Instant,
        down: Key,
        stream: DownStream,
        track: &Track,
        effects: &mut Effects,
    ) {
        let (ssrc, rtx_ssrc) = (stream.binding.ssrc, stream.binding.rtx_ssrc);
        self.own_streams.remove(&ssrc);
        self.own_streams.remove(&rtx_ssrc);
        let Some(blanks) = stream.blanks() else { return self.free_section(down, effects) };
        let send = send_stream(track, ssrc, rtx_ssrc, self.options.sync_streams);
        let trailer = track.publication.sif_trailer.clone();
        self.endings.push(Ending { down, stream, send, trailer, blanks, due: now });
    }

    /// When a blank frame is due.
    pub(super) fn flush_due(&self) -> Option<Instant> {
        self.endings.iter().map(|ending| ending.due).min()
    }

    /// Sends blank frames that are due, and ends what had them all.
    pub(super) fn flush_endings(&mut self, now: Instant, egress: &mut Egress, effects: &mut Effects) {
        let Some(line) = &mut self.line else { return };
        let mut out = Outlet { now, line, egress };
        for ending in self.endings.iter_mut().filter(|ending| ending.due <= now && ending.blanks.frames > 0) {
            ending.stream.send_blank(&ending.trailer, &mut out);
            ending.blanks.frames -= 1;
            ending.due = now + ending.blanks.every;
        }
        while let Some(place) = self.endings.iter().position(|ending| ending.due <= now) {
            let ended = self.endings.swap_remove(place);
            self.free_section(ended.down, effects);
        }
    }

    /// Nothing more is sent on the section: whoever offers may say so.
    fn free_section(&mut self, down: Key, effects: &mut Effects) {
        self.negotiation.ours.release(down);
        effects.events.push(Event::SectionFreed { peer: self.id });
    }
}
