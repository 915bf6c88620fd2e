//! The only contract between the media core and the world around it: commands in, events out.
//!
//! Plain data: no socket, clock, lock or Python type. Ids are handed out by the caller (the signal plane) and are
//! never reused while the process lives. Every command is applied by the one shard that owns the room; every answer is
//! an [`Event`].

use std::net::SocketAddr;

/// A room, as known to one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

/// One peer connection. A participant on the single-PC signal path has one, on the dual-PC path two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// One published track (all its simulcast layers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Audio,
    Video,
}

/// LiveKit's TrackSource, as far as forwarding cares: screen shares are served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Microphone,
    Camera,
    ScreenShare,
    ScreenShareAudio,
    Unknown,
}

/// LiveKit's VideoQuality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    Low,
    Medium,
    High,
}

/// What the peer connection is used for on the signal path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRole {
    /// v1: one connection, the client offers, media flows both ways.
    Single,
    /// v0: the client offers and publishes.
    Publisher,
    /// v0: the server offers and sends.
    Subscriber,
}

/// The data channels of the LiveKit protocol, known by label (`_reliable`, `_lossy`, `_data_track`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Reliable,
    Lossy,
    DataTrack,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];

    pub fn label(self) -> &'static str {
        match self {
            Channel::Reliable => "_reliable",
            Channel::Lossy => "_lossy",
            Channel::DataTrack => "_data_track",
        }
    }

    pub fn from_label(label: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|c| c.label() == label)
    }
}

/// One simulcast layer as announced in AddTrack (LiveKit's VideoLayer): sizes in pixels, bit rate in bits per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub quality: Quality,
    pub width: u32,
    pub height: u32,
    pub bitrate_bps: u32,
}

/// A track announced by AddTrack and matched to an m-line of its publisher's peer connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub track: TrackId,
    /// LiveKit's `TR_…`, used in the SDP of subscribers.
    pub sid: String,
    /// Media-stream id in the SDP of subscribers: `PA_sid|TR_sid` or `PA_sid|streamName`.
    pub stream_id: String,
    /// Tracks of one participant with the same name here are played in step; see [`PeerOptions::sync_streams`].
    pub stream: String,
    pub kind: Kind,
    pub source: Source,
    pub muted: bool,
    pub layers: Vec<Layer>,
    /// Mid of the publisher's m-line.
    pub mid: String,
    /// Of an encrypted track: what clients find at the end of frames that the server put in (LiveKit's `sif_trailer`).
    pub sif_trailer: Vec<u8>,
    /// Subscribers that negotiated RED (RFC 2198) get it although the publisher sends plain Opus.
    pub make_red: bool,
}

impl Publication {
    /// Only its subscribers can read it.
    pub fn is_encrypted(&self) -> bool {
        !self.sif_trailer.is_empty()
    }
}

/// A track announced by AddTrack, before an offer names its section: what the answer asks of the client's encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Track ids by which the section may be named (LiveKit's cid, and those of its other codecs).
    pub cids: Vec<String>,
    pub kind: Kind,
    /// The codec to answer first, e.g. `video/VP9`; none = as the client prefers.
    pub mime: Option<String>,
    pub stereo: bool,
    /// Send in silence, too.
    pub disable_dtx: bool,
    pub disable_red: bool,
}

/// What one subscriber wants of one track (LiveKit's UpdateTrackSettings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionSettings {
    pub enabled: bool,
    /// Highest quality wanted.
    pub quality: Quality,
    /// Wanted size in pixels; 0 = not said. The smallest layer at least this large is chosen.
    pub width: u32,
    pub height: u32,
    /// Wanted frame rate; 0 = not said.
    pub fps: u32,
    /// Higher is served first; 0 = not said.
    pub priority: u32,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        SubscriptionSettings { enabled: true, quality: Quality::High, width: 0, height: 0, fps: 0, priority: 0 }
    }
}

/// Commands from the signal plane. `Offer` and `MakeOffer` are answered by exactly one event each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    CreateRoom {
        room: RoomId,
    },
    /// Closes every peer in it.
    CloseRoom {
        room: RoomId,
    },
    CreatePeer {
        peer: PeerId,
        room: RoomId,
        role: PeerRole,
        options: PeerOptions,
    },
    /// Ends the peer without events about it; tracks it published end for everybody.
    ClosePeer {
        peer: PeerId,
    },
    /// An announced track that a later offer will have a section for.
    Expect {
        peer: PeerId,
        expected: Expected,
    },
    /// A client's offer (`Single`, `Publisher`). -> `Answer` or `OfferRejected`.
    Offer {
        peer: PeerId,
        offer_id: u32,
        sdp: String,
    },
    /// Have the server offer (`Subscriber`), optionally with new ICE credentials. -> `Offer`.
    MakeOffer {
        peer: PeerId,
        ice_restart: bool,
    },
    /// Act as if the line to this peer carried no more than this; 0 = as it is. Clients ask for it to try it out.
    LimitBandwidth {
        peer: PeerId,
        bps: u64,
    },
    /// A client's answer to the newest `Offer` event; one with another id is ignored.
    Answer {
        peer: PeerId,
        offer_id: u32,
        sdp: String,
    },
    /// Bind an m-line of the publisher to a track. May come before or after media does.
    Publish {
        peer: PeerId,
        publication: Publication,
    },
    Unpublish {
        track: TrackId,
    },
    SetMuted {
        track: TrackId,
        muted: bool,
    },
    Subscribe {
        peer: PeerId,
        track: TrackId,
        settings: SubscriptionSettings,
    },
    Unsubscribe {
        peer: PeerId,
        track: TrackId,
    },
    /// A subscription goes on with another track of the same kind, in the section it has: the same picture in another
    /// codec. Without effect where there is no such subscription, or one of the other track already.
    MoveSubscription {
        peer: PeerId,
        from: TrackId,
        to: TrackId,
    },
    SetSubscription {
        peer: PeerId,
        track: TrackId,
        settings: SubscriptionSettings,
    },
    /// A data track: packets of `peer` with this handle go to those who subscribed, without asking anybody.
    PublishData {
        peer: PeerId,
        track: TrackId,
        /// The publisher's, in the header of its packets; not 0.
        handle: u16,
    },
    UnpublishData {
        track: TrackId,
    },
    /// Again with another handle: that one is used from now on.
    SubscribeData {
        peer: PeerId,
        track: TrackId,
        /// What the header says towards this subscriber.
        handle: u16,
    },
    UnsubscribeData {
        peer: PeerId,
        track: TrackId,
    },
    /// One message to many peers (bounded queue per peer and channel; a slow reader harms only itself).
    SendData {
        peers: Vec<PeerId>,
        channel: Channel,
        payload: Vec<u8>,
        /// Who said it: slowed down while readers of the reliable channel are behind.
        sender: Option<PeerId>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerOptions {
    /// May the allocator pause video when bandwidth is short (LiveKit's `subscriber_allow_pause`)?
    pub allow_pause: bool,
    /// How long it is to hold pictures back (LiveKit's `min_playout_delay`, `max_playout_delay` of a room); none = as
    /// its own player likes.
    pub playout_delay: Option<PlayoutDelay>,
    /// Put what is to be played in step into one media stream of its description: its player synchronises those. Not for
    /// clients that tell tracks apart by the stream.
    pub sync_streams: bool,
    /// Codecs it neither gets nor may send, as mime types.
    pub refused_codecs: Vec<String>,
    /// Codecs it may not send besides.
    pub refused_publish_codecs: Vec<String>,
    /// The client (pion) knows of a track when its first packet comes: it gets one although the publisher says nothing.
    pub shows_tracks_by_packet: bool,
}

/// How long a receiver holds pictures back, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutDelay {
    pub min_ms: u32,
    pub max_ms: u32,
}

impl PlayoutDelay {
    /// The longest that can be told: 12 bits of 10 ms.
    const LONGEST_MS: u32 = 40_950;
    /// What a room with only a minimum has for maximum (LiveKit's figure).
    const DEFAULT_MAX_MS: u32 = 10_000;

    /// The value of the header extension: minimum and maximum in 12 bits each, in units of 10 ms.
    pub fn value(self) -> [u8; 3] {
        let max_ms = if self.max_ms == 0 { Self::DEFAULT_MAX_MS } else { self.max_ms }.min(Self::LONGEST_MS);
        let (min, max) = (self.min_ms.min(max_ms) / 10, max_ms / 10);
        let [_, first, second, third] = (min << 12 | max).to_be_bytes();
        [first, second, third]
    }
}

/// One m-line of an applied offer on which the client sends, so that the signal plane can match it with AddTrack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedSection {
    pub mid: String,
    pub kind: Kind,
    /// Track id of the client's `a=msid` (LiveKit's cid), empty when there is none.
    pub cid: String,
    /// Mime types in the client's order of preference, e.g. `video/VP8`.
    pub codecs: Vec<String>,
    pub rids: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// No valid packet for the ICE timeout.
    IceTimeout,
    /// DTLS failed or was closed by the client.
    Dtls,
    /// The client did not connect in time.
    ConnectTimeout,
    /// Bad input from this peer (what exactly is in the event's message).
    ProtocolError,
    /// A limit (streams, rate, queue) was exceeded.
    LimitExceeded,
    /// More reliable data waits for it than may: it lost nothing that it was not sent, and may come back.
    SlowReader,
    /// A fault of ours, contained to this peer.
    Internal,
}

impl CloseReason {
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::IceTimeout => "ice_timeout",
            CloseReason::Dtls => "dtls",
            CloseReason::ConnectTimeout => "connect_timeout",
            CloseReason::ProtocolError => "protocol_error",
            CloseReason::LimitExceeded => "limit_exceeded",
            CloseReason::SlowReader => "slow_reader",
            CloseReason::Internal => "internal",
        }
    }
}

/// Events to the signal plane. Control events are never dropped; `Speakers`, `Quality` and `Route` coalesce.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Answer {
        peer: PeerId,
        offer_id: u32,
        sdp: String,
        /// Downstream sections: (mid, track sid).
        mid_to_track: Vec<(String, String)>,
        sections: Vec<OfferedSection>,
    },
    OfferRejected {
        peer: PeerId,
        offer_id: u32,
        message: String,
    },
    Offer {
        peer: PeerId,
        offer_id: u32,
        sdp: String,
        mid_to_track: Vec<(String, String)>,
    },
    /// ICE and DTLS are up; media and data may flow. Once per peer.
    Connected {
        peer: PeerId,
    },
    /// The way our packets take to it from now on: where its handshake came from, then what it nominated.
    Route {
        peer: PeerId,
        proto: Proto,
        address: SocketAddr,
    },
    /// A data channel of the protocol is open.
    ChannelOpen {
        peer: PeerId,
        channel: Channel,
    },
    /// The peer is gone; it needs no ClosePeer, sending one is harmless.
    PeerClosed {
        peer: PeerId,
        reason: CloseReason,
        message: String,
    },
    /// Pending subscriptions need a renegotiation by the client (`Single`), with this many sections *in addition* to
    /// the free ones it has. (0, 0) = a new offer is enough.
    SectionsNeeded {
        peer: PeerId,
        audio: u32,
        video: u32,
    },
    /// A pending subscription needs a server offer (`Subscriber`); answer with MakeOffer, debounced.
    OfferNeeded {
        peer: PeerId,
    },
    /// A section it received on carries nothing any more, after a subscription ended: a new offer, by whoever offers on
    /// this connection, says so.
    SectionFreed {
        peer: PeerId,
    },
    /// First RTP of a published track. `mime` e.g. `video/VP8`, `audio/opus`, `audio/red`.
    TrackStarted {
        track: TrackId,
        mime: String,
    },
    /// The publisher removed or stopped the m-line in its offer.
    TrackEnded {
        track: TrackId,
    },
    /// A subscriber's down track is bound (negotiated).
    Subscribed {
        peer: PeerId,
        track: TrackId,
    },
    /// The subscription cannot be: no codec in common.
    SubscriptionFailed {
        peer: PeerId,
        track: TrackId,
        message: String,
    },
    /// Qualities wanted by any subscriber, per track (dynacast); empty = nobody wants it.
    QualitiesWanted {
        track: TrackId,
        qualities: Vec<Quality>,
    },
    /// The allocator paused or resumed a subscription.
    StreamState {
        peer: PeerId,
        track: TrackId,
        paused: bool,
    },
    /// Changed audio levels of a room: (publishing peer, level 0..=1, active).
    Speakers {
        room: RoomId,
        levels: Vec<(PeerId, f32, bool)>,
    },
    /// Connection quality of a peer, 1.0 (bad) ..= 5.0 (excellent); 0.0 = lost. Only on change, at most every 5 s.
    Quality {
        peer: PeerId,
        score: f32,
    },
    /// A message on a channel whose label is the client's own: bytes for everybody, without LiveKit's envelope.
    UnlabeledData {
        peer: PeerId,
        payload: Vec<u8>,
    },
    /// A message on the reliable or the lossy channel; packets of data tracks stay inside.
    Data {
        peer: PeerId,
        channel: Channel,
        payload: Vec<u8>,
    },
}

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
