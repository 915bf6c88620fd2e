//! A core that is easy to talk to, so that the I/O around it can be tested alone.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by several test binaries, which may fail loudly"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use auralink_media::api::{Channel, Command, Counters, Datagram, Egress, Event, Proto, ShardConfig, Transmit};
use auralink_media_net::{Core, CoreFactory, Engine, EngineConfig, NetEvent};

/// Long enough for a loaded machine; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Echoes datagrams. A datagram `fan <count> <size>` is answered by that many datagrams; `panic` panics; `tick` is
/// answered by the next timer. An offer is answered with the ICE user fragment `ufrag<peer>`.
pub struct EchoCore {
    events: Vec<Event>,
    counters: Counters,
    due: Vec<(Instant, Proto, SocketAddr)>,
}

pub struct EchoFactory;

impl CoreFactory for EchoFactory {
    type Core = EchoCore;

    fn make(&self, _: ShardConfig, _: Instant) -> EchoCore {
        EchoCore { events: Vec::new(), counters: Counters::default(), due: Vec::new() }
    }
}

impl EchoCore {
    fn transmit(&mut self, egress: &mut Egress, proto: Proto, destination: SocketAddr, payload: &[u8]) {
        let start = egress.buffer.len();
        egress.buffer.extend_from_slice(payload);
        egress.transmits.push(Transmit { proto, destination, start, len: payload.len() });
        self.counters.datagrams_out += 1;
    }

    fn answer(&mut self, now: Instant, datagram: &Datagram<'_>, egress: &mut Egress) {
        let (proto, source) = (datagram.proto, datagram.source);
        let words: Vec<&str> = std::str::from_utf8(datagram.payload).unwrap_or("").split(' ').collect();
        match words.as_slice() {
            ["panic"] => panic!("asked to"),
            ["tick"] => self.due.push((now + Duration::from_millis(5), proto, source)),
            ["fan", count, size] => {
                let (count, size): (u32, usize) = (count.parse().unwrap(), size.parse().unwrap());
                for number in 0..count {
                    let mut payload = vec![0; size];
                    payload.get_mut(..4).unwrap().copy_from_slice(&number.to_be_bytes());
                    self.transmit(egress, proto, source, &payload);
                }
            }
            _ => self.transmit(egress, proto, source, datagram.payload),
        }
    }
}

impl Core for EchoCore {
    fn command(&mut self, _: Instant, command: Command) {
        match command {
            Command::CreatePeer { peer, .. } => {
                self.counters.peers += 1;
                self.events.push(Event::Connected { peer });
            }
            Command::ClosePeer { .. } => self.counters.peers -= 1,
            Command::Offer { peer, offer_id, .. } => self.events.push(Event::Answer {
                peer,
                offer_id,
                sdp: format!("v=0\r\na=ice-ufrag:ufrag{}\r\n", peer.0),
                mid_to_track: Vec::new(),
                sections: Vec::new(),
            }),
            Command::SendData { peers, channel, payload, .. } => {
                for peer in peers {
                    self.events.push(Event::Data { peer, channel, payload: payload.clone() });
                }
            }
            _ => {}
        }
    }

    fn receive(
        &mut self,
        now: Instant,
        datagrams: &mut [Datagram<'_>],
        egress: &mut Egress,
        drain: &mut dyn FnMut(&mut Egress),
    ) {
        self.counters.datagrams_in += datagrams.len() as u64;
        for datagram in datagrams {
            self.answer(now, datagram, egress);
            drain(egress);
        }
    }

    fn tick(&mut self, now: Instant, egress: &mut Egress) {
        let (due, later) = self.due.drain(..).partition(|(at, _, _)| *at <= now);
        self.due = later;
        for (_, proto, source) in due {
            self.transmit(egress, proto, source, b"tock");
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due.iter().map(|(at, _, _)| *at).min()
    }

    fn shed(&mut self, _: Instant, _: u8) {}

    fn drain_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.events);
    }

    fn tcp_closed(&mut self, _: Instant, _: SocketAddr) {
        // Seen from outside as a closed channel of peer 0, which no test creates.
        let peer = auralink_media::api::PeerId(0);
        self.events.push(Event::ChannelOpen { peer, channel: Channel::Reliable });
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

pub fn loopback() -> EngineConfig {
    EngineConfig { bind: vec![[127, 0, 0, 1].into()], ..EngineConfig::default() }
}

pub fn start(config: &EngineConfig) -> Engine {
    Engine::start_with(config, EchoFactory).unwrap()
}

/// Takes events until `want` finds what it looks for.
pub fn wait_for<T>(engine: &Engine, mut want: impl FnMut(&NetEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    loop {
        engine.drain(1, &mut events);
        for event in events.drain(..) {
            if let Some(found) = want(&event) {
                return found;
            }
        }
        assert!(Instant::now() < deadline, "the event did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until `done`, for things that have no event.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
