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
use std::time::Duration;

use crate::args::Args;
use crate::feed::{FarSide, Frames};
use crate::io::{self, Epoll, Outgoing, Receiver, Sender};
use crate::json::Json;
use crate::link::Link;

pub const OPTIONS: &[&str] =
    &["destinations", "packets-per-frame", "bytes", "gso", "rate", "seconds", "server-core", "core", "card", "uso"];

struct Relayed {
    packets: u64,
    cpu_ns: u64,
}

pub fn run(args: &Args) -> Result<Json, String> {
    let destinations: usize = args.get("destinations", 1)?;
    let frames = Frames {
        packets: args.get("packets-per-frame", 10)?,
        bytes: args.get("bytes", 1150)?,
        rate: args.get("rate", 0)?,
    };
    let gso: bool = args.get("gso", false)?;
    let seconds: f64 = args.get("seconds", 2.0)?;
    let server_core: Option<usize> = args.optional("server-core")?;
    let link = Link::open(args)?;
    let socket = |error: std::io::Error| format!("UDP socket: {error}");
    let relay = link.server_socket().map_err(socket)?;
    let relay_address = relay.local_addr().map_err(socket)?;
    let mut far_side = FarSide::new(&link, destinations)?;
    let addresses = far_side.addresses()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let server = thread::spawn(move || {
        if let Some(core) = server_core {
            io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
        }
        forward(&relay, &addresses, frames.packets, gso, &stopping)
    });
    if let Some(core) = args.optional("core")? {
        io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
    }
    let dropped_before = link.card().map(|card| card.dropped());
    let (sent, received) = far_side.feed(relay_address, frames, Duration::from_secs_f64(seconds));
    stop.store(true, Ordering::Release);
    let relayed = server.join().map_err(|_| "the relay thread panicked")??;
    let card_drops = link.card().map(|card| card.dropped()).zip(dropped_before).map(|(after, before)| after - before);
    Ok(Json::Object(vec![
        ("forwarded", relayed.packets.into()),
        ("lost", (sent * destinations as u64).saturating_sub(received).into()),
        ("card_drops", card_drops.into()),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tun;

    fn report(words: &str) -> Result<String, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Args::parse(&words, OPTIONS).and_then(|args| run(&args)).map(|json| json.to_string())
    }

    #[test]
    fn the_relay_reaches_every_destination_with_every_packet() {
        let report = report("--destinations 3 --packets-per-frame 4 --seconds 0.05 --gso true --rate 400");
        assert!(report.is_ok_and(|json| json.contains(r#""lost":0,"#)));
    }

    /// The whole of it: what the relay sends comes out of the card, and what the card puts in comes to the relay.
    #[test]
    fn behind_a_card_that_segments_or_does_not_every_packet_arrives_and_none_is_dropped() {
        let reports = std::thread::spawn(|| {
            tun::private_network("card0", "10.77.0.1/16", 1_000)?;
            let whole = |uso: &str, gso: &str| {
                let words = "--card card0 --destinations 100 --packets-per-frame 4 --seconds 0.1 --rate 100";
                report(&format!("{words} --uso {uso} --gso {gso}"))
            };
            Ok::<_, String>([whole("true", "true"), whole("false", "true"), whole("true", "false")])
        });
        match reports.join().unwrap() {
            Err(reason) => eprintln!("not tested: {reason}"),
            Ok(reports) => {
                for report in reports {
                    let report = report.unwrap();
                    assert!(report.contains(r#""lost":0,"card_drops":0,"#) && !report.contains(r#""forwarded":0,"#));
                }
            }
        }
    }
}
