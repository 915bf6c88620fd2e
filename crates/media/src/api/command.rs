//! What a shard is told to do.

use super::{Channel, Expected, PeerId, PeerRole, Publication, RoomId, SubscriptionSettings, TrackId};

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
