//! One outgoing RTP stream: chooses, rewrites, protects and remembers the packets of a down track.

mod padding;
mod resend;

use std::time::{Duration, Instant};

use super::Outcome;
use super::header::{HeaderTemplate, StreamExtensions};
use super::history::{History, Sent};
use super::made::Made;
use super::payload::Form;
use super::rewrite::{Rewriter, Rewritten, Source};
use super::svc::{Selector, Wanted};
use crate::allocator::Choice;
use crate::api::{Egress, PlayoutDelay, Publication};
use crate::line::Outlet;
use crate::negotiate::{ExtensionIds, NegotiatedCodec};
use crate::packet::{Layered, Packet};
use crate::publish::layers::TEMPORAL;
use crate::publish::recovery::Origin;
use crate::publish::track::Track;
use crate::wire::codec::Codec;
use crate::wire::rtp;

/// A full queue that gets nothing more has room for a key frame after this: one is about five frames large, so it takes
/// five thirtieths of a second on a line that its layer fits.
const KEY_FRAME_ROOM: Duration = Duration::from_millis(150);

/// What a [`DownStream`] is bound to.
pub(crate) struct Binding {
    pub mid: String,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    pub first_timestamp: u32,
    pub codecs: Vec<NegotiatedCodec>,
    pub extensions: ExtensionIds,
}

/// Header extensions that a packet brings along.
#[derive(Debug, Clone, Copy)]
struct Own<'p> {
    dependency: Option<&'p [u8]>,
    capture: Option<&'p [u8]>,
}

impl Own<'_> {
    /// Those that the subscriber understands.
    #[inline]
    fn negotiated(self, ids: &ExtensionIds) -> Self {
        Own {
            dependency: self.dependency.filter(|_| ids.dependency_descriptor != 0),
            capture: self.capture.filter(|_| ids.abs_capture_time != 0),
        }
    }
}

/// A playout delay that is told with every packet from `first` on.
#[derive(Debug)]
struct Playout {
    value: [u8; 3],
    first: Option<u16>,
}

/// An outgoing RTP stream in one section of the subscriber's description.
pub(crate) struct DownStream {
    pub binding: Binding,
    /// The publisher's codec the templates below are for.
    pub(super) codec: Option<Codec>,
    form: Form,
    pub(super) header: HeaderTemplate,
    repair: Option<HeaderTemplate>,
    repair_index: u64,
    pub(super) rewriter: Rewriter,
    /// The rewriter's numbers are another source's: the next packet begins a run.
    source_changed: bool,
    /// Of the publisher, whose numbers the rewriter's run has.
    source: u32,
    /// What its layer's clock had moved when the rewriter's run began.
    pub(super) moved: u32,
    /// Packets of the rewriter's layer are being sent (not: paused, or before the first key frame).
    pub(super) flowing: bool,
    history: History,
    /// A key frame fits into the line's queue again from then on; none is asked for before.
    room_at: Option<Instant>,
    /// Highest temporal layer to send, and up to which one is sent.
    temporal: u8,
    temporal_now: u8,
    /// Of a stream with all layers in it.
    selector: Selector,
    /// How long the subscriber is to hold pictures back, until it is known to have heard.
    playout: Option<Playout>,
    /// The newest packet ended a picture: others may be put in behind it.
    between_pictures: bool,
    pub(super) packets: u32,
    pub(super) octets: u32,
    pub(super) last_sent: Instant,
    /// Packets of ours that are still to come while the publisher's do not.
    pub(super) silent_for: u16,
    /// The newest lost packet that was sent out of a block of a later one.
    recovered: Option<u64>,
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
            source_changed: false,
            source: 0,
            moved: 0,
            flowing: false,
            history: History::new(now, video),
            room_at: None,
            temporal: TEMPORAL as u8 - 1,
            temporal_now: TEMPORAL as u8 - 1,
            selector: Selector::default(),
            playout: None,
            between_pictures: false,
            packets: 0,
            octets: 0,
            last_sent: now,
            silent_for: 0,
            recovered: None,
            binding,
        }
    }

    /// What it points to will be needed soon.
    #[inline]
    pub fn soon(&self) {
        self.header.soon();
        self.history.soon(self.rewriter.highest());
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

    /// Would a key frame find the line's queue full, and lose a part that comes again only behind all that waits?
    pub fn waits_for_room(&self) -> bool {
        self.room_at.is_some()
    }

    /// Does it get RED made of plain Opus?
    pub fn makes_red(&self) -> bool {
        matches!(self.form, Form::MadeRed(_))
    }

    /// Frames of higher temporal layers are left out.
    pub fn set_temporal(&mut self, temporal: u8) {
        self.temporal = temporal;
    }

    /// Tells the subscriber how long to hold pictures back.
    pub fn set_playout_delay(&mut self, delay: PlayoutDelay) {
        self.playout = Some(Playout { value: delay.value(), first: None });
    }

    /// The subscriber reported on our stream up to this packet.
    pub fn on_reported(&mut self, highest: u32) {
        let heard =
            |playout: &Playout| playout.first.is_some_and(|first| (highest as u16).wrapping_sub(first) < 0x8000);
        if self.playout.as_ref().is_some_and(heard) {
            self.playout = None;
        }
    }

    /// The codecs or extension ids of the section changed: templates are made anew with the next packet.
    pub fn renegotiated(&mut self, codecs: Vec<NegotiatedCodec>, extensions: ExtensionIds) {
        if self.binding.codecs != codecs || self.binding.extensions != extensions {
            self.binding.codecs = codecs;
            self.binding.extensions = extensions;
            self.codec = None;
        }
    }

    /// Packets of another source follow, in another codec maybe; nothing before its first key frame.
    pub fn change_source(&mut self) {
        self.source_changed = true;
        self.flowing = false;
        self.selector.stop();
        self.codec = None;
        self.recovered = None;
    }

    /// Makes the templates for what the publisher sends now.
    pub(super) fn adopt(&mut self, codec: Codec, of: &Publication) -> bool {
        let binding = &self.binding;
        let Some((own, form)) = Form::choose(&binding.codecs, codec, of) else { return false };
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
        made: &mut Made,
        out: &mut Outlet<'_>,
    ) -> Outcome {
        let Some(target) = target else {
            self.flowing = false;
            return Outcome::Skipped;
        };
        if packet.ssrc != self.source && self.rewriter.layer() == Some(packet.layer) {
            // Its numbers have nothing to do with those before: mapped alike, they would be used twice.
            self.change_source();
        }
        if !self.takes(packet, &track.publication) {
            return Outcome::Skipped;
        }
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
                self.begin(out.now, track, &source, packet.ssrc);
            } else {
                self.room_at = self.room_at.filter(|at| out.now < *at);
                waits = Some(target).filter(|_| self.room_at.is_none());
            }
        } else if current.is_none() && packet.keyframe && packet.layer < target {
            // Any picture is better than none until the wanted layer's key frame is there.
            self.begin(out.now, track, &source, packet.ssrc);
        }
        if self.current_layer() == Some(packet.layer) {
            if self.codec != Some(packet.codec) && !self.adopt(packet.codec, &track.publication) {
                return Outcome::NoCodec;
            }
            if self.thins(target, packet) {
                if !self.rewriter.skip_picture(&source) {
                    self.fill(&source, out);
                }
                return waits.map_or(Outcome::Skipped, Outcome::NeedsKeyframe);
            }
            if let Some(rewritten) = self.rewriter.rewrite(&source) {
                let own = Own { dependency: packet.dependency(datagram), capture: packet.capture_time(datagram) };
                let payload = self.form.payload(packet, payload, track, made);
                self.send(packet, packet.marker, &rewritten, payload, own, out);
            }
            return waits.map_or(Outcome::Sent, Outcome::NeedsKeyframe);
        }
        waits.map_or(Outcome::Skipped, Outcome::NeedsKeyframe)
    }

    /// Is this packet for this subscriber? What was recovered is for one that gets plain Opus of RED and is in the middle of
    /// it; if it comes late after all, for those that did not get it so.
    #[inline]
    fn takes(&mut self, packet: &Packet, of: &Publication) -> bool {
        match packet.origin {
            Origin::Sent => true,
            Origin::Late => self.recovered.is_none_or(|newest| packet.index > newest),
            Origin::Recovered => {
                let ready = self.flowing && (self.codec == Some(packet.codec) || self.adopt(packet.codec, of));
                let takes = ready && self.form == Form::RedPrimary;
                if takes {
                    self.recovered = self.recovered.max(Some(packet.index));
                }
                takes
            }
        }
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
            self.begin(out.now, track, source, packet.ssrc);
        }
        if self.codec != Some(packet.codec) && !self.adopt(packet.codec, &track.publication) {
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
        let own = Own { dependency, capture: packet.capture_time(datagram) };
        self.send(packet, packet.marker || verdict.last, &rewritten, packet.payload(datagram), own, out);
        otherwise(Outcome::Sent)
    }

    /// Stops sending a layer of a simulcast that the line does not carry, before a key frame of a lower one is there: what
    /// waits in the line's queue is shown meanwhile, and the key frame finds room behind it. Nor is what was lost of the
    /// layer worth sending again.
    pub fn abandon_above(&mut self, now: Instant, target: u8) {
        let above = self.rewriter.layer().is_some_and(|layer| layer > target);
        if self.flowing && above && self.selector.current().is_none() {
            self.flowing = false;
            self.history.clear();
            self.room_at = Some(now + KEY_FRAME_ROOM);
        }
    }

    fn begin(&mut self, now: Instant, track: &Track, source: &Source, ssrc: u32) {
        if self.rewriter.layer().is_some_and(|layer| layer > source.layer) {
            // Nobody goes back behind the key frame: repairs of the larger layer would only fill the line that was too
            // narrow for it.
            self.history.clear();
        }
        let timestamp = match self.rewriter.layer() {
            Some(_) if self.source_changed => self.by_arrival(now, track),
            None if self.packets > 0 => self.by_arrival(now, track),
            None => self.rewriter.last_timestamp(),
            Some(layer) if layer == source.layer => source.timestamp.wrapping_add(self.offset_now(track, layer)),
            Some(layer) => self.aligned(now, track, layer, source),
        };
        self.rewriter.begin(source, timestamp);
        self.moved = track.layer(source.layer).map_or(0, |layer| layer.moved);
        self.room_at = None;
        (self.source, self.source_changed) = (ssrc, false);
        self.flowing = true;
    }

    #[inline]
    fn send(
        &mut self,
        packet: &Packet,
        marker: bool,
        rewritten: &Rewritten,
        payload: &[u8],
        own: Own<'_>,
        out: &mut Outlet<'_>,
    ) {
        let Outlet { now, line, egress } = out;
        let now = *now;
        let start = egress.buffer.len();
        let sequence = rewritten.index as u16;
        let transport =
            if self.header.counts_transport() { line.number(now, self.header.len() + payload.len(), 0) } else { 0 };
        let own = own.negotiated(&self.binding.extensions);
        let playout = self.playout_value(sequence);
        let long = own.dependency.is_some() || own.capture.is_some() || playout.is_some();
        let header_len = match long {
            false => self.header.write(&mut egress.buffer, marker, sequence, rewritten.timestamp, transport),
            true => {
                let fields = rtp::Outgoing {
                    payload_type: self.header.payload_type(),
                    marker,
                    sequence,
                    timestamp: rewritten.timestamp,
                    ssrc: self.binding.ssrc,
                    padding: false,
                };
                self.write_long_header(egress, &fields, transport, own, playout)
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
            extended: if self.repair.is_some() { own.dependency.is_some() } else { long },
            vp8: rewritten.vp8,
        });
    }

    /// What to tell of the playout delay with the packet that is sent under this number.
    #[inline]
    fn playout_value(&mut self, sequence: u16) -> Option<[u8; 3]> {
        let playout = self.playout.as_mut().filter(|_| self.binding.extensions.playout_delay != 0)?;
        playout.first.get_or_insert(sequence);
        Some(playout.value)
    }

    /// A header that also carries what differs per packet.
    fn write_long_header(
        &self,
        egress: &mut Egress,
        fields: &rtp::Outgoing,
        transport: u16,
        own: Own<'_>,
        playout: Option<[u8; 3]>,
    ) -> usize {
        let ids = &self.binding.extensions;
        let transport = transport.to_be_bytes();
        let sent = |id: u8, present: bool| if present { id } else { 0 };
        let extensions = [
            (ids.mid, self.binding.mid.as_bytes()),
            (ids.transport_cc, &transport[..]),
            (sent(ids.dependency_descriptor, own.dependency.is_some()), own.dependency.unwrap_or_default()),
            (sent(ids.abs_capture_time, own.capture.is_some()), own.capture.unwrap_or_default()),
            (sent(ids.playout_delay, playout.is_some()), playout.as_ref().map_or(&[][..], |value| &value[..])),
        ];
        rtp::write_header(&mut egress.buffer, fields, &extensions)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
