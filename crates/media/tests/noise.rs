//! A million datagrams that nobody should send, through a shard with a call in it.
//!
//! Alone in its test binary: the memory of the process is measured.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use auralink_media::api::*;
use common::sender::*;
use common::*;

const PER_MS: usize = 100;
const WARM_UP_MS: u64 = 1_000;
const MEASURED_MS: u64 = 9_000;
/// Datagrams of the call that are kept as originals, of each kind by its first byte.
const ORIGINALS_OF_A_KIND: usize = 200;
/// What the allocator and the call's own histories may take in that time.
const GROWTH_BYTES: usize = 8 * 1024 * 1024;

/// A small generator (xorshift): the noise must be the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A third looks like something: STUN, DTLS, RTP, RTCP.
    fn random(&mut self) -> Vec<u8> {
        let len = self.below(200);
        let mut datagram: Vec<u8> = (0..len).map(|_| self.next() as u8).collect();
        if let (Some(first), 0) = (datagram.first_mut(), len % 3) {
            *first = [0, 22, 0x80, 0x90][len % 4];
        }
        datagram
    }

    /// Never the original itself: at least one bit is another.
    fn mutated(&mut self, original: &[u8]) -> Vec<u8> {
        let mut datagram = original.to_vec();
        let at = self.below(datagram.len());
        datagram[at] ^= 1 << self.below(8);
        // A different bit of another byte each time, so that no change takes an earlier one back.
        for further in at + 1..(at + 1 + self.below(8)).min(datagram.len()) {
            datagram[further] = self.next() as u8;
        }
        match self.below(4) {
            0 => datagram.truncate(self.below(original.len())),
            1 => datagram.extend((0..self.below(100)).map(|_| self.0 as u8)),
            _ => {}
        }
        datagram
    }
}

/// What the clients sent, by its first byte and with its sender: handshakes, connectivity checks, media, reports.
type Originals = Arc<Mutex<HashMap<u8, Vec<(PeerId, Vec<u8>)>>>>;

fn record(world: &mut World) -> Originals {
    let originals = Originals::default();
    let seen = Arc::clone(&originals);
    world.loss = Box::new(move |peer, up, datagram| {
        if let (true, Some(first)) = (up, datagram.first()) {
            let mut seen = seen.lock().unwrap();
            let kind = seen.entry(*first).or_default();
            if kind.len() < ORIGINALS_OF_A_KIND {
                kind.push((peer, datagram.to_vec()));
            }
        }
        false
    });
    originals
}

/// Resident, of this process (proc_pid_statm(5)).
fn memory_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_million_random_and_mutated_datagrams_neither_disturb_a_call_nor_take_memory() {
    let mut world = World::new();
    let originals = record(&mut world);
    let (alice, bob, mut sender) = call_in(&mut world, &[]);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    world.run_with(1000, |world, ms| sender.step(world, alice, ms));
    let mut kinds: Vec<_> = originals.lock().unwrap().clone().into_iter().collect();
    kinds.sort_by_key(|(first, _)| *first);
    let has = |first: std::ops::RangeInclusive<u8>| kinds.iter().any(|(kind, _)| first.contains(kind));
    assert!(has(0..=3) && has(20..=63) && has(128..=191), "STUN, DTLS and media to mutate");
    let mut noise = Noise(7);
    let mut flood = |world: &mut World, ms: u64| {
        sender.step(world, alice, ms);
        let stranger = ([10, 0, (ms / 256) as u8, ms as u8], 9999).into();
        let mut junk: Vec<(SocketAddr, Vec<u8>)> = (0..PER_MS)
            .map(|index| match index % 4 {
                0 => (stranger, noise.random()),
                1 => (world.clients[index / 4 % 2].address, noise.random()),
                // From where the original came: a check that is still authentic would move its sender elsewhere.
                _ => {
                    let (_, datagrams) = &kinds[noise.below(kinds.len())];
                    let (peer, original) = &datagrams[noise.below(datagrams.len())];
                    let sender = world.clients.iter().find(|client| client.id == *peer).unwrap();
                    (sender.address, noise.mutated(original))
                }
            })
            .collect();
        let mut batch: Vec<Datagram<'_>> =
            junk.iter_mut().map(|(source, payload)| Datagram { proto: Proto::Udp, source: *source, payload }).collect();
        let now = world.now;
        world.shard.receive(now, &mut batch, &mut world.egress);
    };
    world.run_with(WARM_UP_MS, &mut flood);
    let memory = memory_bytes();
    for _ in 0..MEASURED_MS / 1000 {
        world.clients[bob].received.clear();
        world.events.clear();
        world.run_with(1000, &mut flood);
        let (audio, video) = (world.got(bob, OPUS).len(), world.got(bob, VP8).len());
        assert!(audio >= 45 && video >= 65, "{audio} packets of audio and {video} of video in a second");
        assert!(!world.has(|e| matches!(e, Event::PeerClosed { .. })));
    }
    let grown = memory_bytes().saturating_sub(memory);
    let counters = world.shard.counters();
    assert!(counters.datagrams_in > (WARM_UP_MS + MEASURED_MS) * PER_MS as u64);
    assert_eq!((counters.peers, counters.tracks, counters.subscriptions, counters.peer_panics), (2, 2, 2, 0));
    assert!(grown < GROWTH_BYTES, "{grown} bytes more");
}
