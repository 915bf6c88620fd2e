//! What a shard tells.

use std::net::SocketAddr;

use super::{Channel, Kind, PeerId, Proto, Quality, RoomId, TrackId};

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
