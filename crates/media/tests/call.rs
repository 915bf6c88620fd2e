//! A call between full WebRTC clients through a shard, on a virtual clock.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use auralink_media::api::*;
use common::*;
use str0m::media::Mid;

/// Sends audio every 20 ms and video frames of three packets every 40 ms.
struct Sender {
    audio: Option<Mid>,
    video: Option<(Mid, Option<&'static str>)>,
    sequence: u64,
    frames: u16,
}

impl Sender {
    fn step(&mut self, world: &mut World, index: usize, ms: u64) {
        if let (Some(mid), 0) = (self.audio, ms % 20) {
            let sequence = world.now.duration_since(world.start).as_millis() as u64 / 20;
            let payload = vec![0xAA; 80];
            let timestamp = sequence as u32 * 960;
            let level = Some(-20);
            world.write_rtp(
                index,
                mid,
                None,
                Rtp { payload_type: OPUS, sequence, timestamp, marker: false, payload, level },
            );
        }
        if let (Some((mid, rid)), 0) = (self.video, ms % 40) {
            let key = self.frames % 25 == 0 || !world.clients[index].keyframe_requests.is_empty();
            world.clients[index].keyframe_requests.clear();
            for part in 0..3 {
                let payload = vp8(key, part == 0, self.frames, self.frames as u8, part, 1000);
                let (sequence, timestamp) = (self.sequence, u32::from(self.frames) * 3600);
                let marker = part == 2;
                self.sequence += 1;
                world.write_rtp(
                    index,
                    mid,
                    rid,
                    Rtp { payload_type: VP8, sequence, timestamp, marker, payload, level: None },
                );
            }
            self.frames += 1;
        }
    }
}

fn two_in_a_call() -> (World, usize, usize, Sender) {
    let mut world = World::new();
    let (alice, bob) = (world.client(1), world.client(2));
    let (audio, video) = world.offer(alice, |api| {
        World::channels(api);
        (send_audio(api), send_video(api, &[]))
    });
    let receiving = world.offer(bob, |api| {
        World::channels(api);
        receive_only(api, 2, 2)
    });
    world.clients[bob].receiving = receiving;
    world.until("both are connected", |world| {
        [1, 2].iter().all(|id| world.has(|e| *e == Event::Connected { peer: PeerId(*id) }))
    });
    world.publish(alice, 10, audio, Kind::Audio, vec![]);
    world.publish(alice, 11, video, Kind::Video, vec![]);
    let sender = Sender { audio: Some(audio), video: Some((video, None)), sequence: 500, frames: 0 };
    (world, alice, bob, sender)
}

#[test]
fn audio_and_video_of_one_client_reach_another_in_order() {
    let (mut world, alice, bob, mut sender) = two_in_a_call();
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.run(5);
    assert!(world.has(|e| matches!(e, Event::SectionsNeeded { peer: PeerId(2), audio: 0, video: 0 })));
    world.offer_to_receive(bob, 0, 0);
    assert_eq!(world.clients[bob].mid_to_track.len(), 2);
    world.run_with(2000, |world, ms| sender.step(world, alice, ms));
    assert!(world.has(|e| *e == Event::TrackStarted { track: TrackId(11), mime: "video/VP8".into() }));
    let received = &world.clients[bob].received;
    let audio: Vec<_> = received.iter().filter(|p| *p.header.payload_type == OPUS).collect();
    let video: Vec<_> = received.iter().filter(|p| *p.header.payload_type == VP8).collect();
    assert!(audio.len() >= 95, "{} audio packets", audio.len());
    assert!(video.len() >= 140, "{} video packets", video.len());
    for stream in [&audio, &video] {
        for pair in stream.windows(2) {
            assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "in sequence");
        }
    }
    assert!(audio.iter().all(|p| p.payload[..] == [0xAA; 80]));
    assert_eq!(video[0].payload[6] & 1, 0, "the first video packet starts a key frame");
    assert_eq!(world.shard.counters().dropped_auth, 0);
}

#[test]
fn data_flows_both_ways_on_every_channel() {
    let (mut world, alice, bob, _) = two_in_a_call();
    world.until("channels are open", |world| {
        world.events.iter().filter(|e| matches!(e, Event::ChannelOpen { .. })).count() == 6
    });
    for channel in Channel::ALL {
        world.write_data(alice, channel.label(), channel.label().as_bytes());
        world.run(50);
        let payload = channel.label().as_bytes().to_vec();
        assert!(world.has(|e| *e == Event::Data { peer: PeerId(1), channel, payload: payload.clone() }));
        world.command(Command::SendData { peers: vec![PeerId(2), PeerId(99)], channel, payload: payload.clone() });
        world.run(50);
        assert_eq!(world.clients[bob].data.pop(), Some((channel.label().to_owned(), payload)));
    }
}
