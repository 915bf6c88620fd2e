//! One outgoing RTP stream: chooses, rewrites, protects and remembers the packets of a down track.

use std::time::{Duration, Instant};

use super::Outcome;
use super::header::{HeaderTemplate, StreamExtensions};
use super::history::{History, Sent};
use super::payload::Form;
use super::rewrite::{Rewriter, Rewritten, Source};
use super::svc::{Selector, Wanted};
use crate::allocator::Choice;
use crate::api::Egress;
use crate::line::Outlet;
use crate::negotiate::{ExtensionIds, NegotiatedCodec};
use crate::packet::{Layered, Packet};
use crate::publish::layers::TEMPORAL;
use crate::publish::track::Track;
use crate::wire::codec::{Codec, vp8};
use crate::wire::rtcp::{NtpTime, SenderInfo};
use crate::wire::rtp;

/// What a [`DownStream`] is bound to.
pub(crate) struct Binding {
    pub mid: String,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    pub first_timestamp: u32,
    pub codecs: Vec<NegotiatedCodec>,
    pub extensions: ExtensionIds,
}

/// An outgoing RTP stream in one section of the subscriber's description.
pub(crate) struct DownStream {
    pub binding: Binding,
    /// The publisher's codec the templates below are for.
    codec: Option<Codec>,
    form: Form,
    header: HeaderTemplate,
    repair: Option<HeaderTemplate>,
    repair_index: u64,
    rewriter: Rewriter,
    /// Packets of the rewriter's layer are being sent (not: paused, or before the first key frame).
    flowing: bool,
    history: History,
    /// Highest temporal layer to send, and up to which one is sent.
    temporal: u8,
    temporal_now: u8,
    /// Of a stream with all layers in it.
    selector: Selector,
    /// The newest packet ended a picture: others may be put in behind it.
    between_pictures: bool,
    packets: u32,
    octets: u32,
    last_sent: Instant,
}

impl DownStream {
    pub fn new(now: Instant, video: bool, binding: Binding) -> DownStream {
        DownStream {
            codec: None,
            form: Form::AsIs,
            header: HeaderTemplate::new(binding.ssrc, 0, &StreamExtensions::default()),
            repair: None,
            repair_index: 1,
            rewriter: Rewriter::new(binding.first_timestamp),
            flowing: false,
            history: History::new(now, video),
            temporal: TEMPORAL as u8 - 1,
            temporal_now: TEMPORAL as u8 - 1,
            selector: Selector::default(),
            between_pictures: false,
            packets: 0,
            octets: 0,
            last_sent: now,
            binding,
        }
    }

    /// The layer that is being sent.
    pub fn current_layer(&self) -> Option<u8> {
        let layer = self.rewriter.layer().filter(|_| self.flowing)?;
        Some(self.selector.current().map_or(layer, |(spatial, _)| spatial))
    }

    /// The layer that is being sent, and up to which of its temporal layers it was to be.
    pub fn current_choice(&self) -> Option<Choice> {
        self.current_layer().map(|layer| Choice { layer, temporal: self.temporal })
    }

    /// Frames of higher temporal layers are left out.
    pub fn set_temporal(&mut self, temporal: u8) {
        self.temporal = temporal;
    }

    /// The codecs or extension ids of the section changed: templates are made anew with the next packet.
    pub fn renegotiated(&mut self, codecs: Vec<NegotiatedCodec>, extensions: ExtensionIds) {
        if self.binding.codecs != codecs || self.binding.extensions != extensions {
            self.binding.codecs = codecs;
            self.binding.extensions = extensions;
            self.codec = None;
        }
    }

    /// Makes the templates for what the publisher sends now.
    fn adopt(&mut self, codec: Codec) -> bool {
        let binding = &self.binding;
        let Some((own, form)) = Form::choose(&binding.codecs, codec) else { return false };
        let extensions = StreamExtensions {
            mid_id: binding.extensions.mid,
            mid: binding.mid.as_bytes(),
            transport_id: binding.extensions.transport_cc,
        };
        self.header = HeaderTemplate::new(binding.ssrc, own.payload_type, &extensions);
        self.repair = own.rtx.map(|repair| HeaderTemplate::new(binding.rtx_ssrc, repair, &extensions));
        self.codec = Some(codec);
        self.form = form;
        // A packet sent before looked different, and one sequence number must never be encrypted in two ways.
        self.history.clear();
        true
    }

    /// Sends the packet when it is of the wanted layer.
    #[inline]
    pub fn forward(
        &mut self,
        target: Option<u8>,
        track: &Track,
        packet: &Packet,
        datagram: &[u8],
        out: &mut Outlet<'_>,
    ) -> Outcome {
        let Some(target) = target else {
            self.flowing = false;
            return Outcome::Skipped;
        };
        let payload = packet.payload(datagram);
        if payload.is_empty() {
            if self.flowing && self.rewriter.layer() == Some(packet.layer) {
                self.rewriter.skip(packet.index);
            }
            return Outcome::Skipped;
        }
        let source = Source { layer: packet.layer, index: packet.index, timestamp: packet.timestamp, vp8: packet.vp8 };
        if let Some(layered) = &packet.layered {
            return self.forward_layered(target, track, packet, layered, &source, datagram, out);
        }
        let current = self.current_layer();
        let mut waits = None;
        if packet.layer == target && current != Some(target) {
            if packet.keyframe {
                self.begin(out.now, track, &source);
            } else {
                waits = Some(target);
            }
        } else if current.is_none() && packet.keyframe && packet.layer < target {
            // Any picture is better than none until the wanted layer's key frame is there.
            self.begin(out.now, track, &source);
        }
        if self.current_layer() == Some(packet.layer) {
            if self.codec != Some(packet.codec) && !self.adopt(packet.codec) {
                return Outcome::NoCodec;
            }
            if self.thins(target, packet) {
                if !self.rewriter.skip_picture(&source) {
                    self.fill(&source, out);
                }
                return waits.map_or(Outcome::Skipped, Outcome::NeedsKeyframe);
            }
            if let Some(rewritten) = self.rewriter.rewrite(&source) {
                self.send(packet, packet.marker, &rewritten, payload, packet.dependency(datagram), out);
            }
            return waits.map_or(Outcome::Sent, Outcome::NeedsKeyframe);
        }
        waits.map_or(Outcome::Skipped, Outcome::NeedsKeyframe)
    }

    /// Is this packet of a VP8 frame that is left out to send fewer? Changes with whole frames: down at any, up where the
    /// sender says that nothing between is needed.
    #[inline]
    fn thins(&mut self, target: u8, packet: &Packet) -> bool {
        let Some(vp8) = &packet.vp8 else { return false };
        // A layer that costs too much and waits for a lower one's key frame is sent with as few frames as can be.
        let limit = if target < packet.layer { 0 } else { self.temporal };
        if vp8.starts_frame && limit != self.temporal_now {
            let entered = vp8.layer_sync && (self.temporal_now..=limit).contains(&vp8.temporal);
            if limit < self.temporal_now || packet.keyframe {
                self.temporal_now = limit;
            } else if entered {
                self.temporal_now = vp8.temporal;
            }
            // There is no layer above the third, so whoever gets that one gets all.
            if self.temporal_now >= 2 && limit > 2 {
                self.temporal_now = limit;
            }
        }
        vp8.temporal > self.temporal_now
    }

    /// Forwards a packet of a stream with all layers in it.
    #[allow(clippy::too_many_arguments)] // One packet with all that is known of it.
    fn forward_layered(
        &mut self,
        target: u8,
        track: &Track,
        packet: &Packet,
        layered: &Layered,
        source: &Source,
        datagram: &[u8],
        out: &mut Outlet<'_>,
    ) -> Outcome {
        if !self.flowing || self.rewriter.layer() != Some(packet.layer) {
            self.selector.stop();
        }
        let known = track.layer(packet.layer).map(|layer| &layer.known);
        let wanted = Wanted { spatial: target, temporal: self.temporal };
        let verdict = self.selector.judge(layered, packet.keyframe, known, wanted);
        let otherwise = |outcome| if verdict.needs_keyframe { Outcome::NeedsKeyframe(target) } else { outcome };
        if !verdict.send {
            if self.flowing && !self.rewriter.skip(packet.index) {
                self.fill(source, out);
            }
            return otherwise(Outcome::Skipped);
        }
        if !self.flowing || self.rewriter.layer() != Some(packet.layer) {
            self.begin(out.now, track, source);
        }
        if self.codec != Some(packet.codec) && !self.adopt(packet.codec) {
            return Outcome::NoCodec;
        }
        let Some(rewritten) = self.rewriter.rewrite(source) else { return otherwise(Outcome::Skipped) };
        let mut dependency = packet.dependency(datagram);
        let mut buffer = [0; u8::MAX as usize];
        if let (Layered::Targets(frame, _), Some(mask), Some(value)) = (layered, verdict.active, dependency) {
            let targets = known.and_then(|known| known.structure.as_ref()).map_or(0, |structure| structure.targets());
            let len = frame.with_active(value, mask, targets, &mut buffer);
            dependency = len.and_then(|len| buffer.get(..len)).or(dependency);
        }
        self.send(packet, packet.marker || verdict.last, &rewritten, packet.payload(datagram), dependency, out);
        otherwise(Outcome::Sent)
    }

    /// Sends padding under the number of a late packet that is left out: a number that never comes would be waited for.
    fn fill(&mut self, source: &Source, out: &mut Outlet<'_>) {
        if self.codec.is_none() {
            return;
        }
        if let Some(rewritten) = self.rewriter.rewrite(&Source { vp8: None, ..*source }) {
            self.send_padding(&rewritten, 1, 0, out);
        }
    }

    /// Sends a packet of padding alone (RFC 3550 section 5.1) on the media stream.
    fn send_padding(&mut self, rewritten: &Rewritten, padding: u8, cluster: u32, out: &mut Outlet<'_>) -> bool {
        let Outlet { now, line, egress } = out;
        let start = egress.buffer.len();
        let len = self.header.len() + usize::from(padding);
        let transport = if self.header.counts_transport() { line.number(*now, len, cluster) } else { 0 };
        let (sequence, timestamp) = (rewritten.index as u16, rewritten.timestamp);
        let header_len = self.header.write(&mut egress.buffer, false, sequence, timestamp, transport);
        pad(&mut egress.buffer, start, padding);
        line.send(egress, start, header_len, self.binding.ssrc, rewritten.index)
    }

    /// Sends a packet that only probes the line, on the repair stream where there is one, else between pictures on the
    /// media stream. Gives its bytes; none when it cannot be done now.
    pub fn probe(&mut self, cluster: u32, out: &mut Outlet<'_>) -> Option<usize> {
        const PADDING: u8 = u8::MAX;
        if !self.flowing || self.codec.is_none() {
            return None;
        }
        let Some(header) = self.repair.as_ref() else {
            let rewritten = if self.between_pictures { self.rewriter.insert()? } else { return None };
            return self
                .send_padding(&rewritten, PADDING, cluster, out)
                .then_some(self.header.len() + usize::from(PADDING));
        };
        let Outlet { now, line, egress } = out;
        let start = egress.buffer.len();
        let index = self.repair_index;
        self.repair_index += 1;
        let len = header.len() + usize::from(PADDING);
        let transport = if header.counts_transport() { line.number(*now, len, cluster) } else { return None };
        let timestamp = self.rewriter.last_timestamp();
        let header_len = header.write(&mut egress.buffer, false, index as u16, timestamp, transport);
        pad(&mut egress.buffer, start, PADDING);
        line.send(egress, start, header_len, self.binding.rtx_ssrc, index).then_some(len)
    }

    fn begin(&mut self, now: Instant, track: &Track, source: &Source) {
        let timestamp = match self.rewriter.layer() {
            None => self.rewriter.last_timestamp(),
            Some(layer) if layer == source.layer => source.timestamp.wrapping_add(self.rewriter.timestamp_offset()),
            Some(layer) => self.aligned(now, track, layer, source),
        };
        self.rewriter.begin(source, timestamp);
        self.flowing = true;
    }

    /// The timestamp of another layer's packet on our line: by the sender's reports where both layers have one, else by
    /// the time since the last packet.
    fn aligned(&self, now: Instant, track: &Track, from: u8, source: &Source) -> u32 {
        let rate = track.codec.map_or(90_000, Codec::clock_rate);
        let elapsed = now.saturating_duration_since(self.last_sent).as_micros() as u64;
        let by_arrival = self.rewriter.last_timestamp().wrapping_add((elapsed * u64::from(rate) / 1_000_000) as u32);
        let anchors = (track.layer(from).and_then(|l| l.anchor), track.layer(source.layer).and_then(|l| l.anchor));
        let (Some(old), Some(new)) = anchors else { return by_arrival };
        let on_old_layer = old.timestamp_at(new.ntp_at(source.timestamp, rate), rate);
        let by_reports = on_old_layer.wrapping_add(self.rewriter.timestamp_offset());
        // Reports that contradict the arrival by a second are broken.
        let apart = (by_reports.wrapping_sub(by_arrival) as i32).unsigned_abs();
        if apart > rate { by_arrival } else { by_reports }
    }

    #[inline]
    fn send(
        &mut self,
        packet: &Packet,
        marker: bool,
        rewritten: &Rewritten,
        payload: &[u8],
        dependency: Option<&[u8]>,
        out: &mut Outlet<'_>,
    ) {
        let Outlet { now, line, egress } = out;
        let now = *now;
        let start = egress.buffer.len();
        let sequence = rewritten.index as u16;
        let transport =
            if self.header.counts_transport() { line.number(now, self.header.len() + payload.len(), 0) } else { 0 };
        let dependency = dependency.filter(|_| self.binding.extensions.dependency_descriptor != 0);
        let header_len = match dependency {
            None => self.header.write(&mut egress.buffer, marker, sequence, rewritten.timestamp, transport),
            Some(value) => {
                let fields = rtp::Outgoing {
                    payload_type: self.header.payload_type(),
                    marker,
                    sequence,
                    timestamp: rewritten.timestamp,
                    ssrc: self.binding.ssrc,
                    padding: false,
                };
                self.write_long_header(egress, &fields, transport, value)
            }
        };
        let body = egress.buffer.len();
        self.form.write(&mut egress.buffer, payload, packet.vp8.as_ref(), &rewritten.vp8);
        let octets = egress.buffer.len() - body;
        if octets == 0 || !line.send(egress, start, header_len, self.binding.ssrc, rewritten.index) {
            egress.buffer.truncate(start);
            return;
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        self.last_sent = now;
        self.between_pictures = marker;
        self.history.insert(&Sent {
            source: packet.index as u32,
            layer: packet.layer,
            marker,
            index: rewritten.index,
            timestamp: rewritten.timestamp,
            transport,
            extended: dependency.is_some(),
            vp8: rewritten.vp8,
        });
    }

    /// A header that also carries the dependency descriptor, which differs per packet.
    fn write_long_header(
        &self,
        egress: &mut Egress,
        fields: &rtp::Outgoing,
        transport: u16,
        dependency: &[u8],
    ) -> usize {
        let ids = &self.binding.extensions;
        let transport = transport.to_be_bytes();
        let extensions = [
            (ids.mid, self.binding.mid.as_bytes()),
            (ids.transport_cc, &transport[..]),
            (ids.dependency_descriptor, dependency),
        ];
        rtp::write_header(&mut egress.buffer, fields, &extensions)
    }

    /// Sends a packet again: on the repair stream where there is one (RFC 4588), else the very same packet.
    /// Not sooner than a round trip after the time before, which may still be on its way.
    pub fn resend(&mut self, track: &Track, sequence: u16, round_trip: Duration, out: &mut Outlet<'_>) -> bool {
        let Outlet { now, line, egress } = out;
        let now = *now;
        let Some(sent) = self.history.take_for_resend(now, round_trip, sequence) else { return false };
        let stored = track.layer(sent.layer).and_then(|layer| layer.store.get(sent.source));
        let (Some(stored), Some(codec)) = (stored, self.codec) else { return false };
        let descriptor = if codec == Codec::Vp8 { vp8::Descriptor::parse(stored.payload).ok() } else { None };
        let start = egress.buffer.len();
        let (header_len, ssrc, index) = match &self.repair {
            Some(header) => {
                let index = self.repair_index;
                self.repair_index += 1;
                let transport = if header.counts_transport() {
                    line.number(now, header.len() + 2 + stored.payload.len(), 0)
                } else {
                    0
                };
                let sequence = index as u16;
                let dependency = Some(stored.dependency).filter(|_| sent.extended);
                let len = match dependency {
                    None => header.write(&mut egress.buffer, sent.marker, sequence, sent.timestamp, transport),
                    Some(value) => {
                        let fields = rtp::Outgoing {
                            payload_type: header.payload_type(),
                            marker: sent.marker,
                            sequence,
                            timestamp: sent.timestamp,
                            ssrc: self.binding.rtx_ssrc,
                            padding: false,
                        };
                        self.write_long_header(egress, &fields, transport, value)
                    }
                };
                egress.buffer.extend_from_slice(&(sent.index as u16).to_be_bytes());
                (len, self.binding.rtx_ssrc, index)
            }
            None if sent.extended => return false,
            None => {
                let sequence = sent.index as u16;
                let buffer = &mut egress.buffer;
                let len = self.header.write(buffer, sent.marker, sequence, sent.timestamp, sent.transport);
                (len, self.binding.ssrc, sent.index)
            }
        };
        let at = egress.buffer.len();
        self.form.write(&mut egress.buffer, stored.payload, descriptor.as_ref(), &sent.vp8);
        if egress.buffer.len() == at {
            egress.buffer.truncate(start);
            return false;
        }
        line.send(egress, start, header_len, ssrc, index)
    }

    /// What a sender report says at this moment: none before anything was sent, or while the publisher's clock is not
    /// known.
    pub fn sender_info(&self, ours: NtpTime, theirs: NtpTime, track: &Track) -> Option<SenderInfo> {
        let layer = self.rewriter.layer().filter(|_| self.packets > 0)?;
        let anchor = track.layer(layer)?.anchor?;
        let rate = self.codec?.clock_rate();
        let timestamp = anchor.timestamp_at(theirs, rate).wrapping_add(self.rewriter.timestamp_offset());
        Some(SenderInfo {
            ssrc: self.binding.ssrc,
            ntp: ours,
            rtp_timestamp: timestamp,
            packets: self.packets,
            octets: self.octets,
        })
    }
}

/// Appends padding to the packet that begins at `start` and says so in its header.
fn pad(buffer: &mut Vec<u8>, start: usize, padding: u8) {
    buffer.resize(buffer.len() + usize::from(padding) - 1, 0);
    buffer.push(padding);
    if let Some(first) = buffer.get_mut(start) {
        *first |= 0x20;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
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
            track: TrackId(1),
            sid: "TR_1".into(),
            stream_id: "PA_1|TR_1".into(),
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
        let extensions = ExtensionIds { mid: 4, transport_cc: 3, dependency_descriptor: 8, ..ExtensionIds::default() };
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
            let fields =
                Fields { layer: 0, index, timestamp, marker: false, codec, keyframe: true, vp8: None, layered: None };
            let packet = Packet::new(self.key, &(2..datagram.len()), descriptor.then_some(0..2), fields);
            let mut out = Outlet { now: self.now, line: &mut self.line, egress: &mut self.egress };
            assert_eq!(stream.forward(Some(0), &self.track, &packet, &datagram, &mut out), Outcome::Sent);
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
                    Fields { layer, index: *index, timestamp: 3000, marker, codec, keyframe, vp8: None, layered };
                let packet = Packet::new(setup.key, &(value.len()..datagram.len()), Some(0..value.len()), fields);
                *index += 1;
                let mut out = Outlet { now: setup.now, line: &mut setup.line, egress: &mut setup.egress };
                stream.forward(Some(target), &setup.track, &packet, &datagram, &mut out);
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
            let expected: &[(u8, usize)] =
                if number == 0 { &[(0, 0), (0, 1), (1, 0), (1, 1)] } else { &[(1, 0), (1, 1)] };
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
        assert_eq!(stream.forward(Some(0), &setup.track, &packet, PAYLOAD, &mut out), Outcome::Skipped);
        let filler = setup.take();
        let header = Header::parse(&filler).unwrap();
        let between = |sent: &[(u8, usize, Vec<u8>)], place: usize| Header::parse(&sent[place].2).unwrap().sequence;
        assert!(header.padding);
        assert!(header.sequence > between(&first, 1) && header.sequence < between(&next, 0));
    }
}
