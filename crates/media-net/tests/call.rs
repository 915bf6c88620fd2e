//! The whole engine with the real core on real sockets, and a client with a WebRTC stack of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may fail loudly")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use auralink_media::api::{
    Command, Event, Kind, Layer, PeerId, PeerOptions, PeerRole, Publication, Quality, RoomId, Source,
    SubscriptionSettings, TrackId,
};
use auralink_media_net::framing::{FrameReader, FrameWriter};
use auralink_media_net::{Engine, EngineConfig, NetEvent};
use auralink_media_sim::{Client, LayerSpec};

/// Long enough for a loaded machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(1);

/// How a client reaches the server.
enum Road {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, reader: FrameReader, writer: FrameWriter },
}

impl Road {
    fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self {
            Road::Udp(socket) => {
                let _ = socket.send_to(bytes, to);
            }
            Road::Tcp { stream, writer, .. } => {
                writer.push(bytes);
                while !writer.is_empty() {
                    match stream.write(writer.front()) {
                        Ok(count) => writer.advance(count),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                        Err(error) => panic!("the server closed the connection: {error}"),
                    }
                }
            }
        }
    }

    /// Datagrams that came within a tick.
    fn receive(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut buffer = [0u8; 64 * 1024];
        let mut got = Vec::new();
        match self {
            Road::Udp(socket) => {
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    got.push((from, buffer[..length].to_vec()));
                    if got.len() == 64 {
                        break;
                    }
                }
            }
            Road::Tcp { stream, reader, .. } => {
                let from = stream.peer_addr().unwrap();
                if let Ok(length) = stream.read(&mut buffer) {
                    reader.push(&buffer[..length]);
                }
                while let Some(frame) = reader.next_frame().unwrap() {
                    got.push((from, frame.to_vec()));
                }
            }
        }
        got
    }
}

struct Member {
    client: Client,
    road: Road,
    offers: VecDeque<String>,
    offer_id: u32,
    sections: Vec<(String, String)>,
}

struct Call {
    engine: Engine,
    members: Vec<Member>,
    events: Vec<Event>,
}

impl Call {
    fn start() -> Call {
        let bind = vec![[127, 0, 0, 1].into()];
        let config = EngineConfig { bind, tcp_port: Some(0), ..EngineConfig::default() };
        let engine = Engine::start(&config).unwrap();
        engine.command(Command::CreateRoom { room: RoomId(1) }).unwrap();
        Call { engine, members: Vec::new(), events: Vec::new() }
    }

    fn join_udp(&mut self) -> usize {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let client = Client::new(socket.local_addr().unwrap(), Instant::now());
        self.join(client, Road::Udp(socket))
    }

    fn join_tcp(&mut self) -> usize {
        let stream = TcpStream::connect(("127.0.0.1", self.engine.tcp_port().unwrap())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TICK)).unwrap();
        let client = Client::over_tcp(stream.local_addr().unwrap(), Instant::now());
        let (reader, writer) = (FrameReader::default(), FrameWriter::new(1 << 20));
        self.join(client, Road::Tcp { stream, reader, writer })
    }

    fn join(&mut self, mut client: Client, road: Road) -> usize {
        let index = self.members.len();
        let first = client.first_offer();
        self.members.push(Member { client, road, offers: VecDeque::new(), offer_id: 0, sections: Vec::new() });
        let (role, options) = (PeerRole::Single, PeerOptions::default());
        self.engine.command(Command::CreatePeer { peer: peer(index), room: RoomId(1), role, options }).unwrap();
        self.offer(index, first);
        self.until("connect", |call| call.members[index].client.connected);
        index
    }

    fn offer(&mut self, index: usize, sdp: String) {
        let member = &mut self.members[index];
        member.offer_id += 1;
        let command = Command::Offer { peer: peer(index), offer_id: member.offer_id, sdp };
        self.engine.command(command).unwrap();
    }

    fn publish(&mut self, index: usize, track: u64) {
        let spec = LayerSpec::SINGLE;
        let (sdp, mid) = self.members[index].client.offer_camera(&spec, Instant::now());
        let layer = Layer { quality: Quality::High, width: 640, height: 360, bitrate_bps: spec[0].bitrate_bps };
        let publication = Publication {
            sif_trailer: Vec::new(),
            make_red: false,
            track: TrackId(track),
            sid: format!("TR_{track}"),
            stream_id: format!("PA_1|TR_{track}"),
            stream: String::new(),
            kind: Kind::Video,
            source: Source::Camera,
            muted: false,
            layers: vec![layer],
            mid,
        };
        self.engine.command(Command::Publish { peer: peer(index), publication }).unwrap();
        self.offer(index, sdp);
    }

    fn subscribe(&mut self, index: usize, track: u64) -> String {
        let settings = SubscriptionSettings::default();
        self.engine.command(Command::Subscribe { peer: peer(index), track: TrackId(track), settings }).unwrap();
        let sid = format!("TR_{track}");
        let section = |call: &Call| {
            call.members[index].sections.iter().find(|(_, known)| *known == sid).map(|(mid, _)| mid.clone())
        };
        self.until("a section", |call| section(call).is_some());
        section(self).unwrap()
    }

    fn shown(&self, index: usize, section: &str) -> usize {
        self.members[index].client.video.get(section).map_or(0, |video| video.decodable().count())
    }

    /// Lets everybody work until the condition holds.
    fn until(&mut self, what: &str, mut done: impl FnMut(&Call) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "it takes too long to {what}: {:?}", self.engine.stats());
            self.work();
        }
    }

    fn work(&mut self) {
        let mut events = Vec::new();
        self.engine.drain(1000, &mut events);
        for event in events {
            match event {
                NetEvent::Core(event) => self.on_event(event),
                NetEvent::ShardFailed { .. } => panic!("the shard failed"),
            }
        }
        for member in &mut self.members {
            for (from, bytes) in member.road.receive() {
                // The stack holds one input at a time: what it leads to is taken before the next.
                member.client.receive(Instant::now(), from, &bytes);
                member.client.advance(Instant::now(), |to, bytes| member.road.send(to, &bytes));
            }
            member.client.advance(Instant::now(), |to, bytes| member.road.send(to, &bytes));
        }
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::Answer { peer, sdp, mid_to_track, .. } => {
                let member = &mut self.members[peer.0 as usize - 1];
                member.client.accept_answer(sdp);
                member.sections.clone_from(mid_to_track);
                if let Some(next) = member.offers.pop_front() {
                    self.offer(peer.0 as usize - 1, next);
                }
            }
            Event::SectionsNeeded { peer, audio, video } => {
                let index = peer.0 as usize - 1;
                let sdp = self.members[index].client.offer_sections(*audio, *video);
                self.offer(index, sdp);
            }
            Event::OfferRejected { message, .. } => panic!("offer rejected: {message}"),
            Event::PeerClosed { peer, message, .. } => panic!("{peer:?} closed: {message}"),
            _ => {}
        }
        self.events.push(event);
    }
}

fn peer(index: usize) -> PeerId {
    PeerId(index as u64 + 1)
}

#[test]
fn media_flow_between_udp_and_tcp_clients() {
    let mut call = Call::start();
    let (alice, bob, carol) = (call.join_udp(), call.join_udp(), call.join_tcp());
    call.publish(alice, 1);
    let (bobs, carols) = (call.subscribe(bob, 1), call.subscribe(carol, 1));
    call.until("show video to both", |call| call.shown(bob, &bobs) > 60 && call.shown(carol, &carols) > 60);
    call.publish(carol, 2);
    let back = call.subscribe(alice, 2);
    call.until("show what the TCP client publishes", |call| call.shown(alice, &back) > 30);
    assert_eq!(call.engine.stats().tcp_connections, 1);
    assert!(call.engine.close(PATIENCE));
}

#[test]
fn a_hundred_thousand_random_datagrams_do_not_end_a_call() {
    let mut call = Call::start();
    let (alice, bob) = (call.join_udp(), call.join_udp());
    call.publish(alice, 1);
    let section = call.subscribe(bob, 1);
    call.until("show video", |call| call.shown(bob, &section) > 10);
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    noise.connect(("127.0.0.1", call.engine.udp_ports()[0])).unwrap();
    let mut random = auralink_media_sim::Rng::new(99);
    let mut payload = [0u8; 1400];
    for burst in 0..1000 {
        for _ in 0..100 {
            let length = (random.next_u64() % 1400) as usize;
            for chunk in payload.chunks_mut(8).take(length / 8 + 1) {
                chunk.copy_from_slice(&random.next_u64().to_le_bytes()[..chunk.len()]);
            }
            // Half of them look like STUN, DTLS, RTP or RTCP at first sight.
            let first = [0u8, 22, 128, 144, 129, 200, 64, 20];
            if random.chance(0.5) {
                payload[0] = first[(random.next_u64() % 8) as usize];
            }
            let _ = noise.send(&payload[..length]);
        }
        if burst % 10 == 0 {
            call.work();
        }
    }
    let before = call.shown(bob, &section);
    call.until("show video after the noise", |call| call.shown(bob, &section) > before + 60);
    assert!(call.engine.stats().core.dropped_unknown + call.engine.stats().core.dropped_malformed > 1_000);
    assert_eq!(call.engine.stats().core.peer_panics, 0);
}
