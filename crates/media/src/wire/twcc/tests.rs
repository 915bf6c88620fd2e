use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::wire::WireError;
use crate::wire::rtcp::{self, Packet};

const TICK: Duration = Duration::from_micros(TICK_MICROS);

fn feedback(packet: &[u8]) -> Feedback<'_> {
    match rtcp::parse(packet).next() {
        Some(Ok(Packet::TransportFeedback(feedback))) => feedback,
        other => panic!("{other:?}"),
    }
}

/// A feedback packet by hand: base 10, reference 1.
fn raw(count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x8F, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10];
    packet.extend_from_slice(&count.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 1, 7]);
    chunks.iter().for_each(|chunk| packet.extend_from_slice(&chunk.to_be_bytes()));
    packet.extend_from_slice(deltas);
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet[3] = (packet.len() / 4 - 1) as u8;
    packet
}

fn statuses(packet: &[u8]) -> Vec<(u16, Option<i64>)> {
    feedback(packet).statuses().collect()
}

#[test]
fn run_length_chunks_are_read() {
    // Two received with small deltas, then three lost.
    assert_eq!(
        statuses(&raw(5, &[0x2002, 0x0003], &[4, 6])),
        [(10, Some(4)), (11, Some(10)), (12, None), (13, None), (14, None)]
    );
}

#[test]
fn vectors_of_one_and_two_bits_are_read() {
    assert_eq!(statuses(&raw(3, &[0xA800], &[4, 6])), [(10, Some(4)), (11, None), (12, Some(10))]);
    // Small, large negative, lost.
    assert_eq!(statuses(&raw(3, &[0xD800], &[9, 0xFF, 0xFE])), [(10, Some(9)), (11, Some(7)), (12, None)]);
}

#[test]
fn missing_deltas_reserved_symbols_and_huge_counts_are_refused() {
    let error = |packet: Vec<u8>| rtcp::parse(&packet).next().unwrap().unwrap_err();
    assert_eq!(error(raw(8, &[0x4008], &[0; 4])), WireError::Truncated);
    assert_eq!(error(raw(1, &[0x6001], &[0; 4])), WireError::Malformed);
    assert_eq!(error(raw(60_000, &[0x1FFF; 9], &[])), WireError::Malformed);
    assert_eq!(error(raw(9, &[], &[])), WireError::Truncated);
}

#[test]
fn arrivals_are_reported_once_with_their_losses() {
    let origin = Instant::now();
    let mut receiver = Receiver::new(origin);
    for (sequence, ticks) in [(65_534u16, 1000u32), (65_535, 1004), (1, 1003), (2, 2000)] {
        receiver.on_packet(sequence, origin + TICK * ticks);
    }
    assert_eq!(receiver.pending(), 4);
    let mut out = Vec::new();
    assert!(receiver.write_feedback(&mut out, 1, 2));
    assert!(!receiver.write_feedback(&mut out, 1, 2));
    let reported = feedback(&out);
    assert_eq!((reported.sender_ssrc, reported.media_ssrc, reported.counter), (1, 2, 0));
    assert_eq!(reported.reference, 3);
    let expected = [(65_534, Some(232)), (65_535, Some(236)), (0, None), (1, Some(235)), (2, Some(1232))];
    assert_eq!(reported.statuses().collect::<Vec<_>>(), expected);
}

#[test]
fn a_late_packet_is_reported_with_those_after_it() {
    let origin = Instant::now();
    let mut receiver = Receiver::new(origin);
    let mut out = Vec::new();
    receiver.on_packet(5, origin);
    receiver.on_packet(7, origin + TICK);
    receiver.write_feedback(&mut out, 1, 2);
    receiver.on_packet(6, origin + TICK * 2);
    out.clear();
    assert!(receiver.write_feedback(&mut out, 1, 2));
    assert_eq!(statuses(&out), [(6, Some(2)), (7, Some(1))]);
    assert_eq!(receiver.pending(), 0);
}

#[test]
fn a_pause_too_long_for_one_packet_is_split() {
    let origin = Instant::now();
    let mut receiver = Receiver::new(origin);
    receiver.on_packet(1, origin);
    receiver.on_packet(2, origin + Duration::from_secs(60));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert!(receiver.write_feedback(&mut first, 1, 2));
    assert!(receiver.write_feedback(&mut second, 1, 2));
    assert_eq!((feedback(&first).count, feedback(&second).count), (1, 1));
    assert_eq!(feedback(&second).counter, 1);
}

#[test]
fn memory_and_packets_stay_bounded_whatever_numbers_come() {
    let origin = Instant::now();
    let mut receiver = Receiver::new(origin);
    for step in 0..20_000u32 {
        receiver.on_packet((step * 1021) as u16, origin + TICK * step);
    }
    let mut out = Vec::new();
    while receiver.write_feedback(&mut out, 1, 2) {
        assert!(out.len() <= 1200, "{}", out.len());
        out.clear();
    }
}

#[test]
fn outcomes_tell_sending_and_arrival() {
    let now = Instant::now();
    let (mut sender, mut receiver) = (Sender::new(), Receiver::new(now));
    for step in 0..4u32 {
        let sent = now + Duration::from_millis(10) * step;
        let sequence = sender.register(sent, 100 + step, step % 2);
        if step != 2 {
            receiver.on_packet(sequence, sent + Duration::from_millis(25));
        }
    }
    assert_eq!(sender.in_flight_bytes(), 406);
    let mut out = Vec::new();
    receiver.write_feedback(&mut out, 1, 2);
    let mut outcomes = Vec::new();
    sender.on_feedback(&feedback(&out), &mut outcomes);
    assert_eq!(outcomes.iter().map(|outcome| outcome.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(outcomes[2].arrived, None);
    assert_eq!(outcomes[3].arrived.unwrap() - outcomes[0].arrived.unwrap(), Duration::from_millis(30));
    assert_eq!((outcomes[1].bytes, outcomes[1].cluster), (101, 1));
    assert_eq!(sender.in_flight_bytes(), 0);
    // The same report again says nothing new.
    outcomes.clear();
    sender.on_feedback(&feedback(&out), &mut outcomes);
    assert!(outcomes.is_empty());
}

#[test]
fn a_packet_reported_lost_may_still_arrive() {
    let now = Instant::now();
    let mut sender = Sender::new();
    (0..20).for_each(|_| _ = sender.register(now, 10, 0));
    let mut outcomes = Vec::new();
    sender.on_feedback(&feedback(&raw(1, &[0x0001], &[])), &mut outcomes);
    sender.on_feedback(&feedback(&raw(1, &[0x2001], &[3])), &mut outcomes);
    sender.on_feedback(&feedback(&raw(1, &[0x0001], &[])), &mut outcomes);
    assert_eq!(outcomes.iter().map(|outcome| outcome.arrived.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(sender.in_flight_bytes(), 190);
}

#[test]
fn feedback_on_what_was_never_sent_is_ignored() {
    let mut sender = Sender::new();
    let mut outcomes = Vec::new();
    sender.on_feedback(&feedback(&raw(3, &[0xA800], &[4, 6])), &mut outcomes);
    sender.register(Instant::now(), 10, 0);
    sender.on_feedback(&feedback(&raw(3, &[0xA800], &[4, 6])), &mut outcomes);
    assert!(outcomes.is_empty());
}

#[test]
fn arrival_times_go_on_across_the_wrap_of_the_reference_time() {
    let now = Instant::now();
    let mut sender = Sender::new();
    (0..20).for_each(|_| _ = sender.register(now, 10, 0));
    let at = |base: u8, reference: [u8; 3]| {
        let mut packet = raw(1, &[0x2001], &[0]);
        packet[13] = base;
        packet[16..19].copy_from_slice(&reference);
        packet
    };
    let mut outcomes = Vec::new();
    sender.on_feedback(&feedback(&at(1, [0xFF, 0xFF, 0xFF])), &mut outcomes);
    sender.on_feedback(&feedback(&at(2, [0, 0, 0])), &mut outcomes);
    assert_eq!(outcomes[1].arrived.unwrap() - outcomes[0].arrived.unwrap(), Duration::from_millis(64));
}

#[test]
fn the_history_is_bounded_in_number_and_age() {
    let now = Instant::now();
    let mut sender = Sender::new();
    (0..2 * Sender::HISTORY).for_each(|_| _ = sender.register(now, 10, 0));
    assert_eq!(sender.in_flight_bytes(), 10 * Sender::HISTORY as u64);
    sender.register(now + Sender::MAX_AGE + TICK, 7, 0);
    assert_eq!(sender.in_flight_bytes(), 7);
}

proptest! {
    #[test]
    fn a_report_says_exactly_what_arrived(
        steps in prop::collection::vec((0u16..20, 0u32..2000, any::<bool>()), 1..100), start: u16,
    ) {
        let origin = Instant::now();
        let mut receiver = Receiver::new(origin);
        let (mut sequence, mut ticks) = (start, 0);
        let mut arrived = Vec::new();
        for (step, pause, present) in steps {
            sequence = sequence.wrapping_add(step + 1);
            ticks += pause;
            if present {
                receiver.on_packet(sequence, origin + TICK * ticks);
                arrived.push((sequence, i64::from(ticks)));
            }
        }
        let mut reported = Vec::new();
        let mut out = Vec::new();
        let mut expected_base = None;
        while receiver.write_feedback(&mut out, 1, 2) {
            let feedback = feedback(&out);
            prop_assert!(out.len() <= 1300);
            prop_assert!(expected_base.is_none_or(|base| base == feedback.base));
            expected_base = Some(feedback.base.wrapping_add(feedback.count));
            let reference = i64::from(feedback.reference) * REFERENCE_TICKS;
            reported.extend(feedback.statuses().filter_map(|(sequence, ticks)| Some((sequence, reference + ticks?))));
            out.clear();
        }
        prop_assert_eq!(reported, arrived);
    }

    #[test]
    fn random_feedback_never_panics_and_never_frees_more_than_was_sent(
        chunks in prop::collection::vec(any::<u16>(), 0..20), deltas in prop::collection::vec(any::<u8>(), 0..80), count in 0u16..9000,
    ) {
        let packet = raw(count, &chunks, &deltas);
        let mut sender = Sender::new();
        let now = Instant::now();
        (0..100).for_each(|_| _ = sender.register(now, 10, 0));
        if let Some(Ok(Packet::TransportFeedback(feedback))) = rtcp::parse(&packet).next() {
            let mut outcomes = Vec::new();
            sender.on_feedback(&feedback, &mut outcomes);
            prop_assert_eq!(sender.in_flight_bytes() as usize, 1000 - 10 * outcomes.len());
        }
    }
}
