//! IPv4 and UDP as bytes, for a generator that is the hosts behind a TUN device: what the device hands over is read, and
//! cut where the server left that to its card; what clients send gets its headers.

use std::net::{Ipv4Addr, SocketAddrV4};

/// `struct virtio_net_hdr`, which goes before every packet of a device with IFF_VNET_HDR; its numbers are in the byte
/// order of the machine.
const VIRTIO: usize = 10;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`: UDP datagrams of one size behind one header, the last of them may be shorter.
const GSO_UDP: u8 = 5;
const IPV4: usize = 20;
const UDP: usize = 8;
/// All that goes before a payload.
pub const HEADERS: usize = VIRTIO + IPV4 + UDP;

const PROTOCOL_UDP: u8 = 17;
const DO_NOT_FRAGMENT: u8 = 0x40;
/// More fragments to come, and the offset of this one.
const FRAGMENT: u16 = 0x3FFF;

/// What the device handed over at once: one datagram, or several of one size from one address to another.
#[derive(Debug)]
pub struct Datagrams<'a> {
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    payload: &'a mut [u8],
    size: usize,
}

impl<'a> Datagrams<'a> {
    /// None for anything but whole UDP over IPv4: the kernel talks of multicast groups on any device, and a fragment is
    /// nothing a media server should send.
    pub fn parse(packet: &'a mut [u8]) -> Option<Datagrams<'a>> {
        let (virtio, packet) = packet.split_at_mut_checked(VIRTIO)?;
        let first = *packet.first()?;
        let header = usize::from(first & 0x0F) * 4;
        if first >> 4 != 4 || header < IPV4 || packet.len() < header + UDP {
            return None;
        }
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        if packet[9] != PROTOCOL_UDP || number(6) & FRAGMENT != 0 {
            return None;
        }
        let ip = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        let source = SocketAddrV4::new(ip(12), number(header));
        let destination = SocketAddrV4::new(ip(16), number(header + 2));
        let payload = &mut packet[header + UDP..];
        let size = match virtio[1] {
            GSO_UDP => usize::from(u16::from_ne_bytes([virtio[4], virtio[5]])),
            _ => payload.len(),
        };
        Some(Datagrams { source, destination, payload, size: size.max(1) })
    }

    pub fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size)
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.payload.chunks_mut(self.size)
    }
}

/// What goes before a payload of this length; None when no datagram is that long. The UDP checksum is left out, which
/// IPv4 allows: a card has looked at it before the server's kernel sees the packet.
pub fn headers(source: SocketAddrV4, destination: SocketAddrV4, payload: usize) -> Option<[u8; HEADERS]> {
    let total = u16::try_from(IPV4 + UDP + payload).ok()?;
    let mut bytes = [0; HEADERS];
    let (ip, udp) = bytes[VIRTIO..].split_at_mut(IPV4);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[6] = DO_NOT_FRAGMENT;
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    ip[12..16].copy_from_slice(&source.ip().octets());
    ip[16..20].copy_from_slice(&destination.ip().octets());
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    udp[0..2].copy_from_slice(&source.port().to_be_bytes());
    udp[2..4].copy_from_slice(&destination.port().to_be_bytes());
    udp[4..6].copy_from_slice(&(total - IPV4 as u16).to_be_bytes());
    Some(bytes)
}

/// The internet checksum (RFC 1071); over a header with its checksum in it, it is 0.
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 1), 40_000);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 7882);

    fn packet(payload: &[u8]) -> Vec<u8> {
        [&headers(FROM, TO, payload.len()).unwrap(), payload].concat()
    }

    #[test]
    fn the_checksum_is_that_of_the_example_every_textbook_has() {
        let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xC0, 0xA8, 0, 1, 0xC0, 0xA8, 0, 0xC7];
        assert_eq!(checksum(&header), 0xB861);
    }

    #[test]
    fn what_is_written_reads_back_and_its_header_checks() {
        let mut bytes = packet(b"hello");
        assert_eq!(checksum(&bytes[VIRTIO..VIRTIO + IPV4]), 0);
        let mut datagrams = Datagrams::parse(&mut bytes).unwrap();
        assert_eq!((datagrams.source, datagrams.destination, datagrams.count()), (FROM, TO, 1));
        assert_eq!(datagrams.each().collect::<Vec<_>>(), [b"hello"]);
    }

    #[test]
    fn a_segmented_packet_is_cut_by_the_size_the_kernel_names() {
        let mut bytes = packet(b"aaabbbcc");
        bytes[1] = GSO_UDP;
        bytes[4..6].copy_from_slice(&3u16.to_ne_bytes());
        let mut datagrams = Datagrams::parse(&mut bytes).unwrap();
        assert_eq!(datagrams.count(), 3);
        assert_eq!(datagrams.each().collect::<Vec<_>>(), [&b"aaa"[..], b"bbb", b"cc"]);
    }

    #[test]
    fn other_protocols_fragments_and_stubs_are_passed_over() {
        let changed = |at: usize, value: u8| {
            let mut bytes = packet(b"hello");
            bytes[VIRTIO + at] = value;
            Datagrams::parse(&mut bytes).is_none()
        };
        assert!(changed(0, 0x60), "IPv6");
        assert!(changed(9, 6), "TCP");
        assert!(changed(6, 0x20), "the first of several fragments");
        assert!(changed(7, 8), "a later fragment");
        assert!((0..HEADERS).all(|length| Datagrams::parse(&mut packet(b"")[..length]).is_none()));
    }

    #[test]
    fn no_datagram_is_longer_than_ip_allows() {
        assert!(headers(FROM, TO, 65_507).is_some() && headers(FROM, TO, 65_508).is_none());
    }
}
