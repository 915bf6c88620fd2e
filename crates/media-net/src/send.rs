//! Sending a wake-up's datagrams: sendmmsg with UDP_SEGMENT, straight out of the egress buffer.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

use auralink_media::api::Egress;

use crate::gso::{Message, Plan, Slice};
use crate::sys::{self, RawAddress};
use crate::udp::UdpSocket;

/// Messages handed to the kernel by one sendmmsg.
const SEND_BATCH: usize = 128;
/// Linux, since 4.18. Not in libc for every target.
const UDP_SEGMENT: libc::c_int = 103;
/// How often one flush may wait for the socket's send buffer before it drops what is left.
const MAX_WAITS: u32 = 2;
const WAIT: Duration = Duration::from_millis(1);
/// A segment of this size fits any path, so that EINVAL for it means that GSO itself is not there.
const SAFE_SEGMENT: usize = 1_200;

/// The control message that asks for segmentation.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct SegmentControl {
    header: libc::cmsghdr,
    segment: u16,
    padding: [u8; 6],
}

/// What sending did since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendCounters {
    pub calls: u64,
    pub messages: u64,
    /// Messages of more than one segment.
    pub gso_messages: u64,
    pub datagrams: u64,
    /// Datagrams given up because the kernel had no room.
    pub dropped: u64,
    /// Datagrams the kernel refused: unreachable, forbidden, too long.
    pub errors: u64,
    /// 1 once the kernel refused GSO, which is then never tried again.
    pub gso_refused: u64,
}

impl SendCounters {
    pub fn add(&mut self, other: &SendCounters) {
        let SendCounters { calls, messages, gso_messages, datagrams, dropped, errors, gso_refused } = *other;
        self.calls += calls;
        self.messages += messages;
        self.gso_messages += gso_messages;
        self.datagrams += datagrams;
        self.dropped += dropped;
        self.errors += errors;
        self.gso_refused += gso_refused;
    }
}

/// Reused space for sending. Not `Send`: made and used by one shard thread.
pub struct Sender {
    plan: Plan,
    gso: bool,
    /// The messages of one socket, when there are several.
    chunk: Vec<Message>,
    names: Vec<(RawAddress, libc::socklen_t)>,
    controls: Vec<SegmentControl>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    counters: SendCounters,
}

impl Sender {
    /// Without `gso` every datagram is its own message.
    pub fn new(gso: bool) -> Sender {
        Sender {
            plan: Plan::default(),
            gso,
            chunk: Vec::new(),
            names: Vec::with_capacity(SEND_BATCH),
            controls: Vec::with_capacity(SEND_BATCH),
            vectors: Vec::with_capacity(SEND_BATCH),
            headers: Vec::with_capacity(SEND_BATCH),
            counters: SendCounters::default(),
        }
    }

    pub fn counters(&self) -> SendCounters {
        self.counters
    }

    /// Sends the UDP transmits of `egress`, each by the socket `route` names. Nothing is kept: what the kernel does
    /// not take is counted and gone.
    pub fn send(&mut self, sockets: &[UdpSocket], egress: &Egress, mut route: impl FnMut(&SocketAddr) -> usize) {
        let mut plan = std::mem::take(&mut self.plan);
        plan.build(&egress.transmits, self.gso);
        if let [socket] = sockets {
            for messages in plan.messages.chunks(SEND_BATCH) {
                self.send_chunk(socket, messages, &plan.slices, &egress.buffer);
            }
        } else {
            let mut chunk = std::mem::take(&mut self.chunk);
            for (index, socket) in sockets.iter().enumerate() {
                let mut own = plan.messages.iter().filter(|m| route(&m.destination) == index);
                loop {
                    chunk.clear();
                    chunk.extend(own.by_ref().take(SEND_BATCH).copied());
                    if chunk.is_empty() {
                        break;
                    }
                    self.send_chunk(socket, &chunk, &plan.slices, &egress.buffer);
                }
            }
            self.chunk = chunk;
        }
        self.plan = plan;
    }

    fn send_chunk(&mut self, socket: &UdpSocket, messages: &[Message], slices: &[Slice], buffer: &[u8]) {
        self.prepare(socket, messages, slices, buffer);
        let mut at = 0;
        let mut waits = 0;
        while let Some(message) = messages.get(at) {
            match self.call(socket, at) {
                Ok(sent) => {
                    for done in messages.iter().skip(at).take(sent) {
                        self.counters.messages += 1;
                        self.counters.gso_messages += u64::from(done.segments > 1);
                        self.counters.datagrams += done.segments as u64;
                    }
                    at += sent.max(1);
                }
                Err(libc::EINTR) => {}
                Err(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                    if waits == MAX_WAITS {
                        let left = messages.iter().skip(at).map(|m| m.segments as u64).sum::<u64>();
                        self.counters.dropped += left;
                        return;
                    }
                    waits += 1;
                    sys::wait_writable(socket.raw(), WAIT);
                }
                Err(errno) => {
                    if message.segments > 1 && refuses_segmentation(errno) {
                        if errno != libc::EINVAL || message.segment <= SAFE_SEGMENT {
                            self.gso = false;
                            self.counters.gso_refused = 1;
                        }
                        self.send_apart(socket, message, slices, buffer);
                    } else if errno == libc::EMSGSIZE {
                        self.send_apart(socket, message, slices, buffer);
                    } else {
                        self.counters.errors += message.segments as u64;
                    }
                    at += 1;
                }
            }
        }
    }

    /// Describes the messages to the kernel. The pointers into `buffer`, `names`, `controls` and `vectors` are used
    /// by the calls of the same `send_chunk` only.
    fn prepare(&mut self, socket: &UdpSocket, messages: &[Message], slices: &[Slice], buffer: &[u8]) {
        self.names.clear();
        self.controls.clear();
        self.vectors.clear();
        self.headers.clear();
        for message in messages {
            self.names.push(RawAddress::encode(message.destination, socket.dual));
            self.controls.push(SegmentControl {
                header: libc::cmsghdr {
                    // SAFETY: CMSG_LEN is arithmetic.
                    cmsg_len: unsafe { libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) } as _,
                    cmsg_level: libc::SOL_UDP,
                    cmsg_type: UDP_SEGMENT,
                },
                segment: message.segment as u16,
                padding: [0; 6],
            });
            for slice in slices.iter().skip(message.first).take(message.count) {
                let bytes = buffer.get(slice.start..slice.start + slice.len).unwrap_or_default();
                // sendmsg only reads through this pointer, although its type says otherwise.
                self.vectors.push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
            }
        }
        let mut vectors = self.vectors.as_mut_ptr();
        for (message, ((name, length), control)) in
            messages.iter().zip(self.names.iter_mut().zip(self.controls.iter_mut()))
        {
            // SAFETY: all fields are integers and pointers, for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (name as *mut RawAddress).cast();
            header.msg_hdr.msg_namelen = *length;
            header.msg_hdr.msg_iov = vectors;
            header.msg_hdr.msg_iovlen = message.count as _;
            if message.segments > 1 {
                header.msg_hdr.msg_control = (control as *mut SegmentControl).cast();
                header.msg_hdr.msg_controllen = size_of::<SegmentControl>() as _;
            }
            self.headers.push(header);
            // SAFETY: exactly `count` vectors were pushed per message, so this stays inside (or one past) the Vec.
            vectors = unsafe { vectors.add(message.count) };
        }
    }

    fn call(&mut self, socket: &UdpSocket, at: usize) -> Result<usize, libc::c_int> {
        let headers = self.headers.get_mut(at..).unwrap_or_default();
        self.counters.calls += 1;
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the headers were built by `prepare` over buffers that outlive this call and are not changed by it.
        let sent =
            unsafe { libc::sendmmsg(socket.raw(), headers.as_mut_ptr(), headers.len() as libc::c_uint, flags as _) };
        if sent < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(sent as usize) }
    }

    /// Sends a message's segments one by one, for a kernel or a path that does not segment, or a path they are too large
    /// for.
    fn send_apart(&mut self, socket: &UdpSocket, message: &Message, slices: &[Slice], buffer: &[u8]) {
        let (name, length) = RawAddress::encode(message.destination, socket.dual);
        for slice in slices.iter().skip(message.first).take(message.count) {
            let bytes = buffer.get(slice.start..slice.start + slice.len).unwrap_or_default();
            for segment in bytes.chunks(message.segment) {
                let mut sent = self.send_one(socket.raw(), segment, &name, length);
                if sent == Err(libc::EMSGSIZE) {
                    sent = self.send_one(socket.splitting(), segment, &name, length);
                }
                if sent.is_err() {
                    self.counters.errors += 1;
                } else {
                    self.counters.messages += 1;
                    self.counters.datagrams += 1;
                }
            }
        }
    }

    fn send_one(
        &mut self,
        by: RawFd,
        datagram: &[u8],
        name: &RawAddress,
        length: libc::socklen_t,
    ) -> Result<(), libc::c_int> {
        self.counters.calls += 1;
        // SAFETY: `datagram` and `name` are live and readable in the stated lengths.
        let sent = unsafe {
            libc::sendto(
                by,
                datagram.as_ptr().cast(),
                datagram.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                (&raw const *name).cast(),
                length,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(()) }
    }
}

/// How kernels say that they cannot segment: no offload on the route (EIO), an unknown control message (EINVAL,
/// EOPNOTSUPP, ENOPROTOOPT), or a segment larger than the path (EINVAL, EMSGSIZE).
fn refuses_segmentation(errno: libc::c_int) -> bool {
    matches!(errno, libc::EIO | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::EMSGSIZE)
}
