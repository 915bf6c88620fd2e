//! One WebSocket: what it reads, what it still has to write, how it ends.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::Data;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::incoming::{Incoming, IncomingQueue};
use super::pace::Pace;
use super::wire::Wire;
use super::{Account, Shared, SignalLimits, SocketId, ping};
use crate::sys;

/// Messages taken from one connection before others have their turn.
const TURN: usize = 64;
/// What may wait at the signal plane before the connection is read further: one large message and a little.
const UNTAKEN_BYTES: usize = 256 * 1024;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a client may take to read the end, and to say goodbye itself.
const GOODBYE: Duration = Duration::from_secs(5);
/// Kept for reading from a client for as long as it is connected.
const READ_BUFFER: usize = 2 * 1024;

const PROTOCOL_ERROR: u16 = 1002;
const BAD_TEXT: u16 = 1007;
const TOO_LARGE: u16 = 1009;
const TOO_SLOW: u16 = 1013;

/// What is to be done with a connection next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Wait,
    /// Not to be read before that.
    Rest(Instant),
    Drop,
}

enum Outgoing {
    Message(Message),
    Close(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// We said goodbye, or will, and wait for the client's.
    Closing,
    /// What the client says is not understood any more; it is read so that it gets to see why.
    Deaf,
}

pub struct Connection {
    id: SocketId,
    wire: Wire,
    websocket: WebSocketContext,
    /// Bytes of the messages that came out of it, framed as briefly as can be.
    read: u64,
    /// The longest of them since it is this one.
    longest: usize,
    account: Arc<Account>,
    pace: Pace,
    outgoing: VecDeque<Outgoing>,
    /// Bytes of messages that are framed and that the kernel did not take yet.
    framed: usize,
    state: State,
    /// When it ends at the latest; none while it is open.
    pub deadline: Option<Instant>,
    /// The signal plane knows that nothing more comes.
    told: bool,
    /// The kernel has no room.
    pub blocked: bool,
}

impl Connection {
    /// Fails when the client is gone already.
    pub fn new(
        id: SocketId,
        socket: OwnedFd,
        head: &[u8],
        account: Arc<Account>,
        limits: &SignalLimits,
    ) -> io::Result<Connection> {
        sys::tune_stream(&socket, limits.silence);
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        // An empty send buffer has room for it.
        stream.write_all(head)?;
        let pace = Pace::new(limits.burst, limits.per_s, Instant::now());
        Ok(Connection {
            id,
            wire: Wire::new(stream),
            websocket: websocket(limits),
            read: 0,
            longest: 0,
            account,
            pace,
            outgoing: VecDeque::new(),
            framed: 0,
            state: State::Open,
            deadline: None,
            told: false,
            blocked: false,
        })
    }

    pub fn raw(&self) -> RawFd {
        self.wire.stream.as_raw_fd()
    }

    /// After its end was asked for nothing more is sent.
    pub fn queue(&mut self, message: Message) {
        if self.state == State::Open {
            self.outgoing.push_back(Outgoing::Message(message));
        }
    }

    pub fn close(&mut self, code: u16, now: Instant) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.outgoing.push_back(Outgoing::Close(code));
            self.deadline = Some(now + GOODBYE);
        }
    }

    pub fn is_silent(&self, shared: &Shared, now: Instant) -> bool {
        let heard = self.account.heard_ms.load(Ordering::Relaxed);
        u128::from(shared.now_ms(now).saturating_sub(heard)) > shared.limits.silence.as_millis()
    }

    /// Tells the signal plane, once, that nothing more comes.
    pub fn tell_over(&mut self, queue: &IncomingQueue) {
        if !self.told {
            self.told = true;
            queue.push(self.id, Incoming::Over, &self.account);
        }
    }

    /// Reads what is there.
    pub fn read(&mut self, shared: &Shared, now: Instant) -> Next {
        for _ in 0..TURN {
            if self.state == State::Deaf {
                return self.skip();
            }
            if self.account.untaken.load(Ordering::Relaxed) > UNTAKEN_BYTES {
                return Next::Rest(now + LOOK_AGAIN);
            }
            if self.wire.len() > shared.limits.queued_bytes {
                return Next::Drop; // it asks and asks, and reads no answer
            }
            match self.websocket.read(&mut self.wire) {
                Ok(message) => {
                    self.count(&message);
                    self.take(message, shared, now);
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.give_back(&shared.limits);
                    return Next::Wait;
                }
                Err(Error::Capacity(_)) => self.refuse(TOO_LARGE, shared, now),
                Err(Error::Protocol(_)) if self.state == State::Open => self.refuse(PROTOCOL_ERROR, shared, now),
                Err(Error::Utf8(_)) => self.refuse(BAD_TEXT, shared, now),
                Err(_) => return Next::Drop,
            }
            if let Some(wait) = self.pace.take(now) {
                return Next::Rest(now + wait);
            }
        }
        Next::Rest(now)
    }

    fn count(&mut self, message: &Message) {
        let header = FrameHeader { mask: Some([0; 4]), ..FrameHeader::default() };
        self.read += (header.len(message.len() as u64) + message.len()) as u64;
        self.longest = self.longest.max(message.len());
    }

    /// The WebSocket keeps a buffer as large as the longest message. It is replaced where all that was read came out of it
    /// again, which is certain where the briefest framing of that accounts for every byte.
    fn give_back(&mut self, limits: &SignalLimits) {
        if self.state == State::Open && self.longest > READ_BUFFER && self.read == self.wire.read {
            self.websocket = websocket(limits);
            self.longest = 0;
        }
    }

    fn take(&mut self, message: Message, shared: &Shared, now: Instant) {
        self.account.heard_ms.store(shared.now_ms(now), Ordering::Relaxed);
        if self.state != State::Open {
            return;
        }
        let incoming = match message {
            Message::Binary(request) => match ping::answer(&request, ping::now_ms()) {
                Some(pong) => return self.answer(pong, shared, now),
                None => Incoming::Binary(request),
            },
            Message::Text(text) => Incoming::Text(text),
            // WebSocket's own pings and goodbyes are answered by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        shared.incoming.push(self.id, incoming, &self.account);
    }

    fn answer(&mut self, pong: Vec<u8>, shared: &Shared, now: Instant) {
        let unsent = self.account.unsent.fetch_add(pong.len(), Ordering::Relaxed);
        if unsent + pong.len() > shared.limits.queued_bytes {
            return self.refuse(TOO_SLOW, shared, now);
        }
        self.queue(Message::Binary(pong.into()));
    }

    /// Ends it for something its client did.
    fn refuse(&mut self, code: u16, shared: &Shared, now: Instant) {
        self.state = State::Deaf;
        self.deadline = Some(now + GOODBYE);
        self.outgoing.push_back(Outgoing::Close(code));
        self.tell_over(&shared.incoming);
    }

    /// A connection closed while something of its client's is unread is reset, and what it was to read is lost.
    fn skip(&mut self) -> Next {
        let mut waste = [0u8; 16 * 1024];
        match self.wire.read(&mut waste) {
            Ok(1..) => Next::Rest(Instant::now() + LOOK_AGAIN),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Next::Wait,
            _ => Next::Drop,
        }
    }

    /// Writes what the kernel has room for.
    pub fn write(&mut self) -> Next {
        loop {
            match self.wire.push() {
                Ok(true) => self.account.unsent.fetch_sub(mem::take(&mut self.framed), Ordering::Relaxed),
                Ok(false) => {
                    self.blocked = true;
                    return Next::Wait;
                }
                Err(_) => return Next::Drop,
            };
            self.blocked = false;
            match self.frame() {
                Ok(true) => {}
                Ok(false) => return self.written(),
                Err(_) => return Next::Drop,
            }
        }
    }

    /// Frames what is next to be written; whether that is anything.
    fn frame(&mut self) -> tungstenite::Result<bool> {
        let mut any = false;
        while !self.wire.is_full() {
            let Some(next) = self.outgoing.pop_front() else { break };
            any = true;
            let (payload, kind) = match next {
                Outgoing::Message(Message::Binary(bytes)) => (bytes, Data::Binary),
                Outgoing::Message(Message::Text(text)) => (text.into(), Data::Text),
                Outgoing::Message(_) => continue,
                Outgoing::Close(code) => {
                    self.outgoing.clear();
                    self.websocket.close(&mut self.wire, Some(CloseFrame { code: code.into(), reason: "".into() }))?;
                    break;
                }
            };
            self.framed += payload.len();
            self.wire.frame(kind, payload)?;
        }
        Ok(any)
    }

    fn written(&self) -> Next {
        if self.state == State::Deaf {
            // A second time it fails, which changes nothing.
            let _ = self.wire.stream.shutdown(Shutdown::Write);
        }
        Next::Wait
    }
}

fn websocket(limits: &SignalLimits) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    WebSocketContext::new(Role::Server, Some(config))
}
