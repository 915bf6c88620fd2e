//! Where a shard's egress goes: UDP to the kernel at once, ICE-TCP into each connection's queue.

use std::net::SocketAddr;

use auralink_media::api::{Egress, Proto};
use rustc_hash::FxHashMap;

use crate::routes::Routes;
use crate::send::{SendCounters, Sender};
use crate::tcp::Connection;
use crate::udp::UdpSocket;

/// More than this is sent before more is made, so that egress stays in the cache.
const EGRESS_BYTES: usize = 128 * 1024;
/// Egress memory kept for the next wake-up.
const EGRESS_KEPT: usize = 4 * 1024 * 1024;

pub struct Outbound {
    pub sender: Sender,
    pub routes: Routes,
    pub connections: FxHashMap<u64, Connection>,
    /// Token of the connection from an address.
    pub tcp: FxHashMap<SocketAddr, u64>,
    /// Connections that were given something to write.
    touched: Vec<u64>,
    /// Packets to ICE-TCP clients that read too slowly.
    pub tcp_dropped: u64,
    /// What the sender had sent at the last [`Outbound::take_sent`].
    told: SendCounters,
}

impl Outbound {
    pub fn new(gso: bool, sockets: &[UdpSocket]) -> Outbound {
        Outbound {
            sender: Sender::new(gso),
            routes: Routes::new(sockets),
            connections: FxHashMap::default(),
            tcp: FxHashMap::default(),
            touched: Vec::new(),
            tcp_dropped: 0,
            told: SendCounters::default(),
        }
    }

    /// Sends when it is much: called between subscribers.
    #[inline]
    pub fn relieve(&mut self, sockets: &[UdpSocket], egress: &mut Egress) {
        if egress.buffer.len() >= EGRESS_BYTES {
            self.send(sockets, egress);
        }
    }

    /// Hands everything on and empties the egress.
    pub fn send(&mut self, sockets: &[UdpSocket], egress: &mut Egress) {
        if egress.transmits.is_empty() {
            return;
        }
        self.sender.send(sockets, egress, |destination| self.routes.socket(destination));
        if !self.connections.is_empty() {
            self.queue_tcp(egress);
        }
        egress.clear();
        if egress.buffer.capacity() > EGRESS_KEPT {
            egress.buffer.shrink_to(EGRESS_KEPT);
        }
    }

    fn queue_tcp(&mut self, egress: &Egress) {
        for transmit in egress.transmits.iter().filter(|t| t.proto == Proto::Tcp) {
            let Some(token) = self.tcp.get(&transmit.destination) else { continue };
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let payload = egress.buffer.get(transmit.start..transmit.start + transmit.len).unwrap_or_default();
            if !connection.queue(payload) {
                self.tcp_dropped += 1;
            }
            if self.touched.last() != Some(token) {
                self.touched.push(*token);
            }
        }
    }

    /// Connections to write to now; a connection may be named more than once.
    pub fn take_touched(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.touched)
    }

    /// UDP datagrams sent since this was last asked, and in how many messages.
    pub fn take_sent(&mut self) -> (u64, u64) {
        let now = self.sender.counters();
        let before = std::mem::replace(&mut self.told, now);
        (now.datagrams - before.datagrams, now.messages - before.messages)
    }
}
