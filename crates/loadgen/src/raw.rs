//! `udp`: what this machine's UDP can do at most for a shape of sends. A relay on the server's core takes a frame from a
//! socket and sends it to every destination, with nothing in between: no decryption, no rewriting, no copy per
//! destination. Frames come one at a time, so that it never batches what a server could not. With `--rate` they come at
//! that rate per second, and the relay pays for falling asleep and waking up as a server under this load does; without
//! it each comes when the one before is through, and the relay never sleeps long.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::io::{self, Epoll, Outgoing, Receiver, Sender};
use crate::json::Json;

pub const OPTIONS: &[&str] =
    &["destinations", "packets-per-frame", "bytes", "gso", "rate", "seconds", "server-core", "core"];

/// Long enough for any frame to arrive; after it the missing datagrams count as lost.
const FRAME_PATIENCE: Duration = Duration::from_millis(50);

struct Relayed {
    packets: u64,
    cpu_ns: u64,
}

pub fn run(args: &Args) -> Result<Json, String> {
    let destinations: usize = args.get("destinations", 1)?;
    let frame: usize = args.get("packets-per-frame", 10)?;
    let bytes: usize = args.get("bytes", 1150)?;
    let gso: bool = args.get("gso", false)?;
    let seconds: f64 = args.get("seconds", 2.0)?;
    let rate: u32 = args.get("rate", 0)?;
    let server_core: Option<usize> = args.optional("server-core")?;
    let socket = |error: std::io::Error| format!("UDP socket: {error}");
    let relay = io::bind_loopback().map_err(socket)?;
    let sinks: Vec<UdpSocket> =
        (0..destinations).map(|_| io::bind_loopback()).collect::<Result<_, _>>().map_err(socket)?;
    let addresses: Vec<SocketAddr> =
        sinks.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>().map_err(socket)?;
    let relay_address = relay.local_addr().map_err(socket)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let server = thread::spawn(move || {
        if let Some(core) = server_core {
            io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
        }
        forward(&relay, &addresses, frame, gso, &stopping)
    });
    if let Some(core) = args.optional("core")? {
        io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
    }
    let fed = feed(&sinks, relay_address, (frame, bytes), rate, Duration::from_secs_f64(seconds));
    stop.store(true, Ordering::Release);
    let relayed = server.join().map_err(|_| "the relay thread panicked")??;
    let (sent, received) = fed?;
    Ok(Json::Object(vec![
        ("forwarded", relayed.packets.into()),
        ("lost", (sent * destinations as u64).saturating_sub(received).into()),
        ("cpu_s", (relayed.cpu_ns as f64 / 1e9).into()),
        ("packets_per_cpu_s", (relayed.packets as f64 * 1e9 / relayed.cpu_ns.max(1) as f64).into()),
    ]))
}

fn forward(
    socket: &UdpSocket,
    destinations: &[SocketAddr],
    frame: usize,
    gso: bool,
    stop: &AtomicBool,
) -> Result<Relayed, String> {
    let mut epoll = Epoll::new().map_err(|error| format!("epoll: {error}"))?;
    epoll.add(socket.as_raw_fd(), 0).map_err(|error| format!("epoll: {error}"))?;
    let (mut receiver, mut sender, mut ready) = (Receiver::new(), Sender::new(), Vec::new());
    let (mut buffer, mut run, mut datagrams) = (Vec::new(), Vec::new(), Vec::new());
    let mut packets = 0;
    let start = io::cpu_time_ns(true);
    while !stop.load(Ordering::Acquire) {
        epoll.wait(20, &mut ready);
        for index in 0..receiver.receive(socket.as_raw_fd()) {
            let (_, datagram) = receiver.datagram(index);
            run.push((buffer.len(), datagram.len()));
            buffer.extend_from_slice(datagram);
        }
        if run.len() < frame {
            continue;
        }
        datagrams.clear();
        for destination in destinations {
            datagrams.extend(run.iter().map(|&(start, len)| Outgoing { start, len, destination: *destination }));
        }
        packets += sender.send(socket.as_raw_fd(), &buffer, &datagrams, gso) as u64;
        buffer.clear();
        run.clear();
    }
    Ok(Relayed { packets, cpu_ns: io::cpu_time_ns(true) - start })
}

/// Send frames to the relay, each when the one before came out everywhere and, with a `rate` above zero, when it is
/// due. Returns (sent, received) packets.
fn feed(
    sinks: &[UdpSocket],
    relay: SocketAddr,
    (frame, bytes): (usize, usize),
    rate: u32,
    time: Duration,
) -> Result<(u64, u64), String> {
    let mut epoll = Epoll::new().map_err(|error| format!("epoll: {error}"))?;
    for (sink, token) in sinks.iter().zip(0..) {
        epoll.add(sink.as_raw_fd(), token).map_err(|error| format!("epoll: {error}"))?;
    }
    let source = io::bind_loopback().map_err(|error| format!("UDP socket: {error}"))?;
    let buffer = vec![0xA5; bytes * frame];
    let datagrams: Vec<Outgoing> =
        (0..frame).map(|position| Outgoing { start: position * bytes, len: bytes, destination: relay }).collect();
    let (mut receiver, mut sender, mut ready) = (Receiver::new(), Sender::new(), Vec::new());
    let (mut sent, mut received) = (0, 0);
    let mut due = Instant::now();
    let end = due + time;
    while Instant::now() < end {
        if rate > 0 {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += Duration::from_secs(1) / rate;
        }
        let taken = sender.send(source.as_raw_fd(), &buffer, &datagrams, false) as u64;
        sent += taken;
        let mut awaited = taken * sinks.len() as u64;
        let patience = Instant::now() + FRAME_PATIENCE;
        while awaited > 0 && Instant::now() < patience {
            epoll.wait(5, &mut ready);
            for token in &ready {
                let count = receiver.receive(sinks[*token as usize].as_raw_fd()) as u64;
                received += count;
                awaited = awaited.saturating_sub(count);
            }
        }
    }
    Ok((sent, received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_reaches_every_destination_with_every_packet() {
        let words: Vec<String> = "--destinations 3 --packets-per-frame 4 --seconds 0.05 --gso true --rate 400"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let report = Args::parse(&words, OPTIONS).and_then(|args| run(&args)).map(|json| json.to_string());
        assert!(report.is_ok_and(|json| json.contains(r#""lost":0,"#)));
    }
}
