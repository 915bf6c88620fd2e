//! A participant with a WebRTC stack of its own (str0m in full, not our media path), on the single-PC signal path.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use rustc_hash::FxHashMap;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelConfig;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::RtpPacket;
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::frame::{FrameTag, LayerSpec};
use crate::layered::{LayeredTag, Scalability};
use crate::layered_receiver::LayeredReceiver;
use crate::link::Class;
use crate::receiver::{AudioReceiver, Timed, VideoReceiver};
use crate::source::{self, Camera, MediaClock, Microphone};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// Between two requests of a stuck decoder, as libwebrtc's.
const KEY_REQUEST_EVERY: Duration = Duration::from_millis(300);

pub struct Client {
    pub rtc: Rtc,
    address: SocketAddr,
    protocol: Protocol,
    pending: Option<SdpPendingOffer>,
    pub camera: Option<Camera>,
    pub microphone: Option<Microphone>,
    /// Of what it publishes from now on.
    pub sound_clock: MediaClock,
    pub picture_clock: MediaClock,
    /// By the client's own mid.
    pub video: FxHashMap<String, VideoReceiver>,
    /// The same for tracks with layers in one stream.
    pub layered: FxHashMap<String, LayeredReceiver>,
    pub audio: FxHashMap<String, AudioReceiver>,
    pub data: Vec<(String, Vec<u8>)>,
    channels: FxHashMap<str0m::channel::ChannelId, String>,
    pub connected: bool,
    timeout: Instant,
    next_key_request: Instant,
}

impl Client {
    /// Reached at this address by UDP.
    pub fn new(address: SocketAddr, now: Instant) -> Client {
        let candidate = Candidate::host(address, Protocol::Udp).expect("a plain address");
        Client::with_candidate(address, Protocol::Udp, candidate, now)
    }

    /// Connects from this address by ICE-TCP (RFC 6544); framing is the caller's.
    pub fn over_tcp(address: SocketAddr, now: Instant) -> Client {
        let candidate = Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build();
        Client::with_candidate(address, Protocol::Tcp, candidate.expect("a plain address"), now)
    }

    fn with_candidate(address: SocketAddr, protocol: Protocol, candidate: Candidate, now: Instant) -> Client {
        let mut config = Rtc::builder()
            .clear_codecs()
            .enable_opus(true)
            .enable_vp8(true)
            .enable_vp9(true)
            .set_rtp_mode(true)
            .set_crypto_provider(std::sync::Arc::new(str0m::crypto::from_feature_flags()));
        config = config.set_reordering_size_video(500);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(candidate);
        Client {
            rtc,
            address,
            protocol,
            pending: None,
            camera: None,
            microphone: None,
            sound_clock: MediaClock::default(),
            picture_clock: MediaClock::default(),
            video: FxHashMap::default(),
            layered: FxHashMap::default(),
            audio: FxHashMap::default(),
            data: Vec::new(),
            channels: FxHashMap::default(),
            connected: false,
            timeout: now,
            next_key_request: now,
        }
    }

    /// An offer with the protocol's data channels, as every LiveKit client starts.
    pub fn first_offer(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        api.add_channel("_reliable".to_owned());
        api.add_channel_with_config(ChannelConfig {
            label: "_lossy".to_owned(),
            ordered: false,
            reliability: str0m::channel::Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        let applied = api.apply();
        self.keep(applied)
    }

    /// An offer that adds a camera; returns its mid as well.
    pub fn offer_camera(&mut self, layers: &[LayerSpec], now: Instant) -> (String, String) {
        let simulcast = layers.iter().any(|layer| layer.rid.is_some()).then(|| {
            let mut simulcast = Simulcast::new();
            for rid in layers.iter().filter_map(|layer| layer.rid) {
                simulcast.add_send_layer(SimulcastLayer::new(rid));
            }
            simulcast
        });
        let mut api = self.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, simulcast);
        let applied = api.apply();
        self.camera = Some(Camera::new(mid, layers, self.picture_clock, now));
        (self.keep(applied), mid.to_string())
    }

    /// An offer that adds a camera with all layers in one stream; returns its mid as well.
    pub fn offer_layered_camera(&mut self, layers: &[LayerSpec], mode: Scalability, now: Instant) -> (String, String) {
        let mut api = self.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let applied = api.apply();
        self.camera = Some(Camera::layered(mid, layers, mode, self.picture_clock, now));
        (self.keep(applied), mid.to_string())
    }

    /// An offer that adds a microphone; returns its mid as well.
    pub fn offer_microphone(&mut self, now: Instant) -> (String, String) {
        let mut api = self.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let applied = api.apply();
        self.microphone = Some(Microphone::new(mid, self.sound_clock, now));
        (self.keep(applied), mid.to_string())
    }

    /// An offer with more sections to receive on.
    pub fn offer_sections(&mut self, audio: u32, video: u32) -> String {
        let mut api = self.rtc.sdp_api();
        for kind in std::iter::repeat_n(MediaKind::Audio, audio as usize)
            .chain(std::iter::repeat_n(MediaKind::Video, video as usize))
        {
            api.add_media(kind, Direction::RecvOnly, None, None, None);
        }
        let applied = api.apply();
        self.keep(applied)
    }

    pub fn is_negotiating(&self) -> bool {
        self.pending.is_some()
    }

    fn keep(&mut self, applied: Option<(SdpOffer, SdpPendingOffer)>) -> String {
        let (offer, pending) = applied.expect("every offer changes something");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// # Panics
    /// When the answer is not one that an independent implementation takes.
    pub fn accept_answer(&mut self, sdp: &str) {
        let answer = SdpAnswer::from_sdp_string(sdp).expect("a readable answer");
        let pending = self.pending.take().expect("an offer waits");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    pub fn send_data(&mut self, label: &str, payload: &[u8]) -> bool {
        let id = self.channels.iter().find(|(_, known)| *known == label).map(|(id, _)| *id);
        let channel = id.and_then(|id| self.rtc.channel(id));
        channel.is_some_and(|mut channel| channel.write(true, payload).is_ok_and(|taken| taken))
    }

    pub fn has_channel(&self, label: &str) -> bool {
        self.channels.values().any(|known| known == label)
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if let Ok(receive) = Receive::new(self.protocol, from, self.address, bytes) {
            self.rtc.handle_input(Input::Receive(now, receive)).expect("what the server sends is acceptable");
        }
    }

    /// When this client has something to do by itself.
    pub fn due(&self) -> Instant {
        let camera = self.camera.as_ref().filter(|_| self.connected).map(Camera::due);
        let microphone = self.microphone.as_ref().filter(|_| self.connected).map(Microphone::due);
        [Some(self.timeout), camera, microphone].into_iter().flatten().min().unwrap_or(self.timeout)
    }

    /// Captures, lets the stack work, and hands out what it sends.
    pub fn advance(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, Vec<u8>)) {
        if self.connected {
            self.film(now, &mut send);
            if let Some(microphone) = &mut self.microphone {
                microphone.capture(&mut self.rtc, now);
            }
            self.request_key_frames(now);
        }
        self.drain(now, &mut send);
    }

    /// What the camera has captured leaves layer by layer: in which order the stack takes layers that wait together
    /// depends on hashes that no seed reaches.
    fn film(&mut self, now: Instant, send: &mut impl FnMut(SocketAddr, Vec<u8>)) {
        while let Some(at) = self.camera.as_mut().and_then(|camera| camera.capture(now)) {
            for layer in 0..self.camera.as_ref().map_or(0, Camera::layers) {
                if let Some(camera) = &mut self.camera {
                    camera.write(&mut self.rtc, layer, at);
                }
                self.drain(now, send);
            }
        }
    }

    /// Lets the stack work; what repairs it sends of several layers at once is put into the order of their SSRCs.
    fn drain(&mut self, now: Instant, send: &mut impl FnMut(SocketAddr, Vec<u8>)) {
        let mut sent: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        let mut before = usize::MAX;
        // The stack takes what waits in several streams in rounds.
        while before != sent.len() {
            before = sent.len();
            self.round(now, &mut sent);
        }
        sent.sort_by_key(|(_, datagram)| media_ssrc(datagram));
        sent.into_iter().for_each(|(to, datagram)| send(to, datagram));
    }

    fn round(&mut self, now: Instant, sent: &mut Vec<(SocketAddr, Vec<u8>)>) {
        if self.rtc.is_alive() {
            self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        }
        loop {
            match self.rtc.poll_output().expect("the stack goes on") {
                Output::Timeout(at) => {
                    // A stack with nothing to do still gets a look once a second.
                    self.timeout = at.clamp(now + Duration::from_micros(100), now + Duration::from_secs(1));
                    return;
                }
                Output::Transmit(transmit) => sent.push((transmit.destination, transmit.contents.to_vec())),
                Output::Event(event) => self.event(now, event),
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.camera.iter_mut().for_each(|camera| camera.restart(now));
                self.microphone.iter_mut().for_each(|microphone| microphone.restart(now));
            }
            Event::ChannelOpen(id, label) => {
                self.channels.insert(id, label);
            }
            Event::ChannelData(data) => {
                let label = self.channels.get(&data.id).cloned().unwrap_or_default();
                self.data.push((label, data.data));
            }
            Event::KeyframeRequest(request) => {
                if let Some(camera) = self.camera.as_mut().filter(|camera| camera.mid == request.mid) {
                    camera.request_key_frame(request.rid);
                }
            }
            Event::RtpPacket(packet) => self.packet(now, &packet),
            _ => {}
        }
    }

    fn packet(&mut self, now: Instant, packet: &RtpPacket) {
        let ssrc = packet.header.ssrc;
        let Some(mid) = self.rtc.direct_api().stream_rx(&ssrc).map(|stream| stream.mid()) else { return };
        let Some(kind) = self.rtc.media(mid).map(|media| media.kind()) else { return };
        let (name, sequence) = (mid.to_string(), *packet.seq_no);
        if let Some(tag) = LayeredTag::read(&packet.payload) {
            self.layered.entry(name).or_default().packet(now, sequence, packet.header.marker, tag);
        } else if kind == MediaKind::Video {
            let time = packet.time.numer();
            let receiver = self.video.entry(name).or_default();
            receiver.packet(now, sequence, time, &packet.payload);
            let first = FrameTag::read(&packet.payload).filter(|tag| tag.index == 0);
            receiver.timed.extend(first.and_then(|tag| timed(now, packet, tag.frame)));
        } else {
            let number = source::audio_number(&packet.payload);
            let receiver = self.audio.entry(name).or_default();
            receiver.packet(sequence, number);
            receiver.timed.extend(number.and_then(|number| timed(now, packet, number)));
        }
    }

    fn request_key_frames(&mut self, now: Instant) {
        if now < self.next_key_request {
            return;
        }
        self.next_key_request = now + KEY_REQUEST_EVERY;
        let mut direct = self.rtc.direct_api();
        let stuck = self.video.iter().filter(|(_, receiver)| receiver.is_stuck()).map(|(mid, _)| mid);
        let layered = self.layered.iter().filter(|(_, receiver)| receiver.is_stuck()).map(|(mid, _)| mid);
        for mid in stuck.chain(layered) {
            if let Some(stream) = direct.stream_rx_by_mid(Mid::from(mid.as_str()), None) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
        }
    }
}

/// None for what is no media, which therefore goes first.
fn media_ssrc(datagram: &[u8]) -> Option<[u8; 4]> {
    let ssrc = datagram.get(8..12)?.try_into().ok()?;
    (Class::of(datagram) == Class::Media).then_some(ssrc)
}

fn timed(now: Instant, packet: &RtpPacket, number: u32) -> Option<Timed> {
    let report = packet.last_sender_info?;
    let since = packet.header.timestamp.wrapping_sub(report.rtp_time.numer() as u32) as i32;
    let reported_s = report.ntp_time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64();
    let captured_s = reported_s + f64::from(since) / packet.time.frequency().get() as f64;
    Some(Timed { at: now, number, captured_s })
}
