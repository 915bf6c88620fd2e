//! Probing a subscriber's line for its next step up.

use std::time::Instant;

use super::Peer;
use crate::allocator::{self, Choice, Request};
use crate::api::Egress;
use crate::bwe::probe::Finding;
use crate::effects::Effects;
use crate::line::Outlet;
use crate::publish::track::Track;
use crate::slab::Slab;

/// Less padding than this waits for the next portion.
const LEAST_BYTES: usize = 128;

impl Peer {
    /// Starts a probe when the subscriber wants more than it was given and the line is quiet.
    pub(super) fn plan_probe(&mut self, now: Instant, requests: &[Request], given: &[Option<Choice>], audio_bps: u64) {
        let Some(bandwidth) = self.bandwidth.as_ref().filter(|bandwidth| bandwidth.may_probe(now)) else { return };
        let limited = self.limit_bps.is_some_and(|limit| limit <= bandwidth.estimate_bps());
        let Some(extra) = allocator::next_step_bps(requests, given).filter(|_| !limited) else { return };
        let cost = |(request, given): (&Request, &Option<Choice>)| Some(allocator::cost_bps(request, (*given)?));
        let used = requests.iter().zip(given).filter_map(cost).sum::<u64>() + audio_bps;
        self.prober.start(now, used, used + extra, bandwidth.full_at_bps());
    }

    /// Tests whether what the line loses depends on how much is sent, if that is in doubt.
    pub(super) fn plan_loss_test(&mut self, now: Instant) {
        let Some(bandwidth) = &self.bandwidth else { return };
        self.prober.set_line_loss(bandwidth.line_loss());
        if let Some(sent_bps) = bandwidth.loss_to_test() {
            self.prober.test_loss(now, sent_bps);
        }
    }

    /// Sends the padding that is due, and ends a probe that took its time.
    pub(super) fn probe(&mut self, now: Instant, tracks: &Slab<Track>, egress: &mut Egress, effects: &mut Effects) {
        if let (Some((cluster, mut bytes)), Some(line)) = (self.prober.portion(now), &mut self.line) {
            let mut out = Outlet { now, line, egress };
            let mut packets = 0;
            let streams = self.downs.iter_mut().filter(|(_, down)| down.video && down.target.is_some());
            for stream in streams.filter_map(|(_, down)| down.stream.as_mut()) {
                while bytes >= LEAST_BYTES {
                    let Some(sent) = stream.probe(cluster, &mut out) else { break };
                    bytes = bytes.saturating_sub(sent);
                    packets += 1;
                }
            }
            self.prober.on_sent(packets);
        }
        self.conclude_probe(now, tracks, effects);
    }

    pub(super) fn conclude_probe(&mut self, now: Instant, tracks: &Slab<Track>, effects: &mut Effects) {
        let Some(bandwidth) = &mut self.bandwidth else { return };
        match self.prober.conclude(now, self.round_trip, bandwidth.congested()) {
            Some(Finding::Carried(bps)) => {
                bandwidth.on_carried(bps);
                self.allocate(now, tracks, effects);
            }
            Some(Finding::TooMuch(wait)) => bandwidth.hold(now + wait),
            Some(Finding::Lost { ratio, share }) => {
                bandwidth.on_loss_tested(now, ratio, share);
                self.prober.set_line_loss(bandwidth.line_loss());
            }
            Some(Finding::Untold) => bandwidth.on_loss_untold(now),
            None => {}
        }
    }
}
