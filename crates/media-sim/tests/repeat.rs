//! One seed is one run: what a scenario found once, it finds again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod common;

use std::time::Duration;

use auralink_media_sim::{Class, LayerSpec, LinkConfig, Loss, Sent};

use common::two;

/// Packets of media in a call in which much is lost, repaired, delayed, reordered and switched.
fn media(seed: u64) -> Vec<Sent> {
    let (mut world, alice, bob, _, _) = two(seed, &LayerSpec::SIMULCAST);
    world.run_for(Duration::from_secs(4));
    let loss = Loss::Burst { enter: 0.02, leave: 0.3 };
    world.up(alice).config = LinkConfig { loss, reorder: 0.02, duplicate: 0.02, ..LinkConfig::line() };
    let loss = Loss::Random(0.1);
    world.down(bob).config = LinkConfig { rate_bps: Some(500_000), queue_bytes: 40_000, loss, ..LinkConfig::line() };
    world.run_for(Duration::from_secs(15));
    world.down(bob).config = LinkConfig::line();
    world.run_for(Duration::from_secs(10));
    world.sent.retain(|sent| sent.class == Class::Media);
    world.sent
}

#[test]
fn a_seed_sends_the_same_packets_at_the_same_times_again() {
    for seed in 1..=4 {
        let (first, again) = (media(seed), media(seed));
        assert!(first.len() > 10_000, "seed {seed}: {} packets", first.len());
        let differs = first.iter().zip(&again).position(|(one, other)| one != other);
        let shown = differs.map(|at| (first[at], again[at]));
        assert_eq!(differs, None, "seed {seed}: {shown:?} of {} and {} packets", first.len(), again.len());
        assert_eq!(first.len(), again.len(), "seed {seed}");
    }
    assert_ne!(media(1), media(2));
}
