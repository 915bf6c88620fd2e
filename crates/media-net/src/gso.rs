//! Which datagrams leave together: runs of equal-size packets to one destination become one GSO message.
//!
//! Pure planning over an [`Egress`]; `udp` turns the plan into system calls. Order per destination is kept, every
//! transmit is in exactly one message.

use std::net::SocketAddr;

use auralink_media::api::{Proto, Transmit};
use rustc_hash::FxHashMap;

/// The kernel refuses more segments per message than this (UDP_MAX_SEGMENTS of kernels before 6.11).
pub const MAX_SEGMENTS: usize = 64;
/// Below the 65,507 bytes an IPv4 datagram can carry, with room for any header.
pub const MAX_MESSAGE_BYTES: usize = 65_000;

const END: u32 = u32::MAX;

/// One message to send: `slices[first..first + count]` of the plan, cut into segments of `segment` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub destination: SocketAddr,
    /// Size of every segment but the last, which may be shorter.
    pub segment: usize,
    pub segments: usize,
    pub bytes: usize,
    pub first: usize,
    pub count: usize,
}

/// Bytes of the egress buffer; neighbours in memory are merged into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub start: usize,
    pub len: usize,
}

/// Reusable scratch space of the planner.
#[derive(Debug, Default)]
pub struct Plan {
    pub messages: Vec<Message>,
    pub slices: Vec<Slice>,
    /// Per transmit, the next one to the same destination.
    next: Vec<u32>,
    /// Per destination in order of appearance: first and last transmit.
    chains: Vec<(u32, u32)>,
    by_destination: FxHashMap<SocketAddr, u32>,
}

impl Plan {
    /// Plans the UDP transmits among `transmits`. Without `gso`, each is its own message.
    pub fn build(&mut self, transmits: &[Transmit], gso: bool) {
        self.messages.clear();
        self.slices.clear();
        if gso {
            self.chain(transmits);
            self.cut(transmits);
        } else {
            for transmit in transmits.iter().filter(|t| t.proto == Proto::Udp && t.len > 0) {
                self.open(transmit);
            }
        }
    }

    /// Links transmits to one destination, in order. The core emits per subscriber, so the hash map is asked once per
    /// run and not once per packet.
    fn chain(&mut self, transmits: &[Transmit]) {
        self.next.clear();
        self.next.resize(transmits.len(), END);
        self.chains.clear();
        self.by_destination.clear();
        let mut current: Option<(SocketAddr, u32)> = None;
        for (index, transmit) in (0u32..).zip(transmits) {
            if transmit.proto != Proto::Udp || transmit.len == 0 {
                continue;
            }
            let chain = match current {
                Some((destination, chain)) if destination == transmit.destination => chain,
                _ => {
                    let fresh = self.chains.len() as u32;
                    *self.by_destination.entry(transmit.destination).or_insert(fresh)
                }
            };
            current = Some((transmit.destination, chain));
            match self.chains.get_mut(chain as usize) {
                Some((_, last)) => {
                    if let Some(next) = self.next.get_mut(*last as usize) {
                        *next = index;
                    }
                    *last = index;
                }
                None => self.chains.push((index, index)),
            }
        }
    }

    fn cut(&mut self, transmits: &[Transmit]) {
        let chains = std::mem::take(&mut self.chains);
        for (first, _) in &chains {
            let mut at = *first;
            let mut open = false;
            while let Some(transmit) = transmits.get(at as usize) {
                open = (open && self.extend(transmit)) || self.open(transmit);
                at = self.next.get(at as usize).copied().unwrap_or(END);
            }
        }
        self.chains = chains;
    }

    /// Starts a message; always true.
    fn open(&mut self, transmit: &Transmit) -> bool {
        self.messages.push(Message {
            destination: transmit.destination,
            segment: transmit.len,
            segments: 1,
            bytes: transmit.len,
            first: self.slices.len(),
            count: 1,
        });
        self.slices.push(Slice { start: transmit.start, len: transmit.len });
        true
    }

    /// Appends to the newest message when its size and the kernel's limits allow.
    fn extend(&mut self, transmit: &Transmit) -> bool {
        let (Some(message), Some(slice)) = (self.messages.last_mut(), self.slices.last_mut()) else { return false };
        let whole = message.bytes == message.segment * message.segments;
        let fits = message.segments < MAX_SEGMENTS && message.bytes + transmit.len <= MAX_MESSAGE_BYTES;
        if !whole || !fits || transmit.len > message.segment {
            return false;
        }
        message.segments += 1;
        message.bytes += transmit.len;
        if slice.start + slice.len == transmit.start {
            slice.len += transmit.len;
        } else {
            message.count += 1;
            self.slices.push(Slice { start: transmit.start, len: transmit.len });
        }
        true
    }
}
