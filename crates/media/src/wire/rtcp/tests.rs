use proptest::prelude::*;

use super::*;

fn one(compound: &[u8]) -> Packet<'_> {
    let mut packets = parse(compound);
    let first = packets.next().unwrap().unwrap();
    assert!(packets.next().is_none());
    first
}

const INFO: SenderInfo =
    SenderInfo { ssrc: 1, ntp: NtpTime(0x1234_5678_9ABC_DEF0), rtp_timestamp: 5, packets: 6, octets: 7 };

fn block(cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc: 9,
        fraction_lost: 128,
        cumulative_lost,
        highest_sequence: 70_000,
        jitter: 11,
        last_sr: 12,
        delay_since_last_sr: 13,
    }
}

#[test]
fn a_compound_packet_is_read_packet_by_packet() {
    let mut out = Vec::new();
    write_sender_report(&mut out, &INFO, &[block(-3), block(70_000)]);
    write_cname(&mut out, 1, "PA_abc");
    write_picture_loss(&mut out, 1, 2);
    assert_eq!(out.len() % 4, 0);
    let packets: Vec<_> = parse(&out).map(Result::unwrap).collect();
    let [
        Packet::SenderReport { info, blocks },
        Packet::SourceDescription,
        Packet::PictureLoss { sender_ssrc: 1, media_ssrc: 2 },
    ] = packets.as_slice()
    else {
        panic!("{packets:?}")
    };
    assert_eq!(*info, INFO);
    assert_eq!(blocks.collect::<Vec<_>>(), [block(-3), block(70_000)]);
}

#[test]
fn loss_beyond_24_bits_is_clamped_and_blocks_beyond_31_left_out() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, 3, &[block(i32::MIN); 40]);
    let Packet::ReceiverReport { ssrc: 3, blocks } = one(&out) else { panic!() };
    let blocks: Vec<_> = blocks.collect();
    assert_eq!((blocks.len(), blocks[0].cumulative_lost), (31, -0x80_0000));
}

#[test]
fn a_cname_of_any_length_keeps_its_terminator() {
    for len in 0..9 {
        let mut out = Vec::new();
        write_cname(&mut out, 7, &"x".repeat(len));
        assert_eq!(out.len() % 4, 0);
        assert_eq!(out[10 + len], 0, "RFC 3550 section 6.5");
        assert!(matches!(one(&out), Packet::SourceDescription));
    }
}

#[test]
fn neighbouring_nacks_share_an_entry() {
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &[65_535, 0, 15, 16, 40]);
    assert_eq!(out.len(), 12 + 3 * 4);
    let Packet::Nack(nack) = one(&out) else { panic!() };
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (1, 2));
    assert_eq!(nack.sequences().collect::<Vec<_>>(), [65_535, 0, 15, 16, 40]);
    out.clear();
    write_nack(&mut out, 1, 2, &[]);
    assert!(out.is_empty());
}

#[test]
fn intra_requests_and_goodbyes_name_their_streams() {
    let mut out = Vec::new();
    write_full_intra(&mut out, 1, 77, 5);
    write_bye(&mut out, &[3, 4]);
    let packets: Vec<_> = parse(&out).map(Result::unwrap).collect();
    let [Packet::FullIntra(intra), Packet::Bye { ssrcs }] = packets.as_slice() else { panic!() };
    assert_eq!(intra.requests().collect::<Vec<_>>(), [(77, 5)]);
    assert_eq!(ssrcs.collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn remb_keeps_the_first_18_bits_of_a_rate() {
    for (written, read) in [(0, 0), (262_143, 262_143), (3_000_001, 3_000_000), (u64::MAX, 0x3_FFFF << 46)] {
        let mut out = Vec::new();
        write_remb(&mut out, 1, written, &[8, 9]);
        let Packet::Remb { bitrate_bps, ssrcs, .. } = one(&out) else { panic!() };
        assert_eq!(bitrate_bps, read);
        assert_eq!(ssrcs.collect::<Vec<_>>(), [8, 9]);
    }
}

#[test]
fn a_rate_that_does_not_fit_64_bits_is_unlimited() {
    let mut out = Vec::new();
    write_remb(&mut out, 1, 0, &[]);
    out[17] = 0xFF;
    let Packet::Remb { bitrate_bps, .. } = one(&out) else { panic!() };
    assert_eq!(bitrate_bps, u64::MAX);
}

#[test]
fn padding_is_removed_and_a_bad_count_refused() {
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &[5]);
    out[0] |= 0x20;
    out[3] += 1;
    out.extend_from_slice(&[0, 0, 0, 4]);
    let Packet::Nack(nack) = one(&out) else { panic!() };
    assert_eq!(nack.sequences().collect::<Vec<_>>(), [5]);
    for bad in [0, 17, 200] {
        *out.last_mut().unwrap() = bad;
        assert_eq!(parse(&out).next().unwrap().unwrap_err(), WireError::Padding);
    }
}

#[test]
fn after_an_error_nothing_more_is_read() {
    let mut out = Vec::new();
    write_picture_loss(&mut out, 1, 2);
    out[3] = 9;
    write_picture_loss(&mut out, 1, 2);
    let results: Vec<_> = parse(&out).collect();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].as_ref().unwrap_err(), &WireError::Truncated);
}

#[test]
fn round_trip_time_needs_a_sender_report_and_is_never_negative() {
    let now = NtpTime(0x0010_0000_0000);
    let report = |last_sr, delay_since_last_sr| ReportBlock { last_sr, delay_since_last_sr, ..ReportBlock::default() };
    assert_eq!(report(0, 0).round_trip(now), None);
    assert_eq!(report(0x000F_0000, 0x8000).round_trip(now), Some(0x8000));
    assert_eq!(report(0x000F_0000, 0x1_8000).round_trip(now), None);
}

#[test]
fn ntp_time_of_the_unix_epoch_is_known() {
    let time = UNIX_EPOCH + std::time::Duration::from_millis(500);
    assert_eq!(NtpTime::from_system(time).0, 2_208_988_800 << 32 | 1 << 31);
}

/// Walks everything a packet offers.
fn exhaust(compound: &[u8]) {
    for packet in parse(compound).flatten() {
        match packet {
            Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => drop(blocks.count()),
            Packet::Bye { ssrcs } | Packet::Remb { ssrcs, .. } => drop(ssrcs.count()),
            Packet::Nack(nack) => drop(nack.sequences().count()),
            Packet::FullIntra(intra) => drop(intra.requests().count()),
            Packet::TransportFeedback(feedback) => drop(feedback.statuses().count()),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn random_compounds_never_panic(mut data in prop::collection::vec(any::<u8>(), 0..120), kind in 200u8..208, format in 0u8..32) {
        exhaust(&data);
        if data.len() >= 4 {
            data[0] = 0x80 | format;
            data[1] = kind;
            data[2] = 0;
            data[3] = (data.len() / 4 - 1) as u8;
            exhaust(&data);
        }
    }

    #[test]
    fn mutated_compounds_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut data = Vec::new();
        write_sender_report(&mut data, &INFO, &[block(3)]);
        write_cname(&mut data, 1, "PA_abc");
        write_nack(&mut data, 1, 2, &[5, 7, 60]);
        write_full_intra(&mut data, 1, 77, 5);
        write_remb(&mut data, 1, 3_000_000, &[8, 9]);
        write_bye(&mut data, &[3, 4]);
        for (at, byte) in edits {
            let at = at.index(data.len());
            data[at] = byte;
        }
        exhaust(&data);
        exhaust(&data[..cut.index(data.len())]);
    }

    #[test]
    fn nacks_come_back_in_ascending_order(mut wanted in prop::collection::btree_set(0u16..3000, 1..120), offset: u16) {
        let mut out = Vec::new();
        let sequences: Vec<u16> = std::mem::take(&mut wanted).into_iter().map(|number| number.wrapping_add(offset)).collect();
        write_nack(&mut out, 1, 2, &sequences);
        let Packet::Nack(nack) = one(&out) else { panic!() };
        prop_assert_eq!(nack.sequences().collect::<Vec<_>>(), sequences);
    }
}
