//! The far side of the bare relay: a source of frames and the sinks they should come out at, on loopback or behind a card.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::io::{Epoll, Outgoing, Receiver, Sender};
use crate::ip::Datagrams;
use crate::link::{self, Link, POLL_INTERVAL, Port};
use crate::tun::{self, Tun};

/// Long enough for any frame to arrive; after it the missing datagrams count as lost.
const FRAME_PATIENCE: Duration = Duration::from_millis(50);
/// The source is the first client of the link, the sinks are the next ones.
const SOURCE: usize = 0;

/// The frames that are fed.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    pub packets: usize,
    pub bytes: usize,
    /// In a second; 0: each as soon as the one before came out.
    pub rate: u32,
}

pub struct FarSide {
    source: Port,
    sinks: Vec<Port>,
    reading: Reading,
}

enum Reading {
    Sockets { epoll: Epoll, receiver: Box<Receiver>, ready: Vec<u64>, fds: Vec<RawFd> },
    Card { card: Rc<Tun>, packet: Vec<u8> },
}

impl FarSide {
    pub fn new(link: &Link, sinks: usize) -> Result<FarSide, String> {
        let source = link.port(SOURCE)?;
        let sinks = (0..sinks).map(|number| link.port(SOURCE + 1 + number)).collect::<Result<Vec<Port>, _>>()?;
        let reading = match link.card() {
            Some(card) => Reading::Card { card: card.clone(), packet: vec![0; tun::PACKET] },
            None => Reading::sockets(sinks.iter().filter_map(Port::fd).collect())?,
        };
        Ok(FarSide { source, sinks, reading })
    }

    pub fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        self.sinks.iter().map(Port::address).collect::<Result<_, _>>().map_err(|error| format!("UDP socket: {error}"))
    }

    /// Send frames to the relay, each when the one before came out everywhere and, with a rate, when it is due. Returns
    /// (sent, received) packets.
    pub fn feed(&mut self, relay: SocketAddr, frames: Frames, time: Duration) -> (u64, u64) {
        let Frames { packets, bytes, rate } = frames;
        let buffer = vec![0xA5; bytes * packets];
        let datagrams: Vec<Outgoing> =
            (0..packets).map(|position| Outgoing { start: position * bytes, len: bytes, destination: relay }).collect();
        let mut sender = Sender::new();
        let (mut sent, mut received) = (0, 0);
        let mut due = Instant::now();
        let end = due + time;
        while Instant::now() < end {
            if rate > 0 {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                due += Duration::from_secs(1) / rate;
            }
            let taken = self.source.send(&mut sender, &buffer, &datagrams) as u64;
            sent += taken;
            let mut awaited = taken * self.sinks.len() as u64;
            let patience = Instant::now() + FRAME_PATIENCE;
            while awaited > 0 && Instant::now() < patience {
                let count = self.reading.receive(rate > 0);
                received += count;
                awaited = awaited.saturating_sub(count);
            }
        }
        (sent, received)
    }
}

impl Reading {
    fn sockets(fds: Vec<RawFd>) -> Result<Reading, String> {
        let epoll = Epoll::new().map_err(|error| format!("epoll: {error}"))?;
        for (fd, token) in fds.iter().zip(0..) {
            epoll.add(*fd, token).map_err(|error| format!("epoll: {error}"))?;
        }
        Ok(Reading::Sockets { epoll, receiver: Box::new(Receiver::new()), ready: Vec::new(), fds })
    }

    /// How many packets came to sinks. A card that is empty is looked at again after a moment or, when not `relaxed`, at
    /// once: the moment would be the relay's sleep.
    fn receive(&mut self, relaxed: bool) -> u64 {
        match self {
            Reading::Sockets { epoll, receiver, ready, fds } => {
                epoll.wait(5, ready);
                ready.iter().map(|token| receiver.receive(fds[*token as usize]) as u64).sum()
            }
            Reading::Card { card, packet } => {
                let mut count = 0;
                while let Some(packet) = card.read(packet) {
                    count += Datagrams::parse(packet).map_or(0, |datagrams| at_a_sink(&datagrams));
                }
                if count == 0 && relaxed {
                    thread::sleep(POLL_INTERVAL);
                }
                count
            }
        }
    }
}

fn at_a_sink(datagrams: &Datagrams<'_>) -> u64 {
    match link::client_number(datagrams.destination) {
        Some(number) if number != SOURCE => datagrams.count() as u64,
        _ => 0,
    }
}
