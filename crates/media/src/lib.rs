//! The sans-I/O core of AuraLink's SFU: it is handed datagrams, commands and the time, and gives back datagrams and
//! events. No socket, thread, clock or Python in here.

mod allocator;
pub mod api;
pub mod bwe;
mod data;
mod data_track;
mod demux;
mod effects;
mod forward;
pub mod grid;
mod line;
pub mod negotiate;
mod packet;
mod peer;
mod publish;
pub mod quality;
mod random;
mod shard;
pub mod shed;
mod slab;
pub mod speakers;
mod transport;
pub mod wire;

pub use shard::Shard;
pub use transport::{Identity, IdentityError};
