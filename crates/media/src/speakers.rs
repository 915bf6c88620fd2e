//! Active speakers from the audio level header extension (RFC 6464); nothing is decoded.
//!
//! Each published audio track owns a [`Meter`]; each room owns a [`Speakers`] that closes the meters' windows and says
//! what changed. The constants are LiveKit's defaults, so that user interfaces tuned for it behave the same.

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

/// The level of one track.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Smallest -dBov value of the window's speech packets.
    loudest: Option<u8>,
    active_ms: u32,
    smoothed: f32,
}

impl Meter {
    /// Notes one packet: `level` in -dBov (0..=127), `duration_ms` of audio in it.
    pub fn observe(&mut self, level: u8, duration_ms: u32) {
        if level > ACTIVE_LEVEL {
            return;
        }
        self.active_ms = self.active_ms.saturating_add(duration_ms);
        self.loudest = Some(self.loudest.map_or(level, |l| l.min(level)));
    }

    /// Ends the window and returns the smoothed level, 0 (silent) ..= 1.
    pub fn close_window(&mut self) -> f32 {
        let window_ms = WINDOW.as_millis() as u32;
        let observed = match self.loudest {
            Some(level) if self.active_ms * 100 >= window_ms * MIN_ACTIVE_PERCENT => {
                // Speech that fills only part of the window counts for less.
                let fill = (self.active_ms.min(window_ms) as f32 / window_ms as f32).log10() * 20.0;
                10f32.powf((fill - f32::from(level)) / 20.0)
            }
            _ => 0.0,
        };
        self.loudest = None;
        self.active_ms = 0;
        self.smoothed += (observed - self.smoothed) * SMOOTHING;
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

    /// True once per window, when it is over; then close every meter of the room and call [`Speakers::update`].
    pub fn window_ended(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        // After a long pause do not catch up on windows nobody listened to.
        self.next = (self.next + WINDOW).max(now);
        true
    }

    /// Takes the closed windows (a peer with several microphones counts with its loudest) and returns changes as
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

    fn talk(meter: &mut Meter, level: u8, packets: u32) -> f32 {
        for _ in 0..packets {
            meter.observe(level, 20);
        }
        meter.close_window()
    }

    #[test]
    fn a_loud_talker_becomes_active_and_falls_silent_when_quiet() {
        let (mut meter, mut room) = (Meter::default(), Speakers::new(Instant::now()));
        let level = talk(&mut meter, 10, 20);
        let changes = room.update(&[(ANN, level)]);
        assert!(matches!(changes[..], [(ANN, l, true)] if l > 0.0));
        assert!(room.update(&[(ANN, level)]).is_empty(), "an unchanged level is not told twice");
        let mut last = vec![];
        for _ in 0..10 {
            let level = talk(&mut meter, 127, 20);
            let changes = room.update(&[(ANN, level)]);
            if !changes.is_empty() {
                last = changes;
            }
        }
        assert_eq!(last, vec![(ANN, 0.0, false)]);
    }

    #[test]
    fn a_cough_shorter_than_the_share_of_speech_is_ignored() {
        let mut meter = Meter::default();
        assert_eq!(talk(&mut meter, 5, 7), 0.0, "140 ms of 400 ms is below 40 percent");
        assert!(talk(&mut meter, 5, 8) > 0.0);
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
