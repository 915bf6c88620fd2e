//! Datagrams that are larger than a path takes whole.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]
#![allow(unsafe_code)]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use auralink_media::api::{Egress, Proto, Transmit};
use auralink_media_net::send::Sender;
use auralink_media_net::udp::UdpSocket;

/// Less than the datagrams below have.
const MTU: &str = "1100";

/// Gives this thread a network of its own, whose loopback takes packets of no more than [`MTU`].
fn narrow_network() -> Result<(), String> {
    // SAFETY: no arguments but a flag.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("no network namespace: {}", std::io::Error::last_os_error()));
    }
    let done = Command::new("ip").args(["link", "set", "lo", "up", "mtu", MTU]).output();
    let done = done.map_err(|error| format!("ip: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// What arrives of datagrams of these sizes, and what the sender counted as errors.
fn passed(sizes: &[usize]) -> (Vec<usize>, u64) {
    let ours = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
    let theirs = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut egress = Egress::default();
    for len in sizes {
        let start = egress.buffer.len();
        egress.buffer.resize(start + len, 7);
        let destination = theirs.local_addr().unwrap();
        egress.transmits.push(Transmit { proto: Proto::Udp, destination, start, len: *len });
    }
    let mut sender = Sender::new(true);
    sender.send(&[ours], &egress, |_| 0);
    let mut buffer = [0; 2048];
    let arrived = sizes.iter().map_while(|_| theirs.recv(&mut buffer).ok()).collect();
    (arrived, sender.counters().errors)
}

#[test]
fn what_is_larger_than_the_path_arrives_in_parts() {
    let there = std::thread::spawn(|| {
        narrow_network()?;
        Ok::<_, String>((passed(&[1400]), passed(&[1300, 1300, 1300, 500]), passed(&[900, 900, 900])))
    });
    match there.join().unwrap() {
        Err(reason) => eprintln!("not tested: {reason}"),
        Ok((alone, run, small)) => {
            assert_eq!(alone, (vec![1400], 0));
            assert_eq!(run, (vec![1300, 1300, 1300, 500], 0));
            assert_eq!(small, (vec![900; 3], 0));
        }
    }
}
