//! What is on the wire, as pure functions: SDP, RTP, RTCP, SRTP, feedback and codec descriptors.
