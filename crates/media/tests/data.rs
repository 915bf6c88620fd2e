//! Data channels and data tracks through a shard: who gets what, and what those do to others who send or read badly.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::*;

/// So many clients with open data channels, as peers 1, 2, 3, ..
fn talking(count: u64, limits: Limits) -> World {
    let mut world = World::with(ShardConfig { limits, ..config() });
    for id in 1..=count {
        let client = world.client(id);
        world.offer(client, World::channels);
    }
    world.until("channels are open", |world| {
        world.events.iter().filter(|e| matches!(e, Event::ChannelOpen { .. })).count() == 3 * count as usize
    });
    world
}

fn publish_data(world: &mut World, peer: u64, track: u64, handle: u16) {
    world.command(Command::PublishData { peer: PeerId(peer), track: TrackId(track), handle });
}

fn subscribe_data(world: &mut World, peer: u64, track: u64, handle: u16) {
    world.command(Command::SubscribeData { peer: PeerId(peer), track: TrackId(track), handle });
}

/// Payloads a client got on its data track channel since it was last asked.
fn packets(world: &mut World, index: usize) -> Vec<Vec<u8>> {
    let got = world.clients[index].data.drain(..);
    got.filter(|(label, _)| label == "_data_track").map(|(_, payload)| payload).collect()
}

#[test]
fn each_subscriber_of_a_data_track_gets_its_packets_under_its_own_handle() {
    let mut world = talking(4, Limits::default());
    publish_data(&mut world, 1, 10, 7);
    publish_data(&mut world, 1, 11, 8);
    subscribe_data(&mut world, 2, 10, 100);
    subscribe_data(&mut world, 3, 10, 200);
    subscribe_data(&mut world, 3, 11, 201);
    world.write_data(0, "_data_track", &packet(7, b"seven"));
    world.write_data(0, "_data_track", &packet(8, b"eight"));
    world.run(50);
    assert_eq!(packets(&mut world, 1), [packet(100, b"seven")]);
    assert_eq!(packets(&mut world, 2), [packet(200, b"seven"), packet(201, b"eight")]);
    assert!(packets(&mut world, 0).is_empty() && packets(&mut world, 3).is_empty());
    assert!(!world.has(|e| matches!(e, Event::Data { .. })), "nobody else is asked");
}

#[test]
fn a_channel_with_a_label_of_the_clients_own_carries_bytes_for_everybody() {
    let mut world = World::new();
    let client = world.client(1);
    world.offer(client, |api| {
        World::channels(api);
        api.add_channel("telemetry".to_owned());
    });
    world.until("the channel takes a message", |world| world.clients[client].channels.contains_key("telemetry"));
    world.write_data(client, "telemetry", b"21.5");
    world.run(50);
    assert!(world.has(|e| *e == Event::UnlabeledData { peer: PeerId(1), payload: b"21.5".to_vec() }));
}

#[test]
fn packets_that_no_track_of_the_sender_has_go_nowhere() {
    let mut world = talking(3, Limits::default());
    publish_data(&mut world, 1, 10, 7);
    subscribe_data(&mut world, 3, 10, 1);
    world.write_data(0, "_data_track", &packet(9, b"no such handle"));
    world.write_data(0, "_data_track", b"no header");
    world.write_data(1, "_data_track", &packet(7, b"another one's handle"));
    world.run(50);
    assert!(packets(&mut world, 2).is_empty());
    assert_eq!(world.shard.counters().data_dropped, 3);
}

#[test]
fn an_ended_subscription_or_track_or_publisher_gets_nothing_more_and_leaves_nothing_behind() {
    let mut world = talking(4, Limits::default());
    publish_data(&mut world, 1, 10, 7);
    for peer in 2..=4 {
        subscribe_data(&mut world, peer, 10, 1);
    }
    world.command(Command::UnsubscribeData { peer: PeerId(2), track: TrackId(10) });
    world.command(Command::ClosePeer { peer: PeerId(4) });
    world.write_data(0, "_data_track", &packet(7, b"one"));
    world.run(50);
    assert_eq!((packets(&mut world, 1).len(), packets(&mut world, 2).len()), (0, 1));
    world.command(Command::UnpublishData { track: TrackId(10) });
    world.write_data(0, "_data_track", &packet(7, b"two"));
    world.run(50);
    assert!(packets(&mut world, 2).is_empty());
    publish_data(&mut world, 1, 11, 7);
    subscribe_data(&mut world, 3, 11, 2);
    world.write_data(0, "_data_track", &packet(7, b"three"));
    world.run(50);
    assert_eq!(packets(&mut world, 2), [packet(2, b"three")]);
    world.command(Command::ClosePeer { peer: PeerId(1) });
    assert_eq!(world.shard.counters().data_tracks, 0);
}

#[test]
fn a_handle_given_anew_counts_from_then_on() {
    let mut world = talking(2, Limits::default());
    publish_data(&mut world, 1, 10, 7);
    subscribe_data(&mut world, 2, 10, 1);
    subscribe_data(&mut world, 2, 10, 2);
    world.write_data(0, "_data_track", &packet(7, b"x"));
    world.run(50);
    assert_eq!(packets(&mut world, 1), [packet(2, b"x")]);
}

#[test]
fn lossy_messages_that_get_lost_are_not_sent_again() {
    let mut world = talking(2, Limits::default());
    let send = |world: &mut World, text: &[u8]| {
        let (peers, payload) = (vec![PeerId(2)], text.to_vec());
        world.command(Command::SendData { peers, channel: Channel::Lossy, payload, sender: None });
    };
    world.loss = Box::new(|peer, up, datagram| peer == PeerId(2) && !up && (20..64).contains(&datagram[0]));
    send(&mut world, b"lost");
    world.run(20);
    world.loss = Box::new(|_, _, _| false);
    send(&mut world, b"not lost");
    world.run(5_000);
    let got: Vec<&[u8]> = world.clients[1].data.iter().map(|(_, payload)| &payload[..]).collect();
    assert_eq!(got, [b"not lost"]);
}

#[test]
fn a_message_that_is_too_large_costs_itself_and_not_the_channel() {
    let mut world = talking(2, Limits { max_data_message_bytes: 1_000, ..Limits::default() });
    world.write_data(0, "_reliable", &[1; 1_001]);
    world.write_data(0, "_reliable", &[2; 1_000]);
    world.run(200);
    let got: Vec<u8> = world
        .events
        .iter()
        .filter_map(|e| if let Event::Data { payload, .. } = e { payload.first().copied() } else { None })
        .collect();
    assert_eq!(got, [2]);
    assert_eq!(world.shard.counters().data_dropped, 1);
}

#[test]
fn a_reader_that_stalls_loses_lossy_messages_and_others_get_all() {
    let mut world = talking(3, Limits { max_lossy_queue_bytes: 20_000, ..Limits::default() });
    world.loss = Box::new(|peer, up, datagram| peer == PeerId(2) && up && (20..64).contains(&datagram[0]));
    for number in 0..400u32 {
        let (peers, mut payload) = (vec![PeerId(2), PeerId(3)], vec![0; 1_000]);
        payload[..4].copy_from_slice(&number.to_be_bytes());
        world.command(Command::SendData { peers, channel: Channel::Lossy, payload, sender: None });
        world.run(5);
    }
    let numbers = |world: &World, index: usize| -> Vec<u32> {
        let got = world.clients[index].data.iter();
        got.map(|(_, payload)| u32::from_be_bytes(payload[..4].try_into().unwrap())).collect()
    };
    assert_eq!(numbers(&world, 2), (0..400).collect::<Vec<u32>>());
    assert!(numbers(&world, 1).len() < 400);
    assert!(world.shard.counters().data_dropped > 0);
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { .. })));
}

#[test]
fn a_flood_on_the_reliable_channel_is_slowed_down_and_arrives_whole() {
    let limits = Limits { max_data_bytes_per_s: 100_000, ..Limits::default() };
    let mut world = talking(1, limits);
    let mut written = 0u32;
    let mut halfway = 0;
    for ms in 0..6_000 {
        while written < 300 && world.try_write_data(0, "_reliable", &written.to_be_bytes().repeat(250)) {
            written += 1;
        }
        world.run(1);
        if ms == 1_000 {
            halfway = world.shard.counters().data_in;
        }
    }
    world.run(60_000);
    let got: Vec<u32> = world
        .events
        .iter()
        .filter_map(|e| if let Event::Data { payload, .. } = e { payload.first_chunk::<4>() } else { None })
        .map(|first| u32::from_be_bytes(*first))
        .collect();
    assert!(halfway < 250, "{halfway} messages of 1 kB in a second");
    assert!(world.shard.counters().dropped_limit > 0);
    assert_eq!(got, (0..300).collect::<Vec<u32>>());
}
