//! Offers of ours, on the subscriber side of a dual peer connection: sections are ours to add and to reuse.

use std::time::Instant;

use super::description::{Applied, send_stream};
use super::{Fault, Peer};
use crate::api::{CloseReason, Event, Kind};
use crate::forward::stream::Binding;
use crate::negotiate::{self, OfferedMedia, Review, Reviewed};
use crate::publish::track::Track;
use crate::random;
use crate::slab::{Key, Slab};
use crate::wire::sdp::Description;

/// Mid of the data section.
const DATA_MID: &str = "data";

/// A section of our own offers: what it is for, and the subscription it carries.
struct OwnSection {
    media: OfferedMedia,
    down: Option<Key>,
    /// It sends by what the client answered last. Only after an answer to the contrary may another track have it:
    /// clients tell a new track from a section that starts to send.
    sending: bool,
}

impl OwnSection {
    fn is_free(&self, kind: Kind) -> bool {
        self.media.kind == kind && self.down.is_none() && !self.sending
    }
}

/// An offer of ours that waits for its answer.
struct Outstanding {
    id: u32,
    description: Description,
    /// Which of our sections send by it.
    sending: Vec<bool>,
}

/// What we offered so far. Sections are never taken away, only reused.
#[derive(Default)]
pub(super) struct ServerOffers {
    sections: Vec<OwnSection>,
    outstanding: Option<Outstanding>,
    last_id: u32,
}

impl ServerOffers {
    /// Frees the section of a subscription.
    pub fn release(&mut self, down: Key) {
        for section in self.sections.iter_mut().filter(|section| section.down == Some(down)) {
            section.down = None;
            section.media.send = None;
        }
    }
}

impl Peer {
    /// Makes an offer of ours with a section for every subscription.
    pub fn make_offer(&mut self, now: Instant, ice_restart: bool, tracks: &Slab<Track>) -> Result<Event, Fault> {
        let transport = self.transport(now).map_err(|message| Fault::new(CloseReason::Internal, message))?;
        if ice_restart && transport.has_remote() {
            let used = self.negotiation.credentials().0.to_owned();
            self.negotiation.renew_credentials()?;
            self.negotiation.superseded.get_or_insert(used);
        }
        for key in self.pending(tracks) {
            let Some(down) = self.downs.get(key) else { continue };
            let Some(track) = tracks.get(down.track) else { continue };
            if self.negotiation.ours.sections.iter().any(|section| section.down == Some(key)) {
                continue;
            }
            let sync = self.options.sync_streams;
            let send = Some(send_stream(track, random::number()?, random::number()?, sync));
            let kind = track.kind();
            let own = &mut self.negotiation.ours.sections;
            let sections = own.len();
            match own.iter_mut().find(|section| section.is_free(kind)) {
                Some(section) => (section.media.send, section.down) = (send, Some(key)),
                None if sections < self.config.limits.max_sections => {
                    let playout_delay = self.options.playout_delay.is_some();
                    let media = OfferedMedia { mid: sections.to_string(), kind, send, playout_delay };
                    own.push(OwnSection { media, down: Some(key), sending: false });
                }
                None => {}
            }
        }
        let local = self.local_transport();
        let media: Vec<OfferedMedia> =
            self.negotiation.ours.sections.iter().map(|section| section.media.clone()).collect();
        let description = negotiate::offer(&local, DATA_MID, &media);
        let sid = |section: &OwnSection| {
            let down = self.downs.get(section.down?)?;
            Some((section.media.mid.clone(), tracks.get(down.track)?.publication.sid.clone()))
        };
        let mid_to_track = self.negotiation.ours.sections.iter().filter_map(sid).collect();
        self.negotiation.ours.last_id += 1;
        let offer_id = self.negotiation.ours.last_id;
        let sdp = description.to_string();
        let sending = media.iter().map(|section| section.send.is_some()).collect();
        self.negotiation.ours.outstanding = Some(Outstanding { id: offer_id, description, sending });
        Ok(Event::Offer { peer: self.id, offer_id, sdp, mid_to_track })
    }

    /// Applies the client's answer to our newest offer; others are ignored.
    pub fn apply_answer(
        &mut self,
        now: Instant,
        offer_id: u32,
        sdp: &str,
        tracks: &Slab<Track>,
    ) -> Result<Option<Applied>, Fault> {
        let Some(outstanding) = self.negotiation.ours.outstanding.take_if(|offer| offer.id == offer_id) else {
            return Ok(None);
        };
        let bad = |message: String| Fault::new(CloseReason::ProtocolError, message);
        let answer = self.parse(sdp).map_err(bad)?;
        let mut review =
            negotiate::review_answer(&outstanding.description, &answer).map_err(|error| bad(error.to_string()))?;
        if self.options.playout_delay.is_some() {
            review.with_playout_delay();
        }
        review.without_codecs(&self.options.refused_codecs, &[]);
        self.apply_remote(now, &review, false).map_err(bad)?;
        self.negotiation.superseded = None;
        for (section, sending) in self.negotiation.ours.sections.iter_mut().zip(&outstanding.sending) {
            section.sending = *sending;
        }
        self.negotiation.established = true;
        Ok(Some(self.bind_answered(now, &review, tracks)))
    }

    fn bind_answered(&mut self, now: Instant, review: &Review, tracks: &Slab<Track>) -> Applied {
        let mut applied = Applied { events: Vec::new(), bound: Vec::new() };
        let (mut fresh, mut refused) = (Vec::new(), Vec::new());
        for section in &self.negotiation.ours.sections {
            let (Some(key), Some(send)) = (section.down, &section.media.send) else { continue };
            let Some(down) = self.downs.get(key).filter(|down| down.stream.is_none()) else { continue };
            let reviewed = review.sections.iter().find(|reviewed| reviewed.mid == section.media.mid);
            let sent = tracks.get(down.track).and_then(|track| Some((track.codec?, &track.publication)));
            let usable = |reviewed: &&Reviewed| {
                reviewed.client_receives
                    && !reviewed.rejected
                    && sent.is_none_or(|(codec, of)| crate::forward::can_carry(&reviewed.codecs, codec, of))
            };
            match reviewed.filter(usable) {
                Some(reviewed) => {
                    fresh.push((key, down.id, send.ssrc, send.rtx_ssrc.unwrap_or_default(), reviewed.clone()));
                }
                None => {
                    let message = "the client did not accept its section".to_owned();
                    refused.push(key);
                    applied.events.push(Event::SubscriptionFailed { peer: self.id, track: down.id, message });
                }
            }
        }
        for key in refused {
            self.negotiation.ours.release(key);
            if let Some(down) = self.downs.get_mut(key) {
                down.refused = true;
            }
        }
        for (key, id, ssrc, rtx_ssrc, reviewed) in fresh {
            let binding = Binding {
                mid: reviewed.mid,
                ssrc,
                rtx_ssrc,
                first_timestamp: random::number().unwrap_or(ssrc),
                codecs: reviewed.codecs,
                extensions: reviewed.extensions,
            };
            self.attach(now, key, binding);
            applied.bound.push(key);
            applied.events.push(Event::Subscribed { peer: self.id, track: id });
        }
        applied
    }
}
