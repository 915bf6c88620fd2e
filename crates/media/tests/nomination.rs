//! Clients that nominate late, as libwebrtc does with an ICE-lite server: the call is up before they do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::sender::*;
use common::*;

const USE_CANDIDATE: u16 = 0x0025;

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// A binding request with USE-CANDIDATE (RFC 8445 section 7.1.2).
fn nominates(datagram: &[u8]) -> bool {
    let mut rest = if datagram.starts_with(&[0, 1]) { &datagram[20..] } else { &[] };
    while rest.len() >= 4 {
        if number(rest) == USE_CANDIDATE {
            return true;
        }
        rest = rest.get(4 + usize::from(number(&rest[2..])).next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// No nomination of alice and bob gets through.
fn nobody_nominates() -> World {
    let mut world = World::new();
    world.loss = Box::new(|_, up, datagram| up && nominates(datagram));
    world
}

#[test]
fn media_and_data_flow_before_anything_is_nominated() {
    let mut world = nobody_nominates();
    let (alice, bob, mut sender) = call_in(&mut world, &[]);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.run(5);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(bob, OPUS).len() >= 95 && world.got(bob, VP8).len() >= 140);
    world.write_data(alice, "_reliable", b"hello");
    world.run(50);
    assert!(world.has(|event| matches!(event, Event::Data { payload, .. } if payload == b"hello")));
}

#[test]
fn a_burst_of_data_before_the_nomination_arrives_whole() {
    let mut world = nobody_nominates();
    let (_, bob, _) = call_in(&mut world, &[]);
    world.until("the channel is open", |world| world.clients[bob].channels.contains_key("_reliable"));
    let payload = vec![7; 60_000];
    let message = Command::SendData {
        peers: vec![PeerId(2)],
        channel: Channel::Reliable,
        payload: payload.clone(),
        sender: None,
    };
    world.command(message);
    world.until("it is there", |world| world.clients[bob].data.iter().any(|(_, arrived)| *arrived == payload));
}

#[test]
fn the_handshake_takes_no_longer_than_its_own_round_trips() {
    let mut world = nobody_nominates();
    let alice = world.client(1);
    let begun = world.now;
    world.offer(alice, World::channels);
    world.until("it is connected", |world| world.has(|event| *event == Event::Connected { peer: PeerId(1) }));
    let without = world.now - begun;

    let mut world = World::new();
    let alice = world.client(1);
    let begun = world.now;
    world.offer(alice, World::channels);
    world.until("it is connected", |world| world.has(|event| *event == Event::Connected { peer: PeerId(1) }));
    assert_eq!(without, world.now - begun, "the nomination is not waited for");
}

#[test]
fn a_nomination_moves_what_began_on_another_way() {
    let mut world = nobody_nominates();
    let (alice, bob, mut sender) = call_in(&mut world, &[]);
    world.subscribe(bob, 10);
    world.run(5);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(!world.got(bob, OPUS).is_empty());
    // The NAT gives bob another address, and his nomination from there is the first to get through.
    world.clients[bob].seen_as = "127.0.0.1:30002".parse().unwrap();
    world.loss = Box::new(|_, _, _| false);
    world.run_with(5_000, |world, ms| sender.step(world, alice, 500 + ms));
    let before = world.got(bob, OPUS).len();
    world.run_with(500, |world, ms| sender.step(world, alice, 5_500 + ms));
    assert!(world.got(bob, OPUS).len() > before + 20, "it follows him");
    let moved = Event::Route { peer: PeerId(2), proto: Proto::Udp, address: world.clients[bob].seen_as };
    assert!(world.has(|event| *event == moved));
}
