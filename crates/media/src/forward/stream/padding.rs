//! Packets of padding: to fill a number that is left out, and to probe the line.

use super::DownStream;
use crate::forward::rewrite::{Rewritten, Source};
use crate::line::Outlet;

impl DownStream {
    /// Sends padding under the number of a late packet that is left out: a number that never comes would be waited for.
    pub(super) fn fill(&mut self, source: &Source, out: &mut Outlet<'_>) {
        if self.codec.is_none() {
            return;
        }
        if let Some(rewritten) = self.rewriter.rewrite(&Source { vp8: None, ..*source }) {
            self.send_padding(&rewritten, 1, 0, out);
        }
    }

    /// Sends a packet of padding alone (RFC 3550 section 5.1) on the media stream.
    pub(in crate::forward) fn send_padding(
        &mut self,
        rewritten: &Rewritten,
        padding: u8,
        cluster: u32,
        out: &mut Outlet<'_>,
    ) -> bool {
        let Outlet { now, line, egress } = out;
        let start = egress.buffer.len();
        let len = self.header.len() + usize::from(padding);
        let transport = if self.header.counts_transport() { line.number(*now, len, cluster) } else { 0 };
        let (sequence, timestamp) = (rewritten.index as u16, rewritten.timestamp);
        let header_len = self.header.write(&mut egress.buffer, false, sequence, timestamp, transport);
        pad(&mut egress.buffer, start, padding);
        line.send(egress, start, header_len, self.binding.ssrc, rewritten.index)
    }

    /// Sends a packet that only probes the line, on the repair stream where there is one, else between pictures on the
    /// media stream. Gives its bytes; none when it cannot be done now.
    pub fn probe(&mut self, cluster: u32, out: &mut Outlet<'_>) -> Option<usize> {
        const PADDING: u8 = u8::MAX;
        if !self.flowing || self.codec.is_none() {
            return None;
        }
        let Some(header) = self.repair.as_ref() else {
            if !self.between_pictures {
                return None;
            }
            let rewritten = self.rewriter.insert(self.rewriter.last_timestamp());
            return self
                .send_padding(&rewritten, PADDING, cluster, out)
                .then_some(self.header.len() + usize::from(PADDING));
        };
        let Outlet { now, line, egress } = out;
        let start = egress.buffer.len();
        let index = self.repair_index;
        self.repair_index += 1;
        let len = header.len() + usize::from(PADDING);
        let transport = if header.counts_transport() { line.number(*now, len, cluster) } else { return None };
        let timestamp = self.rewriter.last_timestamp();
        let header_len = header.write(&mut egress.buffer, false, index as u16, timestamp, transport);
        pad(&mut egress.buffer, start, PADDING);
        line.send(egress, start, header_len, self.binding.rtx_ssrc, index).then_some(len)
    }
}

/// Appends padding to the packet that begins at `start` and says so in its header.
fn pad(buffer: &mut Vec<u8>, start: usize, padding: u8) {
    buffer.resize(buffer.len() + usize::from(padding) - 1, 0);
    buffer.push(padding);
    if let Some(first) = buffer.get_mut(start) {
        *first |= 0x20;
    }
}
