//! One shard: the rooms, peers and tracks of one I/O thread, driven by datagrams, commands and time.
//!
//! Everything is owned here and nothing is shared with other shards, so there is no lock anywhere. What one input asks
//! of other peers is gathered in [`Effects`] and carried out when the input is done ([`Shard::settle`]).

mod agenda;
mod commands;
mod data;
mod intake;
mod rooms;
mod timers;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustc_hash::FxHashMap;

use crate::api::{CloseReason, Command, Counters, Datagram, Egress, Event, PeerId, RoomId, ShardConfig, TrackId};
use crate::data_track::DataTrack;
use crate::effects::Effects;
use crate::forward::made::Made;
use crate::packet::Packet;
use crate::peer::{Fault, Peer};
use crate::publish::track::Track;
use crate::shed::Shed;
use crate::slab::{Key, Slab};
use crate::transport::Identity;
use crate::wire::rtcp::NtpTime;
use agenda::Agenda;
use rooms::Room;
use timers::Timers;

/// The sans-I/O SFU of one thread.
pub struct Shard {
    config: Arc<ShardConfig>,
    identity: Arc<Identity>,
    /// The pair that maps the monotonic clock to wall time for RTCP sender reports.
    epoch: (Instant, SystemTime),
    /// Boxed, so that finding one needs nothing but this.
    peers: Slab<Box<Peer>>,
    tracks: Slab<Track>,
    data_tracks: Slab<DataTrack>,
    rooms: FxHashMap<RoomId, Room>,
    peer_of: FxHashMap<PeerId, Key>,
    track_of: FxHashMap<TrackId, Key>,
    data_track_of: FxHashMap<TrackId, Key>,
    /// Proven addresses.
    addresses: FxHashMap<SocketAddr, Key>,
    /// Our ICE user name fragments.
    ufrags: FxHashMap<Vec<u8>, Key>,
    timers: Timers,
    /// What is left out because the thread cannot keep up.
    shed: Shed,
    effects: Effects,
    /// Packets of the current wake-up, and where they go.
    batch: Vec<Packet>,
    agenda: Agenda,
    /// RED made of the current wake-up's Opus.
    made: Made,
    /// Peers that commands gave something to send.
    dirty: Vec<Key>,
    /// Farewells of peers that commands closed.
    parting: Egress,
}

impl Shard {
    /// `now` and `wall` are the same moment.
    pub fn new(config: ShardConfig, identity: Arc<Identity>, now: Instant, wall: SystemTime) -> Shard {
        Shard {
            config: Arc::new(config),
            identity,
            epoch: (now, wall),
            peers: Slab::new(),
            tracks: Slab::new(),
            data_tracks: Slab::new(),
            rooms: FxHashMap::default(),
            peer_of: FxHashMap::default(),
            track_of: FxHashMap::default(),
            data_track_of: FxHashMap::default(),
            addresses: FxHashMap::default(),
            ufrags: FxHashMap::default(),
            timers: Timers::default(),
            shed: Shed::default(),
            effects: Effects::default(),
            batch: Vec::new(),
            agenda: Agenda::default(),
            made: Made::default(),
            dirty: Vec::new(),
            parting: Egress::default(),
        }
    }

    /// Applies one command. What it makes us send leaves with the next [`Shard::tick`].
    pub fn command(&mut self, now: Instant, command: Command) {
        self.apply(now, command);
    }

    /// Takes one wake-up's datagrams. Egress is appended per subscriber so that runs to one destination are long.
    pub fn receive(&mut self, now: Instant, datagrams: &mut [Datagram<'_>], egress: &mut Egress) {
        self.receive_draining(now, datagrams, egress, &mut |_| {});
    }

    /// The same, where `drain` may send and clear the egress after each subscriber: a fan-out to many is larger than
    /// the processor's cache, and the first need not wait for the last.
    pub fn receive_draining(
        &mut self,
        now: Instant,
        datagrams: &mut [Datagram<'_>],
        egress: &mut Egress,
        drain: &mut dyn FnMut(&mut Egress),
    ) {
        let before = (egress.transmits.len(), egress.buffer.len());
        self.take_in(now, datagrams, egress);
        self.count_out(egress, before);
        self.forward(now, datagrams, egress, drain);
        let before = (egress.transmits.len(), egress.buffer.len());
        self.settle(now, egress);
        self.count_out(egress, before);
    }

    /// Runs due timers and sends whatever commands queued up.
    pub fn tick(&mut self, now: Instant, egress: &mut Egress) {
        let before = (egress.transmits.len(), egress.buffer.len());
        self.send_parting(egress);
        self.run_timers(now, egress);
        self.settle(now, egress);
        self.count_out(egress, before);
    }

    /// From now on leaves out what [`shed`](crate::shed) says for this level; 0 = nothing.
    pub fn shed(&mut self, now: Instant, level: u8) {
        self.shed = Shed::at(level);
        let shed = self.shed;
        let peers: Vec<Key> = self.peers.iter().map(|(key, _)| key).collect();
        let mut unused = Egress::default();
        for key in peers {
            self.contain(now, key, &mut unused, |peer, tracks, _, effects| {
                peer.shed = shed;
                peer.allocate(now, tracks, effects);
                Ok(())
            });
        }
        self.parting.append(unused);
        self.timers.wake(now);
    }

    /// When `tick` must be called at the latest; `None` when nothing is pending.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub fn drain_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.effects.events);
    }

    /// An ICE-TCP connection from `remote` went away. The peer lives on: it may come back another way.
    pub fn tcp_closed(&mut self, _now: Instant, remote: SocketAddr) {
        if let Some(key) = self.addresses.remove(&remote) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.addresses.retain(|address| *address != remote);
            }
        }
    }

    pub fn counters(&self) -> Counters {
        let subscriptions = self.tracks.iter().map(|(_, track)| track.subscribers.len() as u64).sum();
        Counters {
            peers: self.peers.len() as u64,
            tracks: self.tracks.len() as u64,
            subscriptions,
            data_tracks: self.data_tracks.len() as u64,
            ..self.effects.counters
        }
    }

    /// Our NTP time at this moment.
    fn ntp(&self, now: Instant) -> NtpTime {
        let (origin, wall) = self.epoch;
        NtpTime::from_system(wall + now.saturating_duration_since(origin))
    }

    /// Runs something on one peer that may prove addresses and change when the peer is due.
    fn with_peer<R>(
        &mut self,
        now: Instant,
        key: Key,
        egress: &mut Egress,
        work: impl FnOnce(&mut Peer, &mut Slab<Track>, &mut Egress, &mut Effects) -> Result<R, Fault>,
    ) -> Option<R> {
        let result = self.contain(now, key, egress, work)?;
        self.follow_addresses(now, key);
        self.schedule(key);
        Some(result)
    }

    /// Runs something on one peer. A fault, or a panic, closes that peer and nobody else.
    fn contain<R>(
        &mut self,
        now: Instant,
        key: Key,
        egress: &mut Egress,
        work: impl FnOnce(&mut Peer, &mut Slab<Track>, &mut Egress, &mut Effects) -> Result<R, Fault>,
    ) -> Option<R> {
        let peer = self.peers.get_mut(key)?;
        let (tracks, effects) = (&mut self.tracks, &mut self.effects);
        let sound = (egress.transmits.len(), egress.buffer.len());
        let outcome = catch_unwind(AssertUnwindSafe(|| work(peer, tracks, egress, effects)));
        let fault = match outcome {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(fault)) => fault,
            Err(_) => {
                egress.transmits.truncate(sound.0);
                egress.buffer.truncate(sound.1);
                self.effects.counters.peer_panics += 1;
                self.effects.reachable.clear();
                self.effects.unreachable.clear();
                self.effects.recovered.clear();
                Fault::new(CloseReason::Internal, "an internal error, contained to this peer")
            }
        };
        self.fail_peer(now, key, fault, egress);
        None
    }

    /// Closes a peer on our own account, and says so.
    fn fail_peer(&mut self, now: Instant, key: Key, fault: Fault, egress: &mut Egress) {
        let Some(mut peer) = self.remove_peer(now, key) else { return };
        let Fault { reason, message } = fault;
        if reason != CloseReason::Internal {
            // Not for one that panicked: its state is not to be trusted.
            peer.close(now, egress);
        }
        self.effects.events.push(Event::PeerClosed { peer: peer.id, reason, message });
    }

    /// Brings the address table up to what the current peer proved.
    fn follow_addresses(&mut self, now: Instant, key: Key) {
        let _ = now;
        while let Some(address) = self.effects.unreachable.pop() {
            if self.addresses.get(&address) == Some(&key) {
                self.addresses.remove(&address);
            }
        }
        while let Some(address) = self.effects.reachable.pop() {
            if let Some(previous) = self.addresses.insert(address, key).filter(|previous| *previous != key) {
                // A NAT gave the port to somebody else: whoever proves it last has it.
                if let Some(peer) = self.peers.get_mut(previous) {
                    peer.addresses.retain(|known| *known != address);
                }
            }
        }
    }

    /// Carries out what the last input asked of others.
    fn settle(&mut self, now: Instant, egress: &mut Egress) {
        for track in std::mem::take(&mut self.effects.changed) {
            self.retarget_subscribers(track);
        }
        for track in std::mem::take(&mut self.effects.wanted) {
            self.update_wanted(now, track);
        }
        for peer in std::mem::take(&mut self.effects.waiting) {
            if let Some(peer) = self.peers.get_mut(peer) {
                peer.ask_for_sections(&self.tracks, &mut self.effects);
            }
        }
        let mut packets = std::mem::take(&mut self.effects.data);
        for (track, packet) in packets.drain(..) {
            self.forward_data(now, track, &packet);
        }
        self.effects.data = packets;
        let mut wanted = std::mem::take(&mut self.effects.keyframes);
        for (track, layer) in wanted.drain(..) {
            self.request_keyframe(now, track, layer, egress);
        }
        // Asking may want no more key frames, so the list can be kept for its memory.
        self.effects.keyframes = wanted;
    }

    fn retarget_subscribers(&mut self, key: Key) {
        let Some(track) = self.tracks.get(key) else { return };
        for subscriber in &track.subscribers {
            let Some(peer) = self.peers.get_mut(subscriber.peer) else { continue };
            if let Some(layer) = peer.retarget(subscriber.down, track) {
                self.effects.want_keyframe(key, layer);
            }
        }
    }

    fn request_keyframe(&mut self, now: Instant, key: Key, layer: u8, egress: &mut Egress) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        let Some(publisher) = self.peers.get_mut(track.publisher) else { return };
        let Some(ssrc) = track.request_keyframe(now, layer, publisher.round_trip()) else { return };
        publisher.send_picture_loss(ssrc, egress, &mut self.effects);
    }

    fn send_parting(&mut self, egress: &mut Egress) {
        egress.append(std::mem::take(&mut self.parting));
    }

    fn count_out(&mut self, egress: &Egress, (transmits, bytes): (usize, usize)) {
        self.effects.counters.datagrams_out += egress.transmits.len().saturating_sub(transmits) as u64;
        self.effects.counters.bytes_out += egress.buffer.len().saturating_sub(bytes) as u64;
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::{Limits, PeerOptions, PeerRole};

    fn shard(now: Instant) -> Shard {
        let address: SocketAddr = ([127, 0, 0, 1], 7882).into();
        let config = ShardConfig {
            udp_local: address,
            udp_candidates: vec![address],
            tcp_candidates: vec![],
            limits: Limits::default(),
        };
        let mut shard = Shard::new(config, Identity::generate().unwrap(), now, SystemTime::UNIX_EPOCH);
        shard.command(now, Command::CreateRoom { room: RoomId(1) });
        for peer in [PeerId(1), PeerId(2)] {
            let (room, role, options) = (RoomId(1), PeerRole::Single, PeerOptions::default());
            shard.command(now, Command::CreatePeer { peer, room, role, options });
        }
        shard
    }

    #[test]
    fn what_is_due_for_many_peers_is_done_at_the_same_moments() {
        let start = Instant::now();
        let mut shard = shard(start);
        for number in 0..200u64 {
            let joined = start + std::time::Duration::from_micros(number * 4_321);
            let (room, role, options) = (RoomId(1), PeerRole::Single, PeerOptions::default());
            shard.command(joined, Command::CreatePeer { peer: PeerId(10 + number), room, role, options });
        }
        let mut egress = Egress::default();
        let mut moments = 0;
        let begin = start + std::time::Duration::from_secs(2);
        while let Some(due) = shard.next_timeout().filter(|due| *due < begin + std::time::Duration::from_secs(1)) {
            shard.tick(due, &mut egress);
            moments += u32::from(due >= begin);
        }
        assert!((1..=100).contains(&moments), "{moments} wake-ups in a second");
    }

    #[test]
    fn a_panic_in_one_peer_closes_that_peer_and_nobody_else() {
        let now = Instant::now();
        let mut shard = shard(now);
        let mut egress = Egress::default();
        egress.buffer.extend_from_slice(b"of another peer");
        let key = *shard.peer_of.get(&PeerId(1)).unwrap();
        let outcome: Option<()> = shard.with_peer(now, key, &mut egress, |_, _, egress, _| {
            egress.buffer.extend_from_slice(b"half a packet");
            panic!("a defect");
        });
        assert_eq!(outcome, None);
        assert_eq!(egress.buffer, b"of another peer");
        let mut events = Vec::new();
        shard.drain_events(&mut events);
        let closed =
            |event: &Event| matches!(event, Event::PeerClosed { peer: PeerId(1), reason: CloseReason::Internal, .. });
        assert!(events.iter().any(closed), "{events:?}");
        assert_eq!((shard.counters().peers, shard.counters().peer_panics), (1, 1));
        assert!(shard.peer_of.contains_key(&PeerId(2)));
    }
}
