//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! [`Receiver`] remembers arrivals and writes feedback for what we receive. [`Sender`] numbers what we send and turns
//! the other side's [`Feedback`] into [`Outcome`]s for the bandwidth estimator.

mod feedback;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use feedback::{Feedback, Statuses};
pub use receiver::Receiver;
pub use sender::{Outcome, Sender};

/// Unit of arrival times: 250 microseconds.
const TICK_MICROS: u64 = 250;
/// Ticks in one unit (64 ms) of the reference time.
const REFERENCE_TICKS: i64 = 256;
