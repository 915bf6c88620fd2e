//! RED (RFC 2198) made of plain Opus: each packet of a batch once, for all subscribers who get it so.

use std::ops::Range;

use crate::packet::Packet;
use crate::publish::track::Track;
use crate::wire::codec::red;

/// The payload type of its blocks until a subscriber's own is written: the one browsers use.
const INNER: u8 = 111;

/// The payloads made of one batch so far.
#[derive(Debug, Default)]
pub(crate) struct Made {
    bytes: Vec<u8>,
    /// Place of each packet's payload, by its order in the batch; empty = not made.
    places: Vec<Range<usize>>,
}

impl Made {
    /// Begins with another batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// The RED payload of this packet, which has this payload of plain Opus.
    pub fn payload(&mut self, packet: &Packet, opus: &[u8], track: &Track) -> &[u8] {
        let order = packet.order as usize;
        if self.places.len() <= order {
            self.places.resize(order + 1, 0..0);
        }
        let place = self.places.get(order).cloned().filter(|place| !place.is_empty());
        let place = place.unwrap_or_else(|| {
            let start = self.bytes.len();
            let store = track.layer(packet.layer).map(|layer| &layer.store);
            if !store.is_some_and(|store| store.write_red(packet.index as u32, &mut self.bytes, INNER)) {
                red::write(&mut self.bytes, &[None; red::MOST_BLOCKS], opus, INNER);
            }
            start..self.bytes.len()
        });
        if let Some(known) = self.places.get_mut(order) {
            *known = place.clone();
        }
        self.bytes.get(place).unwrap_or_default()
    }
}
