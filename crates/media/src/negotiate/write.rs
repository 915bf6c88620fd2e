//! Writing our answers and offers.

use std::net::SocketAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    DATA_CHANNEL_FORMAT, ExtensionIds, LocalTransport, NegotiatedCodec, OfferedMedia, Plan, Review, Reviewed,
    SendStream, table,
};
use crate::api::{Kind, Proto};
use crate::wire::codec::Codec;
use crate::wire::sdp::{
    CodecLine, Description, Direction, Fingerprint, Media, Rid, Section, Setup, Simulcast, SsrcGroup, SsrcLine,
};

const SCTP_PORT: u16 = 5000;
/// What our SCTP association takes at most.
const MAX_MESSAGE: u64 = 65_535;
/// Bit rate of stereo Opus, in bits per second.
const STEREO_BITRATE: u32 = 510_000;

/// Writes the answer to a reviewed offer. Payload types and extension ids echo the offer; sections in which nothing
/// flows are `inactive`; rejected ones leave the BUNDLE group.
pub fn answer(offer: &Description, review: &Review, local: &LocalTransport, plans: &[Plan]) -> Description {
    let plans_by_mid: FxHashMap<&str, &Plan> = plans.iter().map(|plan| (plan.mid.as_str(), plan)).collect();
    let mut parameters = Parameters::new(offer, review, &plans_by_mid);
    let no_plan = Plan::default();
    let sections = offer.sections.iter().zip(&review.sections).map(|(offered, reviewed)| {
        let plan = plans_by_mid.get(reviewed.mid.as_str()).copied().unwrap_or(&no_plan);
        match reviewed.kind {
            _ if reviewed.rejected => rejected(offered),
            Some(_) => media_answer(offered, reviewed, local, plan, &mut parameters),
            None => data_section(&offered.mid, &offered.protocol, local, Setup::Passive),
        }
    });
    let accepted = review.sections.iter().filter(|section| !section.rejected);
    let accepted: FxHashSet<&str> = accepted.map(|section| section.mid.as_str()).collect();
    Description {
        session_id: local.session_id,
        session_version: local.session_version,
        // In the offered order, so that the tag stays where the offer has it unless that section is rejected.
        bundle: offer.bundle.iter().filter(|mid| accepted.contains(mid.as_str())).cloned().collect(),
        ice_lite: true,
        extmap_allow_mixed: offer.extmap_allow_mixed,
        sections: sections.collect(),
    }
}

/// Writes a server offer: the data section first (mid `data_mid`), then `media` in the given order, which must only
/// grow from offer to offer.
pub fn offer(local: &LocalTransport, data_mid: &str, media: &[OfferedMedia]) -> Description {
    let data = data_section(data_mid, "UDP/DTLS/SCTP", local, Setup::ActPass);
    let sections: Vec<Section> =
        std::iter::once(data).chain(media.iter().map(|media| media_offer(media, local))).collect();
    Description {
        session_id: local.session_id,
        session_version: local.session_version,
        bundle: sections.iter().map(|section| section.mid.clone()).collect(),
        ice_lite: true,
        extmap_allow_mixed: true,
        sections,
    }
}

/// The fmtp of each payload type of an answer. One payload type has one meaning in a BUNDLE group (RFC 8843 section
/// 9.1), and clients refuse a description that says otherwise. So the first section that uses one decides, and what
/// tracks want of the Opus encoder is joined: stereo if any track is, no DTX if any track must not have it.
struct Parameters {
    stereo: bool,
    dtx: bool,
    decided: FxHashMap<u8, String>,
}

impl Parameters {
    fn new(offer: &Description, review: &Review, plans: &FxHashMap<&str, &Plan>) -> Parameters {
        let sent: Vec<&Reviewed> = review.sections.iter().filter(|section| section.client_sends).collect();
        let plans: Vec<&Plan> = sent.iter().filter_map(|section| plans.get(section.mid.as_str()).copied()).collect();
        // A client without AddTrack (WHIP) says here that it would send stereo; `stereo` alone is what it would receive
        // (RFC 7587 section 6.1).
        let sends_stereo = |section: &&Reviewed| {
            let offered = offer.sections.get(section.index).map_or(&[][..], |section| &section.codecs);
            offered.iter().any(|line| table::parameter(&line.parameters, "sprop-stereo") == Some("1"))
        };
        let stereo = plans.iter().any(|plan| plan.stereo) || sent.iter().any(sends_stereo);
        // Music does not pause for DTX.
        let dtx = !stereo && !plans.iter().any(|plan| plan.disable_dtx);
        Parameters { stereo, dtx, decided: FxHashMap::default() }
    }

    fn of(&mut self, codec: Option<Codec>, offered: &CodecLine) -> String {
        if let Some(decided) = self.decided.get(&offered.payload_type) {
            return decided.clone();
        }
        let parameters = match codec {
            Some(Codec::Opus) => self.opus(&offered.parameters),
            _ => offered.parameters.clone(),
        };
        self.decided.insert(offered.payload_type, parameters.clone());
        parameters
    }

    /// The offered parameters with ours set.
    fn opus(&self, offered: &str) -> String {
        let ours = ["usedtx", "stereo", "sprop-stereo", "maxaveragebitrate"];
        let is_ours = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| ours.contains(&key.trim()));
        let pairs = offered.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_ours(pair));
        let mut pairs: Vec<String> = pairs.map(str::to_owned).collect();
        if self.stereo {
            pairs.push("stereo=1".to_owned());
            pairs.push(format!("maxaveragebitrate={STEREO_BITRATE}"));
        }
        if self.dtx {
            pairs.push("usedtx=1".to_owned());
        }
        pairs.join(";")
    }
}

fn rejected(offered: &Section) -> Section {
    Section {
        port: 0,
        protocol: offered.protocol.clone(),
        formats: offered.formats.clone(),
        mid: offered.mid.clone(),
        direction: Direction::Inactive,
        ..Section::new(offered.media.clone())
    }
}

/// A section with our transport in it. Candidates go into every section: aiortc reads the last one of a BUNDLE group.
fn with_transport(media: Media, mid: &str, protocol: &str, local: &LocalTransport, setup: Setup) -> Section {
    let main = local.candidates.iter().find(|(proto, _)| *proto == Proto::Udp).map(|(_, address)| *address);
    let numbered = local.candidates.iter().enumerate();
    Section {
        port: main.map_or(9, |address| address.port()),
        connection: main.map(|address| address.ip()),
        protocol: protocol.to_owned(),
        mid: mid.to_owned(),
        ice_ufrag: local.ufrag.clone(),
        ice_pwd: local.pwd.clone(),
        fingerprints: vec![Fingerprint { algorithm: "sha-256".to_owned(), digest: local.sha256.to_vec() }],
        setup: Some(setup),
        candidates: numbered.map(|(rank, (proto, address))| candidate(rank, *proto, *address)).collect(),
        end_of_candidates: true,
        ..Section::new(media)
    }
}

/// A host candidate (RFC 8839 section 5.1, RFC 6544 for TCP). UDP is preferred to TCP whatever the order given.
fn candidate(rank: usize, proto: Proto, address: SocketAddr) -> String {
    let local_preference = 65_535 - u32::try_from(rank).unwrap_or(u32::MAX).min(8_191);
    let (name, type_preference, tail) = match proto {
        Proto::Udp => ("udp", 126, ""),
        Proto::Tcp => ("tcp", 90, " tcptype passive"),
    };
    let priority = type_preference << 24 | local_preference << 8 | 255;
    format!("{} 1 {name} {priority} {} {} typ host{tail}", rank + 1, address.ip(), address.port())
}

fn data_section(mid: &str, protocol: &str, local: &LocalTransport, setup: Setup) -> Section {
    Section {
        formats: vec![DATA_CHANNEL_FORMAT.to_owned()],
        sctp_port: Some(SCTP_PORT),
        max_message_size: Some(MAX_MESSAGE),
        ..with_transport(Media::Application, mid, protocol, local, setup)
    }
}

fn media_answer(
    offered: &Section,
    reviewed: &Reviewed,
    local: &LocalTransport,
    plan: &Plan,
    parameters: &mut Parameters,
) -> Section {
    let receives = reviewed.client_sends && !plan.refuse_receive;
    let send = plan.send.as_ref().filter(|_| reviewed.client_receives);
    let mut codecs: Vec<&NegotiatedCodec> = reviewed.codecs.iter().collect();
    if plan.disable_red && receives {
        codecs.retain(|codec| codec.codec != Codec::Red);
    }
    if let Some(mime) = &plan.prefer {
        codecs.sort_by_key(|codec| !codec.codec.mime().eq_ignore_ascii_case(mime));
    }
    let mut lines = codec_lines(&offered.codecs, &codecs, parameters);
    let mut extensions = reviewed.extensions;
    if reviewed.kind == Some(Kind::Audio) && receives && send.is_none() {
        leave_out_of_congestion_control(&mut lines, &mut extensions);
    }
    let rids = if receives { reviewed.rids.as_slice() } else { &[] };
    let mut section = Section {
        formats: lines.iter().map(|line| line.payload_type.to_string()).collect(),
        direction: Direction::from_flags(send.is_some(), receives),
        rtcp_mux: true,
        rtcp_rsize: offered.rtcp_rsize,
        codecs: lines,
        extensions: table::extension_lines(&extensions),
        rids: rids.iter().map(|id| Rid { id: id.clone(), send: false }).collect(),
        simulcast: Simulcast { send: Vec::new(), recv: rids.iter().map(|id| (id.clone(), false)).collect() },
        ..with_transport(offered.media.clone(), &offered.mid, &offered.protocol, local, Setup::Passive)
    };
    if let Some(stream) = send {
        announce(&mut section, stream, codecs.iter().any(|codec| codec.rtx.is_some()));
    }
    section
}

/// Sound that only comes to us is not counted by transport-wide congestion control, as with LiveKit. Libwebrtc takes what
/// it reserves for counted sound from its video, twice with RED: at 300 ms each way every second picture was not sent.
fn leave_out_of_congestion_control(lines: &mut [CodecLine], extensions: &mut ExtensionIds) {
    extensions.transport_cc = 0;
    for line in lines {
        line.feedback.retain(|feedback| feedback != table::TRANSPORT_CC_FEEDBACK);
    }
}

/// The offered lines of the accepted codecs, each followed by its retransmissions, cut down to what we use.
fn codec_lines(offered: &[CodecLine], accepted: &[&NegotiatedCodec], parameters: &mut Parameters) -> Vec<CodecLine> {
    let line = |payload_type: u8| offered.iter().find(|line| line.payload_type == payload_type);
    let mut lines = Vec::new();
    for codec in accepted {
        if let Some(offered) = line(codec.payload_type) {
            let parameters = parameters.of(Some(codec.codec), offered);
            lines.push(CodecLine { feedback: table::feedback(codec), parameters, ..offered.clone() });
        }
        if let Some(offered) = codec.rtx.and_then(line) {
            let parameters = parameters.of(None, offered);
            lines.push(CodecLine { feedback: Vec::new(), parameters, ..offered.clone() });
        }
    }
    lines
}

fn media_offer(media: &OfferedMedia, local: &LocalTransport) -> Section {
    let name = match media.kind {
        Kind::Audio => Media::Audio,
        Kind::Video => Media::Video,
    };
    let codecs = table::own_codecs(media.kind);
    let mut section = Section {
        formats: codecs.iter().map(|codec| codec.payload_type.to_string()).collect(),
        direction: Direction::from_flags(media.send.is_some(), false),
        rtcp_mux: true,
        rtcp_rsize: true,
        codecs,
        extensions: table::extension_lines(&table::own_extensions(media.kind, media.playout_delay)),
        ..with_transport(name, &media.mid, "UDP/TLS/RTP/SAVPF", local, Setup::ActPass)
    };
    if let Some(stream) = &media.send {
        announce(&mut section, stream, media.kind == Kind::Video);
    }
    section
}

/// Names the stream we send, for clients that do not route by the MID extension.
fn announce(section: &mut Section, stream: &SendStream, rtx: bool) {
    let msid = (stream.stream_id.clone(), stream.track_id.clone());
    let line = |ssrc| SsrcLine { ssrc, cname: stream.cname.clone(), msid: Some(msid.clone()) };
    section.ssrcs.push(line(stream.ssrc));
    if let Some(repair) = stream.rtx_ssrc.filter(|_| rtx) {
        section.ssrc_groups.push(SsrcGroup { semantics: "FID".to_owned(), ssrcs: vec![stream.ssrc, repair] });
        section.ssrcs.push(line(repair));
    }
    section.msid = Some(msid);
}
