//! Each intrinsic on the same inputs: emulated, by a plain loop, and by the hardware where it has AVX-512.

use core::arch::x86_64 as hardware;
use half::f16;

type F = [f32; 16];
type I = [i32; 16];
/// A name and the bits of a result. Shorter results are padded with zeros.
type Result = (&'static str, [u32; 16]);

/// Two of every kind, since no lane of a result depends on other lanes of the inputs.
struct Inputs {
    f: [F; 3],
    i: [I; 3],
    mask: u16,
}

macro_rules! results {
    ($name:ident, $intrinsics:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(x: &Inputs) -> Vec<Result> {
            use $intrinsics::*;
            let mut all: Vec<Result> = Vec::new();
            // SAFETY: the caller has the features; arrays have the sizes of the registers.
            unsafe {
                let [a, b, c] = x.f.each_ref().map(|x| _mm512_loadu_ps(x.as_ptr()));
                let [i, j, k] = x.i.each_ref().map(|x| _mm512_loadu_si512(x.as_ptr().cast()));
                let narrow = |x: &I| _mm256_loadu_si256(x.as_ptr().cast());
                let mut add = |name, result: __m512| {
                    let mut lanes = [0.0; 16];
                    _mm512_storeu_ps(lanes.as_mut_ptr(), result);
                    all.push((name, lanes.map(f32::to_bits)));
                };
                add("add_ps", _mm512_add_ps(a, b));
                add("sub_ps", _mm512_sub_ps(a, b));
                add("mul_ps", _mm512_mul_ps(a, b));
                add("div_ps", _mm512_div_ps(a, b));
                add("min_ps", _mm512_min_ps(a, b));
                add("max_ps", _mm512_max_ps(a, b));
                add("fmadd_ps", _mm512_fmadd_ps(a, b, c));
                add("fnmadd_ps", _mm512_fnmadd_ps(a, b, c));
                add("set1_ps", _mm512_set1_ps(x.f[0][3]));
                add("cvtepi32_ps", _mm512_cvtepi32_ps(i));
                add("cvtph_ps", _mm512_cvtph_ps(narrow(&x.i[0])));
                add("mask_blend_ps", _mm512_mask_blend_ps(x.mask, a, b));
                add("cmp_ps_mask", _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), a, c));
                add(
                    "insert, cast",
                    _mm512_insertf32x8::<1>(
                        _mm512_castps256_ps512(_mm512_castps512_ps256(a)),
                        _mm512_extractf32x8_ps::<1>(b),
                    ),
                );
                add("insert low", _mm512_insertf32x8::<0>(a, _mm512_extractf32x8_ps::<0>(b)));
                let mut add = |name, result: __m512i| add(name, _mm512_castsi512_ps(result));
                add("castps_si512", _mm512_castps_si512(a));
                add("add_epi32", _mm512_add_epi32(i, j));
                add("mullo_epi32", _mm512_mullo_epi32(i, j));
                add("max_epi32", _mm512_max_epi32(i, j));
                add("and_si512", _mm512_and_si512(i, j));
                add("or_si512", _mm512_or_si512(i, j));
                add("slli_epi32", _mm512_slli_epi32::<16>(i));
                add("set1_epi32", _mm512_set1_epi32(x.i[0][3]));
                add("cvtepu16_epi32", _mm512_cvtepu16_epi32(narrow(&x.i[1])));
                add("dpbusd_epi32", _mm512_dpbusd_epi32(k, i, j));
                add("dpwssd_epi32", _mm512_dpwssd_epi32(k, i, j));
                let short = |bytes: &[u8]| {
                    let mut lanes = [0; 16];
                    for (lane, bytes) in lanes.iter_mut().zip(bytes.as_chunks().0) {
                        *lane = u32::from_ne_bytes(*bytes);
                    }
                    lanes
                };
                let mut bytes = [0_u8; 32];
                let mut add = |name, result: __m256i| {
                    _mm256_storeu_si256(bytes.as_mut_ptr().cast(), result);
                    all.push((name, short(&bytes)));
                };
                add(
                    "dpbusd_epi32 256",
                    _mm256_dpbusd_epi32(narrow(&x.i[2]), narrow(&x.i[0]), narrow(&x.i[1])),
                );
                add(
                    "dpwssd_epi32 256",
                    _mm256_dpwssd_epi32(narrow(&x.i[2]), narrow(&x.i[0]), narrow(&x.i[1])),
                );
                add("cvtps_ph", _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a));
                let mut bytes = [0_u8; 16];
                _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(i));
                all.push(("cvtepi32_epi8", short(&bytes)));
                let sums = [_mm512_reduce_max_epi32(i), _mm512_reduce_add_epi32(i)];
                all.push(("reduce", core::array::from_fn(|n| sums.get(n).map_or(0, |&sum| sum as u32))));
            }
            all
        }
    };
}

use super as emulated;
results!(by_emulation, emulated, "avx2,fma,f16c");
results!(by_hardware, hardware, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni");

/// The expected results, from the definitions in Intel's Intrinsics Guide.
fn by_loops(x: &Inputs) -> Vec<Result> {
    use core::array::from_fn;
    let ([a, b, c], [i, j, k]) = (x.f, x.i);
    let f = |f: &dyn Fn(usize) -> f32| from_fn(|n| f(n).to_bits());
    let int = |f: &dyn Fn(usize) -> i32| from_fn(|n| f(n) as u32);
    let halves = |x: &I| -> [u16; 32] { from_fn(|n| (x[n / 2] >> (16 * (n % 2))) as u16) };
    let short = |n: usize, lanes: [u32; 16]| from_fn(|i| if i < n { lanes[i] } else { 0 });
    let dpbusd = |n: usize| {
        let (u, s) = (i[n].to_le_bytes(), j[n].to_le_bytes());
        (0..4).fold(k[n], |sum, b| sum.wrapping_add(i32::from(u[b]) * i32::from(s[b] as i8)))
    };
    let dpwssd = |n: usize| {
        let (u, s) = (halves(&i), halves(&j));
        let product = |n: usize| i32::from(u[n] as i16) * i32::from(s[n] as i16);
        k[n].wrapping_add(product(2 * n)).wrapping_add(product(2 * n + 1))
    };
    let bits16 = |n: usize| u32::from(f16::from_f32(a[n]).to_bits());
    vec![
        ("add_ps", f(&|n| a[n] + b[n])),
        ("sub_ps", f(&|n| a[n] - b[n])),
        ("mul_ps", f(&|n| a[n] * b[n])),
        ("div_ps", f(&|n| a[n] / b[n])),
        ("min_ps", f(&|n| if a[n] < b[n] { a[n] } else { b[n] })),
        ("max_ps", f(&|n| if a[n] > b[n] { a[n] } else { b[n] })),
        ("fmadd_ps", f(&|n| a[n].mul_add(b[n], c[n]))),
        ("fnmadd_ps", f(&|n| (-a[n]).mul_add(b[n], c[n]))),
        ("set1_ps", f(&|_| a[3])),
        ("cvtepi32_ps", f(&|n| i[n] as f32)),
        ("cvtph_ps", f(&|n| f16::from_bits(halves(&i)[n]).to_f32())),
        ("mask_blend_ps", f(&|n| if x.mask >> n & 1 == 1 { b[n] } else { a[n] })),
        ("cmp_ps_mask", f(&|n| if a[n] < b[n] { c[n] } else { a[n] })),
        ("insert, cast", f(&|n| if n < 8 { a[n] } else { b[n] })),
        ("insert low", f(&|n| if n < 8 { b[n] } else { a[n] })),
        ("castps_si512", f(&|n| a[n])),
        ("add_epi32", int(&|n| i[n].wrapping_add(j[n]))),
        ("mullo_epi32", int(&|n| i[n].wrapping_mul(j[n]))),
        ("max_epi32", int(&|n| i[n].max(j[n]))),
        ("and_si512", int(&|n| i[n] & j[n])),
        ("or_si512", int(&|n| i[n] | j[n])),
        ("slli_epi32", int(&|n| i[n] << 16)),
        ("set1_epi32", int(&|_| i[3])),
        ("cvtepu16_epi32", int(&|n| i32::from(halves(&j)[n]))),
        ("dpbusd_epi32", int(&dpbusd)),
        ("dpwssd_epi32", int(&dpwssd)),
        ("dpbusd_epi32 256", short(8, int(&dpbusd))),
        ("dpwssd_epi32 256", short(8, int(&dpwssd))),
        ("cvtps_ph", short(8, from_fn(|n| if n < 8 { bits16(2 * n) | bits16(2 * n + 1) << 16 } else { 0 }))),
        (
            "cvtepi32_epi8",
            short(
                4,
                from_fn(|n| if n < 4 { u32::from_le_bytes(from_fn(|b| i[4 * n + b] as u8)) } else { 0 }),
            ),
        ),
        (
            "reduce",
            short(
                2,
                from_fn(|n| match n {
                    0 => i.into_iter().fold(i32::MIN, i32::max) as u32,
                    _ => i.into_iter().fold(0, i32::wrapping_add) as u32,
                }),
            ),
        ),
    ]
}

fn inputs() -> Vec<Inputs> {
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    let edges_f =
        [0.0, -0.0, 1.0, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, 65_504.0, 65_520.0, 6e-8, -2.5e-8];
    let edges_i = [
        0,
        -1,
        i32::MIN,
        i32::MAX,
        0x80_80_80_80_u32 as i32,
        0x7F7F_7F7F,
        0xFFFF_8000_u32 as i32,
        0x8000_8000_u32 as i32,
    ];
    let mut all = Vec::new();
    for round in 0..300 {
        let mut float = || {
            let bits = next();
            match round % 3 {
                0 => edges_f[bits as usize % edges_f.len()],
                _ => (bits as i32 >> 8) as f32 / 1024.0,
            }
        };
        let f = [(); 3].map(|()| [(); 16].map(|()| float()));
        let mut int = || {
            let bits = next();
            if round % 3 == 0 { edges_i[bits as usize % edges_i.len()] } else { bits as i32 }
        };
        let i = [(); 3].map(|()| [(); 16].map(|()| int()));
        all.push(Inputs { f, i, mask: next() as u16 });
    }
    all
}

/// Returns the bits without the payload of a NaN, which no definition promises.
fn same(a: &Result, b: &Result) -> bool {
    let nan = |bits: u32| f32::from_bits(bits).is_nan();
    a.0 == b.0 && a.1.iter().zip(&b.1).all(|(&a, &b)| a == b || (nan(a) && nan(b)))
}

#[test]
fn emulated_intrinsics_do_what_the_hardware_does() {
    let have =
        |isa: crate::Isa| isa.features().iter().all(|f| crate::isa::cpu_features().contains(&(f, true)));
    if !have(crate::Isa::Avx2) {
        println!("isa: avx2 skipped");
        return;
    }
    let hardware = ["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni"];
    let hardware = hardware.iter().all(|f| crate::isa::cpu_features().contains(&(f, true)));
    if !hardware {
        println!("isa: avx512 skipped");
    }
    let mut failures = Vec::new();
    for x in &inputs() {
        // SAFETY: the features were looked for.
        let emulated = unsafe { by_emulation(x) };
        let mut compare = |with: &str, expected: Vec<Result>| {
            assert_eq!(emulated.len(), expected.len());
            for (found, expected) in emulated.iter().zip(&expected) {
                if !same(found, expected) {
                    failures.push(format!("{}: {:x?}, {with}: {:x?}", found.0, found.1, expected.1));
                }
            }
        };
        compare("by loops", by_loops(x));
        if hardware {
            // SAFETY: the features were looked for.
            compare("hardware", unsafe { by_hardware(x) });
        }
    }
    failures.truncate(10);
    assert!(failures.is_empty(), "{failures:#?}");
}
