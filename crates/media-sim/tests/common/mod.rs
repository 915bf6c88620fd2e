//! What the scenarios begin with.

use std::time::Duration;

use auralink_media::api::TrackId;
use auralink_media_sim::{ClientId, LayerSpec, LinkConfig, World};

/// In which everything is up, however loaded the line.
pub const SETUP: Duration = Duration::from_secs(20);

/// A publisher, a subscriber that has its section for the publisher's camera, the camera, and the section.
pub fn two(seed: u64, layers: &[LayerSpec]) -> (World, ClientId, ClientId, TrackId, String) {
    let mut world = World::new(seed);
    let alice = world.join(LinkConfig::line(), LinkConfig::line());
    let bob = world.join(LinkConfig::line(), LinkConfig::line());
    assert!(world.run_until(SETUP, |world| world.client(alice).connected && world.client(bob).connected));
    let track = world.publish_camera(alice, layers);
    world.subscribe(bob, track);
    assert!(world.run_until(SETUP, |world| world.section(bob, track).is_some()));
    let section = world.section(bob, track).unwrap();
    (world, alice, bob, track, section)
}
