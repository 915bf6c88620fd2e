//! The subscriber side of a dual peer connection: here the server offers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::sender::*;
use common::*;

#[test]
fn a_subscriber_connection_gets_media_and_data_on_what_the_server_offers() {
    let (mut world, alice, _, mut sender) = two_in_a_call(&[]);
    let carol = world.client_as(3, PeerRole::Subscriber);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.until("connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(3) }));
    world.until("channels are open", |world| {
        let open = |e: &&Event| matches!(e, Event::ChannelOpen { peer: PeerId(3), .. });
        world.events.iter().filter(open).count() == 3
    });
    world.command(Command::SendData {
        peers: vec![PeerId(3)],
        channel: Channel::Reliable,
        payload: b"hi".to_vec(),
        sender: None,
    });
    world.run(50);
    assert_eq!(world.clients[carol].data.pop(), Some(("_reliable".to_owned(), b"hi".to_vec())));

    world.subscribe(carol, 10);
    world.subscribe(carol, 11);
    world.run(5);
    assert!(world.has(|e| *e == Event::OfferNeeded { peer: PeerId(3) }));
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.run(5);
    assert_eq!(world.clients[carol].mid_to_track.len(), 2);
    assert!(world.has(|e| *e == Event::Subscribed { peer: PeerId(3), track: TrackId(11) }));
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(carol, OPUS).len() >= 45);
    assert!(world.clients[carol].received.iter().filter(|p| p.payload.len() > 200).count() >= 60);

    world.unsubscribe(carol, 10);
    world.until("its section is free", |world| world.has(|e| *e == Event::SectionFreed { peer: PeerId(3) }));
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: true });
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    assert_eq!(world.clients[carol].mid_to_track.len(), 1);
    world.clients[carol].received.clear();
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(carol, OPUS).is_empty());
    assert!(world.clients[carol].received.len() >= 30, "video goes on through the ICE restart");

    world.subscribe(carol, 10);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(carol, OPUS).len() >= 20, "the free section is used again");
    assert_eq!(world.clients[carol].answers.last().unwrap().matches("m=audio").count(), 1);
}

#[test]
fn a_client_may_not_offer_where_the_server_does() {
    let mut world = World::new();
    world.client_as(3, PeerRole::Subscriber);
    world.command(Command::Offer { peer: PeerId(3), offer_id: 5, sdp: "v=0".to_owned() });
    world.pump();
    assert!(world.has(|e| matches!(e, Event::OfferRejected { offer_id: 5, .. })));
}

#[test]
fn a_section_goes_to_another_subscription_only_after_the_client_saw_it_idle() {
    let (mut world, alice, _, mut sender) = two_in_a_call(&[]);
    let carol = world.client_as(3, PeerRole::Subscriber);
    world.subscribe(carol, 10);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.until("connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(3) }));
    world.unsubscribe(carol, 10);
    world.subscribe(carol, 10);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.run(5);
    assert_eq!(world.clients[carol].answers.last().unwrap().matches("m=audio").count(), 2, "a section of its own");
    world.run_with(500, |world, ms| sender.step(world, alice, ms));
    assert!(world.got(carol, OPUS).len() >= 20);
    world.unsubscribe(carol, 10);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.run(5);
    world.subscribe(carol, 10);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.run(5);
    assert_eq!(world.clients[carol].answers.last().unwrap().matches("m=audio").count(), 2, "an idle one again");
}

#[test]
fn a_client_that_an_ice_restart_has_not_reached_stays_connected() {
    let (mut world, _, _, _) = two_in_a_call(&[]);
    let carol = world.client_as(3, PeerRole::Subscriber);
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: false });
    world.until("connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(3) }));
    world.clients[carol].out_of_reach = true;
    for _ in 0..2 {
        world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: true });
        world.run(20_000);
    }
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { peer: PeerId(3), .. })));
    world.clients[carol].out_of_reach = false;
    world.command(Command::MakeOffer { peer: PeerId(3), ice_restart: true });
    world.run(20_000);
    assert!(!world.has(|e| matches!(e, Event::PeerClosed { peer: PeerId(3), .. })), "nor afterwards");
}
