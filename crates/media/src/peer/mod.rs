//! One peer connection: its transport, what it publishes, what it subscribes to, and its timers.

mod bandwidth;
mod connection;
mod data;
mod description;
mod egress;
mod expected;
mod feedback;
mod flush;
pub(crate) mod ingress;
mod probe;
mod server_offer;
mod silence;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

pub(crate) use egress::{Batch, Work};

use crate::api::{CloseReason, PeerId, PeerOptions, PeerRole, RoomId, ShardConfig, SubscriptionSettings, TrackId};
use crate::bwe::Bwe;
use crate::bwe::probe::Prober;
use crate::data::{Intake, Outbox};
use crate::data_track;
use crate::effects::Effects;
use crate::forward::DownTrack;
use crate::grid;
use crate::line::Line;
use crate::publish::track::Track;
use crate::quality::Tracker;
use crate::random::{self, NoRandomness};
use crate::shed::Shed;
use crate::slab::{Key, Slab};
use crate::transport::{Identity, Path, Transport, TransportEvent};
use crate::wire::twcc::Outcome;
use description::Negotiation;
use feedback::Heard;
use flush::Ending;
use ingress::Ingress;

/// Why a peer has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub reason: CloseReason,
    pub message: String,
}

impl Fault {
    pub fn new(reason: CloseReason, message: impl Into<String>) -> Fault {
        Fault { reason, message: message.into() }
    }
}

impl From<NoRandomness> for Fault {
    fn from(_: NoRandomness) -> Fault {
        Fault::new(CloseReason::Internal, "the operating system gave no random numbers")
    }
}

/// A track this peer was told to publish on one of its m-lines.
pub(crate) struct Published {
    pub mid: String,
    pub track: Key,
}

/// Which stream of ours an SSRC is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnStream {
    pub down: Key,
}

/// When the periodic duties are due next.
struct Duties {
    /// NACKs to a publisher.
    nacks: Option<Instant>,
    /// Transport-wide feedback to a publisher.
    feedback: Option<Instant>,
    /// Packets of our own where a publisher says nothing.
    silence: Option<Instant>,
    /// Reports, layer supervision, time limits.
    second: Instant,
}

pub(crate) struct Peer {
    pub id: PeerId,
    pub room: RoomId,
    pub role: PeerRole,
    options: PeerOptions,
    config: Arc<ShardConfig>,
    /// Made with the first description, as its handshake timer runs from then on.
    transport: Option<Transport>,
    identity: Arc<Identity>,
    transport_events: Vec<TransportEvent>,
    pub negotiation: Negotiation,
    pub ingress: Ingress,
    pub published: Vec<Published>,
    pub downs: Slab<DownTrack>,
    pub down_of: FxHashMap<TrackId, Key>,
    own_streams: FxHashMap<u32, OwnStream>,
    /// Streams whose subscription is over.
    endings: Vec<Ending>,
    line: Option<Line>,
    /// Addresses that were proven to be this peer's, oldest first.
    pub addresses: Vec<SocketAddr>,
    path: Option<Path>,
    connected: bool,
    told_connected: bool,
    outbox: Outbox,
    intake: Intake,
    pub data_published: Vec<data_track::Published>,
    pub data_subscribed: Vec<Key>,
    opened: [bool; 3],
    /// Sender SSRC of our reports and feedback.
    report_ssrc: u32,
    bandwidth: Option<Bwe>,
    prober: Prober,
    /// What is left out because the shard cannot keep up.
    pub shed: Shed,
    /// What the line is to be taken for at most, in bits per second.
    limit_bps: Option<u64>,
    /// Scratch space.
    message: Vec<u8>,
    outcomes: Vec<Outcome>,
    sequences: Vec<u16>,
    heard: Heard,
    /// (expected, received) of all incoming streams at the last quality score.
    counted: (u64, u64),
    fed_back: Instant,
    /// The last feedback told of many packets.
    many_arrivals: bool,
    allocated: Instant,
    subscriptions: u64,
    round_trip: Duration,
    quality: Tracker,
    /// When the transport was made.
    began: Option<Instant>,
    last_heard: Instant,
    duties: Duties,
    /// When the shard's timer for this peer is set to fire.
    pub scheduled: Option<Instant>,
    /// Waits to be ticked at once.
    pub dirty: bool,
}

impl Peer {
    /// # Errors
    /// When there is no randomness.
    pub fn new(
        now: Instant,
        id: PeerId,
        room: RoomId,
        role: PeerRole,
        options: PeerOptions,
        config: Arc<ShardConfig>,
        identity: Arc<Identity>,
    ) -> Result<Peer, Fault> {
        let negotiation = Negotiation::new(&identity)?;
        let limits = &config.limits;
        Ok(Peer {
            id,
            room,
            role,
            options,
            transport: None,
            identity,
            transport_events: Vec::new(),
            negotiation,
            ingress: Ingress::new(now, limits),
            published: Vec::new(),
            downs: Slab::new(),
            down_of: FxHashMap::default(),
            own_streams: FxHashMap::default(),
            endings: Vec::new(),
            line: None,
            addresses: Vec::new(),
            path: None,
            connected: false,
            told_connected: false,
            outbox: Outbox::new(limits),
            intake: Intake::new(now, limits),
            data_published: Vec::new(),
            data_subscribed: Vec::new(),
            opened: [false; 3],
            report_ssrc: random::number()? | 1,
            bandwidth: None,
            prober: Prober::default(),
            shed: Shed::default(),
            limit_bps: None,
            message: Vec::new(),
            outcomes: Vec::new(),
            sequences: Vec::new(),
            heard: Heard::default(),
            counted: (0, 0),
            fed_back: now,
            many_arrivals: false,
            allocated: now,
            subscriptions: 0,
            round_trip: Duration::from_millis(70),
            quality: Tracker::new(now),
            began: None,
            last_heard: now,
            duties: Duties { nacks: None, feedback: None, silence: None, second: now + Duration::from_secs(1) },
            scheduled: None,
            dirty: false,
            config,
        })
    }

    /// When [`Peer::tick`] is due, where what bears to wait is done together with that of other peers ([`grid`]).
    pub fn next_timeout(&self, origin: Instant) -> Instant {
        let transport = self.transport.as_ref().map(Transport::timeout);
        let (soon, later) = if self.connected { (None, transport) } else { (transport, None) };
        let bearing = [later, self.duties.feedback].into_iter().flatten().fold(self.duties.second, Instant::min);
        let precise = [soon, self.duties.nacks, self.duties.silence, self.flush_due(), self.prober.due()];
        precise.into_iter().flatten().fold(grid::at_or_after(origin, bearing), Instant::min)
    }

    /// Adds a subscription, or changes the one there is. Gives its key.
    pub fn subscribe(&mut self, key: Key, track: &Track, settings: SubscriptionSettings) -> (Key, bool) {
        if let Some(down) = self.down_of.get(&track.id).copied() {
            if let Some(known) = self.downs.get_mut(down) {
                known.settings = settings;
                return (down, false);
            }
        }
        self.subscriptions += 1;
        let mut down = DownTrack::new(key, track, settings, self.subscriptions);
        down.allowed = self.shed.limit(track, self.id.0.wrapping_add(down.order), down.allowed);
        let down = self.downs.insert(down);
        self.down_of.insert(track.id, down);
        (down, true)
    }

    /// Goes on with another track of the same kind. Gives the down track and the track it was of; none where it cannot.
    pub fn move_subscription(&mut self, from: TrackId, key: Key, track: &Track) -> Option<(Key, Key)> {
        let down = *self.down_of.get(&from)?;
        let moved = self.downs.get_mut(down).filter(|moved| moved.video == track.is_video())?;
        if self.down_of.contains_key(&track.id) {
            return None;
        }
        let old = std::mem::replace(&mut moved.track, key);
        moved.move_to(track.id);
        self.down_of.remove(&from);
        self.down_of.insert(track.id, down);
        Some((down, old))
    }

    /// As its reports have it; a usual one before there are any.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Chooses the layer of a down track anew. Gives the layer whose key frame it now needs: none before the peer can
    /// decrypt one, as it would be lost and the next not be asked for that soon.
    pub fn retarget(&mut self, down: Key, track: &Track) -> Option<u8> {
        let down = self.downs.get_mut(down)?;
        let needed = down.retarget(track);
        down.target.filter(|_| needed && self.told_connected)
    }

    /// Ends a subscription: nothing more of the track is sent. Gives the down track that was.
    pub fn unsubscribe(&mut self, now: Instant, track: &Track, effects: &mut Effects) -> Option<Key> {
        let key = self.down_of.remove(&track.id)?;
        let mut down = self.downs.remove(key)?;
        self.release_section(key);
        match down.stream.take() {
            Some(stream) => self.end_stream(now, key, stream, track, effects),
            None => self.negotiation.ours.release(key),
        }
        Some(key)
    }
}
