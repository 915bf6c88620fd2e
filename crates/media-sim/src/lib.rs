//! A conference in one thread: the SFU core, clients with their own WebRTC stack, links that lose, delay, reorder and
//! narrow, and a clock that jumps from one event to the next. Links are seeded; nothing waits for wall-clock time.
//!
//! [`World`] plays the network and the signal plane; [`Client`] publishes and receives media whose every frame carries
//! its own account, so a scenario can say what was lost, when, and whether a decoder could have shown it.

mod client;
mod frame;
mod layered;
mod layered_receiver;
mod link;
mod receiver;
mod rng;
mod source;
mod world;

pub use client::{Client, ClientId};
pub use frame::{FrameTag, LayerSpec};
pub use layered::{LayeredTag, Scalability};
pub use layered_receiver::{LayeredReceiver, Shown};
pub use link::{Class, Link, LinkConfig, LinkCounters, Loss};
pub use receiver::{AudioReceiver, Timed, VideoReceiver};
pub use rng::Rng;
pub use source::MediaClock;
pub use world::{Sent, World};
