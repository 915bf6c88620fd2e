//! Kernel objects: eventfd, epoll, sockets with options, addresses. Each wrapper owns its descriptor and closes it.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn own(fd: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: `fd` was just returned by the kernel as a new descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of our own for what another one names, which stays its owner's.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed; the kernel refuses a number that is no descriptor.
    own(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })
}

/// A wake-up counter that poll, epoll and asyncio can wait for.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no pointers are passed.
        own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(EventFd)
    }

    /// Makes the descriptor readable. A saturated counter is readable already, so its EAGAIN is no failure.
    pub fn signal(&self) {
        let one = 1u64;
        // SAFETY: `one` is 8 readable bytes for the duration of the call.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), mem::size_of::<u64>()) };
    }

    /// Makes the descriptor unreadable until the next `signal`.
    pub fn reset(&self) {
        let mut count = 0u64;
        // SAFETY: `count` is 8 writable bytes for the duration of the call.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), mem::size_of::<u64>()) };
    }

    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
}

/// How a descriptor is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Read,
    /// Also wait for room to write.
    ReadAndWrite,
    /// Tells once and then no more, until it is asked for again.
    ReadOnce,
}

/// Level-triggered epoll with nanosecond timeouts.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    buffer: Vec<libc::epoll_event>,
    coarse: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers are passed.
        let fd = own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll { fd, buffer: vec![libc::epoll_event { events: 0, u64: 0 }; 64], coarse: false })
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        let more = match watch {
            Watch::Read => 0,
            Watch::ReadAndWrite => libc::EPOLLOUT,
            Watch::ReadOnce => libc::EPOLLONESHOT,
        };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLRDHUP | more) as u32, u64: token };
        // SAFETY: `event` lives for the call; the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }

    pub fn add(&self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, watch)
    }

    pub fn change(&self, fd: RawFd, token: u64, watch: Watch) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, watch)
    }

    pub fn remove(&self, fd: RawFd) {
        // SAFETY: the event argument is ignored for DEL and may be null since Linux 2.6.9.
        let _ = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Waits until something is ready or the time is over; `None` waits for ever.
    pub fn wait(&mut self, timeout: Option<Duration>, into: &mut Vec<Ready>) -> io::Result<()> {
        into.clear();
        let count = match self.wait_once(timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        into.extend(self.buffer.iter().take(count).map(|event| {
            let events = event.events as libc::c_int;
            Ready {
                token: event.u64,
                readable: events & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                writable: events & libc::EPOLLOUT != 0,
            }
        }));
        Ok(())
    }

    fn wait_once(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if !self.coarse {
            match self.wait_fine(timeout) {
                // Kernels before 5.11 have no epoll_pwait2, and seccomp profiles made for them answer EPERM.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => self.coarse = true,
                other => return other,
            }
        }
        let millis = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let room = self.buffer.len() as libc::c_int;
        // SAFETY: the buffer holds `room` events that the kernel may overwrite.
        let count = check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.buffer.as_mut_ptr(), room, millis) })?;
        Ok(count as usize)
    }

    fn wait_fine(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let time = timeout.map(|t| libc::timespec {
            tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
        });
        let time = time.as_ref().map_or(std::ptr::null(), |t| t as *const libc::timespec);
        let nothing: *const libc::sigset_t = std::ptr::null();
        // SAFETY: the buffer holds `len` events that the kernel may overwrite; `time` is null or outlives the call; a
        // null signal mask (with its size unused) leaves the thread's mask alone.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.buffer.as_mut_ptr(),
                self.buffer.len() as libc::c_int,
                time,
                nothing,
                mem::size_of::<u64>(),
            )
        };
        if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
    }
}

/// A socket address as the kernel reads and writes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub union RawAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
    family: libc::sa_family_t,
}

impl RawAddress {
    pub const SIZE: libc::socklen_t = mem::size_of::<RawAddress>() as libc::socklen_t;

    pub fn zeroed() -> RawAddress {
        // SAFETY: all variants are plain integers, for which zero is a value.
        unsafe { mem::zeroed() }
    }

    /// With the length the kernel wants for it. `mapped`: write IPv4 as `::ffff:a.b.c.d`, for a dual-stack socket.
    pub fn encode(address: SocketAddr, mapped: bool) -> (RawAddress, libc::socklen_t) {
        let v6 = match address {
            SocketAddr::V4(v4) if !mapped => return (RawAddress::encode_v4(v4), size_of_length::<libc::sockaddr_in>()),
            SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0),
            SocketAddr::V6(v6) => v6,
        };
        let mut raw = RawAddress::zeroed();
        raw.v6 = libc::sockaddr_in6 {
            sin6_family: libc::AF_INET6 as libc::sa_family_t,
            sin6_port: v6.port().to_be(),
            sin6_flowinfo: v6.flowinfo(),
            sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
            sin6_scope_id: v6.scope_id(),
        };
        (raw, size_of_length::<libc::sockaddr_in6>())
    }

    fn encode_v4(address: SocketAddrV4) -> RawAddress {
        let mut raw = RawAddress::zeroed();
        raw.v4 = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
            sin_zero: [0; 8],
        };
        raw
    }

    /// The address, IPv4-mapped ones as IPv4; `None` for a family that is neither.
    pub fn decode(&self) -> Option<SocketAddr> {
        // SAFETY: the family lies at the same place in every variant; all bytes are initialised (zeroed first) and any
        // bit pattern is a value of the plain integers read here.
        unsafe {
            match libc::c_int::from(self.family) {
                libc::AF_INET => {
                    let ip = Ipv4Addr::from(self.v4.sin_addr.s_addr.to_ne_bytes());
                    Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port))))
                }
                libc::AF_INET6 => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    Some(match ip.to_ipv4_mapped() {
                        Some(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
                        None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, self.v6.sin6_scope_id)),
                    })
                }
                _ => None,
            }
        }
    }
}

fn size_of_length<T>() -> libc::socklen_t {
    mem::size_of::<T>() as libc::socklen_t
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A bound, non-blocking socket. `only_v6` is ignored for IPv4. TCP sockets may reuse an address in TIME_WAIT.
pub fn bind(transport: Transport, address: SocketAddr, only_v6: bool) -> io::Result<OwnedFd> {
    let socket = unbound(transport, address, only_v6)?;
    if transport == Transport::Tcp {
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    }
    bind_to(&socket, address)?;
    Ok(socket)
}

/// A second UDP socket on the address of `first`, which gets the datagrams that `chosen_by`, a classic BPF program over
/// the payload, answers with 1. Nobody else can bind the address, as only these two ever share it.
pub fn bind_beside(
    first: &OwnedFd,
    address: SocketAddr,
    only_v6: bool,
    chosen_by: &mut [libc::sock_filter],
) -> io::Result<OwnedFd> {
    let second = unbound(Transport::Udp, address, only_v6)?;
    for socket in [first, &second] {
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    bind_to(&second, address)?;
    let program = libc::sock_fprog { len: chosen_by.len() as _, filter: chosen_by.as_mut_ptr() };
    let size = mem::size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `program` and the instructions it points to are readable for the call; the kernel copies them.
    check(unsafe {
        libc::setsockopt(
            first.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size,
        )
    })?;
    Ok(second)
}

/// Datagrams that are too large for the path to an IPv4 address are refused (EMSGSIZE) instead of split.
pub fn never_split(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
}

fn unbound(transport: Transport, address: SocketAddr, only_v6: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = match transport {
        Transport::Udp => libc::SOCK_DGRAM,
        Transport::Tcp => libc::SOCK_STREAM,
    };
    // SAFETY: no pointers are passed.
    let socket = own(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) })?;
    if address.is_ipv6() {
        set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, i32::from(only_v6))?;
    }
    Ok(socket)
}

fn bind_to(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (raw, length) = RawAddress::encode(address, false);
    // SAFETY: `raw` holds `length` initialised bytes of an address and lives for the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), length) }).map(drop)
}

pub fn listen(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// The next connection, non-blocking, with the address it comes from.
pub fn accept(socket: &OwnedFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut raw = RawAddress::zeroed();
    let mut length = RawAddress::SIZE;
    // SAFETY: `raw` offers `length` writable bytes, both live for the call.
    let fd = own(unsafe {
        libc::accept4(
            socket.as_raw_fd(),
            (&raw mut raw).cast(),
            &raw mut length,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    })?;
    let address = raw.decode().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((fd, address))
}

pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::zeroed();
    let mut length = RawAddress::SIZE;
    // SAFETY: `raw` offers `length` writable bytes, both live for the call.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut raw).cast(), &raw mut length) })?;
    raw.decode().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: i32) -> io::Result<()> {
    // SAFETY: `value` is 4 readable bytes for the duration of the call.
    check(unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), mem::size_of::<i32>() as libc::socklen_t)
    })
    .map(drop)
}

fn get_option(fd: RawFd, level: libc::c_int, name: libc::c_int) -> io::Result<i32> {
    let mut value = 0i32;
    let mut length = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is 4 writable bytes for the duration of the call, and `length` says so.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) })?;
    Ok(value)
}

/// Which of a socket's two buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    Receive,
    Send,
}

/// Asks for `wanted` bytes, past the system's limit when we may; returns what the kernel granted.
pub fn raise_buffer(socket: &OwnedFd, buffer: Buffer, wanted: i32) -> io::Result<i32> {
    let (force, plain) = match buffer {
        Buffer::Receive => (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        Buffer::Send => (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    };
    let fd = socket.as_raw_fd();
    if set_option(fd, libc::SOL_SOCKET, force, wanted).is_err() {
        set_option(fd, libc::SOL_SOCKET, plain, wanted)?;
    }
    // The kernel reports twice the usable size (socket(7)).
    Ok(get_option(fd, libc::SOL_SOCKET, plain)? / 2)
}

/// Small frames leave at once, and a peer that stops acknowledging is given up after `timeout`.
pub fn tune_stream(socket: &OwnedFd, timeout: Duration) {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // Both only improve latency and clean-up, so a refusal changes nothing that must hold.
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, millis);
}

/// Lets short sleeps of this thread end within microseconds instead of the default 50 µs late.
pub fn fine_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes plain integers.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong, 0, 0, 0) };
}

/// Gives this process memory by the page from now on, not by huge pages (2 MiB), of which it would use a part each. What
/// it starts inherits that.
pub fn small_pages() {
    let [on, unused]: [libc::c_ulong; 2] = [1, 0];
    // SAFETY: PR_SET_THP_DISABLE takes plain integers. A kernel that refuses it costs memory and nothing else.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused) };
}

/// Waits until the socket can take more to send, at most `timeout`.
pub fn wait_writable(fd: RawFd, timeout: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd that lives for the call.
    (unsafe { libc::poll(&raw mut poll, 1, millis) }) == 1
}

/// Addresses of the interfaces that are up.
pub fn interface_addresses() -> io::Result<Vec<std::net::IpAddr>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `list` receives a list that is freed below, exactly once.
    check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a live node of the list until freeifaddrs.
        let node = unsafe { &*entry };
        if node.ifa_flags & libc::IFF_UP as libc::c_uint != 0 && !node.ifa_addr.is_null() {
            // SAFETY: a non-null ifa_addr starts with a family, and families IPv4 and IPv6 have the layouts read.
            if let Some(address) = unsafe { interface_address(node.ifa_addr) } {
                found.push(address.ip());
            }
        }
        entry = node.ifa_next;
    }
    // SAFETY: the list came from getifaddrs and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// # Safety
/// `address` points to a socket address of the length its family says.
unsafe fn interface_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    let mut raw = RawAddress::zeroed();
    // SAFETY: by the caller's promise as many bytes as the family's structure are readable; unaligned reads are fine.
    unsafe {
        match libc::c_int::from((*address).sa_family) {
            libc::AF_INET => raw.v4 = address.cast::<libc::sockaddr_in>().read_unaligned(),
            libc::AF_INET6 => raw.v6 = address.cast::<libc::sockaddr_in6>().read_unaligned(),
            _ => return None,
        }
    }
    raw.decode()
}
