//! Lines that lose, reorder and narrow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod common;

use std::time::Duration;

use auralink_media::api::TrackId;
use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, Loss, World};

use common::{SETUP, two};

fn line(loss: Loss) -> LinkConfig {
    LinkConfig { loss, ..LinkConfig::line() }
}

/// One publisher, one subscriber, media flowing for a second.
fn call(seed: u64, layers: &[LayerSpec]) -> (World, ClientId, ClientId, TrackId, String) {
    let (mut world, alice, bob, track, section) = two(seed, layers);
    let flows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| v.frames.len() > 30);
    assert!(world.run_until(SETUP, flows), "media flows");
    (world, alice, bob, track, section)
}

/// Of a thousand frames captured while the loss lasted: how many arrived whole, how many a decoder could show.
fn under_loss(loss: Loss, seed: u64, uplink: bool) -> (usize, usize) {
    let (mut world, alice, bob, _, section) = call(seed, &LayerSpec::SINGLE);
    let lossy = if uplink { alice } else { bob };
    let link = if uplink { world.up(lossy) } else { world.down(lossy) };
    link.config = line(loss);
    let from = world.now();
    world.run_for(Duration::from_secs(20));
    let to = world.now();
    // What was sent at the very end may still be repaired.
    world.run_for(Duration::from_secs(1));
    let lost = if uplink { world.up(lossy).counters.lost } else { world.down(lossy).counters.lost };
    assert!(lost > 20, "the link really lost packets: {lost}");
    let receiver = &world.client(bob).video[&section];
    assert_eq!(receiver.duplicates, 0, "a repaired packet is delivered once");
    let whole = receiver.frames.iter().filter(|frame| frame.at >= from && frame.at < to).count();
    (whole * 1000 / 600, receiver.shown_between(from, to) * 1000 / 600)
}

fn assert_repaired(loss: Loss, seeds: [u64; 3], uplink: bool, least_whole: usize, least_shown: usize) {
    for seed in seeds {
        let (whole, shown) = under_loss(loss, seed, uplink);
        assert!(whole >= least_whole && shown >= least_shown, "seed {seed}: {whole} whole, {shown} shown of 1000");
    }
}

#[test]
fn five_percent_loss_to_a_subscriber_is_repaired() {
    assert_repaired(Loss::Random(0.05), [11, 12, 13], false, 993, 950);
}

// A client asks five times within 165 ms, which is three round trips of this line: some packets stay lost, and each
// costs the frames up to the next key frame.
#[test]
fn twenty_percent_loss_to_a_subscriber_is_repaired() {
    assert_repaired(Loss::Random(0.2), [21, 22, 23], false, 970, 800);
}

#[test]
fn five_percent_loss_from_a_publisher_is_repaired() {
    assert_repaired(Loss::Random(0.05), [31, 32, 33], true, 993, 950);
}

#[test]
fn bursts_of_loss_are_repaired() {
    assert_repaired(Loss::Burst { enter: 0.005, leave: 0.2 }, [41, 42, 43], false, 990, 950);
}

#[test]
fn reordering_loses_and_repeats_nothing() {
    for uplink in [true, false] {
        let (mut world, alice, bob, _, section) = call(51, &LayerSpec::SINGLE);
        let link = if uplink { world.up(alice) } else { world.down(bob) };
        link.config = LinkConfig { reorder: 0.05, reorder_by: Duration::from_millis(15), ..LinkConfig::line() };
        let from = world.now();
        world.run_for(Duration::from_secs(10));
        let to = world.now();
        let receiver = &world.client(bob).video[&section];
        let shown = receiver.shown_between(from, to);
        assert!(shown >= 296, "uplink {uplink}: {shown} of 300 frames");
        assert_eq!(receiver.duplicates, 0);
    }
}

#[test]
fn duplicated_packets_are_forwarded_once() {
    let (mut world, alice, bob, _, section) = call(61, &LayerSpec::SINGLE);
    world.up(alice).config = LinkConfig { duplicate: 0.2, ..LinkConfig::line() };
    let before = world.client(bob).video[&section].packets;
    world.run_for(Duration::from_secs(5));
    assert!(world.up(alice).counters.duplicated > 50);
    let receiver = &world.client(bob).video[&section];
    assert_eq!(receiver.duplicates, 0);
    assert!(receiver.packets > before + 300);
}

#[test]
fn a_subscriber_on_a_wide_link_gets_the_best_layer() {
    let (mut world, _, bob, _, section) = call(71, &LayerSpec::SIMULCAST);
    let best = |world: &mut World| world.client(bob).video[&section].layer() == Some(2);
    assert!(world.run_until(Duration::from_secs(15), best));
    let from = world.now();
    world.run_for(Duration::from_secs(10));
    let to = world.now();
    let receiver = &world.client(bob).video[&section];
    assert_eq!(receiver.layer(), Some(2));
    assert!(receiver.shown_between(from, to) >= 290);
}

#[test]
fn a_narrowed_link_gets_a_lower_layer_and_the_best_one_again_when_it_widens() {
    let (mut world, _, bob, _, section) = call(81, &LayerSpec::SIMULCAST);
    let layer = |world: &mut World| world.client(bob).video[&section].layer();
    assert!(world.run_until(Duration::from_secs(15), |world| layer(world) == Some(2)), "starts with the best");

    world.down(bob).config = LinkConfig { rate_bps: Some(500_000), queue_bytes: 30_000, ..LinkConfig::line() };
    assert!(world.run_until(Duration::from_secs(10), |world| layer(world) < Some(2)), "goes down");
    // Settled: the lower layers flow, the queue does not overflow for long.
    world.run_for(Duration::from_secs(5));
    let (from, overflowed) = (world.now(), world.down(bob).counters.overflowed);
    world.run_for(Duration::from_secs(10));
    let to = world.now();
    let shown = world.client(bob).video[&section].shown_between(from, to);
    assert!(shown >= 240, "{shown} of 300 frames on a narrow link");
    let lost = world.down(bob).counters.overflowed - overflowed;
    assert!(lost < 60, "{lost} packets overflowed the narrow link");

    world.down(bob).config = LinkConfig::line();
    assert!(world.run_until(Duration::from_secs(40), |world| layer(world) == Some(2)), "comes back up");
    let from = world.now();
    world.run_for(Duration::from_secs(5));
    let to = world.now();
    assert!(world.client(bob).video[&section].shown_between(from, to) >= 140);
}

#[test]
fn one_subscriber_s_bad_line_costs_the_others_nothing() {
    let (mut world, _, bob, track, section) = call(91, &LayerSpec::SIMULCAST);
    let carol = world.join(LinkConfig::line(), LinkConfig::line());
    assert!(world.run_until(SETUP, |world| world.client(carol).connected));
    world.subscribe(carol, track);
    assert!(world.run_until(SETUP, |world| world.section(carol, track).is_some()));
    let carols = world.section(carol, track).unwrap();
    let best = |world: &mut World| world.client(carol).video.get(&carols).is_some_and(|v| v.layer() == Some(2));
    assert!(world.run_until(SETUP, best));
    world.down(bob).config = LinkConfig { rate_bps: Some(400_000), queue_bytes: 20_000, ..line(Loss::Random(0.1)) };
    let from = world.now();
    world.run_for(Duration::from_secs(15));
    let to = world.now();
    let good = &world.client(carol).video[&carols];
    assert!(good.shown_between(from, to) >= 445, "{} of 450 frames", good.shown_between(from, to));
    assert!(good.frames.iter().filter(|frame| frame.at >= from).all(|frame| frame.tag.layer == 2));
    assert!(world.client(bob).video[&section].shown_between(from, to) > 200);
}

#[test]
fn audio_numbers_are_never_repeated_or_swapped_under_loss_and_reordering() {
    let mut world = World::new(101);
    let alice = world.join(LinkConfig::line(), LinkConfig::line());
    let bob = world.join(LinkConfig::line(), LinkConfig::line());
    assert!(world.run_until(SETUP, |world| world.client(alice).connected && world.client(bob).connected));
    let track = world.publish_microphone(alice);
    world.subscribe(bob, track);
    assert!(world.run_until(SETUP, |world| world.section(bob, track).is_some()));
    let section = world.section(bob, track).unwrap();
    world.up(alice).config = LinkConfig { reorder: 0.05, duplicate: 0.05, ..line(Loss::Random(0.1)) };
    world.run_for(Duration::from_secs(20));
    let heard = &world.client(bob).audio[&section];
    assert_eq!(heard.duplicates, 0);
    // Ninety percent arrive; sequence numbers tell the order, so each number is heard once, under its own sequence.
    assert!(heard.numbers.len() > 850, "{} of 1000", heard.numbers.len());
    let distinct: std::collections::BTreeSet<u32> = heard.numbers.iter().copied().collect();
    assert_eq!(distinct.len(), heard.numbers.len());
}
