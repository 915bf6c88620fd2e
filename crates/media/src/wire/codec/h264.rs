//! H264 payloads (RFC 6184).

/// Does this payload start a key frame (SPS or IDR slice)?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let _ = payload;
    false
}

/// Same profile, whatever the level: compares the profile_idc and constraint bits of two profile-level-ids.
pub fn same_profile(a: u32, b: u32) -> bool {
    a >> 8 == b >> 8
}
