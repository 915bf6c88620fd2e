//! ICE-TCP (RFC 6544, passive): a thread takes connections and waits for the first STUN message, which says whose
//! they are; the shard of that peer then owns the connection.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::config::QueueLimits;
use crate::directory::Directory;
use crate::framing::{FrameReader, FrameWriter};
use crate::mailbox::{Input, Mailbox};
use crate::stun;
use crate::sys::{self, Epoll, EventFd, Ready, Watch};

/// Taken from one connection before others have their turn.
const READ_BYTES: usize = 16 * 1024;
/// A connection on which ICE consent checks (every 5 s, RFC 7675) have stopped is dead.
const IDLE: Duration = Duration::from_secs(30);
/// While descriptors are exhausted the listener stays readable: do not spin on it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Counts one open connection for as long as it lives.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(open: &Arc<AtomicUsize>, max: usize) -> Option<Permit> {
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        taken.ok().map(|_| Permit(Arc::clone(open)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose peer is known, on its way to the peer's shard.
pub struct Handover {
    pub stream: TcpStream,
    pub remote: SocketAddr,
    /// The first message, already taken out of `reader`.
    pub first: Vec<u8>,
    pub reader: FrameReader,
    pub permit: Permit,
}

/// What reading or writing a connection led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    Closed,
}

/// Reads what is there into `reader`.
fn fill(stream: &mut TcpStream, reader: &mut FrameReader) -> Flow {
    let mut chunk = [0u8; READ_BYTES];
    loop {
        return match stream.read(&mut chunk) {
            Ok(0) => Flow::Closed,
            Ok(count) => {
                reader.push(chunk.get(..count).unwrap_or_default());
                Flow::Open
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => Flow::Open,
                _ => Flow::Closed,
            },
        };
    }
}

/// A connection owned by a shard.
pub struct Connection {
    stream: TcpStream,
    pub remote: SocketAddr,
    pub reader: FrameReader,
    writer: FrameWriter,
    heard: Instant,
    _permit: Permit,
}

impl Connection {
    pub fn new(handover: Handover, write_bytes: usize, now: Instant) -> (Connection, Vec<u8>) {
        let Handover { stream, remote, first, reader, permit } = handover;
        let writer = FrameWriter::new(write_bytes);
        (Connection { stream, remote, reader, writer, heard: now, _permit: permit }, first)
    }

    pub fn raw(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn read(&mut self, now: Instant) -> Flow {
        self.heard = now;
        fill(&mut self.stream, &mut self.reader)
    }

    /// False when the packet was dropped because the client reads too slowly.
    pub fn queue(&mut self, payload: &[u8]) -> bool {
        self.writer.push(payload)
    }

    pub fn write(&mut self) -> Flow {
        while !self.writer.is_empty() {
            match self.stream.write(self.writer.front()) {
                Ok(0) => return Flow::Closed,
                Ok(count) => self.writer.advance(count),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Flow::Open,
                    _ => return Flow::Closed,
                },
            }
        }
        Flow::Open
    }

    pub fn wants_write(&self) -> bool {
        !self.writer.is_empty()
    }

    pub fn is_idle(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > IDLE
    }
}

struct Pending {
    stream: TcpStream,
    remote: SocketAddr,
    reader: FrameReader,
    deadline: Instant,
    permit: Permit,
}

/// The accepting thread's state.
pub struct Acceptor {
    pub listeners: Vec<OwnedFd>,
    pub directory: Arc<Mutex<Directory>>,
    pub mailboxes: Vec<Arc<Mailbox>>,
    pub stopping: Arc<AtomicBool>,
    pub wake: Arc<EventFd>,
    pub open: Arc<AtomicUsize>,
    pub limits: QueueLimits,
}

const WAKE_TOKEN: u64 = u64::MAX;

impl Acceptor {
    /// Runs until told to stop; what goes wrong costs the connections that were waiting, not ICE-TCP.
    pub fn serve(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            // The state shared with others keeps its invariants per lock; the rest is dropped with the frame.
            let _ = catch_unwind(AssertUnwindSafe(|| self.run()));
            if !self.stopping.load(Ordering::Acquire) {
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }

    fn run(&self) -> io::Result<()> {
        let mut epoll = Epoll::new()?;
        epoll.add(self.wake.raw(), WAKE_TOKEN, Watch::Read)?;
        for (token, listener) in (0u64..).zip(&self.listeners) {
            epoll.add(listener.as_raw_fd(), token, Watch::Read)?;
        }
        let mut pending: FxHashMap<u64, Pending> = FxHashMap::default();
        let mut next_token = self.listeners.len() as u64;
        let mut ready: Vec<Ready> = Vec::new();
        while !self.stopping.load(Ordering::Acquire) {
            let now = Instant::now();
            let deadline = pending.values().map(|p| p.deadline).min();
            epoll.wait(deadline.map(|d| d.saturating_duration_since(now)), &mut ready)?;
            for event in &ready {
                if let Some(listener) = usize::try_from(event.token).ok().and_then(|t| self.listeners.get(t)) {
                    self.accept(listener, &epoll, &mut pending, &mut next_token);
                } else if let Some(waiting) = pending.remove(&event.token) {
                    epoll.remove(waiting.stream.as_raw_fd());
                    if let Some(waiting) = self.advance(waiting) {
                        if epoll.add(waiting.stream.as_raw_fd(), event.token, Watch::Read).is_ok() {
                            pending.insert(event.token, waiting);
                        }
                    }
                }
            }
            let now = Instant::now();
            pending.retain(|_, waiting| waiting.deadline > now);
        }
        Ok(())
    }

    fn accept(&self, listener: &OwnedFd, epoll: &Epoll, pending: &mut FxHashMap<u64, Pending>, next_token: &mut u64) {
        let (fd, remote) = match sys::accept(listener) {
            Ok(accepted) => accepted,
            Err(error) => {
                if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) {
                    std::thread::sleep(ACCEPT_PAUSE);
                }
                return;
            }
        };
        if pending.len() >= self.limits.tcp_pending || self.from(remote.ip(), pending) >= self.limits.tcp_pending_per_ip
        {
            return;
        }
        let Some(permit) = Permit::take(&self.open, self.limits.tcp_connections) else { return };
        sys::tune_stream(&fd, IDLE);
        let stream = TcpStream::from(fd);
        if epoll.add(stream.as_raw_fd(), *next_token, Watch::Read).is_ok() {
            let deadline = Instant::now() + self.limits.tcp_first_message;
            pending.insert(*next_token, Pending { stream, remote, reader: FrameReader::default(), deadline, permit });
            *next_token += 1;
        }
    }

    fn from(&self, ip: IpAddr, pending: &FxHashMap<u64, Pending>) -> usize {
        pending.values().filter(|p| p.remote.ip() == ip).count()
    }

    /// Keeps a connection that has not said enough; one that has goes to its shard, any other is dropped.
    fn advance(&self, mut waiting: Pending) -> Option<Pending> {
        if fill(&mut waiting.stream, &mut waiting.reader) == Flow::Closed {
            return None;
        }
        let first = match waiting.reader.next_frame() {
            Ok(None) => return Some(waiting),
            Ok(Some(frame)) => frame.to_vec(),
            Err(_) => return None,
        };
        let ufrag = stun::local_ufrag(&first)?;
        let shard = self.directory.lock().unwrap_or_else(PoisonError::into_inner).shard_of_ufrag(ufrag)?;
        let Pending { stream, remote, reader, permit, .. } = waiting;
        self.mailboxes.get(shard)?.push(Input::Tcp(Handover { stream, remote, first, reader, permit }));
        None
    }
}
