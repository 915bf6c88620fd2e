//! The client's side of SDP: offers for data channels, sections to receive on and tracks to send; and what an answer
//! says about them.

use std::fmt::Write as _;
use std::net::SocketAddr;

pub const OPUS: u8 = 111;
pub const RED: u8 = 63;
pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;

/// Extension ids of our offers; an answer may leave out those it does not want.
pub const AUDIO_LEVEL_ID: u8 = 1;
pub const ABS_SEND_TIME_ID: u8 = 2;
pub const TWCC_ID: u8 = 3;
pub const MID_ID: u8 = 4;

const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TWCC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
}

/// What one section of the offer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    Data,
    Receive(Kind),
    Send { kind: Kind, cid: String, ssrc: u32, rtx_ssrc: u32 },
}

/// The transport lines of our offers.
#[derive(Debug, Clone)]
pub struct Local {
    pub ufrag: String,
    pub password: String,
    /// As in `a=fingerprint`, with the hash's name.
    pub fingerprint: String,
    pub address: SocketAddr,
    pub session: u64,
    /// Offers RED (RFC 2198) beside Opus.
    pub red: bool,
}

/// The offer with these sections; the mid of a section is its index.
pub fn offer(local: &Local, version: u32, sections: &[Section]) -> String {
    let mut sdp = String::with_capacity(256 + 900 * sections.len());
    let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let _ = write!(
        sdp,
        "v=0\r\no=- {} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n",
        local.session,
        mids.join(" "),
    );
    for (mid, section) in mids.iter().zip(sections) {
        write_section(&mut sdp, local, mid, section);
    }
    sdp
}

fn write_section(sdp: &mut String, local: &Local, mid: &str, section: &Section) {
    let media = match section {
        Section::Data => "application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned(),
        Section::Receive(Kind::Audio) | Section::Send { kind: Kind::Audio, .. } => {
            format!("audio 9 UDP/TLS/RTP/SAVPF {OPUS}{}", if local.red { format!(" {RED}") } else { String::new() })
        }
        Section::Receive(Kind::Video) | Section::Send { kind: Kind::Video, .. } => {
            format!("video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}")
        }
    };
    let _ = write!(
        sdp,
        "m={media}\r\nc=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2130706431 {} {} typ host\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\na=fingerprint:{}\r\na=setup:actpass\r\na=mid:{mid}\r\n",
        local.address.ip(),
        local.address.port(),
        local.ufrag,
        local.password,
        local.fingerprint,
    );
    match section {
        Section::Data => sdp.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n"),
        Section::Receive(kind) => {
            sdp.push_str("a=recvonly\r\n");
            write_codecs(sdp, *kind, local.red);
        }
        Section::Send { kind, cid, ssrc, rtx_ssrc } => {
            let _ = write!(sdp, "a=sendonly\r\na=msid:loadgen {cid}\r\n");
            write_codecs(sdp, *kind, local.red);
            if *kind == Kind::Video {
                let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx_ssrc}\r\na=ssrc:{rtx_ssrc} cname:loadgen\r\n");
            }
            let _ = write!(sdp, "a=ssrc:{ssrc} cname:loadgen\r\n");
        }
    }
}

fn write_codecs(sdp: &mut String, kind: Kind, red: bool) {
    sdp.push_str("a=rtcp-mux\r\na=rtcp-rsize\r\n");
    let _ = match kind {
        Kind::Audio => write!(
            sdp,
            "a=extmap:{AUDIO_LEVEL_ID} {AUDIO_LEVEL}\r\na=extmap:{ABS_SEND_TIME_ID} {ABS_SEND_TIME}\r\na=extmap:{TWCC_ID} {TWCC}\r\na=extmap:{MID_ID} {MID}\r\na=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\na=fmtp:{OPUS} minptime=10;useinbandfec=1\r\n"
        ),
        Kind::Video => write!(
            sdp,
            "a=extmap:{ABS_SEND_TIME_ID} {ABS_SEND_TIME}\r\na=extmap:{TWCC_ID} {TWCC}\r\na=extmap:{MID_ID} {MID}\r\na=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} goog-remb\r\na=rtcp-fb:{VP8} transport-cc\r\na=rtcp-fb:{VP8} ccm fir\r\na=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\na=rtpmap:{VP8_RTX} rtx/90000\r\na=fmtp:{VP8_RTX} apt={VP8}\r\n"
        ),
    };
    if kind == Kind::Audio && red {
        let _ = write!(sdp, "a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}\r\n");
    }
}

/// What an answer settles, the first section's word counting for the transport (everything is bundled).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: String,
    /// The server waits for our ClientHello.
    pub server_is_passive: bool,
    /// The values of `a=candidate` lines, with the `candidate:` prefix.
    pub candidates: Vec<String>,
    pub sections: Vec<AnsweredSection>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnsweredSection {
    pub mid: String,
    pub rejected: bool,
    pub twcc_extension: bool,
    pub twcc_feedback: bool,
    pub mid_extension: bool,
    pub audio_level_extension: bool,
    pub remb_feedback: bool,
}

impl Answer {
    pub fn parse(text: &str) -> Result<Answer, String> {
        let mut answer = Answer::default();
        for line in text.lines() {
            let line = line.trim_end();
            if let Some(media) = line.strip_prefix("m=") {
                let rejected = media.split(' ').nth(1) == Some("0");
                answer.sections.push(AnsweredSection { rejected, ..AnsweredSection::default() });
            } else if let Some(attribute) = line.strip_prefix("a=") {
                answer.read_attribute(attribute);
            }
        }
        if answer.ufrag.is_empty() || answer.fingerprint.is_empty() {
            return Err("answer without ICE credentials or fingerprint".into());
        }
        Ok(answer)
    }

    fn read_attribute(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" if self.ufrag.is_empty() => value.clone_into(&mut self.ufrag),
            "ice-pwd" if self.password.is_empty() => value.clone_into(&mut self.password),
            "fingerprint" if value.to_ascii_lowercase().starts_with("sha-256 ") && self.fingerprint.is_empty() => {
                value.clone_into(&mut self.fingerprint);
            }
            "setup" => self.server_is_passive = value == "passive",
            "candidate" if !self.candidates.iter().any(|known| known == attribute) => {
                self.candidates.push(attribute.to_owned());
            }
            _ => {}
        }
        let Some(section) = self.sections.last_mut() else { return };
        match name {
            "mid" => value.clone_into(&mut section.mid),
            "extmap" => {
                let uri = value.split(' ').nth(1).unwrap_or_default();
                section.twcc_extension |= uri == TWCC;
                section.mid_extension |= uri == MID;
                section.audio_level_extension |= uri == AUDIO_LEVEL;
            }
            "rtcp-fb" => {
                section.twcc_feedback |= value.ends_with(" transport-cc");
                section.remb_feedback |= value.ends_with(" goog-remb");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_transport_and_extensions_per_section() {
        let text = "v=0\r\na=fingerprint:sha-256 AA:BB\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n\
            a=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:passive\r\na=candidate:1 1 udp 1 127.0.0.1 7882 typ host\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
        let answer = Answer::parse(text).unwrap_or_default();
        assert_eq!((answer.ufrag.as_str(), answer.password.as_str(), answer.server_is_passive), ("u", "p", true));
        assert_eq!(answer.candidates, ["candidate:1 1 udp 1 127.0.0.1 7882 typ host"]);
        assert!(answer.sections[1].rejected && answer.sections[1].twcc_extension && !answer.sections[1].twcc_feedback);
    }

    #[test]
    fn an_answer_without_transport_is_refused() {
        assert!(Answer::parse("v=0\r\n").is_err());
    }
}
