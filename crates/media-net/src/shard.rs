//! The loop of a shard's thread: wait, take what arrived, let the core work, send the result.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use auralink_media::api::{CloseReason, Command, Datagram, Egress, Event, PeerId, Proto};
use auralink_media::grid;

use crate::core::{Core, CoreFactory};
use crate::counters::{self, ThreadCounters};
use crate::events::NetEvent;
use crate::gather::Gather;
use crate::mailbox::{Fault, Input};
use crate::outbound::Outbound;
use crate::overload::Overload;
use crate::supervisor::Context;
use crate::sys::{Epoll, Ready, Watch};
use crate::tcp::{Connection, Flow, Handover};
use crate::udp::{BATCH, RecvBatch};

/// Full batches taken from one socket before everything else has its turn.
const MAX_ROUNDS: usize = 4;
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);
const TCP_SWEEP_EVERY: Duration = Duration::from_secs(5);

const MAILBOX: u64 = 0;
const FIRST_SOCKET: u64 = 1;
/// Of the feedback that bears to wait.
const FIRST_PATIENT: u64 = 1 << 16;
const FIRST_CONNECTION: u64 = 1 << 32;

/// The state of one run of a shard; gone when it fails.
pub struct ShardLoop<'a, C> {
    context: &'a Context,
    core: C,
    epoll: Epoll,
    receive: RecvBatch,
    egress: Egress,
    out: Outbound,
    next_token: u64,
    next_sweep: Instant,
    ready: Vec<Ready>,
    inputs: Vec<Input>,
    events: Vec<Event>,
    /// What earlier cores of this thread counted.
    carried: ThreadCounters,
    counters: ThreadCounters,
    snapshot_due: Option<Instant>,
    gather: Gather,
    /// How long what the wake-up before asked for took.
    last_work: Duration,
    overload: Overload,
    /// All that had arrived was taken in this turn.
    drained: bool,
    /// The moment of the core's clock its timers are counted from.
    origin: Instant,
    /// When patient feedback is read next; none = when it comes.
    patient_due: Option<Instant>,
}

impl<'a, C: Core> ShardLoop<'a, C> {
    pub fn new<F: CoreFactory<Core = C>>(
        context: &'a Context,
        factory: &F,
        carried: ThreadCounters,
    ) -> io::Result<ShardLoop<'a, C>> {
        let epoll = Epoll::new()?;
        epoll.add(context.mailbox.wake().raw(), MAILBOX, Watch::Read)?;
        for (index, socket) in (0..).zip(&context.sockets) {
            epoll.add(socket.raw(), FIRST_SOCKET + index, Watch::Read)?;
            if let Some(patient) = socket.patient() {
                epoll.add(patient, FIRST_PATIENT + index, Watch::ReadOnce)?;
            }
        }
        let now = Instant::now();
        Ok(ShardLoop {
            context,
            core: factory.make(context.config.clone(), now),
            epoll,
            receive: RecvBatch::new(),
            egress: Egress::default(),
            out: Outbound::new(context.gso, &context.sockets),
            next_token: FIRST_CONNECTION,
            next_sweep: now,
            ready: Vec::new(),
            inputs: Vec::new(),
            events: Vec::new(),
            carried,
            counters: ThreadCounters::default(),
            snapshot_due: None,
            gather: Gather::new(context.gather, now),
            last_work: Duration::ZERO,
            overload: Overload::new(now),
            drained: true,
            origin: now,
            patient_due: None,
        })
    }

    /// Runs until told to stop.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let timeout = self.timeout();
            self.context.beat.waits();
            self.epoll.wait(timeout, &mut self.ready)?;
            if self.context.stopping() {
                self.publish_counters();
                return Ok(());
            }
            self.gather();
            self.counters.wakeups += 1;
            let begun = Instant::now();
            self.context.beat.works(begun);
            self.drained = true;
            let commanded = self.take_inputs();
            let ready = std::mem::take(&mut self.ready);
            for event in &ready {
                self.serve(*event)?;
            }
            self.ready = ready;
            // What was forwarded leaves before anything else is done.
            self.flush();
            let now = Instant::now();
            let (datagrams, messages) = self.out.take_sent();
            self.gather.sent(now, datagrams, messages);
            self.collect_patient(now)?;
            if commanded || self.core.next_timeout().is_some_and(|due| due <= now) {
                self.core.tick(now, &mut self.egress);
            }
            self.flush();
            // Reports and the like say nothing about what waiting brings.
            self.out.take_sent();
            self.sweep(now);
            self.publish_events();
            self.snapshot(now);
            let ended = Instant::now();
            self.last_work = ended.saturating_duration_since(begun);
            if self.overload.turn(begun, ended, self.drained) {
                self.core.shed(ended, self.overload.level());
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let sweep = (!self.out.connections.is_empty()).then_some(self.next_sweep);
        let due = [self.core.next_timeout(), self.snapshot_due, self.patient_due, sweep].into_iter().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn gather(&mut self) {
        let media = self.ready.iter().any(|event| (FIRST_SOCKET..FIRST_PATIENT).contains(&event.token));
        let wait = if media { self.gather.wait(Instant::now(), self.last_work) } else { Duration::ZERO };
        if !wait.is_zero() {
            std::thread::sleep(wait);
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
                #[allow(clippy::panic, reason = "what was asked for: how the rest bears a shard that fails")]
                Input::Fault(Fault::Panic) => std::panic::panic_any("a fault was asked for"),
                Input::Fault(Fault::Stall(time)) => std::thread::sleep(time),
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
        if event.token >= FIRST_PATIENT {
            self.patient_due = Some(self.origin);
            return Ok(());
        }
        let index = event.token.checked_sub(FIRST_SOCKET).and_then(|index| usize::try_from(index).ok());
        let sockets = &self.context.sockets;
        match index.and_then(|index| Some((index, sockets.get(index)?.raw()))) {
            Some((index, fd)) => self.serve_socket(index, fd).map(drop),
            None => Ok(()),
        }
    }

    /// Reads patient feedback when it is due: what comes first at once, and while more comes all of it at the moments
    /// of the grid. Its sockets wake nobody up in between.
    fn collect_patient(&mut self, now: Instant) -> io::Result<()> {
        if self.patient_due.is_none_or(|due| due > now) {
            return Ok(());
        }
        let context = self.context;
        let mut taken = 0;
        for (index, socket) in context.sockets.iter().enumerate() {
            if let Some(fd) = socket.patient() {
                taken += self.serve_socket(index, fd)?;
            }
        }
        self.patient_due = (taken > 0).then(|| grid::at_or_after(self.origin, now + grid::STEP / 2));
        if taken == 0 {
            for (token, socket) in (FIRST_PATIENT..).zip(&context.sockets) {
                if let Some(fd) = socket.patient() {
                    self.epoll.change(fd, token, Watch::ReadOnce)?;
                }
            }
        }
        Ok(())
    }

    /// Hands the core what waits on `fd`, which belongs to the socket `index`. Gives the number of datagrams.
    fn serve_socket(&mut self, index: usize, fd: RawFd) -> io::Result<usize> {
        let context = self.context;
        let mut all = 0;
        for _ in 0..MAX_ROUNDS {
            self.counters.receive_calls += 1;
            let taken = match self.receive.receive(fd) {
                Ok(taken) => taken,
                Err(error) if is_gone(&error) => return Err(error),
                // ICMP errors of earlier sends are reported here; the next call delivers again.
                Err(_) => {
                    self.counters.receive_errors += 1;
                    continue;
                }
            };
            if taken == 0 {
                return Ok(all);
            }
            all += taken;
            let (mut batch, used) = self.receive.datagrams();
            self.counters.receive_truncated += (taken - used) as u64;
            let batch = batch.get_mut(..used).unwrap_or_default();
            self.out.routes.learn(index, batch);
            let out = &mut self.out;
            let mut drain = |egress: &mut Egress| out.relieve(&context.sockets, egress);
            self.core.receive(Instant::now(), batch, &mut self.egress, &mut drain);
            if taken < BATCH {
                return Ok(all);
            }
        }
        self.drained = false;
        Ok(all)
    }

    fn adopt(&mut self, handover: Handover) {
        let now = Instant::now();
        if self.out.tcp.contains_key(&handover.remote) {
            return;
        }
        let (connection, mut first) = Connection::new(handover, self.context.queues.tcp_write_bytes, now);
        let token = self.next_token;
        if self.epoll.add(connection.raw(), token, Watch::Read).is_err() {
            return;
        }
        self.next_token += 1;
        let source = connection.remote;
        self.out.tcp.insert(source, token);
        self.out.connections.insert(token, connection);
        let mut datagram = [Datagram { proto: Proto::Tcp, source, payload: &mut first }];
        self.core.receive(now, &mut datagram, &mut self.egress, &mut |_| {});
        self.take_frames(token, now);
    }

    fn serve_connection(&mut self, event: Ready) {
        let now = Instant::now();
        let Some(connection) = self.out.connections.get_mut(&event.token) else { return };
        let mut flow = Flow::Open;
        if event.readable {
            flow = connection.read(now);
        }
        if event.writable && flow == Flow::Open {
            flow = connection.write();
            if !connection.wants_write() {
                let _ = self.epoll.change(connection.raw(), event.token, Watch::Read);
            }
        }
        // What came before the end still counts.
        self.take_frames(event.token, now);
        if flow == Flow::Closed {
            self.close_connection(event.token, now);
        }
    }

    fn take_frames(&mut self, token: u64, now: Instant) {
        let Some(connection) = self.out.connections.get_mut(&token) else { return };
        let source = connection.remote;
        loop {
            match connection.reader.next_frame() {
                Ok(Some(payload)) => {
                    let mut datagram = [Datagram { proto: Proto::Tcp, source, payload }];
                    self.core.receive(now, &mut datagram, &mut self.egress, &mut |_| {});
                }
                Ok(None) => return,
                Err(_) => break,
            }
        }
        self.close_connection(token, now);
    }

    fn close_connection(&mut self, token: u64, now: Instant) {
        let Some(connection) = self.out.connections.remove(&token) else { return };
        self.epoll.remove(connection.raw());
        self.out.tcp.remove(&connection.remote);
        self.core.tcp_closed(now, connection.remote);
    }

    fn sweep(&mut self, now: Instant) {
        if self.out.connections.is_empty() || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + TCP_SWEEP_EVERY;
        let idle: Vec<u64> =
            self.out.connections.iter().filter(|(_, c)| c.is_idle(now)).map(|(token, _)| *token).collect();
        for token in idle {
            self.close_connection(token, now);
        }
    }

    fn flush(&mut self) {
        self.out.send(&self.context.sockets, &mut self.egress);
        self.write_tcp();
    }

    fn write_tcp(&mut self) {
        for token in self.out.take_touched() {
            let Some(connection) = self.out.connections.get_mut(&token) else { continue };
            if connection.write() == Flow::Closed {
                self.close_connection(token, Instant::now());
            } else if connection.wants_write() {
                let _ = self.epoll.change(connection.raw(), token, Watch::ReadAndWrite);
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
            None => self.snapshot_due = Some(grid::at_or_after(self.origin, now + SNAPSHOT_EVERY)),
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
        counters.sent = self.out.sender.counters();
        counters.tcp_dropped = self.out.tcp_dropped;
        (counters.shed_level, counters.shed_raised) = (self.overload.level().into(), self.overload.raised());
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
