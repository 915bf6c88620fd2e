//! What is between clients and server: loopback, where each client has a socket, or a network card (a TUN device), where
//! this process is all the hosts on the other side and clients are addresses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::rc::Rc;
use std::time::Duration;

use crate::args::Args;
use crate::io::{Outgoing, Sender, bind, stamp_arrivals};
use crate::ip;
use crate::tun::Tun;

/// A card is not waited for but looked at this often (and a timer's slack later): who sends a packet to a reader that
/// waits has to wake it up, and no server behind a card does that.
pub const POLL_INTERVAL: Duration = Duration::from_micros(100);

/// The card's address, which is the server's; everybody else in 10.77.0.0/16 is a client.
const CARD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const CLIENTS_IN_SUBNET: usize = 250;
const CLIENT_PORT: u16 = 40_000;

#[derive(Debug, Clone)]
pub enum Link {
    Loopback,
    Card(Rc<Tun>),
}

impl Link {
    /// `--card DEVICE`, with `--uso true` for one that segments; loopback without.
    pub fn open(args: &Args) -> Result<Link, String> {
        match args.text("card") {
            Some(device) => Ok(Link::Card(Rc::new(Tun::open(device, args.get("uso", false)?)?))),
            None => Ok(Link::Loopback),
        }
    }

    pub fn card(&self) -> Option<&Rc<Tun>> {
        match self {
            Link::Loopback => None,
            Link::Card(card) => Some(card),
        }
    }

    /// A client's end of it; clients are numbered from 0.
    pub fn port(&self, number: usize) -> Result<Port, String> {
        match self {
            Link::Loopback => {
                bind(Ipv4Addr::LOCALHOST).map(Port::Socket).map_err(|error| format!("UDP socket: {error}"))
            }
            Link::Card(card) => {
                let address = client_address(number).ok_or_else(|| format!("no address for client {number}"))?;
                Ok(Port::Card { card: card.clone(), address })
            }
        }
    }

    /// A socket at the server's end of it.
    pub fn server_socket(&self) -> io::Result<UdpSocket> {
        match self {
            Link::Loopback => bind(Ipv4Addr::LOCALHOST),
            Link::Card(_) => bind(CARD),
        }
    }
}

/// A client's end of the link.
#[derive(Debug)]
pub enum Port {
    Socket(UdpSocket),
    Card { card: Rc<Tun>, address: SocketAddrV4 },
}

impl Port {
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Port::Socket(socket) => socket.local_addr(),
            Port::Card { address, .. } => Ok(SocketAddr::V4(*address)),
        }
    }

    /// What to read from, where this client alone reads from it.
    pub fn fd(&self) -> Option<RawFd> {
        match self {
            Port::Socket(socket) => Some(socket.as_raw_fd()),
            Port::Card { .. } => None,
        }
    }

    /// Have the kernel say when a datagram came in. Behind a card no kernel sees it: there is only the time of reading.
    pub fn stamp_arrivals(&self) -> io::Result<()> {
        match self {
            Port::Socket(socket) => stamp_arrivals(socket),
            Port::Card { .. } => Ok(()),
        }
    }

    /// False when the kernel did not take it.
    pub fn send_to(&self, datagram: &[u8], destination: SocketAddr) -> bool {
        match self {
            Port::Socket(socket) => socket.send_to(datagram, destination).is_ok(),
            Port::Card { card, address } => write(card, *address, destination, datagram),
        }
    }

    /// Send all in order, by as few system calls as the link allows; returns how many the kernel took.
    pub fn send(&self, sender: &mut Sender, buffer: &[u8], datagrams: &[Outgoing]) -> usize {
        match self {
            Port::Socket(socket) => sender.send(socket.as_raw_fd(), buffer, datagrams, false),
            Port::Card { card, address } => datagrams
                .iter()
                .filter(|one| write(card, *address, one.destination, &buffer[one.start..one.start + one.len]))
                .count(),
        }
    }
}

fn write(card: &Tun, source: SocketAddrV4, destination: SocketAddr, datagram: &[u8]) -> bool {
    let SocketAddr::V4(destination) = destination else { return false };
    ip::headers(source, destination, datagram.len()).is_some_and(|headers| card.write(&headers, datagram))
}

/// Every client is a host of its own, as in reality: 10.77.1.1 to 10.77.1.250, then 10.77.2.1 and so on.
fn client_address(number: usize) -> Option<SocketAddrV4> {
    let subnet = u8::try_from(1 + number / CLIENTS_IN_SUBNET).ok()?;
    let host = u8::try_from(1 + number % CLIENTS_IN_SUBNET).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::new(10, 77, subnet, host), CLIENT_PORT))
}

/// Whose address it is; None for what no client has.
pub fn client_number(address: SocketAddrV4) -> Option<usize> {
    let [.., subnet, host] = address.ip().octets();
    let (subnet, host) = (usize::from(subnet).checked_sub(1)?, usize::from(host).checked_sub(1)?);
    let number = subnet * CLIENTS_IN_SUBNET + host;
    (client_address(number) == Some(address)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_an_address_that_says_who_it_is() {
        let numbers = [0, 249, 250, 2_000, 63_749];
        let addresses: Vec<_> = numbers.into_iter().filter_map(client_address).collect();
        assert_eq!(addresses[1].ip(), &Ipv4Addr::new(10, 77, 1, 250));
        assert_eq!(addresses[2].ip(), &Ipv4Addr::new(10, 77, 2, 1));
        assert_eq!(addresses.into_iter().map(client_number).collect::<Vec<_>>(), numbers.map(Some));
        assert_eq!(client_address(63_750), None);
    }

    #[test]
    fn the_server_strange_ports_and_strange_networks_are_nobody() {
        for (ip, port) in [
            (CARD, CLIENT_PORT),
            (Ipv4Addr::new(10, 77, 1, 1), CLIENT_PORT + 1),
            (Ipv4Addr::new(10, 78, 1, 1), CLIENT_PORT),
            (Ipv4Addr::new(10, 77, 1, 251), CLIENT_PORT),
        ] {
            assert_eq!(client_number(SocketAddrV4::new(ip, port)), None);
        }
    }
}
