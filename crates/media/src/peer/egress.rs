//! Media to one peer: the packets of a batch, in one go, so that its datagrams leave as one run.

use std::ops::Range;
use std::time::Instant;

use auralink_prefetch::soon;

use super::Peer;
use crate::api::{Datagram, Egress, Event, PeerId, TrackId};
use crate::effects::Effects;
use crate::forward::Outcome;
use crate::forward::made::Made;
use crate::line::Outlet;
use crate::packet::Packet;
use crate::publish::track::Track;
use crate::slab::{Key, Slab};

/// The packets of a wake-up.
pub(crate) struct Batch<'b> {
    pub packets: &'b [Packet],
    pub datagrams: &'b [Datagram<'b>],
    /// What is made of them on the way, for all peers.
    pub made: &'b mut Made,
}

/// Packets of one track in the batch, for one down track of a peer.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub down: Key,
    pub packets: Range<u32>,
}

/// The subscription cannot be.
pub(super) fn no_codec(peer: PeerId, track: TrackId) -> Event {
    Event::SubscriptionFailed { peer, track, message: "no codec in common with the publisher".to_owned() }
}

impl Peer {
    /// [`Peer::forward`] comes soon: asks for its memory. The first of three steps; each asks for what the one before brought
    /// the addresses of.
    #[inline]
    pub fn soon(&self) {
        soon(&self.line);
        soon(&self.downs);
    }

    /// The second step: the line, and the down tracks.
    #[inline]
    pub fn tracks_soon<'w>(&self, work: impl Iterator<Item = &'w Work>) {
        if let Some(line) = &self.line {
            line.soon();
        }
        work.for_each(|work| self.downs.soon(work.down));
    }

    /// The third: what their streams write to.
    #[inline]
    pub fn streams_soon<'w>(&self, work: impl Iterator<Item = &'w Work>) {
        for work in work {
            if let Some(stream) = self.downs.get(work.down).and_then(|down| down.stream.as_ref()) {
                stream.soon();
            }
        }
    }

    /// Forwards packets of the batch.
    pub fn forward<'w>(
        &mut self,
        now: Instant,
        work: impl Iterator<Item = &'w Work>,
        batch: &mut Batch<'_>,
        tracks: &Slab<Track>,
        egress: &mut Egress,
        effects: &mut Effects,
    ) {
        let Some(line) = &mut self.line else { return };
        let mut out = Outlet { now, line, egress };
        let mut sent = 0;
        for work in work {
            let Some(down) = self.downs.get_mut(work.down) else { continue };
            let (Some(stream), Some(track)) = (&mut down.stream, tracks.get(down.track)) else { continue };
            let range = work.packets.start as usize..work.packets.end as usize;
            let (mut waits, mut fails) = (None, false);
            for packet in batch.packets.get(range).unwrap_or_default() {
                let Some(datagram) = batch.datagrams.get(packet.datagram as usize) else { continue };
                match stream.forward(down.target, track, packet, datagram.payload, batch.made, &mut out) {
                    Outcome::Sent => sent += 1,
                    Outcome::Skipped => {}
                    Outcome::NeedsKeyframe(layer) => waits = Some(layer),
                    Outcome::NoCodec => fails = true,
                }
            }
            if let Some(layer) = waits {
                effects.want_keyframe(down.track, layer);
            }
            if fails && down.failed != track.codec {
                down.failed = track.codec;
                effects.wanted_changed(down.track);
                effects.events.push(no_codec(self.id, down.id));
            }
        }
        effects.counters.rtp_forwarded += sent;
    }
}
