//! What we speak: codecs, feedback and header extensions, and how they are told in SDP.

use super::{ExtensionIds, NegotiatedCodec};
use crate::api::Kind;
use crate::wire::codec::Codec;
use crate::wire::sdp::{CodecLine, ExtensionLine, Section};

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/// The rtcp-fb value that belongs to `TRANSPORT_CC`.
pub const TRANSPORT_CC_FEEDBACK: &str = "transport-cc";
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// The extensions of a section that we use. Where a client names one twice, the first id counts.
pub fn extension_ids(lines: &[ExtensionLine]) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    for line in lines {
        let slot = match &*line.uri {
            MID => &mut ids.mid,
            RID => &mut ids.rid,
            REPAIRED_RID => &mut ids.repaired_rid,
            TRANSPORT_CC => &mut ids.transport_cc,
            ABS_SEND_TIME => &mut ids.abs_send_time,
            AUDIO_LEVEL => &mut ids.audio_level,
            DEPENDENCY_DESCRIPTOR => &mut ids.dependency_descriptor,
            ABS_CAPTURE_TIME => &mut ids.abs_capture_time,
            PLAYOUT_DELAY => &mut ids.playout_delay,
            _ => continue,
        };
        if *slot == 0 {
            *slot = line.id;
        }
    }
    if ids.transport_cc != 0 {
        ids.abs_send_time = 0;
    }
    ids
}

/// The lines that tell these ids.
pub fn extension_lines(ids: &ExtensionIds) -> Vec<ExtensionLine> {
    let all = [
        (ids.audio_level, AUDIO_LEVEL),
        (ids.abs_send_time, ABS_SEND_TIME),
        (ids.transport_cc, TRANSPORT_CC),
        (ids.mid, MID),
        (ids.rid, RID),
        (ids.repaired_rid, REPAIRED_RID),
        (ids.dependency_descriptor, DEPENDENCY_DESCRIPTOR),
        (ids.abs_capture_time, ABS_CAPTURE_TIME),
        (ids.playout_delay, PLAYOUT_DELAY),
    ];
    let negotiated = all.into_iter().filter(|(id, _)| *id != 0);
    negotiated.map(|(id, uri)| ExtensionLine { id, uri: uri.to_owned() }).collect()
}

/// One parameter of an fmtp (`key=value; key=value`), names compared without case.
pub fn parameter<'l>(parameters: &'l str, name: &str) -> Option<&'l str> {
    let pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The codecs of a section that we forward, in its order.
pub fn codecs(section: &Section, kind: Kind) -> Vec<NegotiatedCodec> {
    let lines = &section.codecs;
    let mut found: Vec<NegotiatedCodec> = lines.iter().filter_map(|line| negotiated(line, kind)).collect();
    for line in lines.iter().filter(|line| line.name.eq_ignore_ascii_case("rtx")) {
        let of: Option<u8> = parameter(&line.parameters, "apt").and_then(|apt| apt.parse().ok());
        let of = found.iter_mut().find(|codec| Some(codec.payload_type) == of);
        if let Some(codec) = of {
            codec.rtx.get_or_insert(line.payload_type);
        }
    }
    drop_red_without_opus(&mut found);
    found
}

fn negotiated(line: &CodecLine, kind: Kind) -> Option<NegotiatedCodec> {
    let codec = recognise(line).filter(|codec| codec.kind() == kind)?;
    let has = |feedback: &str| line.feedback.iter().any(|offered| offered == feedback);
    let transport_cc = has(TRANSPORT_CC_FEEDBACK);
    Some(NegotiatedCodec {
        payload_type: line.payload_type,
        codec,
        rtx: None,
        nack: has("nack"),
        pli: has("nack pli"),
        fir: has("ccm fir"),
        transport_cc,
        remb: has("goog-remb") && !transport_cc,
        red_inner: match codec {
            Codec::Red => line.parameters.split('/').next().and_then(|first| first.trim().parse().ok()),
            _ => None,
        },
    })
}

/// Our name for a codec line, if we forward it.
fn recognise(line: &CodecLine) -> Option<Codec> {
    let parameter = |name| parameter(&line.parameters, name);
    let profile = |name| parameter(name).map_or(Some(0), |value| value.parse::<u8>().ok());
    match (line.name.to_ascii_lowercase().as_str(), line.clock_rate) {
        ("opus", 48_000) => Some(Codec::Opus),
        ("red", 48_000) => Some(Codec::Red),
        ("pcmu", 8_000) => Some(Codec::Pcmu),
        ("pcma", 8_000) => Some(Codec::Pcma),
        ("vp8", 90_000) => Some(Codec::Vp8),
        ("vp9", 90_000) => profile("profile-id").filter(|profile| *profile == 0).map(|profile| Codec::Vp9 { profile }),
        // One stream of packets (RFC 7798 section 7.1): layers on streams of their own cannot be forwarded.
        ("h265", 90_000) if parameter("tx-mode").is_none_or(|mode| mode.eq_ignore_ascii_case("SRST")) => {
            let profile = parameter("profile-id").map_or(Some(1), |value| value.parse().ok())?;
            Some(Codec::H265 { profile })
        }
        ("av1", 90_000) => profile("profile").filter(|profile| *profile == 0).map(|_| Codec::Av1),
        ("h264", 90_000) => Some(Codec::H264 {
            profile_level: match parameter("profile-level-id") {
                Some(value) => u32::from_str_radix(value, 16).ok().filter(|value| *value < 1 << 24)?,
                // What browsers take for granted when it is missing.
                None => 0x42_E01F,
            },
            packetization_mode: profile("packetization-mode").filter(|mode| *mode < 2)?,
        }),
        _ => None,
    }
}

/// RED means Opus inside RED here; one around anything else cannot be forwarded.
fn drop_red_without_opus(codecs: &mut Vec<NegotiatedCodec>) {
    let opus: Vec<u8> =
        codecs.iter().filter(|codec| codec.codec == Codec::Opus).map(|codec| codec.payload_type).collect();
    codecs.retain(|codec| codec.codec != Codec::Red || codec.red_inner.is_some_and(|inner| opus.contains(&inner)));
}

/// Feedback we use of a codec, as rtcp-fb values.
pub fn feedback(codec: &NegotiatedCodec) -> Vec<String> {
    let all = [
        (codec.transport_cc, TRANSPORT_CC_FEEDBACK),
        (codec.remb, "goog-remb"),
        (codec.fir, "ccm fir"),
        (codec.nack, "nack"),
        (codec.pli, "nack pli"),
    ];
    all.into_iter().filter(|(used, _)| *used).map(|(_, value)| value.to_owned()).collect()
}

/// Header extension ids of our own offers.
pub fn own_extensions(kind: Kind, playout_delay: bool) -> ExtensionIds {
    let common = ExtensionIds { transport_cc: 3, mid: 4, abs_capture_time: 7, ..ExtensionIds::default() };
    match kind {
        Kind::Audio => ExtensionIds { audio_level: 1, ..common },
        Kind::Video => {
            ExtensionIds { dependency_descriptor: 12, playout_delay: if playout_delay { 6 } else { 0 }, ..common }
        }
    }
}

/// Codec lines of our own offers. The payload types are those browsers use themselves where there is a choice.
pub fn own_codecs(kind: Kind) -> Vec<CodecLine> {
    match kind {
        Kind::Audio => vec![
            line(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", &[TRANSPORT_CC_FEEDBACK, "nack"]),
            line(63, "red", 48_000, 2, "111/111", &[TRANSPORT_CC_FEEDBACK]),
            line(0, "PCMU", 8_000, 0, "", &[TRANSPORT_CC_FEEDBACK, "nack"]),
            line(8, "PCMA", 8_000, 0, "", &[TRANSPORT_CC_FEEDBACK, "nack"]),
        ],
        Kind::Video => {
            OWN_VIDEO.iter().flat_map(|(number, name, parameters)| video_with_rtx(*number, name, parameters)).collect()
        }
    }
}

/// (payload type, name, fmtp); retransmissions use the next payload type.
const OWN_VIDEO: [(u8, &str, &str); 10] = [
    (96, "VP8", ""),
    (98, "VP9", "profile-id=0"),
    (102, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
    (104, "H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
    (106, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    (108, "H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
    (116, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    (118, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
    (112, "H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"),
    (45, "AV1", "level-idx=5;profile=0;tier=0"),
];

fn video_with_rtx(number: u8, name: &str, parameters: &str) -> [CodecLine; 2] {
    let feedback = [TRANSPORT_CC_FEEDBACK, "ccm fir", "nack", "nack pli"];
    [
        line(number, name, 90_000, 0, parameters, &feedback),
        line(number + 1, "rtx", 90_000, 0, &format!("apt={number}"), &[]),
    ]
}

fn line(payload_type: u8, name: &str, clock_rate: u32, channels: u8, parameters: &str, feedback: &[&str]) -> CodecLine {
    CodecLine {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        parameters: parameters.to_owned(),
        feedback: feedback.iter().map(|value| (*value).to_owned()).collect(),
    }
}
