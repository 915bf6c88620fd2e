//! Do lips move with the voice? A player puts sound and picture side by side by the sender reports it gets, which are
//! ours: whatever the publisher's clocks do and whatever is switched, they must keep what was captured together together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::time::{Duration, Instant};

use auralink_media::api::{Command, PeerId, Quality, SubscriptionSettings, TrackId};
use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, MediaClock, Timed, World};

/// In which everything is up.
const SETUP: Duration = Duration::from_secs(20);
/// Half of what EBU R37 allows a whole chain in the direction people notice first (sound 40 ms before the picture, 60 ms
/// behind); ITU-R BT.1359-1 has 45 ms and 125 ms as what can be noticed at all.
const AT_MOST_S: f64 = 0.020;

struct Call {
    world: World,
    alice: ClientId,
    bob: ClientId,
    camera: TrackId,
    microphone: TrackId,
}

/// Clocks that start anywhere, the picture's shortly before its timestamps wrap, and that drift apart by 300 ppm: more
/// than a sound card's crystal may be off.
fn clocks(seed: u64) -> [MediaClock; 2] {
    let start = (seed as u32).wrapping_mul(0x9E37_79B9);
    [MediaClock { start, ppm: 200 }, MediaClock { start: u32::MAX - 90_000 * 20, ppm: -100 }]
}

impl Call {
    fn new(seed: u64) -> Call {
        let mut world = World::new(seed);
        let up = LinkConfig { jitter: Duration::from_millis(15), ..LinkConfig::line() };
        let (alice, bob) = (world.join(up, LinkConfig::line()), world.join(LinkConfig::line(), LinkConfig::line()));
        assert!(world.run_until(SETUP, |world| world.client(alice).connected && world.client(bob).connected));
        let (camera, microphone) = (TrackId(0), TrackId(0));
        let mut call = Call { world, alice, bob, camera, microphone };
        call.publish(seed);
        call
    }

    fn publish(&mut self, seed: u64) {
        let (alice, bob) = (self.alice, self.bob);
        let publisher = self.world.client(alice);
        [publisher.sound_clock, publisher.picture_clock] = clocks(seed);
        let before = publisher.microphone.as_ref().map(|microphone| microphone.mid);
        self.camera = self.world.publish_camera(alice, &LayerSpec::SIMULCAST);
        self.microphone = self.world.publish_microphone(alice);
        // The microphone's section is offered when the camera's was answered.
        let offered = |world: &mut World| {
            world.client(alice).microphone.as_ref().is_some_and(|microphone| Some(microphone.mid) != before)
        };
        assert!(self.world.run_until(SETUP, offered));
        self.world.subscribe(bob, self.camera);
        self.world.subscribe(bob, self.microphone);
        let (camera, microphone) = (self.camera, self.microphone);
        let bound =
            |world: &mut World| world.section(bob, camera).is_some() && world.section(bob, microphone).is_some();
        assert!(self.world.run_until(SETUP, bound));
        self.run(10);
    }

    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn quality(&mut self, quality: Quality) {
        let settings = SubscriptionSettings { quality, ..SubscriptionSettings::default() };
        let peer = PeerId(self.bob.0 as u64 + 1);
        self.world.command(Command::SetSubscription { peer, track: self.camera, settings });
    }

    fn mute(&mut self, picture: bool, muted: bool) {
        let publisher = self.world.client(self.alice);
        if picture {
            (0..3).for_each(|layer| publisher.camera.as_mut().unwrap().rest(layer, muted));
        } else {
            publisher.microphone.as_mut().unwrap().muted = muted;
        }
        let track = if picture { self.camera } else { self.microphone };
        self.world.command(Command::SetMuted { track, muted });
    }

    /// How much later than the sound captured with it a picture seems, of each picture in turn, since this moment.
    fn skews(&mut self, since: Instant) -> Vec<f64> {
        let [camera, microphone] =
            [self.camera, self.microphone].map(|track| self.world.section(self.bob, track).unwrap());
        let publisher = self.world.client(self.alice);
        let pictures_at = publisher.camera.as_ref().unwrap().captured.clone();
        let sounds_at = publisher.microphone.as_ref().unwrap().captured.clone();
        let receiver = self.world.client(self.bob);
        let (video, audio) = (&receiver.video[&camera].timed, &receiver.audio[&microphone].timed);
        let error = |timed: &Timed, captured: &[Instant]| {
            timed.captured_s
                - captured[timed.number as usize].duration_since(pictures_at[0].min(sounds_at[0])).as_secs_f64()
        };
        let skew = |picture: &Timed| {
            let sound = audio.iter().rev().find(|sound| sound.at <= picture.at)?;
            let together = picture.at.duration_since(sound.at) < Duration::from_secs(1);
            together.then(|| error(picture, &pictures_at) - error(sound, &sounds_at))
        };
        video.iter().filter(|picture| picture.at >= since).filter_map(skew).collect()
    }

    fn assert_in_sync(&mut self, since: Instant, seed: u64, when: &str) {
        let skews = self.skews(since);
        assert!(skews.len() > 60, "seed {seed}, {when}: {} pictures beside sound", skews.len());
        let worst =
            skews.iter().copied().fold(0.0, |worst: f64, skew| if skew.abs() > worst.abs() { skew } else { worst });
        assert!(worst.abs() <= AT_MOST_S, "seed {seed}, {when}: a picture {:.1} ms late", worst * 1000.0);
    }
}

#[test]
fn sound_and_picture_stay_together_while_clocks_drift_and_layers_change() {
    for seed in 501..=506 {
        let mut call = Call::new(seed);
        let begun = call.world.now();
        for quality in [Quality::Low, Quality::High, Quality::Medium, Quality::Low, Quality::High] {
            call.quality(quality);
            call.run(7);
        }
        call.run(120);
        call.assert_in_sync(begun, seed, "layers");
    }
}

#[test]
fn sound_and_picture_are_together_again_after_either_was_muted() {
    for seed in 511..=514 {
        for picture in [false, true] {
            let mut call = Call::new(seed);
            call.mute(picture, true);
            call.run(60);
            call.mute(picture, false);
            let unmuted = call.world.now();
            call.run(30);
            call.assert_in_sync(unmuted, seed, if picture { "a muted picture" } else { "a muted voice" });
        }
    }
}

#[test]
fn a_voice_whose_clock_stood_still_while_it_was_muted_is_in_sync_at_once() {
    for seed in 541..=544 {
        for seconds in [2, 12] {
            let mut call = Call::new(seed);
            call.world.client(call.alice).microphone.as_mut().unwrap().rests_muted = true;
            call.mute(false, true);
            call.run(seconds);
            call.mute(false, false);
            let unmuted = call.world.now();
            call.run(15);
            call.assert_in_sync(unmuted, seed, &format!("{seconds} s muted, the clock at rest"));
        }
    }
}

#[test]
fn a_layer_that_rested_for_a_minute_comes_back_in_sync() {
    for seed in 521..=524 {
        let mut call = Call::new(seed);
        call.world.client(call.alice).camera.as_mut().unwrap().rest(2, true);
        call.run(60);
        call.world.client(call.alice).camera.as_mut().unwrap().rest(2, false);
        let back = call.world.now();
        call.run(30);
        let section = call.world.section(call.bob, call.camera).unwrap();
        assert_eq!(call.world.client(call.bob).video[&section].layer(), Some(2), "seed {seed}");
        call.assert_in_sync(back, seed, "a layer that rested");
    }
}

#[test]
fn what_is_published_again_is_in_sync_on_clocks_of_its_own() {
    for seed in 531..=534 {
        let mut call = Call::new(seed);
        for track in [call.camera, call.microphone] {
            call.world.command(Command::Unpublish { track });
        }
        call.run(1);
        call.publish(seed + 100);
        let begun = call.world.now();
        call.run(30);
        call.assert_in_sync(begun, seed, "published again");
    }
}
