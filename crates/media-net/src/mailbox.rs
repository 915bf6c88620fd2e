//! What waits for one shard: commands and accepted ICE-TCP connections, bounded, with a wake-up.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auralink_media::api::Command;

use crate::sys::EventFd;
use crate::tcp::Handover;

pub enum Input {
    Command(Command),
    Tcp(Handover),
    Fault(Fault),
}

/// What a shard is made to suffer, to see that the rest survives it. Only tests ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its thread panics.
    Panic,
    /// Its thread does nothing for so long.
    Stall(Duration),
}

#[derive(Default)]
struct Waiting {
    inputs: Vec<Input>,
    bytes: usize,
}

pub struct Mailbox {
    waiting: Mutex<Waiting>,
    wake: EventFd,
    max_commands: usize,
    max_bytes: usize,
}

impl Mailbox {
    pub fn new(max_commands: usize, max_bytes: usize) -> std::io::Result<Mailbox> {
        Ok(Mailbox { waiting: Mutex::default(), wake: EventFd::new()?, max_commands, max_bytes })
    }

    /// Closing is always possible: it frees what is short, and each peer or room is closed once.
    pub fn has_room_for(&self, command: &Command) -> bool {
        if matches!(command, Command::ClosePeer { .. } | Command::CloseRoom { .. }) {
            return true;
        }
        let waiting = self.lock();
        waiting.inputs.len() < self.max_commands && waiting.bytes + payload_bytes(command) <= self.max_bytes
    }

    pub fn push(&self, input: Input) {
        let mut waiting = self.lock();
        if let Input::Command(command) = &input {
            waiting.bytes += payload_bytes(command);
        }
        waiting.inputs.push(input);
        let first = waiting.inputs.len() == 1;
        drop(waiting);
        if first {
            self.wake.signal();
        }
    }

    /// Swaps everything that waits into `into`, which must be empty.
    pub fn take(&self, into: &mut Vec<Input>) {
        self.wake.reset();
        let mut waiting = self.lock();
        mem::swap(&mut waiting.inputs, into);
        waiting.bytes = 0;
    }

    pub fn len(&self) -> usize {
        self.lock().inputs.len()
    }

    pub fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// Every critical section leaves the queue consistent, so a panicking holder does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn payload_bytes(command: &Command) -> usize {
    match command {
        Command::SendData { payload, .. } => payload.len(),
        Command::Offer { sdp, .. } | Command::Answer { sdp, .. } => sdp.len(),
        _ => 0,
    }
}
