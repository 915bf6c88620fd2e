//! The thread that owns the connections.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::connection::{Connection, Next};
use super::{Account, Command, Shared, SocketId};
use crate::sys::{Epoll, Ready, Watch};

const WAKE: u64 = 0;
/// How much longer than allowed a silent client, or one that does not read its end, may be kept: a part of the silence.
const SWEEPS: u32 = 8;

pub struct Worker {
    shared: Arc<Shared>,
    epoll: Epoll,
    connections: FxHashMap<u64, Entry>,
    /// Those that are not read for now, and until when.
    resting: FxHashMap<u64, Instant>,
    commands: Vec<Command>,
    ready: Vec<Ready>,
    next_sweep: Instant,
}

struct Entry {
    connection: Connection,
    watched: Option<Watch>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> io::Result<Worker> {
        let epoll = Epoll::new()?;
        epoll.add(shared.wake.raw(), WAKE, Watch::Read)?;
        Ok(Worker {
            shared,
            epoll,
            connections: FxHashMap::default(),
            resting: FxHashMap::default(),
            commands: Vec::new(),
            ready: Vec::new(),
            next_sweep: Instant::now(),
        })
    }

    /// Until the hub closes; what goes wrong costs the connections, whose clients come again.
    pub fn serve(&mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            let tokens: Vec<u64> = self.connections.keys().copied().collect();
            tokens.into_iter().for_each(|token| self.drop(token));
        }
    }

    fn run(&mut self) {
        while !self.shared.stopping.load(Ordering::Acquire) {
            let timeout = self.next_time().saturating_duration_since(Instant::now());
            let mut ready = std::mem::take(&mut self.ready);
            if self.epoll.wait(Some(timeout), &mut ready).is_err() {
                std::thread::sleep(Duration::from_millis(10)); // no memory in the kernel: it will pass
            }
            let now = Instant::now();
            for event in &ready {
                match event.token {
                    WAKE => self.obey(now),
                    token => self.turn(token, event.readable, now),
                }
            }
            self.ready = ready;
            self.wake_rested(now);
            if now >= self.next_sweep {
                self.sweep(now);
            }
        }
    }

    fn next_time(&self) -> Instant {
        let rested = self.resting.values().min();
        rested.map_or(self.next_sweep, |rested| self.next_sweep.min(*rested))
    }

    fn obey(&mut self, now: Instant) {
        self.shared.wake.reset();
        let mut commands = std::mem::take(&mut self.commands);
        std::mem::swap(&mut *self.shared.lock(), &mut commands);
        let mut touched = Vec::new();
        for command in commands.drain(..) {
            let id = match command {
                Command::Adopt { id, socket, head, account } => {
                    let connection = Connection::new(id, socket, &head, Arc::clone(&account), &self.shared.limits);
                    self.adopt(id, connection, &account);
                    id
                }
                Command::Send { id, message } => {
                    if let Some(entry) = self.connections.get_mut(&id.0) {
                        entry.connection.queue(message);
                    }
                    id
                }
                Command::Close { id, code } => {
                    if let Some(entry) = self.connections.get_mut(&id.0) {
                        entry.connection.close(code, now);
                    }
                    id
                }
            };
            if touched.last() != Some(&id) {
                touched.push(id);
            }
        }
        self.commands = commands;
        for id in touched {
            self.turn(id.0, false, now);
        }
    }

    fn adopt(&mut self, id: SocketId, connection: io::Result<Connection>, account: &Arc<Account>) {
        match connection {
            Ok(connection) => {
                self.connections.insert(id.0, Entry { connection, watched: None });
            }
            Err(_) => self.shared.incoming.push(id, super::Incoming::Over, account),
        }
    }

    /// Reads, if there may be something, and writes. What goes wrong with one connection costs that one.
    fn turn(&mut self, token: u64, readable: bool, now: Instant) {
        let Some(entry) = self.connections.get_mut(&token) else { return };
        let shared = &self.shared;
        let next = catch_unwind(AssertUnwindSafe(|| {
            let next = if readable { entry.connection.read(shared, now) } else { Next::Wait };
            // Of one that is over, too: its client's goodbye is answered.
            if entry.connection.write() == Next::Drop { Next::Drop } else { next }
        }));
        match next.unwrap_or(Next::Drop) {
            Next::Drop => self.drop(token),
            Next::Rest(until) => {
                self.resting.insert(token, until);
                self.watch(token);
            }
            Next::Wait => self.watch(token),
        }
    }

    /// Has the kernel tell us what the connection waits for; one that rests waits for nothing.
    fn watch(&mut self, token: u64) {
        let Some(entry) = self.connections.get_mut(&token) else { return };
        let wanted = if self.resting.contains_key(&token) {
            None
        } else if entry.connection.blocked {
            Some(Watch::ReadAndWrite)
        } else {
            Some(Watch::Read)
        };
        if wanted == entry.watched {
            return;
        }
        let fd = entry.connection.raw();
        let done = match (entry.watched, wanted) {
            (None, Some(watch)) => self.epoll.add(fd, token, watch),
            (Some(_), Some(watch)) => self.epoll.change(fd, token, watch),
            (_, None) => {
                self.epoll.remove(fd);
                Ok(())
            }
        };
        entry.watched = wanted;
        if done.is_err() {
            self.drop(token);
        }
    }

    fn wake_rested(&mut self, now: Instant) {
        let rested: Vec<u64> =
            self.resting.iter().filter(|(_, until)| **until <= now).map(|(token, _)| *token).collect();
        for token in rested {
            self.resting.remove(&token);
            self.turn(token, true, now);
        }
    }

    /// Looks for clients that are silent, and for ends that take too long.
    fn sweep(&mut self, now: Instant) {
        self.next_sweep = now + self.sweep_time();
        let mut late = Vec::new();
        for (token, entry) in &mut self.connections {
            if entry.connection.deadline.is_some_and(|deadline| deadline <= now) {
                late.push(*token);
            } else if entry.connection.is_silent(&self.shared, now) {
                entry.connection.tell_over(&self.shared.incoming);
            }
        }
        for token in late {
            self.drop(token);
        }
    }

    fn sweep_time(&self) -> Duration {
        self.shared.limits.silence / SWEEPS
    }

    fn drop(&mut self, token: u64) {
        self.resting.remove(&token);
        if let Some(mut entry) = self.connections.remove(&token) {
            self.epoll.remove(entry.connection.raw());
            entry.connection.tell_over(&self.shared.incoming);
        }
    }
}
