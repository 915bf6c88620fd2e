//! What is left out while a shard cannot keep up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod common;

use auralink_media::api::*;
use auralink_media::shed::HIGHEST;
use common::sender::*;
use common::*;

/// Sets the level, lets the call run until it shows, and gives (audio packets, video packets, last video layer).
fn at(world: &mut World, (alice, bob): (usize, usize), sender: &mut Sender, level: u8) -> (usize, usize, Option<u8>) {
    let now = world.now;
    world.shard.shed(now, level);
    world.run_with(1500, |world, ms| sender.step(world, alice, ms));
    let count = |world: &World| (world.got(bob, OPUS).len(), world.got(bob, VP8).len());
    let before = count(world);
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    let after = count(world);
    let layer = world.got(bob, VP8).last().map(|packet| *packet.payload.last().unwrap());
    (after.0 - before.0, after.1 - before.1, layer)
}

#[test]
fn a_camera_goes_down_layer_by_layer_and_off_at_last_and_the_voice_stays() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&["q", "h", "f"]);
    world.run_with(3000, |world, ms| sender.step(world, alice, ms));
    let mut seen = Vec::new();
    for level in [0, 1, 2, HIGHEST, 0] {
        let (audio, video, layer) = at(&mut world, (alice, bob), &mut sender, level);
        assert!(audio >= 48, "level {level}: {audio} audio packets in a second");
        seen.push(layer.filter(|_| video > 0).map(char::from));
    }
    assert_eq!(seen, [Some('f'), Some('h'), Some('q'), None, Some('f')]);
    let states: Vec<bool> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StreamState { paused, .. } => Some(*paused),
            _ => None,
        })
        .collect();
    assert_eq!(states, [true, false], "the subscriber is told");
}

#[test]
fn a_screen_share_stays_as_it_is() {
    let (mut world, alice, bob, mut sender) = two_in_a_call(&["q", "h", "f"]);
    let mid = sender.video.unwrap();
    world.command(Command::Unpublish { track: TrackId(11) });
    world.publish_as(alice, 12, mid, (Kind::Video, Source::ScreenShare), three_layers());
    world.subscribe(bob, 10);
    world.subscribe(bob, 12);
    world.offer_to_receive(bob, 0, 0);
    for level in [0, HIGHEST] {
        let (audio, video, layer) = at(&mut world, (alice, bob), &mut sender, level);
        assert!(audio >= 48 && video > 20, "level {level}: {audio} audio and {video} video packets");
        assert_eq!(layer.map(char::from), Some('f'));
    }
}

#[test]
fn a_part_of_the_cameras_goes_off_before_all_do_whoever_joins_later() {
    let (mut world, alice, _, mut sender) = two_in_a_call(&[]);
    let now = world.now;
    world.shard.shed(now, HIGHEST - 2);
    let viewers: Vec<usize> = (0..8)
        .map(|number| {
            let id = 20 + number;
            let viewer = world.client(id);
            world.subscribe(viewer, 11);
            world.offer(viewer, |api| {
                World::channels(api);
                receive_only(api, 0, 1)
            });
            world.until("it is connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(id) }));
            viewer
        })
        .collect();
    world.run_with(3000, |world, ms| sender.step(world, alice, ms));
    let seeing = viewers.iter().filter(|viewer| !world.got(**viewer, VP8).is_empty()).count();
    assert_eq!(seeing, 4, "half of eight");
}
