//! All clients of this process on one thread: one epoll, one loop.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::client::{Client, Role, Target, Workspace};
use crate::io::Epoll;

/// Timers are looked at this often at most; a frame may leave this much late.
const GRANULARITY: Duration = Duration::from_millis(1);

pub struct Fleet {
    pub clients: Vec<Option<Client>>,
    pub work: Workspace,
    pub errors: Vec<String>,
    /// Ports of clients that left, so that their drops still count as ours.
    epoll: Epoll,
    ready: Vec<u64>,
    timers_at: Instant,
}

impl Fleet {
    pub fn new() -> Result<Fleet, String> {
        Ok(Fleet {
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
        let client = Client::start(target, role)?;
        let place = self.clients.len();
        let token = place as u64 * 2;
        let added = self.epoll.add(client.udp_fd(), token).and_then(|()| self.epoll.add(client.signal_fd(), token + 1));
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

    pub fn ports(&self) -> (HashSet<u16>, HashSet<u16>) {
        let ours = self.alive().map(Client::local_port).collect();
        let servers = self.alive().filter_map(Client::server_port).collect();
        (ours, servers)
    }

    /// Wait for sockets and timers once, at most until `deadline`, and serve what is due.
    pub fn step(&mut self, deadline: Instant) {
        let now = Instant::now();
        if now >= self.timers_at {
            self.serve_timers(now);
        }
        let wait = self.timers_at.min(deadline).saturating_duration_since(Instant::now());
        let milliseconds = wait.as_micros().div_ceil(1000).min(100) as i32;
        let mut ready = std::mem::take(&mut self.ready);
        self.epoll.wait(milliseconds, &mut ready);
        for token in &ready {
            self.serve_socket(*token);
        }
        self.ready = ready;
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
        let result =
            if token % 2 == 0 { client.on_datagrams(&mut self.work) } else { client.on_signal(Instant::now()) };
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
