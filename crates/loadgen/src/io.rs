//! Sockets by the batch: recvmmsg, sendmmsg, UDP_SEGMENT, epoll, core pinning. Unsafe code is here and in `tun`.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use libc::{c_int, c_void, epoll_event, iovec, mmsghdr, sockaddr_in};

/// Datagrams taken or handed over by one system call.
pub const BATCH: usize = 64;
/// Room for one datagram; nothing on these links is larger.
const DATAGRAM: usize = 2048;
/// Segments the kernel takes in one UDP_SEGMENT send (UDP_MAX_SEGMENTS of old kernels).
const MAX_SEGMENTS: usize = 64;
const MAX_GSO_BYTES: usize = 65_000;
/// A control message with a timespec: 32 bytes, and room to spare.
const CONTROL_WORDS: usize = 8;

/// Run this thread on one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: the set lives through the call and is sized by the type; CPU_SET checks its bound.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set))?;
    }
    Ok(())
}

/// Allow as many sockets as the hard limit does.
pub fn raise_descriptor_limit() {
    // SAFETY: both calls only read and write the struct handed over.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// CPU time in nanoseconds of this process, or of this thread only.
pub fn cpu_time_ns(thread_only: bool) -> u64 {
    let clock = if thread_only { libc::CLOCK_THREAD_CPUTIME_ID } else { libc::CLOCK_PROCESS_CPUTIME_ID };
    clock_ns(clock)
}

/// Monotonic clock in nanoseconds: the stamps inside test packets.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    // SAFETY: clock_gettime only writes the struct.
    unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(clock, &raw mut time);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
    }
}

/// A non-blocking socket on this address with buffers deep enough that only a stalled reader loses datagrams.
pub fn bind(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        let size: c_int = 4 << 20;
        // Forcing needs CAP_NET_ADMIN; without it the kernel caps the size silently.
        if set_option(socket.as_raw_fd(), libc::SOL_SOCKET, forced, size).is_err() {
            set_option(socket.as_raw_fd(), libc::SOL_SOCKET, plain, size)?;
        }
    }
    // Nothing is split, so nothing need be numbered: the raw relay is to be as fast as a relay can be.
    set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
    Ok(socket)
}

/// Have the kernel say of every datagram of this socket when it came in (`Receiver::arrival_ns`). It then stamps all
/// packets of the machine, which costs the server something, too.
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// What to take from a time of day to have a monotonic one.
fn day_ahead_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME) - monotonic_ns()
}

fn set_option(fd: RawFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value lives through the call and its size is given.
    let result = unsafe {
        libc::setsockopt(fd, level, option, (&raw const value).cast::<c_void>(), size_of::<c_int>() as libc::socklen_t)
    };
    check(result).map(drop)
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn to_raw(address: SocketAddr) -> sockaddr_in {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip,
        // Servers of this bench are IPv4; a v6 candidate is never chosen (Transport::add_candidate).
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    }
}

fn from_raw(raw: &sockaddr_in) -> SocketAddr {
    let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
    SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)))
}

/// Buffers for recvmmsg, shared by all sockets of a thread.
pub struct Receiver {
    buffers: Vec<[u8; DATAGRAM]>,
    names: Vec<sockaddr_in>,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
    control: Vec<[u64; CONTROL_WORDS]>,
}

impl Receiver {
    pub fn new() -> Receiver {
        // SAFETY: all-zero is a valid value of these C structs.
        let mut receiver = unsafe {
            Receiver {
                buffers: vec![[0; DATAGRAM]; BATCH],
                names: vec![zeroed(); BATCH],
                vectors: vec![zeroed(); BATCH],
                headers: vec![zeroed(); BATCH],
                control: vec![[0; CONTROL_WORDS]; BATCH],
            }
        };
        // The vectors are never resized, so the pointers stay good wherever the struct is moved.
        for index in 0..BATCH {
            receiver.vectors[index] =
                iovec { iov_base: receiver.buffers[index].as_mut_ptr().cast::<c_void>(), iov_len: DATAGRAM };
            let header = &mut receiver.headers[index].msg_hdr;
            header.msg_iov = &raw mut receiver.vectors[index];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut receiver.names[index]).cast::<c_void>();
            header.msg_control = receiver.control[index].as_mut_ptr().cast::<c_void>();
        }
        receiver
    }

    /// Number of datagrams read, 0 when there are none.
    pub fn receive(&mut self, socket: RawFd) -> usize {
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = size_of::<sockaddr_in>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
        }
        // SAFETY: every header points to a buffer, a name, a control entry and a vector of this struct, all of the stated sizes.
        let count = unsafe {
            libc::recvmmsg(socket, self.headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        usize::try_from(count).unwrap_or(0)
    }

    pub fn datagram(&mut self, index: usize) -> (SocketAddr, &mut [u8]) {
        let length = self.headers[index].msg_len as usize;
        (from_raw(&self.names[index]), &mut self.buffers[index][..length])
    }

    /// When a datagram of the last `receive` came in, on the monotonic clock; None without `stamp_arrivals`.
    pub fn arrival_ns(&self, index: usize) -> Option<u64> {
        // SAFETY: the kernel filled header and control entry; the macros stay within the length that it set, and the
        // message is a timespec when it says so.
        let time = unsafe {
            let message = libc::CMSG_FIRSTHDR(&raw const self.headers[index].msg_hdr).as_ref()?;
            let stamped = message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_TIMESTAMPNS;
            stamped.then(|| libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned())?
        };
        let of_day = u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?;
        of_day.checked_sub(day_ahead_ns())
    }
}

/// One datagram of a batch: a range of the buffer and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    pub start: usize,
    pub len: usize,
    pub destination: SocketAddr,
}

/// Arrays for sendmmsg.
pub struct Sender {
    names: Vec<sockaddr_in>,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
    control: Vec<[u64; 4]>,
}

impl Sender {
    pub fn new() -> Sender {
        // SAFETY: all-zero is a valid value of these C structs.
        unsafe {
            Sender {
                names: vec![zeroed(); BATCH],
                vectors: vec![zeroed(); BATCH],
                headers: vec![zeroed(); BATCH],
                control: vec![[0; 4]; BATCH],
            }
        }
    }

    /// Send all of them in order; with `gso`, runs to one destination of one size leave as one segmented send.
    /// Returns how many datagrams the kernel took. A full socket buffer drops the rest, as a network card would.
    pub fn send(&mut self, socket: RawFd, buffer: &[u8], datagrams: &[Outgoing], gso: bool) -> usize {
        let mut sent = 0;
        let mut next = 0;
        while next < datagrams.len() {
            let mut runs = [0usize; BATCH];
            let mut count = 0;
            while count < BATCH && next < datagrams.len() {
                let run = run_length(&datagrams[next..], gso);
                self.fill(count, buffer, &datagrams[next..next + run]);
                runs[count] = run;
                count += 1;
                next += run;
            }
            let taken = self.flush(socket, count);
            sent += runs[..taken].iter().sum::<usize>();
        }
        sent
    }

    fn fill(&mut self, index: usize, buffer: &[u8], run: &[Outgoing]) {
        let first = run[0];
        let bytes = &buffer[first.start..first.start + run.iter().map(|datagram| datagram.len).sum::<usize>()];
        self.names[index] = to_raw(first.destination);
        self.vectors[index] = iovec { iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(), iov_len: bytes.len() };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_name = (&raw mut self.names[index]).cast::<c_void>();
        header.msg_namelen = size_of::<sockaddr_in>() as libc::socklen_t;
        header.msg_iov = &raw mut self.vectors[index];
        header.msg_iovlen = 1;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        if run.len() > 1 {
            // SAFETY: CMSG_SPACE(2) is 24 bytes, the control entry has 32, aligned for a cmsghdr.
            unsafe {
                header.msg_control = self.control[index].as_mut_ptr().cast::<c_void>();
                header.msg_controllen = libc::CMSG_SPACE(2) as _;
                let message = libc::CMSG_FIRSTHDR(header);
                (*message).cmsg_level = libc::SOL_UDP;
                (*message).cmsg_type = libc::UDP_SEGMENT;
                (*message).cmsg_len = libc::CMSG_LEN(2) as _;
                libc::CMSG_DATA(message).cast::<u16>().write_unaligned(first.len as u16);
            }
        }
    }

    fn flush(&mut self, socket: RawFd, count: usize) -> usize {
        let mut done = 0;
        while done < count {
            // SAFETY: headers[done..count] were filled for this call and point into live memory.
            let taken = unsafe {
                libc::sendmmsg(socket, self.headers[done..].as_mut_ptr(), (count - done) as u32, libc::MSG_DONTWAIT)
            };
            match usize::try_from(taken) {
                Ok(taken) if taken > 0 => done += taken,
                _ => break,
            }
        }
        done
    }
}

/// Datagrams at the head of the list that may leave as one: same destination and size, back to back in the buffer.
fn run_length(datagrams: &[Outgoing], gso: bool) -> usize {
    let first = datagrams[0];
    if !gso {
        return 1;
    }
    let most = MAX_SEGMENTS.min(MAX_GSO_BYTES / first.len.max(1)).max(1);
    datagrams
        .iter()
        .take(most)
        .enumerate()
        .take_while(|(index, datagram)| {
            datagram.destination == first.destination
                && datagram.len == first.len
                && datagram.start == first.start + index * first.len
        })
        .count()
}

/// Which descriptors have something to read.
pub struct Epoll {
    fd: RawFd,
    events: Vec<epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no arguments but a flag.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll { fd, events: vec![epoll_event { events: 0, u64: 0 }; 256] })
    }

    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event lives through the call.
        check(unsafe { libc::epoll_ctl(self.fd, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    /// Tokens of ready descriptors, waiting at most so long.
    pub fn wait(&mut self, timeout_ms: i32, ready: &mut Vec<u64>) {
        ready.clear();
        // SAFETY: the kernel writes at most events.len() entries.
        let count =
            unsafe { libc::epoll_wait(self.fd, self.events.as_mut_ptr(), self.events.len() as c_int, timeout_ms) };
        let count = usize::try_from(count).unwrap_or(0);
        ready.extend(self.events[..count].iter().map(|event| event.u64));
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and closed once.
        unsafe {
            libc::close(self.fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmented_send_arrives_as_separate_datagrams() -> io::Result<()> {
        let (from, to) = (bind(Ipv4Addr::LOCALHOST)?, bind(Ipv4Addr::LOCALHOST)?);
        let buffer: Vec<u8> = (0..30u8).collect();
        let destination = to.local_addr()?;
        let datagrams: Vec<Outgoing> =
            (0..3).map(|index| Outgoing { start: index * 10, len: 10, destination }).collect();
        assert_eq!(Sender::new().send(from.as_raw_fd(), &buffer, &datagrams, true), 3);
        let mut receiver = Receiver::new();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            for index in 0..receiver.receive(to.as_raw_fd()) {
                let (source, bytes) = receiver.datagram(index);
                assert_eq!(source, from.local_addr()?);
                seen.push(bytes.to_vec());
            }
        }
        assert_eq!(seen, [buffer[..10].to_vec(), buffer[10..20].to_vec(), buffer[20..].to_vec()]);
        Ok(())
    }

    #[test]
    fn the_kernel_says_when_a_datagram_came_in_however_late_it_is_read() -> io::Result<()> {
        let (from, to) = (bind(Ipv4Addr::LOCALHOST)?, bind(Ipv4Addr::LOCALHOST)?);
        stamp_arrivals(&to)?;
        let mut receiver = Receiver::new();
        // The kernel begins to stamp a moment after it was asked; until then it says when a datagram was read.
        let stamped = (0..100).any(|_| {
            let before = monotonic_ns();
            let sent = to.local_addr().and_then(|address| from.send_to(b"x", address));
            let after = monotonic_ns();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let read = sent.is_ok() && receiver.receive(to.as_raw_fd()) == 1;
            let arrival = receiver.arrival_ns(0).unwrap_or(0);
            // The two clocks are read one after the other, so their difference is a little off.
            read && (before - 1_000_000..after + 1_000_000).contains(&arrival)
        });
        assert!(stamped);
        Ok(())
    }

    #[test]
    fn runs_end_where_size_or_destination_changes() {
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let there = SocketAddr::from(([127, 0, 0, 1], 2));
        let at = |start, len, destination| Outgoing { start, len, destination };
        let list = [at(0, 10, here), at(10, 10, here), at(20, 9, here), at(29, 9, there)];
        assert_eq!(run_length(&list, true), 2);
        assert_eq!(run_length(&list[2..], true), 1);
        assert_eq!(run_length(&list, false), 1);
    }
}
