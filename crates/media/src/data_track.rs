//! LiveKit's data tracks: frames of anything, cut into packets on the `_data_track` channel.
//!
//! Header, big endian: version (3 bits), start, final, extensions (1 bit each), reserved; handle (16) at 2; sequence
//! number (16) at 4; frame number (16) at 6; timestamp (32) at 8. With extensions, 12 bytes are followed by the size of
//! their block: 16 bits, in 32-bit words less one, the size itself included.

use crate::api::TrackId;
use crate::slab::Key;

const HEADER: usize = 12;
const EXTENSIONS: u8 = 1 << 2;

/// A published data track and who takes it.
pub(crate) struct DataTrack {
    pub id: TrackId,
    pub publisher: Key,
    pub subscribers: Vec<Subscriber>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub peer: Key,
    /// What packets say towards this peer.
    pub handle: u16,
}

/// One data track, as its publisher knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub handle: u16,
    pub track: Key,
}

/// The publisher's handle, when the packet's header is whole.
pub(crate) fn handle(packet: &[u8]) -> Option<u16> {
    let header = packet.first_chunk::<HEADER>()?;
    if header[0] & EXTENSIONS != 0 {
        let words = u16::from_be_bytes(*packet.get(HEADER..)?.first_chunk()?);
        let block = (usize::from(words) + 1) * 4;
        packet.get(HEADER..HEADER + block)?;
    }
    Some(u16::from_be_bytes([header[2], header[3]]))
}

pub(crate) fn set_handle(packet: &mut [u8], handle: u16) {
    if let Some(place) = packet.get_mut(2..4) {
        place.copy_from_slice(&handle.to_be_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_is_read_from_whole_headers_only() {
        let packet = [0x18, 0, 0x12, 0x34, 0, 1, 0, 1, 0, 0, 0, 0];
        assert_eq!(handle(&packet), Some(0x1234));
        for short in 0..packet.len() {
            assert_eq!(handle(&packet[..short]), None);
        }
    }

    #[test]
    fn extensions_must_fit_the_packet() {
        let mut packet = vec![0x1C, 0, 0, 7, 0, 1, 0, 1, 0, 0, 0, 0];
        assert_eq!(handle(&packet), None, "not even their size");
        packet.extend([0, 1, 1, 4, b'P', b'A', b'_', b'x']);
        assert_eq!(handle(&packet), Some(7));
        packet.truncate(19);
        assert_eq!(handle(&packet), None);
        packet[12..14].copy_from_slice(&[0xFF, 0xFF]);
        assert_eq!(handle(&packet), None);
    }

    #[test]
    fn only_the_handle_changes() {
        let mut packet: Vec<u8> = (0..20).collect();
        set_handle(&mut packet, 0xABCD);
        assert_eq!((packet[2], packet[3]), (0xAB, 0xCD));
        packet[2..4].copy_from_slice(&[2, 3]);
        assert_eq!(packet, (0..20).collect::<Vec<u8>>());
        set_handle(&mut packet[..3], 1);
    }
}
