//! Sockets, shard threads and timers around the SFU core: everything that asks the kernel for something.
//!
//! One thread and one UDP port per shard. A wake-up takes what arrived in one `recvmmsg`, lets the core work on it, and
//! sends the result with as few system calls as the kernel allows: runs of equal-size packets to one destination leave
//! as one GSO message, all messages in one `sendmmsg`. No allocation and no lock per packet. The crate's unsafe code is
//! confined to `sys` (kernel objects), `udp` and `send` (message vectors).

mod beat;
mod bound;
mod config;
mod core;
mod counters;
mod directory;
mod engine;
mod events;
pub mod framing;
mod gather;
pub mod gso;
mod interfaces;
mod mailbox;
mod outbound;
mod overload;
mod routes;
pub mod send;
mod shard;
pub mod signal;
pub mod stun;
mod supervisor;
mod sys;
mod tcp;
pub mod udp;

pub use beat::STUCK_AFTER;
pub use config::{EngineConfig, QueueLimits, StartError};
pub use core::{Core, CoreFactory};
pub use counters::Stats;
pub use engine::{CommandError, Engine};
pub use events::NetEvent;
pub use mailbox::Fault;
