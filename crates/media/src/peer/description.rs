//! Offers of the client: which section carries which subscription. A subscription waits until an offer has a free
//! section of its kind.

use std::time::Instant;

use super::egress::no_codec;
use super::expected::Expectations;
use super::flush::Ending;
use super::server_offer::ServerOffers;
use super::{Fault, OwnStream, Peer};
use crate::api::{Event, Expected, Kind, OfferedSection, Proto};
use crate::effects::Effects;
use crate::forward::DownTrack;
use crate::forward::stream::{Binding, DownStream};
use crate::negotiate::{self, LocalTransport, Plan, Review, Reviewed, SendStream};
use crate::publish::track::Track;
use crate::random::{self, NoRandomness};
use crate::slab::{Key, Slab};
use crate::transport::{Identity, Remote};
use crate::wire::sdp::{Bounds, Description};

/// A section in which the client receives.
struct OutSection {
    reviewed: Reviewed,
    kind: Kind,
    down: Option<Key>,
}

pub(crate) struct Negotiation {
    ufrag: String,
    password: String,
    sha256: [u8; 32],
    session_id: u64,
    version: u64,
    sections: Vec<OutSection>,
    pub(super) ours: ServerOffers,
    expectations: Expectations,
    /// Our ufrag that the client uses while an ICE restart of ours is not answered.
    pub(super) superseded: Option<String>,
    /// Sections we asked the client for since its last offer; none = nothing was asked.
    asked: Option<(u32, u32)>,
    /// A description of the client has been applied.
    pub established: bool,
}

impl Negotiation {
    pub fn new(identity: &Identity) -> Result<Negotiation, NoRandomness> {
        Ok(Negotiation {
            ufrag: random::ice_text::<12>()?,
            password: random::ice_text::<30>()?,
            sha256: *identity.fingerprint(),
            session_id: u64::from_be_bytes(random::bytes()?) >> 2,
            version: 0,
            sections: Vec::new(),
            ours: ServerOffers::default(),
            expectations: Expectations::default(),
            superseded: None,
            asked: None,
            established: false,
        })
    }

    pub fn credentials(&self) -> (&str, &str) {
        (&self.ufrag, &self.password)
    }

    /// Every ufrag of ours that the client's checks may name.
    pub fn ufrags(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.ufrag).chain(&self.superseded).map(|ufrag| ufrag.as_bytes())
    }

    pub(super) fn renew_credentials(&mut self) -> Result<(), NoRandomness> {
        self.ufrag = random::ice_text::<12>()?;
        self.password = random::ice_text::<30>()?;
        Ok(())
    }

    fn free(&self, kind: Kind) -> u32 {
        self.sections.iter().filter(|section| section.kind == kind && section.down.is_none()).count() as u32
    }
}

/// What an applied offer leads to.
pub(crate) struct Applied {
    /// Events in order, the answer first.
    pub events: Vec<Event>,
    /// Down tracks that got a section.
    pub bound: Vec<Key>,
}

impl Peer {
    /// Applies a client's offer and answers it.
    ///
    /// # Errors
    /// The offer cannot be used, with the reason for the client; nothing changed then.
    pub fn apply_offer(
        &mut self,
        now: Instant,
        offer_id: u32,
        sdp: &str,
        tracks: &Slab<Track>,
    ) -> Result<Applied, String> {
        let offer = self.parse(sdp)?;
        let mut review = negotiate::review(&offer).map_err(|error| error.to_string())?;
        if self.options.playout_delay.is_some() {
            review.with_playout_delay();
        }
        review.without_codecs(&self.options.refused_codecs, &self.options.refused_publish_codecs);
        self.apply_remote(now, &review, true)?;
        self.negotiation.expectations.assign(&review);
        let mut events = self.apply_publishing(&review, tracks);
        self.apply_receiving(&review);
        self.negotiation.asked = None;
        self.negotiation.established = true;
        let (bound, mut bound_events) = self.bind_pending(now, tracks).map_err(|fault| fault.message)?;
        let (mut plans, mid_to_track) = self.plans(tracks);
        self.negotiation.expectations.add_to(&mut plans);
        let local = self.local_transport();
        let answer = negotiate::answer(&offer, &review, &local, &plans).to_string();
        let sections = offered_sections(&review);
        events.insert(0, Event::Answer { peer: self.id, offer_id, sdp: answer, mid_to_track, sections });
        events.append(&mut bound_events);
        Ok(Applied { events, bound })
    }

    /// A track is announced that a later offer has a section for.
    pub fn expect(&mut self, expected: Expected) {
        self.negotiation.expectations.add(expected);
    }

    pub(super) fn parse(&self, sdp: &str) -> Result<Description, String> {
        let limits = &self.config.limits;
        let bounds = Bounds { max_bytes: limits.max_sdp_bytes, max_sections: limits.max_sections };
        Description::parse(sdp, &bounds).map_err(|error| error.to_string())
    }

    /// Applies the client's end of the transport. In an offer that restarts ICE our credentials change too (RFC 8839
    /// section 4.4.1.1); for an answer they changed with our offer.
    pub(super) fn apply_remote(&mut self, now: Instant, review: &Review, is_offer: bool) -> Result<(), String> {
        let remote = &review.remote;
        let restart = self.transport(now)?.is_restart(&remote.ufrag);
        if restart && is_offer {
            self.negotiation.renew_credentials().map_err(|_| "no random numbers for new credentials".to_owned())?;
        }
        let Negotiation { ufrag, password, .. } = &self.negotiation;
        let local = restart.then(|| (ufrag.clone(), password.clone()));
        let local = local.as_ref().map(|(ufrag, password)| (ufrag.as_str(), password.as_str()));
        let remote = Remote {
            ufrag: &remote.ufrag,
            password: &remote.pwd,
            fingerprint: &remote.sha256,
            passive: remote.we_are_active,
        };
        self.transport(now)?.set_remote(&remote, local)
    }

    /// Takes the sections the client sends on; tracks whose section is gone end.
    fn apply_publishing(&mut self, review: &Review, tracks: &Slab<Track>) -> Vec<Event> {
        let before: Vec<String> = self.ingress.sections.iter().map(|s| s.reviewed.mid.clone()).collect();
        let published = &self.published;
        let track_of = |mid: &str| published.iter().find(|entry| entry.mid == mid).map(|entry| entry.track);
        self.ingress.set_sections(&review.sections, track_of);
        let gone = |mid: &str| before.iter().any(|b| b == mid) && self.ingress.section(mid).is_none();
        let ended = self.published.iter().filter(|entry| gone(&entry.mid));
        ended.filter_map(|entry| tracks.get(entry.track)).map(|t| Event::TrackEnded { track: t.id }).collect()
    }

    /// Takes the sections the client receives on. A subscription whose section is gone waits for another one.
    fn apply_receiving(&mut self, review: &Review) {
        let mut old = std::mem::take(&mut self.negotiation.sections);
        for reviewed in &review.sections {
            let Some(kind) = reviewed.kind else { continue };
            if reviewed.rejected || !reviewed.client_receives {
                continue;
            }
            let same = |section: &OutSection| section.reviewed.mid == reviewed.mid && section.kind == kind;
            let down = old.iter_mut().find(|section| same(section)).and_then(|section| section.down.take());
            if let Some(stream) = down.and_then(|key| self.downs.get_mut(key)).and_then(|d| d.stream.as_mut()) {
                stream.renegotiated(reviewed.codecs.clone(), reviewed.extensions);
            }
            self.negotiation.sections.push(OutSection { reviewed: reviewed.clone(), kind, down });
        }
        for key in old.into_iter().filter_map(|section| section.down) {
            self.unbind(key);
        }
        let sections = &self.negotiation.sections;
        let stays = |stream: &DownStream, section: &OutSection| {
            section.reviewed.mid == stream.binding.mid && section.reviewed.codecs == stream.binding.codecs
        };
        self.endings.retain(|ending| sections.iter().any(|section| stays(&ending.stream, section)));
    }

    fn unbind(&mut self, key: Key) {
        if let Some(stream) = self.downs.get_mut(key).and_then(|down| down.stream.take()) {
            self.own_streams.remove(&stream.binding.ssrc);
            self.own_streams.remove(&stream.binding.rtx_ssrc);
        }
    }

    /// Binds waiting subscriptions to free sections.
    fn bind_pending(&mut self, now: Instant, tracks: &Slab<Track>) -> Result<(Vec<Key>, Vec<Event>), Fault> {
        let (mut bound, mut events) = (Vec::new(), Vec::new());
        for key in self.pending(tracks) {
            let Some(down) = self.downs.get_mut(key) else { continue };
            let Some(track) = tracks.get(down.track) else { continue };
            let (kind, id) = (track.kind(), down.id);
            let mut free: Vec<_> =
                self.negotiation.sections.iter_mut().filter(|s| s.kind == kind && s.down.is_none()).collect();
            // One whose last stream still clears the decoder is given away after the others.
            let endings = &self.endings;
            let ends = |mid: &str| endings.iter().any(|ending| ending.stream.binding.mid == mid);
            free.sort_by_key(|section| ends(&section.reviewed.mid));
            let suits = |section: &mut &mut OutSection| {
                track
                    .codec
                    .is_none_or(|codec| crate::forward::can_carry(&section.reviewed.codecs, codec, &track.publication))
            };
            let mut unsuitable = false;
            let found = free.into_iter().find_map(|mut section| {
                let suitable = suits(&mut section);
                unsuitable |= !suitable;
                suitable.then_some(section)
            });
            let Some(section) = found else {
                if unsuitable {
                    // Another section of this client would be no better.
                    down.failed = track.codec;
                    events.push(no_codec(self.id, id));
                }
                continue;
            };
            section.down = Some(key);
            let reviewed = &section.reviewed;
            let binding = Binding {
                mid: reviewed.mid.clone(),
                ssrc: random::number()?,
                rtx_ssrc: random::number()?,
                first_timestamp: random::number()?,
                codecs: reviewed.codecs.clone(),
                extensions: reviewed.extensions,
            };
            self.attach(now, key, binding);
            bound.push(key);
            events.push(Event::Subscribed { peer: self.id, track: id });
        }
        Ok((bound, events))
    }

    pub(super) fn attach(&mut self, now: Instant, key: Key, binding: Binding) {
        let playout = self.options.playout_delay;
        let Some(down) = self.downs.get_mut(key) else { return };
        self.endings.retain(|ending| ending.stream.binding.mid != binding.mid);
        self.own_streams.insert(binding.ssrc, OwnStream { down: key });
        self.own_streams.insert(binding.rtx_ssrc, OwnStream { down: key });
        let stream = down.stream.insert(DownStream::new(now, down.video, binding));
        if let Some(delay) = playout.filter(|_| down.video) {
            stream.set_playout_delay(delay);
        }
    }

    /// Subscriptions without a section that may get one, oldest first.
    pub(super) fn pending(&self, tracks: &Slab<Track>) -> Vec<Key> {
        let hopeless = |down: &DownTrack| {
            down.refused
                || down.failed.is_some() && tracks.get(down.track).is_some_and(|track| track.codec == down.failed)
        };
        let waiting = self.downs.iter().filter(|(_, down)| down.stream.is_none() && !hopeless(down));
        let mut keys: Vec<_> = waiting.map(|(key, down)| (down.order, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn plans(&self, tracks: &Slab<Track>) -> (Vec<Plan>, Vec<(String, String)>) {
        let (mut plans, mut mid_to_track) = (Vec::new(), Vec::new());
        for section in &self.negotiation.sections {
            let Some(down) = section.down.and_then(|key| self.downs.get(key)) else {
                let mid = &section.reviewed.mid;
                let ending = self.endings.iter().find(|ending| ending.stream.binding.mid == *mid);
                let plan =
                    |ending: &Ending| Plan { mid: mid.clone(), send: Some(ending.send.clone()), ..Plan::default() };
                plans.extend(ending.map(plan));
                continue;
            };
            let (Some(stream), Some(track)) = (&down.stream, tracks.get(down.track)) else { continue };
            let mid = section.reviewed.mid.clone();
            mid_to_track.push((mid.clone(), track.publication.sid.clone()));
            let send = send_stream(track, stream.binding.ssrc, stream.binding.rtx_ssrc, self.options.sync_streams);
            plans.push(Plan { mid, send: Some(send), ..Plan::default() });
        }
        (plans, mid_to_track)
    }

    pub(super) fn local_transport(&mut self) -> LocalTransport {
        let config = &self.config;
        let udp = config.udp_candidates.iter().map(|address| (Proto::Udp, *address));
        let tcp = config.tcp_candidates.iter().map(|address| (Proto::Tcp, *address));
        self.negotiation.version += 1;
        LocalTransport {
            ufrag: self.negotiation.ufrag.clone(),
            pwd: self.negotiation.password.clone(),
            sha256: self.negotiation.sha256,
            candidates: udp.chain(tcp).collect(),
            session_id: self.negotiation.session_id,
            session_version: self.negotiation.version,
        }
    }

    /// Takes a subscription off its section of the client's offer; the section is free for another one.
    pub(super) fn release_section(&mut self, key: Key) {
        for section in self.negotiation.sections.iter_mut().filter(|section| section.down == Some(key)) {
            section.down = None;
        }
    }

    /// Asks for an offer when subscriptions wait for one: by the client with enough sections, or by ourselves.
    pub fn ask_for_sections(&mut self, tracks: &Slab<Track>, effects: &mut Effects) {
        if !self.negotiation.established && self.role == crate::api::PeerRole::Single {
            return; // Its first offer is still to come.
        }
        let kinds: Vec<Kind> = self
            .pending(tracks)
            .iter()
            .filter_map(|key| Some(tracks.get(self.downs.get(*key)?.track)?.kind()))
            .collect();
        if kinds.is_empty() {
            return;
        }
        if self.role == crate::api::PeerRole::Subscriber {
            effects.events.push(Event::OfferNeeded { peer: self.id });
            return;
        }
        let missing = |kind: Kind| {
            let waiting = kinds.iter().filter(|k| **k == kind).count() as u32;
            waiting.saturating_sub(self.negotiation.free(kind))
        };
        let (audio, video) = (missing(Kind::Audio), missing(Kind::Video));
        let (asked_audio, asked_video) = self.negotiation.asked.unwrap_or_default();
        let more = (audio.saturating_sub(asked_audio), video.saturating_sub(asked_video));
        if self.negotiation.asked.is_some() && more == (0, 0) {
            return; // What was asked for will do.
        }
        self.negotiation.asked = Some((audio.max(asked_audio), video.max(asked_video)));
        effects.events.push(Event::SectionsNeeded { peer: self.id, audio: more.0, video: more.1 });
    }
}

pub(super) fn send_stream(track: &Track, ssrc: u32, rtx_ssrc: u32, sync: bool) -> SendStream {
    let publication = &track.publication;
    let participant = publication.stream_id.split('|').next().unwrap_or_default();
    SendStream {
        ssrc,
        rtx_ssrc: track.is_video().then_some(rtx_ssrc),
        // One name for everything a participant sends: receivers keep those streams in sync.
        cname: participant.to_owned(),
        stream_id: match publication.stream.as_str() {
            name if sync && !name.is_empty() => format!("{participant}|{name}"),
            _ => publication.stream_id.clone(),
        },
        track_id: publication.sid.clone(),
    }
}

fn offered_sections(review: &Review) -> Vec<OfferedSection> {
    let sends = |section: &&Reviewed| section.client_sends && !section.rejected;
    let offered = |section: &Reviewed| {
        let mut codecs: Vec<String> = Vec::new();
        for codec in &section.codecs {
            if !codecs.iter().any(|mime| mime == codec.codec.mime()) {
                codecs.push(codec.codec.mime().to_owned());
            }
        }
        Some(OfferedSection {
            mid: section.mid.clone(),
            kind: section.kind?,
            cid: section.track_id.clone(),
            codecs,
            rids: section.rids.clone(),
        })
    };
    review.sections.iter().filter(sends).filter_map(offered).collect()
}
