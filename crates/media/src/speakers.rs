//! Active speakers from the audio level header extension (RFC 6464); nothing is decoded.
//!
//! Each published audio track owns a [`Meter`]; each room owns a [`Speakers`] that says what changed. The constants are LiveKit's defaults, so that user interfaces tuned for it behave the same.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::api::PeerId;

/// How long one observation lasts.
pub const WINDOW: Duration = Duration::from_millis(400);
/// A packet this loud or louder (-dBov, 0 is the loudest) counts as speech.
const ACTIVE_LEVEL: u8 = 35;
/// Share of a window that must be speech for the window to count at all, in percent.
const MIN_ACTIVE_PERCENT: u32 = 40;
/// Exponential smoothing over two windows: 2 / (2 + 1).
const SMOOTHING: f32 = 2.0 / 3.0;
/// Levels are reported in eighths so that small changes cause no signalling.
const STEPS: f32 = 8.0;

/// Windows of the room without a packet after which a track counts as silent.
const STALE_WINDOWS: u8 = 2;

/// The level of one track. Its windows are of media time, as the RTP timestamps count it: a client that stops sending in
/// silence (DTX) lets no time pass, so that short words between pauses still show.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Smallest -dBov value of the window's speech packets.
    loudest: Option<u8>,
    active_ms: u32,
    observed_ms: u32,
    smoothed: f32,
    newest: Option<u32>,
    /// Windows of the room since the last packet.
    unheard: u8,
}

impl Meter {
    /// Notes one packet: `level` in -dBov (0..=127), its RTP timestamp at `clock_rate` per second. A packet stands for the
    /// time since the one before it; late ones count for nothing.
    pub fn observe(&mut self, level: u8, timestamp: u32, clock_rate: u32) {
        let passed = timestamp.wrapping_sub(self.newest.unwrap_or(timestamp));
        if passed >= 1 << 31 {
            return;
        }
        self.newest = Some(timestamp);
        self.unheard = 0;
        let passed_ms = (u64::from(passed) * 1000 / u64::from(clock_rate.max(1))).min(u64::from(u32::MAX)) as u32;
        self.observed_ms = self.observed_ms.saturating_add(passed_ms);
        if level <= ACTIVE_LEVEL {
            self.active_ms = self.active_ms.saturating_add(passed_ms);
            self.loudest = Some(self.loudest.map_or(level, |l| l.min(level)));
        }
        if self.observed_ms >= WINDOW.as_millis() as u32 {
            self.close_window();
        }
    }

    fn close_window(&mut self) {
        let window_ms = WINDOW.as_millis() as u32;
        self.smoothed = match self.loudest {
            Some(level) if self.active_ms * 100 >= window_ms * MIN_ACTIVE_PERCENT => {
                // Speech that fills only part of the window counts for less.
                let fill = (self.active_ms.min(window_ms) as f32 / window_ms as f32).log10() * 20.0;
                let observed = 10f32.powf((fill - f32::from(level)) / 20.0);
                self.smoothed + (observed - self.smoothed) * SMOOTHING
            }
            _ => 0.0,
        };
        (self.loudest, self.active_ms, self.observed_ms) = (None, 0, 0);
    }

    /// The smoothed level, 0 (silent) ..= 1; asked for once per window of the room.
    pub fn level(&mut self) -> f32 {
        self.unheard = self.unheard.saturating_add(1);
        if self.unheard > STALE_WINDOWS {
            *self = Meter { newest: self.newest, unheard: self.unheard, ..Meter::default() };
        }
        self.smoothed
    }
}

/// What a room last told its participants.
#[derive(Debug)]
pub struct Speakers {
    next: Instant,
    told: FxHashMap<PeerId, f32>,
}

impl Speakers {
    pub fn new(now: Instant) -> Speakers {
        Speakers { next: now + WINDOW, told: FxHashMap::default() }
    }

    /// When the current window ends.
    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    /// True once per window, when it is over; then ask every meter of the room and call [`Speakers::update`].
    pub fn window_ended(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        // After a long pause do not catch up on windows nobody listened to.
        self.next = (self.next + WINDOW).max(now);
        true
    }

    /// Takes the meters' levels (a peer with several microphones counts with its loudest) and returns changes as
    /// (peer, level in eighths 0..=1, active). A peer that is not named any more is reported silent once.
    pub fn update(&mut self, levels: &[(PeerId, f32)]) -> Vec<(PeerId, f32, bool)> {
        let threshold = 10f32.powf(-f32::from(ACTIVE_LEVEL) / 20.0);
        let mut current: FxHashMap<PeerId, f32> = FxHashMap::default();
        for &(peer, level) in levels {
            if level >= threshold {
                let quantised = ((level * STEPS).ceil() / STEPS).min(1.0);
                let entry = current.entry(peer).or_insert(0.0);
                *entry = entry.max(quantised);
            }
        }
        let mut changes: Vec<(PeerId, f32, bool)> = Vec::new();
        for (&peer, &level) in &current {
            if self.told.get(&peer) != Some(&level) {
                changes.push((peer, level, true));
            }
        }
        changes.extend(self.told.keys().filter(|p| !current.contains_key(p)).map(|&p| (p, 0.0, false)));
        changes.sort_by_key(|c| c.0);
        self.told = current;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);

    const CLOCK: u32 = 48_000;

    /// Somebody whose packets of 20 ms follow each other.
    #[derive(Default)]
    struct Talker {
        meter: Meter,
        timestamp: u32,
    }

    impl Talker {
        fn talk(&mut self, level: u8, packets: u32) -> f32 {
            for _ in 0..packets {
                self.meter.observe(level, self.timestamp, CLOCK);
                self.timestamp = self.timestamp.wrapping_add(CLOCK / 50);
            }
            self.meter.level()
        }
    }

    #[test]
    fn a_loud_talker_becomes_active_and_falls_silent_when_quiet() {
        let (mut ann, mut room) = (Talker::default(), Speakers::new(Instant::now()));
        let level = ann.talk(10, 21);
        let changes = room.update(&[(ANN, level)]);
        assert!(matches!(changes[..], [(ANN, l, true)] if l > 0.0));
        assert!(room.update(&[(ANN, level)]).is_empty(), "an unchanged level is not told twice");
        let quiet = ann.talk(127, 20);
        assert_eq!(room.update(&[(ANN, quiet)]), vec![(ANN, 0.0, false)]);
    }

    #[test]
    fn a_cough_shorter_than_the_share_of_speech_is_ignored() {
        let mut ann = Talker::default();
        ann.talk(127, 1);
        assert_eq!([ann.talk(5, 7), ann.talk(127, 13)], [0.0, 0.0], "140 ms of 400 ms is below 40 percent");
        ann.talk(5, 8);
        assert!(ann.talk(127, 12) > 0.0);
    }

    #[test]
    fn a_short_word_between_pauses_that_nothing_is_sent_in_is_heard() {
        let mut ann = Talker::default();
        ann.talk(127, 1);
        ann.timestamp += CLOCK;
        assert!(ann.talk(20, 2) > 0.0);
    }

    #[test]
    fn a_track_without_packets_falls_silent() {
        let mut ann = Talker::default();
        assert!(ann.talk(10, 21) > 0.0);
        let levels: Vec<f32> = (0..4).map(|_| ann.meter.level()).collect();
        assert_eq!(levels.last(), Some(&0.0));
    }

    #[test]
    fn levels_are_eighths_and_louder_is_more() {
        let mut room = Speakers::new(Instant::now());
        let changes = room.update(&[(ANN, 0.9), (BOB, 0.2)]);
        assert_eq!(changes, vec![(ANN, 1.0, true), (BOB, 0.25, true)]);
    }

    #[test]
    fn a_peer_that_left_is_reported_silent_once() {
        let mut room = Speakers::new(Instant::now());
        room.update(&[(ANN, 0.5)]);
        assert_eq!(room.update(&[]), vec![(ANN, 0.0, false)]);
        assert!(room.update(&[]).is_empty());
    }

    #[test]
    fn windows_do_not_pile_up_after_a_pause() {
        let start = Instant::now();
        let mut room = Speakers::new(start);
        assert!(!room.window_ended(start + WINDOW / 2));
        let late = start + WINDOW * 10;
        assert!(room.window_ended(late));
        assert!(room.next_timeout() >= late);
    }
}
