//! The only contract between the media core and the world around it: commands in, events out.
//!
//! Plain data: no socket, clock, lock or Python type. Ids are handed out by the caller (the signal plane) and are
//! never reused while the process lives. Every command is applied by the one shard that owns the room; every answer is
//! an [`Event`].

mod command;
mod event;
mod io;

pub use command::{Command, PeerOptions, PlayoutDelay};
pub use event::{CloseReason, Event, OfferedSection};
pub use io::{Counters, Datagram, Egress, Limits, Proto, ShardConfig, Transmit};

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
