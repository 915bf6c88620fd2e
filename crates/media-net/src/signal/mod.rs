//! Signal connections: WebSockets that the signal plane accepted and handed over.
//!
//! One thread owns them all. It answers the pings that each client sends every few seconds, and hands everything else to
//! the signal plane, which is Python: to wake that for each ping took a fifth of the processor in a large room, and as
//! much again by what it displaced from the shards' caches.

mod connection;
mod incoming;
mod pace;
mod ping;
mod wire;
mod worker;

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use tungstenite::{Bytes as SignalBytes, Message as SignalMessage};

pub use incoming::{Incoming, Received};

use crate::sys::{self, EventFd};
use incoming::IncomingQueue;
use worker::Worker;

/// Names a connection; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(pub u64);

/// Bounds on what one client may make us keep and do.
#[derive(Debug, Clone, Copy)]
pub struct SignalLimits {
    /// Of one message of a client.
    pub message_bytes: usize,
    /// Of all that waits for one client.
    pub queued_bytes: usize,
    /// Messages of a client taken at once, and in the long run.
    pub burst: u32,
    pub per_s: u32,
    /// A client that says nothing for so long is gone.
    pub silence: Duration,
}

enum Command {
    Adopt { id: SocketId, socket: OwnedFd, head: Vec<u8>, account: Arc<Account> },
    Send { id: SocketId, message: SignalMessage },
    Close { id: SocketId, code: u16 },
}

/// What both sides know of a connection.
#[derive(Debug, Default)]
struct Account {
    /// Bytes given to be sent that are not with the kernel yet.
    unsent: AtomicUsize,
    /// Bytes received that the signal plane did not take yet.
    untaken: AtomicUsize,
    /// When something was last heard, in milliseconds since `Shared::started`.
    heard_ms: AtomicU64,
}

struct Shared {
    commands: Mutex<Vec<Command>>,
    wake: EventFd,
    incoming: IncomingQueue,
    stopping: AtomicBool,
    next_id: AtomicU64,
    started: Instant,
    limits: SignalLimits,
}

impl Shared {
    fn command(&self, command: Command) {
        let mut commands = self.lock();
        commands.push(command);
        let first = commands.len() == 1;
        drop(commands);
        if first {
            self.wake.signal();
        }
    }

    /// Every critical section leaves the list consistent, so a panicking holder does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// All signal connections of a process, and the thread that owns them.
pub struct SignalHub {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SignalHub {
    /// Fails as the kernel does when it has no descriptors or threads left.
    pub fn start(limits: SignalLimits) -> io::Result<SignalHub> {
        let shared = Arc::new(Shared {
            commands: Mutex::default(),
            wake: EventFd::new()?,
            incoming: IncomingQueue::new()?,
            stopping: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            started: Instant::now(),
            limits,
        });
        let mut worker = Worker::new(Arc::clone(&shared))?;
        let thread = std::thread::Builder::new().name("signal".into()).spawn(move || worker.serve())?;
        Ok(SignalHub { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Readable while `drain` has something.
    pub fn event_fd(&self) -> RawFd {
        self.shared.incoming.readable().raw()
    }

    /// Takes what clients said, in order per client, up to `max`.
    pub fn drain(&self, max: usize, into: &mut Vec<Received>) {
        self.shared.incoming.drain(max, into);
    }

    /// Takes a TCP connection over whose client waits for `head`, the answer to its opening handshake (RFC 6455
    /// section 4.2.2); no extension may have been agreed on. The descriptor is duplicated, and the caller is to close
    /// its own. Fails for what is no descriptor, and when there are none left.
    pub fn adopt(&self, socket: RawFd, head: Vec<u8>) -> io::Result<SignalSocket> {
        let socket = sys::duplicate(socket)?;
        let id = SocketId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let account = Arc::new(Account::default());
        account.heard_ms.store(self.shared.now_ms(Instant::now()), Ordering::Relaxed);
        self.shared.command(Command::Adopt { id, socket, head, account: Arc::clone(&account) });
        Ok(SignalSocket { id, account, shared: Arc::clone(&self.shared) })
    }

    /// Drops all connections and ends the thread.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake.signal();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A thread that panicked has dropped its connections, too.
            let _ = thread.join();
        }
    }
}

impl Drop for SignalHub {
    fn drop(&mut self) {
        self.close();
    }
}

/// The signal plane's handle of one connection. Dropped, it closes the connection.
pub struct SignalSocket {
    id: SocketId,
    account: Arc<Account>,
    shared: Arc<Shared>,
}

const GOING_AWAY: u16 = 1001;

impl SignalSocket {
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// False: too much waits for this client already.
    pub fn send(&self, message: SignalMessage) -> bool {
        let bytes = message.len();
        if self.account.unsent.load(Ordering::Relaxed) + bytes > self.shared.limits.queued_bytes {
            return false;
        }
        self.account.unsent.fetch_add(bytes, Ordering::Relaxed);
        self.shared.command(Command::Send { id: self.id, message });
        true
    }

    /// Ends the connection once what waits has been sent; a client that does not read it in time loses it.
    pub fn close(&self, code: u16) {
        self.shared.command(Command::Close { id: self.id, code });
    }

    /// How long its client has said nothing.
    pub fn silent_for(&self) -> Duration {
        let heard = self.account.heard_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.shared.now_ms(Instant::now()).saturating_sub(heard))
    }
}

impl Drop for SignalSocket {
    fn drop(&mut self) {
        self.close(GOING_AWAY);
    }
}
