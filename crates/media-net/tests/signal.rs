//! Signal connections over real sockets: what is answered here, what the signal plane gets, how they end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use auralink_media_net::signal::{Incoming, Received, SignalHub, SignalLimits, SignalMessage, SignalSocket};
use proptest::prelude::*;
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);
const HEAD: &[u8] = b"HTTP/1.1 101 \r\n\r\n";
/// `SignalRequest { ping: 7 }`.
const PING: &[u8] = &[0x70, 0x07];
/// `SignalRequest { leave: LeaveRequest {} }`.
const LEAVE: &[u8] = &[0x42, 0x00];

fn limits() -> SignalLimits {
    SignalLimits {
        message_bytes: 100_000,
        queued_bytes: 4_000_000,
        burst: 1_000,
        per_s: 1_000,
        silence: Duration::from_secs(60),
    }
}

/// A client whose handshake is over, and our side of it.
fn connect(hub: &SignalHub) -> (TcpStream, SignalSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    let socket = hub.adopt(ours.as_raw_fd(), HEAD.to_vec()).unwrap();
    drop(ours);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut head = [0; HEAD.len()];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head, HEAD);
    (client, socket)
}

fn websocket(client: TcpStream) -> WebSocket<TcpStream> {
    WebSocket::from_raw_socket(client, Role::Client, None)
}

fn within(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The next `count` things that the signal plane gets.
fn heard(hub: &SignalHub, count: usize) -> Vec<Incoming> {
    let mut received: Vec<Received> = Vec::new();
    within("something is said", || {
        hub.drain(count - received.len(), &mut received);
        received.len() == count
    });
    received.into_iter().map(|received| received.incoming).collect()
}

fn closed_with(client: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(_) => {}
            Err(error) => panic!("closed without a word: {error}"),
        }
    }
}

#[test]
fn a_ping_is_answered_and_nobody_else_hears_of_it() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, socket) = connect(&hub);
    let mut client = websocket(client);
    within("some silence", || socket.silent_for() > Duration::from_millis(300));
    let silence = socket.silent_for();
    client.send(Message::binary(PING)).unwrap();
    let Message::Binary(pong) = client.read().unwrap() else { panic!("no pong") };
    assert_eq!(pong[..2], [0x90, 0x01], "field 18");
    assert!(socket.silent_for() < silence);
    client.send(Message::binary(LEAVE)).unwrap();
    assert_eq!(heard(&hub, 1), [Incoming::Binary(LEAVE.into())]);
}

#[test]
fn messages_go_both_ways_in_order() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, socket) = connect(&hub);
    let mut client = websocket(client);
    client.write(Message::binary(LEAVE)).unwrap();
    client.write(Message::text("{}")).unwrap();
    client.write(Message::binary(vec![7; 90_000])).unwrap();
    client.flush().unwrap();
    let expected =
        [Incoming::Binary(LEAVE.into()), Incoming::Text("{}".into()), Incoming::Binary(vec![7; 90_000].into())];
    assert_eq!(heard(&hub, 3), expected);
    for size in 0..2_000usize {
        assert!(socket.send(SignalMessage::binary(vec![1; size])));
    }
    assert!((0..2_000usize).all(|size| client.read().unwrap() == Message::binary(vec![1; size])));
}

#[test]
fn an_answer_does_not_come_amid_a_long_message() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, socket) = connect(&hub);
    let mut client = websocket(client);
    let mut sent = 0usize;
    within("the kernel has no more room", || {
        let before = sent;
        sent += (0..60).filter(|_| socket.send(SignalMessage::binary(vec![1; 50_000]))).count();
        sent == before
    });
    for number in 0..20u8 {
        client.send(Message::Ping(vec![number].into())).unwrap();
    }
    client.send(Message::binary(LEAVE)).unwrap();
    assert_eq!(heard(&hub, 1), [Incoming::Binary(LEAVE.into())]);
    let (mut messages, mut last_pong) = (0, None);
    while messages < sent || last_pong != Some(19) {
        match client.read().unwrap() {
            Message::Pong(number) => last_pong = number.first().copied(),
            message => {
                assert_eq!(message, Message::binary(vec![1; 50_000]));
                messages += 1;
            }
        }
    }
}

#[test]
fn a_connection_is_closed_after_what_waits_was_sent() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, socket) = connect(&hub);
    let mut client = websocket(client);
    socket.send(SignalMessage::text("last words"));
    socket.close(1012);
    assert_eq!(client.read().unwrap(), Message::text("last words"));
    assert_eq!(closed_with(&mut client), 1012);
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
}

#[test]
fn a_socket_that_is_dropped_is_closed() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, socket) = connect(&hub);
    drop(socket);
    assert_eq!(closed_with(&mut websocket(client)), 1001);
}

#[test]
fn a_client_that_closes_gets_its_answer() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, _socket) = connect(&hub);
    let mut client = websocket(client);
    client.close(None).unwrap();
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
    within("an answer", || matches!(client.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn a_client_that_is_gone_is_over() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, _socket) = connect(&hub);
    drop(client);
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
}

#[test]
fn a_message_that_is_too_large_ends_the_connection() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, _socket) = connect(&hub);
    let mut client = websocket(client);
    client.send(Message::binary(vec![0; 100_001])).unwrap();
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
    assert_eq!(closed_with(&mut client), 1009);
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let unmasked: &[u8] = &[0x82, 0x01, 0x00];
    let reserved: &[u8] = &[0xf2, 0x80, 0, 0, 0, 0];
    let bad_text: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, 0xff];
    for (sent, code) in [(unmasked, 1002), (reserved, 1002), (bad_text, 1007)] {
        let hub = SignalHub::start(limits()).unwrap();
        let (mut client, _socket) = connect(&hub);
        client.write_all(sent).unwrap();
        assert_eq!(heard(&hub, 1), [Incoming::Over]);
        assert_eq!(closed_with(&mut websocket(client)), code);
    }
}

#[test]
fn what_waits_for_a_client_that_never_reads_is_bounded_and_its_end_is_not_awaited_for_ever() {
    let hub = SignalHub::start(SignalLimits { silence: Duration::from_secs(4), ..limits() }).unwrap();
    let (client, socket) = connect(&hub);
    let mut sent = 0usize;
    // The kernel takes some megabytes; then the bound is reached.
    within("an end of what is taken", || {
        (0..100).any(|_| {
            !socket.send(SignalMessage::binary(vec![0; 60_000])) || {
                sent += 1;
                false
            }
        })
    });
    assert!(sent * 60_000 >= limits().queued_bytes);
    socket.close(1013);
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
    drop(client);
}

#[test]
fn a_client_that_pings_and_never_reads_is_cut() {
    let hub = SignalHub::start(SignalLimits { queued_bytes: 100_000, burst: 1_000_000, ..limits() }).unwrap();
    for ping in [Message::Ping(vec![0; 125].into()), Message::binary(PING)] {
        let (client, _socket) = connect(&hub);
        let mut client = websocket(client);
        within("it is cut", || (0..10_000).any(|_| client.send(ping.clone()).is_err()));
        assert_eq!(heard(&hub, 1), [Incoming::Over]);
    }
}

#[test]
fn a_flood_waits_in_the_clients_socket() {
    let hub = SignalHub::start(SignalLimits { burst: 10, per_s: 50, ..limits() }).unwrap();
    let (client, _socket) = connect(&hub);
    let mut client = websocket(client);
    let start = Instant::now();
    for _ in 0..40 {
        client.write(Message::binary(LEAVE)).unwrap();
    }
    client.flush().unwrap();
    assert_eq!(heard(&hub, 40).len(), 40);
    assert!(start.elapsed() >= Duration::from_millis(500), "29 of them cost 20 ms each");
}

#[test]
fn a_client_is_not_read_further_while_nobody_takes_what_it_said() {
    let hub = SignalHub::start(limits()).unwrap();
    let (client, _socket) = connect(&hub);
    client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut client = websocket(client);
    let mut written = 0usize;
    while client.send(Message::binary(vec![1; 90_000])).is_ok() {
        written += 1;
        assert!(written < 1_000, "it is read without end");
    }
    // The message it was writing stays half written until it is read again.
    assert_eq!(heard(&hub, written).len(), written);
}

#[test]
fn a_client_that_says_nothing_is_over() {
    let hub = SignalHub::start(SignalLimits { silence: Duration::from_millis(100), ..limits() }).unwrap();
    let (client, socket) = connect(&hub);
    assert_eq!(heard(&hub, 1), [Incoming::Over]);
    // The signal plane says with which words.
    socket.close(1000);
    assert_eq!(closed_with(&mut websocket(client)), 1000);
}

#[test]
fn one_client_among_many_waits_for_no_other() {
    let hub = SignalHub::start(limits()).unwrap();
    let mut clients: Vec<_> = (0..200).map(|_| connect(&hub)).collect();
    let (stuck, _) = clients.remove(0);
    (&stuck).write_all(&[0x82]).unwrap(); // half a header
    for (client, _) in clients {
        let mut client = websocket(client);
        client.send(Message::binary(PING)).unwrap();
        assert!(matches!(client.read().unwrap(), Message::Binary(_)));
    }
}

#[test]
fn a_hub_that_closes_drops_its_connections() {
    let hub = SignalHub::start(limits()).unwrap();
    let (mut client, socket) = connect(&hub);
    hub.close();
    assert_eq!(client.read(&mut [0; 10]).unwrap_or(0), 0);
    socket.close(1000);
}

#[test]
fn what_is_no_descriptor_is_refused() {
    let hub = SignalHub::start(limits()).unwrap();
    assert!(hub.adopt(-1, Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_bytes_a_client_sends_the_others_go_on(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
        let hub = SignalHub::start(limits()).unwrap();
        let (mut hostile, _socket) = connect(&hub);
        let (client, _other) = connect(&hub);
        let mut client = websocket(client);
        let _ = hostile.write_all(&junk);
        drop(hostile);
        let mut received = Vec::new();
        within("its end", || {
            hub.drain(100, &mut received);
            received.last().is_some_and(|last: &Received| last.incoming == Incoming::Over)
        });
        client.send(Message::binary(PING)).unwrap();
        prop_assert!(matches!(client.read().unwrap(), Message::Binary(_)));
    }
}
