//! What a subscriber gets resent, and what it gets of a layered stream.

use super::*;
use crate::api::{Kind, PeerId, Proto, Publication, RoomId, Source as TrackSource, TrackId};
use crate::line::Line;
use crate::packet::Fields;
use crate::slab::{Key, Slab};
use crate::transport::{Keying, Path};
use crate::wire::codec::dependency::{self, tests::Encoder};
use crate::wire::rtp::Header;
use crate::wire::srtp::Profile;

const PAYLOAD: &[u8] = b"a frame of opus or of video";

struct Setup {
    now: Instant,
    track: Track,
    key: Key,
    line: Line,
    egress: Egress,
}

fn setup(kind: Kind) -> Setup {
    let now = Instant::now();
    let publication = Publication {
        sif_trailer: Vec::new(),
        make_red: true,
        track: TrackId(1),
        sid: "TR_1".into(),
        stream_id: "PA_1|TR_1".into(),
        stream: String::new(),
        kind,
        source: TrackSource::Unknown,
        muted: false,
        layers: vec![],
        mid: "0".into(),
    };
    let (mut peers, mut tracks) = (Slab::new(), Slab::new());
    let mut track = Track::new(RoomId(1), peers.insert(PeerId(1)), publication);
    let key = tracks.insert(());
    track.on_packet(now, 0, 77, PAYLOAD.len(), 0);
    for index in 0..20 {
        let layer = track.layers[0].as_mut().unwrap();
        layer.store.insert(now, index, 960 * index as u32, false, PAYLOAD, &[]);
    }
    let material = (0..88).collect();
    let keying = Keying { profile: Profile::AeadAes256Gcm, material, active: false };
    let path = Path { proto: Proto::Udp, address: ([127, 0, 0, 1], 9).into() };
    let line = Line::new(&keying, path).unwrap();
    Setup { now, track, key, line, egress: Egress::default() }
}

fn stream(codec: Codec, rtx: Option<u8>, now: Instant) -> DownStream {
    let own = NegotiatedCodec {
        payload_type: 100,
        codec,
        rtx,
        nack: true,
        pli: false,
        fir: false,
        transport_cc: true,
        remb: false,
        red_inner: None,
    };
    let extensions = ExtensionIds {
        mid: 4,
        transport_cc: 3,
        dependency_descriptor: 8,
        abs_capture_time: 7,
        playout_delay: 6,
        ..ExtensionIds::default()
    };
    let binding = Binding {
        mid: "0".into(),
        ssrc: 0x1111_1111,
        rtx_ssrc: 0x2222_2222,
        first_timestamp: 5000,
        codecs: vec![own],
        extensions,
    };
    DownStream::new(now, codec.kind() == Kind::Video, binding)
}

impl Setup {
    /// Forwards the packet with this index and gives the datagram.
    fn forward(&mut self, stream: &mut DownStream, codec: Codec, index: u64, descriptor: bool) -> Vec<u8> {
        let datagram = [&[0xDD, 0xDD][..], PAYLOAD].concat();
        let timestamp = 960 * index as u32;
        let fields = Fields {
            layer: 0,
            ssrc: 1,
            index,
            timestamp,
            marker: false,
            codec,
            keyframe: true,
            vp8: None,
            layered: None,
        };
        let packet = Packet::new(self.key, &(2..datagram.len()), descriptor.then_some(0..2), fields);
        let mut out = Outlet { now: self.now, line: &mut self.line, egress: &mut self.egress };
        assert_eq!(
            stream.forward(Some(0), &self.track, &packet, &datagram, &mut Made::default(), &mut out),
            Outcome::Sent
        );
        self.take()
    }

    fn resend(&mut self, stream: &mut DownStream, sequence: u16) -> Option<Vec<u8>> {
        let round_trip = Duration::from_millis(50);
        let mut out = Outlet { now: self.now, line: &mut self.line, egress: &mut self.egress };
        stream.resend(&self.track, sequence, round_trip, &mut out).then(|| self.take())
    }

    fn take(&mut self) -> Vec<u8> {
        let transmit = self.egress.transmits.pop().unwrap();
        let datagram = self.egress.buffer.get(transmit.start..transmit.start + transmit.len).unwrap().to_vec();
        self.egress.clear();
        datagram
    }
}

#[test]
fn the_playout_delay_is_told_until_a_report_shows_that_it_was_heard() {
    let mut setup = setup(Kind::Video);
    let mut stream = stream(Codec::H264 { profile_level: 0x42_E01F, packetization_mode: 1 }, Some(101), setup.now);
    stream.set_playout_delay(PlayoutDelay { min_ms: 100, max_ms: 2_000 });
    let codec = stream.binding.codecs[0].codec;
    let told = |setup: &mut Setup, stream: &mut DownStream, index| {
        let packet = setup.forward(stream, codec, index, false);
        let header = Header::parse(&packet).unwrap();
        (header.sequence, header.extension(&packet, 6).map(<[u8]>::to_vec))
    };
    // 12 bits of 10 ms each: 10 and 200.
    let (first, value) = told(&mut setup, &mut stream, 5);
    assert_eq!(value.as_deref(), Some(&[0x00, 0xA0, 0xC8][..]));
    stream.on_reported(u32::from(first.wrapping_sub(1)));
    let (second, value) = told(&mut setup, &mut stream, 6);
    assert!(value.is_some(), "the report is about packets before it");
    stream.on_reported(0x1_0000 + u32::from(second));
    assert_eq!(told(&mut setup, &mut stream, 7).1, None);
}

#[test]
fn the_capture_time_comes_through_unchanged_where_it_was_negotiated() {
    let mut setup = setup(Kind::Audio);
    let mut stream = stream(Codec::Opus, None, setup.now);
    let captured = [1, 2, 3, 4, 5, 6, 7, 8];
    let datagram = [&captured[..], PAYLOAD].concat();
    let mut forward = |stream: &mut DownStream, index| {
        let (codec, timestamp) = (Codec::Opus, 960 * index as u32);
        let fields = Fields {
            layer: 0,
            ssrc: 1,
            index,
            timestamp,
            marker: false,
            codec,
            keyframe: true,
            vp8: None,
            layered: None,
        };
        let packet = Packet::new(setup.key, &(8..datagram.len()), None, fields).captured(Some(0..8));
        let mut out = Outlet { now: setup.now, line: &mut setup.line, egress: &mut setup.egress };
        assert_eq!(
            stream.forward(Some(0), &setup.track, &packet, &datagram, &mut Made::default(), &mut out),
            Outcome::Sent
        );
        setup.take()
    };
    let with = forward(&mut stream, 5);
    assert_eq!(Header::parse(&with).unwrap().extension(&with, 7), Some(&captured[..]));
    let (codecs, ids) = (stream.binding.codecs.clone(), ExtensionIds { mid: 4, ..ExtensionIds::default() });
    stream.renegotiated(codecs, ids);
    let without = forward(&mut stream, 6);
    assert_eq!(Header::parse(&without).unwrap().extension(&without, 7), None);
}

#[test]
fn after_a_layer_was_given_up_the_key_frame_of_the_lower_one_is_asked_for_when_the_queue_has_room_for_it() {
    let mut setup = setup(Kind::Video);
    let (start, codec) = (setup.now, Codec::H264 { profile_level: 0x42_E01F, packetization_mode: 1 });
    let mut stream = stream(codec, Some(101), start);
    let mut forward = |stream: &mut DownStream, ms: u64, layer: u8, target: u8, keyframe: bool| {
        let now = start + Duration::from_millis(ms);
        let fields = Fields {
            layer,
            ssrc: 1,
            index: ms,
            timestamp: 0,
            marker: false,
            codec,
            keyframe,
            vp8: None,
            layered: None,
        };
        let packet = Packet::new(setup.key, &(0..PAYLOAD.len()), None, fields);
        let mut out = Outlet { now, line: &mut setup.line, egress: &mut setup.egress };
        stream.forward(Some(target), &setup.track, &packet, PAYLOAD, &mut Made::default(), &mut out)
    };
    assert_eq!(forward(&mut stream, 0, 2, 2, true), Outcome::Sent);
    stream.abandon_above(start, 1);
    assert_eq!(forward(&mut stream, 33, 2, 1, false), Outcome::Skipped, "nothing more of what was given up");
    assert_eq!(forward(&mut stream, 100, 1, 1, false), Outcome::Skipped);
    assert!(stream.waits_for_room());
    assert_eq!(forward(&mut stream, 150, 1, 1, false), Outcome::NeedsKeyframe(1));
    assert_eq!(forward(&mut stream, 183, 1, 1, true), Outcome::Sent);
    assert_eq!(forward(&mut stream, 216, 1, 1, false), Outcome::Sent);
    // A key frame that comes by itself is taken at once: the next one may be a second away.
    assert_eq!(forward(&mut stream, 250, 2, 2, true), Outcome::Sent);
    stream.abandon_above(start + Duration::from_millis(250), 1);
    assert_eq!(forward(&mut stream, 260, 1, 1, true), Outcome::Sent);
    assert!(!stream.waits_for_room());
}

#[test]
fn a_publisher_that_takes_another_ssrc_is_forwarded_on_and_no_number_is_used_twice() {
    let mut setup = setup(Kind::Audio);
    setup.track.codec = Some(Codec::Opus);
    let mut stream = stream(Codec::Opus, None, setup.now);
    let start = setup.now;
    let mut sent: Vec<(u16, u32)> = Vec::new();
    // From one SSRC to the next its numbers go back, ahead, and back again; between them 20 ms pass, as before.
    let runs = [(1, 1_000), (2, 40), (1, 1_003), (3, 60_000), (2, 41)];
    for (number, (ssrc, index)) in
        runs.iter().flat_map(|(ssrc, first)| (0..5).map(move |i| (*ssrc, first + i))).enumerate()
    {
        let now = start + Duration::from_millis(20 * number as u64);
        let timestamp = 960 * index as u32 + 777_777 * ssrc;
        let codec = Codec::Opus;
        let fields =
            Fields { layer: 0, ssrc, index, timestamp, marker: false, codec, keyframe: true, vp8: None, layered: None };
        let packet = Packet::new(setup.key, &(0..PAYLOAD.len()), None, fields);
        let mut out = Outlet { now, line: &mut setup.line, egress: &mut setup.egress };
        let outcome = stream.forward(Some(0), &setup.track, &packet, PAYLOAD, &mut Made::default(), &mut out);
        assert_eq!(outcome, Outcome::Sent);
        let header = Header::parse(&setup.take()).unwrap();
        sent.push((header.sequence, header.timestamp));
    }
    for pair in sent.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "{sent:?}");
        assert_eq!(pair[1].1, pair[0].1.wrapping_add(960), "{sent:?}");
    }
}

#[test]
fn without_a_repair_stream_the_very_same_packet_is_sent_again() {
    let mut setup = setup(Kind::Audio);
    let mut stream = stream(Codec::Opus, None, setup.now);
    let first = setup.forward(&mut stream, Codec::Opus, 5, false);
    setup.forward(&mut stream, Codec::Opus, 6, false);
    let sequence = Header::parse(&first).unwrap().sequence;
    // Anything else under the same sequence number would use an encryption nonce twice.
    assert_eq!(setup.resend(&mut stream, sequence), Some(first));
    assert_eq!(setup.resend(&mut stream, sequence), None, "it is on its way");
}

/// A subscriber that negotiated RED.
fn red_stream(now: Instant) -> DownStream {
    let mut stream = stream(Codec::Red, None, now);
    stream.binding.codecs[0].red_inner = Some(111);
    stream
}

#[test]
fn red_of_our_own_is_sent_again_as_it_was_although_more_is_here_by_then() {
    let mut setup = setup(Kind::Audio);
    let mut stream = red_stream(setup.now);
    let layer = setup.track.layers[0].as_mut().unwrap();
    layer.store.insert(setup.now, 22, 960 * 22, false, PAYLOAD, &[]);
    layer.store.choose_before(22);
    let first = setup.forward(&mut stream, Codec::Opus, 22, false);
    let sequence = Header::parse(&first).unwrap().sequence;
    let layer = setup.track.layers[0].as_mut().unwrap();
    layer.store.insert(setup.now, 21, 960 * 21, false, PAYLOAD, &[]);
    layer.store.choose_before(21);
    assert_eq!(setup.resend(&mut stream, sequence), Some(first));
}

#[test]
fn what_was_recovered_is_sent_again_as_it_was_and_not_when_it_comes_late() {
    let mut setup = setup(Kind::Audio);
    let mut stream = stream(Codec::Opus, None, setup.now);
    setup.forward(&mut stream, Codec::Red, 5, false);
    let fields = |index| {
        let (timestamp, codec) = (960 * index as u32, Codec::Red);
        Fields { layer: 0, ssrc: 1, index, timestamp, marker: false, codec, keyframe: true, vp8: None, layered: None }
    };
    let carrier = Packet::new(setup.key, &(0..PAYLOAD.len()), None, fields(7));
    let lost = carrier.recovered(6, 960 * 6, &(2..9));
    let layer = setup.track.layers[0].as_mut().unwrap();
    layer.store.insert_recovered(setup.now, 6, 960 * 6, &PAYLOAD[2..9]);
    let offer = |setup: &mut Setup, stream: &mut DownStream, packet: &Packet| {
        let mut out = Outlet { now: setup.now, line: &mut setup.line, egress: &mut setup.egress };
        stream.forward(Some(0), &setup.track, packet, PAYLOAD, &mut Made::default(), &mut out)
    };
    assert_eq!(offer(&mut setup, &mut stream, &lost), Outcome::Sent);
    let sent = setup.take();
    let sequence = Header::parse(&sent).unwrap().sequence;
    assert_eq!(setup.resend(&mut stream, sequence), Some(sent));
    let late = Packet::new(setup.key, &(0..PAYLOAD.len()), None, fields(6)).with_origin(Origin::Late);
    assert_eq!(offer(&mut setup, &mut stream, &late), Outcome::Skipped);
    let mut other = red_stream(setup.now);
    stream.renegotiated(other.binding.codecs.clone(), stream.binding.extensions);
    setup.forward(&mut stream, Codec::Red, 7, false);
    assert_eq!(offer(&mut setup, &mut stream, &late), Outcome::Skipped, "its number is used, RED or not");
    assert_eq!(offer(&mut setup, &mut other, &late), Outcome::Sent, "to others it is new");
}

#[test]
fn on_a_repair_stream_it_is_sent_as_a_packet_of_its_own() {
    let mut setup = setup(Kind::Video);
    let mut stream = stream(Codec::Av1, Some(101), setup.now);
    let first = setup.forward(&mut stream, Codec::Av1, 5, true);
    let sequence = Header::parse(&first).unwrap().sequence;
    let again = setup.resend(&mut stream, sequence).unwrap();
    let header = Header::parse(&again).unwrap();
    assert_eq!((header.ssrc, header.payload_type), (0x2222_2222, 101));
    assert_eq!(header.timestamp, Header::parse(&first).unwrap().timestamp);
}

#[test]
fn a_packet_that_cannot_be_made_again_bit_by_bit_is_not_resent_under_its_number() {
    let mut setup = setup(Kind::Video);
    let mut stream = stream(Codec::Av1, None, setup.now);
    let extended = setup.forward(&mut stream, Codec::Av1, 5, true);
    let header = Header::parse(&extended).unwrap();
    assert_eq!(header.extension(&extended, 8), Some(&[0xDD, 0xDD][..]));
    assert_eq!(setup.resend(&mut stream, header.sequence), None);
    let plain = setup.forward(&mut stream, Codec::Av1, 6, false);
    let sequence = Header::parse(&plain).unwrap().sequence;
    let (codecs, extensions) = (stream.binding.codecs.clone(), ExtensionIds { mid: 9, ..Default::default() });
    stream.renegotiated(codecs, extensions);
    assert_eq!(setup.resend(&mut stream, sequence), None, "its header would look different now");
    setup.forward(&mut stream, Codec::Av1, 7, false);
    assert_eq!(setup.resend(&mut stream, sequence), None);
}

/// Offers every packet of a picture of three layers, two packets each, to a stream that is to get `target`; gives
/// what was sent, with the picture's layer and packet it was made of.
fn picture(
    setup: &mut Setup,
    stream: &mut DownStream,
    encoder: &mut Encoder,
    index: &mut u64,
    key: bool,
    target: u8,
) -> Vec<(u8, usize, Vec<u8>)> {
    let mut sent = Vec::new();
    for spatial in 0..3 {
        for (number, value) in encoder.frame(spatial, 0, key, 2).into_iter().enumerate() {
            let layer = setup.track.layers[0].as_mut().unwrap();
            let frame = dependency::Frame::parse(&value, &mut layer.known).unwrap();
            let layered = Some(Layered::Targets(frame, layer.known.version));
            let datagram = [&value[..], PAYLOAD].concat();
            let marker = spatial == 2 && number == 1;
            layer.store.insert(setup.now, *index, 3000, marker, PAYLOAD, &value);
            let keyframe = frame.starts_keyframe();
            let (layer, codec) = (0, Codec::Av1);
            let fields =
                Fields { layer, ssrc: 1, index: *index, timestamp: 3000, marker, codec, keyframe, vp8: None, layered };
            let packet = Packet::new(setup.key, &(value.len()..datagram.len()), Some(0..value.len()), fields);
            *index += 1;
            let mut out = Outlet { now: setup.now, line: &mut setup.line, egress: &mut setup.egress };
            stream.forward(Some(target), &setup.track, &packet, &datagram, &mut Made::default(), &mut out);
            if !setup.egress.transmits.is_empty() {
                sent.push((spatial, number, setup.take()));
            }
        }
    }
    sent
}

#[test]
fn a_lower_spatial_layer_is_a_stream_of_its_own_to_the_subscriber() {
    let mut setup = setup(Kind::Video);
    setup.track.svc = true;
    let mut stream = stream(Codec::Av1, Some(101), setup.now);
    let (mut encoder, mut index, mut known) = (Encoder::new(3, 1, true), 100, dependency::Known::default());
    let mut sequences = Vec::new();
    for number in 0..4 {
        let sent = picture(&mut setup, &mut stream, &mut encoder, &mut index, number == 0, 1);
        let layers: Vec<(u8, usize)> = sent.iter().map(|(spatial, packet, _)| (*spatial, *packet)).collect();
        let expected: &[(u8, usize)] = if number == 0 { &[(0, 0), (0, 1), (1, 0), (1, 1)] } else { &[(1, 0), (1, 1)] };
        assert_eq!(layers, expected);
        for (place, (.., datagram)) in sent.iter().enumerate() {
            let header = Header::parse(datagram).unwrap();
            sequences.push(header.sequence);
            assert_eq!(header.marker, place + 1 == sent.len(), "the last packet of what is left of the picture");
            let value = header.extension(datagram, 8).unwrap();
            dependency::Frame::parse(value, &mut known).unwrap();
            assert_eq!(known.active, 0b010, "only the middle layer can be decoded");
        }
    }
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{sequences:?}");
}

#[test]
fn a_resent_packet_of_a_layered_stream_says_what_it_said() {
    let mut setup = setup(Kind::Video);
    setup.track.svc = true;
    let mut stream = stream(Codec::Av1, Some(101), setup.now);
    let (mut encoder, mut index) = (Encoder::new(3, 1, true), 100);
    let sent = picture(&mut setup, &mut stream, &mut encoder, &mut index, true, 1);
    let last = Header::parse(&sent.last().unwrap().2).unwrap();
    let again = setup.resend(&mut stream, last.sequence).unwrap();
    let header = Header::parse(&again).unwrap();
    assert!(header.marker && header.payload_type == 101);
    assert!(header.extension(&again, 8).is_some_and(|value| value.len() > 3));
}

#[test]
fn a_late_packet_that_is_left_out_leaves_no_number_to_wait_for() {
    let mut setup = setup(Kind::Video);
    setup.track.svc = true;
    let mut stream = stream(Codec::Av1, Some(101), setup.now);
    let (mut encoder, mut index, mut held) = (Encoder::new(3, 1, true), 100, 0);
    let first = picture(&mut setup, &mut stream, &mut encoder, &mut index, true, 0);
    // A packet of the upper layers is overtaken by the next picture.
    let mut late = None;
    for spatial in 0..3 {
        for value in encoder.frame(spatial, 0, false, 1) {
            if spatial == 1 {
                (late, held) = (Some(value), index);
            }
            index += 1;
        }
    }
    let next = picture(&mut setup, &mut stream, &mut encoder, &mut index, false, 0);
    let value = late.unwrap();
    let layer = setup.track.layers[0].as_mut().unwrap();
    let frame = dependency::Frame::parse(&value, &mut layer.known).unwrap();
    let layered = Some(Layered::Targets(frame, layer.known.version));
    let fields = Fields {
        layer: 0,
        ssrc: 1,
        index: held,
        timestamp: 3000,
        marker: false,
        codec: Codec::Av1,
        keyframe: false,
        vp8: None,
        layered,
    };
    let packet = Packet::new(setup.key, &(0..PAYLOAD.len()), None, fields);
    let mut out = Outlet { now: setup.now, line: &mut setup.line, egress: &mut setup.egress };
    assert_eq!(
        stream.forward(Some(0), &setup.track, &packet, PAYLOAD, &mut Made::default(), &mut out),
        Outcome::Skipped
    );
    let filler = setup.take();
    let header = Header::parse(&filler).unwrap();
    let between = |sent: &[(u8, usize, Vec<u8>)], place: usize| Header::parse(&sent[place].2).unwrap().sequence;
    assert!(header.padding);
    assert!(header.sequence > between(&first, 1) && header.sequence < between(&next, 0));
}
