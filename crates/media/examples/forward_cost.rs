//! What one forwarded packet costs in the core: parsing, decryption, rewriting, encryption, history; no sockets.
//!
//! `cargo run --release -p auralink-media --example forward_cost`. Each line is the best and the median of several
//! rounds, in nanoseconds of this thread's CPU time per packet sent, the publisher's side included.
//!
//! The lines that say "cold" have what the kernel does in a server: between two subscribers other memory is worked on,
//! so that what a subscriber's packets need has left the nearer caches when its turn comes. They are the median of the
//! wake-ups, by the clock, less the time of that other work.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use auralink_media::api::*;
use common::*;
use str0m::media::Mid;

/// Datagrams per wake-up: a video frame, or what came in together.
const BATCH: usize = 10;
const ROUNDS: usize = 7;
/// Between two packets of the publisher: within what one peer may send in a second.
const APART: Duration = Duration::from_micros(100);

/// Memory that is read and written between two subscribers: about what sending a frame to one makes the kernel touch.
const OTHER_BYTES: usize = 32 * 1024;
/// Every place of it is used again only after so much else that it has left the second-level cache.
const OTHER_MEMORY: usize = 64 * 1024 * 1024;
const CACHE_LINE: usize = 64;

struct Setup {
    world: World,
    publisher: usize,
    mids: Vec<Mid>,
}

fn setup(kind: Kind, subscribers: usize, streams: usize) -> Setup {
    let mut world = World::new();
    // Without an estimate the client does not pace what it sends.
    let publisher = world.client_with(1, PeerRole::Single, |config| config.enable_bwe(None));
    let mids = world.offer(publisher, |api| {
        World::channels(api);
        let send = |api: &mut str0m::change::SdpApi<'_>| match kind {
            Kind::Audio => send_audio(api),
            Kind::Video => send_video(api, &[]),
        };
        (0..streams).map(|_| send(api)).collect::<Vec<_>>()
    });
    world.until("the publisher is connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(1) }));
    for (index, mid) in mids.iter().enumerate() {
        world.publish(publisher, 100 + index as u64, *mid, kind, vec![]);
    }
    for number in 0..subscribers {
        let id = 2 + number as u64;
        let index = world.client(id);
        for stream in 0..streams {
            world.subscribe(index, 100 + stream as u64);
        }
        let (audio, video) = if kind == Kind::Audio { (streams, 0) } else { (0, streams) };
        world.offer(index, |api| {
            World::channels(api);
            receive_only(api, audio, video)
        });
        world.until("the subscriber is connected", |world| world.has(|e| *e == Event::Connected { peer: PeerId(id) }));
        world.events.clear();
    }
    Setup { world, publisher, mids }
}

/// Datagrams as the publisher's client encrypts them, in sending order, `per_batch` of one stream after the other.
fn datagrams(setup: &mut Setup, kind: Kind, size: usize, count: usize, first: u64, per_batch: usize) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for number in 0..count as u64 {
        // A batch is of one stream, as a video frame is.
        let mid = setup.mids[(number as usize / per_batch) % setup.mids.len()];
        let sequence = first + number;
        let part = number % BATCH as u64;
        let (payload_type, payload) = match kind {
            Kind::Audio => (OPUS, vec![0xAA; size]),
            Kind::Video => (VP8, vp8(first == 0, part == 0, (sequence / BATCH as u64) as u16, 0, 1, size)),
        };
        let packet = Rtp { payload_type, sequence, timestamp: sequence as u32, marker: false, payload, level: None };
        setup.world.write_rtp(setup.publisher, mid, None, packet);
        // The client's pacer is not what is measured.
        setup.world.now += APART;
        made.append(&mut setup.world.take_outbox(setup.publisher));
    }
    made.retain(|datagram| datagram[0] >= 128);
    made
}

fn measure(kind: Kind, size: usize, subscribers: usize, streams: usize) {
    let mut setup = setup(kind, subscribers, streams);
    let per_round = (400_000 / subscribers).clamp(BATCH * streams, 40_000) / BATCH * BATCH;
    let source: std::net::SocketAddr = setup.world.clients[setup.publisher].address;
    let mut costs = Vec::new();
    let mut egress = Egress::default();
    for round in 0..=ROUNDS {
        let mut now = setup.world.now;
        let mut made = datagrams(&mut setup, kind, size, per_round, (round * per_round) as u64, BATCH);
        let before = setup.world.shard.counters().rtp_forwarded;
        let mut batches: Vec<Vec<Datagram<'_>>> = made
            .chunks_mut(BATCH)
            .map(|chunk| chunk.iter_mut().map(|payload| Datagram { proto: Proto::Udp, source, payload }).collect())
            .collect();
        let start = cpu_ns();
        for batch in &mut batches {
            now += APART * BATCH as u32;
            setup.world.shard.receive(now, batch, &mut egress);
            egress.clear();
        }
        let spent = cpu_ns() - start;
        let forwarded = setup.world.shard.counters().rtp_forwarded - before;
        // The first round warms up: key frames are asked for, memory is touched.
        if round > 0 {
            assert!(forwarded as usize > per_round * subscribers / 2, "{forwarded} forwarded");
            costs.push(spent as f64 / forwarded as f64);
        }
    }
    costs.sort_by(f64::total_cmp);
    println!(
        "{size:5} B  {subscribers:4} subscribers  {streams:3} streams: best {:4.0} ns, median {:4.0} ns per forwarded packet",
        costs[0],
        costs[costs.len() / 2],
    );
}

/// Work of somebody else between the turns of two subscribers.
struct Others {
    memory: Vec<u8>,
    at: usize,
}

impl Others {
    /// Gives how long it took.
    fn work(&mut self) -> Duration {
        let begun = Instant::now();
        for line in self.memory[self.at..self.at + OTHER_BYTES].chunks_exact_mut(CACHE_LINE) {
            line[0] = line[0].wrapping_add(1);
        }
        self.at = (self.at + OTHER_BYTES) % OTHER_MEMORY;
        begun.elapsed()
    }
}

/// The same with cold caches; `per_batch` packets of one stream in a wake-up.
fn measure_cold(kind: Kind, size: usize, subscribers: usize, streams: usize, per_batch: usize) {
    let mut setup = setup(kind, subscribers, streams);
    let per_round = (100_000 / subscribers).max(per_batch * streams) / per_batch * per_batch;
    let source: std::net::SocketAddr = setup.world.clients[setup.publisher].address;
    let mut others = Others { memory: vec![1; OTHER_MEMORY], at: 0 };
    let mut egress = Egress::default();
    let mut costs = Vec::new();
    for round in 0..=ROUNDS {
        let first = (round * per_round) as u64;
        let mut now = setup.world.now;
        let mut made = datagrams(&mut setup, kind, size, per_round, first, per_batch);
        for chunk in made.chunks_mut(per_batch) {
            let mut batch: Vec<Datagram<'_>> =
                chunk.iter_mut().map(|payload| Datagram { proto: Proto::Udp, source, payload }).collect();
            now += APART * per_batch as u32;
            let (mut sent, mut elsewhere) = (0, Duration::ZERO);
            let begun = Instant::now();
            setup.world.shard.receive_draining(now, &mut batch, &mut egress, &mut |egress| {
                sent += egress.transmits.len();
                egress.clear();
                elsewhere += others.work();
            });
            let spent = begun.elapsed().saturating_sub(elsewhere);
            egress.clear();
            if round > 0 && sent == per_batch * subscribers {
                costs.push(spent.as_nanos() as f64 / sent as f64);
            }
        }
    }
    assert!(costs.len() > per_round / per_batch * ROUNDS / 2, "{} wake-ups", costs.len());
    costs.sort_by(f64::total_cmp);
    println!(
        "{size:5} B  {subscribers:4} subscribers  {streams:3} streams, cold, {per_batch:2} at once: median {:4.0} ns, \
         90th percentile {:4.0} ns per forwarded packet",
        costs[costs.len() / 2],
        costs[costs.len() * 9 / 10],
    );
}

/// CPU time of this thread. The kernel brings it up to date at every switch and tick, so only long spans mean anything.
fn cpu_ns() -> u64 {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn main() {
    for (kind, size) in [(Kind::Video, 1100), (Kind::Audio, 80)] {
        for subscribers in [10, 100, 500] {
            measure(kind, size, subscribers, 1);
        }
        measure(kind, size, 20, 20);
    }
    measure_cold(Kind::Video, 1100, 500, 1, BATCH);
    measure_cold(Kind::Audio, 80, 500, 1, 1);
    measure_cold(Kind::Audio, 80, 50, 10, 1);
}
