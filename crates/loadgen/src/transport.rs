//! The client's ICE (controlling), DTLS and SCTP: str0m as transport only. Its SRTP keys are taken out of the DTLS
//! provider and never reach it, so that media is ours to count and to send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, Reliability};
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use crate::sdp::Answer;

/// Keying material of RFC 5764 as exported by DTLS.
#[derive(Debug, Clone)]
pub struct Keys {
    pub material: Vec<u8>,
    pub profile: SrtpProfile,
    /// We were the DTLS client.
    pub active: bool,
}

type Slot = Arc<Mutex<Option<Keys>>>;

thread_local! {
    /// Hands the slot to `new_dtls`, which runs inside `RtcConfig::build` and takes no argument of ours.
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Tap;

#[derive(Debug)]
struct TappedDtls {
    inner: Box<dyn DtlsInstance>,
    slot: Slot,
    now: Instant,
}

fn inner() -> &'static CryptoProvider {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    PROVIDER.get_or_init(from_feature_flags)
}

impl DtlsProvider for Tap {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        inner().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = inner().dtls_provider.new_dtls(cert, now, version, mtu)?;
        let slot = SLOT.with(|slot| slot.borrow_mut().take()).unwrap_or_default();
        Ok(Box::new(TappedDtls { inner, slot, now }))
    }
}

impl DtlsInstance for TappedDtls {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let active = self.inner.is_active();
        let output = self.inner.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            if let Ok(mut slot) = self.slot.lock() {
                *slot = Some(Keys { material: material.as_ref().to_vec(), profile: *profile, active });
            }
            // Swallowed: an Rtc without keys sends no RTP or RTCP of its own under our SSRCs' key.
            return DtlsOutput::Timeout(self.now);
        }
        output
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

fn certificate() -> Result<&'static DtlsCert, String> {
    static CERTIFICATE: OnceLock<Option<DtlsCert>> = OnceLock::new();
    CERTIFICATE
        .get_or_init(|| inner().dtls_provider.generate_certificate())
        .as_ref()
        .ok_or_else(|| "no DTLS certificate could be made".into())
}

/// One peer connection's transport.
pub struct Transport {
    rtc: Rtc,
    slot: Slot,
    local: SocketAddr,
    creds: IceCreds,
    started: bool,
    next: Instant,
    /// Where DTLS goes: the nominated address of the server.
    remote: Option<SocketAddr>,
    pub connected: bool,
    pub closed: bool,
    /// Datagrams to send, oldest first.
    pub outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Transport {
    pub fn new(local: SocketAddr, now: Instant) -> Result<Transport, String> {
        let slot: Slot = Arc::default();
        SLOT.with(|current| *current.borrow_mut() = Some(slot.clone()));
        let mut provider = inner().clone();
        provider.dtls_provider = &Tap;
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::new(provider))
            .set_dtls_cert(certificate()?.clone())
            .clear_codecs()
            .build(now);
        let creds = IceCreds::new();
        let candidate = Candidate::host(local, "udp").map_err(|error| error.to_string())?;
        let mut direct = rtc.direct_api();
        direct.set_ice_controlling(true);
        direct.set_local_ice_credentials(creds.clone());
        for (label, ordered) in [("_reliable", true), ("_lossy", false), ("_data_track", false)] {
            let reliability =
                if ordered { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } };
            direct.create_data_channel(ChannelConfig {
                label: label.into(),
                ordered,
                reliability,
                ..ChannelConfig::default()
            });
        }
        rtc.add_local_candidate(candidate);
        Ok(Transport {
            rtc,
            slot,
            local,
            creds,
            started: false,
            next: now,
            remote: None,
            connected: false,
            closed: false,
            outgoing: VecDeque::new(),
        })
    }

    pub fn credentials(&self) -> (&str, &str) {
        (&self.creds.ufrag, &self.creds.pass)
    }

    pub fn fingerprint(&mut self) -> String {
        self.rtc.direct_api().local_dtls_fingerprint().to_string()
    }

    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Start ICE and DTLS by the first answer; later ones (renegotiation) change nothing here.
    pub fn apply(&mut self, answer: &Answer, now: Instant) -> Result<(), String> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let fingerprint = answer.fingerprint.parse().map_err(|error| format!("fingerprint: {error}"))?;
        let mut direct = self.rtc.direct_api();
        direct.set_remote_ice_credentials(IceCreds { ufrag: answer.ufrag.clone(), pass: answer.password.clone() });
        direct.set_remote_fingerprint(fingerprint);
        direct.start_dtls(answer.server_is_passive).map_err(|error| error.to_string())?;
        direct.start_sctp(answer.server_is_passive);
        for candidate in &answer.candidates {
            self.add_candidate(candidate);
        }
        self.tick(now);
        Ok(())
    }

    /// A candidate of the server. Those we cannot use (TCP, another family) are passed over.
    pub fn add_candidate(&mut self, text: &str) {
        if let Ok(candidate) = Candidate::from_sdp_string(text) {
            let usable = candidate.proto() == Protocol::Udp && candidate.addr().is_ipv4() == self.local.is_ipv4();
            if usable {
                self.rtc.add_remote_candidate(candidate);
            }
        }
    }

    /// SRTP keys, once.
    pub fn take_keys(&mut self) -> Option<Keys> {
        self.slot.lock().ok()?.take()
    }

    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let Ok(contents) = datagram.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        if self.rtc.handle_input(Input::Receive(now, receive)).is_ok() {
            self.drain(now);
        }
    }

    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    pub fn tick(&mut self, now: Instant) {
        if self.rtc.handle_input(Input::Timeout(now)).is_ok() {
            self.drain(now);
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    // An answer in the past means "poll me again soon".
                    self.next = at.max(now + Duration::from_millis(1));
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    if transmit.contents.first().is_some_and(|first| (20..64).contains(first)) {
                        self.remote = Some(transmit.destination);
                    }
                    self.outgoing.push_back((transmit.destination, transmit.contents.to_vec()));
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(_)) => {}
                Err(_) => {
                    self.closed = true;
                    break;
                }
            }
        }
        self.closed |= !self.rtc.is_alive();
    }
}
