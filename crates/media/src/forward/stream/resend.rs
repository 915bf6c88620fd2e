//! Packets sent again.

use std::time::Duration;

use super::{DownStream, Own};
use crate::line::Outlet;
use crate::publish::track::Track;
use crate::wire::rtp;

impl DownStream {
    /// Sends a packet again: on the repair stream where there is one (RFC 4588), else the very same packet.
    /// Not before `soonest` after the time before, which may still be on its way.
    pub fn resend(&mut self, track: &Track, sequence: u16, soonest: Duration, out: &mut Outlet<'_>) -> bool {
        let Outlet { now, line, egress } = out;
        let now = *now;
        let Some(sent) = self.history.take_for_resend(now, soonest, sequence) else { return false };
        let store = track.layer(sent.layer).map(|layer| &layer.store);
        let stored = store.and_then(|store| store.get(sent.source));
        let (Some(store), Some(stored), Some(codec)) = (store, stored, self.codec) else { return false };
        let start = egress.buffer.len();
        let (header_len, ssrc, index) = match &self.repair {
            Some(header) => {
                let index = self.repair_index;
                self.repair_index += 1;
                let transport = if header.counts_transport() {
                    line.number(now, header.len() + 2 + stored.payload.len(), 0)
                } else {
                    0
                };
                let sequence = index as u16;
                let dependency = Some(stored.dependency).filter(|_| sent.extended);
                let len = match dependency {
                    None => header.write(&mut egress.buffer, sent.marker, sequence, sent.timestamp, transport),
                    Some(value) => {
                        let fields = rtp::Outgoing {
                            payload_type: header.payload_type(),
                            marker: sent.marker,
                            sequence,
                            timestamp: sent.timestamp,
                            ssrc: self.binding.rtx_ssrc,
                            padding: false,
                        };
                        self.write_long_header(
                            egress,
                            &fields,
                            transport,
                            Own { dependency: Some(value), capture: None },
                            None,
                        )
                    }
                };
                egress.buffer.extend_from_slice(&(sent.index as u16).to_be_bytes());
                (len, self.binding.rtx_ssrc, index)
            }
            None if sent.extended => return false,
            None => {
                let sequence = sent.index as u16;
                let buffer = &mut egress.buffer;
                let len = self.header.write(buffer, sent.marker, sequence, sent.timestamp, sent.transport);
                (len, self.binding.ssrc, sent.index)
            }
        };
        let at = egress.buffer.len();
        self.form.write_again(&mut egress.buffer, store, sent.source, codec, &sent.vp8);
        if egress.buffer.len() == at {
            egress.buffer.truncate(start);
            return false;
        }
        line.send(egress, start, header_len, ssrc, index)
    }
}
