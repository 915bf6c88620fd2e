//! Media from one peer: streams told apart, decrypted, checked against replay and loss, and handed on as packets.

use std::ops::Range;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::streams::InSection;
use crate::api::{Event, Kind, Limits};
use crate::effects::Effects;
use crate::negotiate::ExtensionIds;
use crate::packet::{Fields, Layered, Packet};
use crate::publish::clock::RemoteClock;
use crate::publish::inbound::{Inbound, Role};
use crate::publish::pace::Pace;
use crate::publish::recovery::Origin;
use crate::publish::track::Track;
use crate::slab::{Key, Slab};
use crate::wire::WireError;
use crate::wire::codec::{Codec, dependency, vp8, vp9};
use crate::wire::rtp::{AudioLevel, Header, ReplayWindow};
use crate::wire::srtp::Context;
use crate::wire::twcc;

/// Why a packet goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A stream of no section.
    Unknown,
    Malformed,
    /// Not from the peer, or seen before.
    Unauthentic,
    /// More streams or packets than allowed.
    Limit,
}

impl Refused {
    pub fn count(self, effects: &mut Effects) {
        let counters = &mut effects.counters;
        match self {
            Refused::Unknown => counters.dropped_unknown += 1,
            Refused::Malformed => counters.dropped_malformed += 1,
            Refused::Unauthentic => counters.dropped_auth += 1,
            Refused::Limit => counters.dropped_limit += 1,
        }
    }
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Refused {
        match error {
            WireError::Authentication => Refused::Unauthentic,
            _ => Refused::Malformed,
        }
    }
}

/// Everything about media this peer sends to us.
pub(crate) struct Ingress {
    pub context: Option<Context>,
    pub sections: Vec<InSection>,
    pub streams: Vec<Inbound>,
    pub(super) by_ssrc: FxHashMap<u32, usize>,
    rtcp_replay: FxHashMap<u32, ReplayWindow>,
    pub ids: ExtensionIds,
    pub arrivals: twcc::Receiver,
    /// Any media SSRC of the peer, for feedback about all of them.
    pub feedback_ssrc: u32,
    pub clock: RemoteClock,
    /// Packets were found missing since the peer's next feedback was planned.
    pub missing: bool,
    origin: Instant,
    pub(super) max_streams: usize,
    pace: Pace,
}

impl Ingress {
    pub fn new(now: Instant, limits: &Limits) -> Ingress {
        Ingress {
            context: None,
            sections: Vec::new(),
            streams: Vec::new(),
            by_ssrc: FxHashMap::default(),
            rtcp_replay: FxHashMap::default(),
            ids: ExtensionIds::default(),
            arrivals: twcc::Receiver::new(now),
            feedback_ssrc: 0,
            clock: RemoteClock::default(),
            missing: false,
            origin: now,
            max_streams: limits.max_ssrcs_per_peer,
            pace: Pace::new(now, limits.max_packets_per_s),
        }
    }

    /// Decrypts a compound RTCP packet in place and gives its plain length.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let context = self.context.as_ref().ok_or(Refused::Unauthentic)?;
        let ssrc = packet.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let ssrc = ssrc.ok_or(Refused::Malformed)?;
        let (len, index) = context.unprotect_rtcp(packet)?;
        if self.rtcp_replay.len() >= self.max_streams && !self.rtcp_replay.contains_key(&ssrc) {
            return Err(Refused::Limit);
        }
        let window = self.rtcp_replay.entry(ssrc).or_default();
        if !window.is_new(u64::from(index)) {
            return Err(Refused::Unauthentic);
        }
        window.accept(u64::from(index));
        Ok(len)
    }

    /// Takes one SRTP packet, decrypting it in place. None = valid, but nothing to forward.
    pub fn receive(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        tracks: &mut Slab<Track>,
        effects: &mut Effects,
    ) -> Result<Option<Packet>, Refused> {
        let header = Header::parse(packet)?;
        let (place, len) = match self.by_ssrc.get(&header.ssrc).copied() {
            Some(place) => {
                let context = self.context.as_ref().ok_or(Refused::Unauthentic)?;
                let stream = self.streams.get_mut(place).ok_or(Refused::Unknown)?;
                (place, open(now, context, stream, &header, packet)?)
            }
            None => {
                let mut stream = self.recognise(now, &header, packet)?;
                let context = self.context.as_ref().ok_or(Refused::Unauthentic)?;
                let len = open(now, context, &mut stream, &header, packet)?;
                (self.admit(stream), len)
            }
        };
        if !self.pace.admit(now) {
            return Err(Refused::Limit);
        }
        let packet: &[u8] = packet.get(..len).unwrap_or_default();
        if let Some(value) = header.extension(packet, self.ids.transport_cc).and_then(|v| v.first_chunk()) {
            self.arrivals.on_packet(u16::from_be_bytes(*value), now);
            self.feedback_ssrc = header.ssrc;
        }
        let body_len = header.payload(packet)?.len();
        let body = header.header_len..header.header_len + body_len;
        let Some((place, index, body)) = self.original(now, place, &header, packet, body) else { return Ok(None) };
        self.deliver(now, place, index, &header, packet, body, tracks, effects)
    }

    /// The media stream, index and payload of what arrived: a retransmission is unwrapped (RFC 4588). None when it
    /// came before, or only probes.
    fn original(
        &mut self,
        now: Instant,
        place: usize,
        header: &Header,
        packet: &[u8],
        body: Range<usize>,
    ) -> Option<(usize, u64, Range<usize>)> {
        let stream = self.streams.get(place)?;
        let repair = matches!(stream.role, Role::Repair { .. });
        let (place, sequence, body) = match stream.role {
            Role::Media(_) => (place, header.sequence, body),
            Role::Repair { layer } => {
                let original = packet.get(body.clone())?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
                let section = self.sections.get(stream.section)?;
                let media = (*section.media.get(usize::from(layer))?)?;
                (media, original, body.start + 2..body.end)
            }
        };
        let stream = self.streams.get_mut(place)?;
        let index = stream.sequence.guess(sequence);
        if !stream.replay.is_new(index) {
            return None;
        }
        stream.replay.accept(index);
        let highest = stream.sequence.highest();
        stream.sequence.accept(index);
        let media = stream.media_mut()?;
        let nacks = media.nacks.as_mut();
        match (nacks, highest) {
            (Some(nacks), Some(highest)) if index > highest => {
                self.missing |= index > highest + 1;
                // What is too much to ask for shows up as a key frame request of the decoders.
                let _ = nacks.on_gap(now, highest + 1..index);
            }
            (Some(nacks), Some(_)) => {
                nacks.on_late(now, index, repair);
            }
            _ => {}
        }
        Some((place, index, body))
    }

    #[allow(clippy::too_many_arguments)] // One packet with all that is known of it; a struct would live for one call.
    fn deliver(
        &mut self,
        now: Instant,
        place: usize,
        index: u64,
        header: &Header,
        packet: &[u8],
        body: Range<usize>,
        tracks: &mut Slab<Track>,
        effects: &mut Effects,
    ) -> Result<Option<Packet>, Refused> {
        let since = now.saturating_duration_since(self.origin);
        let stream = self.streams.get_mut(place).ok_or(Refused::Unknown)?;
        let section = self.sections.get(stream.section).ok_or(Refused::Unknown)?;
        let (ssrc, payload) = (stream.ssrc, packet.get(body.clone()).unwrap_or_default());
        let media = stream.media_mut().ok_or(Refused::Unknown)?;
        let moved = media.reception.on_packet(index, header.timestamp, since, media.codec.clock_rate());
        if !payload.is_empty() {
            let reviewed = &section.reviewed;
            let plain = header.payload_type == media.payload_type;
            if !plain && reviewed.by_rtx(header.payload_type).is_none() {
                let codec = reviewed.by_payload_type(header.payload_type).ok_or(Refused::Unknown)?;
                (media.payload_type, media.codec) = (codec.payload_type, codec.codec);
            }
        }
        let (codec, layer) = (media.codec, media.layer);
        let Some(key) = section.track else { return Ok(None) };
        let Some(track) = tracks.get_mut(key) else { return Ok(None) };
        if track.codec != Some(codec) || !track.started {
            start(track, codec, effects, key);
        }
        if track.on_packet(now, layer, ssrc, packet.len(), header.timestamp) {
            effects.layers_changed(key);
        }
        if let Some(moved) = moved {
            track.on_clock_moved(layer, moved);
        }
        let ids = &section.reviewed.extensions;
        if track.kind() == Kind::Audio {
            if let Some(level) = header.extension(packet, ids.audio_level).and_then(AudioLevel::parse) {
                track.meter.observe(level.level, header.timestamp, codec.clock_rate());
            }
        }
        let vp8 =
            if codec == Codec::Vp8 && !payload.is_empty() { Some(vp8::Descriptor::parse(payload)?) } else { None };
        let descriptor = header.extension(packet, ids.dependency_descriptor).filter(|_| !payload.is_empty());
        let keyframe = vp8.map_or_else(|| codec.starts_keyframe(payload), |descriptor| descriptor.keyframe);
        if keyframe {
            track.on_keyframe(layer);
        }
        let (timestamp, marker) = (header.timestamp, header.marker);
        let readable = !track.publication.is_encrypted();
        let mut origin = Origin::Sent;
        if let Some(state) = track.layers.get_mut(usize::from(layer)).and_then(Option::as_mut) {
            if codec.kind() == Kind::Audio {
                // A publisher of RED may begin with plain Opus, and turn to it again.
                let redundant = readable && section.reviewed.codecs.iter().any(|codec| codec.codec == Codec::Red);
                origin = state.on_sound(index, timestamp, redundant);
            }
            // What was said while it was muted is nobody's, not as part of a later packet either.
            let kept = !payload.is_empty() && !track.subscribers.is_empty() && !track.publication.muted;
            if kept && (origin == Origin::Sent || state.store.agrees(index, codec, payload)) {
                state.store.insert(now, index, timestamp, marker, payload, descriptor.unwrap_or_default());
                if codec == Codec::Opus && track.publication.make_red && readable {
                    let more = state.store.choose_before(index);
                    state.before.on_bytes(now, more);
                }
            }
        }
        let mut layered = None;
        if let Some(vp8) = vp8.filter(|vp8| vp8.temporal > 0 || vp8.layer_sync) {
            track.on_layered(now, layer, (0, vp8.temporal), packet.len(), vp8.starts_frame);
        } else if let Some(vp8) = vp8 {
            // The base layer is measured only where there are others.
            if track.layer(layer).is_some_and(|layer| layer.meter.is_some()) {
                track.on_layered(now, layer, (0, 0), packet.len(), vp8.starts_frame);
            }
        } else if section.reviewed.rids.is_empty()
            && !payload.is_empty()
            && matches!(codec, Codec::Vp9 { .. } | Codec::Av1)
        {
            layered = match layers_of(track, layer, codec, descriptor, payload) {
                Ok(layered) => layered,
                // Never understood: it is forwarded whole.
                Err(_) if track.layer(layer).is_none_or(|layer| layer.known.structure.is_none()) => None,
                Err(_) => {
                    // Its key frame was lost: nobody can tell what belongs to whom before the next one.
                    effects.want_keyframe(key, 0);
                    return Ok(None);
                }
            };
            if let Some(layered) = &layered {
                track.svc = true;
                if track.on_layered(now, layer, layered.layers(), packet.len(), layered.starts_frame()) {
                    effects.layers_changed(key);
                }
            }
        }
        let dependency = descriptor.and_then(|value| range_in(packet, value));
        let captured = header.extension(packet, ids.abs_capture_time).and_then(|value| range_in(packet, value));
        let fields = Fields { layer, ssrc, index, timestamp, marker, codec, keyframe, vp8, layered };
        let packet = Packet::new(key, &body, dependency, fields).captured(captured).with_origin(origin);
        if codec == Codec::Red && readable {
            if let Some(state) = track.layers.get_mut(usize::from(layer)).and_then(Option::as_mut) {
                state.recover(now, &packet, payload, &mut effects.recovered);
            }
        }
        Ok(Some(packet))
    }
}

/// Authenticates and decrypts a packet of this stream. Gives the plain length.
fn open(
    now: Instant,
    context: &Context,
    stream: &mut Inbound,
    header: &Header,
    packet: &mut [u8],
) -> Result<usize, Refused> {
    let index = stream.sequence.guess(header.sequence);
    if !stream.replay.is_new(index) {
        return Err(Refused::Unauthentic);
    }
    let len = context.unprotect_rtp(packet, header.header_len, header.ssrc, index)?;
    if let Role::Repair { .. } = stream.role {
        // A media stream's numbers are noted once retransmissions are unwrapped.
        stream.sequence.accept(index);
        stream.replay.accept(index);
    }
    stream.last_packet = now;
    Ok(len)
}

/// The layers of a packet of a stream that has several: by its dependency descriptor, else by VP9's own. None where it
/// has neither.
fn layers_of(
    track: &mut Track,
    layer: u8,
    codec: Codec,
    descriptor: Option<&[u8]>,
    payload: &[u8],
) -> Result<Option<Layered>, WireError> {
    let state = track.layers.get_mut(usize::from(layer)).and_then(Option::as_mut);
    if let (Some(value), Some(state)) = (descriptor, state) {
        let frame = dependency::Frame::parse(value, &mut state.known)?;
        return Ok(Some(Layered::Targets(frame, state.known.version)));
    }
    if codec == Codec::Av1 {
        return Ok(None);
    }
    let descriptor = vp9::Descriptor::parse(payload)?;
    Ok(descriptor.has_layers.then_some(Layered::Vp9(descriptor)))
}

fn start(track: &mut Track, codec: Codec, effects: &mut Effects, key: Key) {
    if track.codec != Some(codec) {
        track.codec = Some(codec);
        track.svc = false;
        effects.layers_changed(key);
    }
    if !track.started {
        track.started = true;
        effects.events.push(Event::TrackStarted { track: track.id, mime: codec.mime().to_owned() });
    }
}

/// Where a sub-slice lies in its slice.
fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (start + part.len() <= whole.len()).then_some(start..start + part.len())
}
