//! The media engine: sockets, shard threads and the queues between them and the signal plane.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use auralink_media::api::{CloseReason, Command, Event, PeerId, ShardConfig};
use auralink_media::{Identity, Shard};

use crate::beat::Beat;
use crate::bound::Bound;
use crate::config::{EngineConfig, QueueLimits, StartError};
use crate::core::CoreFactory;
use crate::counters::{Stats, ThreadCounters};
use crate::directory::{Directory, Route};
use crate::events::{EventQueue, NetEvent};
use crate::interfaces;
use crate::mailbox::{Fault, Input, Mailbox};
use crate::supervisor::{self, Context};
use crate::sys::{self, EventFd};
use crate::tcp::Acceptor;
use crate::udp::UdpSocket;

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    Closed,
    /// The shard does not keep up; nothing of the command was applied.
    Full,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::Closed => "the media engine is closed",
            CommandError::Full => "too many commands wait for the media engine",
        })
    }
}

impl std::error::Error for CommandError {}

struct ShardHandle {
    mailbox: Arc<Mailbox>,
    counters: Arc<Mutex<ThreadCounters>>,
    beat: Arc<Beat>,
}

struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Disconnects when the last thread has ended.
    ended: Receiver<()>,
}

/// The running engine. No method waits for a shard, except `close`.
pub struct Engine {
    shards: Vec<ShardHandle>,
    directory: Arc<Mutex<Directory>>,
    events: Arc<EventQueue>,
    stopping: Arc<AtomicBool>,
    acceptor_wake: Arc<EventFd>,
    tcp_open: Arc<AtomicUsize>,
    threads: Mutex<Option<Threads>>,
    udp_ports: Vec<u16>,
    tcp_port: Option<u16>,
    warnings: Vec<String>,
}

struct RealCore {
    identity: Arc<Identity>,
}

impl CoreFactory for RealCore {
    type Core = Shard;

    fn make(&self, config: ShardConfig, now: Instant) -> Shard {
        Shard::new(config, Arc::clone(&self.identity), now, SystemTime::now())
    }
}

impl Engine {
    /// Binds, then starts one thread per shard.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left bound or running.
    pub fn start(config: &EngineConfig) -> Result<Engine, StartError> {
        let identity = Identity::generate().map_err(StartError::Identity)?;
        Engine::start_with(config, RealCore { identity })
    }

    /// Like [`Engine::start`] with another core, for tests of the I/O alone.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_with<F: CoreFactory>(config: &EngineConfig, factory: F) -> Result<Engine, StartError> {
        sys::small_pages();
        let bound = Bound::new(config)?;
        let advertised = interfaces::advertised(&config.advertised, &config.bind)?;
        let directory = Arc::new(Mutex::new(Directory::new(config.shards)));
        let events = Arc::new(EventQueue::new(config.queues.events, config.queues.event_bytes)?);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut contexts = Vec::with_capacity(config.shards);
        for (index, sockets) in bound.udp.into_iter().enumerate() {
            let Some(local) = sockets.first().map(UdpSocket::local) else { continue };
            let with_port = |port: u16| advertised.iter().map(move |ip| SocketAddr::new(*ip, port)).collect();
            contexts.push(Context {
                index,
                config: ShardConfig {
                    udp_local: local,
                    udp_candidates: with_port(local.port()),
                    tcp_candidates: bound.tcp_port.map_or_else(Vec::new, with_port),
                    limits: config.limits,
                },
                sockets,
                mailbox: Arc::new(Mailbox::new(config.queues.commands, config.queues.command_bytes)?),
                directory: Arc::clone(&directory),
                events: Arc::clone(&events),
                counters: Arc::default(),
                beat: Arc::new(Beat::new(Instant::now())),
                stopping: Arc::clone(&stopping),
                queues: config.queues,
                gso: config.gso,
                gather: config.gather,
            });
        }
        let mut engine = Engine {
            shards: Vec::with_capacity(contexts.len()),
            directory,
            events,
            stopping,
            acceptor_wake: Arc::new(EventFd::new()?),
            tcp_open: Arc::default(),
            threads: Mutex::new(None),
            udp_ports: contexts.iter().map(|c| c.config.udp_local.port()).collect(),
            tcp_port: bound.tcp_port,
            warnings: bound.warnings,
        };
        for context in &contexts {
            engine.shards.push(ShardHandle {
                mailbox: Arc::clone(&context.mailbox),
                counters: Arc::clone(&context.counters),
                beat: Arc::clone(&context.beat),
            });
        }
        engine.spawn(contexts, bound.tcp, factory, config.queues)?;
        Ok(engine)
    }

    fn spawn<F: CoreFactory>(
        &self,
        contexts: Vec<Context>,
        listeners: Vec<OwnedFd>,
        factory: F,
        limits: QueueLimits,
    ) -> Result<(), StartError> {
        let (alive, ended) = channel();
        let factory = Arc::new(factory);
        let mut handles = Vec::with_capacity(contexts.len() + 1);
        let start = || -> std::io::Result<()> {
            for context in contexts {
                let factory = Arc::clone(&factory);
                let name = format!("media-{}", context.index);
                handles.push(thread(name, &alive, move || supervisor::run(&context, &*factory))?);
            }
            if !listeners.is_empty() {
                let acceptor = Acceptor {
                    listeners,
                    directory: Arc::clone(&self.directory),
                    mailboxes: self.shards.iter().map(|s| Arc::clone(&s.mailbox)).collect(),
                    stopping: Arc::clone(&self.stopping),
                    wake: Arc::clone(&self.acceptor_wake),
                    open: Arc::clone(&self.tcp_open),
                    limits,
                };
                handles.push(thread("media-tcp".to_owned(), &alive, move || acceptor.serve())?);
            }
            Ok(())
        };
        let started = start();
        drop(alive);
        *self.lock_threads() = Some(Threads { handles, ended });
        // Dropping the engine stops the threads that did start.
        started.map_err(StartError::Io)
    }

    /// Hands a command to the shard it concerns. What names an unknown peer or room is answered by an event where an
    /// answer was promised, and otherwise has no effect: it lost a race with the end of that peer.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(CommandError::Closed);
        }
        // Held until the command is queued, so that commands and failures of a shard have one order.
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Command::SendData { peers, channel, payload, sender } = command {
            return self.send_data(&directory, &peers, channel, payload, sender);
        }
        match directory.route(&command) {
            Route::Unknown => {
                drop(directory);
                if let Some(answer) = answer_to_unknown(&command) {
                    self.events.force(NetEvent::Core(answer));
                }
                Ok(())
            }
            Route::Shard(shard) => {
                let Some(handle) = self.shards.get(shard) else { return Ok(()) };
                if !handle.mailbox.has_room_for(&command) {
                    return Err(CommandError::Full);
                }
                directory.note_command(shard, &command);
                handle.mailbox.push(Input::Command(command));
                Ok(())
            }
        }
    }

    fn send_data(
        &self,
        directory: &Directory,
        peers: &[PeerId],
        channel: auralink_media::api::Channel,
        payload: Vec<u8>,
        sender: Option<PeerId>,
    ) -> Result<(), CommandError> {
        let mut parts = Vec::new();
        for (shard, peers) in directory.split(peers) {
            let Some(handle) = self.shards.get(shard) else { continue };
            let command = Command::SendData { peers, channel, payload: payload.clone(), sender };
            if !handle.mailbox.has_room_for(&command) {
                return Err(CommandError::Full);
            }
            parts.push((handle, command));
        }
        for (handle, command) in parts {
            handle.mailbox.push(Input::Command(command));
        }
        Ok(())
    }

    /// Makes a shard suffer, for tests of what follows. False: there is no such shard.
    pub fn inject(&self, shard: usize, fault: Fault) -> bool {
        let Some(handle) = self.shards.get(shard) else { return false };
        handle.mailbox.push(Input::Fault(fault));
        true
    }

    /// Takes up to `max` events, oldest first.
    pub fn drain(&self, max: usize, into: &mut Vec<NetEvent>) {
        self.events.drain(max, into);
    }

    /// An eventfd, readable while events wait. Valid as long as the engine value lives.
    pub fn event_fd(&self) -> RawFd {
        self.events.readable().raw()
    }

    /// At most 100 ms old.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        let now = Instant::now();
        for shard in &self.shards {
            stats.add(&shard.counters.lock().unwrap_or_else(PoisonError::into_inner));
            stats.commands_queued += shard.mailbox.len() as u64;
            stats.shards_stuck += u64::from(shard.beat.is_stuck(now));
        }
        stats.events_queued = self.events.len() as u64;
        stats.events_dropped = self.events.dropped();
        stats.tcp_connections = self.tcp_open.load(Ordering::Relaxed) as u64;
        stats
    }

    pub fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// `None` = no ICE-TCP.
    pub fn tcp_port(&self) -> Option<u16> {
        self.tcp_port
    }

    /// What the operator should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn is_closed(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Stops the threads, which closes the sockets, and waits for them. False when some were still busy after
    /// `timeout`; they end by themselves. Idempotent.
    pub fn close(&self, timeout: Duration) -> bool {
        self.stopping.store(true, Ordering::Release);
        for shard in &self.shards {
            shard.mailbox.wake().signal();
        }
        self.acceptor_wake.signal();
        let mut slot = self.lock_threads();
        let Some(threads) = slot.take() else { return true };
        if threads.ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            *slot = Some(threads);
            return false;
        }
        for handle in threads.handles {
            // A panic was reported when it happened; here only the end matters.
            let _ = handle.join();
        }
        true
    }

    /// Lets go of everything without a lock or a wait: in a forked child the threads do not exist, and one of them
    /// may have held any lock when the process was copied.
    pub fn abandon(self) {
        std::mem::forget(self);
    }

    fn lock_threads(&self) -> MutexGuard<'_, Option<Threads>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.lock_threads().is_some() {
            self.close(Duration::from_secs(2));
        }
    }
}

fn thread<T: Send + 'static>(
    name: String,
    alive: &Sender<()>,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let alive = alive.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        let _ = body();
        drop(alive);
    })
}

/// Commands that promise an answer get one even when their peer is gone.
fn answer_to_unknown(command: &Command) -> Option<Event> {
    let closed =
        |peer: PeerId, what: &str| Event::PeerClosed { peer, reason: CloseReason::Internal, message: what.to_owned() };
    match command {
        Command::CreatePeer { peer, .. } => Some(closed(*peer, "no such room")),
        Command::MakeOffer { peer, .. } => Some(closed(*peer, "no such peer")),
        Command::Offer { peer, offer_id, .. } => {
            let message = "no such peer".to_owned();
            Some(Event::OfferRejected { peer: *peer, offer_id: *offer_id, message })
        }
        Command::Subscribe { peer, track, .. } => {
            let message = "no such peer".to_owned();
            Some(Event::SubscriptionFailed { peer: *peer, track: *track, message })
        }
        _ => None,
    }
}
