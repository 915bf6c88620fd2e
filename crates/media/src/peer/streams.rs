//! Which stream (SSRC) of a peer is what: section, layer, media or repair.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::ingress::{Ingress, Refused};
use crate::negotiate::{ExtensionIds, Reviewed};
use crate::publish::inbound::{Inbound, Media, Role};
use crate::publish::nack::Nacks;
use crate::publish::stats::Reception;
use crate::publish::track::LAYERS;
use crate::slab::Key;
use crate::wire::rtp::Header;

/// A section of the peer's description on which it sends.
pub(crate) struct InSection {
    pub reviewed: Reviewed,
    pub track: Option<Key>,
    /// Place of each layer's media stream in [`Ingress::streams`].
    pub(super) media: [Option<usize>; LAYERS],
}

impl InSection {
    /// The layer a rid names: LiveKit's q, h, f, else by the order offered.
    fn layer_of(&self, rid: &[u8]) -> Option<u8> {
        match rid {
            b"q" => Some(0),
            b"h" => Some(1),
            b"f" => Some(2),
            other => {
                let place = self.reviewed.rids.iter().position(|known| known.as_bytes() == other)?;
                (place < LAYERS).then_some(place as u8)
            }
        }
    }
}

impl Ingress {
    /// Takes the sections of a new offer. Streams of sections that stay are kept, the others forgotten.
    pub fn set_sections(&mut self, reviewed: &[Reviewed], track_of: impl Fn(&str) -> Option<Key>) {
        let old = std::mem::take(&mut self.sections);
        self.sections = reviewed
            .iter()
            .filter(|section| section.client_sends && !section.rejected && section.kind.is_some())
            .map(|section| InSection {
                reviewed: section.clone(),
                track: track_of(&section.mid),
                media: [None; LAYERS],
            })
            .collect();
        let places: FxHashMap<&str, usize> =
            self.sections.iter().enumerate().map(|(place, section)| (section.reviewed.mid.as_str(), place)).collect();
        let place_of = |stream: &Inbound| {
            old.get(stream.section).and_then(|section| places.get(section.reviewed.mid.as_str())).copied()
        };
        let kept: Vec<Inbound> = std::mem::take(&mut self.streams)
            .into_iter()
            .filter_map(|mut stream| {
                stream.section = place_of(&stream)?;
                Some(stream)
            })
            .collect();
        self.streams = kept;
        self.index_streams();
        self.ids = merged_ids(&self.sections);
    }

    fn index_streams(&mut self) {
        self.by_ssrc.clear();
        for (place, stream) in self.streams.iter().enumerate() {
            self.by_ssrc.insert(stream.ssrc, place);
            let section = self.sections.get_mut(stream.section);
            if let (Some(section), Some(media)) = (section, stream.media()) {
                if let Some(slot) = section.media.get_mut(usize::from(media.layer)) {
                    *slot = Some(place);
                }
            }
        }
    }

    pub fn section_mut(&mut self, mid: &str) -> Option<&mut InSection> {
        self.sections.iter_mut().find(|section| section.reviewed.mid == mid)
    }

    pub fn section(&self, mid: &str) -> Option<&InSection> {
        self.sections.iter().find(|section| section.reviewed.mid == mid)
    }

    pub fn stream_mut(&mut self, ssrc: u32) -> Option<&mut Inbound> {
        let place = *self.by_ssrc.get(&ssrc)?;
        self.streams.get_mut(place)
    }

    /// A stream for an SSRC seen for the first time. It is kept only when its packet turns out to be authentic.
    pub(super) fn recognise(&self, now: Instant, header: &Header, packet: &[u8]) -> Result<Inbound, Refused> {
        let (section, layer, repair) = self.identify(header, packet).ok_or(Refused::Unknown)?;
        let reviewed = &self.sections.get(section).ok_or(Refused::Unknown)?.reviewed;
        let role = if repair {
            Role::Repair { layer }
        } else {
            let codec = reviewed.by_payload_type(header.payload_type).ok_or(Refused::Unknown)?;
            Role::Media(Media {
                layer,
                payload_type: codec.payload_type,
                codec: codec.codec,
                nacks: codec.nack.then(Nacks::default),
                reception: Reception::new(u64::from(header.sequence)),
            })
        };
        let stream = Inbound::new(now, header.ssrc, section, role);
        let replaces = self.streams.iter().any(|old| old.same_place(&stream));
        if self.streams.len() >= self.max_streams && !replaces {
            return Err(Refused::Limit);
        }
        Ok(stream)
    }

    /// Keeps a stream, in the place of an older one of the same layer: a client that changes its SSRC has left the old.
    pub(super) fn admit(&mut self, stream: Inbound) -> usize {
        let place = self.streams.iter().position(|old| old.same_place(&stream)).unwrap_or(self.streams.len());
        match self.streams.get_mut(place) {
            Some(old) => *old = stream,
            None => self.streams.push(stream),
        }
        self.index_streams();
        place
    }

    /// Section, layer and whether it is a repair stream: by MID and RID (RFC 8843, 8852), by announced SSRC, or by a
    /// payload type that only one section has.
    fn identify(&self, header: &Header, packet: &[u8]) -> Option<(usize, u8, bool)> {
        let by_mid = header
            .extension(packet, self.ids.mid)
            .and_then(|mid| self.sections.iter().position(|section| section.reviewed.mid.as_bytes() == mid));
        let place = by_mid.or_else(|| self.announced(header.ssrc)).or_else(|| self.only_with(header.payload_type))?;
        let section = self.sections.get(place)?;
        let repair = section.reviewed.by_rtx(header.payload_type).is_some();
        let rid = if repair { self.ids.repaired_rid } else { self.ids.rid };
        let layer = match header.extension(packet, rid) {
            Some(rid) => section.layer_of(rid)?,
            None if section.reviewed.rids.is_empty() => 0,
            None => return None,
        };
        Some((place, layer, repair))
    }

    fn announced(&self, ssrc: u32) -> Option<usize> {
        let has = |section: &InSection| {
            section.reviewed.ssrcs.iter().any(|(media, repair)| *media == ssrc || *repair == Some(ssrc))
        };
        self.sections.iter().position(has)
    }

    fn only_with(&self, payload_type: u8) -> Option<usize> {
        let has = |section: &&InSection| {
            let reviewed = &section.reviewed;
            reviewed.by_payload_type(payload_type).is_some() || reviewed.by_rtx(payload_type).is_some()
        };
        let mut candidates = self.sections.iter().filter(has);
        let only = candidates.next()?;
        if candidates.next().is_some() {
            return None;
        }
        self.sections.iter().position(|section| std::ptr::eq(section, only))
    }
}

/// Extension ids hold for the whole bundle (RFC 8843 section 9.2), but not every section lists every one.
fn merged_ids(sections: &[InSection]) -> ExtensionIds {
    let first = |id: fn(&ExtensionIds) -> u8| {
        sections.iter().map(|section| id(&section.reviewed.extensions)).find(|id| *id != 0).unwrap_or(0)
    };
    ExtensionIds {
        mid: first(|ids| ids.mid),
        rid: first(|ids| ids.rid),
        repaired_rid: first(|ids| ids.repaired_rid),
        transport_cc: first(|ids| ids.transport_cc),
        abs_send_time: first(|ids| ids.abs_send_time),
        audio_level: first(|ids| ids.audio_level),
        dependency_descriptor: first(|ids| ids.dependency_descriptor),
        abs_capture_time: first(|ids| ids.abs_capture_time),
        playout_delay: 0,
    }
}
