//! The random generator: xoshiro256++ 1.0, seeded by SplitMix64.
//!
//! Source: D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators" (2021), and their public-domain
//! reference programs `xoshiro256plusplus.c` and `splitmix64.c`. Integer arithmetic only, so the sequence of a seed is
//! the same on every platform and in every version of this crate.

/// xoshiro256++ with a 64-bit seed.
///
/// ```
/// let mut rng = happy_sampler::Rng::new(1);
/// assert_eq!(rng.next_u64(), 14971601782005023387);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Makes the generator for `seed`: its state is the first four outputs of SplitMix64 started at `seed`.
    pub fn new(seed: u64) -> Self {
        let mut x = seed;
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Rng { state }
    }

    /// Makes the generator that goes on where another one's [`state`](Self::state) was taken; `None` for zeros alone, which
    /// no generator has.
    pub fn from_state(state: [u64; 4]) -> Option<Self> {
        (state != [0; 4]).then_some(Rng { state })
    }

    /// Returns the state, which decides all numbers that follow.
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// Returns the next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Returns a number in `[0, 1)`: the upper 53 bits of [`next_u64`](Self::next_u64) times 2^-53.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference_program() {
        // The first outputs of xoshiro256plusplus.c for the state 1, 2, 3, 4.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let expect = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205];
        for e in expect {
            assert_eq!(rng.next_u64(), e);
        }
        // The first output of SplitMix64 started at 0 is 0xe220a8397b1dcdaf.
        assert_eq!(Rng::new(0).state[0], 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn unit_interval() {
        let mut rng = Rng::new(7);
        let mean =
            (0..10_000).map(|_| rng.next_f64()).inspect(|x| assert!((0.0..1.0).contains(x))).sum::<f64>();
        assert!((mean / 10_000.0 - 0.5).abs() < 0.02);
    }
}
