//! A line that becomes narrow under a track whose layers are in one stream (SVC).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::time::{Duration, Instant};

use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, Scalability, World};

/// In which everything is up, however loaded the line.
const SETUP: Duration = Duration::from_secs(20);

/// A viewer who gets the best layer, and the section of the track.
fn call(seed: u64, mode: Scalability) -> (World, ClientId, String) {
    let mut world = World::new(seed);
    let alice = world.join(LinkConfig::line(), LinkConfig::line());
    let bob = world.join(LinkConfig::line(), LinkConfig::line());
    assert!(world.run_until(SETUP, |world| world.client(alice).connected && world.client(bob).connected));
    let track = world.publish_layered_camera(alice, &LayerSpec::LAYERED, mode);
    world.subscribe(bob, track);
    assert!(world.run_until(SETUP, |world| world.section(bob, track).is_some()));
    let section = world.section(bob, track).unwrap();
    let flows = |world: &mut World| world.client(bob).layered.get(&section).is_some_and(|v| v.layer() == Some(2));
    assert!(world.run_until(SETUP, flows), "seed {seed}: the best layer flows");
    (world, bob, section)
}

fn layer(world: &mut World, id: ClientId, section: &str) -> u8 {
    world.client(id).layered[section].layer().unwrap()
}

/// The longest time without a new picture since then.
fn longest_freeze(world: &mut World, id: ClientId, section: &str, from: Instant) -> Duration {
    let to = world.now();
    let shown = world.client(id).layered[section].shown.iter().map(|shown| shown.at).filter(|at| *at >= from);
    let (mut last, mut longest) = (from, Duration::ZERO);
    for at in shown.chain([to]) {
        longest = longest.max(at.saturating_duration_since(last));
        last = at;
    }
    longest
}

/// Three layers in one stream, with half a megabit for the lower two.
fn capped_and_widened(mode: Scalability, seed: u64) {
    let (mut world, bob, section) = call(seed, mode);
    world.run_for(Duration::from_millis(2_000 + 137 * (seed % 23)));
    world.down(bob).config = LinkConfig { rate_bps: Some(500_000), queue_bytes: 40_000, ..LinkConfig::line() };
    let capped = world.now();
    world.run_for(Duration::from_secs(5));
    for second in 5..30 {
        assert_eq!(layer(&mut world, bob, &section), 1, "{mode:?}, seed {seed}: the layer after {second} s");
        world.run_for(Duration::from_secs(1));
    }
    let froze = longest_freeze(&mut world, bob, &section, capped);
    assert!(froze <= Duration::from_millis(300), "{mode:?}, seed {seed}: a freeze of {froze:?}");
    world.down(bob).config = LinkConfig::line();
    let widened = world.now();
    let whole = |world: &mut World| layer(world, bob, &section) == 2;
    assert!(world.run_until(Duration::from_secs(10), whole), "{mode:?}, seed {seed}: the best layer again");
    world.run_for(Duration::from_secs(5));
    assert_eq!(layer(&mut world, bob, &section), 2, "{mode:?}, seed {seed}");
    let froze = longest_freeze(&mut world, bob, &section, widened);
    assert!(froze <= Duration::from_millis(300), "{mode:?}, seed {seed}: a freeze of {froze:?}");
    assert_eq!(world.client(bob).layered[&section].duplicates, 0);
}

#[test]
fn a_capped_line_gets_the_middle_layer_of_a_stream_and_the_best_one_when_it_widens() {
    for seed in 801..=812 {
        capped_and_widened(Scalability::L3T3Key, seed);
        capped_and_widened(Scalability::L3T3, seed);
    }
}
