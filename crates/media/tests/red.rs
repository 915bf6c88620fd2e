//! Redundant audio (RFC 2198): made of plain Opus for those who negotiated it, and what was lost taken out of it for
//! those who did not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use auralink_media::api::*;
use common::red::{self, RED, with_red};
use common::*;
use proptest::prelude::*;
use str0m::media::Mid;

const TRACK: u64 = 10;
/// Samples of a packet of 20 ms.
const FRAME: u32 = 960;
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// What left the server, by receiver, SSRC and sequence number.
type Sent = Arc<Mutex<HashMap<(PeerId, u32, u16), Vec<Vec<u8>>>>>;

/// Ada publishes, Bob has RED and Cat has not; both hear her.
struct Call {
    world: World,
    ada: usize,
    bob: usize,
    cat: usize,
    mid: Mid,
    sent: Sent,
    /// Packets sent by Ada.
    next: u64,
}

/// What is heard in the packet with this number.
fn sound(number: u64) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0xAA; 40]].concat()
}

/// It and the two before, as a publisher of RED sends them.
fn redundancy(number: u64) -> Vec<u8> {
    let backs = (0..3).rev().filter(|back| *back < number);
    red::write(&backs.map(|back| (FRAME * back as u32, sound(number - back))).collect::<Vec<_>>())
}

fn number(sound: &[u8]) -> u64 {
    u64::from_be_bytes(sound[..8].try_into().unwrap())
}

fn call(world: World) -> Call {
    let mut world = world;
    let ada = world.client_with(1, PeerRole::Single, with_red);
    let bob = world.client_with(2, PeerRole::Single, with_red);
    let cat = world.client(3);
    let mid = world.offer(ada, |api| {
        World::channels(api);
        send_audio(api)
    });
    for listener in [bob, cat] {
        let mids = world.offer(listener, |api| {
            World::channels(api);
            receive_only(api, 1, 0)
        });
        world.clients[listener].receiving = mids;
    }
    world.until("all are connected", |world| world.clients.iter().all(|client| client.connected));
    world.publish(ada, TRACK, mid, Kind::Audio, vec![]);
    for listener in [bob, cat] {
        world.subscribe(listener, TRACK);
        world.offer_to_receive(listener, 0, 0);
    }
    let sent = Sent::default();
    let log = sent.clone();
    world.loss = Box::new(move |peer, up, datagram| {
        if !up && datagram[0] >> 6 == 2 && !(192..=223).contains(&datagram[1]) {
            let sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
            let ssrc = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
            log.lock().unwrap().entry((peer, ssrc, sequence)).or_default().push(datagram.to_vec());
        }
        false
    });
    Call { world, ada, bob, cat, mid, sent, next: 1 }
}

fn makes_red() -> World {
    World { make_red: true, ..World::new() }
}

impl Call {
    /// The datagrams of Ada's next packet, 20 ms after the last one.
    fn packet(&mut self, redundant: bool) -> Vec<Vec<u8>> {
        self.world.run(20);
        let number = self.next;
        self.next += 1;
        let payload = if redundant { redundancy(number) } else { sound(number) };
        let packet = Rtp {
            payload_type: if redundant { RED } else { OPUS },
            sequence: 100 + number,
            timestamp: FRAME * number as u32,
            marker: false,
            payload,
            level: None,
        };
        self.world.write_rtp(self.ada, self.mid, None, packet);
        self.world.take_outbox(self.ada)
    }

    fn arrive(&mut self, mut datagrams: Vec<Vec<u8>>) {
        let source = self.world.clients[self.ada].address;
        let mut all: Vec<_> =
            datagrams.iter_mut().map(|payload| Datagram { proto: Proto::Udp, source, payload }).collect();
        self.world.shard.receive(self.world.now, &mut all, &mut self.world.egress);
        self.world.pump();
    }

    fn send(&mut self, redundant: bool, count: u64) {
        for _ in 0..count {
            let datagrams = self.packet(redundant);
            self.arrive(datagrams);
        }
    }

    /// What a listener got with this payload type, by sequence number: its sequence number, timestamp and payload.
    fn got(&self, listener: usize, payload_type: u8) -> Vec<(u64, u32, Vec<u8>)> {
        let packets = self.world.got(listener, payload_type);
        let mut got: Vec<_> = packets.iter().map(|p| (*p.seq_no, p.header.timestamp, p.payload.to_vec())).collect();
        got.sort();
        got
    }

    /// The numbers that Cat heard, by sequence number.
    fn heard(&self) -> Vec<u64> {
        self.got(self.cat, OPUS).iter().map(|(_, _, payload)| number(payload)).collect()
    }

    /// Nothing was sent in two ways under one number: that would give the keys away.
    fn assert_one_packet_per_number(&self) {
        for (place, packets) in self.sent.lock().unwrap().iter() {
            assert!(packets.iter().all(|packet| *packet == packets[0]), "{place:?}");
            assert_eq!(packets.len(), 1, "{place:?}");
        }
    }

    /// Everything in a RED payload was published at the time that it says.
    fn assert_true(&self, packets: &[(u64, u32, Vec<u8>)]) {
        let (_, first, payload) = &packets[0];
        let base = first.wrapping_sub(FRAME * number(&red::read(payload).last().unwrap().1) as u32);
        for (_, timestamp, payload) in packets {
            for (age, block) in red::read(payload) {
                assert_eq!(block, sound(number(&block)));
                assert_eq!(timestamp.wrapping_sub(age).wrapping_sub(base), FRAME * number(&block) as u32);
            }
        }
    }
}

fn numbers(payload: &[u8]) -> Vec<u64> {
    red::read(payload).iter().map(|(_, block)| number(block)).collect()
}

#[test]
fn who_negotiated_red_gets_it_of_plain_opus() {
    let mut call = call(makes_red());
    call.send(false, 50);
    let red = call.got(call.bob, RED);
    assert_eq!(red.len(), 50);
    assert!(call.got(call.bob, OPUS).is_empty());
    call.assert_true(&red);
    let held: Vec<_> = red.iter().map(|(_, _, payload)| numbers(payload)).collect();
    assert_eq!(held[..3], [vec![1], vec![1, 2], vec![1, 2, 3]]);
    assert!((3..=50).all(|number| held[number as usize - 1] == [number - 2, number - 1, number]));
    assert_eq!(call.heard(), (1..=50).collect::<Vec<_>>(), "who has none gets what was published");
}

#[test]
fn what_was_lost_on_the_way_in_is_left_out_of_red() {
    let mut call = call(makes_red());
    call.send(false, 3);
    call.packet(false);
    call.send(false, 3);
    let held: Vec<_> = call.got(call.bob, RED).iter().map(|(_, _, payload)| numbers(payload)).collect();
    assert_eq!(held[3..], [vec![3, 5], vec![5, 6], vec![5, 6, 7]]);
}

#[test]
fn whose_publisher_wants_no_red_gets_opus() {
    let mut call = call(World::new());
    call.send(false, 5);
    assert_eq!((call.got(call.bob, RED).len(), call.got(call.bob, OPUS).len()), (0, 5));
}

#[test]
fn encrypted_sound_is_forwarded_as_it_is_or_not_at_all() {
    let mut call = call(World { sif_trailer: b"TRAILER!".to_vec(), ..makes_red() });
    call.send(false, 5);
    assert_eq!((call.got(call.bob, RED).len(), call.got(call.bob, OPUS).len()), (0, 5));
    // Blocks that are none: nobody can read them.
    call.packet(true);
    call.send(true, 5);
    let red: Vec<_> = call.got(call.bob, RED).into_iter().map(|(_, _, payload)| payload).collect();
    assert_eq!(red, (7..12).map(redundancy).collect::<Vec<_>>());
    assert_eq!(call.heard(), [1, 2, 3, 4, 5], "Cat cannot have it");
    let failed = Event::SubscriptionFailed {
        peer: PeerId(3),
        track: TrackId(TRACK),
        message: "no codec in common with the publisher".to_owned(),
    };
    assert!(call.world.has(|event| *event == failed));
}

#[test]
fn what_was_said_while_muted_goes_into_no_later_packet() {
    let mut call = call(makes_red());
    call.send(false, 5);
    call.world.command(Command::SetMuted { track: TrackId(TRACK), muted: true });
    call.send(false, 3);
    call.world.command(Command::SetMuted { track: TrackId(TRACK), muted: false });
    call.send(false, 3);
    let red = call.got(call.bob, RED);
    let (silent, spoken): (Vec<_>, Vec<_>) =
        red.iter().map(|(_, _, payload)| payload.as_slice()).partition(|payload| payload[1..] == SILENCE);
    assert!(!silent.is_empty());
    let held: Vec<_> = spoken.into_iter().map(numbers).collect();
    assert_eq!(held[4..], [vec![3, 4, 5], vec![9], vec![9, 10], vec![9, 10, 11]]);
    let sequences: Vec<_> = red.iter().map(|(sequence, ..)| *sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
    call.assert_one_packet_per_number();
}

#[test]
fn what_a_publisher_of_red_lost_is_heard_by_who_has_no_red() {
    let mut call = call(World::new());
    call.send(true, 3);
    call.packet(true);
    call.packet(true);
    call.send(true, 3);
    // Three at once: the first is in no block that arrives.
    (0..3).for_each(|_| drop(call.packet(true)));
    call.send(true, 3);
    assert_eq!(call.heard(), [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14]);
    let got = call.got(call.cat, OPUS);
    for pair in got.windows(2) {
        let gone = number(&pair[1].2) - number(&pair[0].2);
        assert_eq!(pair[1].0 - pair[0].0, gone, "only what nobody has is missing");
        assert_eq!(pair[1].1.wrapping_sub(pair[0].1), FRAME * gone as u32);
    }
    let red: Vec<_> = call.got(call.bob, RED).iter().map(|(_, _, payload)| *numbers(payload).last().unwrap()).collect();
    assert_eq!(red, [1, 2, 3, 6, 7, 8, 12, 13, 14], "who has RED helps itself");
    call.assert_one_packet_per_number();
}

#[test]
fn what_was_lost_while_its_publisher_turned_to_red_is_heard() {
    let mut call = call(World::new());
    call.send(false, 3);
    call.packet(false);
    call.packet(true);
    call.send(true, 2);
    call.packet(true);
    call.send(false, 1);
    call.packet(false);
    call.send(true, 2);
    // The eighth is in no later packet: plain Opus followed.
    assert_eq!(call.heard(), [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);
    call.assert_one_packet_per_number();
}

#[test]
fn what_comes_late_after_all_is_not_heard_twice() {
    let mut call = call(World::new());
    call.send(true, 3);
    let late = call.packet(true);
    call.send(true, 2);
    call.arrive(late);
    call.send(true, 2);
    assert_eq!(call.heard(), (1..=8).collect::<Vec<_>>());
    let red: Vec<_> = call.got(call.bob, RED).iter().map(|(_, _, payload)| *numbers(payload).last().unwrap()).collect();
    assert_eq!(red, (1..=8).collect::<Vec<_>>(), "for who has RED it fills the gap");
    call.assert_one_packet_per_number();
}

#[test]
fn all_of_one_wake_up_are_put_in_order() {
    let mut call = call(World::new());
    call.send(true, 1);
    call.packet(true);
    let datagrams: Vec<_> = (0..4).flat_map(|_| call.packet(true)).collect();
    call.arrive(datagrams);
    assert_eq!(call.heard(), (1..=6).collect::<Vec<_>>());
    let arrived: Vec<_> = call.world.got(call.cat, OPUS).iter().map(|packet| *packet.seq_no).collect();
    assert!(arrived.is_sorted(), "{arrived:?}");
}

/// What becomes of a packet on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    Lost,
    /// So many others overtake it.
    Overtaken(usize),
}

fn fates() -> impl Strategy<Value = Vec<(bool, Fate)>> {
    let fate = prop_oneof![6 => Just(Fate::Arrives), 2 => Just(Fate::Lost), 1 => (1..6usize).prop_map(Fate::Overtaken)];
    prop::collection::vec((prop::bool::weighted(0.8), fate), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Whatever is lost or overtaken, of RED, of Opus or of both in turns.
    #[test]
    fn everything_is_heard_at_most_once_and_in_order(packets in fates(), make_red: bool, mixed: bool) {
        let mut call = call(World { make_red, ..World::new() });
        // The first one begins the call.
        call.send(true, 1);
        let (mut held, mut arrived) = (Vec::new(), vec![(1, true)]);
        for (redundant, fate) in packets {
            let redundant = redundant || !mixed;
            let number = call.next;
            let datagrams = call.packet(redundant);
            match fate {
                Fate::Arrives => {
                    call.arrive(datagrams);
                    arrived.push((number, redundant));
                }
                Fate::Lost => {}
                Fate::Overtaken(by) => held.push((number + by as u64, number, redundant, datagrams)),
            }
            for (_, number, redundant, datagrams) in held.extract_if(.., |(until, ..)| *until <= number) {
                call.arrive(datagrams);
                arrived.push((number, redundant));
            }
        }
        let heard = call.heard();
        prop_assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
        let got = call.got(call.cat, OPUS);
        for pair in got.windows(2) {
            let gone = number(&pair[1].2) - number(&pair[0].2);
            prop_assert_eq!(pair[1].0 - pair[0].0, gone);
            prop_assert_eq!(pair[1].1.wrapping_sub(pair[0].1), FRAME * gone as u32);
        }
        let here: HashSet<u64> = arrived.iter().map(|(number, _)| *number).collect();
        let in_blocks = arrived.iter().filter(|(_, redundant)| *redundant).flat_map(|(n, _)| [n - 1, n.saturating_sub(2)]);
        let anyhow: HashSet<u64> = in_blocks.filter(|number| *number >= 1).chain(here.iter().copied()).collect();
        let heard: HashSet<u64> = heard.into_iter().collect();
        prop_assert!(heard.is_superset(&here), "all that arrived");
        // Where Opus turns into RED, what was lost there is not known to have been RED.
        prop_assert!(if mixed { heard.is_subset(&anyhow) } else { heard == anyhow }, "all that is in a block");
        call.assert_one_packet_per_number();
        let red = call.got(call.bob, RED);
        call.assert_true(&red);
        let primaries: Vec<_> = red.iter().map(|(_, _, payload)| *numbers(payload).last().unwrap()).collect();
        prop_assert!(primaries.windows(2).all(|pair| pair[0] < pair[1]), "{primaries:?}");
    }
}
