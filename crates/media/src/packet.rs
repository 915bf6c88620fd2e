//! A received media packet on its way from a publisher to the subscribers, within one batch of datagrams.

use std::ops::Range;

use crate::publish::recovery::Origin;
use crate::slab::Key;
use crate::wire::codec::{Codec, dependency, vp8, vp9};

/// The payload stays where it was received (and decrypted in place); this says where and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub track: Key,
    /// Order of arrival in the batch.
    pub order: u32,
    /// Index of its datagram in the batch.
    pub datagram: u32,
    start: u16,
    len: u16,
    /// Value of the dependency descriptor extension in the same datagram; empty = none.
    dependency_start: u16,
    dependency_len: u8,
    /// The same of its capture time.
    capture_start: u16,
    capture_len: u8,
    pub layer: u8,
    /// Of the publisher: what index and timestamp belong to.
    pub ssrc: u32,
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub codec: Codec,
    /// Starts a key frame; audio always does.
    pub keyframe: bool,
    pub vp8: Option<vp8::Descriptor>,
    /// None for what has no layers within its stream.
    pub layered: Option<Layered>,
    pub origin: Origin,
}

/// Which layer of a stream with several (SVC) a packet belongs to, as its sender tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layered {
    /// By the dependency descriptor, with the version of the structure it refers to.
    Targets(dependency::Frame, u32),
    /// By the VP9 payload descriptor.
    Vp9(vp9::Descriptor),
}

impl Layered {
    pub fn layers(&self) -> (u8, u8) {
        match self {
            Layered::Targets(frame, _) => (frame.spatial, frame.temporal),
            Layered::Vp9(descriptor) => (descriptor.spatial, descriptor.temporal),
        }
    }

    /// First packet of a frame (of one layer).
    pub fn starts_frame(&self) -> bool {
        match self {
            Layered::Targets(frame, _) => frame.starts,
            Layered::Vp9(descriptor) => descriptor.starts_frame,
        }
    }
}

/// What [`Packet::new`] is made of besides positions.
pub(crate) struct Fields {
    pub layer: u8,
    pub ssrc: u32,
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub codec: Codec,
    pub keyframe: bool,
    pub vp8: Option<vp8::Descriptor>,
    /// None for what has no layers within its stream.
    pub layered: Option<Layered>,
}

impl Packet {
    /// `payload` is without padding; empty = a packet that only probes.
    pub fn new(track: Key, payload: &Range<usize>, dependency: Option<Range<usize>>, fields: Fields) -> Packet {
        let dependency = dependency.filter(|value| value.len() <= usize::from(u8::MAX)).unwrap_or(0..0);
        Packet {
            track,
            order: 0,
            datagram: 0,
            start: payload.start as u16,
            len: payload.len() as u16,
            dependency_start: dependency.start as u16,
            dependency_len: dependency.len() as u8,
            capture_start: 0,
            capture_len: 0,
            layer: fields.layer,
            ssrc: fields.ssrc,
            index: fields.index,
            timestamp: fields.timestamp,
            marker: fields.marker,
            codec: fields.codec,
            keyframe: fields.keyframe,
            vp8: fields.vp8,
            layered: fields.layered,
            origin: Origin::Sent,
        }
    }

    /// A packet that was lost, out of a block of this one at this place in its payload.
    pub fn recovered(&self, index: u64, timestamp: u32, block: &Range<usize>) -> Packet {
        let (dependency_len, capture_len) = (0, 0);
        let (start, len, origin) = (self.start + block.start as u16, block.len() as u16, Origin::Recovered);
        Packet { index, timestamp, start, len, origin, dependency_len, capture_len, marker: false, ..self.clone() }
    }

    /// Says where the value of the capture time extension is; senders give it about once a second.
    pub fn captured(self, value: Option<Range<usize>>) -> Packet {
        let value = value.filter(|value| value.len() <= usize::from(u8::MAX)).unwrap_or(0..0);
        Packet { capture_start: value.start as u16, capture_len: value.len() as u8, ..self }
    }

    pub fn with_origin(self, origin: Origin) -> Packet {
        Packet { origin, ..self }
    }

    pub fn capture_time<'d>(&self, datagram: &'d [u8]) -> Option<&'d [u8]> {
        let start = usize::from(self.capture_start);
        datagram.get(start..start + usize::from(self.capture_len)).filter(|value| !value.is_empty())
    }

    #[inline]
    pub fn payload<'d>(&self, datagram: &'d [u8]) -> &'d [u8] {
        let start = usize::from(self.start);
        datagram.get(start..start + usize::from(self.len)).unwrap_or_default()
    }

    pub fn dependency<'d>(&self, datagram: &'d [u8]) -> Option<&'d [u8]> {
        let start = usize::from(self.dependency_start);
        datagram.get(start..start + usize::from(self.dependency_len)).filter(|value| !value.is_empty())
    }
}
