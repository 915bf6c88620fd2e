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
    /// Where feedback arrives that bears to wait; none where the kernel does not sort.
    patient: Option<OwnedFd>,
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
        let patient = sys::bind_beside(&fd, local, !dual, &mut bears_to_wait()).ok();
        if patient.is_some() {
            // The kernel then need not number IPv4 packets, which takes it as long as finding their route. What is too
            // large for a path is for the other socket.
            let _ = sys::never_split(&fd);
        }
        Ok(UdpSocket { fd, patient, local, dual })
    }

    /// Raises both buffers; says what the operator should know when the kernel gave less.
    pub fn raise_buffers(&self) -> Vec<String> {
        if let Some(patient) = &self.patient {
            // What is lost here is made up for by the next report.
            let _ = sys::raise_buffer(patient, Buffer::Receive, SOCKET_BUFFER);
        }
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

    /// The descriptor of the feedback that bears to wait.
    pub fn patient(&self) -> Option<RawFd> {
        self.patient.as_ref().map(OwnedFd::as_raw_fd)
    }

    /// The descriptor by which datagrams that are too large for a path leave in parts.
    pub fn splitting(&self) -> RawFd {
        self.patient().unwrap_or(self.raw())
    }

    /// Can it send to this address at all?
    pub fn reaches(&self, address: &SocketAddr) -> bool {
        self.dual || self.local.is_ipv4() == address.is_ipv4()
    }
}

/// Receiver reports and transport-wide feedback, by the two bytes that SRTCP leaves in the clear. From five hundred
/// subscribers they come thousands of times a second, and nothing is lost when they are read some milliseconds later.
/// NACKs, key frame requests and sender reports are not among them.
fn bears_to_wait() -> [libc::sock_filter; 11] {
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const SKIP_UNLESS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    [
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0xC0, 0, 0),
        step(SKIP_UNLESS, 0x80, 0, 6), // RTP or RTCP version 2
        step(LOAD_BYTE, 1, 0, 0),
        step(SKIP_UNLESS, 201, 5, 0), // a receiver report
        step(SKIP_UNLESS, 205, 0, 3), // transport-layer feedback
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0x1F, 0, 0),
        step(SKIP_UNLESS, 15, 1, 0), // transport-wide
        step(RETURN, 0, 0, 0),
        step(RETURN, 1, 0, 0),
    ]
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
    pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for index in 0..self.filled {
            // SAFETY: in bounds; the kernel shortens the length to that of each address, so it is set again.
            unsafe { (*self.header(index)).msg_hdr.msg_namelen = RawAddress::SIZE };
        }
        self.filled = 0;
        let flags = libc::MSG_DONTWAIT;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Payloads on a descriptor, waiting until there is one.
    fn taken(fd: RawFd) -> Vec<Vec<u8>> {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd that lives for the call.
        unsafe { libc::poll(&raw mut poll, 1, 20_000) };
        let mut receive = RecvBatch::new();
        receive.receive(fd).unwrap();
        let (batch, used) = receive.datagrams();
        batch[..used].iter().map(|datagram| datagram.payload.to_vec()).collect()
    }

    #[test]
    fn the_kernel_sorts_out_what_bears_to_wait() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let socket = UdpSocket::bind(address.parse().unwrap(), true).unwrap();
            let patient = socket.patient().expect("a kernel that sorts, Linux 4.5 or newer");
            let client = std::net::UdpSocket::bind(if address.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" });
            let client = client.unwrap();
            let to = if socket.local().is_ipv4() { "127.0.0.1" } else { "::1" };
            let to = SocketAddr::new(to.parse().unwrap(), socket.local().port());
            let waits: [&[u8]; 3] = [&[0x80, 201, 0, 1], &[0x81, 201, 0, 7], &[0x8F, 205, 0, 5]];
            let urgent: [&[u8]; 10] = [
                &[0x81, 205, 0, 3], // NACK
                &[0x81, 206, 0, 2], // PLI
                &[0x8F, 206, 0, 5], // REMB
                &[0x80, 200, 0, 6], // sender report
                &[0x80, 111, 0, 1], // RTP
                &[0x00, 201, 0, 0], // not RTP at all
                &[0x4F, 205, 0, 0],
                &[22, 254, 253, 0], // DTLS
                &[0x80],
                &[],
            ];
            for payload in urgent.iter().chain(&waits) {
                client.send_to(payload, to).unwrap();
            }
            assert_eq!(taken(patient), waits, "{address}");
            assert_eq!(taken(socket.raw()), urgent, "{address}");
        }
    }
}
