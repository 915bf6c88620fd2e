//! A source of recognisable media.

use auralink_media::api::*;
use str0m::media::Mid;

use super::{OPUS, Rtp, VP8, World, h264, vp8};

/// Sends audio every 20 ms and, on each layer, a video frame of three packets every 40 ms: a key frame when asked for.
pub struct Sender {
    pub audio: Option<Mid>,
    pub video: Option<Mid>,
    pub layers: Vec<VideoLayer>,
    /// Of its video: VP8 or H264.
    pub payload_type: u8,
}

pub struct VideoLayer {
    pub rid: Option<&'static str>,
    pub sending: bool,
    pub sequence: u64,
    pub frames: u16,
    /// Start of its timestamps: layers of a real encoder start anywhere.
    pub base: u32,
    pub packet: usize,
}

impl Sender {
    pub fn new(audio: Option<Mid>, video: Option<Mid>, rids: &[&'static str]) -> Sender {
        let layer = |(index, rid)| VideoLayer {
            rid,
            sending: true,
            sequence: 500 + 1000 * index as u64,
            frames: 100 * index as u16,
            base: 1_000_000_007u32.wrapping_mul(index as u32 + 1),
            packet: 300 + 300 * index,
        };
        let rids: Vec<_> = if rids.is_empty() { vec![None] } else { rids.iter().map(|rid| Some(*rid)).collect() };
        Sender { audio, video, layers: rids.into_iter().enumerate().map(layer).collect(), payload_type: VP8 }
    }

    pub fn step(&mut self, world: &mut World, index: usize, ms: u64) {
        let elapsed = world.now.duration_since(world.start).as_millis() as u64;
        if let (Some(mid), 0) = (self.audio, ms % 20) {
            let (sequence, payload) = (elapsed / 20, vec![0xAA; 80]);
            let (timestamp, level) = (sequence as u32 * 960, Some(-20));
            let packet = Rtp { payload_type: OPUS, sequence, timestamp, marker: false, payload, level };
            world.write_rtp(index, mid, None, packet);
        }
        let (Some(mid), 0) = (self.video, ms % 40) else { return };
        let asked = std::mem::take(&mut world.clients[index].keyframe_requests);
        let (requests, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(at, _)| *at == mid);
        world.clients[index].keyframe_requests = others;
        for layer in self.layers.iter_mut().filter(|layer| layer.sending) {
            let key = requests.iter().any(|(_, rid)| rid.as_deref() == layer.rid);
            for part in 0..3 {
                let fill = layer.rid.map_or(b'v', |rid| rid.as_bytes()[0]);
                let payload = match self.payload_type {
                    VP8 => vp8(key, part == 0, layer.frames, layer.frames as u8, fill, layer.packet),
                    _ => h264(key && part == 0, fill, layer.packet),
                };
                let timestamp = layer.base.wrapping_add(elapsed as u32 * 90);
                let (sequence, marker) = (layer.sequence, part == 2);
                layer.sequence += 1;
                let packet = Rtp { payload_type: self.payload_type, sequence, timestamp, marker, payload, level: None };
                world.write_rtp(index, mid, layer.rid, packet);
            }
            layer.frames += 1;
        }
    }
}

/// LiveKit's three layers of a 720p camera.
pub fn three_layers() -> Vec<Layer> {
    let layer = |quality, width, height| Layer { quality, width, height, bitrate_bps: 0 };
    vec![layer(Quality::Low, 320, 180), layer(Quality::Medium, 640, 360), layer(Quality::High, 1280, 720)]
}

/// Alice publishes audio (track 10) and video (track 11); Bob can receive two of each and is subscribed to nothing.
pub fn two_in_a_call(rids: &[&'static str]) -> (World, usize, usize, Sender) {
    two_in_a_call_with(super::config(), rids)
}

pub fn two_in_a_call_with(config: ShardConfig, rids: &[&'static str]) -> (World, usize, usize, Sender) {
    let mut world = World::with(config);
    let (alice, bob, sender) = call_in(&mut world, rids);
    (world, alice, bob, sender)
}

/// The same in a world that is there already.
pub fn call_in(world: &mut World, rids: &[&'static str]) -> (usize, usize, Sender) {
    let (alice, bob) = (world.client(1), world.client(2));
    let (audio, video) = world.offer(alice, |api| {
        World::channels(api);
        (super::send_audio(api), super::send_video(api, rids))
    });
    let receiving = world.offer(bob, |api| {
        World::channels(api);
        super::receive_only(api, 2, 2)
    });
    world.clients[bob].receiving = receiving;
    world.until("both are connected", |world| {
        [1, 2].iter().all(|id| world.has(|e| *e == Event::Connected { peer: PeerId(*id) }))
    });
    world.publish(alice, 10, audio, Kind::Audio, vec![]);
    world.publish(alice, 11, video, Kind::Video, if rids.is_empty() { vec![] } else { three_layers() });
    (alice, bob, Sender::new(Some(audio), Some(video), rids))
}

/// The same, with Bob subscribed to both and bound.
pub fn bob_hears_and_sees(rids: &[&'static str]) -> (World, usize, usize, Sender) {
    let (mut world, alice, bob, sender) = two_in_a_call(rids);
    world.subscribe(bob, 10);
    world.subscribe(bob, 11);
    world.offer_to_receive(bob, 0, 0);
    assert_eq!(world.clients[bob].mid_to_track.len(), 2);
    (world, alice, bob, sender)
}
