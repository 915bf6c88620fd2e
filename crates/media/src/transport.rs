//! ICE-lite, DTLS 1.2 and SCTP of one peer connection. The one file that names str0m.
//!
//! The `Rtc` in here has no media declared: it answers STUN, shakes hands and carries data channels, and the SRTP keys
//! are taken from it before it sees them, so no SRTP is ever made by it and an SRTP key is never used by two owners.
//!
//! Order of calls: [`Transport::new`], then [`Transport::set_remote`] once the peer's description is known (again when
//! its ICE credentials change), then datagrams. Binding requests before that must be dropped, not queued: answered late
//! and in a burst they make Chromium nominate seconds later.
//!
//! libwebrtc nominates a way to an ICE-lite server with its second check, 50 to 100 ms after its ClientHello, and the
//! `Rtc` sends no DTLS before that. So its packets are taken from it until then and go where the peer's DTLS came from.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::crypto::dtls::{DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion};
use str0m::crypto::dtls::{ProtocolVersion, SrtpProfile};
use str0m::crypto::{CryptoError, CryptoProvider, Fingerprint, from_feature_flags};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use crate::api::{Channel, Egress, Proto, Transmit};
use crate::demux::{BindingRequest, Class, classify};
use crate::wire::srtp::Profile;

/// Binding requests handed to the `Rtc` and not answered yet; more than this are of no use.
const MAX_UNANSWERED: usize = 64;
/// Zero-delay timeouts in one drain before we come back a millisecond later instead.
const MAX_IMMEDIATE: usize = 20;
/// SCTP buffer level under which waiting messages are written again.
const LOW_WATER_BYTES: usize = 32 * 1024;

/// The DTLS certificate, one per process and shared by every shard and peer.
pub struct Identity {
    certificate: DtlsCert,
    fingerprint: [u8; 32],
}

impl Identity {
    /// A fresh self-signed ECDSA certificate.
    ///
    /// # Errors
    /// When the crypto library cannot make one (no randomness).
    pub fn generate() -> Result<Arc<Identity>, IdentityError> {
        let certificate = crypto().dtls_provider.generate_certificate().ok_or(IdentityError)?;
        let hash = digest::digest(&digest::SHA256, &certificate.certificate);
        let fingerprint = hash.as_ref().try_into().map_err(|_| IdentityError)?;
        Ok(Arc::new(Identity { certificate, fingerprint }))
    }

    /// SHA-256 of the certificate, for `a=fingerprint` (RFC 8122).
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// The crypto library could not make a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityError;

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not generate a DTLS certificate")
    }
}

impl std::error::Error for IdentityError {}

/// SRTP keys as the DTLS handshake left them (RFC 5764 section 4.2).
pub(crate) struct Keying {
    pub profile: Profile,
    pub material: Vec<u8>,
    /// We were the DTLS client.
    pub active: bool,
}

/// What the peer's description says about its end.
pub(crate) struct Remote<'a> {
    pub ufrag: &'a str,
    pub password: &'a str,
    /// SHA-256 of the peer's certificate.
    pub fingerprint: &'a [u8; 32],
    /// The peer will wait for our ClientHello (`a=setup:passive`).
    pub passive: bool,
}

pub(crate) enum TransportEvent {
    /// ICE and DTLS are up.
    Connected,
    Keys(Keying),
    /// A binding request from this address was answered: datagrams from it belong to this peer.
    Reachable(SocketAddr),
    /// Where to send from now on.
    Selected(Path),
    Opened(Channel),
    Message(Channel, Vec<u8>),
    /// On a channel the protocol does not know.
    Unlabeled(Vec<u8>),
    /// The SCTP buffer has room again.
    Writable,
    /// DTLS or SCTP ended, by the peer or by an error; why.
    Closed(String),
}

/// A way to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    pub proto: Proto,
    pub address: SocketAddr,
}

struct Check {
    transaction: [u8; 12],
    path: Path,
    nominates: bool,
}

/// Whether the SCTP association took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Done,
    /// No room, or the channel is not open yet: keep it and try again.
    Full,
    /// It will never fit or the channel is broken.
    Refused,
}

pub(crate) struct Transport {
    rtc: Rtc,
    tap: SharedTap,
    checks: VecDeque<Check>,
    /// What the peer nominated; before that, where its newest DTLS came from.
    path: Option<Path>,
    nominated: bool,
    remote_ufrag: String,
    /// By [`Channel`] as index.
    channels: [Option<ChannelId>; 3],
    timeout: Instant,
    closed: bool,
}

impl Transport {
    /// A passive end with our ICE credentials. `offers` creates the protocol's data channels, which the offerer does.
    ///
    /// # Errors
    /// When the library refuses a candidate of ours; the text says why.
    pub fn new(now: Instant, identity: &Identity, ufrag: &str, password: &str, offers: bool) -> Result<Self, String> {
        let tap = SharedTap::default();
        HANDOVER.set(Some(tap.clone()));
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::new(tapped_provider()))
            .set_dtls_cert(identity.certificate.clone())
            .set_dtls_version(DtlsVersion::Dtls12)
            .clear_codecs()
            .build(now);
        HANDOVER.set(None);
        let mut api = rtc.direct_api();
        api.set_ice_lite(true);
        api.set_ice_controlling(false);
        api.set_local_ice_credentials(IceCreds { ufrag: ufrag.to_owned(), pass: password.to_owned() });
        for (address, proto) in LOCAL_ENDS {
            let candidate = Candidate::host(address, protocol(proto)).map_err(|error| error.to_string())?;
            rtc.add_local_candidate(candidate);
        }
        let mut transport = Transport {
            rtc,
            tap,
            checks: VecDeque::new(),
            path: None,
            nominated: false,
            remote_ufrag: String::new(),
            channels: [None; 3],
            timeout: now,
            closed: false,
        };
        if offers {
            transport.create_channels();
        }
        Ok(transport)
    }

    fn create_channels(&mut self) {
        for channel in Channel::ALL {
            let reliable = channel == Channel::Reliable;
            let reliability =
                if reliable { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } };
            let label = channel.label().to_owned();
            let config = ChannelConfig { label, ordered: reliable, reliability, ..ChannelConfig::default() };
            self.rtc.direct_api().create_data_channel(config);
        }
    }

    /// Would `remote` be a (re)start of ICE? Then new local credentials are due too.
    pub fn is_restart(&self, ufrag: &str) -> bool {
        !self.remote_ufrag.is_empty() && self.remote_ufrag != ufrag
    }

    pub fn has_remote(&self) -> bool {
        !self.remote_ufrag.is_empty()
    }

    /// Applies the peer's description; `local` are new credentials of ours when this is an ICE restart.
    ///
    /// # Errors
    /// When DTLS cannot start.
    pub fn set_remote(&mut self, remote: &Remote<'_>, local: Option<(&str, &str)>) -> Result<(), String> {
        let first = self.remote_ufrag.is_empty();
        if !first && self.remote_ufrag == remote.ufrag {
            return Ok(());
        }
        let mut api = self.rtc.direct_api();
        if let Some((ufrag, password)) = local {
            api.set_local_ice_credentials(IceCreds { ufrag: ufrag.to_owned(), pass: password.to_owned() });
        }
        let creds = IceCreds { ufrag: remote.ufrag.to_owned(), pass: remote.password.to_owned() };
        api.set_remote_ice_credentials(creds);
        self.remote_ufrag = remote.ufrag.to_owned();
        if first {
            let bytes = remote.fingerprint.to_vec();
            api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes });
            api.start_dtls(remote.passive).map_err(|error| error.to_string())?;
            api.start_sctp(remote.passive);
        }
        Ok(())
    }

    /// When [`Transport::handle_timeout`] is due.
    pub fn timeout(&self) -> Instant {
        self.timeout
    }

    pub fn handle_timeout(&mut self, now: Instant, egress: &mut Egress, events: &mut Vec<TransportEvent>) {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            self.fail(error.to_string(), events);
        }
        self.drain(now, egress, events);
    }

    /// Takes a STUN or DTLS datagram.
    pub fn receive(
        &mut self,
        now: Instant,
        from: Path,
        datagram: &[u8],
        egress: &mut Egress,
        events: &mut Vec<TransportEvent>,
    ) {
        if let Some(request) = BindingRequest::parse(datagram) {
            if self.checks.len() == MAX_UNANSWERED {
                self.checks.pop_front();
            }
            let check = Check { transaction: request.transaction, path: from, nominates: request.nominates };
            self.checks.push_back(check);
        } else if !self.nominated && classify(datagram) == Class::Dtls {
            self.select(from, events);
            self.tap.lock().early = true;
        }
        let (destination, proto) = (local_end(from), protocol(from.proto));
        // What does not parse is not from the peer, or is of no use: ICE and DTLS repeat themselves.
        let Ok(received) = Receive::new(proto, from.address, destination, datagram) else { return };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, received)) {
            if !self.rtc.is_alive() {
                self.fail(error.to_string(), events);
            }
        }
        self.drain(now, egress, events);
    }

    fn drain(&mut self, now: Instant, egress: &mut Egress, events: &mut Vec<TransportEvent>) {
        let mut immediate = 0;
        while !self.closed {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) if at <= now && immediate < MAX_IMMEDIATE => {
                    immediate += 1;
                    if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
                        self.fail(error.to_string(), events);
                    }
                }
                Ok(Output::Timeout(at)) => {
                    self.timeout = at.max(now + Duration::from_millis(1));
                    if !self.rtc.is_alive() {
                        self.fail("the connection was closed".to_owned(), events);
                    }
                    break;
                }
                Ok(Output::Transmit(packet)) => self.transmit(&packet.contents, packet.destination, egress, events),
                Ok(Output::Event(event)) => self.on_event(event, events),
                Err(error) => self.fail(error.to_string(), events),
            }
        }
        let mut tap = self.tap.lock();
        let (keying, packets) = (tap.keying.take(), std::mem::take(&mut tap.packets));
        drop(tap);
        if let Some(path) = self.path {
            packets.iter().for_each(|packet| send(packet, path, egress));
        }
        events.extend(keying.map(TransportEvent::Keys));
    }

    fn select(&mut self, path: Path, events: &mut Vec<TransportEvent>) {
        if self.path != Some(path) {
            self.path = Some(path);
            events.push(TransportEvent::Selected(path));
        }
    }

    fn transmit(
        &mut self,
        datagram: &[u8],
        destination: SocketAddr,
        egress: &mut Egress,
        events: &mut Vec<TransportEvent>,
    ) {
        let path = match self.answered(datagram, destination) {
            Some(check) => {
                events.push(TransportEvent::Reachable(check.path.address));
                if check.nominates {
                    self.select(check.path, events);
                    self.nominated = true;
                    self.tap.lock().early = false;
                }
                check.path
            }
            // DTLS goes where our media goes; the library's own choice may lag behind a move of the client.
            None => self.path.unwrap_or(Path { proto: Proto::Udp, address: destination }),
        };
        send(datagram, path, egress);
    }

    /// The binding request that this success response answers.
    fn answered(&mut self, datagram: &[u8], destination: SocketAddr) -> Option<Check> {
        let transaction = datagram.strip_prefix(&[1, 1])?.get(6..18)?;
        let known = |check: &Check| check.transaction == transaction && check.path.address == destination;
        let index = self.checks.iter().position(known)?;
        self.checks.remove(index)
    }

    fn on_event(&mut self, event: Event, events: &mut Vec<TransportEvent>) {
        match event {
            Event::Connected => events.push(TransportEvent::Connected),
            Event::ChannelOpen(id, label) => {
                let Some(channel) = Channel::from_label(&label) else { return };
                if let Some(slot) = self.channels.get_mut(channel as usize) {
                    *slot = Some(id);
                }
                if let Some(mut open) = self.rtc.channel(id) {
                    open.set_buffered_amount_low_threshold(LOW_WATER_BYTES);
                }
                events.push(TransportEvent::Opened(channel));
            }
            Event::ChannelData(data) => {
                let known = Channel::ALL.into_iter().find(|channel| self.id_of(*channel) == Some(data.id));
                events.push(match known {
                    Some(channel) => TransportEvent::Message(channel, data.data),
                    None => TransportEvent::Unlabeled(data.data),
                });
            }
            Event::ChannelClose(id) => {
                if let Some(slot) = self.channels.iter_mut().find(|slot| **slot == Some(id)) {
                    *slot = None;
                }
            }
            Event::ChannelBufferedAmountLow(_) => events.push(TransportEvent::Writable),
            Event::Closed => self.fail("the peer closed the connection".to_owned(), events),
            _ => {}
        }
    }

    fn id_of(&self, channel: Channel) -> Option<ChannelId> {
        self.channels.get(channel as usize).copied().flatten()
    }

    /// Queues one message with SCTP. It leaves with the next [`Transport::handle_timeout`].
    pub fn write(&mut self, channel: Channel, message: &[u8]) -> Write {
        let Some(id) = self.id_of(channel) else { return Write::Full };
        match self.rtc.channel(id).map(|mut open| open.write(true, message)) {
            Some(Ok(true)) => Write::Done,
            Some(Ok(false)) => Write::Full,
            Some(Err(_)) => Write::Refused,
            None => Write::Full,
        }
    }

    /// Says goodbye with DTLS close_notify.
    pub fn close(&mut self, now: Instant, egress: &mut Egress) {
        let mut ignored = Vec::new();
        if self.rtc.close().is_ok() {
            self.drain(now, egress, &mut ignored);
        }
        self.closed = true;
    }

    fn fail(&mut self, why: String, events: &mut Vec<TransportEvent>) {
        if !self.closed {
            self.closed = true;
            events.push(TransportEvent::Closed(why));
        }
    }
}

fn send(datagram: &[u8], path: Path, egress: &mut Egress) {
    let start = egress.buffer.len();
    egress.buffer.extend_from_slice(datagram);
    egress.transmits.push(Transmit { proto: path.proto, destination: path.address, start, len: datagram.len() });
}

/// Where the `Rtc` believes it lives. The candidates of the description are written by us (advertised addresses), so
/// these only have to agree with [`local_end`]; documentation prefixes, so that they can be nobody's.
const LOCAL_ENDS: [(SocketAddr, Proto); 4] =
    [(LOCAL_V4, Proto::Udp), (LOCAL_V6, Proto::Udp), (LOCAL_V4, Proto::Tcp), (LOCAL_V6, Proto::Tcp)];
const LOCAL_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7882);
const LOCAL_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 7882);

fn local_end(from: Path) -> SocketAddr {
    if from.address.is_ipv4() { LOCAL_V4 } else { LOCAL_V6 }
}

fn protocol(proto: Proto) -> Protocol {
    match proto {
        Proto::Udp => Protocol::Udp,
        Proto::Tcp => Protocol::Tcp,
    }
}

/// What the DTLS tap takes for its [`Transport`].
#[derive(Default)]
struct Tap {
    keying: Option<Keying>,
    /// Nothing is nominated yet: the `Rtc` would keep DTLS packets back.
    early: bool,
    packets: Vec<Vec<u8>>,
}

/// Both ends are on one thread; the lock is there because the library wants a DTLS instance that may be sent.
#[derive(Clone, Default)]
struct SharedTap(Arc<Mutex<Tap>>);

impl SharedTap {
    fn lock(&self) -> MutexGuard<'_, Tap> {
        // A panic in between ends the peer; what is in there is whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps key material out of debug output.
impl fmt::Debug for SharedTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTap")
    }
}

thread_local! {
    /// Set around `RtcConfig::build`, which makes the DTLS instance: the provider is static and cannot carry it.
    static HANDOVER: RefCell<Option<SharedTap>> = const { RefCell::new(None) };
}

fn crypto() -> &'static CryptoProvider {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    PROVIDER.get_or_init(from_feature_flags)
}

fn tapped_provider() -> CryptoProvider {
    static TAP: TapProvider = TapProvider;
    let mut provider = crypto().clone();
    provider.dtls_provider = &TAP;
    provider
}

#[derive(Debug)]
struct TapProvider;

impl DtlsProvider for TapProvider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        crypto().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let tap = HANDOVER.take().ok_or_else(|| CryptoError::Other("no owner for the keys".to_owned()))?;
        let inner = crypto().dtls_provider.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(TapInstance { inner, tap, now }))
    }

    fn is_test(&self) -> bool {
        false
    }
}

/// A DTLS instance whose SRTP keys go to us and to nobody else, and early its packets too.
#[derive(Debug)]
struct TapInstance {
    inner: Box<dyn DtlsInstance>,
    tap: SharedTap,
    now: Instant,
}

impl DtlsInstance for TapInstance {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let active = self.inner.is_active();
        match self.inner.poll_output(buffer) {
            DtlsOutput::KeyingMaterial(material, profile) => {
                if let Some(profile) = known_profile(profile) {
                    self.tap.lock().keying = Some(Keying { profile, material: material.as_ref().to_vec(), active });
                }
            }
            DtlsOutput::Packet(packet) => {
                let mut tap = self.tap.lock();
                if !tap.early {
                    return DtlsOutput::Packet(packet);
                }
                tap.packets.push(packet.to_vec());
            }
            other => return other,
        }
        // Swallowed. "Come back at once" makes the Rtc poll again for what is behind it.
        DtlsOutput::Timeout(self.now)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

fn known_profile(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        _ => None,
    }
}
