//! A shard and full WebRTC clients (str0m) on one virtual clock, joined by a network that tests can tamper with.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

pub mod red;
pub mod sender;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use auralink_media::api::*;
use auralink_media::{Identity, Shard};
use str0m::bwe::{Bitrate, BweKind};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};

pub const SERVER: &str = "127.0.0.1:7882";
pub const OPUS: u8 = 111;
pub const VP8: u8 = 96;
pub const H264: u8 = 127;

pub struct Client {
    pub id: PeerId,
    pub rtc: Rtc,
    pub address: SocketAddr,
    /// Where the network believes it is: another address than its own behind a NAT.
    pub seen_as: SocketAddr,
    pub received: Vec<RtpPacket>,
    pub data: Vec<(String, Vec<u8>)>,
    pub channels: HashMap<String, ChannelId>,
    pub labels: HashMap<ChannelId, String>,
    pub keyframe_requests: Vec<(Mid, Option<Rid>)>,
    /// Estimates of its own upstream bandwidth, in bits per second.
    pub estimates: Vec<u64>,
    pub connected: bool,
    pub closed: bool,
    pub receiving: Vec<Mid>,
    pending: Option<SdpPendingOffer>,
    next_offer: u32,
    timeout: Instant,
    pub mid_to_track: Vec<(String, String)>,
    pub sections: Vec<OfferedSection>,
    pub answers: Vec<String>,
    /// Offers of the server do not reach it.
    pub out_of_reach: bool,
    outbox: Vec<Vec<u8>>,
}

/// True = the datagram is lost. (client, towards the server, datagram)
pub type Loss = Box<dyn FnMut(PeerId, bool, &[u8]) -> bool>;

pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub shard: Shard,
    pub clients: Vec<Client>,
    pub events: Vec<Event>,
    pub loss: Loss,
    pub egress: Egress,
    /// Of the clients made next.
    pub options: PeerOptions,
    /// Of tracks still to come.
    pub sif_trailer: Vec<u8>,
    pub make_red: bool,
}

pub const ROOM: RoomId = RoomId(1);

pub fn config() -> ShardConfig {
    ShardConfig {
        udp_local: SERVER.parse().unwrap(),
        udp_candidates: vec![SERVER.parse().unwrap()],
        tcp_candidates: vec![],
        limits: Limits::default(),
    }
}

impl World {
    pub fn new() -> World {
        World::with(config())
    }

    pub fn with(config: ShardConfig) -> World {
        let now = Instant::now();
        let mut shard = Shard::new(config, Identity::generate().unwrap(), now, SystemTime::now());
        shard.command(now, Command::CreateRoom { room: ROOM });
        World {
            start: now,
            now,
            shard,
            clients: Vec::new(),
            events: Vec::new(),
            loss: Box::new(|_, _, _| false),
            egress: Egress::default(),
            options: PeerOptions::default(),
            sif_trailer: Vec::new(),
            make_red: false,
        }
    }

    /// A client with data channels that has not offered yet.
    pub fn client(&mut self, id: u64) -> usize {
        self.client_as(id, PeerRole::Single)
    }

    pub fn client_as(&mut self, id: u64, role: PeerRole) -> usize {
        self.client_with(id, role, |config| config)
    }

    /// A client of which the configuration is changed.
    pub fn client_with(&mut self, id: u64, role: PeerRole, change: impl FnOnce(RtcConfig) -> RtcConfig) -> usize {
        let id = PeerId(id);
        let options = self.options.clone();
        self.command(Command::CreatePeer { peer: id, room: ROOM, role, options });
        let address: SocketAddr = format!("127.0.0.1:{}", 20_000 + id.0).parse().unwrap();
        let config = RtcConfig::new().set_rtp_mode(true).enable_bwe(Some(Bitrate::mbps(2)));
        let mut rtc = change(config).build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        self.clients.push(Client {
            id,
            rtc,
            address,
            seen_as: address,
            received: Vec::new(),
            data: Vec::new(),
            channels: HashMap::new(),
            labels: HashMap::new(),
            keyframe_requests: Vec::new(),
            estimates: Vec::new(),
            connected: false,
            closed: false,
            receiving: Vec::new(),
            pending: None,
            next_offer: 1,
            timeout: self.now,
            mid_to_track: Vec::new(),
            sections: Vec::new(),
            answers: Vec::new(),
            out_of_reach: false,
            outbox: Vec::new(),
        });
        self.clients.len() - 1
    }

    pub fn command(&mut self, command: Command) {
        self.shard.command(self.now, command);
    }

    /// Changes the client's description, offers it and applies the answer.
    pub fn offer<R>(&mut self, index: usize, change: impl FnOnce(&mut str0m::change::SdpApi<'_>) -> R) -> R {
        let client = &mut self.clients[index];
        let mut api = client.rtc.sdp_api();
        // A real client goes on offering to receive where we answered inactive.
        for mid in &client.receiving {
            api.set_direction(*mid, Direction::RecvOnly);
        }
        let result = change(&mut api);
        let (offer, pending) = api.apply().expect("a change");
        client.pending = Some(pending);
        let offer_id = client.next_offer;
        client.next_offer += 1;
        let peer = client.id;
        self.command(Command::Offer { peer, offer_id, sdp: red::shown(&offer.to_sdp_string()) });
        self.pump();
        result
    }

    /// The three channels of the protocol.
    pub fn channels(api: &mut str0m::change::SdpApi<'_>) {
        for (label, ordered, reliability) in [
            ("_lossy", false, Reliability::MaxRetransmits { retransmits: 0 }),
            ("_reliable", true, Reliability::Reliable),
            ("_data_track", false, Reliability::MaxRetransmits { retransmits: 0 }),
        ] {
            let label = label.to_owned();
            api.add_channel_with_config(ChannelConfig { label, ordered, reliability, ..Default::default() });
        }
    }

    /// Offers to receive on this many more sections of each kind (and goes on to on the earlier ones).
    pub fn offer_to_receive(&mut self, index: usize, audio: usize, video: usize) {
        let mids = self.offer(index, |api| receive_only(api, audio, video));
        self.clients[index].receiving.extend(mids);
    }

    pub fn publish(&mut self, index: usize, track: u64, mid: Mid, kind: Kind, layers: Vec<Layer>) {
        let source = if kind == Kind::Audio { Source::Microphone } else { Source::Camera };
        self.publish_as(index, track, mid, (kind, source), layers);
    }

    pub fn publish_as(
        &mut self,
        index: usize,
        track: u64,
        mid: Mid,
        (kind, source): (Kind, Source),
        layers: Vec<Layer>,
    ) {
        let peer = self.clients[index].id;
        let publication = Publication {
            sif_trailer: self.sif_trailer.clone(),
            make_red: self.make_red,
            track: TrackId(track),
            sid: format!("TR_{track}"),
            stream_id: format!("PA_{}|TR_{track}", peer.0),
            stream: "camera".to_owned(),
            kind,
            source,
            muted: false,
            layers,
            mid: mid.to_string(),
        };
        self.command(Command::Publish { peer, publication });
    }

    pub fn subscribe(&mut self, index: usize, track: u64) {
        let peer = self.clients[index].id;
        self.command(Command::Subscribe { peer, track: TrackId(track), settings: SubscriptionSettings::default() });
    }

    pub fn unsubscribe(&mut self, index: usize, track: u64) {
        let peer = self.clients[index].id;
        self.command(Command::Unsubscribe { peer, track: TrackId(track) });
    }

    /// Delivers everything that can be delivered at this moment.
    pub fn pump(&mut self) {
        for _ in 0..100 {
            self.shard.tick(self.now, &mut self.egress);
            let mut idle = self.deliver();
            self.take_events();
            for client in &mut self.clients {
                client.drain(self.now);
            }
            let mut inbox: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
            for client in &mut self.clients {
                for datagram in client.outbox.drain(..) {
                    if !(self.loss)(client.id, true, &datagram) {
                        inbox.push((client.seen_as, datagram));
                    }
                }
            }
            idle &= inbox.is_empty();
            let mut datagrams: Vec<Datagram<'_>> = inbox
                .iter_mut()
                .map(|(source, payload)| Datagram { proto: Proto::Udp, source: *source, payload })
                .collect();
            self.shard.receive(self.now, &mut datagrams, &mut self.egress);
            idle &= self.deliver();
            if idle {
                return;
            }
        }
    }

    fn deliver(&mut self) -> bool {
        let idle = self.egress.transmits.is_empty();
        for transmit in &self.egress.transmits {
            let datagram = &self.egress.buffer[transmit.start..transmit.start + transmit.len];
            let Some(client) = self.clients.iter_mut().find(|c| c.seen_as == transmit.destination) else { continue };
            if (self.loss)(client.id, false, datagram) {
                continue;
            }
            let Ok(contents) = datagram.try_into() else { panic!("a datagram nobody can read") };
            let (source, destination) = (SERVER.parse().unwrap(), client.address);
            let receive = Receive { proto: Protocol::Udp, source, destination, contents };
            let _ = client.rtc.handle_input(Input::Receive(self.now, receive));
            client.drain(self.now);
        }
        self.egress.clear();
        idle
    }

    fn take_events(&mut self) {
        let from = self.events.len();
        self.shard.drain_events(&mut self.events);
        let mut answers = Vec::new();
        for event in &self.events[from..] {
            if let Event::Offer { peer, offer_id, sdp, mid_to_track } = event {
                let client = self.clients.iter_mut().find(|client| client.id == *peer).unwrap();
                if client.out_of_reach {
                    continue;
                }
                let offer = SdpOffer::from_sdp_string(sdp).unwrap_or_else(|error| panic!("{error}:\n{sdp}"));
                let answer = client.rtc.sdp_api().accept_offer(offer).unwrap();
                client.mid_to_track = mid_to_track.clone();
                client.answers.push(sdp.clone());
                answers.push(Command::Answer { peer: *peer, offer_id: *offer_id, sdp: answer.to_sdp_string() });
            }
            if let Event::Answer { peer, sdp, mid_to_track, sections, .. } = event {
                let client = self.clients.iter_mut().find(|client| client.id == *peer).unwrap();
                let answer =
                    SdpAnswer::from_sdp_string(&red::hidden(sdp)).unwrap_or_else(|error| panic!("{error}:\n{sdp}"));
                let pending = client.pending.take().expect("an offer");
                client.rtc.sdp_api().accept_answer(pending, answer).unwrap();
                client.mid_to_track = mid_to_track.clone();
                client.sections = sections.clone();
                client.answers.push(sdp.clone());
            }
        }
        for answer in answers {
            self.command(answer);
        }
    }

    /// Datagrams the client wants to send, taken off it.
    pub fn take_outbox(&mut self, index: usize) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.clients[index].outbox)
    }

    /// Packets the client got with this payload type, in order of arrival.
    pub fn got(&self, index: usize, payload_type: u8) -> Vec<&RtpPacket> {
        self.clients[index].received.iter().filter(|p| *p.header.payload_type == payload_type).collect()
    }

    /// Lets time pass in steps of a millisecond; `each` is called with the elapsed milliseconds.
    pub fn run_with(&mut self, ms: u64, mut each: impl FnMut(&mut World, u64)) {
        for step in 0..ms {
            self.now += Duration::from_millis(1);
            each(self, step);
            for client in &mut self.clients {
                if client.timeout <= self.now {
                    let _ = client.rtc.handle_input(Input::Timeout(self.now));
                    client.drain(self.now);
                }
            }
            let due = self.shard.next_timeout().is_some_and(|at| at <= self.now);
            if due || self.clients.iter().any(|client| !client.outbox.is_empty()) {
                self.pump();
            }
        }
    }

    pub fn run(&mut self, ms: u64) {
        self.run_with(ms, |_, _| {});
    }

    /// Runs until it holds, at most ten seconds.
    pub fn until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            self.run(1);
        }
        panic!("never: {what}; events: {:?}", self.events);
    }

    pub fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    pub fn write_data(&mut self, index: usize, label: &str, message: &[u8]) {
        assert!(self.try_write_data(index, label, message), "{label} takes the message");
    }

    /// False when the channel is not open, or its buffer full.
    pub fn try_write_data(&mut self, index: usize, label: &str, message: &[u8]) -> bool {
        let client = &mut self.clients[index];
        let channel = client.channels.get(label).and_then(|id| client.rtc.channel(*id));
        let written = channel.is_some_and(|mut channel| channel.write(true, message).unwrap_or(false));
        let _ = client.rtc.handle_input(Input::Timeout(self.now));
        client.drain(self.now);
        written
    }

    pub fn write_rtp(&mut self, index: usize, mid: Mid, rid: Option<&str>, packet: Rtp) {
        let now = self.now;
        let client = &mut self.clients[index];
        let rid = rid.map(Rid::from);
        let mut api = client.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, rid).expect("a stream to send on");
        let extensions = ExtensionValues {
            audio_level: packet.level,
            voice_activity: packet.level.map(|_| true),
            ..Default::default()
        };
        let write =
            RtpWrite::new(packet.payload_type.into(), packet.sequence.into(), packet.timestamp, now, packet.payload)
                .marker(packet.marker)
                .nackable(![OPUS, red::RED].contains(&packet.payload_type))
                .ext_vals(extensions);
        stream.write_rtp(write);
        let _ = client.rtc.handle_input(Input::Timeout(now));
        client.drain(now);
    }
}

pub struct Rtp {
    pub payload_type: u8,
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Vec<u8>,
    pub level: Option<i8>,
}

impl Client {
    pub fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => self.outbox.push(transmit.contents.to_vec()),
                Ok(Output::Event(event)) => self.on_event(event),
                Err(error) => {
                    eprintln!("client {:?}: {error}", self.id);
                    self.closed = true;
                    self.timeout = now + Duration::from_secs(3600);
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::Connected => self.connected = true,
            str0m::Event::RtpPacket(packet) => self.received.push(packet),
            str0m::Event::ChannelOpen(id, label) => {
                self.channels.insert(label.clone(), id);
                self.labels.insert(id, label);
            }
            str0m::Event::ChannelData(data) => self.data.push((self.labels[&data.id].clone(), data.data)),
            str0m::Event::KeyframeRequest(request) => {
                assert!(matches!(request.kind, KeyframeRequestKind::Pli | KeyframeRequestKind::Fir));
                self.keyframe_requests.push((request.mid, request.rid));
            }
            str0m::Event::EgressBitrateEstimate(BweKind::Twcc(rate)) => self.estimates.push(rate.as_u64()),
            str0m::Event::Closed => self.closed = true,
            _ => {}
        }
    }
}

/// A packet of a data track: a whole frame.
pub fn packet(handle: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x18, 0];
    packet.extend(handle.to_be_bytes());
    packet.extend([0, 1, 0, 1, 0, 0, 0, 9]);
    packet.extend_from_slice(payload);
    packet
}

pub fn receive_only(api: &mut str0m::change::SdpApi<'_>, audio: usize, video: usize) -> Vec<Mid> {
    let kinds = std::iter::repeat_n(MediaKind::Audio, audio).chain(std::iter::repeat_n(MediaKind::Video, video));
    kinds.map(|kind| api.add_media(kind, Direction::RecvOnly, None, None, None)).collect()
}

pub fn send_audio(api: &mut str0m::change::SdpApi<'_>) -> Mid {
    api.add_media(MediaKind::Audio, Direction::SendOnly, Some("stream".into()), Some("cid-audio".into()), None)
}

pub fn send_video(api: &mut str0m::change::SdpApi<'_>, rids: &[&str]) -> Mid {
    let layers = rids.iter().map(|rid| SimulcastLayer::new(rid)).collect();
    let simulcast = (!rids.is_empty()).then(|| Simulcast { send: layers, recv: vec![] });
    api.add_media(MediaKind::Video, Direction::SendOnly, Some("stream".into()), Some("cid-video".into()), simulcast)
}

/// A VP8 packet: 15-bit picture id, TL0PICIDX, no temporal layers.
/// One NAL unit in a packet; a key frame begins with a parameter set.
pub fn h264(key: bool, fill: u8, len: usize) -> Vec<u8> {
    let mut payload = vec![if key { 0x67 } else { 0x41 }];
    payload.resize(len, fill);
    payload
}

pub fn vp8(key: bool, first: bool, picture: u16, tl0: u8, fill: u8, len: usize) -> Vec<u8> {
    let start = if first { 0x10 } else { 0 };
    let mut payload = vec![0x80 | start, 0xE0, 0x80 | (picture >> 8) as u8, picture as u8, tl0, 0];
    if first {
        payload.extend_from_slice(&[if key { 0x10 } else { 0x11 }, 0, 0]);
        if key {
            payload.extend_from_slice(&[0x9D, 0x01, 0x2A, 64, 1, 180, 0]);
        }
    }
    payload.resize(len.max(payload.len()), fill);
    payload
}
