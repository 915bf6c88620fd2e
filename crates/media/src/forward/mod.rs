//! The subscribing side: what one peer gets of one track.

pub(crate) mod blank;
mod header;
mod history;
pub(crate) mod made;
mod payload;
mod rewrite;
pub(crate) mod silence;
pub(crate) mod stream;
mod svc;
mod timeline;

use crate::allocator::Choice;
use crate::api::{Publication, Quality, SubscriptionSettings, TrackId};
use crate::negotiate::NegotiatedCodec;
use crate::publish::layers::TEMPORAL;
use crate::publish::track::{LAYERS, Track};
use crate::slab::Key;
use crate::wire::codec::Codec;
use payload::Form;
use stream::DownStream;

/// No limit but what is sent.
pub(crate) const EVERYTHING: Choice = Choice { layer: LAYERS as u8 - 1, temporal: TEMPORAL as u8 - 1 };

/// A subscription of a peer. It becomes a stream when it is [`bound`](DownTrack::stream) to a section.
pub(crate) struct DownTrack {
    pub track: Key,
    pub id: TrackId,
    pub video: bool,
    pub settings: SubscriptionSettings,
    pub stream: Option<DownStream>,
    /// What the allocator allows; none = no video for now.
    pub allowed: Option<Choice>,
    /// The allocator paused it and the subscriber was told.
    pub paused: bool,
    /// The layer to be sent; none = nothing is to be sent now.
    pub target: Option<u8>,
    /// Counted up per peer: older subscriptions are served first.
    pub order: u64,
    /// The subscriber was told that it has no codec for what was sent then.
    pub failed: Option<Codec>,
    /// The subscriber did not accept the section we offered for it.
    pub refused: bool,
}

impl DownTrack {
    pub fn new(key: Key, track: &Track, settings: SubscriptionSettings, order: u64) -> DownTrack {
        DownTrack {
            track: key,
            id: track.id,
            video: track.is_video(),
            settings,
            stream: None,
            allowed: Some(EVERYTHING),
            paused: false,
            target: None,
            order,
            failed: None,
            refused: false,
        }
    }

    /// What comes next is another track's.
    pub fn move_to(&mut self, id: TrackId) {
        self.id = id;
        self.target = None;
        self.failed = None;
        self.refused = false;
        if let Some(stream) = &mut self.stream {
            stream.change_source();
        }
    }

    /// The subscriber was told that it cannot have what was sent then.
    pub fn is_hopeless(&self) -> bool {
        self.failed.is_some() || self.refused
    }

    /// Chooses the layer to send by what is wanted, allowed and there. True when a key frame of it is needed.
    pub fn retarget(&mut self, track: &Track) -> bool {
        let before = self.target;
        self.target = self.choose(track);
        let target = self.target;
        let Some(stream) = &mut self.stream else { return false };
        stream.set_temporal(self.allowed.map_or(0, |allowed| allowed.temporal));
        let (current, waits_for_room) = (stream.current_layer(), stream.waits_for_room());
        if track.svc {
            // Whether a key frame is needed for another layer shows with the frames.
            return target.is_some() && current.is_none();
        }
        let needed = self.video && target.is_some() && target != current && (target != before || current.is_none());
        needed && !waits_for_room
    }

    fn choose(&self, track: &Track) -> Option<u8> {
        if !self.settings.enabled || track.publication.muted || self.stream.is_none() {
            return None;
        }
        if !self.video {
            return Some(0);
        }
        let SubscriptionSettings { quality, width, height, .. } = self.settings;
        let wanted = track.wanted_layer(quality, width, height);
        track.best_alive(wanted.min(self.allowed?.layer))
    }

    /// The highest quality this subscription makes the publisher send; nothing where it cannot have it.
    pub fn wanted_quality(&self, track: &Track) -> Option<Quality> {
        let undecodable = self.failed.is_some() && self.failed == track.codec;
        if !self.settings.enabled || undecodable || self.refused {
            return None;
        }
        let SubscriptionSettings { quality, width, height, .. } = self.settings;
        Some(match track.wanted_layer(quality, width, height) {
            0 => Quality::Low,
            1 => Quality::Medium,
            _ => Quality::High,
        })
    }
}

/// Can a section with these codecs carry what is sent?
pub(crate) fn can_carry(codecs: &[NegotiatedCodec], sent: Codec, of: &Publication) -> bool {
    Form::choose(codecs, sent, of).is_some()
}

/// What came of offering a packet to a down track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// Not wanted, or from before a switch.
    Skipped,
    /// It waits for a key frame of this layer.
    NeedsKeyframe(u8),
    /// The subscriber's section has no codec for it.
    NoCodec,
}
