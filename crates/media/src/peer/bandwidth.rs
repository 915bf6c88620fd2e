//! How much a subscriber's line carries, and which layers that allows.

use std::time::{Duration, Instant};

use super::Peer;
use crate::allocator::{self, Choice, Request};
use crate::api::{Event, Quality, Source};
use crate::bwe::Bwe;
use crate::effects::Effects;
use crate::forward::EVERYTHING;
use crate::publish::track::{LAYERS, Track};
use crate::slab::{Key, Slab};
use crate::wire::twcc::Feedback;

/// A full line is answered this soon; otherwise layers are chosen once a second.
const REACT_WITHIN: Duration = Duration::from_millis(200);

/// A layer that costs this much of what the line is to be sent fills it within a key frame's time.
const FAR_ABOVE_PERCENT: u64 = 150;

impl Peer {
    pub(super) fn on_transport_feedback(
        &mut self,
        now: Instant,
        feedback: &Feedback<'_>,
        tracks: &Slab<Track>,
        effects: &mut Effects,
    ) {
        let Some(line) = &mut self.line else { return };
        self.outcomes.clear();
        line.transport.on_feedback(feedback, &mut self.outcomes);
        let bandwidth = self.bandwidth.get_or_insert_with(Bwe::default);
        bandwidth.set_probed(now, self.prober.is_running());
        let lowered = bandwidth.on_outcomes(now, &self.outcomes);
        self.prober.on_outcomes(&self.outcomes);
        self.conclude_probe(now, tracks, effects);
        self.plan_loss_test(now);
        let Some(bandwidth) = &self.bandwidth else { return };
        let react = bandwidth.congested() && now.saturating_duration_since(self.allocated) >= REACT_WITHIN;
        if lowered || react {
            self.allocate(now, tracks, effects);
        }
    }

    /// A receiver-side estimate. Beside feedback about every packet it only caps ours; from a subscriber that sends no
    /// such feedback it is all there is to know.
    pub(super) fn on_remb(&mut self, now: Instant, bps: u64, tracks: &Slab<Track>, effects: &mut Effects) {
        let bandwidth = self.bandwidth.get_or_insert_with(Bwe::default);
        if !bandwidth.on_remb(now, bps) {
            return;
        }
        if now.saturating_duration_since(self.allocated) >= REACT_WITHIN {
            self.allocate(now, tracks, effects);
        }
    }

    /// Chooses the layers of all its video anew. Without any feedback nothing is known and everything is allowed.
    pub fn allocate(&mut self, now: Instant, tracks: &Slab<Track>, effects: &mut Effects) {
        self.allocated = now;
        let video = self.video_in_order(now, tracks);
        let requests: Vec<Request> = video.iter().map(|(_, request)| request.clone()).collect();
        if self.limit_bps.is_some() {
            self.bandwidth.get_or_insert_with(Bwe::default);
        }
        let Some(bandwidth) = &mut self.bandwidth else {
            for (key, request) in video {
                self.allow(key, Some(Choice { temporal: request.temporal, ..EVERYTHING }), tracks, effects);
            }
            return;
        };
        let audio = audio_rate(now, &self.downs, tracks);
        bandwidth.set_desired(allocator::desired_bps(&requests) + audio);
        let line = bandwidth.estimate_bps().min(self.limit_bps.unwrap_or(u64::MAX));
        let budget = line.saturating_sub(audio);
        let given = allocator::allocate(budget, &requests, self.options.allow_pause);
        let cost = |(request, given): (&Request, &Option<Choice>)| Some(allocator::cost_bps(request, (*given)?));
        bandwidth.set_given(requests.iter().zip(&given).filter_map(cost).sum::<u64>() + audio);
        let chokes = bandwidth.queue_stands();
        self.plan_probe(now, &requests, &given, audio);
        for ((key, request), choice) in video.iter().zip(given) {
            let nothing_sent = request.rates_bps.iter().all(Option::is_none);
            if let Some(choice) = choice.filter(|choice| chokes && is_far_below(*choice, request)) {
                self.abandon_above(now, *key, choice.layer);
            }
            self.allow(*key, if nothing_sent { Some(EVERYTHING) } else { choice }, tracks, effects);
        }
    }

    /// Takes the line for one that carries no more than this.
    pub fn limit_bandwidth(&mut self, bps: Option<u64>) {
        self.limit_bps = bps;
    }

    fn video_in_order(&self, now: Instant, tracks: &Slab<Track>) -> Vec<(Key, Request)> {
        let request = |down: &crate::forward::DownTrack| {
            let track = tracks.get(down.track)?;
            let wanted = down.wanted_quality(track).filter(|_| down.video && down.stream.is_some())?;
            Some(Request {
                screen_share: track.publication.source == Source::ScreenShare,
                priority: down.settings.priority,
                wanted,
                rates_bps: if track.publication.muted { [None; LAYERS] } else { track.rates(now) },
                temporal: track.temporal_for(now, wanted as u8, down.settings.fps),
                thin: self.options.allow_pause,
                current: down.stream.as_ref().and_then(|stream| stream.current_choice()),
            })
        };
        let mut video: Vec<(u64, Key, Request)> =
            self.downs.iter().filter_map(|(key, down)| Some((down.order, key, request(down)?))).collect();
        video.sort_unstable_by_key(|(order, ..)| *order);
        video.into_iter().map(|(_, key, request)| (key, request)).collect()
    }

    fn abandon_above(&mut self, now: Instant, key: Key, layer: u8) {
        if let Some(stream) = self.downs.get_mut(key).and_then(|down| down.stream.as_mut()) {
            stream.abandon_above(now, layer);
        }
    }

    fn allow(&mut self, key: Key, allowed: Option<Choice>, tracks: &Slab<Track>, effects: &mut Effects) {
        let Some(down) = self.downs.get_mut(key) else { return };
        let Some(track) = tracks.get(down.track) else { return };
        let allowed = self.shed.limit(track, self.id.0.wrapping_add(down.order), allowed);
        down.allowed = allowed;
        let track_key = down.track;
        if let Some(layer) = self.retarget(key, track) {
            effects.want_keyframe(track_key, layer);
        }
        let Some(down) = self.downs.get_mut(key) else { return };
        if down.paused != allowed.is_none() {
            down.paused = allowed.is_none();
            let paused = down.paused;
            effects.events.push(Event::StreamState { peer: self.id, track: down.id, paused });
        }
    }

    /// Highest quality this peer wants of the track; none = it does not want it (now).
    pub fn wanted_quality(&self, down: Key, track: &Track) -> Option<Quality> {
        self.downs.get(down)?.wanted_quality(track)
    }
}

/// Does what is sent cost so much more than what it may that the line cannot carry it any longer?
fn is_far_below(choice: Choice, request: &Request) -> bool {
    let now = request.current.map_or(0, |current| allocator::cost_bps(request, current));
    now * 100 > allocator::cost_bps(request, choice) * FAR_ABOVE_PERCENT
}

/// Bits per second of the audio a subscriber gets.
fn audio_rate(now: Instant, downs: &Slab<crate::forward::DownTrack>, tracks: &Slab<Track>) -> u64 {
    let audio = downs.iter().filter(|(_, down)| !down.video && down.target.is_some());
    let rate = |down: &crate::forward::DownTrack| {
        let made_red = down.stream.as_ref().is_some_and(|stream| stream.makes_red());
        tracks.get(down.track).map(|track| track.whole_rate(now, made_red))
    };
    audio.filter_map(|(_, down)| rate(down)).sum()
}
