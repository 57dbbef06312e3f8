//! What the suites share.
#![allow(dead_code)]

use happy_kernels::{Isa, Kernels};

/// The kernels of every instruction set that can run here, besides scalar; says which ran and which did not.
pub(crate) fn accelerated() -> Vec<Kernels> {
    let mut all = Vec::new();
    for isa in Isa::ALL.into_iter().skip(1) {
        match Kernels::with_isa(isa) {
            Ok(kernels) => {
                println!("isa: {isa} ran");
                all.push(kernels);
            }
            Err(e) => println!("isa: {isa} skipped ({e})"),
        }
    }
    all
}

/// Fails when `HAPPY_REQUIRE_ISA` names an instruction set that cannot run here.
pub(crate) fn required_is_there() {
    if let Some(isa) = Isa::required().expect("HAPPY_REQUIRE_ISA names an instruction set") {
        isa.available().expect("HAPPY_REQUIRE_ISA asks for it");
    }
}

pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A small generator (xorshift64*), the same everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in 0 .. 1.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    /// Nearly normal, variance 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}
