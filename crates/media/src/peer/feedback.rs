//! RTCP of one peer, both ways.

use std::time::{Duration, Instant};

use super::ingress::Refused;
use super::{Fault, Peer};
use crate::api::{Egress, Event};
use crate::effects::Effects;
use crate::line::Outlet;
use crate::publish::clock::Anchor;
use crate::publish::track::Track;
use crate::quality::Observation;
use crate::slab::Slab;
use crate::wire::rtcp::{self, NtpTime, ReportBlock, ReportBlocks, SenderInfo};

/// How often a publisher is told what arrived: one that sends much by libwebrtc's own period, else half as often. Each
/// time costs us a wake-up and a packet (LiveKit has the same two periods).
const FEEDBACK_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(50)];
/// More packets than this since the last feedback are much.
const MANY_ARRIVALS: usize = 20;
/// How often a publisher is looked after for missing packets.
const NACK_EVERY: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
/// Report blocks in one packet (RFC 3550 section 6.4.1: five bits).
const MAX_BLOCKS: usize = 31;

/// A compound packet this long is sent; what is added at once is small against the MTU left.
const COMPOUND_BYTES: usize = 800;

/// What subscribers report about what we send them, since the last quality score.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Heard {
    /// Loss in 1/256 summed over reports, and how many there were.
    loss: u64,
    reports: u64,
    /// Highest jitter in timestamp units of a 90 kHz clock.
    jitter: u32,
}

impl Peer {
    /// Takes a compound packet, decrypting it in place.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        ours: NtpTime,
        packet: &mut [u8],
        tracks: &mut Slab<Track>,
        egress: &mut Egress,
        effects: &mut Effects,
    ) -> Result<(), Refused> {
        let len = self.ingress.open_rtcp(packet)?;
        self.last_heard = now;
        for part in rtcp::parse(packet.get(..len).unwrap_or_default()) {
            match part? {
                rtcp::Packet::SenderReport { info, blocks } => {
                    self.on_sender_report(now, ours, &info, tracks);
                    self.on_blocks(ours, blocks);
                }
                rtcp::Packet::ReceiverReport { blocks, .. } => self.on_blocks(ours, blocks),
                rtcp::Packet::Nack(nack) => self.on_nack(now, &nack, tracks, egress, effects),
                rtcp::Packet::PictureLoss { media_ssrc, .. } => self.on_picture_loss(media_ssrc, effects),
                rtcp::Packet::FullIntra(request) => {
                    for (media_ssrc, _) in request.requests() {
                        self.on_picture_loss(media_ssrc, effects);
                    }
                }
                rtcp::Packet::TransportFeedback(feedback) => {
                    self.on_transport_feedback(now, &feedback, tracks, effects);
                }
                rtcp::Packet::Remb { bitrate_bps, .. } => {
                    self.on_remb(now, bitrate_bps, tracks, effects);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn on_sender_report(&mut self, now: Instant, ours: NtpTime, info: &SenderInfo, tracks: &mut Slab<Track>) {
        let Some(stream) = self.ingress.stream_mut(info.ssrc) else { return };
        let (ssrc, section) = (stream.ssrc, stream.section);
        let Some(media) = stream.media_mut() else { return };
        media.reception.on_sender_report(now, info.ntp);
        let layer = media.layer;
        self.ingress.clock.on_report(now, ours, info.ntp);
        for section in &self.ingress.sections {
            if let Some(track) = section.track.and_then(|key| tracks.get_mut(key)) {
                track.publisher_clock = self.ingress.clock;
            }
        }
        let track = self.ingress.sections.get(section).and_then(|section| section.track);
        let Some(track) = track.and_then(|key| tracks.get_mut(key)) else { return };
        let state = track.layers.get_mut(usize::from(layer)).and_then(Option::as_mut);
        if let Some(state) = state.filter(|state| state.ssrc == ssrc) {
            state.anchor = Some(Anchor { ntp: info.ntp, timestamp: info.rtp_timestamp });
        }
    }

    fn on_blocks(&mut self, ours: NtpTime, blocks: ReportBlocks<'_>) {
        for block in blocks {
            if !self.own_streams.contains_key(&block.ssrc) {
                continue;
            }
            if let Some(units) = block.round_trip(ours) {
                self.round_trip = Duration::from_micros(u64::from(units) * 1_000_000 / 65_536).min(SECOND * 5);
            }
            self.heard.loss += u64::from(block.fraction_lost);
            self.heard.reports += 1;
            self.heard.jitter = self.heard.jitter.max(block.jitter);
            let own = self.own_streams.get(&block.ssrc).and_then(|own| self.downs.get_mut(own.down));
            if let Some(stream) = own.and_then(|down| down.stream.as_mut()).filter(|s| s.binding.ssrc == block.ssrc) {
                stream.on_reported(block.highest_sequence);
            }
        }
    }

    fn on_nack(
        &mut self,
        now: Instant,
        nack: &rtcp::Nack<'_>,
        tracks: &Slab<Track>,
        egress: &mut Egress,
        effects: &mut Effects,
    ) {
        let Some(own) = self.own_streams.get(&nack.media_ssrc) else { return };
        let (Some(down), Some(line)) = (self.downs.get_mut(own.down), &mut self.line) else { return };
        let (Some(stream), Some(track)) = (&mut down.stream, tracks.get(down.track)) else { return };
        if stream.binding.ssrc != nack.media_ssrc || down.target.is_none() {
            return;
        }
        let mut out = Outlet { now, line, egress };
        // A client that asks again after its own idea of the round trip asks a moment before it is over by ours. Where no
        // line is not full, a repair too many costs less than one that comes a whole round trip later.
        let full = self.bandwidth.as_ref().is_some_and(|bandwidth| bandwidth.congested() || bandwidth.queue_stands());
        let soonest = if full { self.round_trip } else { self.round_trip / 2 };
        for sequence in nack.sequences() {
            effects.counters.nacks_in += 1;
            if stream.resend(track, sequence, soonest, &mut out) {
                effects.counters.retransmitted += 1;
            }
        }
    }

    fn on_picture_loss(&mut self, media_ssrc: u32, effects: &mut Effects) {
        effects.counters.keyframe_requests_in += 1;
        let Some(own) = self.own_streams.get(&media_ssrc) else { return };
        let Some(down) = self.downs.get(own.down) else { return };
        if down.stream.as_ref().is_some_and(|stream| stream.waits_for_room()) {
            return;
        }
        let current = down.stream.as_ref().and_then(|stream| stream.current_layer());
        if let (true, Some(layer)) = (down.video, current.or(down.target)) {
            effects.want_keyframe(down.track, layer);
        }
    }

    /// Asks the publisher for a key frame of its stream.
    pub fn send_picture_loss(&mut self, media_ssrc: u32, egress: &mut Egress, effects: &mut Effects) {
        let Some(line) = &mut self.line else { return };
        let start = egress.buffer.len();
        rtcp::write_picture_loss(&mut egress.buffer, self.report_ssrc, media_ssrc);
        if line.send_rtcp(egress, start) {
            effects.counters.keyframe_requests_out += 1;
        }
    }

    /// A media packet arrived: feedback about it is due soon.
    #[inline]
    pub fn expect_feedback(&mut self, now: Instant) {
        self.last_heard = now;
        let soonest = now + NACK_EVERY;
        if std::mem::take(&mut self.ingress.missing) {
            self.duties.nacks.get_or_insert(soonest);
        }
        if self.duties.feedback.is_none() {
            self.duties.feedback = Some(soonest.max(self.fed_back + self.feedback_period()));
        }
    }

    fn feedback_period(&self) -> Duration {
        let [seldom, often] = FEEDBACK_EVERY;
        if self.many_arrivals { often } else { seldom }
    }

    /// Does what is due. An error means the peer is to be closed.
    pub fn tick(
        &mut self,
        now: Instant,
        ours: NtpTime,
        tracks: &mut Slab<Track>,
        egress: &mut Egress,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        if self.transport.as_ref().is_some_and(|transport| transport.timeout() <= now) {
            self.tick_transport(now, egress, effects)?;
        }
        self.flush_data(now, egress, effects)?;
        let due = |duty: Option<Instant>| duty.is_some_and(|at| at <= now);
        if due(self.duties.nacks) || due(self.duties.feedback) {
            self.send_feedback(now, egress, effects);
        }
        if due(self.duties.silence) {
            self.send_silence(now, tracks, egress);
        }
        if due(self.flush_due()) {
            self.flush_endings(now, egress, effects);
        }
        if due(self.prober.due()) {
            self.probe(now, tracks, egress, effects);
        }
        if self.duties.second <= now {
            self.duties.second = now + SECOND;
            self.check_alive(now)?;
            self.send_reports(now, ours, tracks, egress);
            self.allocate(now, tracks, effects);
            self.score_quality(now, effects);
        }
        Ok(())
    }

    /// NACKs to the publisher, and when it is time what arrived.
    fn send_feedback(&mut self, now: Instant, egress: &mut Egress, effects: &mut Effects) {
        if self.line.is_none() {
            (self.duties.nacks, self.duties.feedback) = (None, None);
            return;
        }
        let start = egress.buffer.len();
        let mut next: Option<Instant> = None;
        let mut sequences = std::mem::take(&mut self.sequences);
        for stream in &mut self.ingress.streams {
            let ssrc = stream.ssrc;
            let Some(nacks) = stream.media_mut().and_then(|media| media.nacks.as_mut()) else { continue };
            sequences.clear();
            nacks.collect_due(now, self.round_trip, &mut sequences);
            effects.counters.nacks_out += sequences.len() as u64;
            rtcp::write_nack(&mut egress.buffer, self.report_ssrc, ssrc, &sequences);
            next = [next, nacks.next_due()].into_iter().flatten().min();
        }
        self.sequences = sequences;
        let period = self.feedback_period();
        let Some(line) = &mut self.line else { return };
        let due = now.saturating_duration_since(self.fed_back) >= period;
        if due {
            self.fed_back = now;
            self.many_arrivals = self.ingress.arrivals.pending() > MANY_ARRIVALS;
            let (out, ssrc) = (&mut egress.buffer, self.ingress.feedback_ssrc);
            while self.ingress.arrivals.write_feedback(out, self.report_ssrc, ssrc) {}
        }
        line.send_rtcp(egress, start);
        let arrivals = self.ingress.arrivals.pending() > 0;
        self.duties.feedback = arrivals.then_some(self.fed_back + period);
        self.duties.nacks = next.map(|at| at.max(now + Duration::from_millis(1)));
    }

    /// A receiver report about what it publishes, and a sender report about each stream it gets.
    fn send_reports(&mut self, now: Instant, ours: NtpTime, tracks: &Slab<Track>, egress: &mut Egress) {
        let Some(line) = &mut self.line else { return };
        let mut blocks: Vec<ReportBlock> = Vec::new();
        for stream in &mut self.ingress.streams {
            let ssrc = stream.ssrc;
            if now.saturating_duration_since(stream.last_packet) > SECOND * 5 {
                continue;
            }
            if let Some(media) = stream.media_mut() {
                blocks.push(media.reception.report(now, ssrc));
            }
        }
        for chunk in blocks.chunks(MAX_BLOCKS) {
            let start = egress.buffer.len();
            rtcp::write_receiver_report(&mut egress.buffer, self.report_ssrc, chunk);
            line.send_rtcp(egress, start);
        }
        let mut start = egress.buffer.len();
        for (_, down) in self.downs.iter() {
            let (Some(stream), Some(track)) = (&down.stream, tracks.get(down.track)) else { continue };
            let Some(theirs) = track.publisher_clock.theirs(ours) else { continue };
            let Some(info) = stream.sender_info(ours, theirs, track) else { continue };
            rtcp::write_sender_report(&mut egress.buffer, &info, &[]);
            let participant = track.publication.stream_id.split('|').next().unwrap_or_default();
            rtcp::write_cname(&mut egress.buffer, info.ssrc, participant);
            if egress.buffer.len() - start > COMPOUND_BYTES {
                line.send_rtcp(egress, start);
                start = egress.buffer.len();
            }
        }
        line.send_rtcp(egress, start);
    }

    fn score_quality(&mut self, now: Instant, effects: &mut Effects) {
        if !self.quality.due(now) {
            return;
        }
        let (mut expected, mut received, mut jitter_ms) = (0, 0, 0.0f32);
        for media in self.ingress.streams.iter().filter_map(|stream| stream.media()) {
            expected += media.reception.expected();
            received += media.reception.received();
            jitter_ms = jitter_ms.max(media.reception.jitter_ms(media.codec.clock_rate()));
        }
        let (expected_before, received_before) = std::mem::replace(&mut self.counted, (expected, received));
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received.saturating_sub(received_before));
        let heard = std::mem::take(&mut self.heard);
        // A subscriber reports shares, not counts: taken as of a hundred packets each.
        let observation = Observation {
            expected: expected_now + heard.reports * 100,
            lost: lost_now + heard.loss * 100 / 256,
            rtt_ms: self.round_trip.as_secs_f32() * 1000.0,
            jitter_ms: jitter_ms.max(heard.jitter as f32 / 90.0),
            should_flow: false,
            heard: now.saturating_duration_since(self.last_heard) < SECOND * 5,
        };
        if let Some(score) = self.quality.update(now, &observation) {
            effects.events.push(Event::Quality { peer: self.id, score });
        }
    }
}
