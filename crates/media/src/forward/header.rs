//! RTP headers of one outgoing stream, written from a template: per packet only five fields change.

use auralink_prefetch::soon;

use crate::wire::rtp::{self, Outgoing};

/// The extensions of a stream: its MID (constant) and the transport-wide sequence number (counted per packet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamExtensions<'a> {
    /// 0 = not negotiated.
    pub mid_id: u8,
    pub mid: &'a [u8],
    /// 0 = not negotiated.
    pub transport_id: u8,
}

impl<'a> StreamExtensions<'a> {
    pub fn values<'v>(&'v self, transport: &'v [u8; 2]) -> [(u8, &'v [u8]); 2] {
        [(self.mid_id, self.mid), (self.transport_id, transport)]
    }
}

/// A header with SSRC, payload type and extensions filled in.
#[derive(Debug, Clone)]
pub(crate) struct HeaderTemplate {
    bytes: Vec<u8>,
    /// Where the transport-wide sequence number goes.
    transport_at: Option<usize>,
}

impl HeaderTemplate {
    pub fn new(ssrc: u32, payload_type: u8, extensions: &StreamExtensions<'_>) -> HeaderTemplate {
        let fields = Outgoing { payload_type, marker: false, sequence: 0, timestamp: 0, ssrc, padding: false };
        let (mut bytes, mut marked) = (Vec::new(), Vec::new());
        rtp::write_header(&mut bytes, &fields, &extensions.values(&[0, 0]));
        rtp::write_header(&mut marked, &fields, &extensions.values(&[0xFF, 0xFF]));
        // The only place where the two differ is the value itself, whatever form the extensions took.
        let transport_at = bytes.iter().zip(&marked).position(|(plain, mark)| plain != mark);
        HeaderTemplate { bytes, transport_at }
    }

    /// It will be written soon.
    #[inline]
    pub fn soon(&self) {
        if let Some(byte) = self.bytes.first() {
            soon(byte);
        }
    }

    /// Does a packet carry a transport-wide sequence number?
    pub fn counts_transport(&self) -> bool {
        self.transport_at.is_some()
    }

    pub fn payload_type(&self) -> u8 {
        self.bytes.get(1).map_or(0, |byte| byte & 0x7F)
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the header and returns its length.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, marker: bool, sequence: u16, timestamp: u32, transport: u16) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if let Some(header) = out.get_mut(start..) {
            self.patch(header, marker, sequence, timestamp, transport);
        }
        self.bytes.len()
    }

    #[inline]
    fn patch(&self, header: &mut [u8], marker: bool, sequence: u16, timestamp: u32, transport: u16) {
        if let Some(fixed) = header.first_chunk_mut::<12>() {
            fixed[1] |= u8::from(marker) << 7;
            [fixed[2], fixed[3]] = sequence.to_be_bytes();
            [fixed[4], fixed[5], fixed[6], fixed[7]] = timestamp.to_be_bytes();
        }
        if let Some(value) = self.transport_at.and_then(|at| header.get_mut(at..at + 2)) {
            value.copy_from_slice(&transport.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::Header;

    #[test]
    fn a_written_header_reads_back_in_both_extension_forms() {
        for transport_id in [3, 15] {
            let extensions = StreamExtensions { mid_id: 4, mid: b"12", transport_id };
            let template = HeaderTemplate::new(0xDEAD_BEEF, 96, &extensions);
            let mut out = vec![7; 3];
            let len = template.write(&mut out, true, 0xABCD, 0x0102_0304, 0x1234);
            let packet = out.get(3..).unwrap_or_default();
            let header = Header::parse(packet).expect("a header");
            assert_eq!(header.header_len, len);
            assert_eq!((header.ssrc, header.payload_type, header.marker), (0xDEAD_BEEF, 96, true));
            assert_eq!((header.sequence, header.timestamp), (0xABCD, 0x0102_0304));
            assert_eq!(header.extension(packet, 4), Some(&b"12"[..]));
            assert_eq!(header.extension(packet, transport_id), Some(&[0x12, 0x34][..]));
        }
    }

    #[test]
    fn without_extensions_only_the_fixed_header_is_written() {
        let template = HeaderTemplate::new(1, 111, &StreamExtensions::default());
        assert_eq!(template.len(), 12);
        assert!(!template.counts_transport());
    }
}
