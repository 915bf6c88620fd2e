//! The engine's threads, sockets and queues, with an echoing core.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use auralink_media::api::{Channel, CloseReason, Command, Event, PeerId, PeerOptions, PeerRole, RoomId};
use auralink_media_net::{CommandError, Engine, EngineConfig, Fault, NetEvent, QueueLimits, STUCK_AFTER, StartError};
use support::{EchoFactory, PATIENCE, loopback, start, wait_for, wait_until};

fn client(engine: &Engine, shard: usize) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", engine.udp_ports()[shard])).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn ask(socket: &UdpSocket, payload: &[u8]) -> Vec<u8> {
    socket.send(payload).unwrap();
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn create_peer(peer: u64, room: u64) -> Command {
    let (role, options) = (PeerRole::Single, PeerOptions::default());
    Command::CreatePeer { peer: PeerId(peer), room: RoomId(room), role, options }
}

fn offer(peer: u64) -> Command {
    Command::Offer { peer: PeerId(peer), offer_id: 1, sdp: String::new() }
}

#[test]
fn datagrams_reach_the_core_and_its_answers_come_back() {
    let engine = start(&loopback());
    let socket = client(&engine, 0);
    assert_eq!(ask(&socket, b"hello"), b"hello");
    assert_eq!(ask(&socket, b"tick"), b"tock");
    assert!(engine.close(PATIENCE));
}

#[test]
fn memory_is_taken_by_the_page_and_not_by_huge_pages() {
    let engine = start(&loopback());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let state = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert_eq!(state.map(str::trim), Some("0"));
    assert!(engine.close(PATIENCE));
}

#[test]
fn feedback_that_bears_to_wait_is_read_too_whether_it_comes_first_or_behind_other() {
    let engine = start(&loopback());
    let socket = client(&engine, 0);
    let report = |number: u8| [0x80, 201, 0, 1, number];
    for number in 0..100 {
        // The next comes sometimes in time for the same moment of the grid, sometimes when nobody expects any more.
        assert_eq!(ask(&socket, &report(number)), report(number));
        if number % 10 == 0 {
            let calls = engine.stats().receive_calls;
            wait_until("the shard is through", || engine.stats().receive_calls > calls);
        }
    }
    for number in 0..200 {
        socket.send(&report(number)).unwrap();
    }
    for number in 0..200 {
        assert_eq!(receive(&socket), report(number));
    }
}

#[test]
fn a_fan_out_arrives_whole_and_in_order_with_and_without_gso() {
    for gso in [true, false] {
        let engine = start(&EngineConfig { gso, ..loopback() });
        let socket = client(&engine, 0);
        socket.send(b"fan 80 1100").unwrap();
        for number in 0..80u32 {
            let packet = receive(&socket);
            assert_eq!((packet.len(), &packet[..4]), (1100, number.to_be_bytes().as_slice()));
        }
        wait_until("the counters' snapshot", || engine.stats().sent.datagrams == 80);
        let sent = engine.stats().sent;
        assert_eq!(sent.gso_messages > 0 && sent.messages < 80, gso && sent.gso_refused == 0);
        assert!(engine.close(PATIENCE));
    }
}

#[test]
fn each_shard_has_its_own_port_and_answers_there() {
    let engine = start(&EngineConfig { shards: 3, ..loopback() });
    assert_eq!(engine.udp_ports().len(), 3);
    for shard in 0..3 {
        assert_eq!(ask(&client(&engine, shard), b"here"), b"here");
    }
}

#[test]
fn both_families_share_a_port_and_are_answered_on_their_own_socket() {
    let config = EngineConfig { bind: vec![[127, 0, 0, 1].into(), IpAddr::V6(Ipv6Addr::LOCALHOST)], ..loopback() };
    let engine = start(&config);
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    v6.connect(("::1", engine.udp_ports()[0])).unwrap();
    v6.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&v6, b"six"), b"six");
    assert_eq!(ask(&client(&engine, 0), b"four"), b"four");
}

#[test]
fn an_ipv6_wildcard_alone_serves_ipv4_too() {
    let engine = start(&EngineConfig { bind: vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)], ..loopback() });
    assert_eq!(ask(&client(&engine, 0), b"four"), b"four");
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let engine = start(&EngineConfig { bind: vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()], ..loopback() });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A connected socket takes answers from this address only.
    socket.connect(("127.0.0.2", engine.udp_ports()[0])).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&socket, b"second"), b"second");
}

#[test]
fn a_taken_port_is_named() {
    let engine = start(&loopback());
    let port = engine.udp_ports()[0];
    let Err(error) = Engine::start_with(&EngineConfig { udp_port: port, ..loopback() }, EchoFactory) else {
        panic!("two engines on one port")
    };
    assert!(matches!(&error, StartError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse));
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

#[test]
fn a_thread_that_falls_behind_tells_the_core_to_leave_something_out() {
    let engine = start(&loopback());
    assert_eq!(engine.stats().shed_level, 0);
    for _ in 0..3 {
        assert!(engine.inject(0, Fault::Stall(Duration::from_secs(1))));
        wait_until("the shard stalls", || engine.stats().commands_queued == 0);
    }
    wait_until("the core is told", || engine.stats().shed_raised > 0);
    assert!(engine.stats().shed_level > 0);
    assert!(engine.stats().named().iter().any(|(name, value)| *name == "net_shed_level" && *value > 0));
}

#[test]
fn a_panicking_shard_starts_again_empty_and_says_which_rooms_are_gone() {
    let engine = start(&EngineConfig { shards: 2, ..loopback() });
    for room in [1, 2] {
        engine.command(Command::CreateRoom { room: RoomId(room) }).unwrap();
    }
    engine.command(create_peer(10, 1)).unwrap();
    wait_for(&engine, |event| matches!(event, NetEvent::Core(Event::Connected { .. })).then_some(()));
    let socket = client(&engine, 0);
    socket.send(b"panic").unwrap();
    let failed = wait_for(&engine, |event| match event {
        NetEvent::ShardFailed { shard, rooms } => Some((*shard, rooms.clone())),
        NetEvent::Core(_) => None,
    });
    assert_eq!(failed, (0, vec![RoomId(1)]));
    // Same socket, same port: the restarted shard answers, and commands for what is lost are answered as unknown.
    assert_eq!(ask(&socket, b"again"), b"again");
    engine.command(offer(10)).unwrap();
    wait_for(&engine, |event| matches!(event, NetEvent::Core(Event::OfferRejected { .. })).then_some(()));
    assert_eq!(ask(&client(&engine, 1), b"untouched"), b"untouched");
    wait_until("the failure in the counters", || engine.stats().shard_failures == 1 && engine.stats().core.peers == 0);
}

#[test]
fn a_shard_that_stands_still_is_counted_until_it_comes_round() {
    let engine = start(&EngineConfig { shards: 2, ..loopback() });
    assert!(engine.inject(1, Fault::Stall(STUCK_AFTER + Duration::from_secs(2))));
    assert!(!engine.inject(2, Fault::Panic), "there is no such shard");
    wait_until("it is seen", || engine.stats().shards_stuck == 1);
    assert_eq!(ask(&client(&engine, 0), b"untouched"), b"untouched");
    wait_until("it is well again", || engine.stats().shards_stuck == 0);
    assert_eq!(engine.stats().shard_failures, 0);
    engine.inject(1, Fault::Panic);
    wait_until("it fails", || engine.stats().shard_failures == 1);
    assert_eq!(ask(&client(&engine, 1), b"again"), b"again");
}

#[test]
fn commands_beyond_the_bound_are_refused_and_closing_never_is() {
    let queues = QueueLimits { commands: 0, ..QueueLimits::default() };
    let engine = start(&EngineConfig { queues, ..loopback() });
    assert_eq!(engine.command(Command::CreateRoom { room: RoomId(1) }), Err(CommandError::Full));
    // Nothing of the refused command was applied, so there is nothing to close either: no effect, no error.
    assert_eq!(engine.command(Command::CloseRoom { room: RoomId(1) }), Ok(()));
    assert!(engine.close(PATIENCE));
    assert_eq!(engine.command(Command::CloseRoom { room: RoomId(1) }), Err(CommandError::Closed));
}

#[test]
fn a_reader_that_stops_loses_peers_but_never_half_a_conversation() {
    let queues = QueueLimits { events: 3, ..QueueLimits::default() };
    let engine = start(&EngineConfig { queues, ..loopback() });
    engine.command(Command::CreateRoom { room: RoomId(1) }).unwrap();
    for peer in 1..=10 {
        engine.command(create_peer(peer, 1)).unwrap();
    }
    wait_until("ten outcomes", || engine.stats().events_queued == 10);
    let mut events = Vec::new();
    engine.drain(100, &mut events);
    let connected = events.iter().filter(|e| matches!(e, NetEvent::Core(Event::Connected { .. }))).count();
    let closed = events
        .iter()
        .filter(|e| matches!(e, NetEvent::Core(Event::PeerClosed { reason: CloseReason::LimitExceeded, .. })));
    assert_eq!((connected, closed.count()), (3, 7));
    wait_until("the core to hear of it", || engine.stats().core.peers == 3);
}

#[test]
fn lossy_data_for_a_stopped_reader_are_dropped_and_counted() {
    let queues = QueueLimits { events: 5, ..QueueLimits::default() };
    let engine = start(&EngineConfig { queues, ..loopback() });
    engine.command(Command::CreateRoom { room: RoomId(1) }).unwrap();
    engine.command(create_peer(1, 1)).unwrap();
    for _ in 0..20 {
        let (peers, channel, payload) = (vec![PeerId(1)], Channel::Lossy, vec![1]);
        engine.command(Command::SendData { peers, channel, payload, sender: None }).unwrap();
    }
    wait_until("the drops", || engine.stats().events_dropped == 16);
    assert_eq!(engine.stats().events_queued, 5);
}

/// A binding request whose USERNAME says it is for this user fragment.
fn stun(ufrag: &str) -> Vec<u8> {
    let username = format!("{ufrag}:them");
    let padded = username.len().next_multiple_of(4);
    let mut message = vec![0x00, 0x01, 0, (4 + padded) as u8, 0x21, 0x12, 0xa4, 0x42];
    message.extend([9; 12]);
    message.extend([0x00, 0x06, 0, username.len() as u8]);
    message.extend(username.as_bytes());
    message.resize(20 + 4 + padded, 0);
    message
}

fn write_frame(stream: &mut TcpStream, payload: &[u8]) {
    let mut frame = (payload.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    stream.write_all(&frame).unwrap();
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut payload = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut payload).unwrap();
    payload
}

fn tcp_engine(queues: QueueLimits) -> (Engine, SocketAddr) {
    let engine = start(&EngineConfig { tcp_port: Some(0), shards: 2, queues, ..loopback() });
    for (room, peer) in [(1, 10), (2, 20)] {
        engine.command(Command::CreateRoom { room: RoomId(room) }).unwrap();
        engine.command(create_peer(peer, room)).unwrap();
        engine.command(offer(peer)).unwrap();
        wait_for(&engine, |event| matches!(event, NetEvent::Core(Event::Answer { .. })).then_some(()));
    }
    let address = SocketAddr::from(([127, 0, 0, 1], engine.tcp_port().unwrap()));
    (engine, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the other side closes.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.read(&mut byte), Ok(0) | Err(_))
}

#[test]
fn a_tcp_connection_goes_to_the_shard_its_first_message_names() {
    let (engine, address) = tcp_engine(QueueLimits::default());
    for ufrag in ["ufrag10", "ufrag20"] {
        let mut stream = connect(address);
        let request = stun(ufrag);
        // In three pieces: the frame's length, half the message, the rest with another frame behind it.
        let mut bytes = (request.len() as u16).to_be_bytes().to_vec();
        bytes.extend(&request);
        bytes.extend([0, 3, b'a', b'b', b'c']);
        for piece in [&bytes[..2], &bytes[2..20], &bytes[20..]] {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(read_frame(&mut stream), request);
        assert_eq!(read_frame(&mut stream), b"abc");
        write_frame(&mut stream, b"fan 50 1000");
        for _ in 0..50 {
            assert_eq!(read_frame(&mut stream).len(), 1000);
        }
    }
    wait_for(&engine, |event| matches!(event, NetEvent::Core(Event::ChannelOpen { .. })).then_some(()));
    wait_until("both connections to be forgotten", || engine.stats().tcp_connections == 0);
}

#[test]
fn strangers_on_tcp_are_sent_away() {
    let (engine, address) = tcp_engine(QueueLimits {
        tcp_first_message: Duration::from_millis(200),
        tcp_pending_per_ip: 4,
        ..QueueLimits::default()
    });
    let mut unknown = connect(address);
    write_frame(&mut unknown, &stun("nobody"));
    assert!(is_closed(&mut unknown));
    let mut noise = connect(address);
    write_frame(&mut noise, b"GET / HTTP/1.1");
    assert!(is_closed(&mut noise));
    let mut oversized = connect(address);
    oversized.write_all(&[0xff, 0xff, 0]).unwrap();
    assert!(is_closed(&mut oversized));
    let mut silent: Vec<TcpStream> = (0..8).map(|_| connect(address)).collect();
    for stream in &mut silent {
        assert!(is_closed(stream));
    }
    wait_until("no connection is left", || engine.stats().tcp_connections == 0);
}

#[test]
fn an_oversized_frame_later_on_closes_the_connection() {
    let (_engine, address) = tcp_engine(QueueLimits::default());
    let mut stream = connect(address);
    write_frame(&mut stream, &stun("ufrag10"));
    read_frame(&mut stream);
    stream.write_all(&[0xff, 0xff]).unwrap();
    assert!(is_closed(&mut stream));
}

#[test]
fn a_tcp_client_that_does_not_read_loses_whole_packets_only() {
    let queues = QueueLimits { tcp_write_bytes: 64 * 1024, ..QueueLimits::default() };
    let (engine, address) = tcp_engine(queues);
    let mut stream = connect(address);
    write_frame(&mut stream, &stun("ufrag10"));
    read_frame(&mut stream);
    for _ in 0..100 {
        write_frame(&mut stream, b"fan 200 1000");
    }
    wait_until("packets to be dropped", || engine.stats().tcp_dropped > 0);
    // What does arrive is whole frames, still in order within each burst.
    write_frame(&mut stream, b"end");
    let mut last: Option<u32> = None;
    let mut frames = 0;
    loop {
        let frame = read_frame(&mut stream);
        if frame == b"end" {
            break;
        }
        assert_eq!(frame.len(), 1000);
        let number = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        assert!(number < 200 && last.is_none_or(|last| number > last || number < 200), "{number} after {last:?}");
        last = Some(number);
        frames += 1;
        if frames % 1000 == 0 {
            write_frame(&mut stream, b"end");
        }
    }
    assert!(frames > 0);
}

#[test]
fn a_hundred_thousand_random_datagrams_do_not_disturb_a_conversation() {
    let engine = start(&loopback());
    let talker = client(&engine, 0);
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    noise.connect(("127.0.0.1", engine.udp_ports()[0])).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut payload = [0u8; 2500];
    for round in 0..100_000u32 {
        for chunk in payload.chunks_exact_mut(8).take(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        // Now and then longer than any packet we take.
        let length = if state % 50 == 0 { 2500 } else { (state % 1400) as usize };
        let _ = noise.send(&payload[..length]);
        if round % 1000 == 0 {
            let word = round.to_be_bytes();
            // UDP may lose under such a flood; the conversation asks again.
            talker.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut answer = [0; 64];
            wait_until("an answer", || {
                talker.send(&word).unwrap();
                matches!(talker.recv(&mut answer), Ok(4) if answer[..4] == word)
            });
        }
    }
    wait_until("the oversized to be counted", || engine.stats().receive_truncated > 0);
    assert_eq!(engine.stats().shard_failures, 0);
    assert!(engine.close(PATIENCE));
}

#[test]
fn fifty_starts_and_stops_leave_no_port_bound() {
    for _ in 0..50 {
        let engine = start(&EngineConfig { shards: 2, tcp_port: Some(0), ..loopback() });
        let (udp, tcp) = (engine.udp_ports().to_vec(), engine.tcp_port().unwrap());
        assert!(engine.close(PATIENCE));
        for port in udp {
            UdpSocket::bind(("127.0.0.1", port)).unwrap();
        }
        assert!(TcpStream::connect(("127.0.0.1", tcp)).is_err());
        assert!(engine.close(PATIENCE), "closing twice is harmless");
    }
}
