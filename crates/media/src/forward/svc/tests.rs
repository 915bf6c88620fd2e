#![allow(clippy::unwrap_used)]
use super::*;
use crate::wire::codec::dependency::tests::Encoder;
use proptest::prelude::*;

/// An encoder and a subscriber's selector, picture by picture.
struct Stream {
    encoder: Encoder,
    known: Known,
    selector: Selector,
    picture: usize,
}

/// What of a picture was sent: its spatial layers; and whether the subscriber needs a key frame.
type Seen = (Vec<u8>, bool);

impl Stream {
    fn new(spatial: u8, temporal: u8, key_only: bool) -> Stream {
        let encoder = Encoder::new(spatial, temporal, key_only);
        Stream { encoder, known: Known::default(), selector: Selector::default(), picture: 0 }
    }

    fn temporal(&self, key: bool) -> u8 {
        let of = |pattern: &[u8]| pattern[self.picture % pattern.len()];
        match self.encoder.temporal {
            _ if key => 0,
            3 => of(&[0, 2, 1, 2]),
            2 => of(&[0, 1]),
            _ => 0,
        }
    }

    fn packet(&mut self, value: &[u8], wanted: (u8, u8)) -> (Frame, Verdict) {
        let frame = Frame::parse(value, &mut self.known).unwrap();
        let wanted = Wanted { spatial: wanted.0, temporal: wanted.1 };
        let packet = Layered::Targets(frame, self.known.version);
        (frame, self.selector.judge(&packet, false, Some(&self.known), wanted))
    }

    /// One picture of two packets per layer.
    fn picture(&mut self, key: bool, wanted: (u8, u8)) -> Seen {
        if key {
            self.picture = 0;
        }
        let temporal = self.temporal(key);
        let (mut sent, mut needs) = (Vec::new(), false);
        let mut lasts = 0;
        for spatial in 0..self.encoder.spatial {
            let mut whole = 0;
            for value in self.encoder.frame(spatial, temporal, key, 2) {
                let (_, verdict) = self.packet(&value, wanted);
                whole += usize::from(verdict.send);
                lasts += usize::from(verdict.send && verdict.last);
                needs |= verdict.needs_keyframe;
            }
            assert!(whole != 1, "a frame is sent whole or not at all");
            if whole == 2 {
                sent.push(spatial);
            }
        }
        assert_eq!(lasts, usize::from(!sent.is_empty()), "one packet ends the picture");
        self.picture += 1;
        (sent, needs)
    }

    fn run(&mut self, pictures: usize, wanted: (u8, u8)) -> Vec<Seen> {
        (0..pictures).map(|_| self.picture(false, wanted)).collect()
    }
}

fn layers(seen: &[Seen]) -> Vec<Vec<u8>> {
    seen.iter().map(|(sent, _)| sent.clone()).collect()
}

#[test]
fn nothing_is_sent_before_a_key_frame() {
    let mut stream = Stream::new(3, 3, true);
    stream.picture(true, (2, 2));
    stream.selector.stop();
    assert_eq!(stream.picture(false, (2, 2)), (vec![], true));
    assert_eq!(stream.picture(true, (2, 2)), (vec![0, 1, 2], false));
}

#[test]
fn with_layers_joined_at_key_frames_only_the_wanted_one_is_sent_in_between() {
    let mut stream = Stream::new(3, 3, true);
    assert_eq!(stream.picture(true, (1, 2)).0, [0, 1]);
    assert_eq!(layers(&stream.run(4, (1, 2))), [[1], [1], [1], [1]]);
}

#[test]
fn a_higher_spatial_layer_waits_for_its_key_frame() {
    for key_only in [true, false] {
        let mut stream = Stream::new(3, 3, key_only);
        stream.picture(true, (0, 2));
        let seen = stream.run(8, (2, 2));
        assert!(seen.iter().all(|(sent, needs)| *sent == [0] && *needs), "{seen:?}");
        assert_eq!(stream.picture(true, (2, 2)), (vec![0, 1, 2], false));
    }
}

#[test]
fn layers_that_build_on_each_other_are_left_without_a_key_frame() {
    let mut stream = Stream::new(3, 1, false);
    stream.picture(true, (2, 0));
    assert_eq!(layers(&stream.run(2, (2, 0))), [[0, 1, 2], [0, 1, 2]]);
    let seen = stream.run(2, (0, 0));
    assert_eq!(seen, [(vec![0], false), (vec![0], false)]);
}

#[test]
fn independent_layers_are_left_at_a_key_frame_and_thinned_until_then() {
    let mut stream = Stream::new(3, 3, true);
    stream.picture(true, (2, 2));
    stream.run(4, (2, 2));
    let seen = stream.run(8, (0, 2));
    // Of the pictures 2 1 2 0 2 1 2 0 only the base ones.
    let expected = [vec![], vec![], vec![], vec![2], vec![], vec![], vec![], vec![2]];
    assert_eq!(layers(&seen), expected);
    assert!(seen.iter().all(|(_, needs)| *needs));
    assert_eq!(stream.picture(true, (0, 2)), (vec![0], false));
}

#[test]
fn temporal_layers_are_left_at_once_and_entered_where_that_is_possible() {
    let mut stream = Stream::new(1, 3, false);
    stream.picture(true, (0, 2));
    let thinned = layers(&stream.run(4, (0, 0)));
    assert_eq!(thinned, [vec![], vec![], vec![], vec![0]], "pictures 2 1 2 0");
    let seen = stream.run(4, (0, 2));
    assert!(seen.iter().all(|(_, needs)| !needs), "no key frame is needed for that");
    assert_eq!(layers(&stream.run(4, (0, 2))), [[0], [0], [0], [0]]);
}

#[test]
fn the_subscriber_is_told_which_targets_are_left() {
    let mut stream = Stream::new(3, 3, true);
    let key = stream.encoder.frame(0, 0, true, 1).remove(0);
    assert_eq!(stream.packet(&key, (2, 2)).1.active, Some(0b111_000_000), "the best picture alone");
    for spatial in [1, 2] {
        let value = stream.encoder.frame(spatial, 0, true, 1).remove(0);
        stream.packet(&value, (2, 2));
    }
    // The lower pictures end with the key frame.
    let frames: Vec<Vec<u8>> = (0..3).flat_map(|spatial| stream.encoder.frame(spatial, 0, false, 1)).collect();
    let masks: Vec<_> = frames.iter().map(|value| stream.packet(value, (2, 1)).1.active).collect();
    assert_eq!(masks.last().copied().flatten(), Some(0b011_000_000));
}

#[test]
fn packets_that_come_late_follow_what_was_decided_for_their_frame() {
    let mut stream = Stream::new(2, 1, true);
    stream.picture(true, (0, 0));
    let low = stream.encoder.frame(0, 0, false, 2);
    let high = stream.encoder.frame(1, 0, false, 2);
    let sent = |stream: &mut Stream, value: &[u8]| stream.packet(value, (0, 0)).1.send;
    assert!(sent(&mut stream, &low[0]));
    assert!(!sent(&mut stream, &high[0]));
    assert!(sent(&mut stream, &low[1]), "overtaken by the upper layer");
    assert!(!sent(&mut stream, &high[1]));
}

fn vp9(spatial: u8, temporal: u8, key: bool, up: bool) -> vp9::Descriptor {
    vp9::Descriptor {
        starts_frame: true,
        ends_frame: true,
        keyframe: key && spatial == 0,
        inter_predicted: !key,
        spatial,
        temporal,
        switching_up: up,
        inter_layer: spatial > 0,
        ..vp9::Descriptor::default()
    }
}

fn judge(selector: &mut Selector, packet: vp9::Descriptor, wanted: (u8, u8)) -> Verdict {
    selector.judge(&Layered::Vp9(packet), packet.keyframe, None, Wanted { spatial: wanted.0, temporal: wanted.1 })
}

#[test]
fn without_a_dependency_descriptor_vp9_is_chosen_by_its_own() {
    let mut selector = Selector::default();
    assert!(judge(&mut selector, vp9(0, 0, false, false), (1, 2)).needs_keyframe);
    let key = judge(&mut selector, vp9(0, 0, true, false), (1, 2));
    assert!(key.send && !key.last && !key.needs_keyframe);
    let top = judge(&mut selector, vp9(1, 0, true, false), (1, 2));
    assert!(top.send && top.last);
    assert!(!judge(&mut selector, vp9(2, 0, true, false), (1, 2)).send);
    // Down at the next picture, up only with a key frame.
    let base = judge(&mut selector, vp9(0, 0, false, false), (0, 2));
    assert!(base.send && base.last);
    assert!(!judge(&mut selector, vp9(1, 0, false, false), (0, 2)).send);
    assert!(judge(&mut selector, vp9(0, 0, false, false), (1, 2)).needs_keyframe);
    assert!(!judge(&mut selector, vp9(1, 0, false, false), (1, 2)).send);
    // Frame rate: down at any picture, up where the sender allows it.
    assert!(!judge(&mut selector, vp9(0, 2, false, true), (0, 0)).send);
    assert!(judge(&mut selector, vp9(0, 0, false, false), (0, 2)).send);
    assert!(!judge(&mut selector, vp9(0, 2, false, true), (0, 2)).send);
    assert!(judge(&mut selector, vp9(0, 0, false, true), (0, 2)).send);
    assert!(judge(&mut selector, vp9(0, 2, false, true), (0, 2)).send);
}

proptest! {
    /// What a decoder gets it can decode: every frame of its target's chain since the key frame.
    #[test]
    fn a_sent_frame_never_builds_on_one_left_out(
        spatial in 1u8..4, temporal in 1u8..4, key_only: bool,
        steps in prop::collection::vec((0u8..4, 0u8..4, 0u8..20), 1..60),
    ) {
        let mut stream = Stream::new(spatial, temporal, key_only);
        stream.picture(true, (0, 0));
        let mut since_base = vec![0];
        for (wanted_spatial, wanted_temporal, dice) in steps {
            let key = dice == 0;
            let level = stream.temporal(key);
            let (sent, _) = stream.picture(key, (wanted_spatial, wanted_temporal));
            if !key && !sent.is_empty() {
                let top = sent.iter().max().unwrap();
                prop_assert!(since_base.contains(top), "layer {} of {:?} after {:?}", top, sent, since_base);
                if !key_only {
                    prop_assert_eq!(sent.len() as u8, top + 1);
                }
            }
            if level == 0 && !sent.is_empty() {
                since_base.clone_from(&sent);
            }
        }
    }
}
