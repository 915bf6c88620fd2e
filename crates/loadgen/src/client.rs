//! One participant: signal socket, transport, what it publishes and what it receives. Owns no loop: the fleet calls it.

mod signalling;

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use auralink_media::wire::rtcp::{self, Packet};
use auralink_media::wire::rtp;
use auralink_media::wire::srtp::{Context, Profile, Writer};
use str0m::crypto::dtls::SrtpProfile;

use crate::inbound::{Inbound, Latencies};
use crate::io::{self, BATCH, Outgoing, Receiver, Sender};
use crate::ip::Datagrams;
use crate::link::Port;
use crate::media::{Burst, Track, VideoShape};
use crate::proto::{LeaveRequest, Ping, Request};
use crate::sdp::{self, Kind, Local, Section};
use crate::signal::Signal;
use crate::token;
use crate::transport::{Keys, Transport};

/// Receive sections of the first offer, as the official SDKs have them.
const FIRST_SECTIONS: usize = 3;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The server and the key pair tokens are minted with.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: SocketAddr,
    pub key: String,
    pub secret: String,
    pub room: String,
}

/// What a participant does.
#[derive(Debug, Clone)]
pub struct Role {
    pub identity: String,
    pub publish: Vec<Kind>,
    pub subscribe: bool,
    pub shape: VideoShape,
    /// Delay of the first frame against the moment everything is negotiated: spreads publishers over time.
    pub phase: Duration,
    pub check_every: u32,
    /// Passages are measured, too: they end when the kernel has a packet, not when we read it.
    pub kernel_stamps: bool,
    pub number: u32,
    /// Takes sound as RED, and lets its own go so; it sends plain Opus itself.
    pub red: bool,
}

/// When what happened.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub started: Instant,
    /// First signal message (Join).
    pub joined: Option<Instant>,
    /// ICE and DTLS are up.
    pub connected: Option<Instant>,
}

struct Srtp {
    out: Context,
    inward: Context,
    rtcp_index: u32,
}

/// Buffers shared by all clients of a thread.
pub struct Workspace {
    pub receiver: Receiver,
    pub sender: Sender,
    pub buffer: Vec<u8>,
    pub datagrams: Vec<Outgoing>,
    /// From the publisher's stamp until we read a packet.
    pub latencies: Latencies,
    /// From the publisher's stamp until the kernel had it for us, which is when the server let go of it.
    pub passages: Latencies,
}

impl Workspace {
    pub fn new() -> Workspace {
        Workspace {
            receiver: Receiver::new(),
            sender: Sender::new(),
            buffer: Vec::new(),
            datagrams: Vec::new(),
            latencies: Latencies::default(),
            passages: Latencies::default(),
        }
    }
}

pub struct Client {
    pub role: Role,
    pub times: Times,
    pub tracks: Vec<Track>,
    pub inbound: Inbound,
    pub server_version: String,
    signal: Signal,
    port: Port,
    transport: Transport,
    local: Local,
    sections: Vec<Section>,
    offer_id: u32,
    offer_pending: bool,
    offer_wanted: bool,
    tracks_accepted: usize,
    srtp: Option<Srtp>,
    twcc_out: u16,
    next_report: Instant,
    ping_interval: Option<Duration>,
    next_ping: Instant,
    /// (SSRC, sequence) the server asked to be sent again.
    nacked: Vec<(u32, u16)>,
    /// Datagrams the kernel did not take.
    pub send_failures: u64,
}

impl Client {
    /// Start joining; everything else happens as the server answers.
    pub fn start(target: &Target, role: Role, port: Port) -> Result<Client, String> {
        let now = Instant::now();
        if role.kernel_stamps {
            port.stamp_arrivals().map_err(|error| format!("SO_TIMESTAMPNS: {error}"))?;
        }
        let address = port.address().map_err(|error| error.to_string())?;
        let mut transport = Transport::new(address, now)?;
        let fingerprint = transport.fingerprint();
        let (ufrag, password) = transport.credentials();
        let local = Local {
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
            fingerprint,
            address,
            session: u64::from(role.number) + 1,
            red: role.red,
        };
        let mut sections = vec![Section::Data];
        sections.extend(std::iter::repeat_n(Section::Receive(Kind::Audio), FIRST_SECTIONS));
        sections.extend(std::iter::repeat_n(Section::Receive(Kind::Video), FIRST_SECTIONS));
        let tracks = role.publish.iter().zip(0..).map(|(kind, position)| new_track(&role, *kind, position, now));
        let tracks = tracks.collect();
        let join = signalling::join_request(role.subscribe, sdp::offer(&local, 1, &sections));
        let token = token::mint(&target.key, &target.secret, &target.room, &role.identity);
        let times = Times { started: Instant::now(), joined: None, connected: None };
        let signal = Signal::connect(target.server, &token, &join)?;
        Ok(Client {
            inbound: Inbound::new(role.check_every, now),
            role,
            times,
            tracks,
            server_version: String::new(),
            signal,
            port,
            transport,
            local,
            sections,
            offer_id: 1,
            offer_pending: true,
            offer_wanted: false,
            tracks_accepted: 0,
            srtp: None,
            twcc_out: 0,
            next_report: now,
            ping_interval: None,
            next_ping: now,
            nacked: Vec::new(),
            send_failures: 0,
        })
    }

    /// Its own socket, where it has one.
    pub fn udp_fd(&self) -> Option<RawFd> {
        self.port.fd()
    }

    pub fn signal_fd(&self) -> RawFd {
        self.signal.fd()
    }

    /// The port of its own socket, where it has one.
    pub fn local_port(&self) -> Option<u16> {
        self.port.fd().map(|_| self.local.address.port())
    }

    pub fn server_port(&self) -> Option<u16> {
        self.transport.remote().map(|address| address.port())
    }

    /// All its tracks are negotiated and keys are there.
    pub fn publishing(&self) -> bool {
        self.srtp.is_some() && self.tracks.iter().all(|track| track.negotiated.is_some())
    }

    pub fn leave(&mut self) {
        // The server may have closed the socket already; either way the participant is gone.
        let _ = self.signal.send(Request::Leave(LeaveRequest { reason: 1, action: 0 }));
    }

    /// Read the signal socket until it has nothing more.
    pub fn on_signal(&mut self, now: Instant) -> Result<(), String> {
        while let Some(response) = self.signal.poll()? {
            self.on_response(response, now)?;
        }
        self.after_transport()
    }

    /// Read its own socket until it has nothing more.
    pub fn on_socket(&mut self, work: &mut Workspace) -> Result<(), String> {
        let Some(fd) = self.port.fd() else { return Ok(()) };
        loop {
            let count = work.receiver.receive(fd);
            let (now, now_ns) = (Instant::now(), io::monotonic_ns());
            for index in 0..count {
                let (source, datagram) = work.receiver.datagram(index);
                if let Some(stamp_ns) = self.on_datagram(now, source, datagram) {
                    work.latencies.add(now_ns.saturating_sub(stamp_ns));
                    if let Some(arrival_ns) = work.receiver.arrival_ns(index) {
                        work.passages.add(arrival_ns.saturating_sub(stamp_ns));
                    }
                }
            }
            if count < BATCH {
                break;
            }
        }
        self.after_datagrams(work)
    }

    /// Take in what a card had for this client.
    pub fn on_card(&mut self, datagrams: &mut Datagrams<'_>, work: &mut Workspace) -> Result<(), String> {
        let (now, now_ns) = (Instant::now(), io::monotonic_ns());
        let source = SocketAddr::V4(datagrams.source);
        for datagram in datagrams.each() {
            if let Some(stamp_ns) = self.on_datagram(now, source, datagram) {
                work.latencies.add(now_ns.saturating_sub(stamp_ns));
            }
        }
        self.after_datagrams(work)
    }

    /// Returns the publisher's stamp of a packet whose latency is taken, in nanoseconds.
    fn on_datagram(&mut self, now: Instant, source: SocketAddr, datagram: &mut [u8]) -> Option<u64> {
        match datagram.first()? {
            128..=191 if rtp::is_rtcp(datagram) => self.on_rtcp(datagram, now),
            128..=191 => return self.inbound.packet(now, datagram, &self.srtp.as_ref()?.inward),
            _ => self.transport.receive(now, source, datagram),
        }
        None
    }

    fn after_datagrams(&mut self, work: &mut Workspace) -> Result<(), String> {
        self.retransmit(work);
        self.after_transport()
    }

    fn on_rtcp(&mut self, datagram: &mut [u8], now: Instant) {
        let Some(srtp) = &self.srtp else { return };
        let Ok((length, _)) = srtp.inward.unprotect_rtcp(datagram) else { return };
        for packet in rtcp::parse(&datagram[..length]).map_while(Result::ok) {
            match &packet {
                Packet::Nack(nack) => {
                    self.nacked.extend(nack.sequences().map(|sequence| (nack.media_ssrc, sequence)));
                }
                Packet::PictureLoss { media_ssrc, .. } => want_key_frame(&mut self.tracks, *media_ssrc),
                Packet::FullIntra(intra) => {
                    for (ssrc, _) in intra.requests() {
                        want_key_frame(&mut self.tracks, ssrc);
                    }
                }
                _ => self.inbound.note(&packet, now),
            }
        }
    }

    /// Take the keys when they are there, and send what the transport wants sent.
    fn after_transport(&mut self) -> Result<(), String> {
        if let Some(keys) = self.transport.take_keys() {
            self.srtp = Some(Srtp::new(&keys)?);
            self.times.connected = Some(Instant::now());
        }
        while let Some((destination, datagram)) = self.transport.outgoing.pop_front() {
            // Refused sends (a closed port, a full buffer) are what timers of ICE and DTLS are for.
            let _ = self.port.send_to(&datagram, destination);
        }
        if self.transport.closed { Err("the transport was closed".into()) } else { Ok(()) }
    }

    /// When `on_time` has something to do.
    pub fn next_timeout(&self) -> Instant {
        let mut next = self.transport.next_timeout();
        if self.ping_interval.is_some() {
            next = next.min(self.next_ping);
        }
        if self.srtp.is_some() {
            next = next.min(self.inbound.next_timeout());
            if self.publishing() && !self.tracks.is_empty() {
                next = self.tracks.iter().fold(next.min(self.next_report), |next, track| next.min(track.next));
            }
        }
        next
    }

    pub fn on_time(&mut self, now: Instant, work: &mut Workspace) -> Result<(), String> {
        if now >= self.transport.next_timeout() {
            self.transport.tick(now);
            self.after_transport()?;
        }
        if let Some(interval) = self.ping_interval.filter(|_| now >= self.next_ping) {
            self.next_ping = now + interval;
            let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
            self.signal.send(Request::Ping(Ping { timestamp, rtt: 0 }))?;
        }
        self.publish(now, work);
        self.send_feedback(now);
        Ok(())
    }

    fn publish(&mut self, now: Instant, work: &mut Workspace) {
        if !self.publishing() {
            return;
        }
        let (Some(srtp), Some(destination)) = (&self.srtp, self.transport.remote()) else { return };
        for track in self.tracks.iter_mut().filter(|track| now >= track.next) {
            let mut burst = begin_burst(work, srtp, &mut self.twcc_out, destination);
            track.write_frame(now, &mut burst);
            self.send_failures += flush(&self.port, work);
        }
    }

    fn retransmit(&mut self, work: &mut Workspace) {
        if self.nacked.is_empty() {
            return;
        }
        let (Some(srtp), Some(destination)) = (&self.srtp, self.transport.remote()) else { return };
        let mut burst = begin_burst(work, srtp, &mut self.twcc_out, destination);
        for (ssrc, sequence) in self.nacked.drain(..) {
            if let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) {
                track.retransmit(sequence, &mut burst);
            }
        }
        self.send_failures += flush(&self.port, work);
    }

    fn send_feedback(&mut self, now: Instant) {
        let (Some(srtp), Some(destination)) = (&mut self.srtp, self.transport.remote()) else { return };
        let port = &self.port;
        self.inbound.feedback(now, |compound| srtp.send_rtcp(port, destination, compound));
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            for track in self.tracks.iter().filter(|track| track.sent > 0) {
                let mut compound = Vec::with_capacity(64);
                track.write_report(&mut compound);
                srtp.send_rtcp(port, destination, &compound);
            }
        }
    }
}

impl Srtp {
    fn new(keys: &Keys) -> Result<Srtp, String> {
        let profile = match keys.profile {
            SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
            SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            other => return Err(format!("SRTP profile {other:?} is not known")),
        };
        let (ours, theirs) =
            if keys.active { (Writer::Client, Writer::Server) } else { (Writer::Server, Writer::Client) };
        let context = |writer| Context::new(profile, &keys.material, writer).map_err(|error| error.to_string());
        Ok(Srtp { out: context(ours)?, inward: context(theirs)?, rtcp_index: 0 })
    }

    fn send_rtcp(&mut self, port: &Port, destination: SocketAddr, compound: &[u8]) {
        let mut packet = compound.to_vec();
        if self.out.protect_rtcp(&mut packet, 0, self.rtcp_index).is_ok() {
            self.rtcp_index += 1;
            // Feedback lost to a full buffer is repeated by the next one.
            let _ = port.send_to(&packet, destination);
        }
    }
}

fn begin_burst<'a>(work: &'a mut Workspace, srtp: &'a Srtp, twcc: &'a mut u16, destination: SocketAddr) -> Burst<'a> {
    work.buffer.clear();
    work.datagrams.clear();
    Burst { context: &srtp.out, twcc, destination, buffer: &mut work.buffer, datagrams: &mut work.datagrams }
}

/// Send the burst in the workspace; returns how many datagrams the kernel refused.
fn flush(port: &Port, work: &mut Workspace) -> u64 {
    let sent = port.send(&mut work.sender, &work.buffer, &work.datagrams);
    (work.datagrams.len() - sent) as u64
}

fn want_key_frame(tracks: &mut [Track], ssrc: u32) {
    if let Some(track) = tracks.iter_mut().find(|track| track.ssrc == ssrc) {
        track.want_key_frame();
    }
}

fn new_track(role: &Role, kind: Kind, position: u32, now: Instant) -> Track {
    // Distinct over the room, and odd multiples spread the starting sequence numbers and timestamps.
    let ssrc = (role.number * 16 + position + 1).wrapping_mul(2_654_435_761);
    Track::new(kind, format!("{}-{position}", role.identity), ssrc, role.shape, now)
}
