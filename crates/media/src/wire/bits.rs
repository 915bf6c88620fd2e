//! Reading and writing bit by bit, most significant first, never past the end.

use super::WireError;

/// Reads bits of a byte string.
#[derive(Debug, Clone, Copy)]
pub struct BitReader<'d> {
    data: &'d [u8],
    at: usize,
}

impl<'d> BitReader<'d> {
    pub fn new(data: &'d [u8]) -> BitReader<'d> {
        BitReader { data, at: 0 }
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next `count` (at most 32) bits as a number.
    pub fn bits(&mut self, count: usize) -> Result<u32, WireError> {
        if count > 32 || self.at + count > self.data.len() * 8 {
            return Err(WireError::Truncated);
        }
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8).copied().unwrap_or_default();
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    pub fn flag(&mut self) -> Result<bool, WireError> {
        self.bits(1).map(|bit| bit == 1)
    }

    /// A number below `limit` in as few bits as that needs: `ns(n)` of the AV1 specification, 4.10.7.
    pub fn below(&mut self, limit: u32) -> Result<u32, WireError> {
        let width = (u32::BITS - limit.leading_zeros()) as usize;
        let Some(short) = width.checked_sub(1) else { return Ok(0) };
        let longer_from = (1u64 << width) - u64::from(limit);
        let value = u64::from(self.bits(short)?);
        if value < longer_from {
            return Ok(value as u32);
        }
        Ok(((value << 1) - longer_from) as u32 + self.bits(1)?)
    }
}

/// Writes bits into a fixed buffer; what does not fit makes [`BitWriter::finish`] give nothing.
#[derive(Debug)]
pub struct BitWriter<'b> {
    buffer: &'b mut [u8],
    at: usize,
    overflowed: bool,
}

impl<'b> BitWriter<'b> {
    pub fn new(buffer: &'b mut [u8]) -> BitWriter<'b> {
        buffer.fill(0);
        BitWriter { buffer, at: 0, overflowed: false }
    }

    pub fn bits(&mut self, count: usize, value: u32) {
        for bit in (0..count).rev() {
            match self.buffer.get_mut(self.at / 8) {
                Some(byte) => *byte |= ((value >> bit & 1) as u8) << (7 - self.at % 8),
                None => self.overflowed = true,
            }
            self.at += 1;
        }
    }

    /// Copies a span of bits; false when the source ends before it does.
    pub fn copy(&mut self, from: &[u8], span: std::ops::Range<usize>) -> bool {
        let mut reader = BitReader { data: from, at: span.start };
        for _ in span {
            let Ok(bit) = reader.bits(1) else { return false };
            self.bits(1, bit);
        }
        true
    }

    /// Bytes written, the last one filled up with zeros.
    pub fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.at.div_ceil(8))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_below_a_limit_take_as_few_bits_as_they_need() {
        // Below 5: 0, 1 and 2 take two bits, 3 and 4 take three.
        let mut reader = BitReader::new(&[0b0001_1011, 0b1000_0000]);
        let read: Vec<u32> = (0..4).map(|_| reader.below(5).unwrap()).collect();
        assert_eq!((read, reader.position()), (vec![0, 1, 2, 4], 9));
        assert_eq!(BitReader::new(&[]).below(1), Ok(0), "only zero is below one");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(values in prop::collection::vec((0usize..=32, any::<u32>()), 0..20)) {
            let mut buffer = [0; 100];
            let mut writer = BitWriter::new(&mut buffer);
            for (count, value) in &values {
                writer.bits(*count, *value);
            }
            let len = writer.finish().unwrap();
            let mut reader = BitReader::new(&buffer[..len]);
            for (count, value) in values {
                let kept = if count == 32 { value } else { value & ((1 << count) - 1) };
                prop_assert_eq!(reader.bits(count), Ok(kept));
            }
        }

        #[test]
        fn nothing_is_read_past_the_end(data in prop::collection::vec(any::<u8>(), 0..8), limits: [u32; 8]) {
            let mut reader = BitReader::new(&data);
            for limit in limits {
                if let Ok(value) = reader.below(limit) {
                    prop_assert!(value < limit.max(1));
                }
                prop_assert!(reader.position() <= data.len() * 8);
            }
        }
    }
}
