#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// Writes descriptors as an encoder of these layers does.
pub(crate) struct Encoder {
    pub spatial: u8,
    pub temporal: u8,
    /// Upper layers use lower ones at key frames only (`L3T3_KEY`).
    pub key_only: bool,
    number: u16,
    last_in_chain: Vec<Option<u16>>,
}

impl Encoder {
    pub fn new(spatial: u8, temporal: u8, key_only: bool) -> Encoder {
        Encoder { spatial, temporal, key_only, number: 7, last_in_chain: vec![None; usize::from(spatial)] }
    }

    fn indication(&self, frame: (u8, u8, bool), target: (u8, u8)) -> u32 {
        let (spatial, temporal, key) = frame;
        if temporal > target.1 || spatial > target.0 || (self.key_only && !key && spatial != target.0) {
            return 0;
        }
        if spatial < target.0 && !key {
            return 3;
        }
        if temporal > 0 && temporal == target.1 { 1 } else { 2 }
    }

    fn templates(&self) -> Vec<(u8, u8, bool)> {
        let of_layer = |spatial| (0..self.temporal).map(move |temporal| (spatial, temporal, false));
        (0..self.spatial).flat_map(|spatial| std::iter::once((spatial, 0, true)).chain(of_layer(spatial))).collect()
    }

    fn targets(&self) -> Vec<(u8, u8)> {
        (0..self.spatial).flat_map(|spatial| (0..self.temporal).map(move |temporal| (spatial, temporal))).collect()
    }

    /// The descriptors of the packets of a frame.
    pub fn frame(&mut self, spatial: u8, temporal: u8, key: bool, packets: usize) -> Vec<Vec<u8>> {
        let templates = self.templates();
        let template = templates.iter().position(|known| *known == (spatial, temporal, key)).unwrap() as u32;
        let number = self.number;
        if key && spatial == 0 {
            self.last_in_chain.fill(None);
        }
        let chains: Vec<u32> =
            self.last_in_chain.iter().map(|last| last.map_or(0, |last| u32::from(number.wrapping_sub(last)))).collect();
        let written = (0..packets).map(|packet| {
            let mut buffer = [0; 255];
            let mut writer = BitWriter::new(&mut buffer);
            writer.bits(1, u32::from(packet == 0));
            writer.bits(1, u32::from(packet + 1 == packets));
            // Template ids start at 60 and so roll over.
            writer.bits(6, (60 + template) & 0x3F);
            writer.bits(16, u32::from(number));
            let structure = key && spatial == 0 && packet == 0;
            writer.bits(5, if structure { 0b10001 } else { 0b00001 });
            if structure {
                self.structure(&mut writer, &templates);
            }
            for diff in &chains {
                writer.bits(8, *diff);
            }
            let len = writer.finish().unwrap();
            buffer[..len].to_vec()
        });
        let written = written.collect();
        for (chain, last) in self.last_in_chain.iter_mut().enumerate() {
            let member = usize::from(spatial) == chain || (usize::from(spatial) < chain && (key || !self.key_only));
            if temporal == 0 && member {
                *last = Some(number);
            }
        }
        self.number = number.wrapping_add(1);
        written
    }

    fn structure(&self, writer: &mut BitWriter<'_>, templates: &[(u8, u8, bool)]) {
        let targets = self.targets();
        writer.bits(6, 60);
        writer.bits(5, targets.len() as u32 - 1);
        for pair in templates.windows(2) {
            let ((spatial, temporal, _), (next_spatial, next_temporal, _)) = (pair[0], pair[1]);
            writer.bits(2, if next_spatial > spatial { 2 } else { u32::from(next_temporal > temporal) });
        }
        writer.bits(2, 3);
        for template in templates {
            for target in &targets {
                writer.bits(2, self.indication(*template, *target));
            }
        }
        for _ in templates {
            writer.bits(1, 0);
        }
        write_below(writer, u32::from(self.spatial), targets.len() as u32 + 1);
        for (spatial, _) in &targets {
            write_below(writer, u32::from(*spatial), u32::from(self.spatial));
        }
        for _ in 0..templates.len() * usize::from(self.spatial) {
            writer.bits(4, 1);
        }
        writer.bits(1, 1);
        for spatial in 0..self.spatial {
            writer.bits(16, (320 << spatial) - 1);
            writer.bits(16, (180 << spatial) - 1);
        }
    }
}

fn write_below(writer: &mut BitWriter<'_>, value: u32, limit: u32) {
    let width = 32 - limit.leading_zeros();
    let longer_from = (1 << width) - limit;
    if value < longer_from {
        writer.bits(width as usize - 1, value);
    } else {
        writer.bits(width as usize, value + longer_from);
    }
}

fn key_frame(encoder: &mut Encoder) -> (Frame, Vec<u8>, Known) {
    let value = encoder.frame(0, 0, true, 1).remove(0);
    let mut known = Known::default();
    (Frame::parse(&value, &mut known).unwrap(), value, known)
}

#[test]
fn a_key_frame_brings_the_structure_of_every_mode_browsers_send() {
    for (spatial, temporal, key_only) in [(3, 3, true), (3, 3, false), (1, 3, false), (2, 2, true), (1, 1, false)] {
        let mut encoder = Encoder::new(spatial, temporal, key_only);
        let (frame, _, known) = key_frame(&mut encoder);
        let known = known.structure.unwrap();
        assert!(frame.starts_keyframe() && frame.ends && frame.number == 7);
        assert_eq!(known.targets(), usize::from(spatial * temporal));
        let layers: Vec<(u8, u8)> = (0..known.targets()).map(|target| known.layer(target)).collect();
        assert_eq!(layers, encoder.targets());
        assert_eq!(known.builds_on_lower(), !key_only || spatial == 1);
        assert_eq!(known.protected_by(known.targets() - 1), Some(usize::from(spatial) - 1));
    }
}

#[test]
fn a_frame_is_described_by_its_template() {
    let mut encoder = Encoder::new(3, 3, true);
    let (_, _, mut known) = key_frame(&mut encoder);
    let value = encoder.frame(1, 2, false, 2).remove(1);
    let frame = Frame::parse(&value, &mut known).unwrap();
    assert_eq!((frame.spatial, frame.temporal, frame.number, frame.starts, frame.ends), (1, 2, 8, false, true));
    let seen: Vec<Indication> = (0..9).map(|target| frame.indication(target)).collect();
    let mut expected = [Indication::NotPresent; 9];
    expected[5] = Indication::Discardable;
    assert_eq!(seen, expected);
}

#[test]
fn targets_are_chosen_within_layers_and_say_what_they_include() {
    let (_, _, known) = key_frame(&mut Encoder::new(3, 3, true));
    let known = known.structure.unwrap();
    assert_eq!(known.layer(known.best_within(1, 1)), (1, 1));
    assert_eq!(known.layer(known.best_within(9, 9)), (2, 2));
    // Whoever gets the middle layer at half rate gets it at a quarter too, but not the lower picture.
    assert_eq!(known.included(4), 0b000_011_000);
    let (_, _, full) = key_frame(&mut Encoder::new(3, 3, false));
    assert_eq!(full.structure.unwrap().included(4), 0b000_011_011);
}

#[test]
fn active_targets_are_written_into_every_form_of_descriptor() {
    let mut encoder = Encoder::new(2, 2, true);
    let (frame, value, mut known) = key_frame(&mut encoder);
    let mut buffer = [0; 64];
    let len = frame.with_active(&value, 0b0011, 4, &mut buffer).unwrap();
    let mut again = Known::default();
    let seen = Frame::parse(&buffer[..len], &mut again).unwrap();
    assert_eq!((again.active, &again.structure), (0b0011, &known.structure));
    assert_eq!(seen.chain_diffs, frame.chain_diffs);
    // Written over a mask that was there already, and into one without extended fields.
    let mut other = [0; 64];
    let len = seen.with_active(&buffer[..len], 0b0001, 4, &mut other).unwrap();
    Frame::parse(&other[..len], &mut again).unwrap();
    assert_eq!(again.active, 0b0001);
    let short = [0xC0 | 60, 0, 9];
    let plain = Frame::parse(&short, &mut known).unwrap();
    assert_eq!(known.active, 0b1111, "as it was");
    let len = plain.with_active(&short, 0b0101, 4, &mut buffer).unwrap();
    assert_eq!(len, 5);
    Frame::parse(&buffer[..len], &mut known).unwrap();
    assert_eq!(known.active, 0b0101);
}

#[test]
fn without_its_structure_a_frame_is_refused() {
    let mut encoder = Encoder::new(1, 3, false);
    let value = encoder.frame(0, 1, false, 1).remove(0);
    assert_eq!(Frame::parse(&value, &mut Known::default()), Err(WireError::Malformed));
    let (_, _, mut known) = key_frame(&mut encoder);
    assert_eq!(Frame::parse(&[0x80, 0, 1], &mut known), Err(WireError::Malformed), "template 0 is not among 60..=63");
    assert_eq!(Frame::parse(&[0x80, 0], &mut known), Err(WireError::Truncated));
}

proptest! {
    #[test]
    fn anything_may_be_asked(value in prop::collection::vec(any::<u8>(), 0..120), mask: u32) {
        let mut known = Known::default();
        if let Ok(frame) = Frame::parse(&value, &mut known) {
            let structure = known.structure.clone().unwrap();
            let mut buffer = [0; 255];
            if let Some(len) = frame.with_active(&value, mask & structure.all(), structure.targets(), &mut buffer) {
                let again = Frame::parse(&buffer[..len], &mut known).unwrap();
                prop_assert_eq!(known.active, mask & structure.all());
                prop_assert_eq!(again.chain_diffs, frame.chain_diffs);
            }
            for target in 0..40 {
                frame.indication(target);
                structure.layer(target);
                structure.included(target);
            }
        }
    }

    #[test]
    fn damaged_descriptors_do_no_harm(at in 0usize..60, bit in 0u8..8, cut in 0usize..60, spatial in 1u8..4, temporal in 1u8..4) {
        let mut encoder = Encoder::new(spatial, temporal, true);
        let (_, mut value, known) = key_frame(&mut encoder);
        if let Some(byte) = value.get_mut(at) {
            *byte ^= 1 << bit;
        }
        value.truncate(value.len().saturating_sub(cut / 4));
        let _ = Frame::parse(&value, &mut known.clone());
        let mut second = encoder.frame(0, 0, false, 1).remove(0);
        if let Some(byte) = second.get_mut(at % 8) {
            *byte ^= 1 << bit;
        }
        let _ = Frame::parse(&second, &mut known.clone());
    }
}
