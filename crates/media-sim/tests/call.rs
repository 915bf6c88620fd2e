//! A call over good lines: everybody sees and hears everybody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::time::Duration;

use auralink_media::api::{Event, TrackId};
use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, World};

const SETUP: Duration = Duration::from_secs(10);

fn join(world: &mut World) -> ClientId {
    let id = world.join(LinkConfig::line(), LinkConfig::line());
    assert!(world.run_until(SETUP, |world| world.client(id).connected), "client {} connects", id.0);
    id
}

fn subscribe(world: &mut World, id: ClientId, track: TrackId) -> String {
    world.subscribe(id, track);
    assert!(world.run_until(SETUP, |world| world.section(id, track).is_some()), "a section for the track");
    world.section(id, track).unwrap()
}

#[test]
fn two_people_see_and_hear_each_other_without_loss() {
    let mut world = World::new(1);
    let (alice, bob) = (join(&mut world), join(&mut world));
    let camera = world.publish_camera(alice, &LayerSpec::SINGLE);
    let microphone = world.publish_microphone(alice);
    let (video, audio) = (subscribe(&mut world, bob, camera), subscribe(&mut world, bob, microphone));
    world.run_for(Duration::from_secs(5));
    let now = world.now();
    let receiver = &world.client(bob).video[&video];
    assert_eq!(receiver.duplicates, 0);
    assert!(receiver.shown_between(now - Duration::from_secs(3), now) >= 88, "thirty frames a second are shown");
    assert!(receiver.frames.iter().all(|frame| frame.decodable), "from the first on");
    let heard = &world.client(bob).audio[&audio];
    assert_eq!(heard.duplicates, 0);
    assert!(heard.numbers.len() > 200 && heard.numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let started = |event: &Event| matches!(event, Event::TrackStarted { track, .. } if *track == camera);
    assert_eq!(world.events.iter().filter(|(_, event)| started(event)).count(), 1);
}

#[test]
fn data_reach_the_signal_plane_and_come_back_from_it() {
    let mut world = World::new(2);
    let alice = join(&mut world);
    assert!(world.run_until(SETUP, |world| world.client(alice).has_channel("_reliable")));
    assert!(world.client(alice).send_data("_reliable", b"hello"));
    let said = |world: &mut World| {
        let data = |event: &Event| matches!(event, Event::Data { payload, .. } if payload == b"hello");
        world.events.iter().any(|(_, event)| data(event))
    };
    assert!(world.run_until(SETUP, said));
    let (peers, channel) = (vec![auralink_media::api::PeerId(1)], auralink_media::api::Channel::Reliable);
    world.command(auralink_media::api::Command::SendData {
        peers,
        channel,
        payload: b"welcome".to_vec(),
        sender: None,
    });
    let heard = |world: &mut World| world.client(alice).data.iter().any(|(_, payload)| payload == b"welcome");
    assert!(world.run_until(SETUP, heard));
}

#[test]
fn a_late_joiner_gets_a_key_frame_first() {
    let mut world = World::new(3);
    let alice = join(&mut world);
    let camera = world.publish_camera(alice, &LayerSpec::SINGLE);
    world.run_for(Duration::from_secs(7));
    let bob = join(&mut world);
    let section = subscribe(&mut world, bob, camera);
    let shows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| !v.frames.is_empty());
    assert!(world.run_until(Duration::from_secs(2), shows), "a picture within two seconds");
    world.run_for(Duration::from_secs(1));
    let frames = &world.client(bob).video[&section].frames;
    assert!(frames[0].tag.key && frames.iter().all(|frame| frame.decodable));
    assert!(world.client(alice).camera.as_ref().unwrap().key_frames <= 4, "one asks, not a storm");
}

#[test]
fn who_vanishes_is_noticed_and_the_others_go_on() {
    let mut world = World::new(4);
    let (alice, bob, carol) = (join(&mut world), join(&mut world), join(&mut world));
    let camera = world.publish_camera(alice, &LayerSpec::SINGLE);
    let section = subscribe(&mut world, carol, camera);
    world.vanish(bob);
    let gone = |world: &mut World| {
        let closed = |event: &Event| matches!(event, Event::PeerClosed { peer, .. } if peer.0 == bob.0 as u64 + 1);
        world.events.iter().any(|(_, event)| closed(event))
    };
    assert!(world.run_until(Duration::from_secs(60), gone));
    let now = world.now();
    world.run_for(Duration::from_secs(2));
    let later = world.now();
    assert!(world.client(carol).video[&section].shown_between(now, later) >= 55);
    let others = |event: &Event| matches!(event, Event::PeerClosed { peer, .. } if peer.0 != bob.0 as u64 + 1);
    assert!(!world.events.iter().any(|(_, event)| others(event)));
}
