//! UDP sockets, and receiving from them in batches: recvmmsg into reused slots.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use auralink_media::api::{Datagram, Proto};

use crate::sys::{self, Buffer, RawAddress, Transport};

/// Datagrams taken by one system call.
pub const BATCH: usize = 64;
/// Larger than any packet on an Ethernet path. What is longer is cut by the kernel and dropped by us.
pub const MAX_DATAGRAM: usize = 2048;
/// Asked for in both directions: a quarter second of 128 Mbit/s.
const SOCKET_BUFFER: i32 = 4 * 1024 * 1024;

/// A bound UDP socket of one shard.
#[derive(Debug)]
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    /// An IPv6 wildcard that also serves IPv4, whose addresses it wants mapped.
    pub(crate) dual: bool,
}

impl UdpSocket {
    /// `dual`: an IPv6 socket that takes IPv4 too.
    pub fn bind(address: SocketAddr, dual: bool) -> io::Result<UdpSocket> {
        let dual = dual && address.is_ipv6();
        let fd = sys::bind(Transport::Udp, address, !dual)?;
        let local = sys::local_address(&fd)?;
        Ok(UdpSocket { fd, local, dual })
    }

    /// Raises both buffers; says what the operator should know when the kernel gave less.
    pub fn raise_buffers(&self) -> Vec<String> {
        [(Buffer::Receive, "receive", "rmem_max"), (Buffer::Send, "send", "wmem_max")]
            .into_iter()
            .filter_map(|(buffer, name, setting)| match sys::raise_buffer(&self.fd, buffer, SOCKET_BUFFER) {
                Ok(granted) if granted >= SOCKET_BUFFER => None,
                Ok(granted) => Some(format!(
                    "UDP {name} buffer of {} is {granted} bytes, wanted {SOCKET_BUFFER}: \
                     set sysctl net.core.{setting}={SOCKET_BUFFER} to avoid losing packets in bursts",
                    self.local
                )),
                Err(error) => Some(format!("UDP {name} buffer of {} cannot be set: {error}", self.local)),
            })
            .collect()
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Can it send to this address at all?
    pub fn reaches(&self, address: &SocketAddr) -> bool {
        self.dual || self.local.is_ipv4() == address.is_ipv4()
    }
}

struct Slots {
    payloads: [[u8; MAX_DATAGRAM]; BATCH],
    names: [RawAddress; BATCH],
    vectors: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

/// Reused space for one `recvmmsg`. Not `Send`: made and used by one shard thread.
pub struct RecvBatch {
    /// Owned, from `Box::into_raw`: the headers point into the same allocation, so no `&mut` to the whole is kept.
    slots: *mut Slots,
    filled: usize,
}

impl RecvBatch {
    pub fn new() -> RecvBatch {
        // Every field is made of integers and raw pointers, for which zero is a value: initialised by being zeroed.
        let slots = Box::into_raw(Box::new(MaybeUninit::<Slots>::zeroed())).cast::<Slots>();
        for index in 0..BATCH {
            // SAFETY: `slots` is live and uniquely ours; `index` is in bounds of all four arrays; the stored pointers
            // stay valid because the allocation is not moved until `drop`.
            unsafe {
                let vector = (&raw mut (*slots).vectors).cast::<libc::iovec>().add(index);
                (*vector).iov_base = (&raw mut (*slots).payloads).cast::<[u8; MAX_DATAGRAM]>().add(index).cast();
                (*vector).iov_len = MAX_DATAGRAM;
                let header = &raw mut (*(&raw mut (*slots).headers).cast::<libc::mmsghdr>().add(index)).msg_hdr;
                (*header).msg_name = (&raw mut (*slots).names).cast::<RawAddress>().add(index).cast();
                (*header).msg_namelen = RawAddress::SIZE;
                (*header).msg_iov = vector;
                (*header).msg_iovlen = 1;
            }
        }
        RecvBatch { slots, filled: 0 }
    }

    /// Takes what is there, without waiting: at most [`BATCH`]. An empty socket gives 0.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for index in 0..self.filled {
            // SAFETY: in bounds; the kernel shortens the length to that of each address, so it is set again.
            unsafe { (*self.header(index)).msg_hdr.msg_namelen = RawAddress::SIZE };
        }
        self.filled = 0;
        let (fd, flags) = (socket.raw(), libc::MSG_DONTWAIT);
        // SAFETY: the headers describe buffers inside our own live allocation, to which no reference exists now.
        let count =
            unsafe { libc::recvmmsg(fd, self.header(0), BATCH as libc::c_uint, flags as _, std::ptr::null_mut()) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.filled = count as usize;
        Ok(self.filled)
    }

    fn header(&self, index: usize) -> *mut libc::mmsghdr {
        // SAFETY: callers stay below BATCH, so the pointer is inside the array.
        unsafe { (&raw mut (*self.slots).headers).cast::<libc::mmsghdr>().add(index) }
    }

    /// The datagrams of the last `receive`, cut ones left out, with their number.
    pub fn datagrams(&mut self) -> ([Datagram<'_>; BATCH], usize) {
        let unused = || Datagram { proto: Proto::Udp, source: SocketAddr::from(([0, 0, 0, 0], 0)), payload: &mut [] };
        let mut batch: [Datagram<'_>; BATCH] = std::array::from_fn(|_| unused());
        let mut used = 0;
        for index in 0..self.filled {
            if let (Some(datagram), Some(place)) = (self.datagram(index), batch.get_mut(used)) {
                *place = datagram;
                used += 1;
            }
        }
        (batch, used)
    }

    fn datagram<'a>(&mut self, index: usize) -> Option<Datagram<'a>> {
        // SAFETY: `index` < filled <= BATCH. Each payload slot is turned into one slice per `datagrams` call, whose
        // result borrows `self` mutably, so slices never alias and end before the kernel writes again. The kernel
        // wrote `msg_len` <= MAX_DATAGRAM bytes.
        unsafe {
            let header = &*self.header(index);
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                return None;
            }
            let source = (*(&raw const (*self.slots).names).cast::<RawAddress>().add(index)).decode()?;
            let base = (&raw mut (*self.slots).payloads).cast::<[u8; MAX_DATAGRAM]>().add(index).cast::<u8>();
            let length = (header.msg_len as usize).min(MAX_DATAGRAM);
            Some(Datagram { proto: Proto::Udp, source, payload: std::slice::from_raw_parts_mut(base, length) })
        }
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        RecvBatch::new()
    }
}

impl Drop for RecvBatch {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `new` (of the same layout, zeroed) and freed only here.
        drop(unsafe { Box::from_raw(self.slots) });
    }
}
