//! A TUN device as the server's network card: what the server sends comes out of its descriptor, and what is written into
//! the descriptor comes in at the server. The kernel takes it in on the writer's core.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::zeroed;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use libc::{c_short, c_uint, c_ulong};

use crate::procfs;

/// Room for one packet: a whole segmented send, and the header before it.
pub const PACKET: usize = 66_000;

#[derive(Debug)]
pub struct Tun {
    file: File,
    device: String,
}

impl Tun {
    /// Become the other end of a device that is there. With `segments` it takes segmented sends whole, as a card with
    /// UDP segmentation does; without, the kernel cuts them on the sender's core before it hands them over. It never
    /// has the kernel compute UDP checksums, as no card does.
    pub fn open(device: &str, segments: bool) -> Result<Tun, String> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(|error| format!("needs root and /dev/net/tun: {error}"))?;
        attach(&file, device).map_err(|error| format!("TUN device {device}: {error}"))?;
        let segmentation = if segments { libc::TUN_F_USO4 | libc::TUN_F_USO6 } else { 0 };
        offload(&file, libc::TUN_F_CSUM | segmentation).map_err(|error| match segments {
            true => format!("this kernel has no UDP segmentation for TUN devices (Linux 6.2 has): {error}"),
            false => format!("TUNSETOFFLOAD: {error}"),
        })?;
        Ok(Tun { file, device: device.to_owned() })
    }

    /// The next packet and the header before it; None when there is none now.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let length = (&self.file).read(buffer).ok()?;
        buffer.get_mut(..length)
    }

    /// False when the kernel did not take it.
    pub fn write(&self, headers: &[u8], payload: &[u8]) -> bool {
        (&self.file).write_vectored(&[IoSlice::new(headers), IoSlice::new(payload)]).is_ok()
    }

    /// Packets of the server that found no room, because nobody had read the ones before.
    pub fn dropped(&self) -> u64 {
        procfs::dropped_by(&self.device)
    }
}

fn attach(file: &File, device: &str) -> io::Result<()> {
    if device.is_empty() || device.len() >= libc::IFNAMSIZ {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a device name"));
    }
    // SAFETY: all-zero is a valid value of this C struct.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one ifreq, which lives through the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn offload(file: &File, features: c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open, and TUNSETOFFLOAD takes its argument by value.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, c_ulong::from(features)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this thread, and threads and processes that it starts from now on, a network of their own with a card in it.
#[cfg(test)]
pub fn private_network(device: &str, address: &str, queue: usize) -> Result<(), String> {
    // SAFETY: no arguments but a flag.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("no network namespace: {}", io::Error::last_os_error()));
    }
    for words in [
        &["tuntap", "add", "dev", device, "mode", "tun", "vnet_hdr"][..],
        &["link", "set", device, "txqueuelen", &queue.to_string()],
        &["addr", "add", address, "dev", device],
        &["link", "set", device, "up"],
    ] {
        let done = std::process::Command::new("ip").args(words).output().map_err(|error| format!("ip: {error}"))?;
        if !done.status.success() {
            return Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr)));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_finds_no_room_in_the_card_is_counted() {
        let counted = std::thread::spawn(|| {
            private_network("card0", "10.77.0.1/16", 5)?;
            let card = Tun::open("card0", true)?;
            let server = UdpSocket::bind(("10.77.0.1", 0)).map_err(|error| error.to_string())?;
            let sent = (0..12).filter(|_| server.send_to(b"hello", "10.77.1.1:9").is_ok()).count();
            let mut buffer = vec![0; PACKET];
            let read = std::iter::from_fn(|| card.read(&mut buffer).map(|_| ())).count();
            Ok::<_, String>((sent, read as u64 + card.dropped()))
        });
        match counted.join().unwrap() {
            Err(reason) => eprintln!("not tested: {reason}"),
            // The kernel may have words of its own for the card.
            Ok((sent, counted)) => assert!(sent == 12 && counted >= 12),
        }
    }
}
