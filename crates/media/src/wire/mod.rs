//! What is on the wire, as pure functions: SDP, RTP, RTCP, SRTP, feedback and codec descriptors.
//!
//! Nothing in here reads a clock, allocates per packet or panics on what it is given.

mod bits;
mod bytes;
pub mod codec;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod twcc;

use std::fmt;

/// Why bytes from the network were refused. Small and `Copy`: it is made per bad packet and only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireError {
    /// The packet ends before what its fields promise.
    Truncated,
    /// Not version 2 (RTP, RTCP).
    Version,
    /// A padding count that is zero or larger than the payload.
    Padding,
    /// A value the format does not allow.
    Malformed,
    /// Authentication failed: wrong key, wrong index or a changed packet.
    Authentication,
    /// Keying material of the wrong length for its SRTP profile, or a profile we do not speak.
    KeyingMaterial,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WireError::Truncated => "packet is shorter than its fields say",
            WireError::Version => "not RTP/RTCP version 2",
            WireError::Padding => "bad padding count",
            WireError::Malformed => "malformed field",
            WireError::Authentication => "authentication failed",
            WireError::KeyingMaterial => "keying material does not fit the SRTP profile",
        })
    }
}

impl std::error::Error for WireError {}
