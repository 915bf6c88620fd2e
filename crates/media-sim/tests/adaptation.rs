//! Which layer a line gets, how soon, and what the viewer sees meanwhile.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod common;

use std::time::{Duration, Instant};

use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, Loss, World};

use common::{SETUP, two};

/// As LiveKit's, with a middle layer that fits into half a megabit with its headers and room to spare.
const LAYERS: [LayerSpec; 3] =
    [LayerSpec::SIMULCAST[0], LayerSpec { bitrate_bps: 300_000, ..LayerSpec::SIMULCAST[1] }, LayerSpec::SIMULCAST[2]];

/// A line of half a megabit with a buffer of two thirds of a second, as behind many a radio link.
fn narrow() -> LinkConfig {
    LinkConfig { rate_bps: Some(500_000), queue_bytes: 40_000, ..LinkConfig::line() }
}

fn call(seed: u64, layers: &[LayerSpec]) -> (World, ClientId, String) {
    let (mut world, _, bob, _, section) = two(seed, layers);
    let best = layers.len() as u8 - 1;
    let flows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| v.layer() == Some(best));
    assert!(world.run_until(SETUP, flows), "the best layer flows");
    (world, bob, section)
}

/// The longest time without a new picture in this span.
fn longest_freeze(world: &mut World, id: ClientId, section: &str, from: Instant) -> Duration {
    let to = world.now();
    let shown = world.client(id).video[section].decodable().map(|frame| frame.at);
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in shown.filter(|at| *at >= from).chain([to]) {
        longest = longest.max(at.saturating_duration_since(last));
        last = at;
    }
    longest
}

fn layer(world: &mut World, id: ClientId, section: &str) -> u8 {
    world.client(id).video[section].layer().unwrap()
}

/// The line of a running call is capped; each seed finds it at another moment between two pictures.
fn cap(world: &mut World, id: ClientId, seed: u64) -> Instant {
    world.run_for(Duration::from_millis(2_000 + 137 * (seed % 23)));
    world.down(id).config = narrow();
    world.now()
}

#[test]
fn a_line_capped_at_half_a_megabit_gets_the_middle_layer_within_five_seconds_and_never_freezes_for_one() {
    for seed in 201..=224 {
        let (mut world, bob, section) = call(seed, &LAYERS);
        let capped = cap(&mut world, bob, seed);
        world.run_for(Duration::from_secs(5));
        for second in 5..35 {
            assert_eq!(layer(&mut world, bob, &section), 1, "seed {seed}: the layer after {second} s");
            world.run_for(Duration::from_secs(1));
        }
        let froze = longest_freeze(&mut world, bob, &section, capped);
        assert!(froze <= Duration::from_secs(1), "seed {seed}: a freeze of {froze:?}");
    }
}

#[test]
fn a_line_capped_while_the_best_layer_begins_freezes_no_longer() {
    // Down to the very moment at which the large layer's first key frame fills the line's buffer alone.
    for after_ms in [0, 100, 300, 1_000, 3_000, 10_000] {
        for seed in 501..=524 {
            let (mut world, bob, section) = call(seed, &LAYERS);
            world.run_for(Duration::from_millis(after_ms + 7 * (seed % 23)));
            world.down(bob).config = narrow();
            let capped = world.now();
            world.run_for(Duration::from_secs(5));
            for second in 5..15 {
                let layer = layer(&mut world, bob, &section);
                assert_eq!(layer, 1, "seed {seed}, capped after {after_ms} ms: the layer after {second} s");
                world.run_for(Duration::from_secs(1));
            }
            let froze = longest_freeze(&mut world, bob, &section, capped);
            assert!(froze <= Duration::from_secs(1), "seed {seed}, capped after {after_ms} ms: a freeze of {froze:?}");
        }
    }
}

#[test]
fn a_voice_suffers_no_longer_than_the_picture_takes_to_make_room() {
    for seed in 301..=320 {
        let (mut world, alice, bob, camera, section) = two(seed, &LAYERS);
        let microphone = world.publish_microphone(alice);
        world.subscribe(bob, microphone);
        assert!(world.run_until(SETUP, |world| world.section(bob, microphone).is_some()));
        let voice = world.section(bob, microphone).unwrap();
        let flows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| v.layer() == Some(2));
        assert!(world.run_until(SETUP, flows), "seed {seed}: the best layer flows");
        cap(&mut world, bob, seed);
        let spoken = |world: &mut World| world.client(alice).microphone.as_ref().unwrap().packets;
        let before = spoken(&mut world);
        world.run_for(Duration::from_secs(2));
        let settled = spoken(&mut world);
        world.run_for(Duration::from_secs(20));
        let end = spoken(&mut world) - 50;
        assert_eq!(world.section(bob, camera).as_ref(), Some(&section));
        assert!(layer(&mut world, bob, &section) < 2, "seed {seed}");
        let numbers = &world.client(bob).audio[&voice].numbers;
        let heard = |from: u32, to: u32| numbers.iter().filter(|number| (from..to).contains(*number)).count() as u32;
        assert_eq!(heard(settled, end), end - settled, "seed {seed}: of what was said two seconds later, all is heard");
        let (lost, said) = (settled - before - heard(before, settled), settled - before);
        assert!(lost * 5 <= said, "seed {seed}: {lost} of {said} packets lost right after the line was capped");
    }
}

#[test]
fn a_way_that_becomes_longer_costs_no_layer_and_no_frame() {
    for (seed, delay_ms) in (221..=240).zip([150, 300].into_iter().cycle()) {
        let (mut world, bob, section) = call(seed, &LAYERS);
        world.run_for(Duration::from_millis(500 + 37 * (seed % 20)));
        world.down(bob).config = LinkConfig { delay: Duration::from_millis(delay_ms), ..LinkConfig::line() };
        for second in 1..20 {
            world.run_for(Duration::from_secs(1));
            assert_eq!(layer(&mut world, bob, &section), 2, "seed {seed}: the layer after {second} s");
        }
        let now = world.now();
        let shown = world.client(bob).video[&section].shown_between(now - Duration::from_secs(10), now);
        assert!(shown >= 299, "seed {seed}: {shown} of 300 frames");
    }
}

#[test]
fn a_line_that_widens_again_is_found_within_ten_seconds_however_long_it_was_capped() {
    for (cap_s, seeds) in [(15, 211..=218), (60, 711..=718), (120, 719..=722)] {
        for seed in seeds {
            let (mut world, bob, section) = call(seed, &LAYERS);
            let capped = cap(&mut world, bob, seed);
            world.run_for(Duration::from_secs(5));
            for second in 5..cap_s {
                assert_eq!(layer(&mut world, bob, &section), 1, "seed {seed}: the layer after {second} s");
                world.run_for(Duration::from_secs(1));
            }
            let froze = longest_freeze(&mut world, bob, &section, capped);
            assert!(froze <= Duration::from_secs(1), "seed {seed}: a freeze of {froze:?}");
            world.down(bob).config = LinkConfig::line();
            let widened = world.now();
            let whole = |world: &mut World| layer(world, bob, &section) == 2;
            assert!(world.run_until(Duration::from_secs(10), whole), "seed {seed}: capped for {cap_s} s");
            let froze = longest_freeze(&mut world, bob, &section, widened);
            assert!(froze <= Duration::from_secs(1), "seed {seed}: a freeze of {froze:?}");
        }
    }
}

/// Shows what a line of this kind does to a call for so long: the layer each second, and the longest freeze.
fn on_line(seed: u64, config: LinkConfig, seconds: usize) -> (Vec<u8>, Duration) {
    let (mut world, bob, section) = call(seed, &LAYERS);
    world.run_for(Duration::from_secs(2));
    world.down(bob).config = config;
    let from = world.now();
    let layers = (0..seconds).map(|_| {
        world.run_for(Duration::from_secs(1));
        layer(&mut world, bob, &section)
    });
    let layers = layers.collect();
    (layers, longest_freeze(&mut world, bob, &section, from))
}

#[test]
fn packets_lost_by_chance_cost_no_layer_where_there_is_bandwidth() {
    for (loss, most_ms) in [(0.05, 800), (0.1, 1_000), (0.2, 2_000)] {
        for seed in 701..=712 {
            let (layers, froze) = on_line(seed, LinkConfig { loss: Loss::Random(loss), ..LinkConfig::line() }, 40);
            assert!(layers.iter().all(|layer| *layer == 2), "seed {seed}, {loss} lost: {layers:?}");
            assert!(froze <= Duration::from_millis(most_ms), "seed {seed}, {loss} lost: a freeze of {froze:?}");
        }
    }
}

#[test]
fn packets_that_a_policer_drops_are_not_taken_for_lost_by_chance() {
    for seed in 731..=738 {
        for (rate_bps, queue_bytes) in [(500_000, 4_000), (1_500_000, 4_000)] {
            let policed = LinkConfig { rate_bps: Some(rate_bps), queue_bytes, ..LinkConfig::line() };
            let (layers, _) = on_line(seed, policed, 40);
            assert!(layers.iter().skip(5).all(|layer| *layer < 2), "seed {seed}, {rate_bps} bps: {layers:?}");
            let changes = layers.windows(2).skip(5).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 3, "seed {seed}, {rate_bps} bps: {layers:?}");
        }
    }
}

#[test]
fn a_capped_line_that_also_loses_packets_by_chance_gets_no_more_than_it_carries() {
    for seed in 741..=748 {
        let (layers, froze) = on_line(seed, LinkConfig { loss: Loss::Random(0.05), ..narrow() }, 40);
        assert!(froze <= Duration::from_millis(1_500), "seed {seed}: a freeze of {froze:?}");
        assert!(layers.iter().skip(5).all(|layer| *layer == 1), "seed {seed}: {layers:?}");
        let (layers, froze) = on_line(seed, LinkConfig { loss: Loss::Random(0.2), ..narrow() }, 40);
        assert!(layers.iter().skip(5).all(|layer| *layer == 1), "seed {seed}: {layers:?}");
        assert!(froze <= Duration::from_millis(1_500), "seed {seed}: a freeze of {froze:?}");
    }
}

/// Pictures shown of 900, and the longest freeze, while a fifth is lost both ways between one of the two and the server.
fn half_a_minute_with_a_fifth_lost(seed: u64, publisher: bool) -> (usize, Duration) {
    let (mut world, alice, bob, _, section) = two(seed, &LayerSpec::SIMULCAST);
    let flows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| v.layer() == Some(2));
    assert!(world.run_until(SETUP, flows), "seed {seed}: the best layer flows");
    world.run_for(Duration::from_secs(2));
    let (bad, lossy) = (if publisher { alice } else { bob }, Loss::Random(0.2));
    world.up(bad).config.loss = lossy;
    world.down(bad).config.loss = lossy;
    let from = world.now();
    world.run_for(Duration::from_secs(30));
    let froze = longest_freeze(&mut world, bob, &section, from);
    let to = world.now();
    assert!(world.up(bad).counters.lost > 100 && world.down(bad).counters.lost > 100);
    (world.client(bob).video[&section].shown_between(from, to), froze)
}

// Now and then this client waits for one packet up to three seconds, so a single call says little.
#[test]
fn a_publisher_s_best_layer_is_repaired_where_a_fifth_is_lost_both_ways() {
    let calls: Vec<_> = (601..=612).map(|seed| half_a_minute_with_a_fifth_lost(seed, true)).collect();
    let mean = calls.iter().map(|(shown, _)| shown).sum::<usize>() / calls.len();
    assert!(mean >= 850, "{mean} of 900 pictures: {calls:?}");
    let frozen = calls.iter().filter(|(_, froze)| *froze > Duration::from_millis(1_500)).count();
    assert!(frozen <= 2, "{frozen} of twelve calls froze: {calls:?}");
}

// This client asks for a packet five times within 165 ms and never again, however often its requests or the repairs are
// lost; each packet that stays lost costs the pictures up to the next key frame.
#[test]
fn a_subscriber_sees_twenty_pictures_a_second_where_a_fifth_is_lost_both_ways() {
    for seed in 601..=612 {
        let (shown, froze) = half_a_minute_with_a_fifth_lost(seed, false);
        assert!(shown >= 600, "seed {seed}: {shown} of 900 pictures");
        assert!(froze <= Duration::from_secs(3), "seed {seed}: a freeze of {froze:?}");
    }
}

#[test]
fn key_frames_sent_in_one_burst_fit_into_the_buffer_of_a_line() {
    for (seed, queue_bytes) in (401..=406).zip([20_000, 40_000].into_iter().cycle()) {
        let (mut world, alice, bob, _, section) = two(seed, &LayerSpec::SIMULCAST);
        let flows = |world: &mut World| world.client(bob).video.get(&section).is_some_and(|v| v.layer() == Some(2));
        assert!(world.run_until(SETUP, flows), "seed {seed}: the best layer flows");
        world.down(bob).config = LinkConfig { rate_bps: Some(1_000_000), queue_bytes, ..LinkConfig::line() };
        world.run_for(Duration::from_secs(10));
        let (from, before) = (world.now(), world.down(bob).counters);
        for _ in 0..20 {
            world.client(alice).camera.as_mut().unwrap().request_key_frame(None);
            world.run_for(Duration::from_millis(1_500));
        }
        let after = world.down(bob).counters;
        assert_eq!(after.overflowed, before.overflowed, "seed {seed}: {} packets sent", after.sent - before.sent);
        let froze = longest_freeze(&mut world, bob, &section, from);
        assert!(froze <= Duration::from_millis(200), "seed {seed}: a freeze of {froze:?}");
    }
}
