//! One picture in two codecs, as two tracks: a subscription moves from one to the other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::sender::*;
use common::*;

/// Alice's video again, in H.264, as track 12.
fn add_backup(world: &mut World, alice: usize) -> Sender {
    let mid = world.offer(alice, |api| send_video(api, &[]));
    world.publish(alice, 12, mid, Kind::Video, vec![]);
    Sender { payload_type: H264, ..Sender::new(None, Some(mid), &[]) }
}

fn move_to_backup(world: &mut World, index: usize) {
    let peer = world.clients[index].id;
    world.command(Command::MoveSubscription { peer, from: TrackId(11), to: TrackId(12) });
}

fn wanted(world: &World, track: u64) -> Option<Vec<Quality>> {
    let told = |event: &Event| match event {
        Event::QualitiesWanted { track: id, qualities } if *id == TrackId(track) => Some(qualities.clone()),
        _ => None,
    };
    world.events.iter().filter_map(told).next_back()
}

#[test]
fn a_stream_goes_on_in_another_codec_without_a_new_section() {
    let (mut world, alice, bob, mut first) = bob_hears_and_sees(&[]);
    world.run_with(1000, |world, ms| first.step(world, alice, ms));
    let mut backup = add_backup(&mut world, alice);
    world.run_with(1000, |world, ms| {
        first.step(world, alice, ms);
        backup.step(world, alice, ms);
    });
    move_to_backup(&mut world, bob);
    let before = world.got(bob, VP8).len();
    world.run_with(2000, |world, ms| {
        first.step(world, alice, ms);
        backup.step(world, alice, ms);
    });

    assert_eq!(world.got(bob, VP8).len(), before, "none of the old one after the move");
    let backup_packets = world.got(bob, H264);
    assert!(backup_packets.len() > 100, "{} packets", backup_packets.len());
    assert_eq!(backup_packets[0].payload[0], 0x67, "the new one starts with a key frame");
    let video: Vec<_> = world.clients[bob].received.iter().filter(|p| *p.header.payload_type != OPUS).collect();
    assert!(video.iter().all(|p| p.header.ssrc == video[0].header.ssrc), "one stream");
    for pair in video.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "in sequence");
        let ahead = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) as i32;
        assert!((0..90_000).contains(&ahead), "time goes on evenly: {ahead}");
    }
    assert_eq!(world.clients[bob].mid_to_track.len(), 2, "no section more");
    assert_eq!(wanted(&world, 12), Some(vec![Quality::Low, Quality::Medium, Quality::High]));
    world.run_with(6000, |world, ms| backup.step(world, alice, ms));
    assert_eq!(wanted(&world, 11), Some(vec![]), "nobody takes the first any more");
}

#[test]
fn who_cannot_have_one_codec_makes_nobody_send_it_and_gets_the_other() {
    let (mut world, alice, _, mut first) = two_in_a_call(&[]);
    world.run_with(100, |world, ms| first.step(world, alice, ms));
    let carol =
        world.client_with(3, PeerRole::Single, |config| config.clear_codecs().enable_opus(true).enable_h264(true));
    world.subscribe(carol, 11);
    let receiving = world.offer(carol, |api| receive_only(api, 0, 1));
    world.clients[carol].receiving = receiving;
    world.run_with(6000, |world, ms| first.step(world, alice, ms));
    let failed = |e: &Event| matches!(e, Event::SubscriptionFailed { peer: PeerId(3), track: TrackId(11), .. });
    assert!(world.has(failed));
    assert_eq!(wanted(&world, 11), Some(vec![]));

    let mut backup = add_backup(&mut world, alice);
    world.events.clear();
    move_to_backup(&mut world, carol);
    world.run(5);
    assert!(world.has(|e| matches!(e, Event::SectionsNeeded { peer: PeerId(3), audio: 0, video: 0 })));
    world.offer_to_receive(carol, 0, 0);
    world.run_with(2000, |world, ms| backup.step(world, alice, ms));
    assert!(world.has(|e| *e == Event::Subscribed { peer: PeerId(3), track: TrackId(12) }));
    assert!(world.got(carol, H264).len() > 100);
}

#[test]
fn a_move_from_nothing_to_nothing_or_to_another_kind_changes_nothing() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    let peer = PeerId(2);
    for (from, to) in [(11, 10), (11, 99), (99, 11), (11, 11)] {
        world.command(Command::MoveSubscription { peer, from: TrackId(from), to: TrackId(to) });
    }
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    assert!(!world.got(bob, VP8).is_empty() && !world.got(bob, OPUS).is_empty());
}
