//! A call between full WebRTC clients through a shard, on a virtual clock.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use auralink_media::api::*;
use common::sender::*;
use common::*;
use str0m::rtp::RtpPacket;

fn assert_in_sequence(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "in sequence");
        let ahead = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) as i32;
        assert!(ahead >= 0, "time does not run backwards");
    }
}

#[test]
fn audio_and_video_of_one_client_reach_another_in_order() {
    let (mut world, alice, bob, mut sender) = two_in_a_call(&[]);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.run(5);
    assert!(world.has(|e| matches!(e, Event::SectionsNeeded { peer: PeerId(2), audio: 0, video: 0 })));
    world.offer_to_receive(bob, 0, 0);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    assert!(world.has(|e| *e == Event::TrackStarted { track: TrackId(11), mime: "video/VP8".into() }));
    let (audio, video) = (world.got(bob, OPUS), world.got(bob, VP8));
    assert!(audio.len() >= 95, "{} audio packets", audio.len());
    assert!(video.len() >= 140, "{} video packets", video.len());
    assert_in_sequence(&audio);
    assert_in_sequence(&video);
    assert!(audio.iter().all(|p| p.payload[..] == [0xAA; 80]));
    assert_eq!(video[0].payload[6] & 1, 0, "the first video packet starts a key frame");
    let counters = world.shard.counters();
    assert_eq!((counters.dropped_auth, counters.dropped_malformed, counters.dropped_unknown), (0, 0, 0));
}

#[test]
fn data_flows_both_ways_on_every_channel() {
    let (mut world, alice, bob, _) = two_in_a_call(&[]);
    world.until("channels are open", |world| {
        world.events.iter().filter(|e| matches!(e, Event::ChannelOpen { .. })).count() == 6
    });
    for channel in Channel::ALL {
        world.write_data(alice, channel.label(), channel.label().as_bytes());
        world.run(50);
        let payload = channel.label().as_bytes().to_vec();
        let told = world.has(|e| *e == Event::Data { peer: PeerId(1), channel, payload: payload.clone() });
        assert_eq!(told, channel != Channel::DataTrack, "packets of data tracks stay inside");
        world.command(Command::SendData {
            peers: vec![PeerId(2), PeerId(99)],
            channel,
            payload: payload.clone(),
            sender: None,
        });
        world.run(50);
        assert_eq!(world.clients[bob].data.pop(), Some((channel.label().to_owned(), payload)));
    }
}

#[test]
fn the_subscriber_gets_the_best_layer_and_another_one_when_it_asks_for_less() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&["q", "h", "f"]);
    world.run_with(3000, |world, ms| sender.step(world, alice, ms));
    let last = |world: &World| world.got(bob, VP8).last().map(|p| *p.payload.last().unwrap());
    assert_eq!(last(&world), Some(b'f'));
    let settings = SubscriptionSettings { quality: Quality::Low, ..Default::default() };
    world.command(Command::SetSubscription { peer: PeerId(2), track: TrackId(11), settings });
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    assert_eq!(last(&world), Some(b'q'));
    let settings = SubscriptionSettings { width: 640, height: 360, ..Default::default() };
    world.command(Command::SetSubscription { peer: PeerId(2), track: TrackId(11), settings });
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    assert_eq!(last(&world), Some(b'h'));
    let video = world.got(bob, VP8);
    assert_in_sequence(&video);
    let picture = |p: &RtpPacket| u16::from_be_bytes([p.payload[2] & 0x7F, p.payload[3]]);
    for pair in video.windows(2) {
        let step = picture(pair[1]).wrapping_sub(picture(pair[0]));
        assert!(step <= 1, "picture ids go on across layers: {step}");
        if pair[1].payload.last() != pair[0].payload.last() {
            assert_eq!(pair[1].payload[6] & 1, 0, "a layer starts with a key frame");
            let ms = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) / 90;
            // Layers are encoded at the same moment, so the switch may come within one.
            assert!(ms <= 80, "time goes on evenly across layers: {ms} ms");
        }
    }
}

#[test]
fn a_layer_that_stops_is_replaced_by_the_next_best() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&["q", "h", "f"]);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    sender.layers[2].sending = false;
    world.run_with(4000, |world, ms| sender.step(world, alice, ms));
    let video = world.got(bob, VP8);
    assert_eq!(video.last().map(|p| *p.payload.last().unwrap()), Some(b'h'));
    assert_in_sequence(&video);
}

#[test]
fn packets_lost_on_the_way_to_the_subscriber_are_repaired() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    let mut count = 0;
    world.loss = Box::new(move |peer, up, datagram| {
        let lossy = peer == PeerId(2) && !up && datagram[0] >= 128 && datagram.len() > 200;
        count += u64::from(lossy);
        lossy && count % 10 == 0
    });
    world.run_with(3000, |world, ms| sender.step(world, alice, ms));
    let mut sequences: Vec<u64> = world.got(bob, VP8).iter().map(|p| *p.seq_no).collect();
    let total = sequences.len();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), total, "nothing twice");
    let expected = sequences.last().unwrap() - sequences[0] + 1;
    assert!(expected > 200 && sequences.len() as u64 + 3 >= expected, "{} of {expected}", sequences.len());
    assert!(world.shard.counters().retransmitted >= 20);
}

#[test]
fn packets_lost_on_the_way_from_the_publisher_are_repaired() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    let mut count = 0;
    world.loss = Box::new(move |peer, up, datagram| {
        let lossy = peer == PeerId(1) && up && datagram[0] >= 128 && datagram.len() > 200;
        count += u64::from(lossy);
        lossy && count % 10 == 0
    });
    world.run_with(3000, |world, ms| sender.step(world, alice, ms));
    let mut sequences: Vec<u64> = world.got(bob, VP8).iter().map(|p| *p.seq_no).collect();
    sequences.sort_unstable();
    let total = sequences.len();
    sequences.dedup();
    assert_eq!(sequences.len(), total, "nothing twice");
    let expected = sequences.last().unwrap() - sequences[0] + 1;
    assert!(expected > 200 && sequences.len() as u64 + 3 >= expected, "{} of {expected}", sequences.len());
    assert!(world.shard.counters().nacks_out >= 20);
}

#[test]
fn nothing_is_sent_after_an_unsubscribe_and_the_section_is_reused_with_a_new_ssrc() {
    const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    let first = world.got(bob, OPUS)[0].header.ssrc;
    world.unsubscribe(bob, 10);
    world.clients[bob].received.clear();
    world.run_with(250, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, OPUS).iter().all(|packet| packet.payload[..] == SILENCE), "silence ends it (`flush`)");
    world.clients[bob].received.clear();
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, OPUS).is_empty());
    assert!(!world.got(bob, VP8).is_empty());
    world.offer_to_receive(bob, 0, 0);
    assert_eq!(world.clients[bob].mid_to_track.len(), 1);
    world.subscribe(bob, 10);
    world.offer_to_receive(bob, 0, 0);
    assert_eq!(world.clients[bob].mid_to_track.len(), 2);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert_ne!(world.got(bob, OPUS)[0].header.ssrc, first);
}

#[test]
fn a_muted_track_is_not_forwarded_and_goes_on_without_a_gap() {
    const SOUND: u8 = 0xAA;
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    for track in [10, 11] {
        world.command(Command::SetMuted { track: TrackId(track), muted: true });
    }
    world.run(1);
    world.clients[bob].received.clear();
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, VP8).is_empty());
    assert!(world.got(bob, OPUS).iter().all(|packet| packet.payload[0] != SOUND), "silence at most");
    for track in [10, 11] {
        world.command(Command::SetMuted { track: TrackId(track), muted: false });
    }
    world.run_with(1500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, OPUS).iter().filter(|packet| packet.payload[0] == SOUND).count() > 20);
    assert!(world.got(bob, VP8).len() > 20);
    assert_in_sequence(&world.got(bob, OPUS));
    assert_in_sequence(&world.got(bob, VP8));
}

#[test]
fn sections_are_asked_for_once_and_only_as_many_as_are_missing() {
    let (mut world, alice, bob, _) = two_in_a_call(&[]);
    let more: Vec<_> = world.offer(alice, |api| (0..3).map(|_| send_video(api, &[])).collect());
    for (index, mid) in more.into_iter().enumerate() {
        world.publish(alice, 20 + index as u64, mid, Kind::Video, vec![]);
    }
    world.events.clear();
    for track in [10, 11, 20, 21, 22] {
        world.subscribe(bob, track);
    }
    world.run(5);
    let asked = |world: &World| -> Vec<(u32, u32)> {
        let needed = |e: &Event| match e {
            Event::SectionsNeeded { peer: PeerId(2), audio, video } => Some((*audio, *video)),
            _ => None,
        };
        world.events.iter().filter_map(needed).collect()
    };
    assert_eq!(asked(&world), [(0, 2)]);
    world.run(1000);
    assert_eq!(asked(&world), [(0, 2)]);
    world.offer_to_receive(bob, 0, 2);
    assert_eq!(world.clients[bob].mid_to_track.len(), 5);
    assert_eq!(asked(&world).len(), 1);
}

#[test]
fn media_goes_on_through_an_ice_restart() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    world.offer(bob, |api| api.ice_restart(true));
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    let answers = &world.clients[bob].answers;
    let ufrag = |sdp: &String| sdp.lines().find(|line| line.starts_with("a=ice-ufrag")).unwrap().to_owned();
    assert_ne!(ufrag(&answers[0]), ufrag(answers.last().unwrap()));
    let audio = world.got(bob, OPUS);
    assert!(audio.len() >= 115, "{}", audio.len());
    assert_in_sequence(&audio);
}

#[test]
fn a_client_that_vanishes_is_closed_and_its_tracks_are_gone() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    world.loss = Box::new(|peer, _, _| peer == PeerId(1));
    world.run(18_000);
    assert!(world.has(|e| matches!(e, Event::PeerClosed { peer: PeerId(1), reason: CloseReason::IceTimeout, .. })));
    let counters = world.shard.counters();
    assert_eq!((counters.peers, counters.tracks, counters.subscriptions), (1, 0, 0));
    assert!(!world.clients[bob].closed);
}

#[test]
fn closing_a_room_closes_its_peers_quietly() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(200, |world, ms| sender.step(world, alice, ms));
    world.command(Command::CloseRoom { room: ROOM });
    world.run(200);
    assert!(world.clients[alice].closed && world.clients[bob].closed);
    assert_eq!(world.shard.counters().peers, 0);
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { .. })));
    world.run(40_000);
    assert_eq!(world.shard.next_timeout(), None, "nothing is left to do");
}

#[test]
fn a_peer_that_never_connects_is_closed() {
    let mut world = World::new();
    let (role, options) = (PeerRole::Publisher, PeerOptions::default());
    world.command(Command::CreatePeer { peer: PeerId(9), room: ROOM, role, options });
    world.run(40_000);
    assert_eq!(world.shard.counters().peers, 1, "the limit counts from the first description");
    world.command(Command::ClosePeer { peer: PeerId(9) });
    let alice = world.client(1);
    world.loss = Box::new(|_, _, _| true);
    world.offer(alice, World::channels);
    world.run(32_000);
    let closed = |e: &Event| matches!(e, Event::PeerClosed { reason: CloseReason::ConnectTimeout, .. });
    assert!(world.has(closed), "{:?}", world.events);
    assert_eq!(world.shard.counters().peers, 0);
}

#[test]
fn a_description_that_cannot_be_used_is_rejected_with_a_reason_and_the_call_goes_on() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    for sdp in ["", "v=0\r\n", "hello", &"a".repeat(300 * 1024)] {
        world.command(Command::Offer { peer: PeerId(2), offer_id: 77, sdp: sdp.to_owned() });
    }
    world.run_with(200, |world, ms| sender.step(world, alice, ms));
    let rejected = |e: &&Event| matches!(e, Event::OfferRejected { offer_id: 77, message, .. } if !message.is_empty());
    assert_eq!(world.events.iter().filter(rejected).count(), 4);
    assert!(!world.got(bob, OPUS).is_empty());
}

#[test]
fn a_speaker_is_reported_and_falls_silent() {
    let (mut world, alice, _, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    let loud =
        |e: &Event| matches!(e, Event::Speakers { levels, .. } if levels.iter().any(|l| l.0 == PeerId(1) && l.2));
    assert!(world.has(loud));
    world.events.clear();
    world.run(3000);
    let silent = |e: &Event| matches!(e, Event::Speakers { levels, .. } if levels == &[(PeerId(1), 0.0, false)]);
    assert!(world.has(silent));
}

#[test]
fn the_qualities_somebody_wants_are_told_and_none_after_the_last_one_left() {
    let (mut world, _, bob, _) = bob_hears_and_sees(&["q", "h", "f"]);
    let told = |world: &World| {
        let told = |e: &Event| match e {
            Event::QualitiesWanted { track: TrackId(11), qualities } => Some(qualities.clone()),
            _ => None,
        };
        world.events.iter().filter_map(told).next_back()
    };
    assert_eq!(told(&world), Some(vec![Quality::Low, Quality::Medium, Quality::High]));
    world.unsubscribe(bob, 11);
    world.run(7000);
    assert_eq!(told(&world), Some(vec![]));
}

#[test]
fn the_publisher_is_told_what_arrives_and_what_subscribers_get_carries_reports() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.clients[alice].rtc.bwe().set_desired_bitrate(str0m::bwe::Bitrate::mbps(6));
    world.run_with(4000, |world, ms| sender.step(world, alice, ms));
    let estimates = &world.clients[alice].estimates;
    assert!(estimates.last() > estimates.first(), "its own estimate rises with our feedback: {estimates:?}");
    let reported = world.got(bob, VP8).last().unwrap().last_sender_info.is_some();
    assert!(reported, "sender reports reach the subscriber");
}

#[test]
fn a_publisher_of_little_is_told_what_arrived_ten_times_a_second() {
    let (mut world, alice, _, mut sender) = bob_hears_and_sees(&[]);
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    world.loss = Box::new(move |peer, to_server, datagram| {
        let rtcp = matches!(datagram, [128..=191, 192..=223, ..]);
        count.set(count.get() + u32::from(peer == PeerId(1) && !to_server && rtcp));
        false
    });
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    told.set(0);
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    // Beside it goes a report a second.
    assert!((8..=12).contains(&told.get()), "{}", told.get());
}

#[test]
fn one_wake_up_serves_subscriber_after_subscriber() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    let carol = world.client(3);
    world.subscribe(carol, 11);
    let receiving = world.offer(carol, |api| {
        World::channels(api);
        receive_only(api, 0, 1)
    });
    world.clients[carol].receiving = receiving;
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    world.take_outbox(alice);
    sender.audio = None;
    sender.step(&mut world, alice, 0);
    let mut frame: Vec<Vec<u8>> = world.take_outbox(alice).into_iter().filter(|d| d[0] >= 128).collect();
    assert_eq!(frame.len(), 3);
    let source = world.clients[alice].address;
    let mut batch: Vec<_> = frame.iter_mut().map(|payload| Datagram { proto: Proto::Udp, source, payload }).collect();
    let before = world.shard.counters();
    let (mut egress, mut runs, mut bytes) = (Egress::default(), Vec::new(), 0);
    let mut take = |egress: &mut Egress| {
        runs.push(egress.transmits.iter().map(|transmit| transmit.destination).collect::<Vec<_>>());
        bytes += egress.buffer.len() as u64;
        egress.clear();
    };
    world.shard.receive_draining(world.now, &mut batch, &mut egress, &mut take);
    assert!(egress.transmits.is_empty(), "everything was ready to be taken with its subscriber");
    let (bob, carol) = (world.clients[bob].address, world.clients[carol].address);
    assert_eq!(runs, [[bob; 3], [carol; 3]]);
    let after = world.shard.counters();
    let sent = (after.datagrams_out - before.datagrams_out, after.bytes_out - before.bytes_out);
    assert_eq!(sent, (6, bytes), "what was taken on the way is counted");
}

#[test]
fn a_late_joiner_sees_a_picture_as_soon_as_it_is_connected() {
    let (mut world, alice, _, mut sender) = bob_hears_and_sees(&["q", "h", "f"]);
    world.run_with(2500, |world, ms| sender.step(world, alice, ms));
    let carol = world.client(3);
    world.subscribe(carol, 11);
    // A line slow enough that a key frame asked for at once would come before the keys to open it.
    let mut held = 0;
    world.loss = Box::new(move |peer, _, datagram| {
        held += u32::from(peer == PeerId(3) && (20..64).contains(&datagram[0]));
        peer == PeerId(3) && (1..4).contains(&held) && (20..64).contains(&datagram[0])
    });
    world.offer(carol, |api| {
        World::channels(api);
        receive_only(api, 0, 1)
    });
    let connected = |world: &World| world.has(|e| *e == Event::Connected { peer: PeerId(3) });
    let (mut waited, mut total) = (0, 0);
    while world.got(carol, VP8).is_empty() {
        world.run_with(1, |world, _| sender.step(world, alice, total));
        waited += u64::from(connected(&world));
        total += 1;
        assert!(total < 10_000);
    }
    assert!(total > waited + 40, "the handshake took its time: {total}");
    assert!(waited <= 90, "one frame to ask, one to answer: {waited} ms");
}

#[test]
fn a_subscriber_without_the_codec_is_told_once_and_not_asked_for_more_sections() {
    let (mut world, alice, _, mut sender) = two_in_a_call(&[]);
    world.run_with(100, |world, ms| sender.step(world, alice, ms));
    let carol =
        world.client_with(3, PeerRole::Single, |config| config.clear_codecs().enable_opus(true).enable_h264(true));
    world.subscribe(carol, 10);
    world.subscribe(carol, 11);
    for _ in 0..3 {
        let receiving = world.offer(carol, |api| receive_only(api, 1, 1));
        world.clients[carol].receiving = receiving;
        world.run_with(200, |world, ms| sender.step(world, alice, ms));
    }
    let failed = |e: &&Event| matches!(e, Event::SubscriptionFailed { peer: PeerId(3), track: TrackId(11), .. });
    assert_eq!(world.events.iter().filter(failed).count(), 1);
    assert!(!world.has(|e| matches!(e, Event::SectionsNeeded { peer: PeerId(3), .. })));
    assert_eq!(world.clients[carol].mid_to_track.len(), 1);
    assert!(!world.got(carol, OPUS).is_empty());
}

/// Stream ids of the tracks that the newest answer sends.
fn streams(world: &World, client: usize) -> Vec<&str> {
    let answer = world.clients[client].answers.last().unwrap();
    answer.lines().filter_map(|line| line.strip_prefix("a=msid:")?.split(' ').next()).collect()
}

#[test]
fn what_is_played_in_step_comes_in_one_media_stream_to_who_wants_it() {
    let (mut world, _, bob, _) = bob_hears_and_sees(&[]);
    assert_eq!(streams(&world, bob), ["PA_1|TR_10", "PA_1|TR_11"]);

    world.options.sync_streams = true;
    let carol = world.client(3);
    for track in [10, 11] {
        world.subscribe(carol, track);
    }
    world.offer(carol, |api| receive_only(api, 1, 1));
    assert_eq!(streams(&world, carol), ["PA_1|camera", "PA_1|camera"]);
}
