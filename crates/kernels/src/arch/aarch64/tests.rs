//! Compares every kernel of this folder with the scalar reference, bit for bit.

use super::dotprod::{self, Dotprod};
use super::i8mm::{self, I8mm};
use super::neon::{self, Neon};
use crate::arch::scalar;
use crate::isa::Isa;
use crate::linear::table::kernel_table;
use crate::linear::{ActKind, Acts, LinearKernel, Panel};
use crate::mat::MatMut;
use crate::pool::Columns;
use happy_tensor::DType;

const ROWS: [usize; 8] = [1, 4, 7, 8, 9, 17, 33, 41];
const TOKENS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17];

/// A generator of reproducible bytes (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    }
}

/// What weights and activations are filled with.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    /// All bytes of the weights, and all activations: the largest sums of both signs.
    Constant(u8, i8),
    /// Activations of alternating sign.
    Alternating(u8),
}

const FILLS: [Fill; 8] = [
    Fill::Random,
    Fill::Constant(0x80, 127),
    Fill::Constant(0x80, -127),
    Fill::Constant(0x7F, -127),
    Fill::Constant(0xFF, 127),
    Fill::Constant(0xFF, -127),
    Fill::Constant(0x00, -127),
    Fill::Alternating(0xFF),
];

/// Returns weight rows whose scales are finite: subnormal, small, large, of both signs.
fn weights(dtype: DType, rows: usize, k: usize, fill: Fill, random: &mut Random) -> Vec<u8> {
    const SCALES: [u16; 8] = [0x0001, 0x83FF, 0x2C01, 0xA8F3, 0x3C00, 0x1234, 0xFBFF, 0x0000];
    let mut w = vec![0; rows * k / dtype.block_len() * dtype.block_bytes()];
    for block in w.chunks_exact_mut(dtype.block_bytes()) {
        for byte in block.iter_mut() {
            *byte = match fill {
                Fill::Random => random.byte(),
                Fill::Constant(byte, _) | Fill::Alternating(byte) => byte,
            };
        }
        if dtype == DType::MXFP4 {
            block[0] = 100 + random.byte() % 50;
        }
        if dtype == DType::IQ1M {
            block[55] &= 0xBF; // the highest piece of its f16
        }
        for &at in dtype.f16_fields() {
            let scale = SCALES[usize::from(random.byte()) % SCALES.len()];
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    w
}

struct Activations {
    q: Vec<i8>,
    d: Vec<f32>,
    sums: Vec<i16>,
}

fn activations(tokens: usize, k: usize, unit: usize, fill: Fill, random: &mut Random) -> Activations {
    let q: Vec<i8> = (0..tokens * k)
        .map(|i| match fill {
            Fill::Random => (random.byte() as i8).max(-127),
            Fill::Constant(_, a) => a,
            Fill::Alternating(_) => [127, -127][i % 2],
        })
        .collect();
    let d = (0..tokens * k / unit).map(|_| f32::from(random.byte()) * 0.001_7).collect();
    let sums = q.as_chunks::<16>().0.iter().map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
    Activations { q, d, sums }
}

fn run_gemm(kernel: &LinearKernel, w: &[u8], x: Acts<'_>, rows: usize) -> Vec<u32> {
    // The output is wider than the rows, to check that nothing is written beside them.
    let stride = rows + 3;
    let mut y = vec![7.5f32; x.rows * stride];
    let mut mat = MatMut::new(&mut y, x.rows, stride);
    let mut panel = Panel::new((kernel.panel_bytes)(x.k), 0).unwrap_or_default();
    (kernel.gemm)(w, x, &mut Columns::of(mat.columns_mut(1..1 + rows)), &mut panel);
    y.into_iter().map(f32::to_bits).collect()
}

fn run_gemv(kernel: &LinearKernel, w: &[u8], x: Acts<'_>, rows: usize) -> Vec<u32> {
    let stride = rows + 3;
    let mut y = vec![7.5f32; x.rows * stride];
    for (t, y) in y.chunks_exact_mut(stride).enumerate() {
        (kernel.gemv)(w, x.rows_range(t, 1), &mut y[1..1 + rows]);
    }
    y.into_iter().map(f32::to_bits).collect()
}

/// Compares one size and returns what differs.
fn differences(kernel: &LinearKernel, rows: usize, tokens: usize, k: usize, fill: Fill) -> Vec<String> {
    let kind = ActKind::of(kernel.dtype);
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (rows * 31 + tokens * 7 + k) as u64);
    let w = weights(kernel.dtype, rows, k, fill, &mut random);
    let a = activations(tokens, k, kind.unit(), fill, &mut random);
    let x = Acts { kind, rows: tokens, k, x: &[], q: &a.q, d: &a.d, sums: &a.sums };
    let reference = &scalar::KERNELS.linear[kernel.dtype as usize];
    let expected = run_gemv(reference, &w, x, rows);
    let mut failed = Vec::new();
    for (name, found) in
        [(kernel.gemv_name, run_gemv(kernel, &w, x, rows)), (kernel.gemm_name, run_gemm(kernel, &w, x, rows))]
    {
        if let Some(i) = (0..expected.len().max(found.len())).find(|&i| expected.get(i) != found.get(i)) {
            let value = |v: &[u32]| v.get(i).map(|&bits| f32::from_bits(bits));
            failed.push(format!(
                "{name}: {rows} rows, {tokens} tokens, k {k}, {fill:?}, element {i}: {:?}, expected {:?}",
                value(&found),
                value(&expected)
            ));
        }
    }
    failed
}

fn check(kernels: &[LinearKernel]) {
    let mut failed = Vec::new();
    for kernel in kernels.iter().filter(|k| !k.dtype.is_float()) {
        if let Err(reason) = kernel.isa.available() {
            assert_ne!(Isa::required(), Ok(Some(kernel.isa)), "{reason}");
            println!("skipped: {kernel:?}: {reason}");
            continue;
        }
        let unit = kernel.dtype.block_len();
        for rows in ROWS {
            for tokens in TOKENS {
                failed.extend(differences(kernel, rows, tokens, 3 * unit, Fill::Random));
            }
        }
        // One stretch of a panel is 1,024 weights.
        for k in [unit, 2 * unit, 512, 576, 640, 1024, 1280, 2304].into_iter().filter(|k| k % unit == 0) {
            failed.extend(differences(kernel, 9, 7, k, Fill::Random));
        }
        for fill in FILLS {
            failed.extend(differences(kernel, 17, 7, 2 * unit, fill));
        }
    }
    assert!(failed.is_empty(), "{} differences:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn neon_gives_the_bits_of_the_reference() {
    check(neon::KERNELS.linear);
}

#[test]
fn dotprod_gives_the_bits_of_the_reference() {
    check(dotprod::KERNELS.linear);
}

#[test]
fn i8mm_gives_the_bits_of_the_reference() {
    check(i8mm::KERNELS.linear);
}

/// Every instruction set can unpack every format. The tables decode formats in place where they can; the tables here
/// unpack them all.
#[test]
fn every_format_can_be_unpacked() {
    static NEON: [LinearKernel; DType::COUNT] = kernel_table!(Neon, in place []);
    static DOTPROD: [LinearKernel; DType::COUNT] = kernel_table!(Dotprod, in place []);
    static I8MM: [LinearKernel; DType::COUNT] = kernel_table!(I8mm, in place []);
    check(&NEON);
    check(&DOTPROD);
    check(&I8MM);
}
