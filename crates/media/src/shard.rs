//! One shard: the rooms, peers and tracks of one I/O thread, driven by datagrams, commands and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::api::{Command, Counters, Datagram, Egress, Event, ShardConfig};
use crate::transport::Identity;

/// The sans-I/O SFU of one thread. Owns everything its rooms need; nothing is shared with other shards.
pub struct Shard {
    config: ShardConfig,
    identity: Arc<Identity>,
    /// The pair that maps the monotonic clock to wall time for RTCP sender reports.
    epoch: (Instant, SystemTime),
    events: Vec<Event>,
    counters: Counters,
}

impl Shard {
    pub fn new(config: ShardConfig, identity: Arc<Identity>, now: Instant, wall: SystemTime) -> Shard {
        Shard { config, identity, epoch: (now, wall), events: Vec::new(), counters: Counters::default() }
    }

    pub fn command(&mut self, now: Instant, command: Command) {
        let _ = (now, command, &self.config, self.identity.certificate(), self.epoch);
    }

    /// Takes one wake-up's datagrams. Egress is appended per subscriber so that runs to one destination are long.
    pub fn receive(&mut self, now: Instant, datagrams: &mut [Datagram<'_>], egress: &mut Egress) {
        let _ = (now, egress);
        self.counters.datagrams_in += datagrams.len() as u64;
    }

    /// Runs due timers and sends whatever commands queued up.
    pub fn tick(&mut self, now: Instant, egress: &mut Egress) {
        let _ = (now, egress);
    }

    /// When `tick` must be called at the latest; `None` when nothing is pending.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    pub fn drain_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.events);
    }

    /// An ICE-TCP connection from `remote` went away.
    pub fn tcp_closed(&mut self, now: Instant, remote: SocketAddr) {
        let _ = (now, remote);
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }
}
