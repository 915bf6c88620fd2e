//! The printer. Lines end in CRLF, ready for the wire.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};

use super::{Description, Direction, Section, Setup};

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The address of the o-line identifies nothing (RFC 8829 section 5.2.1).
        write!(f, "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\n", self.session_id, self.session_version)?;
        f.write_str("s=-\r\nt=0 0\r\n")?;
        if !self.bundle.is_empty() {
            f.write_str("a=group:BUNDLE")?;
            self.bundle.iter().try_for_each(|mid| write!(f, " {mid}"))?;
            f.write_str("\r\n")?;
        }
        flag(f, self.extmap_allow_mixed, "extmap-allow-mixed")?;
        flag(f, self.ice_lite, "ice-lite")?;
        f.write_str("a=msid-semantic: WMS *\r\n")?;
        self.sections.iter().try_for_each(|section| write!(f, "{section}"))
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.media.as_str(), self.port, self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        let address = self.connection.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        write!(f, "\r\nc=IN {family} {address}\r\n")?;
        self.transport(f)?;
        if !self.mid.is_empty() {
            write!(f, "a=mid:{}\r\n", self.mid)?;
        }
        flag(f, self.bundle_only, "bundle-only")?;
        if self.protocol.ends_with("SCTP") { self.data(f) } else { self.rtp(f) }
    }
}

impl Section {
    fn transport(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.candidates.iter().try_for_each(|candidate| write!(f, "a=candidate:{candidate}\r\n"))?;
        flag(f, self.end_of_candidates, "end-of-candidates")?;
        if !self.ice_ufrag.is_empty() {
            write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.ice_ufrag, self.ice_pwd)?;
        }
        for fingerprint in &self.fingerprints {
            write!(f, "a=fingerprint:{}", fingerprint.algorithm)?;
            let separators = std::iter::once(' ').chain(std::iter::repeat(':'));
            fingerprint.digest.iter().zip(separators).try_for_each(|(byte, by)| write!(f, "{by}{byte:02X}"))?;
            f.write_str("\r\n")?;
        }
        match self.setup {
            Some(Setup::ActPass) => f.write_str("a=setup:actpass\r\n"),
            Some(Setup::Active) => f.write_str("a=setup:active\r\n"),
            Some(Setup::Passive) => f.write_str("a=setup:passive\r\n"),
            None => Ok(()),
        }
    }

    fn data(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(port) = self.sctp_port {
            write!(f, "a=sctp-port:{port}\r\n")?;
        }
        if let Some(size) = self.max_message_size {
            write!(f, "a=max-message-size:{size}\r\n")?;
        }
        Ok(())
    }

    fn rtp(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.extensions.iter().try_for_each(|line| write!(f, "a=extmap:{} {}\r\n", line.id, line.uri))?;
        f.write_str(match self.direction {
            Direction::SendRecv => "a=sendrecv\r\n",
            Direction::SendOnly => "a=sendonly\r\n",
            Direction::RecvOnly => "a=recvonly\r\n",
            Direction::Inactive => "a=inactive\r\n",
        })?;
        if let Some((stream, track)) = &self.msid {
            write!(f, "a=msid:{stream} {track}\r\n")?;
        }
        flag(f, self.rtcp_mux, "rtcp-mux")?;
        flag(f, self.rtcp_rsize, "rtcp-rsize")?;
        self.codecs(f)?;
        self.streams(f)
    }

    fn codecs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for codec in &self.codecs {
            let number = codec.payload_type;
            write!(f, "a=rtpmap:{number} {}/{}", codec.name, codec.clock_rate)?;
            if codec.channels > 0 {
                write!(f, "/{}", codec.channels)?;
            }
            f.write_str("\r\n")?;
            codec.feedback.iter().try_for_each(|kind| write!(f, "a=rtcp-fb:{number} {kind}\r\n"))?;
            if !codec.parameters.is_empty() {
                write!(f, "a=fmtp:{number} {}\r\n", codec.parameters)?;
            }
        }
        Ok(())
    }

    fn streams(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for rid in &self.rids {
            write!(f, "a=rid:{} {}\r\n", rid.id, if rid.send { "send" } else { "recv" })?;
        }
        self.simulcast(f)?;
        for group in &self.ssrc_groups {
            write!(f, "a=ssrc-group:{}", group.semantics)?;
            group.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))?;
            f.write_str("\r\n")?;
        }
        for line in &self.ssrcs {
            if !line.cname.is_empty() {
                write!(f, "a=ssrc:{} cname:{}\r\n", line.ssrc, line.cname)?;
            }
            if let Some((stream, track)) = &line.msid {
                write!(f, "a=ssrc:{} msid:{stream} {track}\r\n", line.ssrc)?;
            }
        }
        Ok(())
    }

    fn simulcast(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.simulcast.send.is_empty() && self.simulcast.recv.is_empty() {
            return Ok(());
        }
        f.write_str("a=simulcast:")?;
        let mut space = "";
        for (direction, rids) in [("send", &self.simulcast.send), ("recv", &self.simulcast.recv)] {
            if rids.is_empty() {
                continue;
            }
            write!(f, "{space}{direction}")?;
            space = " ";
            let separators = std::iter::once(' ').chain(std::iter::repeat(';'));
            for ((rid, paused), by) in rids.iter().zip(separators) {
                write!(f, "{by}{}{rid}", if *paused { "~" } else { "" })?;
            }
        }
        f.write_str("\r\n")
    }
}

fn flag(f: &mut Formatter<'_>, set: bool, name: &str) -> fmt::Result {
    if set { write!(f, "a={name}\r\n") } else { Ok(()) }
}
