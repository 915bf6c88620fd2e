//! Offer/answer (RFC 3264, RFC 8829) as pure functions over the SDP model.
//!
//! A client's offer is handled in two steps. [`review`] says what each section could carry: codecs, header extension
//! ids, simulcast layers. The core then decides what it sends where, and [`answer`] writes that down. For server offers
//! (dual peer connection) [`offer`] writes and [`review_answer`] reads.

mod review;
mod table;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::net::SocketAddr;

use crate::api::{Kind, Proto};
use crate::wire::codec::Codec;

pub use review::{review, review_answer};
pub use write::{answer, offer};

/// The format of a data section (RFC 8841).
const DATA_CHANNEL_FORMAT: &str = "webrtc-datachannel";

/// Why a description cannot be used. Shown to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiationError(pub String);

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NegotiationError {}

/// The other side's transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTransport {
    pub ufrag: String,
    pub pwd: String,
    pub sha256: [u8; 32],
    /// We are the DTLS client (the answer said `passive`). Never so when we answer.
    pub we_are_active: bool,
    /// The other side's largest SCTP message; 65536 when not said (RFC 8841).
    pub max_message_size: u64,
    pub has_data_section: bool,
}

/// Our transport, for every section of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTransport {
    pub ufrag: String,
    pub pwd: String,
    pub sha256: [u8; 32],
    /// Best first. TCP ones are passive.
    pub candidates: Vec<(Proto, SocketAddr)>,
    /// Constant for the life of the peer connection.
    pub session_id: u64,
    /// Must grow with every description of this peer.
    pub session_version: u64,
}

/// Ids of the header extensions we use in a section; 0 = not negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtensionIds {
    pub mid: u8,
    pub rid: u8,
    pub repaired_rid: u8,
    pub transport_cc: u8,
    /// Only where transport-cc is not offered.
    pub abs_send_time: u8,
    pub audio_level: u8,
    pub dependency_descriptor: u8,
    /// When a frame was captured, by the clock of who captured it.
    pub abs_capture_time: u8,
    /// How long a receiver is to hold pictures back, at least and at most.
    pub playout_delay: u8,
}

/// A codec both sides speak, in one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedCodec {
    pub payload_type: u8,
    pub codec: Codec,
    /// Payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub transport_cc: bool,
    pub remb: bool,
    /// For RED: payload type of the Opus inside.
    pub red_inner: Option<u8>,
}

/// What one section of the client's description could carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// Position in the description (sdpMLineIndex).
    pub index: usize,
    pub mid: String,
    /// None = data channels.
    pub kind: Option<Kind>,
    /// Stopped by the client or nothing we can speak: answered with port 0.
    pub rejected: bool,
    /// The client would send media here.
    pub client_sends: bool,
    /// The client would receive media here.
    pub client_receives: bool,
    /// In the client's order of preference. Empty for data and rejected sections.
    pub codecs: Vec<NegotiatedCodec>,
    pub extensions: ExtensionIds,
    /// The id of the playout delay, for who has something to say by it ([`Review::with_playout_delay`]).
    pub playout_delay: u8,
    /// Stream and track id of the client's msid; empty = none.
    pub stream_id: String,
    pub track_id: String,
    /// Simulcast layers the client would send, in its order; empty = no simulcast.
    pub rids: Vec<String>,
    /// SSRCs the client announced: (media, its RTX). Usually empty with simulcast.
    pub ssrcs: Vec<(u32, Option<u32>)>,
}

impl Reviewed {
    pub fn by_payload_type(&self, payload_type: u8) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// The codec whose retransmissions have this payload type.
    pub fn by_rtx(&self, payload_type: u8) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|codec| codec.rtx == Some(payload_type))
    }

    /// What to send a stream of `sent` as, if this section can take it.
    pub fn accepting(&self, sent: Codec) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|codec| codec.codec.accepts(sent))
    }
}

/// A client's description, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub remote: RemoteTransport,
    pub sections: Vec<Reviewed>,
}

impl Review {
    /// Uses the playout delay extension where the client has it.
    pub fn with_playout_delay(&mut self) {
        for section in &mut self.sections {
            section.extensions.playout_delay = section.playout_delay;
        }
    }

    /// Leaves out codecs, given as mime types: `any` in both directions, `published` where the client would send. A
    /// section for which none is left is rejected.
    pub fn without_codecs(&mut self, any: &[String], published: &[String]) {
        for section in self.sections.iter_mut().filter(|section| !section.codecs.is_empty()) {
            let sends = section.client_sends;
            let named = |list: &[String], mime: &str| list.iter().any(|refused| refused.eq_ignore_ascii_case(mime));
            section.codecs.retain(|codec| {
                let mime = codec.codec.mime();
                !(named(any, mime) || sends && named(published, mime))
            });
            if section.codecs.is_empty() {
                (section.rejected, section.client_sends, section.client_receives) = (true, false, false);
            }
        }
    }
}

/// A stream we send in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendStream {
    pub ssrc: u32,
    /// Only written where the codec has RTX.
    pub rtx_ssrc: Option<u32>,
    pub cname: String,
    pub stream_id: String,
    pub track_id: String,
}

/// What the core wants of one section of an offer. A section without a plan receives what the client sends and sends
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub mid: String,
    pub send: Option<SendStream>,
    /// Do not receive (no permission to publish).
    pub refuse_receive: bool,
    /// Put this mime type's codecs first (the AddTrack codec), e.g. `video/VP9`.
    pub prefer: Option<String>,
    /// Audio we receive: ask for stereo at up to 510 kbit/s.
    pub stereo: bool,
    /// Audio we receive: ask the client not to stop sending in silence.
    pub disable_dtx: bool,
    /// Audio we receive: leave RED out.
    pub disable_red: bool,
}

/// A section of a server offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedMedia {
    pub mid: String,
    pub kind: Kind,
    /// None = an inactive section, to be reused later.
    pub send: Option<SendStream>,
    /// The receiver will be told how long to hold pictures back.
    pub playout_delay: bool,
}
