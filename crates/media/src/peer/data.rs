//! What a peer says and is told on its data channels.

use std::time::Instant;

use super::{Fault, Peer};
use crate::api::{Channel, CloseReason, Egress, Event};
use crate::data::{Message, Queued};
use crate::data_track;
use crate::effects::Effects;
use crate::transport::Write;

impl Peer {
    pub(super) fn on_message(&mut self, channel: Channel, payload: Vec<u8>, effects: &mut Effects) {
        if !self.admits(channel, &payload, effects) {
            return;
        }
        if channel == Channel::DataTrack {
            return self.on_packet(payload, effects);
        }
        effects.events.push(Event::Data { peer: self.id, channel, payload });
    }

    /// Whether that channel is reliable is the client's choice; the limits are those of one that is.
    pub(super) fn on_unlabeled(&mut self, payload: Vec<u8>, effects: &mut Effects) {
        if self.admits(Channel::Reliable, &payload, effects) {
            effects.events.push(Event::UnlabeledData { peer: self.id, payload });
        }
    }

    /// Counts the message. One that is too large costs itself only: SCTP has taken it, so the channel lives on.
    fn admits(&mut self, channel: Channel, payload: &[u8], effects: &mut Effects) -> bool {
        effects.counters.data_in += 1;
        let fits = payload.len() <= self.config.limits.max_data_message_bytes;
        let admitted = fits && self.intake.admit_message(channel);
        effects.counters.data_dropped += u64::from(!admitted);
        admitted
    }

    /// A packet of a data track that we know goes on to its subscribers.
    fn on_packet(&mut self, packet: Vec<u8>, effects: &mut Effects) {
        effects.counters.data_track_in += 1;
        let handle = data_track::handle(&packet);
        match self.data_published.iter().find(|published| Some(published.handle) == handle) {
            Some(published) => effects.data.push((published.track, packet.into())),
            None => effects.counters.data_dropped += 1,
        }
    }

    /// Queues a message; it leaves with the next tick.
    pub fn send_data(&mut self, channel: Channel, message: Message, effects: &mut Effects) -> Result<(), Fault> {
        match self.outbox.push(channel, message) {
            Queued::Yes => Ok(()),
            Queued::Dropping(count) => {
                effects.counters.data_dropped += count;
                Ok(())
            }
            Queued::Overflow => Err(Fault::new(CloseReason::SlowReader, "reads its reliable data channel too slowly")),
        }
    }

    /// See [`crate::data::Outbox::pace`].
    pub fn reader_pace(&mut self, now: Instant) -> Option<f64> {
        self.outbox.pace(now)
    }

    /// See [`crate::data::Intake::slow_down`].
    pub fn slow_down(&mut self, now: Instant, bytes_per_s: f64) {
        self.intake.slow_down(now, bytes_per_s);
    }

    /// Queues a packet of a data track, unless its channel is not open: nobody wants it later.
    pub fn send_packet(&mut self, packet: Message, effects: &mut Effects) {
        let open = self.opened.get(Channel::DataTrack as usize).copied().unwrap_or_default();
        if !open {
            effects.counters.data_dropped += 1;
        } else if let Queued::Dropping(count) = self.outbox.push(Channel::DataTrack, packet) {
            effects.counters.data_dropped += count;
        }
    }

    /// Writes queued messages as far as SCTP takes them, and sends what it makes of them.
    pub(super) fn flush_data(&mut self, now: Instant, egress: &mut Egress, effects: &mut Effects) -> Result<(), Fault> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let Some(transport) = &mut self.transport else { return Ok(()) };
        let mut written = false;
        for channel in Channel::ALL {
            while let Some(message) = self.outbox.front(channel) {
                match transport.write(channel, message.write(&mut self.message)) {
                    Write::Done => effects.counters.data_out += 1,
                    Write::Full => break,
                    Write::Refused => effects.counters.data_dropped += 1,
                }
                written = true;
                self.outbox.pop(channel);
            }
        }
        if written { self.tick_transport(now, egress, effects) } else { Ok(()) }
    }
}
