//! What clients said, on its way to the signal plane: a queue with an eventfd. It is bounded by each connection, which is
//! not read further while much of it waits here.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tungstenite::{Bytes, Utf8Bytes};

use super::{Account, SocketId};
use crate::sys::EventFd;

/// Of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    Binary(Bytes),
    Text(Utf8Bytes),
    /// Nothing more comes: its client is gone, or said what is no WebSocket.
    Over,
}

impl Incoming {
    /// What it costs to keep.
    pub(super) fn bytes(&self) -> usize {
        const SLOT: usize = 64;
        SLOT + match self {
            Incoming::Binary(bytes) => bytes.len(),
            Incoming::Text(text) => text.len(),
            Incoming::Over => 0,
        }
    }
}

#[derive(Debug)]
pub struct Received {
    pub socket: SocketId,
    pub incoming: Incoming,
}

pub(super) struct IncomingQueue {
    queue: Mutex<VecDeque<(Received, Arc<Account>)>>,
    readable: EventFd,
}

impl IncomingQueue {
    pub fn new() -> io::Result<IncomingQueue> {
        Ok(IncomingQueue { queue: Mutex::default(), readable: EventFd::new()? })
    }

    pub fn readable(&self) -> &EventFd {
        &self.readable
    }

    pub fn push(&self, socket: SocketId, incoming: Incoming, account: &Arc<Account>) {
        account.untaken.fetch_add(incoming.bytes(), Ordering::Relaxed);
        let mut queue = self.lock();
        queue.push_back((Received { socket, incoming }, Arc::clone(account)));
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.readable.signal();
        }
    }

    /// Once nothing is left the eventfd is no longer readable.
    pub fn drain(&self, max: usize, into: &mut Vec<Received>) {
        let mut queue = self.lock();
        let count = max.min(queue.len());
        for (received, account) in queue.drain(..count) {
            account.untaken.fetch_sub(received.incoming.bytes(), Ordering::Relaxed);
            into.push(received);
        }
        if queue.is_empty() {
            self.readable.reset();
        }
    }

    /// Every critical section leaves the queue consistent, so a panicking holder does not spoil it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Received, Arc<Account>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
