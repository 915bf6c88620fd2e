//! What a client publishes: a camera with layers, each a stream (simulcast) or all in one (SVC), or a microphone.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::format::Codec;
use str0m::media::{Mid, Pt, Rid};
use str0m::rtp::RtpWrite;

use crate::frame::{self, LayerSpec};
use crate::layered::{LayeredStream, Scalability};

pub(crate) const FRAME_INTERVAL: Duration = Duration::from_micros(33_333);
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// A key frame is this much larger than an ordinary one.
pub(crate) const KEY_FRAME_FACTOR: usize = 5;
/// What a camera remembers in order to repeat it.
pub(crate) const RTX_PACKETS: usize = 2_000;
pub(crate) const RTX_AGE: Duration = Duration::from_secs(3);
const VIDEO_CLOCK: u64 = 90_000;
const AUDIO_CLOCK: u64 = 48_000;

/// The clock of a source's RTP timestamps: where it starts, and how much faster than time it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaClock {
    pub start: u32,
    /// Parts per million.
    pub ppm: i32,
}

impl MediaClock {
    fn timestamp(self, rate: u64, elapsed: Duration) -> u32 {
        let nominal = i128::from(rate) * elapsed.as_nanos() as i128;
        let units = nominal * (1_000_000 + i128::from(self.ppm)) / 1_000_000_000_000_000;
        self.start.wrapping_add(units as u32)
    }
}

#[derive(Debug)]
struct Layer {
    spec: LayerSpec,
    sequence: u64,
    picture_id: u16,
    frame: u32,
    key_wanted: bool,
    resting: bool,
}

/// A camera: 30 frames per second in each layer, key frames when asked for.
#[derive(Debug)]
pub struct Camera {
    pub mid: Mid,
    /// Of a simulcast.
    layers: Vec<Layer>,
    layered: Option<LayeredStream>,
    started: Instant,
    due: Instant,
    pub key_frames: u64,
    pub frames: u32,
    /// Of the first layer; the others start elsewhere.
    clock: MediaClock,
    /// When each frame was captured, by its number.
    pub captured: Vec<Instant>,
}

impl Camera {
    pub fn new(mid: Mid, layers: &[LayerSpec], clock: MediaClock, now: Instant) -> Camera {
        let layer = |(index, spec): (usize, &LayerSpec)| Layer {
            spec: *spec,
            // Layers start anywhere, as real encoders' do.
            sequence: 1_000 + 20_000 * index as u64,
            picture_id: 100 + 7_000 * index as u16,
            frame: 0,
            key_wanted: true,
            resting: false,
        };
        let layers = layers.iter().enumerate().map(layer).collect();
        let captured = Vec::new();
        Camera { mid, layers, layered: None, started: now, due: now, key_frames: 0, frames: 0, clock, captured }
    }

    /// With all layers in one stream.
    pub fn layered(mid: Mid, specs: &[LayerSpec], mode: Scalability, clock: MediaClock, now: Instant) -> Camera {
        Camera { layered: Some(LayeredStream::new(specs, mode)), ..Camera::new(mid, &[], clock, now) }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// Starts capturing now, whenever it was announced.
    pub fn restart(&mut self, now: Instant) {
        self.due = self.due.max(now);
    }

    /// From now on this layer is not sent (dynacast, or muted), or again, beginning with a key frame.
    pub fn rest(&mut self, layer: usize, resting: bool) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.key_wanted |= layer.resting && !resting;
            layer.resting = resting;
        }
    }

    /// For one layer, or for all when the request names none.
    pub fn request_key_frame(&mut self, rid: Option<Rid>) {
        self.layered.iter_mut().for_each(|stream| stream.key_wanted = true);
        for layer in &mut self.layers {
            if rid.is_none() || layer.spec.rid.map(Rid::from) == rid {
                layer.key_wanted = true;
            }
        }
    }

    /// Captures a picture, if one is due: when that was.
    pub fn capture(&mut self, now: Instant) -> Option<Instant> {
        let at = self.due;
        if at > now {
            return None;
        }
        self.due += FRAME_INTERVAL;
        self.frames += 1;
        self.captured.push(at);
        Some(at)
    }

    pub fn layers(&self) -> usize {
        self.layered.as_ref().map_or(self.layers.len(), LayeredStream::layers)
    }

    /// Writes one layer of the picture captured then.
    pub fn write(&mut self, rtc: &mut Rtc, index: usize, at: Instant) {
        let Some(pt) = payload_type(rtc, if self.layered.is_some() { Codec::Vp9 } else { Codec::Vp8 }) else { return };
        if let Some(stream) = &mut self.layered {
            let time = self.clock.timestamp(VIDEO_CLOCK, at - self.started);
            self.key_frames += u64::from(stream.write(rtc, self.mid, index, pt, time, at));
            return;
        }
        let start = self.clock.start.wrapping_mul(index as u32 + 1);
        let time = MediaClock { start, ..self.clock }.timestamp(VIDEO_CLOCK, at - self.started);
        let Some(layer) = self.layers.get_mut(index) else { return };
        if layer.resting {
            layer.frame += 1;
            return;
        }
        let mut direct = rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(self.mid, layer.spec.rid.map(Rid::from)) else { return };
        if layer.frame == 0 {
            // libwebrtc repeats what it is asked for, however much that is.
            stream.set_rtx_cache(RTX_PACKETS, RTX_AGE, None);
        }
        let key = std::mem::take(&mut layer.key_wanted);
        self.key_frames += u64::from(key);
        let size = layer.spec.frame_bytes(FRAME_INTERVAL) * if key { KEY_FRAME_FACTOR } else { 1 };
        let packets = frame::packetise(index as u8, &layer.spec, layer.frame, key, layer.picture_id, size);
        let last = packets.len() - 1;
        for (number, payload) in packets.into_iter().enumerate() {
            let packet = RtpWrite::new(pt, layer.sequence.into(), time, at, payload);
            stream.write_rtp(packet.marker(number == last).nackable(true));
            layer.sequence += 1;
        }
        layer.frame += 1;
        layer.picture_id = (layer.picture_id + 1) & 0x7fff;
    }
}

/// A microphone: one Opus packet every 20 ms, numbered.
#[derive(Debug)]
pub struct Microphone {
    pub mid: Mid,
    started: Instant,
    due: Instant,
    pub packets: u32,
    clock: MediaClock,
    pub muted: bool,
    /// Its timestamps count what it captured, as libwebrtc's do when the device is closed for a mute.
    pub rests_muted: bool,
    /// How long it did.
    rested: Duration,
    /// When each packet was captured, by its number.
    pub captured: Vec<Instant>,
}

impl Microphone {
    pub fn new(mid: Mid, clock: MediaClock, now: Instant) -> Microphone {
        let captured = Vec::new();
        Microphone {
            mid,
            started: now,
            due: now,
            packets: 0,
            clock,
            muted: false,
            rests_muted: false,
            rested: Duration::ZERO,
            captured,
        }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// Starts capturing now, whenever it was announced.
    pub fn restart(&mut self, now: Instant) {
        self.due = self.due.max(now);
    }

    pub fn capture(&mut self, rtc: &mut Rtc, now: Instant) {
        while self.due <= now {
            let at = self.due;
            self.due += AUDIO_INTERVAL;
            if self.muted {
                if self.rests_muted {
                    self.rested += AUDIO_INTERVAL;
                }
                continue;
            }
            let Some(pt) = payload_type(rtc, Codec::Opus) else { continue };
            let mut direct = rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(self.mid, None) else { continue };
            let time = self.clock.timestamp(AUDIO_CLOCK, at - self.started - self.rested);
            let mut payload = vec![0x78; 80];
            payload.extend(self.packets.to_be_bytes());
            stream.write_rtp(RtpWrite::new(pt, u64::from(self.packets).into(), time, at, payload));
            self.captured.push(at);
            self.packets += 1;
        }
    }
}

/// The number of an Opus packet of [`Microphone`].
pub fn audio_number(payload: &[u8]) -> Option<u32> {
    payload.last_chunk().map(|number| u32::from_be_bytes(*number))
}

fn payload_type(rtc: &mut Rtc, codec: Codec) -> Option<Pt> {
    rtc.codec_config().find(|params| params.spec().codec == codec).map(|params| params.pt())
}
