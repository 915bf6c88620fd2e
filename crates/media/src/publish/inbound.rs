//! One incoming RTP stream (SSRC): its packet indexes, replay protection and losses.

use std::time::Instant;

use super::nack::Nacks;
use super::stats::Reception;
use crate::wire::codec::Codec;
use crate::wire::rtp::{ReplayWindow, SequenceExtender};

/// What a stream carries.
pub(crate) enum Role {
    Media(Media),
    /// Retransmissions (RFC 4588) of this layer of the section.
    Repair {
        layer: u8,
    },
}

pub(crate) struct Media {
    pub layer: u8,
    /// The codec of the last payload type seen.
    pub payload_type: u8,
    pub codec: Codec,
    /// Present where the section negotiated NACK.
    pub nacks: Option<Nacks>,
    pub reception: Reception,
}

pub(crate) struct Inbound {
    pub ssrc: u32,
    /// Index of its section in the peer's list.
    pub section: usize,
    pub sequence: SequenceExtender,
    pub replay: ReplayWindow,
    pub role: Role,
    pub last_packet: Instant,
}

impl Inbound {
    pub fn new(now: Instant, ssrc: u32, section: usize, role: Role) -> Inbound {
        Inbound {
            ssrc,
            section,
            sequence: SequenceExtender::default(),
            replay: ReplayWindow::new(),
            role,
            last_packet: now,
        }
    }

    /// Is the other one for the same layer of the same section, and of the same sort?
    pub fn same_place(&self, other: &Inbound) -> bool {
        let layer = |role: &Role| match role {
            Role::Media(media) => (false, media.layer),
            Role::Repair { layer } => (true, *layer),
        };
        self.section == other.section && layer(&self.role) == layer(&other.role)
    }

    pub fn media(&self) -> Option<&Media> {
        match &self.role {
            Role::Media(media) => Some(media),
            Role::Repair { .. } => None,
        }
    }

    pub fn media_mut(&mut self) -> Option<&mut Media> {
        match &mut self.role {
            Role::Media(media) => Some(media),
            Role::Repair { .. } => None,
        }
    }
}
