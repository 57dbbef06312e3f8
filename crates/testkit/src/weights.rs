//! The weights of the conformance recipes: numbers that a name and a seed decide.

/// Returns the `n` values of the tensor `name`, in [-1, 1): SplitMix64 from the name's FNV-1a hash and the seed.
pub fn uniform(name: &str, seed: u64, n: usize) -> impl Iterator<Item = f32> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let first = hash ^ seed;
    (1..=n as u64).map(move |i| {
        let mut z = first.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((z >> 40) as f32 - 8_388_608.0) / 8_388_608.0
    })
}

/// Returns the values as a file stores them.
pub fn le_bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    // A loop with room for what is known to come: models of tests have millions of values.
    let mut bytes = Vec::with_capacity(4 * values.size_hint().0);
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_recipes() {
        let values: Vec<f32> = uniform("blk.0.attn_q.weight", 7, 3).collect();
        assert_eq!(values, uniform("blk.0.attn_q.weight", 7, 5).take(3).collect::<Vec<_>>());
        assert!(values.iter().all(|x| (-1.0..1.0).contains(x)));
        assert_ne!(values, uniform("blk.0.attn_q.weight", 8, 3).collect::<Vec<_>>());
        assert_eq!(le_bytes([1.0, -2.0].into_iter()), [0, 0, 128, 63, 0, 0, 0, 192]);
    }
}
