//! What the planner may do to a wake-up's datagrams: everything leaves once, in order per destination, within the
//! kernel's limits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::net::SocketAddr;

use auralink_media::api::{Proto, Transmit};
use auralink_media_net::gso::{MAX_MESSAGE_BYTES, MAX_SEGMENTS, Plan};
use proptest::prelude::*;
use rustc_hash::FxHashMap;

fn destination(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + index as u16))
}

/// Lays packets of these sizes out in a buffer, each filled with its own number.
fn lay_out(packets: &[(usize, usize, bool)]) -> (Vec<u8>, Vec<Transmit>) {
    let mut buffer = Vec::new();
    let mut transmits = Vec::new();
    for (number, (to, len, gap)) in packets.iter().enumerate() {
        buffer.extend(std::iter::repeat_n(0xee, usize::from(*gap) * 3));
        transmits.push(Transmit { proto: Proto::Udp, destination: destination(*to), start: buffer.len(), len: *len });
        buffer.extend(std::iter::repeat_n(number as u8, *len));
    }
    (buffer, transmits)
}

type ByDestination = FxHashMap<SocketAddr, Vec<Vec<u8>>>;

/// What the receivers of a plan see, as the kernel would cut it.
fn delivered(plan: &Plan, buffer: &[u8]) -> ByDestination {
    let mut seen = ByDestination::default();
    for message in &plan.messages {
        let mut bytes = Vec::new();
        for slice in &plan.slices[message.first..message.first + message.count] {
            bytes.extend_from_slice(&buffer[slice.start..slice.start + slice.len]);
        }
        assert_eq!(bytes.len(), message.bytes);
        let segments: Vec<Vec<u8>> = bytes.chunks(message.segment).map(<[u8]>::to_vec).collect();
        assert_eq!(segments.len(), message.segments);
        seen.entry(message.destination).or_default().extend(segments);
    }
    seen
}

fn expected(transmits: &[Transmit], buffer: &[u8]) -> ByDestination {
    let mut sent = ByDestination::default();
    for transmit in transmits {
        let bytes = buffer[transmit.start..transmit.start + transmit.len].to_vec();
        sent.entry(transmit.destination).or_default().push(bytes);
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_lost_duplicated_or_reordered_per_destination(
        packets in prop::collection::vec((0usize..5, prop::sample::select(vec![1usize, 60, 700, 1100, 1100, 1100]), any::<bool>()), 0..200),
        gso in any::<bool>(),
    ) {
        let (buffer, transmits) = lay_out(&packets);
        let mut plan = Plan::default();
        plan.build(&transmits, gso);
        prop_assert_eq!(delivered(&plan, &buffer), expected(&transmits, &buffer));
        for message in &plan.messages {
            prop_assert!(message.segments <= MAX_SEGMENTS && message.bytes <= MAX_MESSAGE_BYTES);
            prop_assert!(gso || message.segments == 1);
        }
    }
}

#[test]
fn a_video_frame_to_one_subscriber_is_one_message() {
    let mut frame = vec![(0, 1100, false); 9];
    frame.push((0, 420, false));
    let (_, transmits) = lay_out(&frame);
    let mut plan = Plan::default();
    plan.build(&transmits, true);
    assert_eq!(plan.messages.len(), 1);
    assert_eq!((plan.messages[0].segments, plan.messages[0].segment, plan.messages[0].count), (10, 1100, 1));
}

#[test]
fn packets_of_one_subscriber_are_found_between_those_of_others() {
    let interleaved: Vec<_> = (0..40).map(|n| (n % 4, 1100, false)).collect();
    let (_, transmits) = lay_out(&interleaved);
    let mut plan = Plan::default();
    plan.build(&transmits, true);
    assert_eq!(plan.messages.iter().map(|m| m.segments).collect::<Vec<_>>(), [10, 10, 10, 10]);
}

#[test]
fn tcp_transmits_are_left_to_their_connections() {
    let (_, mut transmits) = lay_out(&[(0, 100, false), (0, 100, false)]);
    transmits[0].proto = Proto::Tcp;
    let mut plan = Plan::default();
    plan.build(&transmits, true);
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(plan.messages[0].segments, 1);
}
