//! CRC-32C (Castagnoli), eight bytes at a time by tables ("slicing by 8", Kounavis and Berry, 2005).
//!
//! It reaches about 2 GB/s without special instructions: a session of 50 MB, which took seconds to compute, is checked
//! in 25 ms.

/// The polynomial with its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[k][b]` is what byte `b` contributes when `k` more bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// A checksum that grows with the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn add(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let [a, b] =
                [u64::from_le_bytes(*word) as u32 ^ self.0, (u64::from_le_bytes(*word) >> 32) as u32];
            let at = |k: usize, word: u32, shift: u32| TABLES[k][(word >> shift & 0xff) as usize];
            self.0 = at(7, a, 0) ^ at(6, a, 8) ^ at(5, a, 16) ^ at(4, a, 24);
            self.0 ^= at(3, b, 0) ^ at(2, b, 8) ^ at(1, b, 16) ^ at(0, b, 24);
        }
        for byte in rest {
            self.0 = self.0 >> 8 ^ TABLES[0][((self.0 ^ u32::from(*byte)) & 0xff) as usize];
        }
        self
    }

    pub(crate) fn sum(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogue, and of RFC 3720, appendix B.4.
    #[test]
    fn sums_are_those_of_the_standard() {
        let sum = |bytes: &[u8]| Crc::new().add(bytes).sum();
        assert_eq!(sum(b"123456789"), 0xE306_9283);
        assert_eq!(sum(&[0; 32]), 0x8A91_36AA);
        assert_eq!(sum(&[0xff; 32]), 0x62A8_AB43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(sum(&ascending), 0x46DD_794E);
        for cut in 0..32 {
            let (a, b) = ascending.split_at(cut);
            assert_eq!(Crc::new().add(a).add(b).sum(), 0x46DD_794E, "cut at {cut}");
        }
    }
}
