//! How a stream ends when its subscription does: blank frames clear the client's decoder.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use auralink_media::api::*;
use common::sender::*;
use common::*;
use str0m::rtp::RtpPacket;

const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// A VP8 frame of 16x16 that depends on nothing: start code and size (RFC 6386 section 9.1).
const KEY_FRAME_16X16: [u8; 7] = [0x9D, 0x01, 0x2A, 16, 0, 16, 0];
/// Picture id of 15 bits, TL0PICIDX and temporal layer, as [`Sender`]'s.
const DESCRIPTOR: usize = 6;

fn freed(world: &World, peer: u64) -> usize {
    let freed = |event: &&Event| **event == Event::SectionFreed { peer: PeerId(peer) };
    world.events.iter().filter(freed).count()
}

fn is_blank(packet: &&RtpPacket) -> bool {
    packet.payload.get(DESCRIPTOR + 3..DESCRIPTOR + 10) == Some(&KEY_FRAME_16X16)
}

fn assert_one_after_the_other(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert!(pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) as i32 >= 0);
    }
}

/// Bob hears and sees Alice for half a second, then nothing more is there to come but what the server sends.
fn a_call(mut world: World) -> (World, usize, usize, Sender) {
    let (alice, bob, mut sender) = call_in(&mut world, &[]);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    (world, alice, bob, sender)
}

#[test]
fn a_picture_that_is_unsubscribed_ends_in_six_tiny_key_frames_and_only_then_frees_its_section() {
    let (mut world, alice, bob, mut sender) = a_call(World::new());
    let shown = world.got(bob, VP8).len();
    let last = u16::from_be_bytes(world.got(bob, VP8)[shown - 1].payload[2..4].try_into().unwrap());
    let unsubscribed = world.now;
    world.unsubscribe(bob, 11);
    world.run_with(150, |world, ms| sender.step(world, alice, ms));
    assert_eq!(freed(&world, 2), 0, "the section still carries something");
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert_eq!(freed(&world, 2), 1);
    let got = world.got(bob, VP8);
    assert_one_after_the_other(&got);
    let blanks = &got[shown..];
    assert_eq!(blanks.len(), 6);
    assert!(blanks.iter().all(|packet| is_blank(packet) && packet.header.marker));
    for (place, blank) in (1..).zip(blanks) {
        let id = u16::from_be_bytes(blank.payload[2..4].try_into().unwrap());
        assert_eq!(id & 0x7FFF, (last + place) & 0x7FFF, "picture ids go on");
    }
    for pair in blanks.windows(2) {
        let ahead = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        assert!((2900..=3200).contains(&ahead), "{ahead} of 90,000 a second");
    }
    let took = blanks[5].timestamp.duration_since(unsubscribed);
    assert!(took <= Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_track_that_ends_ends_for_all_who_saw_and_heard_it() {
    let (mut world, _, bob, _) = a_call(World::new());
    let (heard, shown) = (world.got(bob, OPUS).len(), world.got(bob, VP8).len());
    world.command(Command::Unpublish { track: TrackId(10) });
    world.command(Command::Unpublish { track: TrackId(11) });
    world.run(500);
    assert!(world.got(bob, OPUS)[heard..].iter().all(|packet| packet.payload[..] == SILENCE));
    assert_eq!(world.got(bob, OPUS).len() - heard, 10);
    assert_eq!(world.got(bob, VP8)[shown..].iter().filter(|packet| is_blank(packet)).count(), 6);
    assert_eq!(freed(&world, 2), 2);
}

#[test]
fn a_publisher_who_leaves_is_flushed_and_a_subscriber_who_leaves_gets_nothing_more() {
    let (mut world, _, bob, _) = a_call(World::new());
    let shown = world.got(bob, VP8).len();
    world.command(Command::ClosePeer { peer: PeerId(1) });
    world.run(100);
    let blanks = world.got(bob, VP8).len() - shown;
    assert!((3..6).contains(&blanks), "{blanks} by now");
    world.command(Command::ClosePeer { peer: PeerId(2) });
    world.run(500);
    assert_eq!(world.got(bob, VP8).len(), shown + blanks);
}

#[test]
fn h264_ends_in_parameter_sets_and_a_key_frame_in_one_packet() {
    let mut world = World { sif_trailer: b"TRAILER!".to_vec(), ..World::new() };
    let (alice, bob, sender) = call_in(&mut world, &[]);
    let mut sender = Sender { payload_type: H264, ..sender };
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    let shown = world.got(bob, H264).len();
    assert!(shown > 20);
    world.unsubscribe(bob, 11);
    world.run(500);
    let got = world.got(bob, H264);
    assert_one_after_the_other(&got);
    assert_eq!(got.len() - shown, 6);
    for blank in &got[shown..] {
        assert_eq!(blank.payload[0] & 0x1F, 24, "STAP-A (RFC 6184 section 5.7.1)");
        assert!(blank.payload.ends_with(b"TRAILER!"), "encrypted: it says whose it is");
    }
}

#[test]
fn nothing_ends_what_nothing_was_sent_on() {
    let mut world = World::new();
    let (_, bob, _) = call_in(&mut world, &[]);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    world.unsubscribe(bob, 11);
    world.run(500);
    assert!(world.clients[bob].received.is_empty());
    assert_eq!(freed(&world, 2), 1, "its section is free all the same");
}

#[test]
fn a_description_made_meanwhile_still_has_the_section_and_the_next_one_not() {
    let (mut world, _, bob, _) = a_call(World::new());
    world.unsubscribe(bob, 11);
    world.offer_to_receive(bob, 1, 0);
    let sends = |world: &World| world.clients[bob].answers.last().unwrap().matches("a=msid:").count();
    let before = sends(&world);
    world.until("freed", |world| freed(world, 2) == 1);
    world.offer_to_receive(bob, 0, 0);
    assert_eq!(sends(&world), before - 1);
}

#[test]
fn a_track_that_takes_the_section_at_once_ends_the_blank_frames_and_is_not_disturbed() {
    let mut world = World::new();
    let (alice, bob) = (world.client(1), world.client(2));
    let video = world.offer(alice, |api| send_video(api, &[]));
    world.offer_to_receive(bob, 0, 1);
    world.until("both are connected", |world| {
        [1, 2].iter().all(|id| world.has(|e| *e == Event::Connected { peer: PeerId(*id) }))
    });
    world.publish(alice, 11, video, Kind::Video, vec![]);
    let mut sender = Sender::new(None, Some(video), &[]);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    let ended = world.got(bob, VP8)[0].header.ssrc;
    world.unsubscribe(bob, 11);
    world.subscribe(bob, 11);
    world.run_with(40, |world, ms| sender.step(world, alice, ms));
    assert!(world.has(|e| *e == Event::SectionsNeeded { peer: PeerId(2), audio: 0, video: 0 }), "no further section");
    assert_eq!(world.got(bob, VP8).into_iter().filter(is_blank).count(), 2);
    world.offer_to_receive(bob, 1, 0); // An offer must change something.
    assert_eq!(world.clients[bob].mid_to_track.len(), 1);
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    assert_eq!(world.got(bob, VP8).into_iter().filter(is_blank).count(), 2, "none more");
    let next: Vec<_> = world.got(bob, VP8).into_iter().filter(|packet| packet.header.ssrc != ended).collect();
    assert!(next.len() > 60);
    assert_one_after_the_other(&next);
    assert_eq!(freed(&world, 2), 0, "it is not free: there is nothing to tell");
}
