//! The publishing side: what comes in from a client, per track, layer and stream.

pub(crate) mod clock;
pub(crate) mod inbound;
pub(crate) mod layers;
pub(crate) mod nack;
pub(crate) mod pace;
pub(crate) mod rate;
pub(crate) mod recovery;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod track;
pub(crate) mod transit;
