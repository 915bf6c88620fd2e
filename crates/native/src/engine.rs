//! The `Engine` class of `_native.pyi`.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use auralink_media::api::{
    Command, Expected, Layer, PeerId, PeerOptions, PlayoutDelay, Publication, RoomId, SubscriptionSettings, TrackId,
};
use auralink_media_net::{CommandError, Engine as NetEngine, EngineConfig, NetEvent, StartError};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::convert;
use crate::{EngineClosed, EngineFull};

/// Closing an engine that was only dropped must not hang the interpreter.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// The media engine: shard threads, sockets, peers. One per process; unusable after fork.
#[pyclass(frozen, module = "auralink._native")]
pub struct Engine {
    /// `None` only while being dropped.
    engine: Option<NetEngine>,
    /// The process whose threads these are.
    pid: u32,
    /// Space for events, reused between calls of `drain`.
    drained: Mutex<Vec<NetEvent>>,
}

impl Engine {
    fn engine(&self) -> PyResult<&NetEngine> {
        if std::process::id() != self.pid {
            return Err(EngineClosed::new_err("the media engine cannot be used after fork"));
        }
        self.engine.as_ref().ok_or_else(|| EngineClosed::new_err("the media engine is closed"))
    }

    fn send(&self, py: Python<'_>, command: Command) -> PyResult<()> {
        let engine = self.engine()?;
        py.detach(|| engine.command(command)).map_err(|error| match error {
            CommandError::Closed => EngineClosed::new_err(error.to_string()),
            CommandError::Full => EngineFull::new_err(error.to_string()),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        if std::process::id() == self.pid {
            engine.close(DROP_TIMEOUT);
        } else {
            engine.abandon();
        }
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, bind_addresses, advertised_addresses, udp_port, tcp_port, shards = 1, limits = None))]
    fn new(
        py: Python<'_>,
        bind_addresses: Vec<String>,
        advertised_addresses: Vec<String>,
        udp_port: u16,
        tcp_port: u16,
        shards: usize,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Engine> {
        let config = EngineConfig {
            bind: addresses(&bind_addresses)?,
            advertised: addresses(&advertised_addresses)?,
            udp_port,
            tcp_port: (tcp_port != 0).then_some(tcp_port),
            shards,
            limits: limits.map(convert::limits).transpose()?.unwrap_or_default(),
            ..EngineConfig::default()
        };
        let engine = py.detach(|| NetEngine::start(&config)).map_err(start_error)?;
        Ok(Engine { engine: Some(engine), pid: std::process::id(), drained: Mutex::default() })
    }

    #[getter]
    fn udp_ports(&self) -> PyResult<Vec<u16>> {
        Ok(self.engine()?.udp_ports().to_vec())
    }

    #[getter]
    fn tcp_port(&self) -> PyResult<u16> {
        Ok(self.engine()?.tcp_port().unwrap_or(0))
    }

    #[getter]
    fn warnings(&self) -> PyResult<Vec<String>> {
        Ok(self.engine()?.warnings().to_vec())
    }

    fn fileno(&self) -> PyResult<i32> {
        Ok(self.engine()?.event_fd())
    }

    fn drain<'py>(&self, py: Python<'py>, max_events: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let engine = self.engine()?;
        let mut events = py.detach(|| {
            let mut events = std::mem::take(&mut *self.drained.lock().unwrap_or_else(PoisonError::into_inner));
            engine.drain(max_events, &mut events);
            events
        });
        let tuples = events.drain(..).map(|event| convert::event(py, event)).collect();
        *self.drained.lock().unwrap_or_else(PoisonError::into_inner) = events;
        tuples
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.engine()?;
        let stats = py.detach(|| engine.stats());
        let dict = PyDict::new(py);
        for (name, value) in stats.named() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    fn close(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| PyValueError::new_err(format!("not a timeout in seconds: {timeout_s}")))?;
        let engine = self.engine()?;
        py.detach(|| engine.close(timeout));
        Ok(())
    }

    #[pyo3(signature = (shard, fault, seconds = 0.0))]
    fn inject_fault(&self, shard: usize, fault: &str, seconds: f64) -> PyResult<()> {
        let fault = convert::fault(fault, seconds)?;
        if self.engine()?.inject(shard, fault) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("there is no shard {shard}")))
    }

    fn create_room(&self, py: Python<'_>, room: u64) -> PyResult<()> {
        self.send(py, Command::CreateRoom { room: RoomId(room) })
    }

    fn close_room(&self, py: Python<'_>, room: u64) -> PyResult<()> {
        self.send(py, Command::CloseRoom { room: RoomId(room) })
    }

    #[pyo3(signature = (
        peer, room, role, *, allow_pause = false, playout_delay_ms = None, sync_streams = false,
        shows_tracks_by_packet = false, refused_codecs = Vec::new(), refused_publish_codecs = Vec::new()
    ))]
    #[allow(clippy::too_many_arguments)]
    fn create_peer(
        &self,
        py: Python<'_>,
        peer: u64,
        room: u64,
        role: &str,
        allow_pause: bool,
        playout_delay_ms: Option<(u32, u32)>,
        sync_streams: bool,
        shows_tracks_by_packet: bool,
        refused_codecs: Vec<String>,
        refused_publish_codecs: Vec<String>,
    ) -> PyResult<()> {
        let playout_delay = playout_delay_ms.map(|(min_ms, max_ms)| PlayoutDelay { min_ms, max_ms });
        let options = PeerOptions {
            allow_pause,
            playout_delay,
            sync_streams,
            refused_codecs,
            refused_publish_codecs,
            shows_tracks_by_packet,
        };
        let role = convert::role(role)?;
        self.send(py, Command::CreatePeer { peer: PeerId(peer), room: RoomId(room), role, options })
    }

    fn close_peer(&self, py: Python<'_>, peer: u64) -> PyResult<()> {
        self.send(py, Command::ClosePeer { peer: PeerId(peer) })
    }

    #[pyo3(signature = (peer, *, cids, kind, mime, stereo, disable_dtx, disable_red))]
    #[allow(clippy::too_many_arguments)]
    fn expect(
        &self,
        py: Python<'_>,
        peer: u64,
        cids: Vec<String>,
        kind: &str,
        mime: Option<String>,
        stereo: bool,
        disable_dtx: bool,
        disable_red: bool,
    ) -> PyResult<()> {
        let kind = convert::kind(kind)?;
        let expected = Expected { cids, kind, mime, stereo, disable_dtx, disable_red };
        self.send(py, Command::Expect { peer: PeerId(peer), expected })
    }

    fn offer(&self, py: Python<'_>, peer: u64, offer_id: u32, sdp: String) -> PyResult<()> {
        self.send(py, Command::Offer { peer: PeerId(peer), offer_id, sdp })
    }

    #[pyo3(signature = (peer, *, ice_restart = false))]
    fn make_offer(&self, py: Python<'_>, peer: u64, ice_restart: bool) -> PyResult<()> {
        self.send(py, Command::MakeOffer { peer: PeerId(peer), ice_restart })
    }

    fn limit_bandwidth(&self, py: Python<'_>, peer: u64, bps: u64) -> PyResult<()> {
        self.send(py, Command::LimitBandwidth { peer: PeerId(peer), bps })
    }

    fn answer(&self, py: Python<'_>, peer: u64, offer_id: u32, sdp: String) -> PyResult<()> {
        self.send(py, Command::Answer { peer: PeerId(peer), offer_id, sdp })
    }

    #[pyo3(signature = (
        peer, track, *, mid, sid, stream_id, stream, kind, source, muted, layers, sif_trailer, make_red
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
    fn publish(
        &self,
        py: Python<'_>,
        peer: u64,
        track: u64,
        mid: String,
        sid: String,
        stream_id: String,
        stream: String,
        kind: &str,
        source: &str,
        muted: bool,
        layers: Vec<(String, u32, u32, u32)>,
        sif_trailer: Vec<u8>,
        make_red: bool,
    ) -> PyResult<()> {
        let layers = layers
            .into_iter()
            .map(|(quality, width, height, bitrate_bps)| {
                Ok(Layer { quality: convert::quality(&quality)?, width, height, bitrate_bps })
            })
            .collect::<PyResult<Vec<Layer>>>()?;
        let publication = Publication {
            track: TrackId(track),
            sid,
            stream_id,
            stream,
            kind: convert::kind(kind)?,
            source: convert::source(source)?,
            muted,
            layers,
            mid,
            sif_trailer,
            make_red,
        };
        self.send(py, Command::Publish { peer: PeerId(peer), publication })
    }

    fn unpublish(&self, py: Python<'_>, track: u64) -> PyResult<()> {
        self.send(py, Command::Unpublish { track: TrackId(track) })
    }

    fn set_muted(&self, py: Python<'_>, track: u64, muted: bool) -> PyResult<()> {
        self.send(py, Command::SetMuted { track: TrackId(track), muted })
    }

    #[pyo3(signature = (
        peer, track, *, enabled = true, quality = "high", width = 0, height = 0, fps = 0, priority = 0
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
    fn subscribe(
        &self,
        py: Python<'_>,
        peer: u64,
        track: u64,
        enabled: bool,
        quality: &str,
        width: u32,
        height: u32,
        fps: u32,
        priority: u32,
    ) -> PyResult<()> {
        let quality = convert::quality(quality)?;
        let settings = SubscriptionSettings { enabled, quality, width, height, fps, priority };
        self.send(py, Command::Subscribe { peer: PeerId(peer), track: TrackId(track), settings })
    }

    #[pyo3(signature = (peer, track, *, enabled, quality, width, height, fps, priority))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
    fn set_subscription(
        &self,
        py: Python<'_>,
        peer: u64,
        track: u64,
        enabled: bool,
        quality: &str,
        width: u32,
        height: u32,
        fps: u32,
        priority: u32,
    ) -> PyResult<()> {
        let quality = convert::quality(quality)?;
        let settings = SubscriptionSettings { enabled, quality, width, height, fps, priority };
        self.send(py, Command::SetSubscription { peer: PeerId(peer), track: TrackId(track), settings })
    }

    fn unsubscribe(&self, py: Python<'_>, peer: u64, track: u64) -> PyResult<()> {
        self.send(py, Command::Unsubscribe { peer: PeerId(peer), track: TrackId(track) })
    }

    fn move_subscription(&self, py: Python<'_>, peer: u64, old: u64, new: u64) -> PyResult<()> {
        self.send(py, Command::MoveSubscription { peer: PeerId(peer), from: TrackId(old), to: TrackId(new) })
    }

    fn publish_data(&self, py: Python<'_>, peer: u64, track: u64, handle: u16) -> PyResult<()> {
        self.send(py, Command::PublishData { peer: PeerId(peer), track: TrackId(track), handle })
    }

    fn unpublish_data(&self, py: Python<'_>, track: u64) -> PyResult<()> {
        self.send(py, Command::UnpublishData { track: TrackId(track) })
    }

    fn subscribe_data(&self, py: Python<'_>, peer: u64, track: u64, handle: u16) -> PyResult<()> {
        self.send(py, Command::SubscribeData { peer: PeerId(peer), track: TrackId(track), handle })
    }

    fn unsubscribe_data(&self, py: Python<'_>, peer: u64, track: u64) -> PyResult<()> {
        self.send(py, Command::UnsubscribeData { peer: PeerId(peer), track: TrackId(track) })
    }

    #[pyo3(signature = (peers, channel, payload, *, sender = None))]
    fn send_data(
        &self,
        py: Python<'_>,
        peers: Vec<u64>,
        channel: &str,
        payload: &[u8],
        sender: Option<u64>,
    ) -> PyResult<bool> {
        let (peers, channel) = (peers.into_iter().map(PeerId).collect(), convert::channel(channel)?);
        let command = Command::SendData { peers, channel, payload: payload.to_vec(), sender: sender.map(PeerId) };
        match self.send(py, command) {
            Ok(()) => Ok(true),
            Err(error) if error.is_instance_of::<EngineFull>(py) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn addresses(texts: &[String]) -> PyResult<Vec<IpAddr>> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|_| PyValueError::new_err(format!("not an IP address: {text:?}"))))
        .collect()
}

fn start_error(error: StartError) -> PyErr {
    let message = error.to_string();
    match error {
        StartError::Invalid(_) => PyValueError::new_err(message),
        StartError::Bind { source, .. } | StartError::Io(source) => {
            PyOSError::new_err((source.raw_os_error().unwrap_or(0), message))
        }
        StartError::Identity(_) => PyOSError::new_err(message),
    }
}
