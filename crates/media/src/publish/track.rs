//! A published track: its layers, who gets it, and how often its publisher may be asked for a key frame.

use std::time::{Duration, Instant};

use super::clock::{Anchor, RemoteClock};
use super::layers::{LayerMeter, TEMPORAL};
use super::rate::RateMeter;
use super::recovery::{Origin, Recovery};
use super::store::PacketStore;
use crate::api::{Kind, Publication, Quality, RoomId, TrackId};
use crate::packet::Packet;
use crate::slab::Key;
use crate::speakers::Meter;
use crate::wire::codec::{Codec, dependency, red};

pub(crate) const LAYERS: usize = 3;
/// A layer of which nothing came for this long is not sent any more (dynacast, or the encoder gave it up).
const LAYER_SILENCE: Duration = Duration::from_millis(1500);
/// Least time between key frame requests, by layer (LiveKit's).
const KEYFRAME_SPACING: [Duration; LAYERS] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(1000)];
/// A request without a key frame after this and a round trip was lost, or its answer was: encoders take a frame's time,
/// and libwebrtc's hears requests closer than this as one.
const UNANSWERED: Duration = Duration::from_millis(300);
/// A quality nobody wants any more is given up after this: subscribers come and go with every resized tile.
const LOWER_AFTER: Duration = Duration::from_secs(5);

/// One simulcast layer as it arrives.
pub(crate) struct Layer {
    /// Media SSRC of the publisher.
    pub ssrc: u32,
    pub store: PacketStore,
    pub rate: RateMeter,
    pub last_packet: Instant,
    pub last_timestamp: u32,
    pub anchor: Option<Anchor>,
    /// How much later, in timestamp units, its timestamps mean since its clock stood still, all times together.
    pub moved: u32,
    /// Its layers within the stream, once it has any.
    pub meter: Option<Box<LayerMeter>>,
    /// What its dependency descriptors refer to.
    pub known: dependency::Known,
    /// What is here of it, where its publisher may send redundant audio.
    pub recovery: Option<Box<Recovery>>,
    /// Of what goes with its packets where they are sent as RED.
    pub before: RateMeter,
    requested: Option<KeyframeRequest>,
}

#[derive(Debug, Clone, Copy)]
struct KeyframeRequest {
    at: Instant,
    /// A key frame came since.
    answered: bool,
}

impl Layer {
    pub fn new(now: Instant, ssrc: u32) -> Layer {
        Layer {
            ssrc,
            store: PacketStore::new(),
            rate: RateMeter::new(now),
            last_packet: now,
            last_timestamp: 0,
            anchor: None,
            moved: 0,
            meter: None,
            known: dependency::Known::default(),
            recovery: None,
            before: RateMeter::new(now),
            requested: None,
        }
    }

    /// Notes a packet of sound, of a publisher that may send `redundant` audio.
    pub fn on_sound(&mut self, index: u64, timestamp: u32, redundant: bool) -> Origin {
        if redundant {
            self.recovery.get_or_insert_with(|| Box::new(Recovery::new(index)));
        }
        self.recovery.as_mut().map_or(Origin::Sent, |recovery| recovery.on_packet(index, timestamp))
    }

    /// Takes what was lost before this packet of redundant audio out of its payload, oldest first.
    pub fn recover(&mut self, now: Instant, packet: &Packet, payload: &[u8], recovered: &mut Vec<Packet>) {
        let Some(recovery) = &mut self.recovery else { return };
        for (back, block) in [1, 2].into_iter().zip(red::redundant(payload)).rev() {
            let Some((block, index)) = block.zip(packet.index.checked_sub(back)) else { continue };
            let timestamp = packet.timestamp.wrapping_sub(block.age);
            if !block.place.is_empty() && recovery.recover(index, timestamp) {
                let sound = payload.get(block.place.clone()).unwrap_or_default();
                self.store.insert_recovered(now, index, timestamp, sound);
                recovered.push(packet.recovered(index, timestamp, &block.place));
            }
        }
    }
}

/// A down track of this track: whose, and which of its.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub peer: Key,
    pub down: Key,
}

pub(crate) struct Track {
    pub id: TrackId,
    pub room: RoomId,
    pub publisher: Key,
    pub publication: Publication,
    /// What is being sent, or what will be by the publisher's first choice.
    pub codec: Option<Codec>,
    pub started: bool,
    pub layers: [Option<Layer>; LAYERS],
    /// Bit per layer that is being sent: streams of a simulcast, or spatial layers of one stream (SVC).
    pub alive: u8,
    /// Its layers are in one stream.
    pub svc: bool,
    pub subscribers: Vec<Subscriber>,
    pub meter: Meter,
    /// Its publisher's clock, the same for all its tracks.
    pub publisher_clock: RemoteClock,
    told: Option<Option<Quality>>,
    lower_at: Option<Instant>,
}

impl Track {
    pub fn new(room: RoomId, publisher: Key, publication: Publication) -> Track {
        Track {
            id: publication.track,
            room,
            publisher,
            publication,
            codec: None,
            started: false,
            layers: [const { None }; LAYERS],
            alive: 0,
            svc: false,
            subscribers: Vec::new(),
            meter: Meter::default(),
            publisher_clock: RemoteClock::default(),
            told: None,
            lower_at: None,
        }
    }

    pub fn kind(&self) -> Kind {
        self.publication.kind
    }

    pub fn is_video(&self) -> bool {
        self.publication.kind == Kind::Video
    }

    pub fn layer(&self, layer: u8) -> Option<&Layer> {
        self.layers.get(usize::from(layer)).and_then(Option::as_ref)
    }

    /// Notes a packet of a layer. True when the layer was not known to be sent.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, layer: u8, ssrc: u32, bytes: usize, timestamp: u32) -> bool {
        let Some(slot) = self.layers.get_mut(usize::from(layer)) else { return false };
        let state = slot.get_or_insert_with(|| Layer::new(now, ssrc));
        if state.ssrc != ssrc {
            *state = Layer::new(now, ssrc);
        }
        state.last_packet = now;
        state.last_timestamp = timestamp;
        state.rate.on_bytes(now, bytes);
        let bit = 1 << layer;
        let awoke = self.alive & bit == 0;
        self.alive |= bit;
        awoke
    }

    /// Its timestamps of a layer mean moments that are later by so much than its publisher last said.
    #[cold]
    pub fn on_clock_moved(&mut self, layer: u8, later: i32) {
        let Some(state) = self.layers.get_mut(usize::from(layer)).and_then(Option::as_mut) else { return };
        state.moved = state.moved.wrapping_add(later as u32);
        if let Some(anchor) = &mut state.anchor {
            anchor.timestamp = anchor.timestamp.wrapping_sub(later as u32);
        }
    }

    /// Notes the layer of a packet within its stream. True when that (spatial) layer was not known to be sent.
    #[inline]
    pub fn on_layered(&mut self, now: Instant, stream: u8, layers: (u8, u8), bytes: usize, starts_frame: bool) -> bool {
        let Some(state) = self.layers.get_mut(usize::from(stream)).and_then(Option::as_mut) else { return false };
        let meter = state.meter.get_or_insert_with(|| Box::new(LayerMeter::new(now)));
        meter.on_packet(now, layers, bytes, starts_frame);
        if !self.svc {
            return false;
        }
        if let Some(structure) = state.known.structure.as_deref().filter(|_| starts_frame && layers == (0, 0)) {
            meter.builds_on_lower = structure.builds_on_lower();
        }
        let bit = 1 << layers.0.min(LAYERS as u8 - 1);
        let awoke = self.alive & bit == 0;
        self.alive |= bit;
        awoke
    }

    fn meter(&self, layer: u8) -> Option<(&LayerMeter, usize)> {
        let (stream, spatial) = if self.svc { (0, usize::from(layer)) } else { (layer, 0) };
        self.layer(stream)?.meter.as_deref().map(|meter| (meter, spatial))
    }

    /// The temporal layer that makes this frame rate of a layer; 0 = as many frames as there are.
    pub fn temporal_for(&self, now: Instant, layer: u8, fps: u32) -> u8 {
        let all = TEMPORAL as u8 - 1;
        self.meter(layer).filter(|_| fps > 0).map_or(all, |(meter, spatial)| meter.temporal_for(now, spatial, fps))
    }

    /// Marks layers that fell silent. True when there was one.
    pub fn note_silence(&mut self, now: Instant) -> bool {
        let before = self.alive;
        for index in 0..LAYERS {
            let silent = match self.meter(index as u8).filter(|_| self.svc) {
                Some((meter, spatial)) => meter.silent(now, spatial, LAYER_SILENCE),
                None => self
                    .layer(index as u8)
                    .is_none_or(|layer| now.saturating_duration_since(layer.last_packet) > LAYER_SILENCE),
            };
            if silent {
                self.alive &= !(1 << index);
            }
        }
        self.alive != before
    }

    /// May the publisher be asked for a key frame of this layer now? Counts as asking. Gives the SSRC to ask about.
    /// `round_trip` is the publisher's.
    pub fn request_keyframe(&mut self, now: Instant, layer: u8, round_trip: Duration) -> Option<u32> {
        // A stream with all layers has one encoder, and one key frame for all.
        let layer = if self.svc { 0 } else { layer };
        let spacing = *KEYFRAME_SPACING.get(usize::from(layer))?;
        let state = self.layers.get_mut(usize::from(layer))?.as_mut()?;
        let early = |request: &KeyframeRequest| {
            let least = if request.answered { spacing } else { spacing.min(UNANSWERED + round_trip) };
            now.saturating_duration_since(request.at) < least
        };
        if state.requested.as_ref().is_some_and(early) {
            return None;
        }
        state.requested = Some(KeyframeRequest { at: now, answered: false });
        Some(state.ssrc)
    }

    /// A key frame of a layer arrived, or a part of it.
    pub fn on_keyframe(&mut self, layer: u8) {
        let state = self.layers.get_mut(usize::from(layer)).and_then(Option::as_mut);
        if let Some(request) = state.and_then(|state| state.requested.as_mut()) {
            request.answered = true;
        }
    }

    /// Bits per second of each layer that is being sent, with its temporal layers up to each.
    pub fn rates(&self, now: Instant) -> [Option<[u64; TEMPORAL]>; LAYERS] {
        let mut rates = [None; LAYERS];
        for (index, rate) in rates.iter_mut().enumerate() {
            if self.alive & (1 << index) == 0 {
                continue;
            }
            let of_stream = || self.layer(index as u8).map(|layer| [layer.rate.bits_per_second(now); TEMPORAL]);
            let meter = self.meter(index as u8);
            *rate = meter.map(|(meter, spatial)| meter.rates(now, spatial)).or_else(of_stream);
        }
        rates
    }

    /// Bits per second of everything it sends: what an audio track costs. With `made_red`, what it costs as RED.
    pub fn whole_rate(&self, now: Instant, made_red: bool) -> u64 {
        let rate = |layer: &Layer| {
            layer.rate.bits_per_second(now) + if made_red { layer.before.bits_per_second(now) } else { 0 }
        };
        self.layer(0).map_or(0, rate)
    }

    /// The highest layer that is sent and not above `wanted`, else the lowest that is sent.
    pub fn best_alive(&self, wanted: u8) -> Option<u8> {
        let alive = |layer: &u8| self.alive & (1 << layer) != 0;
        (0..=wanted.min(LAYERS as u8 - 1)).rev().find(alive).or_else(|| (0..LAYERS as u8).find(alive))
    }

    /// The layer for what a subscriber wants: the smallest one at least as large as its tile, at most its quality.
    pub fn wanted_layer(&self, quality: Quality, width: u32, height: u32) -> u8 {
        let most = quality as u8;
        if width == 0 && height == 0 {
            return most;
        }
        let large_enough = |layer: &&crate::api::Layer| layer.width >= width && layer.height >= height;
        let mut layers: Vec<_> = self.publication.layers.iter().collect();
        layers.sort_by_key(|layer| layer.quality);
        layers.iter().find(|layer| large_enough(layer)).map_or(most, |layer| most.min(layer.quality as u8))
    }

    /// Takes the highest quality wanted by anybody (none = nobody) and says what to tell the publisher, if anything.
    /// More is told at once, less after a while: call again at [`Track::dynacast_timeout`].
    pub fn update_wanted(&mut self, now: Instant, wanted: Option<Quality>) -> Option<Vec<Quality>> {
        match self.told {
            Some(told) if wanted == told => {
                self.lower_at = None;
                return None;
            }
            Some(told) if wanted < told => {
                let due = *self.lower_at.get_or_insert(now + LOWER_AFTER);
                if now < due {
                    return None;
                }
            }
            _ => {}
        }
        self.told = Some(wanted);
        self.lower_at = None;
        let all = [Quality::Low, Quality::Medium, Quality::High];
        Some(all.into_iter().filter(|quality| Some(*quality) <= wanted).collect())
    }

    pub fn dynacast_timeout(&self) -> Option<Instant> {
        self.lower_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PeerId, Source};
    use crate::slab::Slab;

    const ROUND_TRIP: Duration = Duration::from_millis(40);

    fn video() -> Track {
        let layer = |quality, width, height| crate::api::Layer { quality, width, height, bitrate_bps: 0 };
        let publication = Publication {
            sif_trailer: Vec::new(),
            make_red: false,
            track: TrackId(1),
            sid: "TR_1".into(),
            stream_id: "PA_1|TR_1".into(),
            stream: String::new(),
            kind: Kind::Video,
            source: Source::Camera,
            muted: false,
            layers: vec![
                layer(Quality::Low, 320, 180),
                layer(Quality::Medium, 640, 360),
                layer(Quality::High, 1280, 720),
            ],
            mid: "1".into(),
        };
        let mut peers = Slab::new();
        Track::new(RoomId(1), peers.insert(PeerId(1)), publication)
    }

    #[test]
    fn key_frame_requests_are_merged_for_half_a_second_on_the_low_layer() {
        let (mut track, start) = (video(), Instant::now());
        assert_eq!(track.request_keyframe(start, 0, ROUND_TRIP), None, "nothing was sent yet");
        track.on_packet(start, 0, 77, 100, 0);
        assert_eq!(track.request_keyframe(start, 0, ROUND_TRIP), Some(77));
        track.on_keyframe(0);
        assert_eq!(track.request_keyframe(start + Duration::from_millis(400), 0, ROUND_TRIP), None);
        assert_eq!(track.request_keyframe(start + Duration::from_millis(500), 0, ROUND_TRIP), Some(77));
    }

    #[test]
    fn a_request_without_an_answer_is_repeated_sooner() {
        let (mut track, start) = (video(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        track.on_packet(start, 2, 77, 100, 0);
        assert_eq!(track.request_keyframe(start, 2, ROUND_TRIP), Some(77));
        assert_eq!(track.request_keyframe(at(330), 2, ROUND_TRIP), None);
        assert_eq!(track.request_keyframe(at(340), 2, ROUND_TRIP), Some(77));
        assert_eq!(track.request_keyframe(at(1_200), 2, Duration::from_secs(4)), None, "a long way takes its time");
        track.on_keyframe(2);
        assert_eq!(track.request_keyframe(at(1_330), 2, ROUND_TRIP), None);
        assert_eq!(track.request_keyframe(at(1_340), 2, ROUND_TRIP), Some(77));
    }

    #[test]
    fn the_smallest_layer_that_fills_the_tile_is_wanted() {
        let track = video();
        assert_eq!(track.wanted_layer(Quality::High, 0, 0), 2);
        assert_eq!(track.wanted_layer(Quality::High, 300, 170), 0);
        assert_eq!(track.wanted_layer(Quality::High, 321, 180), 1);
        assert_eq!(track.wanted_layer(Quality::Medium, 1920, 1080), 1);
    }

    #[test]
    fn a_silent_layer_is_replaced_by_the_best_one_alive() {
        let (mut track, start) = (video(), Instant::now());
        assert_eq!(track.best_alive(2), None);
        assert!(track.on_packet(start, 2, 3, 100, 0));
        assert_eq!(track.best_alive(0), Some(2), "better too much than nothing");
        assert!(track.on_packet(start + LAYER_SILENCE, 0, 1, 100, 0));
        assert!(!track.on_packet(start + LAYER_SILENCE, 0, 1, 100, 0));
        assert!(track.note_silence(start + LAYER_SILENCE + Duration::from_millis(1)));
        assert_eq!(track.best_alive(2), Some(0));
    }

    #[test]
    fn spatial_layers_of_one_stream_come_and_go_like_those_of_a_simulcast() {
        let (mut track, start) = (video(), Instant::now());
        track.svc = true;
        let later = start + Duration::from_secs(2);
        track.on_packet(start, 0, 1, 100, 0);
        assert!(!track.on_layered(start, 0, (0, 0), 100, true), "the stream itself was noted");
        assert!(track.on_layered(start, 0, (1, 0), 300, true));
        assert!(!track.on_layered(start, 0, (1, 2), 300, true));
        assert_eq!(track.best_alive(2), Some(1));
        assert_eq!(track.rates(start).map(|rate| rate.is_some()), [true, true, false]);
        assert_eq!(track.request_keyframe(start, 1, ROUND_TRIP), Some(1), "of the one stream there is");
        track.on_layered(later, 0, (0, 0), 100, true);
        assert!(track.note_silence(later));
        assert_eq!(track.best_alive(2), Some(0));
    }

    #[test]
    fn more_quality_is_asked_for_at_once_and_less_after_five_seconds() {
        let (mut track, start) = (video(), Instant::now());
        assert_eq!(track.update_wanted(start, None), Some(vec![]));
        assert_eq!(track.update_wanted(start, Some(Quality::Medium)), Some(vec![Quality::Low, Quality::Medium]));
        assert_eq!(track.update_wanted(start, Some(Quality::Low)), None);
        assert_eq!(track.dynacast_timeout(), Some(start + LOWER_AFTER));
        assert_eq!(track.update_wanted(start + LOWER_AFTER, Some(Quality::Low)), Some(vec![Quality::Low]));
        assert_eq!(track.update_wanted(start + LOWER_AFTER, Some(Quality::Low)), None);
    }
}
