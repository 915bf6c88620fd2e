//! How an engine is set up, and why it may not start.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use auralink_media::IdentityError;
use auralink_media::api::Limits;

#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Local addresses; each shard binds one UDP socket to each.
    pub bind: Vec<IpAddr>,
    /// Addresses put into candidates; empty = the bound ones (every interface's for a wildcard).
    pub advertised: Vec<IpAddr>,
    /// UDP port of the first shard, the next shards take the following ones; 0 = free ones.
    pub udp_port: u16,
    /// ICE-TCP port (0 = a free one); `None` = no ICE-TCP.
    pub tcp_port: Option<u16>,
    pub shards: usize,
    pub limits: Limits,
    pub queues: QueueLimits,
    /// Try UDP_SEGMENT. Only measurements turn it off.
    pub gso: bool,
    /// Under fan-out, the longest that the first datagram of a wake-up waits for more, so that they leave in longer
    /// runs. Zero = not at all.
    pub gather: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            bind: vec![IpAddr::from([0, 0, 0, 0])],
            advertised: Vec::new(),
            udp_port: 0,
            tcp_port: None,
            shards: 1,
            limits: Limits::default(),
            queues: QueueLimits::default(),
            gso: true,
            gather: Duration::from_micros(500),
        }
    }
}

/// Bounds of what waits between threads, and of what strangers may hold open.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Commands waiting per shard; beyond it they are refused, except those that close something.
    pub commands: usize,
    /// Payload bytes of commands waiting per shard.
    pub command_bytes: usize,
    /// Events waiting to be drained; beyond it the peers they concern are closed.
    pub events: usize,
    /// Payload bytes of data events waiting to be drained.
    pub event_bytes: usize,
    /// ICE-TCP connections of the engine.
    pub tcp_connections: usize,
    /// ICE-TCP connections that have not yet said whom they are for.
    pub tcp_pending: usize,
    /// The same per remote IP address.
    pub tcp_pending_per_ip: usize,
    /// How long they may take to say so.
    pub tcp_first_message: Duration,
    /// Bytes waiting to be written per ICE-TCP connection; beyond it packets are dropped.
    pub tcp_write_bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        QueueLimits {
            commands: 16_384,
            command_bytes: 64 * 1024 * 1024,
            events: 65_536,
            event_bytes: 64 * 1024 * 1024,
            tcp_connections: 4_096,
            tcp_pending: 512,
            tcp_pending_per_ip: 32,
            tcp_first_message: Duration::from_secs(10),
            tcp_write_bytes: 256 * 1024,
        }
    }
}

/// Why an engine did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be: no address, no shard, ports past 65,535.
    Invalid(&'static str),
    /// An address could not be bound, most often because its port is taken.
    Bind {
        protocol: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    /// The kernel refused something else.
    Io(io::Error),
    Identity(IdentityError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Invalid(what) => write!(f, "invalid media configuration: {what}"),
            StartError::Bind { protocol, address, source } => {
                write!(f, "cannot bind {protocol} port {} on {}: {source}", address.port(), address.ip())
            }
            StartError::Io(source) => write!(f, "cannot start the media engine: {source}"),
            StartError::Identity(source) => write!(f, "cannot start the media engine: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Invalid(_) => None,
            StartError::Bind { source, .. } | StartError::Io(source) => Some(source),
            StartError::Identity(source) => Some(source),
        }
    }
}

impl From<io::Error> for StartError {
    fn from(source: io::Error) -> Self {
        StartError::Io(source)
    }
}
