//! The parser: one pass over the lines, everything bounded.

use std::net::IpAddr;

use super::{
    Bounds, CodecLine, Description, Direction, ExtensionLine, Fingerprint, Media, Rid, SdpError, Section, Setup,
    Simulcast, SsrcGroup, SsrcLine,
};

/// Entries kept of each repeated attribute of a section; what comes after is ignored. Payload types and extension ids
/// have natural bounds below this.
const MAX_REPEATED: usize = 256;

type Outcome<T> = Result<T, &'static str>;

pub fn description(text: &str, bounds: &Bounds) -> Result<Description, SdpError> {
    if text.len() > bounds.max_bytes {
        return Err(SdpError { line: 0, message: "description is too large" });
    }
    let mut parser = Parser {
        description: Description::default(),
        session: Section::new(Media::Other(String::new())),
        max_sections: bounds.max_sections,
    };
    for (index, line) in text.lines().enumerate() {
        parser.line(index, line).map_err(|message| SdpError { line: index + 1, message })?;
    }
    parser.finish()
}

struct Parser {
    description: Description,
    /// Collects session-level attributes that sections inherit.
    session: Section,
    max_sections: usize,
}

impl Parser {
    fn line(&mut self, index: usize, line: &str) -> Outcome<()> {
        // A bare CR inside a line would become a line of its own for whoever reads what we print.
        if line.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("control character");
        }
        if index == 0 {
            return if line == "v=0" { Ok(()) } else { Err("must start with v=0") };
        }
        if line.is_empty() {
            return Ok(());
        }
        match line.split_once('=') {
            Some(("o", value)) => self.origin(value),
            Some(("m", value)) => self.media(value),
            Some(("c", value)) => self.connection(value),
            Some(("a", value)) => self.attribute(value),
            Some((kind, _)) if kind.len() == 1 => Ok(()),
            _ => Err("not a line of an SDP"),
        }
    }

    fn finish(mut self) -> Result<Description, SdpError> {
        if self.description.sections.is_empty() {
            return Err(SdpError { line: 0, message: "no media section" });
        }
        self.description.sections.iter_mut().for_each(keep_listed_codecs);
        Ok(self.description)
    }

    fn origin(&mut self, value: &str) -> Outcome<()> {
        let mut fields = value.split(' ').skip(1);
        let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or_default();
        self.description.session_id = number();
        self.description.session_version = number();
        Ok(())
    }

    fn media(&mut self, value: &str) -> Outcome<()> {
        if self.description.sections.len() >= self.max_sections {
            return Err("too many media sections");
        }
        let mut fields = value.split(' ').filter(|field| !field.is_empty());
        let media = match fields.next().ok_or("empty m-line")? {
            "audio" => Media::Audio,
            "video" => Media::Video,
            "application" => Media::Application,
            other => Media::Other(other.to_owned()),
        };
        let port = fields.next().and_then(|port| port.split('/').next()).and_then(|port| port.parse().ok());
        let port = port.ok_or("bad port in m-line")?;
        let protocol = fields.next().ok_or("no protocol in m-line")?.to_owned();
        let formats = fields.take(MAX_REPEATED).map(str::to_owned).collect();
        self.description.sections.push(Section { media, port, protocol, formats, ..self.inherited() });
        Ok(())
    }

    /// A section as the session level begins it. Only what may stand at session level, and little of it: it is
    /// multiplied by the number of sections.
    fn inherited(&self) -> Section {
        let session = &self.session;
        Section {
            connection: session.connection,
            direction: session.direction,
            ice_ufrag: session.ice_ufrag.clone(),
            ice_pwd: session.ice_pwd.clone(),
            fingerprints: session.fingerprints.iter().take(4).cloned().collect(),
            setup: session.setup,
            extensions: session.extensions.iter().take(16).cloned().collect(),
            ..Section::new(Media::Audio)
        }
    }

    fn connection(&mut self, value: &str) -> Outcome<()> {
        let address = value.rsplit(' ').next().and_then(|address| address.split('/').next());
        self.current().connection = address.and_then(|address| address.parse::<IpAddr>().ok());
        Ok(())
    }

    fn current(&mut self) -> &mut Section {
        self.description.sections.last_mut().unwrap_or(&mut self.session)
    }

    fn attribute(&mut self, attribute: &str) -> Outcome<()> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "group" => return self.group(value),
            "ice-lite" => self.description.ice_lite = true,
            "extmap-allow-mixed" => self.description.extmap_allow_mixed = true,
            _ => return section_attribute(self.current(), name, value),
        }
        Ok(())
    }

    fn group(&mut self, value: &str) -> Outcome<()> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("BUNDLE") || !self.description.bundle.is_empty() {
            return Ok(());
        }
        self.description.bundle = words.take(self.max_sections).map(str::to_owned).collect();
        Ok(())
    }
}

fn section_attribute(section: &mut Section, name: &str, value: &str) -> Outcome<()> {
    match name {
        "mid" => section.mid = token(value).ok_or("bad mid")?.to_owned(),
        "sendrecv" => section.direction = Direction::SendRecv,
        "sendonly" => section.direction = Direction::SendOnly,
        "recvonly" => section.direction = Direction::RecvOnly,
        "inactive" => section.direction = Direction::Inactive,
        "bundle-only" => section.bundle_only = true,
        "rtcp-mux" => section.rtcp_mux = true,
        "rtcp-rsize" => section.rtcp_rsize = true,
        "ice-ufrag" => section.ice_ufrag = token(value).ok_or("bad ice-ufrag")?.to_owned(),
        "ice-pwd" => section.ice_pwd = token(value).ok_or("bad ice-pwd")?.to_owned(),
        "fingerprint" => keep(&mut section.fingerprints, fingerprint(value)?),
        "setup" => section.setup = setup(value)?,
        "candidate" => keep(&mut section.candidates, value.to_owned()),
        "end-of-candidates" => section.end_of_candidates = true,
        "rtpmap" => rtpmap(section, value)?,
        "fmtp" => fmtp(section, value)?,
        "rtcp-fb" => feedback(section, value)?,
        "extmap" => keep(&mut section.extensions, extmap(value)?),
        "msid" => section.msid = Some(msid(value)),
        "rid" => section.rids.extend(rid(value).filter(|_| section.rids.len() < MAX_REPEATED)),
        "simulcast" => section.simulcast = simulcast(value),
        "ssrc" => ssrc(section, value)?,
        "ssrc-group" => keep(&mut section.ssrc_groups, ssrc_group(value)?),
        "sctp-port" => section.sctp_port = Some(value.trim().parse().map_err(|_| "bad sctp-port")?),
        "max-message-size" => {
            section.max_message_size = Some(value.trim().parse().map_err(|_| "bad max-message-size")?);
        }
        _ => {}
    }
    Ok(())
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_REPEATED {
        list.push(item);
    }
}

/// A non-empty value without spaces.
fn token(value: &str) -> Option<&str> {
    (!value.is_empty() && value.len() <= 256 && !value.contains(' ')).then_some(value)
}

fn setup(value: &str) -> Outcome<Option<Setup>> {
    match value {
        "actpass" => Ok(Some(Setup::ActPass)),
        "active" => Ok(Some(Setup::Active)),
        "passive" => Ok(Some(Setup::Passive)),
        "holdconn" => Ok(None),
        _ => Err("bad setup"),
    }
}

fn fingerprint(value: &str) -> Outcome<Fingerprint> {
    let (algorithm, digest) = value.split_once(' ').ok_or("bad fingerprint")?;
    let bytes = digest.split(':').take(64).map(|byte| u8::from_str_radix(byte, 16));
    let digest = bytes.collect::<Result<Vec<u8>, _>>().map_err(|_| "bad fingerprint")?;
    Ok(Fingerprint { algorithm: algorithm.to_ascii_lowercase(), digest })
}

/// `<payload type> <rest>`
fn payload_type(value: &str) -> Outcome<(u8, &str)> {
    let (number, rest) = value.split_once(' ').ok_or("no payload type")?;
    Ok((canonical_payload_type(number).ok_or("bad payload type")?, rest))
}

/// A payload type written the one usual way: what we answer must be word for word what was offered.
fn canonical_payload_type(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| digits && *number < 128)
}

/// The entry of a payload type. Clients write rtpmap, fmtp and rtcp-fb in any order.
fn codec(section: &mut Section, payload_type: u8) -> &mut CodecLine {
    let known = section.codecs.iter().position(|codec| codec.payload_type == payload_type);
    let at = known.unwrap_or_else(|| {
        section.codecs.push(CodecLine { payload_type, ..CodecLine::default() });
        section.codecs.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
    &mut section.codecs[at]
}

fn rtpmap(section: &mut Section, value: &str) -> Outcome<()> {
    let (number, rest) = payload_type(value)?;
    let mut fields = rest.trim().split('/');
    let name = fields.next().and_then(token).ok_or("bad rtpmap")?;
    let clock_rate = fields.next().and_then(|rate| rate.parse().ok()).ok_or("bad rtpmap")?;
    let channels = fields.next().map_or(Some(0), |channels| channels.parse().ok()).ok_or("bad rtpmap")?;
    let codec = codec(section, number);
    codec.name = name.to_owned();
    codec.clock_rate = clock_rate;
    codec.channels = channels;
    Ok(())
}

fn fmtp(section: &mut Section, value: &str) -> Outcome<()> {
    let (number, rest) = payload_type(value)?;
    codec(section, number).parameters = rest.trim().to_owned();
    Ok(())
}

fn feedback(section: &mut Section, value: &str) -> Outcome<()> {
    if let Some(("*", rest)) = value.split_once(' ') {
        // Payload types come in the m-line, before any attribute.
        let listed: Vec<u8> = section.formats.iter().filter_map(|format| canonical_payload_type(format)).collect();
        for number in listed {
            keep(&mut codec(section, number).feedback, rest.to_owned());
        }
        return Ok(());
    }
    let (number, rest) = payload_type(value)?;
    keep(&mut codec(section, number).feedback, rest.trim().to_owned());
    Ok(())
}

fn extmap(value: &str) -> Outcome<ExtensionLine> {
    let mut fields = value.split(' ');
    let id = fields.next().and_then(|id| id.split('/').next()).and_then(|id| id.parse::<u16>().ok());
    // Ids up to 4095 and beyond exist on paper as place holders (RFC 8285 section 6); 0 is what we call "not used".
    let id = u8::try_from(id.ok_or("bad extmap")?).unwrap_or(0);
    let uri = fields.next().and_then(token).ok_or("bad extmap")?;
    Ok(ExtensionLine { id, uri: uri.to_owned() })
}

fn msid(value: &str) -> (String, String) {
    let (stream, track) = value.split_once(' ').unwrap_or((value, ""));
    (stream.to_owned(), track.split(' ').next().unwrap_or_default().to_owned())
}

fn rid(value: &str) -> Option<Rid> {
    let mut fields = value.split(' ');
    let id = fields
        .next()
        .and_then(token)
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))?;
    let send = match fields.next()? {
        "send" => true,
        "recv" => false,
        _ => return None,
    };
    Some(Rid { id: id.to_owned(), send })
}

fn simulcast(value: &str) -> Simulcast {
    let mut simulcast = Simulcast::default();
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    while let (Some(direction), Some(list)) = (words.next(), words.next()) {
        let rids = list.split([';', ',']).filter(|rid| !rid.is_empty()).take(MAX_REPEATED);
        let rids = rids.map(|rid| match rid.strip_prefix('~') {
            Some(paused) => (paused.to_owned(), true),
            None => (rid.to_owned(), false),
        });
        match direction {
            "send" => simulcast.send = rids.collect(),
            "recv" => simulcast.recv = rids.collect(),
            _ => {}
        }
    }
    simulcast
}

fn ssrc(section: &mut Section, value: &str) -> Outcome<()> {
    let (number, attribute) = value.split_once(' ').unwrap_or((value, ""));
    let ssrc = number.parse().map_err(|_| "bad ssrc")?;
    let known = section.ssrcs.iter().position(|line| line.ssrc == ssrc);
    if known.is_none() {
        keep(&mut section.ssrcs, SsrcLine { ssrc, cname: String::new(), msid: None });
    }
    let line = match known {
        Some(at) => section.ssrcs.get_mut(at),
        None => section.ssrcs.last_mut(),
    };
    let Some(line) = line.filter(|line| line.ssrc == ssrc) else { return Ok(()) };
    match attribute.split_once(':') {
        Some(("cname", cname)) => line.cname = cname.to_owned(),
        Some(("msid", value)) => line.msid = Some(msid(value)),
        _ => {}
    }
    Ok(())
}

fn ssrc_group(value: &str) -> Outcome<SsrcGroup> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let semantics = words.next().ok_or("bad ssrc-group")?.to_owned();
    let ssrcs = words.take(MAX_REPEATED).map(|ssrc| ssrc.parse().map_err(|_| "bad ssrc-group"));
    Ok(SsrcGroup { semantics, ssrcs: ssrcs.collect::<Outcome<_>>()? })
}

/// Puts codecs in the order of the m-line and drops what is not listed there or has no rtpmap.
fn keep_listed_codecs(section: &mut Section) {
    let mut rank = [usize::MAX; 128];
    for (position, format) in section.formats.iter().enumerate().rev() {
        let slot = canonical_payload_type(format).and_then(|number| rank.get_mut(usize::from(number)));
        if let Some(slot) = slot {
            *slot = position;
        }
    }
    let rank = |codec: &CodecLine| rank.get(usize::from(codec.payload_type)).copied().unwrap_or(usize::MAX);
    section.codecs.retain(|codec| !codec.name.is_empty() && rank(codec) != usize::MAX);
    section.codecs.sort_by_key(rank);
}
