//! The network, the clock and the signal plane of a simulated conference.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use auralink_media::api::{
    Command, Counters, Datagram, Egress, Event, Kind, Layer, Limits, PeerId, PeerOptions, PeerRole, Proto, Publication,
    Quality, RoomId, ShardConfig, Source, SubscriptionSettings, TrackId,
};
use auralink_media::{Identity, Shard};

use crate::client::{Client, ClientId};
use crate::frame::LayerSpec;
use crate::layered::Scalability;
use crate::link::{Class, Link, LinkConfig};
use crate::rng::Rng;

/// Of the headers around each datagram.
const IP_UDP_BYTES: usize = 28;
/// Events at one instant before the simulation is held to be stuck.
const MAX_STEPS_PER_INSTANT: u32 = 200_000;

struct Node {
    client: Client,
    address: SocketAddr,
    up: Link,
    down: Link,
    offer_id: u32,
    /// What to offer once the running negotiation has ended.
    wanted: Vec<Wanted>,
    /// Down-stream section -> track sid, as the newest answer said.
    sections: BTreeMap<String, String>,
}

enum Wanted {
    Sections { audio: u32, video: u32 },
    Camera { layers: Vec<LayerSpec>, track: TrackId },
    LayeredCamera { layers: Vec<LayerSpec>, mode: Scalability, track: TrackId },
    Microphone { track: TrackId },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    at: Instant,
    /// Keeps equal times in order.
    number: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A packet given to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Since the start.
    pub at: Duration,
    pub client: ClientId,
    /// To the client.
    pub down: bool,
    pub class: Class,
    pub bytes: usize,
}

pub struct World {
    start: Instant,
    now: Instant,
    shard: Shard,
    server: SocketAddr,
    nodes: Vec<Node>,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    next_number: u64,
    rng: Rng,
    egress: Egress,
    drained: Vec<Event>,
    /// Everything the core said, with when.
    pub events: Vec<(Instant, Event)>,
    /// Every packet that was sent, by anybody.
    pub sent: Vec<Sent>,
    next_track: u64,
    /// For clients that join from now on: may their video be paused when the line is short?
    pub allow_pause: bool,
}

/// One for all worlds: stacks round times of their own origin, which is the process's.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const ROOM: RoomId = RoomId(1);

impl World {
    /// A conference of one room on one shard.
    pub fn new(seed: u64) -> World {
        World::with_limits(seed, Limits::default())
    }

    pub fn with_limits(seed: u64, limits: Limits) -> World {
        // The client's stack draws SSRCs and section names from this.
        fastrand::seed(seed);
        let start = *START;
        let server = SocketAddr::from(([192, 0, 2, 1], 7882));
        let config =
            ShardConfig { udp_local: server, udp_candidates: vec![server], tcp_candidates: Vec::new(), limits };
        let identity = Identity::generate().expect("a certificate");
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut shard = Shard::new(config, identity, start, wall);
        shard.command(start, Command::CreateRoom { room: ROOM });
        World {
            start,
            now: start,
            shard,
            server,
            nodes: Vec::new(),
            in_flight: BinaryHeap::new(),
            next_number: 0,
            rng: Rng::new(seed),
            egress: Egress::default(),
            drained: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            next_track: 1,
            allow_pause: false,
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// A client behind these links; it joins at once.
    pub fn join(&mut self, up: LinkConfig, down: LinkConfig) -> ClientId {
        let id = ClientId(self.nodes.len());
        let [high, low] = (id.0 as u16 + 1).to_be_bytes();
        let address = SocketAddr::from(([198, 51, high.wrapping_add(100), low], 50_000));
        let (up, down) = (Link::new(up, self.rng.fork()), Link::new(down, self.rng.fork()));
        let mut client = Client::new(address, self.now);
        let sdp = client.first_offer();
        let (wanted, sections) = (Vec::new(), BTreeMap::new());
        self.nodes.push(Node { client, address, up, down, offer_id: 0, wanted, sections });
        let options = PeerOptions { allow_pause: self.allow_pause, ..PeerOptions::default() };
        self.command(Command::CreatePeer { peer: peer(id), room: ROOM, role: PeerRole::Single, options });
        self.offer(id, sdp);
        id
    }

    pub fn client(&mut self, id: ClientId) -> &mut Client {
        &mut self.node(id).client
    }

    /// The links of a client, to change them during a scenario.
    pub fn up(&mut self, id: ClientId) -> &mut Link {
        &mut self.node(id).up
    }

    pub fn down(&mut self, id: ClientId) -> &mut Link {
        &mut self.node(id).down
    }

    /// The client stops without a word.
    pub fn vanish(&mut self, id: ClientId) {
        let gone = LinkConfig { loss: crate::link::Loss::Random(1.0), ..LinkConfig::default() };
        self.node(id).up.config = gone;
        self.node(id).down.config = gone;
    }

    pub fn publish_camera(&mut self, id: ClientId, layers: &[LayerSpec]) -> TrackId {
        let track = self.new_track();
        self.want(id, Wanted::Camera { layers: layers.to_vec(), track });
        track
    }

    /// All its layers are in one stream.
    pub fn publish_layered_camera(&mut self, id: ClientId, layers: &[LayerSpec], mode: Scalability) -> TrackId {
        let track = self.new_track();
        self.want(id, Wanted::LayeredCamera { layers: layers.to_vec(), mode, track });
        track
    }

    pub fn publish_microphone(&mut self, id: ClientId) -> TrackId {
        let track = self.new_track();
        self.want(id, Wanted::Microphone { track });
        track
    }

    pub fn subscribe(&mut self, id: ClientId, track: TrackId) {
        let settings = SubscriptionSettings::default();
        self.command(Command::Subscribe { peer: peer(id), track, settings });
    }

    pub fn command(&mut self, command: Command) {
        self.shard.command(self.now, command);
        self.run_shard();
    }

    /// The section on which a client receives a track.
    pub fn section(&self, id: ClientId, track: TrackId) -> Option<String> {
        let sid = sid(track);
        let node = self.nodes.get(id.0)?;
        node.sections.iter().find(|(_, known)| **known == sid).map(|(mid, _)| mid.clone())
    }

    fn new_track(&mut self) -> TrackId {
        let track = TrackId(self.next_track);
        self.next_track += 1;
        track
    }

    fn node(&mut self, id: ClientId) -> &mut Node {
        self.nodes.get_mut(id.0).expect("a client of this world")
    }

    fn want(&mut self, id: ClientId, wanted: Wanted) {
        self.node(id).wanted.push(wanted);
        self.negotiate(id);
    }

    /// Offers the next thing wanted, one at a time.
    fn negotiate(&mut self, id: ClientId) {
        let now = self.now;
        let node = self.node(id);
        if node.client.is_negotiating() || node.wanted.is_empty() {
            return;
        }
        let (sdp, publication) = match node.wanted.remove(0) {
            Wanted::Sections { audio, video } => (node.client.offer_sections(audio, video), None),
            Wanted::Camera { layers, track } => {
                let (sdp, mid) = node.client.offer_camera(&layers, now);
                (sdp, Some(publication(track, mid, Kind::Video, &layers)))
            }
            Wanted::LayeredCamera { layers, mode, track } => {
                let (sdp, mid) = node.client.offer_layered_camera(&layers, mode, now);
                (sdp, Some(publication(track, mid, Kind::Video, &layers)))
            }
            Wanted::Microphone { track } => {
                let (sdp, mid) = node.client.offer_microphone(now);
                (sdp, Some(publication(track, mid, Kind::Audio, &[])))
            }
        };
        if let Some(publication) = publication {
            self.shard.command(now, Command::Publish { peer: peer(id), publication });
        }
        self.offer(id, sdp);
    }

    fn offer(&mut self, id: ClientId, sdp: String) {
        let node = self.node(id);
        node.offer_id += 1;
        let offer_id = node.offer_id;
        self.command(Command::Offer { peer: peer(id), offer_id, sdp });
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        self.run(until, |_| false);
    }

    /// Runs until the condition holds; false when it did not within `limit`.
    pub fn run_until(&mut self, limit: Duration, condition: impl FnMut(&mut World) -> bool) -> bool {
        let until = self.now + limit;
        self.run(until, condition)
    }

    fn run(&mut self, until: Instant, mut condition: impl FnMut(&mut World) -> bool) -> bool {
        let mut steps = 0;
        loop {
            if condition(self) {
                return true;
            }
            let next = self.next_instant().max(self.now);
            if next >= until {
                self.now = until;
                return false;
            }
            steps = if next > self.now { 0 } else { steps + 1 };
            assert!(steps < MAX_STEPS_PER_INSTANT, "time stands still {:?} after the start", self.elapsed());
            self.now = next;
            self.step();
        }
    }

    fn next_instant(&self) -> Instant {
        let arrival = self.in_flight.peek().map(|Reverse(packet)| packet.at);
        let clients = self.nodes.iter().map(|node| node.client.due()).min();
        [arrival, self.shard.next_timeout(), clients].into_iter().flatten().min().unwrap_or(self.now)
    }

    fn step(&mut self) {
        self.deliver();
        for index in 0..self.nodes.len() {
            let due = self.nodes.get(index).is_some_and(|node| node.client.due() <= self.now);
            if due {
                self.advance(ClientId(index));
            }
        }
        if self.shard.next_timeout().is_some_and(|due| due <= self.now) {
            self.run_shard();
        }
    }

    /// Hands over everything that arrives now; the server gets its packets in one batch, as from recvmmsg.
    fn deliver(&mut self) {
        let mut batch: Vec<InFlight> = Vec::new();
        while self.in_flight.peek().is_some_and(|Reverse(packet)| packet.at <= self.now) {
            let Some(Reverse(packet)) = self.in_flight.pop() else { break };
            if packet.to == self.server {
                batch.push(packet);
            } else if let Some(index) = self.nodes.iter().position(|node| node.address == packet.to) {
                let now = self.now;
                self.node(ClientId(index)).client.receive(now, packet.from, &packet.bytes);
                self.advance(ClientId(index));
            }
        }
        if !batch.is_empty() {
            let mut datagrams: Vec<Datagram<'_>> = batch
                .iter_mut()
                .map(|packet| Datagram { proto: Proto::Udp, source: packet.from, payload: &mut packet.bytes })
                .collect();
            self.shard.receive(self.now, &mut datagrams, &mut self.egress);
            self.after_shard();
        }
    }

    fn run_shard(&mut self) {
        self.shard.tick(self.now, &mut self.egress);
        self.after_shard();
    }

    fn after_shard(&mut self) {
        let egress = std::mem::take(&mut self.egress);
        for transmit in &egress.transmits {
            let bytes = egress.buffer.get(transmit.start..transmit.start + transmit.len).unwrap_or_default();
            let Some(index) = self.nodes.iter().position(|node| node.address == transmit.destination) else { continue };
            self.send(ClientId(index), true, bytes);
        }
        self.egress = egress;
        self.egress.clear();
        let mut events = std::mem::take(&mut self.drained);
        self.shard.drain_events(&mut events);
        for event in events.drain(..) {
            self.events.push((self.now, event.clone()));
            self.signal(event);
        }
        self.drained = events;
    }

    fn advance(&mut self, id: ClientId) {
        let now = self.now;
        let mut sent = Vec::new();
        self.node(id).client.advance(now, |_, bytes| sent.push(bytes));
        for bytes in sent {
            self.send(id, false, &bytes);
        }
    }

    /// Gives a datagram to the link between a client and the server.
    fn send(&mut self, id: ClientId, down: bool, bytes: &[u8]) {
        let (now, server, class) = (self.now, self.server, Class::of(bytes));
        self.sent.push(Sent { at: self.elapsed(), client: id, down, class, bytes: bytes.len() });
        let node = self.node(id);
        let (from, to) = if down { (server, node.address) } else { (node.address, server) };
        let link = if down { &mut node.down } else { &mut node.up };
        for at in link.send(now, class, bytes.len() + IP_UDP_BYTES).into_iter().flatten() {
            self.next_number += 1;
            let packet = InFlight { at, number: self.next_number, from, to, bytes: bytes.to_vec() };
            self.in_flight.push(Reverse(packet));
        }
    }

    /// What the signal plane does about an event.
    fn signal(&mut self, event: Event) {
        match event {
            Event::Answer { peer, offer_id, sdp, mid_to_track, .. } => {
                let id = client_of(peer);
                let node = self.node(id);
                assert_eq!(offer_id, node.offer_id, "answers come in order");
                node.client.accept_answer(&sdp);
                node.sections = mid_to_track.into_iter().collect();
                self.advance(id);
                self.negotiate(id);
            }
            Event::OfferRejected { peer, message, .. } => {
                unreachable!("the offer of {peer:?} was rejected: {message}");
            }
            Event::SectionsNeeded { peer, audio, video } => {
                // (0, 0) asks for any offer; this stack only offers changes, so it adds a section.
                let audio = if (audio, video) == (0, 0) { 1 } else { audio };
                self.want(client_of(peer), Wanted::Sections { audio, video });
            }
            _ => {}
        }
    }
}

fn peer(id: ClientId) -> PeerId {
    PeerId(id.0 as u64 + 1)
}

fn client_of(peer: PeerId) -> ClientId {
    ClientId(peer.0 as usize - 1)
}

fn sid(track: TrackId) -> String {
    format!("TR_{}", track.0)
}

fn publication(track: TrackId, mid: String, kind: Kind, layers: &[LayerSpec]) -> Publication {
    let qualities = match layers.len() {
        1 => &[Quality::High][..],
        _ => &[Quality::Low, Quality::Medium, Quality::High][..],
    };
    Publication {
        sif_trailer: Vec::new(),
        make_red: false,
        track,
        sid: sid(track),
        stream_id: format!("PA_{}|{}", track.0, sid(track)),
        stream: String::new(),
        kind,
        source: if kind == Kind::Video { Source::Camera } else { Source::Microphone },
        muted: false,
        layers: layers
            .iter()
            .zip(qualities)
            .map(|(layer, quality)| Layer {
                quality: *quality,
                width: u32::from(layer.width),
                height: u32::from(layer.height),
                bitrate_bps: layer.bitrate_bps,
            })
            .collect(),
        mid,
    }
}
