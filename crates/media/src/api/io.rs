//! What the sockets' side and a shard hand each other: datagrams, addresses, limits, counters.

use std::net::SocketAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proto {
    Udp,
    /// ICE-TCP: the framing of RFC 4571 is the I/O layer's, one connection per remote address.
    Tcp,
}

impl Proto {
    pub fn as_str(self) -> &'static str {
        match self {
            Proto::Udp => "udp",
            Proto::Tcp => "tcp",
        }
    }
}

/// Where datagrams of a shard arrive: what goes into the candidates of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardConfig {
    /// Local UDP address datagrams are received on (as handed to `receive`).
    pub udp_local: SocketAddr,
    /// Advertised UDP addresses (candidates), best first.
    pub udp_candidates: Vec<SocketAddr>,
    /// Advertised ICE-TCP (passive) addresses; empty = no TCP.
    pub tcp_candidates: Vec<SocketAddr>,
    pub limits: Limits,
}

/// Bounds on what one peer or one address may make us keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub max_peers: usize,
    pub max_ssrcs_per_peer: usize,
    /// RTP packets of one peer that are looked at in a second; the rest is dropped. A hundred cameras send fewer.
    pub max_packets_per_s: u32,
    pub max_sdp_bytes: usize,
    pub max_sections: usize,
    pub max_data_message_bytes: usize,
    /// Bytes waiting on a peer's reliable channel before it is closed as a slow reader.
    pub max_data_queue_bytes: usize,
    /// Bytes waiting on each of its other channels before their oldest messages are dropped: late data are of no use.
    pub max_lossy_queue_bytes: usize,
    /// Of what one peer sends on data channels, as datagrams; more is lost on the way in, and its SCTP slows down.
    pub max_data_bytes_per_s: u32,
    /// Of the messages among these. Lossy ones beyond it are dropped, for reliable ones the next datagrams have to wait.
    pub max_data_messages_per_s: u32,
    /// Data tracks one peer may publish; those beyond it are not forwarded.
    pub max_data_tracks_per_peer: usize,
    pub connect_timeout_ms: u64,
    pub ice_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_peers: 20_000,
            max_ssrcs_per_peer: 256,
            max_packets_per_s: 20_000,
            // A browser writes about 3 kB per section: this is a meeting of 150 with everybody's audio and video.
            max_sdp_bytes: 1024 * 1024,
            max_sections: 1024,
            max_data_message_bytes: 64 * 1024,
            // A file of some megabytes to somebody whose line is slower than the sender's.
            max_data_queue_bytes: 16 * 1024 * 1024,
            max_lossy_queue_bytes: 256 * 1024,
            max_data_bytes_per_s: 16 * 1024 * 1024,
            max_data_messages_per_s: 10_000,
            max_data_tracks_per_peer: 100,
            connect_timeout_ms: 30_000,
            ice_timeout_ms: 15_000,
        }
    }
}

/// One datagram to send. The bytes are `buffer[start..start + len]` of the egress it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    pub proto: Proto,
    pub destination: SocketAddr,
    pub start: usize,
    pub len: usize,
}

/// Datagrams gathered during one wake-up of a shard, in order. Consecutive entries to one destination and of one size
/// are a run that the I/O layer may send with UDP GSO; the core emits per subscriber so that such runs are long.
#[derive(Debug, Default)]
pub struct Egress {
    pub buffer: Vec<u8>,
    pub transmits: Vec<Transmit>,
}

impl Egress {
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.transmits.clear();
    }

    /// Adds what `other` holds behind what is there.
    pub fn append(&mut self, mut other: Egress) {
        let offset = self.buffer.len();
        self.buffer.append(&mut other.buffer);
        self.transmits.extend(other.transmits.iter().map(|one| Transmit { start: one.start + offset, ..*one }));
    }
}

/// One received datagram. `payload` is scratch space: the core decrypts in place.
#[derive(Debug)]
pub struct Datagram<'a> {
    pub proto: Proto,
    pub source: SocketAddr,
    pub payload: &'a mut [u8],
}

/// Counters of one shard since it started (monotonic, except where a doc says gauge).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Gauge.
    pub peers: u64,
    /// Gauge.
    pub tracks: u64,
    /// Gauge.
    pub subscriptions: u64,
    pub datagrams_in: u64,
    pub bytes_in: u64,
    pub datagrams_out: u64,
    pub bytes_out: u64,
    pub rtp_in: u64,
    pub rtp_forwarded: u64,
    /// Dropped by us: unknown source, bad packet, failed authentication, replay, over a limit.
    pub dropped_unknown: u64,
    pub dropped_malformed: u64,
    pub dropped_auth: u64,
    pub dropped_limit: u64,
    pub nacks_in: u64,
    pub nacks_out: u64,
    pub retransmitted: u64,
    pub keyframe_requests_in: u64,
    pub keyframe_requests_out: u64,
    pub data_in: u64,
    pub data_out: u64,
    pub data_dropped: u64,
    /// Gauge.
    pub data_tracks: u64,
    /// Data track packets in; what subscribers get of them counts as `data_out`.
    pub data_track_in: u64,
    pub peer_panics: u64,
}
