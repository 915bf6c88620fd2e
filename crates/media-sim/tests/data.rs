//! Bulk data, as files are: who sends faster than a reader can read waits for it, unless it is hopelessly slow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::time::Duration;

use auralink_media::api::{Channel, Command, Event, Limits, PeerId};
use auralink_media_sim::{ClientId, LinkConfig, World};

const SETUP: Duration = Duration::from_secs(10);
const MESSAGE: usize = 15_000;
/// The signal plane and each reader's queue, smaller than in a server so that little data fill them.
const QUEUE: usize = 1024 * 1024;

fn join(world: &mut World, down_bps: Option<u64>) -> ClientId {
    let down = LinkConfig { rate_bps: down_bps, ..LinkConfig::line() };
    let id = world.join(LinkConfig::line(), down);
    assert!(world.run_until(SETUP, |world| world.client(id).has_channel("_reliable")), "client {} connects", id.0);
    id
}

/// Alice says so many numbered messages as fast as her channel takes them, and the signal plane passes each on to all
/// readers. True when `done` holds in time.
fn transfer(
    world: &mut World,
    alice: ClientId,
    readers: &[ClientId],
    messages: u32,
    within: Duration,
    mut done: impl FnMut(&mut World) -> bool,
) -> bool {
    let until = world.elapsed() + within;
    let (mut said, mut passed) = (0, world.events.len());
    while world.elapsed() < until {
        while said < messages && world.client(alice).send_data("_reliable", &said.to_be_bytes().repeat(MESSAGE / 4)) {
            said += 1;
        }
        world.run_for(Duration::from_millis(5));
        while let Some((_, event)) = world.events.get(passed) {
            if let Event::Data { peer, payload, .. } = event {
                let peers = readers.iter().map(|reader| PeerId(reader.0 as u64 + 1)).collect();
                let (payload, sender) = (payload.clone(), Some(*peer));
                world.command(Command::SendData { peers, channel: Channel::Reliable, payload, sender });
            }
            passed += 1;
        }
        if done(world) {
            return true;
        }
    }
    false
}

fn numbers(world: &mut World, id: ClientId) -> Vec<u32> {
    let data = world.client(id).data.iter();
    data.map(|(_, payload)| u32::from_be_bytes(*payload.first_chunk().unwrap())).collect()
}

fn closed(world: &World) -> usize {
    world.events.iter().filter(|(_, event)| matches!(event, Event::PeerClosed { .. })).count()
}

fn limits() -> Limits {
    Limits { max_data_queue_bytes: QUEUE, ..Limits::default() }
}

#[test]
fn a_file_larger_than_a_readers_queue_arrives_at_the_pace_of_its_line() {
    let mut world = World::with_limits(1, limits());
    let (alice, bob, carol) = (join(&mut world, None), join(&mut world, Some(8_000_000)), join(&mut world, None));
    let messages = 6 * QUEUE as u32 / MESSAGE as u32;
    let all = |world: &mut World| numbers(world, bob).len() == messages as usize;
    let arrived = transfer(&mut world, alice, &[bob, carol], messages, Duration::from_secs(60), all);
    let got = numbers(&mut world, bob);
    assert!(arrived, "{} of {messages} after {:?}, {} closed", got.len(), world.elapsed(), closed(&world));
    assert_eq!(got, (0..messages).collect::<Vec<u32>>());
    assert_eq!(numbers(&mut world, carol), got, "a faster one hears the same");
    assert_eq!(closed(&world), 0);
}

#[test]
fn nobody_waits_for_a_reader_that_has_stopped_reading() {
    let mut world = World::with_limits(2, limits());
    let (alice, bob, carol) = (join(&mut world, None), join(&mut world, None), join(&mut world, None));
    world.down(bob).config.loss = auralink_media_sim::Loss::Random(1.0);
    let messages = 4 * QUEUE as u32 / MESSAGE as u32;
    let all = |world: &mut World| numbers(world, carol).len() == messages as usize;
    let arrived = transfer(&mut world, alice, &[bob, carol], messages, Duration::from_secs(30), all);
    assert!(arrived, "{} of {messages}", numbers(&mut world, carol).len());
    assert_eq!(closed(&world), 1, "who stopped reading has to connect anew");
}
