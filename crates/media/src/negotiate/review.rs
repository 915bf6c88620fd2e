//! Reading a client's description: what must hold, and what each section could carry.

use rustc_hash::FxHashSet;

use super::{DATA_CHANNEL_FORMAT, ExtensionIds, NegotiationError, RemoteTransport, Review, Reviewed, table};
use crate::api::Kind;
use crate::wire::sdp::{Description, Media, Section, Setup};

/// Largest SCTP message when the other side does not say (RFC 8841 section 6).
const DEFAULT_MAX_MESSAGE: u64 = 65_536;
/// Simulcast layers received per section; LiveKit has three.
const MAX_LAYERS: usize = 4;

/// Reads a client's offer: checks what must hold (BUNDLE, rtcp-mux, ICE credentials, a sha-256 fingerprint, unique
/// mids) and intersects codecs and extensions with ours.
pub fn review(offer: &Description) -> Result<Review, NegotiationError> {
    if offer.ice_lite {
        return Err(refuse("an ice-lite client cannot reach an ice-lite server"));
    }
    let review = review_either(offer)?;
    if review.remote.we_are_active {
        return Err(refuse("an offer must leave the DTLS roles open (a=setup:actpass)"));
    }
    Ok(review)
}

/// Reads a client's answer to `offer`. In each section `client_receives` says whether our stream was accepted.
pub fn review_answer(offer: &Description, answer: &Description) -> Result<Review, NegotiationError> {
    if offer.sections.len() != answer.sections.len() {
        return Err(refuse("the answer has another number of sections than the offer"));
    }
    let pairs = || offer.sections.iter().zip(&answer.sections);
    if let Some((_, section)) = pairs().find(|(offered, answered)| offered.mid != answered.mid) {
        return Err(NegotiationError(format!("the answer has section {} where another was offered", section.mid)));
    }
    review_either(answer)
}

fn refuse(message: &str) -> NegotiationError {
    NegotiationError(message.to_owned())
}

fn review_either(description: &Description) -> Result<Review, NegotiationError> {
    let mut mids = FxHashSet::default();
    for section in &description.sections {
        if section.mid.is_empty() {
            return Err(refuse("a section has no mid"));
        }
        if !mids.insert(section.mid.as_str()) {
            return Err(NegotiationError(format!("mid {} is used twice", section.mid)));
        }
    }
    let bundle: FxHashSet<&str> = description.bundle.iter().map(String::as_str).collect();
    if let Some(unknown) = bundle.iter().find(|mid| !mids.contains(**mid)) {
        return Err(NegotiationError(format!("BUNDLE names mid {unknown}, which no section has")));
    }
    // Without a BUNDLE group only the first section has a transport we serve.
    let bundled = |index: usize, section: &Section| match bundle.is_empty() {
        true => index == 0,
        false => bundle.contains(section.mid.as_str()),
    };
    let numbered = description.sections.iter().enumerate();
    let sections: Vec<Reviewed> =
        numbered.map(|(index, section)| review_section(index, section, bundled(index, section))).collect();
    let transport = description.transport_section().ok_or_else(|| refuse("no media section"))?;
    let data =
        description.sections.iter().zip(&sections).find(|(_, reviewed)| reviewed.kind.is_none() && !reviewed.rejected);
    let mut remote = remote_transport(transport)?;
    remote.has_data_section = data.is_some();
    let announced = data.and_then(|(section, _)| section.max_message_size);
    // RFC 8841: 0 means "any size".
    remote.max_message_size = match announced {
        Some(0) => u64::MAX,
        Some(size) => size,
        None => DEFAULT_MAX_MESSAGE,
    };
    Ok(Review { remote, sections })
}

fn remote_transport(section: &Section) -> Result<RemoteTransport, NegotiationError> {
    // RFC 8839 section 5.4.
    if !(4..=256).contains(&section.ice_ufrag.len()) || !(22..=256).contains(&section.ice_pwd.len()) {
        return Err(refuse("no usable ICE credentials (a=ice-ufrag, a=ice-pwd)"));
    }
    let sha256 = section.fingerprints.iter().find(|fingerprint| fingerprint.algorithm == "sha-256");
    let sha256 = sha256.and_then(|fingerprint| fingerprint.digest.as_slice().try_into().ok());
    Ok(RemoteTransport {
        ufrag: section.ice_ufrag.clone(),
        pwd: section.ice_pwd.clone(),
        sha256: sha256.ok_or_else(|| refuse("no sha-256 fingerprint"))?,
        we_are_active: section.setup == Some(Setup::Passive),
        max_message_size: DEFAULT_MAX_MESSAGE,
        has_data_section: false,
    })
}

fn review_section(index: usize, section: &Section, bundled: bool) -> Reviewed {
    let kind = match section.media {
        Media::Audio => Some(Kind::Audio),
        Media::Video => Some(Kind::Video),
        Media::Application | Media::Other(_) => None,
    };
    let codecs = kind.map_or_else(Vec::new, |kind| table::codecs(section, kind));
    let usable = match section.media {
        Media::Audio | Media::Video => {
            section.protocol.ends_with("RTP/SAVPF") && section.rtcp_mux && !codecs.is_empty()
        }
        Media::Application => {
            section.protocol.ends_with("DTLS/SCTP") && section.formats.iter().eq([DATA_CHANNEL_FORMAT])
        }
        Media::Other(_) => false,
    };
    // Port 0 alone is no rejection: a bundle-only section has it too. A stopped one has left the BUNDLE group.
    let rejected = !usable || !bundled;
    let (stream_id, track_id) = section.msid.clone().unwrap_or_default();
    let media = kind.is_some() && !rejected;
    let client_sends = media && section.direction.sends();
    let extensions = table::extension_ids(&section.extensions);
    Reviewed {
        index,
        mid: section.mid.clone(),
        kind,
        rejected,
        client_sends,
        client_receives: media && section.direction.receives(),
        codecs: if rejected { Vec::new() } else { codecs },
        extensions: ExtensionIds { playout_delay: 0, ..extensions },
        playout_delay: extensions.playout_delay,
        stream_id,
        track_id,
        rids: if client_sends { simulcast_layers(section) } else { Vec::new() },
        ssrcs: if client_sends { announced_ssrcs(section) } else { Vec::new() },
    }
}

/// The layers in the order of a=simulcast, as far as they have an a=rid line.
fn simulcast_layers(section: &Section) -> Vec<String> {
    let declared = |id: &String| section.rids.iter().any(|rid| rid.send && rid.id == *id);
    let listed = section.simulcast.send.iter().map(|(id, _)| id).filter(|id| declared(id));
    listed.take(MAX_LAYERS).cloned().collect()
}

fn announced_ssrcs(section: &Section) -> Vec<(u32, Option<u32>)> {
    let mut pairs: Vec<(u32, Option<u32>)> = Vec::new();
    let groups = section.ssrc_groups.iter().filter(|group| group.semantics == "FID");
    for group in groups {
        if let [media, repair] = group.ssrcs.as_slice() {
            pairs.push((*media, Some(*repair)));
        }
    }
    for line in &section.ssrcs {
        let known = pairs.iter().any(|(media, repair)| *media == line.ssrc || *repair == Some(line.ssrc));
        if !known {
            pairs.push((line.ssrc, None));
        }
    }
    pairs
}
