//! One suite for every linear kernel of the list: the same bits as the scalar kernel, and exact integers.
//!
//! A kernel that this machine cannot run is reported as skipped; `HAPPY_REQUIRE_ISA` makes that a failure.

use happy_kernels::kernels::all_linear;
use happy_kernels::linear::{ActKind, Acts, FewKernel, LinearKernel, Panel};
use happy_kernels::{Columns, Isa, MatMut};
use happy_tensor::{Block, DType, with_block};

/// xorshift64*.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 32) % n
    }

    /// A finite f16 of moderate size, of either sign, sometimes zero or subnormal.
    fn f16_bits(&mut self) -> u16 {
        let sign = (self.below(2) << 15) as u16;
        sign | match self.below(16) {
            0 => 0,
            1 => self.below(1 << 10) as u16,
            _ => (5 << 10) + self.below(15 << 10) as u16,
        }
    }

    fn f32(&mut self) -> f32 {
        (self.below(1 << 24) as f32 - (1 << 23) as f32) / (1 << 22) as f32
    }
}

/// Number of scales and minimums in a block that [`set_field`] can set; 0: elements are floats.
fn fields(dtype: DType) -> usize {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => 0,
        DType::IQ1M | DType::MXFP4 => 1,
        DType::NVFP4 => 4,
        _ => dtype.f16_fields().len(),
    }
}

/// Sets the scale or minimum `field` of a block to (nearly) what f16 `bits` say; formats with other scales have their
/// own, of which the exponents matter here.
fn set_field(dtype: DType, block: &mut [u8], field: usize, bits: u16) {
    match dtype {
        DType::IQ1M => {
            for (i, piece) in block[48..].as_chunks_mut::<2>().0.iter_mut().enumerate() {
                piece[1] = piece[1] & 0xF | ((bits >> (4 * i) & 0xF) as u8) << 4;
            }
        }
        // 2^-128 is as near to zero as it goes; values are doubled, hence 2^0.
        DType::MXFP4 => {
            block[0] = if bits & 0x7FFF == 0 { 0 } else { (bits >> 10 & 31) as u8 + 127 + 1 - 15 }
        }
        // One is 0x40, halved.
        DType::NVFP4 => block[field] = if bits & 0x7FFF == 0 { 0 } else { (bits >> 7) as u8 ^ 0x38 },
        _ => set_f16(block, dtype.f16_fields()[field], bits),
    }
}

fn set_f16(block: &mut [u8], at: usize, bits: u16) {
    block[at..at + 2].copy_from_slice(&bits.to_le_bytes());
}

/// What the weights or the activations of a case are like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fill {
    Random,
    /// All bytes 0x80 (the least integers of Q8_0) or 0xFF (the greatest of most others), greatest scales;
    /// activations all 127 or all -127.
    Low,
    High,
    /// Random integers with scales of zero.
    ZeroScales,
}

const FILLS: [Fill; 4] = [Fill::Random, Fill::Low, Fill::High, Fill::ZeroScales];

fn weights(dtype: DType, n: usize, k: usize, fill: Fill, rng: &mut Rng) -> Vec<u8> {
    let bytes = dtype.row_bytes(k).expect("k is a multiple of the block") * n;
    let mut w: Vec<u8> = (0..bytes).map(|_| rng.next() as u8).collect();
    for block in w.chunks_exact_mut(dtype.block_bytes()) {
        match fill {
            Fill::Low => block.fill(0x80),
            Fill::High => block.fill(0xFF),
            _ => {}
        }
        match dtype {
            DType::F32 => block.copy_from_slice(&rng.f32().to_le_bytes()),
            DType::BF16 => block.copy_from_slice(&rng.f32().to_le_bytes()[2..]),
            DType::F16 => set_f16(block, 0, rng.f16_bits()),
            _ => {}
        }
        for field in 0..fields(dtype) {
            let bits = match fill {
                Fill::Random => rng.f16_bits(),
                Fill::Low | Fill::High => 0x7BFF,
                Fill::ZeroScales => (rng.below(2) << 15) as u16,
            };
            set_field(dtype, block, field, bits);
        }
    }
    w
}

/// Activations that own their parts.
struct OwnedActs {
    kind: ActKind,
    rows: usize,
    k: usize,
    x: Vec<f32>,
    q: Vec<i8>,
    d: Vec<f32>,
    sums: Vec<i16>,
}

impl OwnedActs {
    fn new(dtype: DType, rows: usize, k: usize, fill: Fill, rng: &mut Rng) -> Self {
        let kind = ActKind::of(dtype);
        let mut acts = Self { kind, rows, k, x: vec![], q: vec![], d: vec![], sums: vec![] };
        if kind == ActKind::F32 {
            acts.x = (0..rows * k).map(|_| rng.f32()).collect();
            return acts;
        }
        let integer = |rng: &mut Rng| match fill {
            Fill::Low => -127,
            Fill::High => 127,
            _ => (rng.below(255) as i32 - 127) as i8,
        };
        acts.q = (0..rows * k).map(|_| integer(rng)).collect();
        acts.d = (0..rows * k / kind.unit())
            .map(|_| if rng.below(8) == 0 { 0.0 } else { rng.f32().abs() })
            .collect();
        acts.sums = acts.q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
        acts
    }

    fn get(&self) -> Acts<'_> {
        let Self { kind, rows, k, ref x, ref q, ref d, ref sums } = *self;
        Acts { kind, rows, k, x, q, d, sums }
    }
}

fn run_gemv(kernel: &LinearKernel, w: &[u8], x: Acts<'_>, n: usize) -> Vec<f32> {
    let mut y = vec![f32::NAN; n];
    (kernel.gemv)(w, x, &mut y);
    y
}

/// The outputs of a gemm, `[tokens][n]`, written into columns `1 .. 1 + n` of a wider matrix.
fn run_gemm(kernel: &LinearKernel, w: &[u8], x: Acts<'_>, n: usize) -> Vec<f32> {
    let stride = n + 3;
    let mut y = vec![7.0; x.rows * stride];
    let mut panel = Panel::new((kernel.panel_bytes)(x.k), 0).expect("memory for a panel");
    let mut all = MatMut::new(&mut y, x.rows, stride);
    for first in (0..n).step_by(kernel.panel_rows) {
        let cols = first..n.min(first + kernel.panel_rows);
        let w = &w[first * (w.len() / n.max(1))..];
        (kernel.gemm)(w, x, &mut Columns::of(all.columns_mut(cols.start + 1..cols.end + 1)), &mut panel);
    }
    inner_columns(kernel.gemm_name, &y, n)
}

/// The outputs of a kernel for few tokens, as those of [`run_gemm`].
fn run_few(kernel: &FewKernel, w: &[u8], x: Acts<'_>, n: usize) -> Vec<f32> {
    let stride = n + 3;
    let mut y = vec![7.0; x.rows * stride];
    let mut all = MatMut::new(&mut y, x.rows, stride);
    (kernel.multiply)(w, x, &mut Columns::of(all.columns_mut(1..n + 1)));
    inner_columns(kernel.name, &y, n)
}

/// What a kernel wrote into columns `1 .. 1 + n` of `n + 3`, and nowhere else.
fn inner_columns(name: &str, y: &[f32], n: usize) -> Vec<f32> {
    let rows = y.chunks_exact(n + 3);
    for row in rows.clone() {
        assert!(row[0] == 7.0 && row[n + 1..] == [7.0, 7.0], "{name}: wrote outside its columns");
    }
    rows.flat_map(|row| row[1..=n].to_vec()).collect()
}

/// The kernels that this machine can run, with the scalar kernel of the same format. Prints what was skipped.
fn runnable() -> Vec<(&'static LinearKernel, &'static LinearKernel)> {
    let required = Isa::required().expect("HAPPY_REQUIRE_ISA");
    for isa in Isa::ALL {
        if !all_linear().any(|k| k.isa == isa) {
            continue;
        }
        match isa.available() {
            Ok(()) => println!("isa: {isa} ran"),
            Err(e) => {
                println!("isa: {isa} skipped ({e})");
                assert_ne!(required, Some(isa), "HAPPY_REQUIRE_ISA={isa}, but {e}");
            }
        }
    }
    if let Some(isa) = required {
        assert!(
            all_linear().any(|k| k.isa == isa),
            "HAPPY_REQUIRE_ISA={isa}: no kernel of this build is for it"
        );
    }
    let scalar = |k: &LinearKernel| {
        all_linear()
            .find(|s| s.isa == Isa::Scalar && s.dtype == k.dtype)
            .expect("each format has a scalar kernel")
    };
    all_linear().filter(|k| k.isa.available().is_ok()).map(|k| (k, scalar(k))).collect()
}

fn first_difference(found: &[f32], want: &[f32]) -> Option<String> {
    assert_eq!(found.len(), want.len());
    let differ = |i: &usize| found[*i].to_bits() != want[*i].to_bits();
    (0..found.len()).find(differ).map(|i| format!("output {i} is {}, expected {}", found[i], want[i]))
}

/// Compares a kernel's gemv, gemm and kernel for few tokens with the scalar kernel's gemv.
fn compare(
    (kernel, scalar): (&LinearKernel, &LinearKernel),
    (n, tokens, k): (usize, usize, usize),
    (fill_w, fill_x): (Fill, Fill),
    rng: &mut Rng,
    failed: &mut Vec<String>,
) {
    let w = weights(kernel.dtype, n, k, fill_w, rng);
    let x = OwnedActs::new(kernel.dtype, tokens, k, fill_x, rng);
    let want: Vec<f32> =
        (0..tokens).flat_map(|t| run_gemv(scalar, &w, x.get().rows_range(t, 1), n)).collect();
    assert!(want.iter().all(|y| y.is_finite()), "{}: the case is not finite", kernel.gemv_name);
    let what = format!("{n} rows, {tokens} tokens, k {k}, weights {fill_w:?}, activations {fill_x:?}");
    let gemm = run_gemm(kernel, &w, x.get(), n);
    if let Some(d) = first_difference(&gemm, &want) {
        failed.push(format!("{}: {what}: {d}", kernel.gemm_name));
    }
    if let Some(few) = &kernel.few
        && let Some(d) = first_difference(&run_few(few, &w, x.get(), n), &want)
    {
        failed.push(format!("{}: {what}: {d}", few.name));
    }
    for t in 0..tokens {
        let gemv = run_gemv(kernel, &w, x.get().rows_range(t, 1), n);
        if let Some(d) = first_difference(&gemv, &want[t * n..(t + 1) * n]) {
            failed.push(format!("{}: {what}: token {t}: {d}", kernel.gemv_name));
        }
    }
}

fn report(failed: &[String]) {
    assert!(
        failed.is_empty(),
        "{} failures, the first:\n{}",
        failed.len(),
        failed[..failed.len().min(20)].join("\n")
    );
}

#[test]
fn same_bits_as_scalar_at_every_edge() {
    let (mut rng, mut failed) = (Rng(1), Vec::new());
    for kernels in runnable() {
        let unit = ActKind::of(kernels.0.dtype).unit().max(kernels.0.dtype.block_len()).max(16);
        for n in [0, 1, 7, 8, 9, 15, 16, 17, 33] {
            for tokens in [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17] {
                let k = unit * [1, 2, 3, 5][rng.below(4) as usize];
                compare(kernels, (n, tokens, k), (Fill::Random, Fill::Random), &mut rng, &mut failed);
            }
        }
        for units in [1, 2, 3, 5] {
            compare(kernels, (17, 9, unit * units), (Fill::Random, Fill::Random), &mut rng, &mut failed);
        }
    }
    report(&failed);
}

#[test]
fn same_bits_as_scalar_for_extreme_values() {
    let (mut rng, mut failed) = (Rng(2), Vec::new());
    for kernels in runnable() {
        let unit = ActKind::of(kernels.0.dtype).unit().max(kernels.0.dtype.block_len()).max(16);
        for fill_w in FILLS {
            for fill_x in FILLS {
                compare(kernels, (17, 5, 2 * unit), (fill_w, fill_x), &mut rng, &mut failed);
            }
        }
    }
    report(&failed);
}

#[test]
fn same_bits_as_scalar_at_real_sizes() {
    let (mut rng, mut failed) = (Rng(3), Vec::new());
    for kernels in runnable() {
        for k in [576, 640, 1536, 2048] {
            if k % kernels.0.dtype.block_len() == 0 {
                compare(kernels, (40, 13, k), (Fill::Random, Fill::Random), &mut rng, &mut failed);
            }
        }
    }
    report(&failed);
}

/// With scales of one the result is the integer sum itself, which `i64` arithmetic on the decoded block gives.
#[test]
fn integer_sums_are_exact() {
    // The f16 of a stored scale that makes `d` one.
    let one = |dtype| match dtype {
        DType::IQ1S | DType::IQ1M | DType::IQ2XXS | DType::IQ2XS | DType::IQ2S => 0x4800,
        DType::IQ3XXS => 0x4400,
        _ => 0x3C00,
    };
    let (mut rng, mut failed) = (Rng(4), Vec::new());
    for (kernel, _) in runnable() {
        let fields = fields(kernel.dtype);
        let k = ActKind::of(kernel.dtype).unit().max(kernel.dtype.block_len());
        if fields == 0 {
            continue;
        }
        for fill in FILLS {
            let mut x = OwnedActs::new(kernel.dtype, 1, k, fill, &mut rng);
            x.d = vec![1.0; x.d.len()];
            let mut w = weights(kernel.dtype, 11, k, fill, &mut rng);
            // Each field alone, so that the result is one sum.
            for field in 0..fields {
                let mut want = Vec::new();
                for block in w.chunks_exact_mut(kernel.dtype.block_bytes()) {
                    for other in 0..fields {
                        set_field(
                            kernel.dtype,
                            block,
                            other,
                            if other == field { one(kernel.dtype) } else { 0 },
                        );
                    }
                    let values = with_block!(kernel.dtype, B => {
                        let mut values = B::ZEROS;
                        B::from_bytes(block).expect("one block")[0].dequantize(&mut values);
                        values.as_ref().to_vec()
                    });
                    let sum: i64 = values.iter().zip(&x.q).map(|(&w, &x)| w as i64 * i64::from(x)).sum();
                    want.push(sum as f32);
                }
                let few = kernel.few.iter().map(|few| run_few(few, &w, x.get(), 11));
                let both = [run_gemv(kernel, &w, x.get(), 11), run_gemm(kernel, &w, x.get(), 11)];
                for found in both.into_iter().chain(few) {
                    // A sum of zero may have either sign.
                    if found.iter().zip(&want).any(|(f, w)| f != w) {
                        failed.push(format!(
                            "{kernel:?}: {fill:?}, field {field}: {found:?}, expected {want:?}"
                        ));
                    }
                }
            }
        }
    }
    report(&failed);
}

#[test]
fn an_overlong_matrix_is_read_as_far_as_asked() {
    let mut rng = Rng(5);
    for (kernel, _) in runnable() {
        let k = 512;
        let w = weights(kernel.dtype, 40, k, Fill::Random, &mut rng);
        let x = OwnedActs::new(kernel.dtype, 1, k, Fill::Random, &mut rng);
        let all = run_gemv(kernel, &w, x.get(), 40);
        for n in [1, 9, 24] {
            assert_eq!(run_gemv(kernel, &w, x.get(), n), all[..n], "{}", kernel.gemv_name);
            if let Some(few) = &kernel.few {
                assert_eq!(run_few(few, &w, x.get(), n), all[..n], "{}", few.name);
            }
        }
    }
}

/// The numbers of `"list": [..]` in the object `"name": {..}`.
fn numbers(json: &str, name: &str, list: &str) -> Vec<f64> {
    let after = |text: &'static str, s: &str, key: &str| {
        let key = format!("\"{key}\": {text}");
        s.find(&key).map(|at| s[at + key.len()..].to_owned())
    };
    let object = after("{", json, name).unwrap_or_default();
    let list = after("[", &object, list).unwrap_or_default();
    list.split(']').next().unwrap_or("").split(',').filter_map(|x| x.trim().parse().ok()).collect()
}

/// Activations and weights that llama.cpp quantized, against the exact products of the decoded values.
#[test]
fn products_of_the_conformance_corpus() {
    const K: usize = 1024;
    let files = happy_testkit::Corpus::repository().open("quants").expect("a corpus");
    let read = |name: &str| files.bytes(&format!("vecdot/{name}")).expect(name);
    let json = files.text("vecdot/expected.json").expect("expected.json");
    let mut failed = Vec::new();
    for (kernel, _) in runnable() {
        let kind = ActKind::of(kernel.dtype);
        // Blocks of (f16 d, 32 q), of (f16 d, f16 sum, 32 q), or of (f32 d, 256 q, sums)
        let has_min = matches!(kernel.dtype, DType::Q4_1 | DType::Q5_1);
        let (file, bytes, q_at) = match kind {
            ActKind::F32 => continue,
            ActKind::Q8x32 if has_min => ("act_Q8_1.bin", 36, 4),
            ActKind::Q8x32 => ("act_Q8_0.bin", 34, 2),
            ActKind::Q8x256 => ("act_Q8_K.bin", 292, 4),
        };
        let mut x = OwnedActs { kind, rows: 0, k: K, x: vec![], q: vec![], d: vec![], sums: vec![] };
        for block in read(file).chunks_exact(bytes) {
            x.d.push(match kind {
                ActKind::Q8x256 => f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                _ => happy_tensor::convert::f16_to_f32(u16::from_le_bytes([block[0], block[1]])),
            });
            x.q.extend(block[q_at..q_at + kind.unit()].iter().map(|&q| q as i8));
        }
        x.sums = x.q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
        x.rows = x.q.len() / K;
        let name = kernel.dtype.name();
        let want = numbers(&json, name, "dot_dequantised_f64");
        assert_eq!(want.len(), x.rows, "{name} of expected.json");
        let w = read(&format!("w_{name}.bin"));
        let row_bytes = w.len() / x.rows;
        for (t, want) in want.iter().enumerate() {
            let row = &w[t * row_bytes..(t + 1) * row_bytes];
            let acts = x.get().rows_range(t, 1);
            for found in [run_gemv(kernel, row, acts, 1)[0], run_gemm(kernel, row, acts, 1)[0]] {
                let error = (f64::from(found) - want).abs() / want.abs().max(1.0);
                if error > 2e-6 {
                    failed.push(format!("{kernel:?}: row {t}: {found}, expected {want} ({error:.1e})"));
                }
            }
        }
    }
    report(&failed);
}
