//! The loop of a shard's thread: wait, take what arrived, let the core work, send the result.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use auralink_media::api::{CloseReason, Command, Datagram, Egress, Event, PeerId, Proto};
use rustc_hash::FxHashMap;

use crate::core::{Core, CoreFactory};
use crate::counters::{self, ThreadCounters};
use crate::events::NetEvent;
use crate::mailbox::Input;
use crate::routes::Routes;
use crate::send::Sender;
use crate::supervisor::Context;
use crate::sys::{Epoll, Ready};
use crate::tcp::{Connection, Flow, Handover};
use crate::udp::{BATCH, RecvBatch};

/// Full batches taken from one socket before everything else has its turn.
const MAX_ROUNDS: usize = 4;
/// More than this is sent before more is read, so that egress stays in the cache.
const EGRESS_BYTES: usize = 256 * 1024;
/// Egress memory kept for the next wake-up.
const EGRESS_KEPT: usize = 4 * 1024 * 1024;
/// A flush of this many packets means fan-out: gathering makes its runs longer.
const FAN_OUT: usize = 16;
/// How long after such a flush wake-ups are still gathered.
const FAN_OUT_LASTS: Duration = Duration::from_millis(20);
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);
const TCP_SWEEP_EVERY: Duration = Duration::from_secs(5);

const MAILBOX: u64 = 0;
const FIRST_SOCKET: u64 = 1;
const FIRST_CONNECTION: u64 = 1 << 32;

/// The state of one run of a shard; gone when it fails.
pub struct ShardLoop<'a, C> {
    context: &'a Context,
    core: C,
    epoll: Epoll,
    receive: RecvBatch,
    sender: Sender,
    egress: Egress,
    routes: Routes,
    connections: FxHashMap<u64, Connection>,
    /// Token of the connection from an address.
    tcp: FxHashMap<SocketAddr, u64>,
    next_token: u64,
    next_sweep: Instant,
    ready: Vec<Ready>,
    inputs: Vec<Input>,
    events: Vec<Event>,
    /// What earlier cores of this thread counted.
    carried: ThreadCounters,
    counters: ThreadCounters,
    snapshot_due: Option<Instant>,
    last_wake: Instant,
    fan_out_until: Instant,
}

impl<'a, C: Core> ShardLoop<'a, C> {
    pub fn new<F: CoreFactory<Core = C>>(
        context: &'a Context,
        factory: &F,
        carried: ThreadCounters,
    ) -> io::Result<ShardLoop<'a, C>> {
        let epoll = Epoll::new()?;
        epoll.add(context.mailbox.wake().raw(), MAILBOX)?;
        for (token, socket) in (FIRST_SOCKET..).zip(&context.sockets) {
            epoll.add(socket.raw(), token)?;
        }
        let now = Instant::now();
        Ok(ShardLoop {
            context,
            core: factory.make(context.config.clone(), now),
            epoll,
            receive: RecvBatch::new(),
            sender: Sender::new(context.gso),
            egress: Egress::default(),
            routes: Routes::new(&context.sockets),
            connections: FxHashMap::default(),
            tcp: FxHashMap::default(),
            next_token: FIRST_CONNECTION,
            next_sweep: now,
            ready: Vec::new(),
            inputs: Vec::new(),
            events: Vec::new(),
            carried,
            counters: ThreadCounters::default(),
            snapshot_due: None,
            last_wake: now,
            fan_out_until: now,
        })
    }

    /// Runs until told to stop.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let timeout = self.timeout();
            self.epoll.wait(timeout, &mut self.ready)?;
            if self.context.stopping() {
                self.publish_counters();
                return Ok(());
            }
            self.gather();
            self.counters.wakeups += 1;
            self.last_wake = Instant::now();
            let commanded = self.take_inputs();
            let ready = std::mem::take(&mut self.ready);
            for event in &ready {
                self.serve(*event)?;
            }
            self.ready = ready;
            let now = Instant::now();
            if commanded || self.core.next_timeout().is_some_and(|due| due <= now) {
                self.core.tick(now, &mut self.egress);
            }
            self.flush();
            self.sweep(now);
            self.publish_events();
            self.snapshot(now);
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let sweep = (!self.connections.is_empty()).then_some(self.next_sweep);
        let due = [self.core.next_timeout(), self.snapshot_due, sweep].into_iter().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Under fan-out, lets the packets of a frame arrive before they are worked on: one wake-up, one flush, longer
    /// runs. The wait is bounded by `gather` after the wake-up before.
    fn gather(&self) {
        let now = Instant::now();
        if self.context.gather.is_zero() || now >= self.fan_out_until {
            return;
        }
        let since = now.saturating_duration_since(self.last_wake);
        if let Some(rest) = self.context.gather.checked_sub(since) {
            std::thread::sleep(rest);
        }
    }

    /// True when there were commands.
    fn take_inputs(&mut self) -> bool {
        if !self.ready.iter().any(|event| event.token == MAILBOX) {
            return false;
        }
        let mut inputs = std::mem::take(&mut self.inputs);
        self.context.mailbox.take(&mut inputs);
        let mut commanded = false;
        for input in inputs.drain(..) {
            match input {
                Input::Command(command) => {
                    commanded = true;
                    self.core.command(Instant::now(), command);
                }
                Input::Tcp(handover) => self.adopt(handover),
            }
        }
        self.inputs = inputs;
        commanded
    }

    fn serve(&mut self, event: Ready) -> io::Result<()> {
        if event.token >= FIRST_CONNECTION {
            self.serve_connection(event);
            return Ok(());
        }
        let socket = event.token.checked_sub(FIRST_SOCKET).and_then(|index| usize::try_from(index).ok());
        match socket {
            Some(index) => self.serve_socket(index),
            None => Ok(()),
        }
    }

    fn serve_socket(&mut self, index: usize) -> io::Result<()> {
        let context = self.context;
        let Some(socket) = context.sockets.get(index) else { return Ok(()) };
        for _ in 0..MAX_ROUNDS {
            self.counters.receive_calls += 1;
            let taken = match self.receive.receive(socket) {
                Ok(taken) => taken,
                Err(error) if is_gone(&error) => return Err(error),
                // ICMP errors of earlier sends are reported here; the next call delivers again.
                Err(_) => {
                    self.counters.receive_errors += 1;
                    continue;
                }
            };
            if taken == 0 {
                break;
            }
            let (mut batch, used) = self.receive.datagrams();
            self.counters.receive_truncated += (taken - used) as u64;
            let batch = batch.get_mut(..used).unwrap_or_default();
            self.routes.learn(index, batch);
            self.core.receive(Instant::now(), batch, &mut self.egress);
            if self.egress.buffer.len() >= EGRESS_BYTES {
                self.flush();
            }
            if taken < BATCH {
                break;
            }
        }
        Ok(())
    }

    fn adopt(&mut self, handover: Handover) {
        let now = Instant::now();
        if self.tcp.contains_key(&handover.remote) {
            return;
        }
        let (connection, mut first) = Connection::new(handover, self.context.queues.tcp_write_bytes, now);
        let token = self.next_token;
        if self.epoll.add(connection.raw(), token).is_err() {
            return;
        }
        self.next_token += 1;
        let source = connection.remote;
        self.tcp.insert(source, token);
        self.connections.insert(token, connection);
        let mut datagram = [Datagram { proto: Proto::Tcp, source, payload: &mut first }];
        self.core.receive(now, &mut datagram, &mut self.egress);
        self.take_frames(token, now);
    }

    fn serve_connection(&mut self, event: Ready) {
        let now = Instant::now();
        let Some(connection) = self.connections.get_mut(&event.token) else { return };
        let mut flow = Flow::Open;
        if event.readable {
            flow = connection.read(now);
        }
        if event.writable && flow == Flow::Open {
            flow = connection.write();
            if !connection.wants_write() {
                let _ = self.epoll.want_write(connection.raw(), event.token, false);
            }
        }
        // What came before the end still counts.
        self.take_frames(event.token, now);
        if flow == Flow::Closed {
            self.close_connection(event.token, now);
        }
    }

    fn take_frames(&mut self, token: u64, now: Instant) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let source = connection.remote;
        loop {
            match connection.reader.next_frame() {
                Ok(Some(payload)) => {
                    let mut datagram = [Datagram { proto: Proto::Tcp, source, payload }];
                    self.core.receive(now, &mut datagram, &mut self.egress);
                }
                Ok(None) => return,
                Err(_) => break,
            }
        }
        self.close_connection(token, now);
    }

    fn close_connection(&mut self, token: u64, now: Instant) {
        let Some(connection) = self.connections.remove(&token) else { return };
        self.epoll.remove(connection.raw());
        self.tcp.remove(&connection.remote);
        self.core.tcp_closed(now, connection.remote);
    }

    fn sweep(&mut self, now: Instant) {
        if self.connections.is_empty() || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + TCP_SWEEP_EVERY;
        let idle: Vec<u64> = self.connections.iter().filter(|(_, c)| c.is_idle(now)).map(|(token, _)| *token).collect();
        for token in idle {
            self.close_connection(token, now);
        }
    }

    fn flush(&mut self) {
        if self.egress.transmits.is_empty() {
            return;
        }
        if self.egress.transmits.len() >= FAN_OUT {
            self.fan_out_until = Instant::now() + FAN_OUT_LASTS;
        }
        self.sender.send(&self.context.sockets, &self.egress, |destination| self.routes.socket(destination));
        if !self.connections.is_empty() {
            self.flush_tcp();
        }
        self.egress.clear();
        if self.egress.buffer.capacity() > EGRESS_KEPT {
            self.egress.buffer.shrink_to(EGRESS_KEPT);
        }
    }

    fn flush_tcp(&mut self) {
        let mut touched: Vec<u64> = Vec::new();
        for transmit in self.egress.transmits.iter().filter(|t| t.proto == Proto::Tcp) {
            let Some(token) = self.tcp.get(&transmit.destination) else { continue };
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let payload = self.egress.buffer.get(transmit.start..transmit.start + transmit.len).unwrap_or_default();
            if !connection.queue(payload) {
                self.counters.tcp_dropped += 1;
            }
            if touched.last() != Some(token) {
                touched.push(*token);
            }
        }
        let now = Instant::now();
        for token in touched {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            if connection.write() == Flow::Closed {
                self.close_connection(token, now);
            } else if connection.wants_write() {
                let _ = self.epoll.want_write(connection.raw(), token, true);
            }
        }
    }

    /// Hands the core's events to the queue. Peers whose events do not fit are closed.
    fn publish_events(&mut self) {
        self.core.drain_events(&mut self.events);
        if self.events.is_empty() {
            return;
        }
        if self
            .events
            .iter()
            .any(|e| matches!(e, Event::Answer { .. } | Event::Offer { .. } | Event::PeerClosed { .. }))
        {
            let mut directory = self.context.directory();
            self.events.iter().for_each(|event| directory.note_event(event));
        }
        self.context.events.publish(&mut self.events);
        for event in std::mem::take(&mut self.events) {
            self.overflowed(event);
        }
    }

    fn overflowed(&mut self, event: Event) {
        let peer = {
            let mut directory = self.context.directory();
            let owner = directory.owner(&event);
            match (owner, &event) {
                // The last word about a peer is always delivered; there is one per peer.
                (_, Event::PeerClosed { .. }) | (None, _) => None,
                (Some(peer), _) if directory.knows_peer(peer) => {
                    directory.remove_peer(peer);
                    Some(peer)
                }
                // Closed a moment ago for the same reason: the rest of what it had to say is void.
                (Some(_), _) => return,
            }
        };
        match peer {
            None => self.context.events.force(NetEvent::Core(event)),
            Some(peer) => {
                self.core.command(Instant::now(), Command::ClosePeer { peer });
                self.context.events.force(NetEvent::Core(too_slow(peer)));
            }
        }
    }

    fn snapshot(&mut self, now: Instant) {
        match self.snapshot_due {
            None => self.snapshot_due = Some(now + SNAPSHOT_EVERY),
            Some(due) if due <= now => {
                self.publish_counters();
                self.snapshot_due = None;
            }
            Some(_) => {}
        }
    }

    fn publish_counters(&mut self) {
        let mut counters = self.counters;
        counters.core = self.carried.core;
        counters::add(&mut counters.core, &self.core.counters());
        counters.sent = self.sender.counters();
        counters.add_carried(&self.carried);
        *self.context.counters() = counters;
    }
}

fn too_slow(peer: PeerId) -> Event {
    let message = "the signal plane does not keep up with this peer's events".to_owned();
    Event::PeerClosed { peer, reason: CloseReason::LimitExceeded, message }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL))
}
