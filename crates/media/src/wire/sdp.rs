//! Session descriptions (RFC 8866 with the JSEP attributes of RFC 8829): a typed model, a bounded parser, a printer.
//!
//! Unknown attributes are dropped. Attributes given at session level that sections inherit (ICE, fingerprint, setup,
//! header extensions) are copied into every section, so that readers look at sections only.

mod parse;
mod print;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

/// What a peer may make us parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub max_bytes: usize,
    pub max_sections: usize,
}

/// Which line was refused and why; the message quotes no more than the attribute's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdpError {
    /// 1-based; 0 = the description as a whole.
    pub line: usize,
    pub message: &'static str,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for SdpError {}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    pub session_id: u64,
    pub session_version: u64,
    /// Mids of the BUNDLE group, the tag first.
    pub bundle: Vec<String>,
    pub ice_lite: bool,
    pub extmap_allow_mixed: bool,
    pub sections: Vec<Section>,
}

impl Description {
    /// Reads a description of at most `bounds`; lines may end in CRLF or LF.
    pub fn parse(text: &str, bounds: &Bounds) -> Result<Description, SdpError> {
        parse::description(text, bounds)
    }

    pub fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid)
    }

    /// The section that carries the transport of all bundled ones: the first of the BUNDLE group, which need not be
    /// the first m-line.
    ///
    /// A client that stops the section which was first so far opens a new transport, with its own ICE and DTLS, as soon
    /// as it has made that offer, and closes the old one with our answer (seen with Chromium 156, ICE credentials
    /// unchanged). No answer avoids that: its peer connection is over. LiveKit's clients never stop a section.
    pub fn transport_section(&self) -> Option<&Section> {
        self.bundle.first().and_then(|tag| self.section(tag)).or(self.sections.first())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    Audio,
    Video,
    Application,
    /// Something we reject, with its name.
    Other(String),
}

impl Media {
    pub fn as_str(&self) -> &str {
        match self {
            Media::Audio => "audio",
            Media::Video => "video",
            Media::Application => "application",
            Media::Other(name) => name,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn from_flags(send: bool, receive: bool) -> Direction {
        match (send, receive) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    ActPass,
    Active,
    Passive,
}

/// One m-line and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub media: Media,
    /// 0 = rejected or, with `bundle_only`, merely bundled.
    pub port: u16,
    pub bundle_only: bool,
    pub protocol: String,
    /// Payload types in order of preference, or the data channel format.
    pub formats: Vec<String>,
    /// Address of the c-line.
    pub connection: Option<IpAddr>,
    pub mid: String,
    pub direction: Direction,
    pub rtcp_mux: bool,
    pub rtcp_rsize: bool,
    pub ice_ufrag: String,
    pub ice_pwd: String,
    pub fingerprints: Vec<Fingerprint>,
    pub setup: Option<Setup>,
    /// Values of a=candidate lines.
    pub candidates: Vec<String>,
    pub end_of_candidates: bool,
    pub codecs: Vec<CodecLine>,
    pub extensions: Vec<ExtensionLine>,
    /// (media stream id, track id)
    pub msid: Option<(String, String)>,
    pub rids: Vec<Rid>,
    pub simulcast: Simulcast,
    pub ssrcs: Vec<SsrcLine>,
    pub ssrc_groups: Vec<SsrcGroup>,
    pub sctp_port: Option<u16>,
    pub max_message_size: Option<u64>,
}

impl Section {
    pub fn new(media: Media) -> Section {
        Section {
            media,
            port: 9,
            bundle_only: false,
            protocol: String::new(),
            formats: Vec::new(),
            connection: None,
            mid: String::new(),
            direction: Direction::SendRecv,
            rtcp_mux: false,
            rtcp_rsize: false,
            ice_ufrag: String::new(),
            ice_pwd: String::new(),
            fingerprints: Vec::new(),
            setup: None,
            candidates: Vec::new(),
            end_of_candidates: false,
            codecs: Vec::new(),
            extensions: Vec::new(),
            msid: None,
            rids: Vec::new(),
            simulcast: Simulcast::default(),
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            sctp_port: None,
            max_message_size: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Lower case, e.g. `sha-256`.
    pub algorithm: String,
    pub digest: Vec<u8>,
}

/// rtpmap, fmtp and rtcp-fb of one payload type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodecLine {
    pub payload_type: u8,
    pub name: String,
    pub clock_rate: u32,
    /// 0 = not given.
    pub channels: u8,
    /// The fmtp parameters as written.
    pub parameters: String,
    pub feedback: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionLine {
    pub id: u8,
    pub uri: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    pub id: String,
    /// `a=rid:x send`, else recv.
    pub send: bool,
}

/// `a=simulcast`: rids per direction in order, alternatives flattened, and whether each starts paused (`~`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    pub send: Vec<(String, bool)>,
    pub recv: Vec<(String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcLine {
    pub ssrc: u32,
    /// Empty = none.
    pub cname: String,
    /// (media stream id, track id)
    pub msid: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID`, `SIM`, ...
    pub semantics: String,
    pub ssrcs: Vec<u32>,
}
