//! All clients of this process on one thread: one epoll, one loop. Behind a card it looks at the card at short intervals
//! instead of waiting to be woken up.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Role, Target, Workspace};
use crate::io::Epoll;
use crate::ip::Datagrams;
use crate::link::{self, Link, POLL_INTERVAL};
use crate::procfs;
use crate::tun::{self, Tun};

/// Timers are looked at this often at most; a frame may leave this much late.
const GRANULARITY: Duration = Duration::from_millis(1);
/// Packets read from a card before timers are looked at again.
const CARD_BATCH: usize = 256;

pub struct Fleet {
    pub clients: Vec<Option<Client>>,
    pub work: Workspace,
    pub errors: Vec<String>,
    link: Link,
    /// Where packets of the card are read to; empty on loopback.
    packet: Vec<u8>,
    epoll: Epoll,
    ready: Vec<u64>,
    timers_at: Instant,
}

impl Fleet {
    pub fn new(link: Link) -> Result<Fleet, String> {
        Ok(Fleet {
            packet: vec![0; if link.card().is_some() { tun::PACKET } else { 0 }],
            link,
            clients: Vec::new(),
            work: Workspace::new(),
            errors: Vec::new(),
            epoll: Epoll::new().map_err(|error| format!("epoll: {error}"))?,
            ready: Vec::new(),
            timers_at: Instant::now(),
        })
    }

    /// Start one more client; returns its place.
    pub fn join(&mut self, target: &Target, role: Role) -> Result<usize, String> {
        let place = self.clients.len();
        let client = Client::start(target, role, self.link.port(place)?)?;
        let token = place as u64 * 2;
        let own = client.udp_fd().map_or(Ok(()), |fd| self.epoll.add(fd, token));
        let added = own.and_then(|()| self.epoll.add(client.signal_fd(), token + 1));
        added.map_err(|error| format!("epoll: {error}"))?;
        self.clients.push(Some(client));
        Ok(place)
    }

    /// Say goodbye and close its sockets.
    pub fn leave(&mut self, place: usize) {
        if let Some(mut client) = self.clients.get_mut(place).and_then(Option::take) {
            client.leave();
        }
    }

    pub fn leave_all(&mut self) {
        for place in 0..self.clients.len() {
            self.leave(place);
        }
    }

    pub fn alive(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().flatten()
    }

    /// What was lost because somebody did not read in time, so far: we (our sockets, or the card that we are) and the
    /// server's sockets.
    pub fn drops(&self) -> (u64, u64) {
        let ours: HashSet<u16> = self.alive().filter_map(Client::local_port).collect();
        let servers = self.alive().filter_map(Client::server_port).collect();
        let card = self.link.card().map_or(0, |card| card.dropped());
        (procfs::drops(&ours) + card, procfs::drops(&servers))
    }

    /// Wait for sockets and timers once, at most until `deadline`, and serve what is due.
    pub fn step(&mut self, deadline: Instant) {
        let now = Instant::now();
        if now >= self.timers_at {
            self.serve_timers(now);
        }
        match self.link.card().cloned() {
            None => self.serve_sockets(self.until(deadline)),
            Some(card) => {
                let emptied = self.serve_card(&card);
                self.serve_sockets(Duration::ZERO);
                if emptied {
                    thread::sleep(self.until(deadline).min(POLL_INTERVAL));
                }
            }
        }
    }

    fn until(&self, deadline: Instant) -> Duration {
        self.timers_at.min(deadline).saturating_duration_since(Instant::now())
    }

    fn serve_sockets(&mut self, wait: Duration) {
        let milliseconds = wait.as_micros().div_ceil(1000).min(100) as i32;
        let mut ready = std::mem::take(&mut self.ready);
        self.epoll.wait(milliseconds, &mut ready);
        for token in &ready {
            self.serve_socket(*token);
        }
        self.ready = ready;
    }

    /// True when the card has nothing more.
    fn serve_card(&mut self, card: &Tun) -> bool {
        let mut buffer = std::mem::take(&mut self.packet);
        let mut emptied = false;
        for _ in 0..CARD_BATCH {
            let Some(packet) = card.read(&mut buffer) else {
                emptied = true;
                break;
            };
            let Some(mut datagrams) = Datagrams::parse(packet) else { continue };
            let Some(place) = link::client_number(datagrams.destination) else { continue };
            let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { continue };
            let result = client.on_card(&mut datagrams, &mut self.work);
            self.served(place, result);
        }
        self.packet = buffer;
        emptied
    }

    /// Step until the condition holds; false when the time ran out before.
    pub fn run_until(&mut self, deadline: Instant, mut done: impl FnMut(&Fleet) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.step(deadline);
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.step(deadline);
        }
    }

    fn serve_timers(&mut self, now: Instant) {
        let mut next = now + Duration::from_millis(100);
        for place in 0..self.clients.len() {
            let Some(client) = &mut self.clients[place] else { continue };
            if now >= client.next_timeout() {
                if let Err(error) = client.on_time(now, &mut self.work) {
                    self.fail(place, &error);
                    continue;
                }
            }
            if let Some(client) = &self.clients[place] {
                next = next.min(client.next_timeout());
            }
        }
        self.timers_at = next.max(now + GRANULARITY);
    }

    fn serve_socket(&mut self, token: u64) {
        let place = (token / 2) as usize;
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return };
        let result = if token % 2 == 0 { client.on_socket(&mut self.work) } else { client.on_signal(Instant::now()) };
        self.served(place, result);
    }

    fn served(&mut self, place: usize, result: Result<(), String>) {
        let Some(client) = &self.clients[place] else { return };
        // What came in may have moved a timer forward.
        self.timers_at = self.timers_at.min(client.next_timeout().max(Instant::now() + GRANULARITY));
        if let Err(error) = result {
            self.fail(place, &error);
        }
    }

    fn fail(&mut self, place: usize, error: &str) {
        if let Some(client) = self.clients[place].take() {
            self.errors.push(format!("{}: {error}", client.role.identity));
        }
    }
}
