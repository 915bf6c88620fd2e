//! Binds everything before the first thread starts, so that a taken port costs nothing but an error.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use crate::config::{EngineConfig, StartError};
use crate::sys::{self, Transport};
use crate::udp::UdpSocket;

/// Free ports tried when several addresses must share one.
const PORT_TRIES: usize = 16;
const LISTEN_BACKLOG: i32 = 256;

/// Everything bound before the first thread starts.
pub struct Bound {
    /// Per shard, one socket per address.
    pub udp: Vec<Vec<UdpSocket>>,
    pub tcp: Vec<OwnedFd>,
    pub tcp_port: Option<u16>,
    pub warnings: Vec<String>,
}

impl Bound {
    pub fn new(config: &EngineConfig) -> Result<Bound, StartError> {
        if config.bind.is_empty() {
            return Err(StartError::Invalid("no bind address"));
        }
        if config.shards == 0 {
            return Err(StartError::Invalid("at least one shard is needed"));
        }
        let mut udp = Vec::with_capacity(config.shards);
        let mut warnings = Vec::new();
        for index in 0..config.shards {
            let port = match config.udp_port {
                0 => 0,
                first => u16::try_from(usize::from(first) + index)
                    .map_err(|_| StartError::Invalid("the shards' UDP ports go past 65,535"))?,
            };
            let sockets = bind_all(&config.bind, port, "UDP", |address, dual| {
                let socket = UdpSocket::bind(address, dual)?;
                Ok((socket.local().port(), socket))
            })?;
            for warning in sockets.iter().flat_map(UdpSocket::raise_buffers) {
                warnings.push(warning);
            }
            udp.push(sockets);
        }
        let mut tcp = Vec::new();
        let mut tcp_port = None;
        if let Some(port) = config.tcp_port {
            tcp = bind_all(&config.bind, port, "TCP", |address, dual| {
                let socket = sys::bind(Transport::Tcp, address, !dual)?;
                sys::listen(&socket, LISTEN_BACKLOG)?;
                Ok((sys::local_address(&socket)?.port(), socket))
            })?;
            tcp_port = tcp.first().map(sys::local_address).transpose()?.map(|address| address.port());
        }
        Ok(Bound { udp, tcp, tcp_port, warnings })
    }
}

/// Binds one port on every address; port 0 finds one that is free on all.
fn bind_all<S>(
    addresses: &[IpAddr],
    port: u16,
    protocol: &'static str,
    bind: impl Fn(SocketAddr, bool) -> std::io::Result<(u16, S)>,
) -> Result<Vec<S>, StartError> {
    let mut tries = if port == 0 && addresses.len() > 1 { PORT_TRIES } else { 1 };
    // An IPv6 wildcard alone also serves IPv4.
    let dual = !addresses.iter().any(IpAddr::is_ipv4);
    loop {
        tries -= 1;
        let mut shared = port;
        let mut bound = Vec::with_capacity(addresses.len());
        let mut failure = None;
        for ip in addresses {
            let address = SocketAddr::new(*ip, shared);
            match bind(address, dual && ip.is_unspecified()) {
                Ok((port, socket)) => {
                    shared = port;
                    bound.push(socket);
                }
                Err(source) => {
                    failure = Some(StartError::Bind { protocol, address, source });
                    break;
                }
            }
        }
        match failure {
            None => return Ok(bound),
            Some(failure) if tries == 0 => return Err(failure),
            Some(_) => {}
        }
    }
}
