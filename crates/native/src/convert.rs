//! Names and shapes of `_native.pyi`, both ways.

use std::time::Duration;

use auralink_media::api::{Channel, Event, Kind, Limits, OfferedSection, PeerId, PeerRole, Quality, Source, TrackId};
use auralink_media_net::{Fault, NetEvent};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

fn unknown(what: &str, name: &str) -> PyErr {
    PyValueError::new_err(format!("unknown {what}: {name:?}"))
}

pub fn fault(name: &str, seconds: f64) -> PyResult<Fault> {
    match name {
        "panic" => Ok(Fault::Panic),
        "stall" => Duration::try_from_secs_f64(seconds)
            .map(Fault::Stall)
            .map_err(|_| PyValueError::new_err(format!("not a time in seconds: {seconds}"))),
        other => Err(unknown("fault", other)),
    }
}

pub fn role(name: &str) -> PyResult<PeerRole> {
    match name {
        "single" => Ok(PeerRole::Single),
        "publisher" => Ok(PeerRole::Publisher),
        "subscriber" => Ok(PeerRole::Subscriber),
        _ => Err(unknown("peer role", name)),
    }
}

pub fn kind(name: &str) -> PyResult<Kind> {
    match name {
        "audio" => Ok(Kind::Audio),
        "video" => Ok(Kind::Video),
        _ => Err(unknown("track kind", name)),
    }
}

pub fn source(name: &str) -> PyResult<Source> {
    match name {
        "microphone" => Ok(Source::Microphone),
        "camera" => Ok(Source::Camera),
        "screen_share" => Ok(Source::ScreenShare),
        "screen_share_audio" => Ok(Source::ScreenShareAudio),
        "unknown" => Ok(Source::Unknown),
        _ => Err(unknown("track source", name)),
    }
}

pub fn quality(name: &str) -> PyResult<Quality> {
    match name {
        "low" => Ok(Quality::Low),
        "medium" => Ok(Quality::Medium),
        "high" => Ok(Quality::High),
        _ => Err(unknown("quality", name)),
    }
}

pub fn channel(label: &str) -> PyResult<Channel> {
    Channel::from_label(label).ok_or_else(|| unknown("data channel", label))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}

fn quality_name(quality: Quality) -> &'static str {
    match quality {
        Quality::Low => "low",
        Quality::Medium => "medium",
        Quality::High => "high",
    }
}

/// The defaults with the named ones replaced.
pub fn limits(given: &Bound<'_, PyDict>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in given {
        let name: String = name.extract()?;
        match name.as_str() {
            "max_peers" => limits.max_peers = value.extract()?,
            "max_ssrcs_per_peer" => limits.max_ssrcs_per_peer = value.extract()?,
            "max_sdp_bytes" => limits.max_sdp_bytes = value.extract()?,
            "max_sections" => limits.max_sections = value.extract()?,
            "max_data_message_bytes" => limits.max_data_message_bytes = value.extract()?,
            "max_data_queue_bytes" => limits.max_data_queue_bytes = value.extract()?,
            "max_lossy_queue_bytes" => limits.max_lossy_queue_bytes = value.extract()?,
            "max_data_bytes_per_s" => limits.max_data_bytes_per_s = value.extract()?,
            "max_packets_per_s" => limits.max_packets_per_s = value.extract()?,
            "max_data_messages_per_s" => limits.max_data_messages_per_s = value.extract()?,
            "max_data_tracks_per_peer" => limits.max_data_tracks_per_peer = value.extract()?,
            "connect_timeout_ms" => limits.connect_timeout_ms = value.extract()?,
            "ice_timeout_ms" => limits.ice_timeout_ms = value.extract()?,
            _ => return Err(unknown("limit", &name)),
        }
    }
    Ok(limits)
}

/// The tuple of `_native.pyi` for an event.
pub fn event(py: Python<'_>, event: NetEvent) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        NetEvent::Core(event) => core_event(py, event),
        NetEvent::ShardFailed { shard, rooms } => {
            let rooms: Vec<u64> = rooms.into_iter().map(|room| room.0).collect();
            ("shard_failed", shard, rooms).into_pyobject(py)
        }
    }
}

fn core_event(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::Answer { peer, offer_id, sdp, mid_to_track, sections } => {
            let sections = sections.iter().map(|section| self::section(py, section)).collect::<PyResult<Vec<_>>>()?;
            let sections = PyList::new(py, sections)?;
            ("answer", peer.0, offer_id, sdp, mapping(py, &mid_to_track)?, sections).into_pyobject(py)
        }
        Event::OfferRejected { peer, offer_id, message } => {
            ("offer_rejected", peer.0, offer_id, message).into_pyobject(py)
        }
        Event::Offer { peer, offer_id, sdp, mid_to_track } => {
            ("offer", peer.0, offer_id, sdp, mapping(py, &mid_to_track)?).into_pyobject(py)
        }
        Event::Connected { peer } => of_peer(py, "connected", peer),
        Event::Route { peer, proto, address } => {
            ("route", peer.0, proto.as_str(), address.ip().to_string(), address.port()).into_pyobject(py)
        }
        Event::ChannelOpen { peer, channel } => ("channel_open", peer.0, channel.label()).into_pyobject(py),
        Event::PeerClosed { peer, reason, message } => {
            ("peer_closed", peer.0, reason.as_str(), message).into_pyobject(py)
        }
        Event::SectionsNeeded { peer, audio, video } => ("sections_needed", peer.0, audio, video).into_pyobject(py),
        Event::OfferNeeded { peer } => of_peer(py, "offer_needed", peer),
        Event::SectionFreed { peer } => of_peer(py, "section_freed", peer),
        Event::TrackStarted { track, mime } => ("track_started", track.0, mime).into_pyobject(py),
        Event::TrackEnded { track } => ("track_ended", track.0).into_pyobject(py),
        Event::Subscribed { peer, track } => ("subscribed", peer.0, track.0).into_pyobject(py),
        Event::SubscriptionFailed { peer, track, message } => {
            ("subscription_failed", peer.0, track.0, message).into_pyobject(py)
        }
        Event::QualitiesWanted { track, qualities } => qualities_wanted(py, track, &qualities),
        Event::StreamState { peer, track, paused } => ("stream_state", peer.0, track.0, paused).into_pyobject(py),
        Event::Speakers { room, levels } => {
            let levels: Vec<_> = levels.into_iter().map(|(peer, level, active)| (peer.0, level, active)).collect();
            ("speakers", room.0, levels).into_pyobject(py)
        }
        Event::Quality { peer, score } => ("quality", peer.0, score).into_pyobject(py),
        Event::UnlabeledData { peer, payload } => {
            ("unlabeled_data", peer.0, PyBytes::new(py, &payload)).into_pyobject(py)
        }
        Event::Data { peer, channel, payload } => {
            ("data", peer.0, channel.label(), PyBytes::new(py, &payload)).into_pyobject(py)
        }
    }
}

fn of_peer<'py>(py: Python<'py>, name: &str, peer: PeerId) -> PyResult<Bound<'py, PyTuple>> {
    (name, peer.0).into_pyobject(py)
}

fn qualities_wanted<'py>(py: Python<'py>, track: TrackId, wanted: &[Quality]) -> PyResult<Bound<'py, PyTuple>> {
    let names: Vec<_> = wanted.iter().copied().map(quality_name).collect();
    ("qualities_wanted", track.0, names).into_pyobject(py)
}

fn mapping<'py>(py: Python<'py>, pairs: &[(String, String)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (mid, track) in pairs {
        dict.set_item(mid, track)?;
    }
    Ok(dict)
}

fn section<'py>(py: Python<'py>, section: &OfferedSection) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("mid", &section.mid)?;
    dict.set_item("kind", kind_name(section.kind))?;
    dict.set_item("cid", &section.cid)?;
    dict.set_item("codecs", &section.codecs)?;
    dict.set_item("rids", &section.rids)?;
    Ok(dict)
}
