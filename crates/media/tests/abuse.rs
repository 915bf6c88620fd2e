//! What must not hurt: random commands, slow readers, clients that move. Noise on the port: `noise.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::sender::*;
use common::*;
use proptest::prelude::*;

#[test]
fn a_client_that_moves_to_another_address_goes_on_hearing() {
    let (mut world, alice, bob, mut sender) = bob_hears_and_sees(&[]);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    world.clients[bob].seen_as = "127.0.0.1:33333".parse().unwrap();
    world.run_with(8000, |world, ms| sender.step(world, alice, ms));
    world.clients[bob].received.clear();
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, OPUS).len() >= 20);
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { .. })));
}

#[test]
fn a_flood_of_media_is_cut_to_its_cap() {
    const CAP: usize = 500;
    let mut limited = config();
    limited.limits.max_packets_per_s = CAP as u32;
    let (mut world, alice, bob, sender) = two_in_a_call_with(limited, &[]);
    world.subscribe(bob, 10);
    world.offer_to_receive(bob, 0, 0);
    let audio = sender.audio.unwrap();
    let mut sequence = 0;
    let mut speak = |world: &mut World, packets: u64| {
        for _ in 0..packets {
            sequence += 1;
            let timestamp = sequence as u32 * 960;
            let rtp = Rtp { payload_type: OPUS, sequence, timestamp, marker: false, payload: vec![7; 20], level: None };
            world.write_rtp(alice, audio, None, rtp);
        }
    };
    world.run_with(1000, |world, _| speak(world, 4));
    let heard = world.got(bob, OPUS).len();
    assert!((CAP / 2..=2 * CAP).contains(&heard), "{heard} of 4000");
    assert!(world.shard.counters().dropped_limit >= (4000 - 2 * CAP) as u64);
    // Its own fault, and over when the flood is: nobody is closed.
    world.run(1000);
    world.clients[bob].received.clear();
    world.run_with(1000, |world, ms| speak(world, u64::from(ms % 20 == 0)));
    assert!(world.got(bob, OPUS).len() >= 45);
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { .. })));
}

#[test]
fn a_slow_reader_of_reliable_data_is_closed_and_nobody_else() {
    let mut limited = config();
    limited.limits.max_data_queue_bytes = 300_000;
    let mut world = World::with(limited);
    let (alice, bob) = (world.client(1), world.client(2));
    for client in [alice, bob] {
        world.offer(client, World::channels);
    }
    world.until("channels are open", |world| {
        world.events.iter().filter(|e| matches!(e, Event::ChannelOpen { .. })).count() == 6
    });
    world.loss = Box::new(|peer, up, datagram| peer == PeerId(2) && up && (20..64).contains(&datagram[0]));
    for _ in 0..40 {
        let (peers, payload) = (vec![PeerId(1), PeerId(2)], vec![1; 15_000]);
        world.command(Command::SendData { peers, channel: Channel::Reliable, payload, sender: None });
        world.run(20);
    }
    let closed = |e: &Event| matches!(e, Event::PeerClosed { peer: PeerId(2), reason: CloseReason::SlowReader, .. });
    assert!(world.has(closed));
    world.run(1000);
    assert_eq!(world.clients[alice].data.len(), 40);
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u64),
    Unpublish(u64),
    Mute(u64, bool),
    Subscribe(usize, u64),
    Unsubscribe(usize, u64),
    Move(usize, u64, u64),
    Expect(usize, u64),
    LimitBandwidth(usize, u64),
    Quality(usize, u64, u8),
    Offer(usize),
    BadOffer(usize),
    Close(usize),
    Data,
    PublishData(u64),
    UnpublishData(u64),
    SubscribeData(usize, u64),
    UnsubscribeData(usize, u64),
    Packet(u64),
    Run(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let track = 10..13u64;
    prop_oneof![
        track.clone().prop_map(Step::Publish),
        track.clone().prop_map(Step::Unpublish),
        (track.clone(), any::<bool>()).prop_map(|(track, muted)| Step::Mute(track, muted)),
        (0..2usize, track.clone()).prop_map(|(client, track)| Step::Subscribe(client, track)),
        (0..2usize, track.clone()).prop_map(|(client, track)| Step::Unsubscribe(client, track)),
        (0..2usize, track.clone(), track.clone()).prop_map(|(client, from, to)| Step::Move(client, from, to)),
        (0..2usize, track.clone()).prop_map(|(client, track)| Step::Expect(client, track)),
        (0..2usize, 0..3_000_000u64).prop_map(|(client, bps)| Step::LimitBandwidth(client, bps)),
        (0..2usize, track, 0..3u8).prop_map(|(client, track, quality)| Step::Quality(client, track, quality)),
        (0..2usize).prop_map(Step::Offer),
        (0..2usize).prop_map(Step::BadOffer),
        (0..8usize).prop_map(Step::Close),
        Just(Step::Data),
        (20..23u64).prop_map(Step::PublishData),
        (20..23u64).prop_map(Step::UnpublishData),
        (0..2usize, 20..23u64).prop_map(|(client, track)| Step::SubscribeData(client, track)),
        (0..2usize, 20..23u64).prop_map(|(client, track)| Step::UnsubscribeData(client, track)),
        (20..23u64).prop_map(Step::Packet),
        (1..120u64).prop_map(Step::Run),
    ]
}

fn options() -> impl Strategy<Value = PeerOptions> {
    let codecs =
        || prop::sample::subsequence(vec!["audio/red", "audio/PCMU", "video/VP8", "video/H264", "video/AV1"], 0..=5);
    let named = |mimes: Vec<&str>| mimes.into_iter().map(str::to_owned).collect();
    let delay = prop::option::of((0..3_000u32, 0..50_000u32));
    (any::<[bool; 3]>(), delay, codecs(), codecs()).prop_map(move |(flags, delay, refused, refused_publish)| {
        let [allow_pause, sync_streams, shows_tracks_by_packet] = flags;
        PeerOptions {
            allow_pause,
            playout_delay: delay.map(|(min_ms, max_ms)| PlayoutDelay { min_ms, max_ms }),
            sync_streams,
            refused_codecs: named(refused),
            refused_publish_codecs: named(refused_publish),
            shows_tracks_by_packet,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_orders_of_commands_neither_panic_nor_leave_anything_behind(
        options in options(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        world.options = options;
        let (alice, _, mut sender) = call_in(&mut world, &["q", "h", "f"]);
        let mids = [sender.audio.unwrap(), sender.video.unwrap()];
        for step in steps {
            let peer = |client: usize| PeerId(client as u64 + 1);
            match step {
                Step::Publish(track) => {
                    let kind = if track % 2 == 0 { Kind::Audio } else { Kind::Video };
                    world.publish(alice, track, mids[track as usize % 2], kind, three_layers());
                }
                Step::Unpublish(track) => world.command(Command::Unpublish { track: TrackId(track) }),
                Step::Mute(track, muted) => world.command(Command::SetMuted { track: TrackId(track), muted }),
                Step::Subscribe(client, track) => world.subscribe(client, track),
                Step::Unsubscribe(client, track) => world.unsubscribe(client, track),
                Step::Move(client, from, to) => {
                    world.command(Command::MoveSubscription { peer: peer(client), from: TrackId(from), to: TrackId(to) });
                }
                Step::Expect(client, track) => {
                    let kind = if track % 2 == 0 { Kind::Audio } else { Kind::Video };
                    let mime = (track == 11).then(|| "video/H264".to_owned());
                    let cids = vec![track.to_string()];
                    let expected = Expected { cids, kind, mime, stereo: true, disable_dtx: true, disable_red: true };
                    world.command(Command::Expect { peer: peer(client), expected });
                }
                Step::LimitBandwidth(client, bps) => {
                    world.command(Command::LimitBandwidth { peer: peer(client), bps });
                }
                Step::Quality(client, track, quality) => {
                    let quality = [Quality::Low, Quality::Medium, Quality::High][usize::from(quality)];
                    let settings = SubscriptionSettings { quality, enabled: track != 12, ..Default::default() };
                    world.command(Command::SetSubscription { peer: peer(client), track: TrackId(track), settings });
                }
                Step::Offer(client) if world.shard.counters().peers == 2 => {
                    world.offer_to_receive(client, 0, 1);
                }
                Step::Offer(_) => {}
                Step::BadOffer(client) => {
                    world.command(Command::Offer { peer: peer(client), offer_id: 999, sdp: "v=0\r\nm=audio".into() });
                }
                Step::Close(client) => world.command(Command::ClosePeer { peer: peer(client) }),
                Step::Data => {
                    let peers = vec![PeerId(1), PeerId(2)];
                    world.command(Command::SendData { peers, channel: Channel::Lossy, payload: vec![0; 100], sender: None });
                }
                Step::PublishData(track) => {
                    let handle = track as u16;
                    world.command(Command::PublishData { peer: peer(0), track: TrackId(track), handle });
                }
                Step::UnpublishData(track) => world.command(Command::UnpublishData { track: TrackId(track) }),
                Step::SubscribeData(client, track) => {
                    world.command(Command::SubscribeData { peer: peer(client), track: TrackId(track), handle: 7 });
                }
                Step::UnsubscribeData(client, track) => {
                    world.command(Command::UnsubscribeData { peer: peer(client), track: TrackId(track) });
                }
                Step::Packet(track) => {
                    world.try_write_data(alice, "_data_track", &packet(track as u16, &[1; 50]));
                }
                Step::Run(ms) => world.run_with(ms, |world, ms| sender.step(world, alice, ms)),
            }
        }
        world.run_with(100, |world, ms| sender.step(world, alice, ms));
        prop_assert_eq!(world.shard.counters().peer_panics, 0);
        for client in &world.clients {
            let mut last: std::collections::HashMap<u32, Vec<u64>> = Default::default();
            for packet in &client.received {
                last.entry(*packet.header.ssrc).or_default().push(*packet.seq_no);
            }
            for sequences in last.values() {
                prop_assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "monotonic, nothing twice");
            }
        }
        world.command(Command::CloseRoom { room: ROOM });
        world.run(40_000);
        let counters = world.shard.counters();
        prop_assert_eq!((counters.peers, counters.tracks, counters.data_tracks, counters.subscriptions), (0, 0, 0, 0));
        prop_assert_eq!(world.shard.next_timeout(), None);
    }
}
