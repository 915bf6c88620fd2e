//! Reading and patching big-endian numbers at checked offsets.

use super::WireError;

pub fn read_u8(data: &[u8], at: usize) -> Result<u8, WireError> {
    data.get(at).copied().ok_or(WireError::Truncated)
}

pub fn read_u16(data: &[u8], at: usize) -> Result<u16, WireError> {
    array(data, at).map(u16::from_be_bytes)
}

pub fn read_u24(data: &[u8], at: usize) -> Result<u32, WireError> {
    array(data, at).map(|[a, b, c]: [u8; 3]| u32::from_be_bytes([0, a, b, c]))
}

pub fn read_u32(data: &[u8], at: usize) -> Result<u32, WireError> {
    array(data, at).map(u32::from_be_bytes)
}

pub fn read_u64(data: &[u8], at: usize) -> Result<u64, WireError> {
    array(data, at).map(u64::from_be_bytes)
}

fn array<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N], WireError> {
    data.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(WireError::Truncated)
}

/// Overwrites bytes at `at`; does nothing when they would not fit.
pub fn patch(data: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = data.get_mut(at..).and_then(|rest| rest.get_mut(..value.len())) {
        place.copy_from_slice(value);
    }
}
