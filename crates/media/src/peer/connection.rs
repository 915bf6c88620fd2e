//! ICE, DTLS and data channels of a peer: what the transport reports, and the time limits it is held to.

use std::time::{Duration, Instant};

use super::{Fault, Peer};
use crate::api::{CloseReason, Egress, Event, PeerRole};
use crate::effects::Effects;
use crate::line::Line;
use crate::transport::{Keying, Path, Transport, TransportEvent};
use crate::wire::srtp::{Context, Writer};

/// Proven addresses kept per peer: a phone between networks has a few.
const MAX_ADDRESSES: usize = 8;

impl Peer {
    /// The transport, made when it is needed first.
    pub(super) fn transport(&mut self, now: Instant) -> Result<&mut Transport, String> {
        if self.transport.is_none() {
            let (ufrag, password) = self.negotiation.credentials();
            let offers = self.role == PeerRole::Subscriber;
            self.transport = Some(Transport::new(now, &self.identity, ufrag, password, offers)?);
            self.began = Some(now);
        }
        self.transport.as_mut().ok_or_else(|| "no transport".to_owned())
    }

    /// Is the peer's description known, so that its binding requests can be answered?
    pub fn answers_checks(&self) -> bool {
        self.transport.as_ref().is_some_and(Transport::has_remote)
    }

    /// Takes a STUN or DTLS datagram.
    pub fn receive_transport(
        &mut self,
        now: Instant,
        from: Path,
        datagram: &[u8],
        egress: &mut Egress,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        if !self.intake.admit(now, datagram) {
            effects.counters.dropped_limit += 1;
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.transport_events);
        transport.receive(now, from, datagram, egress, &mut events);
        let outcome = self.on_transport(now, &mut events, effects);
        self.transport_events = events;
        outcome?;
        self.flush_data(now, egress, effects)
    }

    /// Runs the transport's timer.
    pub(super) fn tick_transport(
        &mut self,
        now: Instant,
        egress: &mut Egress,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        let mut events = std::mem::take(&mut self.transport_events);
        transport.handle_timeout(now, egress, &mut events);
        let outcome = self.on_transport(now, &mut events, effects);
        self.transport_events = events;
        outcome
    }

    fn on_transport(
        &mut self,
        now: Instant,
        events: &mut Vec<TransportEvent>,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        for event in events.drain(..) {
            match event {
                TransportEvent::Connected => self.connected = true,
                TransportEvent::Keys(keying) => self.secure(&keying)?,
                TransportEvent::Reachable(address) => {
                    self.last_heard = now;
                    if !self.addresses.contains(&address) {
                        if self.addresses.len() == MAX_ADDRESSES {
                            effects.unreachable.push(self.addresses.remove(0));
                        }
                        self.addresses.push(address);
                        effects.reachable.push(address);
                    }
                }
                TransportEvent::Selected(path) => {
                    self.path = Some(path);
                    if let Some(line) = &mut self.line {
                        line.path = path;
                    }
                    let Path { proto, address } = path;
                    effects.events.push(Event::Route { peer: self.id, proto, address });
                }
                TransportEvent::Opened(channel) => {
                    if let Some(open) = self.opened.get_mut(channel as usize) {
                        *open = true;
                    }
                    effects.events.push(Event::ChannelOpen { peer: self.id, channel });
                }
                TransportEvent::Message(channel, payload) => self.on_message(channel, payload, effects),
                TransportEvent::Unlabeled(payload) => self.on_unlabeled(payload, effects),
                TransportEvent::Writable => {}
                TransportEvent::Closed(why) => {
                    // Before the end of the handshake it can only be that nothing (or nothing useful) was heard.
                    let reason = if self.connected { CloseReason::Dtls } else { CloseReason::ConnectTimeout };
                    return Err(Fault::new(reason, why));
                }
            }
        }
        if self.connected && self.line.is_some() && !self.told_connected {
            self.told_connected = true;
            effects.events.push(Event::Connected { peer: self.id });
            // Now it can decode: its subscriptions choose their layers, and ask for key frames.
            for (_, down) in self.downs.iter_mut() {
                down.target = None;
                effects.layers_changed(down.track);
            }
        }
        Ok(())
    }

    fn secure(&mut self, keying: &Keying) -> Result<(), Fault> {
        let path = self.path.ok_or_else(|| Fault::new(CloseReason::Dtls, "keys before a path was selected"))?;
        let unusable = |error: crate::wire::WireError| Fault::new(CloseReason::Dtls, error.to_string());
        let theirs = if keying.active { Writer::Server } else { Writer::Client };
        let context = Context::new(keying.profile, &keying.material, theirs).map_err(unusable)?;
        self.ingress.context = Some(context);
        self.line = Some(Line::new(keying, path).map_err(unusable)?);
        Ok(())
    }

    /// Closes peers that never connected or fell silent.
    pub(super) fn check_alive(&self, now: Instant) -> Result<(), Fault> {
        let limits = &self.config.limits;
        if !self.told_connected {
            let limit = Duration::from_millis(limits.connect_timeout_ms);
            if self.began.is_some_and(|began| now.saturating_duration_since(began) > limit) {
                return Err(Fault::new(CloseReason::ConnectTimeout, "did not connect in time"));
            }
            return Ok(());
        }
        let limit = Duration::from_millis(limits.ice_timeout_ms);
        if now.saturating_duration_since(self.last_heard) > limit {
            return Err(Fault::new(CloseReason::IceTimeout, "nothing was heard of it any more"));
        }
        Ok(())
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant, egress: &mut Egress) {
        if let Some(transport) = &mut self.transport {
            transport.close(now, egress);
        }
    }
}
