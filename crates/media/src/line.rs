//! The protected way out to one peer: SRTP keys, transport-wide numbering and the address datagrams go to.

use std::time::Instant;

use crate::api::{Egress, Transmit};
use crate::transport::{Keying, Path};
use crate::wire::WireError;
use crate::wire::srtp::{Context, Writer};
use crate::wire::twcc;

pub(crate) struct Line {
    context: Context,
    pub transport: twcc::Sender,
    rtcp_index: u32,
    pub path: Path,
    pub datagrams: u64,
    pub bytes: u64,
}

/// Where packets of one peer go at one moment.
pub(crate) struct Outlet<'a> {
    pub now: Instant,
    pub line: &'a mut Line,
    pub egress: &'a mut Egress,
}

impl Line {
    /// # Errors
    /// When the keys do not fit their profile.
    pub fn new(keying: &Keying, path: Path) -> Result<Line, WireError> {
        let writer = if keying.active { Writer::Client } else { Writer::Server };
        Ok(Line {
            context: Context::new(keying.profile, &keying.material, writer)?,
            transport: twcc::Sender::new(),
            rtcp_index: 0,
            path,
            datagrams: 0,
            bytes: 0,
        })
    }

    /// What it points to will be needed soon.
    #[inline]
    pub fn soon(&self) {
        self.context.soon();
        self.transport.soon();
    }

    /// The transport-wide number for a packet of `plain_len` bytes before protection.
    #[inline]
    pub fn number(&mut self, now: Instant, plain_len: usize, cluster: u32) -> u16 {
        self.transport.register(now, (plain_len + self.context.rtp_overhead()) as u32, cluster)
    }

    /// Protects the RTP packet at the end of the buffer and queues it. A packet that cannot be is taken back.
    #[inline]
    pub fn send(&mut self, egress: &mut Egress, start: usize, header_len: usize, ssrc: u32, index: u64) -> bool {
        let sealed = self.context.protect_rtp(&mut egress.buffer, start, header_len, ssrc, index);
        self.queue(egress, start, sealed)
    }

    /// The same for a compound RTCP packet.
    pub fn send_rtcp(&mut self, egress: &mut Egress, start: usize) -> bool {
        if egress.buffer.len() <= start {
            return false;
        }
        let sealed = self.context.protect_rtcp(&mut egress.buffer, start, self.rtcp_index);
        self.rtcp_index = (self.rtcp_index + 1) & 0x7FFF_FFFF;
        self.queue(egress, start, sealed)
    }

    #[inline]
    fn queue(&mut self, egress: &mut Egress, start: usize, sealed: Result<(), WireError>) -> bool {
        if sealed.is_err() {
            egress.buffer.truncate(start);
            return false;
        }
        let len = egress.buffer.len() - start;
        let Path { proto, address } = self.path;
        egress.transmits.push(Transmit { proto, destination: address, start, len });
        self.datagrams += 1;
        self.bytes += len as u64;
        true
    }
}
