//! What a shard thread drives: the SFU's [`Shard`], or a stand-in in tests of the I/O alone.

use std::net::SocketAddr;
use std::time::Instant;

use auralink_media::Shard;
use auralink_media::api::{Command, Counters, Datagram, Egress, Event, ShardConfig};

/// The sans-I/O side of a shard thread. See [`Shard`] for what each method promises.
pub trait Core {
    fn command(&mut self, now: Instant, command: Command);
    fn receive(
        &mut self,
        now: Instant,
        datagrams: &mut [Datagram<'_>],
        egress: &mut Egress,
        drain: &mut dyn FnMut(&mut Egress),
    );
    fn tick(&mut self, now: Instant, egress: &mut Egress);
    fn next_timeout(&self) -> Option<Instant>;
    fn shed(&mut self, now: Instant, level: u8);
    fn drain_events(&mut self, into: &mut Vec<Event>);
    fn tcp_closed(&mut self, now: Instant, remote: SocketAddr);
    fn counters(&self) -> Counters;
}

/// Makes the core of a shard; called on its thread, at the start and again after a failure.
pub trait CoreFactory: Send + Sync + 'static {
    type Core: Core;

    fn make(&self, config: ShardConfig, now: Instant) -> Self::Core;
}

impl Core for Shard {
    fn command(&mut self, now: Instant, command: Command) {
        Shard::command(self, now, command);
    }

    fn receive(
        &mut self,
        now: Instant,
        datagrams: &mut [Datagram<'_>],
        egress: &mut Egress,
        drain: &mut dyn FnMut(&mut Egress),
    ) {
        Shard::receive_draining(self, now, datagrams, egress, drain);
    }

    fn tick(&mut self, now: Instant, egress: &mut Egress) {
        Shard::tick(self, now, egress);
    }

    fn next_timeout(&self) -> Option<Instant> {
        Shard::next_timeout(self)
    }

    fn shed(&mut self, now: Instant, level: u8) {
        Shard::shed(self, now, level);
    }

    fn drain_events(&mut self, into: &mut Vec<Event>) {
        Shard::drain_events(self, into);
    }

    fn tcp_closed(&mut self, now: Instant, remote: SocketAddr) {
        Shard::tcp_closed(self, now, remote);
    }

    fn counters(&self) -> Counters {
        Shard::counters(self)
    }
}
