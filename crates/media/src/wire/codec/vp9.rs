//! VP9 payloads.

/// Does this payload start a key frame?
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let _ = payload;
    false
}
