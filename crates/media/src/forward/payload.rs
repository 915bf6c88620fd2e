//! How a publisher's payload is put into what the subscriber negotiated.

use super::made::Made;
use super::rewrite::Vp8Ids;
use crate::api::Publication;
use crate::negotiate::NegotiatedCodec;
use crate::packet::Packet;
use crate::publish::recovery::Origin;
use crate::publish::store::{Content, PacketStore};
use crate::publish::track::Track;
use crate::wire::codec::{Codec, red, vp8};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    AsIs,
    /// RED to RED: blocks are renumbered to this payload type.
    Red(u8),
    /// Opus to RED, its blocks with this payload type: the packets before go with each.
    MadeRed(u8),
    /// RED to Opus: only the primary block, and what was lost out of the others.
    RedPrimary,
}

impl Form {
    /// The subscriber's codec for what is sent, and how to get there. None = nothing in common.
    pub fn choose<'c>(
        codecs: &'c [NegotiatedCodec],
        sent: Codec,
        of: &Publication,
    ) -> Option<(&'c NegotiatedCodec, Form)> {
        let direct = codecs.iter().find(|own| own.codec.accepts(sent));
        let made = || {
            let red = codecs.iter().find(|own| own.codec == Codec::Red && of.make_red)?;
            Some((red, Form::MadeRed(red.red_inner?)))
        };
        match (sent, direct) {
            // Nobody but its subscribers can tell what is in it.
            _ if of.is_encrypted() => direct.map(|own| (own, Form::AsIs)),
            (Codec::Red, Some(own)) if own.red_inner.is_some() => Some((own, Form::Red(own.red_inner?))),
            (Codec::Red, _) => {
                let opus = codecs.iter().find(|own| own.codec == Codec::Opus)?;
                Some((opus, Form::RedPrimary))
            }
            (Codec::Opus, own) => made().or(own.map(|own| (own, Form::AsIs))),
            (_, own) => own.map(|own| (own, Form::AsIs)),
        }
    }

    /// What is sent of this packet, but for what [`write`](Self::write) sets. Nothing when it is damaged.
    #[inline]
    pub fn payload<'p>(self, packet: &Packet, published: &'p [u8], track: &Track, made: &'p mut Made) -> &'p [u8] {
        match self {
            Form::AsIs | Form::Red(_) => published,
            Form::MadeRed(_) => made.payload(packet, published, track),
            Form::RedPrimary if packet.origin == Origin::Recovered => published,
            Form::RedPrimary => red::primary(published).and_then(|place| published.get(place)).unwrap_or_default(),
        }
    }

    /// Appends what [`payload`](Self::payload) gave.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>, payload: &[u8], descriptor: Option<&vp8::Descriptor>, ids: &Vp8Ids) {
        let at = out.len();
        out.extend_from_slice(payload);
        let Some(written) = out.get_mut(at..) else { return };
        match self {
            Form::AsIs => {
                if let Some(descriptor) = descriptor {
                    descriptor.rewrite(written, ids.picture_id, ids.tl0_pic_idx, ids.key_index);
                }
            }
            Form::Red(inner) | Form::MadeRed(inner) => red::set_payload_types(written, inner),
            Form::RedPrimary => {}
        }
    }

    /// Appends a stored packet as it was sent. Appends nothing where that cannot be done any more.
    pub fn write_again(self, out: &mut Vec<u8>, store: &PacketStore, index: u32, codec: Codec, ids: &Vp8Ids) {
        let Some(stored) = store.get(index) else { return };
        let payload = match (self, stored.content) {
            (Form::MadeRed(inner), _) => {
                store.write_red(index, out, inner);
                return;
            }
            (Form::RedPrimary, Content::Recovered) => Some(0..stored.payload.len()),
            (_, Content::Recovered) => None,
            (Form::RedPrimary, _) => red::primary(stored.payload),
            _ => Some(0..stored.payload.len()),
        };
        let Some(payload) = payload.and_then(|place| stored.payload.get(place)) else { return };
        let descriptor = if codec == Codec::Vp8 { vp8::Descriptor::parse(payload).ok() } else { None };
        self.write(out, payload, descriptor.as_ref(), ids);
    }
}
