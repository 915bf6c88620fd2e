//! Packets of the server's own on streams whose publisher says nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::sender::*;
use common::*;

const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

fn bob_has_all(mut world: World) -> (World, usize, usize, Sender) {
    let (alice, bob, sender) = call_in(&mut world, &[]);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    (world, alice, bob, sender)
}

fn mute(world: &mut World, track: u64, muted: bool) {
    world.command(Command::SetMuted { track: TrackId(track), muted });
}

#[test]
fn a_mute_ends_the_sound_with_a_second_of_silence() {
    let (mut world, alice, bob, mut sender) = bob_has_all(World::new());
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    mute(&mut world, 10, true);
    mute(&mut world, 11, true);
    world.run(10);
    let pictures = world.got(bob, VP8).len();
    world.run(3000);
    let heard = world.got(bob, OPUS);
    let begun = heard.iter().position(|packet| packet.payload[..] == SILENCE).unwrap();
    assert!(heard[begun..].iter().all(|packet| packet.payload[..] == SILENCE));
    assert_eq!(heard.len() - begun, 50);
    assert_eq!(world.got(bob, VP8).len(), pictures, "the picture is the client's to take away");
    for pair in heard.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        let ahead = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        assert!((1..=1100).contains(&ahead), "{ahead} samples later");
    }
}

#[test]
fn sound_that_comes_back_ends_the_silence() {
    let (mut world, alice, bob, mut sender) = bob_has_all(World::new());
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    mute(&mut world, 10, true);
    world.run(200);
    mute(&mut world, 10, false);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    let silence = world.got(bob, OPUS).iter().filter(|packet| packet.payload[..] == SILENCE).count();
    assert!((5..20).contains(&silence), "{silence} frames of silence");
}

#[test]
fn nothing_is_said_of_a_track_that_was_never_heard() {
    let (mut world, _, bob, _) = bob_has_all(World::new());
    mute(&mut world, 10, true);
    world.run(2000);
    assert!(world.clients[bob].received.is_empty());
}

#[test]
fn in_an_encrypted_track_silence_ends_in_what_says_whose_it_is() {
    let (mut world, alice, bob, mut sender) = bob_has_all(World { sif_trailer: b"TRAILER!".to_vec(), ..World::new() });
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    mute(&mut world, 10, true);
    world.run(1500);
    let last = world.got(bob, OPUS).last().unwrap().payload.clone();
    assert_eq!(last[..], [&SILENCE[..], b"TRAILER!"].concat());
}

#[test]
fn who_shows_tracks_by_their_first_packet_gets_one_from_a_publisher_who_sends_none() {
    let options = PeerOptions { shows_tracks_by_packet: true, ..PeerOptions::default() };
    let (mut world, _, bob, _) = bob_has_all(World { options, ..World::new() });
    world.run(8000);
    let sound = world.got(bob, OPUS);
    assert!(!sound.is_empty() && sound.iter().all(|packet| packet.payload[..] == SILENCE));
    assert_eq!(sound.len(), 250, "five seconds long");
    let video =
        world.clients[bob].received.iter().filter(|packet| packet.header.has_padding || packet.payload.is_empty());
    assert!(video.count() >= 40);
}

#[test]
fn the_first_packet_comes_although_the_section_was_there_before_the_connection() {
    let options = PeerOptions { shows_tracks_by_packet: true, ..PeerOptions::default() };
    let mut world = World { options, ..World::new() };
    let (alice, bob) = (world.client(1), world.client(2));
    let audio = world.offer(alice, send_audio);
    world.publish(alice, 10, audio, Kind::Audio, vec![]);
    world.subscribe(bob, 10);
    world.offer_to_receive(bob, 1, 0);
    assert_eq!(world.clients[bob].mid_to_track.len(), 1);
    world.run(8000);
    assert_eq!(world.got(bob, OPUS).len(), 250);
}

#[test]
fn the_publishers_first_packet_ends_it_and_follows_without_a_gap() {
    let options = PeerOptions { shows_tracks_by_packet: true, ..PeerOptions::default() };
    let (mut world, alice, bob, mut sender) = bob_has_all(World { options, ..World::new() });
    world.run(300);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    let heard = world.got(bob, OPUS);
    let silence = heard.iter().filter(|packet| packet.payload[..] == SILENCE).count();
    assert!((10..=20).contains(&silence), "{silence} frames of silence");
    for pair in heard.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert!(pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) as i32 > 0);
    }
    let pictures: Vec<_> = world.got(bob, VP8).into_iter().filter(|packet| !packet.payload.is_empty()).collect();
    assert!(pictures.len() > 100);
}
