//! Which of a shard's sockets a datagram leaves by.

use std::net::SocketAddr;

use auralink_media::api::Datagram;
use rustc_hash::FxHashMap;

use crate::udp::UdpSocket;

/// Addresses remembered at most, per shard with several sockets of one family.
const MAX_HEARD: usize = 100_000;

/// Which socket reaches an address: the one it was last heard on when several could.
pub struct Routes {
    /// Sockets by family, IPv4 first.
    first: [Option<usize>; 2],
    ambiguous: bool,
    heard: FxHashMap<SocketAddr, usize>,
}

impl Routes {
    pub fn new(sockets: &[UdpSocket]) -> Routes {
        let v4 = SocketAddr::from(([0, 0, 0, 0], 0));
        let v6 = SocketAddr::from(([0u16; 8], 0));
        let able = |address: SocketAddr| sockets.iter().filter(move |s| s.reaches(&address)).count();
        let first = |address: SocketAddr| {
            let exact = sockets.iter().position(|s| s.local().is_ipv4() == address.is_ipv4());
            exact.or_else(|| sockets.iter().position(|s| s.reaches(&address)))
        };
        Routes { first: [first(v4), first(v6)], ambiguous: able(v4) > 1 || able(v6) > 1, heard: FxHashMap::default() }
    }

    pub fn learn(&mut self, socket: usize, batch: &[Datagram<'_>]) {
        if !self.ambiguous {
            return;
        }
        for datagram in batch {
            if self.heard.len() >= MAX_HEARD && !self.heard.contains_key(&datagram.source) {
                self.heard.clear();
            }
            self.heard.insert(datagram.source, socket);
        }
    }

    pub fn socket(&self, destination: &SocketAddr) -> usize {
        let [v4, v6] = self.first;
        let default = if destination.is_ipv4() { v4 } else { v6 };
        let heard = if self.ambiguous { self.heard.get(destination).copied() } else { None };
        // An address no socket reaches goes to the first, whose refusal is counted.
        heard.or(default).unwrap_or(0)
    }
}
