//! RFC 4571 framing under any cut of the stream, and under bad lengths.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use auralink_media_net::framing::{FrameReader, FrameTooLong, FrameWriter, MAX_FRAME_BYTES};
use proptest::prelude::*;

fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for frame in frames {
        stream.extend((frame.len() as u16).to_be_bytes());
        stream.extend(frame);
    }
    stream
}

proptest! {
    #[test]
    fn frames_survive_any_cut_of_the_stream(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
        cuts in prop::collection::vec(1usize..200, 1..50),
    ) {
        let stream = framed(&frames);
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            reader.push(now);
            rest = later;
            while let Some(frame) = reader.next_frame().unwrap() {
                seen.push(frame.to_vec());
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn random_streams_give_only_frames_they_contain_and_keep_no_more_than_one(
        mut stream in prop::collection::vec(any::<u8>(), 0..20_000), small: bool, cuts in prop::collection::vec(1usize..3000, 1..20),
    ) {
        if small {
            // Lengths that are taken: otherwise almost every stream ends with its first two bytes.
            stream.iter_mut().for_each(|byte| *byte &= 0x0F);
        }
        let mut reader = FrameReader::default();
        let (mut rest, mut taken) = (stream.as_slice(), 0);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            reader.push(now);
            rest = later;
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => {
                        prop_assert!(!frame.is_empty() && frame.len() <= MAX_FRAME_BYTES);
                        taken += 2 + frame.len();
                    }
                    Ok(None) => break,
                    Err(FrameTooLong(length)) => {
                        prop_assert!(length > MAX_FRAME_BYTES);
                        return Ok(());
                    }
                }
            }
            prop_assert!(reader.buffered() < 2 + MAX_FRAME_BYTES);
        }
        prop_assert!(taken + reader.buffered() <= stream.len());
    }

    #[test]
    fn a_writer_keeps_whole_frames_whatever_the_socket_takes(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..40),
        takes in prop::collection::vec(0usize..100, 1..30),
        capacity in 100usize..1000,
    ) {
        let mut writer = FrameWriter::new(capacity);
        let mut accepted = Vec::new();
        let mut stream = Vec::new();
        let mut takes = takes.iter().cycle();
        for frame in &frames {
            if writer.push(frame) {
                accepted.push(frame.clone());
            }
            let take = (*takes.next().unwrap()).min(writer.front().len());
            stream.extend_from_slice(&writer.front()[..take]);
            writer.advance(take);
        }
        while !writer.is_empty() {
            let take = writer.front().len();
            stream.extend_from_slice(&writer.front()[..take]);
            writer.advance(take);
        }
        prop_assert_eq!(stream, framed(&accepted));
    }
}

#[test]
fn a_truncated_frame_is_waited_for() {
    let mut reader = FrameReader::default();
    reader.push(&[0]);
    assert_eq!(reader.next_frame(), Ok(None));
    reader.push(&[3, b'a', b'b']);
    assert_eq!(reader.next_frame(), Ok(None));
    reader.push(b"c");
    assert_eq!(reader.next_frame().unwrap().unwrap(), b"abc");
}

#[test]
fn an_oversized_frame_is_refused_before_its_bytes_arrive() {
    let mut reader = FrameReader::default();
    reader.push(&[0xff, 0xff]);
    assert_eq!(reader.next_frame(), Err(FrameTooLong(0xffff)));
    const { assert!(MAX_FRAME_BYTES < 0xffff) };
}

#[test]
fn empty_frames_are_keep_alives() {
    let mut reader = FrameReader::default();
    reader.push(&[0, 0, 0, 0, 0, 1, 7]);
    assert_eq!(reader.next_frame().unwrap().unwrap(), [7]);
}
