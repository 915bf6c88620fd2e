//! One wake-up's datagrams: in by publisher, out by subscriber.

use std::time::Instant;

use super::Shard;
use super::agenda::Agenda;
use crate::api::{Datagram, Egress};
use crate::demux::{BindingRequest, Class, classify};
use crate::peer::{Batch, Work};
use crate::slab::Key;
use crate::transport::Path;
use crate::wire::rtp;

/// So many turns before its own a subscriber's state is first asked for.
const AHEAD: usize = 6;

impl Shard {
    pub(super) fn take_in(&mut self, now: Instant, datagrams: &mut [Datagram<'_>], egress: &mut Egress) {
        for (index, datagram) in datagrams.iter_mut().enumerate() {
            self.effects.counters.datagrams_in += 1;
            self.effects.counters.bytes_in += datagram.payload.len() as u64;
            match classify(datagram.payload) {
                Class::Stun => self.take_stun(now, datagram, egress),
                Class::Dtls => self.take_dtls(now, datagram, egress),
                Class::Media => self.take_media(now, index as u32, datagram, egress),
                Class::Unknown => self.effects.counters.dropped_malformed += 1,
            }
        }
        for track in std::mem::take(&mut self.effects.changed) {
            self.retarget_subscribers(track);
        }
    }

    fn take_stun(&mut self, now: Instant, datagram: &Datagram<'_>, egress: &mut Egress) {
        let Some(request) = BindingRequest::parse(datagram.payload) else {
            self.effects.counters.dropped_malformed += 1;
            return;
        };
        // Before the client's description is known an answer cannot be made; it asks again.
        let key = self.ufrags.get(request.ufrag).copied();
        let ready = key.filter(|key| self.peers.get(*key).is_some_and(|peer| peer.answers_checks()));
        match ready {
            Some(key) => self.hand_to_transport(now, key, datagram, egress),
            None => self.effects.counters.dropped_unknown += 1,
        }
    }

    fn take_dtls(&mut self, now: Instant, datagram: &Datagram<'_>, egress: &mut Egress) {
        match self.addresses.get(&datagram.source).copied() {
            Some(key) => self.hand_to_transport(now, key, datagram, egress),
            None => self.effects.counters.dropped_unknown += 1,
        }
    }

    fn hand_to_transport(&mut self, now: Instant, key: Key, datagram: &Datagram<'_>, egress: &mut Egress) {
        let from = Path { proto: datagram.proto, address: datagram.source };
        self.with_peer(now, key, egress, |peer, _, egress, effects| {
            peer.receive_transport(now, from, datagram.payload, egress, effects)
        });
    }

    fn take_media(&mut self, now: Instant, index: u32, datagram: &mut Datagram<'_>, egress: &mut Egress) {
        let Some(key) = self.addresses.get(&datagram.source).copied() else {
            self.effects.counters.dropped_unknown += 1;
            return;
        };
        if rtp::is_rtcp(datagram.payload) {
            let ours = self.ntp(now);
            self.with_peer(now, key, egress, |peer, tracks, egress, effects| {
                if let Err(refused) = peer.receive_rtcp(now, ours, datagram.payload, tracks, egress, effects) {
                    refused.count(effects);
                }
                Ok(())
            });
            return;
        }
        self.effects.counters.rtp_in += 1;
        let packet = self.with_peer(now, key, egress, |peer, tracks, _, effects| {
            match peer.ingress.receive(now, datagram.payload, tracks, effects) {
                Ok(packet) => {
                    peer.expect_feedback(now);
                    Ok(packet)
                }
                Err(refused) => {
                    refused.count(effects);
                    Ok(None)
                }
            }
        });
        if let Some(packet) = packet.flatten() {
            for mut packet in self.effects.recovered.drain(..).chain([packet]) {
                (packet.order, packet.datagram) = (self.batch.len() as u32, index);
                self.batch.push(packet);
            }
        }
    }

    /// Hands the batch to the subscribers, one after the other: the datagrams of each leave as one run.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        datagrams: &[Datagram<'_>],
        egress: &mut Egress,
        drain: &mut dyn FnMut(&mut Egress),
    ) {
        if self.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_unstable_by_key(|packet| (packet.track, packet.order));
        let mut start = 0;
        for group in batch.chunk_by(|a, b| a.track == b.track) {
            let packets = start..start + group.len() as u32;
            start = packets.end;
            let Some(track) = group.first().and_then(|packet| self.tracks.get(packet.track)) else { continue };
            for subscriber in &track.subscribers {
                self.agenda.add(subscriber.peer, Work { down: subscriber.down, packets: packets.clone() });
            }
        }
        let mut agenda = std::mem::take(&mut self.agenda);
        let made = &mut std::mem::take(&mut self.made);
        for step in 0..agenda.len() + AHEAD {
            self.look_ahead(&agenda, step);
            let turn = step.wrapping_sub(AHEAD);
            let Some(key) = agenda.peer(turn) else { continue };
            let before = (egress.transmits.len(), egress.buffer.len());
            self.contain(now, key, egress, |peer, tracks, egress, effects| {
                let batch = &mut Batch { packets: &batch, datagrams, made };
                peer.forward(now, agenda.work(turn), batch, tracks, egress, effects);
                Ok(())
            });
            self.count_out(egress, before);
            drain(egress);
        }
        agenda.clear();
        self.agenda = agenda;
        made.clear();
        self.made = std::mem::take(made);
        batch.clear();
        self.batch = batch;
    }

    /// The state of subscribers is far from the processor when their turn comes: it is asked for some turns before.
    #[inline]
    fn look_ahead(&self, agenda: &Agenda, step: usize) {
        let peer = |turn| agenda.peer(turn).and_then(|key| self.peers.get(key));
        if let Some(peer) = peer(step) {
            peer.soon();
        }
        let turn = step.wrapping_sub(AHEAD / 3);
        if let Some(peer) = peer(turn) {
            peer.tracks_soon(agenda.work(turn));
        }
        let turn = step.wrapping_sub(2 * AHEAD / 3);
        if let Some(peer) = peer(turn) {
            peer.streams_soon(agenda.work(turn));
        }
    }
}
