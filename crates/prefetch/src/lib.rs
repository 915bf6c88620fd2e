//! Asking the processor for memory before it is worked on: several waits for memory, one after the other, become one.
//!
//! A crate of its own, so that what uses it needs no unsafe code.

/// Of the processors we run on; where it is another, too much or too little is asked for, and nothing else happens.
const CACHE_LINE: usize = 64;

/// The value will be needed soon. Returns at once. What it points to is not asked for.
#[inline(always)]
pub fn soon<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(CACHE_LINE) {
        line(start.wrapping_add(offset));
    }
    if size_of::<T>() > 1 {
        // A value that does not begin with a line ends in one more.
        line(start.wrapping_add(size_of::<T>() - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint. No address makes it fault, and it changes nothing that a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
#[inline(always)]
fn line(address: *const i8) {
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_address: *const i8) {}

#[cfg(test)]
mod tests {
    use super::soon;

    #[test]
    fn what_is_asked_for_stays_as_it_is_whatever_its_size_and_place() {
        soon(&());
        soon(&7_u8);
        let values: Vec<[u8; 100]> = (0..50).map(|number| [number; 100]).collect();
        values.iter().for_each(soon);
        assert!(values.iter().zip(0..).all(|(value, number)| *value == [number; 100]));
    }
}
