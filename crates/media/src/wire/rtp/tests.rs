use proptest::prelude::*;

use super::*;

const FIELDS: Outgoing =
    Outgoing { payload_type: 96, marker: true, sequence: 65_535, timestamp: 0xDEAD_BEEF, ssrc: 42, padding: false };

fn packet(extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(&mut out, &FIELDS, extensions);
    out.extend_from_slice(payload);
    out
}

#[test]
fn a_header_without_extensions_is_twelve_bytes() {
    let packet = packet(&[], b"x");
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.header_len, 12);
    assert_eq!((header.payload_type, header.marker, header.sequence), (96, true, 65_535));
    assert_eq!((header.timestamp, header.ssrc), (0xDEAD_BEEF, 42));
    assert_eq!(header.payload(&packet), Ok(&b"x"[..]));
}

#[test]
fn small_extensions_use_the_one_byte_form() {
    let packet = packet(&[(4, b"mid"), (0, b"left out"), (3, &[0, 1])], b"");
    assert_eq!(packet[12..], [0xBE, 0xDE, 0, 2, 0x42, b'm', b'i', b'd', 0x31, 0, 1, 0]);
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.extension(&packet, 3), Some(&[0, 1][..]));
    assert_eq!(header.extension(&packet, 4), Some(&b"mid"[..]));
    assert_eq!(header.extension(&packet, 0), None);
    assert_eq!(header.extension(&packet, 5), None);
}

#[test]
fn an_id_above_fourteen_a_long_or_an_empty_value_need_the_two_byte_form() {
    let long = [9; 17];
    for extensions in [&[(15u8, &b"a"[..])][..], &[(1, &long[..])], &[(1, &b""[..])]] {
        let packet = packet(extensions, b"");
        assert_eq!(packet[12..14], [0x10, 0x00]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.extension(&packet, extensions[0].0), Some(extensions[0].1));
    }
}

#[test]
fn extensions_of_an_unknown_profile_are_not_read() {
    let mut packet = packet(&[(1, b"abc")], b"");
    packet[12] = 0;
    assert_eq!(Header::parse(&packet).unwrap().extension(&packet, 1), None);
}

#[test]
fn one_byte_id_fifteen_ends_the_list() {
    let mut packet = packet(&[(1, b"a"), (2, b"b")], b"");
    packet[16] = 0xF0;
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.extensions(&packet).count(), 0);
}

#[test]
fn padding_is_cut_off_and_a_wrong_count_refused() {
    let mut padded = packet(&[], &[1, 2, 3, 0, 0, 3]);
    padded[0] |= 0x20;
    let header = Header::parse(&padded).unwrap();
    assert_eq!(header.payload(&padded), Ok(&[1, 2, 3][..]));
    for wrong in [0, 7] {
        *padded.last_mut().unwrap() = wrong;
        assert_eq!(header.payload(&padded), Err(WireError::Padding));
    }
    let only_padding = packet(&[], &[0, 0, 3]);
    let header = Header { padding: true, ..Header::parse(&only_padding).unwrap() };
    assert_eq!(header.payload(&only_padding), Ok(&[][..]));
}

#[test]
fn rtcp_is_told_from_rtp_by_its_second_byte() {
    assert!(is_rtcp(&[0x80, 200]));
    assert!(is_rtcp(&[0x8f, 205]));
    assert!(!is_rtcp(&[0x80, 0x80 | 96]));
    assert!(!is_rtcp(&[0x80]));
}

#[test]
fn levels_are_read_from_the_extension() {
    assert_eq!(AudioLevel::parse(&[0x80 | 30]), Some(AudioLevel { level: 30, voice: true }));
    assert_eq!(AudioLevel::parse(&[127]), Some(AudioLevel { level: 127, voice: false }));
    assert_eq!(AudioLevel::parse(&[]), None);
}

#[test]
fn the_index_grows_across_roll_over_and_reordering() {
    let mut extender = SequenceExtender::default();
    let sent = [65_533u16, 65_535, 65_534, 0, 2, 65_532, 1, 3];
    let indexes: Vec<u64> = sent.iter().map(|sequence| extender.extend(*sequence)).collect();
    assert_eq!(indexes, [65_533, 65_535, 65_534, 65_536, 65_538, 65_532, 65_537, 65_539]);
}

#[test]
fn guessing_does_not_move_the_state() {
    let mut extender = SequenceExtender::default();
    extender.accept(70_000);
    assert_eq!(extender.guess(20_000), 65_536 + 20_000);
    assert_eq!(extender.highest(), Some(70_000));
}

#[test]
fn a_number_from_before_the_first_packet_stays_in_range() {
    let mut extender = SequenceExtender::default();
    extender.accept(2);
    assert_eq!(extender.guess(65_530), 65_530);
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        extensions in prop::collection::vec((1u8.., prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        payload in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let borrowed: Vec<(u8, &[u8])> = extensions.iter().map(|(id, value)| (*id, &value[..])).collect();
        let packet = packet(&borrowed, &payload);
        let header = Header::parse(&packet).unwrap();
        prop_assert_eq!(header.extensions(&packet).collect::<Vec<_>>(), borrowed);
        prop_assert_eq!(header.payload(&packet).unwrap(), &payload[..]);
    }

    #[test]
    fn random_packets_never_panic(data in prop::collection::vec(any::<u8>(), 0..80), id: u8) {
        if let Ok(header) = Header::parse(&data) {
            let _ = header.extension(&data, id);
            let _ = header.extensions(&data).count();
            let _ = header.payload(&data);
            let _ = header.extension(&data[..data.len() / 2], id);
        }
    }

    #[test]
    fn mutated_packets_never_panic(at in 0usize..40, value: u8, cut in 0usize..40) {
        let mut data = packet(&[(4, b"mid"), (3, &[0, 1])], &[1, 2, 3, 4]);
        if let Some(byte) = data.get_mut(at) {
            *byte = value;
        }
        data.truncate(cut);
        if let Ok(header) = Header::parse(&data) {
            let _ = header.extensions(&data).count();
            let _ = header.payload(&data);
        }
    }

    #[test]
    fn the_extender_follows_any_stream_with_gaps_below_half_the_range(steps in prop::collection::vec(-1000i64..30_000, 1..200)) {
        let mut extender = SequenceExtender::default();
        let mut highest = 40_000u64;
        extender.accept(highest);
        for step in steps {
            let index = highest.saturating_add_signed(step);
            prop_assert_eq!(extender.extend(index as u16), index);
            highest = highest.max(index);
        }
    }

    #[test]
    fn the_replay_window_passes_each_index_once(indexes in prop::collection::vec(0u64..5000, 1..400)) {
        let mut window = ReplayWindow::new();
        let mut accepted = std::collections::HashSet::new();
        let mut highest = 0;
        for index in indexes {
            let too_old = highest >= ReplayWindow::SIZE + index;
            let fresh = window.is_new(index);
            prop_assert_eq!(fresh, !accepted.contains(&index) && !too_old);
            if fresh {
                window.accept(index);
                accepted.insert(index);
                highest = highest.max(index);
            }
        }
    }
}
