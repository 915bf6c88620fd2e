//! Counters of a shard thread and their sum over the engine, with the names the operator sees.

use auralink_media::api::Counters;

use crate::send::SendCounters;

/// Adds `one` to `sum`, field by field; destructuring makes a new counter impossible to forget.
macro_rules! core_counters {
    ($($field:ident),+ $(,)?) => {
        pub fn add(sum: &mut Counters, one: &Counters) {
            let Counters { $($field),+ } = one;
            $(sum.$field += $field;)+
        }

        fn core_named(counters: &Counters) -> Vec<(&'static str, u64)> {
            let Counters { $($field),+ } = *counters;
            vec![$((stringify!($field), $field)),+]
        }
    };
}

core_counters!(
    peers,
    tracks,
    subscriptions,
    datagrams_in,
    bytes_in,
    datagrams_out,
    bytes_out,
    rtp_in,
    rtp_forwarded,
    dropped_unknown,
    dropped_malformed,
    dropped_auth,
    dropped_limit,
    nacks_in,
    nacks_out,
    retransmitted,
    keyframe_requests_in,
    keyframe_requests_out,
    data_in,
    data_out,
    data_dropped,
    data_tracks,
    data_track_in,
    peer_panics,
);

/// What remains of a failed core: everything but its gauges.
pub fn without_gauges(counters: &Counters) -> Counters {
    Counters { peers: 0, tracks: 0, subscriptions: 0, data_tracks: 0, ..*counters }
}

/// What one shard thread did since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadCounters {
    pub core: Counters,
    pub sent: SendCounters,
    pub wakeups: u64,
    pub receive_calls: u64,
    pub receive_errors: u64,
    /// Datagrams longer than any packet of ours, dropped unread.
    pub receive_truncated: u64,
    /// Packets to ICE-TCP clients that read too slowly.
    pub tcp_dropped: u64,
    pub failures: u64,
    /// Gauge: how much is left out because the thread does not keep up, see `auralink_media::shed`.
    pub shed_level: u64,
    /// Times it was made more.
    pub shed_raised: u64,
}

/// Counters of the engine, summed over shards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    pub core: Counters,
    pub sent: SendCounters,
    pub wakeups: u64,
    pub receive_calls: u64,
    pub receive_errors: u64,
    pub receive_truncated: u64,
    pub tcp_dropped: u64,
    pub shard_failures: u64,
    /// Gauge: of the shard that leaves out most.
    pub shed_level: u64,
    pub shed_raised: u64,
    /// Gauge.
    pub tcp_connections: u64,
    /// Gauge.
    pub events_queued: u64,
    pub events_dropped: u64,
    /// Gauge.
    pub commands_queued: u64,
    /// Gauge: shards whose thread has not come round for `STUCK_AFTER`.
    pub shards_stuck: u64,
}

impl Stats {
    pub fn add(&mut self, thread: &ThreadCounters) {
        add(&mut self.core, &thread.core);
        self.sent.add(&thread.sent);
        self.wakeups += thread.wakeups;
        self.receive_calls += thread.receive_calls;
        self.receive_errors += thread.receive_errors;
        self.receive_truncated += thread.receive_truncated;
        self.tcp_dropped += thread.tcp_dropped;
        self.shard_failures += thread.failures;
        self.shed_level = self.shed_level.max(thread.shed_level);
        self.shed_raised += thread.shed_raised;
    }

    /// Every counter with its name: those of the core as in `Counters`, those of sending with `net_`.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let mut named = core_named(&self.core);
        named.extend([
            ("net_wakeups", self.wakeups),
            ("net_receive_calls", self.receive_calls),
            ("net_receive_errors", self.receive_errors),
            ("net_receive_truncated", self.receive_truncated),
            ("net_send_calls", self.sent.calls),
            ("net_send_messages", self.sent.messages),
            ("net_send_gso_messages", self.sent.gso_messages),
            ("net_send_datagrams", self.sent.datagrams),
            ("net_send_dropped", self.sent.dropped),
            ("net_send_errors", self.sent.errors),
            ("net_gso_refused", self.sent.gso_refused),
            ("net_tcp_dropped", self.tcp_dropped),
            ("net_tcp_connections", self.tcp_connections),
            ("net_shard_failures", self.shard_failures),
            ("events_queued", self.events_queued),
            ("events_dropped", self.events_dropped),
            ("commands_queued", self.commands_queued),
            ("net_shed_level", self.shed_level),
            ("net_shed_raised", self.shed_raised),
            ("net_shards_stuck", self.shards_stuck),
        ]);
        named
    }
}

impl ThreadCounters {
    /// Adds what earlier cores of the thread counted, except the core's own part.
    pub fn add_carried(&mut self, carried: &ThreadCounters) {
        self.sent.add(&carried.sent);
        self.wakeups += carried.wakeups;
        self.receive_calls += carried.receive_calls;
        self.receive_errors += carried.receive_errors;
        self.receive_truncated += carried.receive_truncated;
        self.tcp_dropped += carried.tcp_dropped;
        self.failures += carried.failures;
        self.shed_raised += carried.shed_raised;
    }
}
