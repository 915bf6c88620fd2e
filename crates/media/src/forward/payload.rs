//! How a publisher's payload is put into what the subscriber negotiated.

use super::red;
use super::rewrite::Vp8Ids;
use crate::negotiate::NegotiatedCodec;
use crate::wire::codec::{Codec, vp8};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    AsIs,
    /// RED to RED: blocks are renumbered to this payload type.
    Red(u8),
    /// RED to Opus: only the primary block.
    RedPrimary,
}

impl Form {
    /// The subscriber's codec for what is sent, and how to get there. None = nothing in common.
    pub fn choose(codecs: &[NegotiatedCodec], sent: Codec) -> Option<(&NegotiatedCodec, Form)> {
        let direct = codecs.iter().find(|own| own.codec.accepts(sent));
        match (sent, direct) {
            (Codec::Red, Some(own)) if own.red_inner.is_some() => Some((own, Form::Red(own.red_inner?))),
            (Codec::Red, _) => {
                let opus = codecs.iter().find(|own| own.codec == Codec::Opus)?;
                Some((opus, Form::RedPrimary))
            }
            (_, own) => own.map(|own| (own, Form::AsIs)),
        }
    }

    /// Appends the payload in this form. Appends nothing when it is damaged.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>, payload: &[u8], descriptor: Option<&vp8::Descriptor>, ids: &Vp8Ids) {
        let at = out.len();
        match self {
            Form::AsIs => {
                out.extend_from_slice(payload);
                if let (Some(descriptor), Some(written)) = (descriptor, out.get_mut(at..)) {
                    descriptor.rewrite(written, ids.picture_id, ids.tl0_pic_idx, ids.key_index);
                }
            }
            Form::Red(inner) => {
                out.extend_from_slice(payload);
                if let Some(written) = out.get_mut(at..) {
                    red::set_payload_types(written, inner);
                }
            }
            Form::RedPrimary => {
                if let Some(block) = red::primary(payload).and_then(|range| payload.get(range)) {
                    out.extend_from_slice(block);
                }
            }
        }
    }
}
