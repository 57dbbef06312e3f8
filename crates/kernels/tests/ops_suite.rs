//! Every operation on every instruction set of this machine, bit for bit against the scalar code, and the scalar code
//! against f64. `HAPPY_REQUIRE_ISA=name` makes it a failure not to have that instruction set.

mod common;

use common::{Rng, accelerated, bits, required_is_there};
use happy_kernels::linear::ActKind;
use happy_kernels::ops::{Activation, Gating, Ops, RopePairing, RouteSpec, route};
use happy_kernels::{FpEnv, Kernels};
use happy_tensor::activation::{RowMut, quantize_row};

const XIELU: Activation = Activation::Xielu { alpha_n: 0.75, alpha_p: 0.625, beta: 0.5, eps: -1e-6 };

/// Around registers, tiles and their multiples.
const SIZES: [usize; 16] = [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 256, 257, 1000];

const ACTIVATIONS: [Activation; 12] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluErf,
    Activation::GeluQuick,
    Activation::Relu,
    Activation::ReluSquared,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Softplus,
    Activation::SwigluOai { alpha: 1.702, limit: 7.0 },
    Activation::SwigluClamped { limit: 2.0 },
    XIELU,
];

/// Runs every operation on one input; the bits of all results, with names.
fn run_all(ops: &Ops, x: &[f32], y: &[f32]) -> Vec<(String, Vec<u32>)> {
    let mut out = Vec::new();
    let mut in_place = |name: String, f: &dyn Fn(&mut [f32])| {
        let mut z = x.to_vec();
        f(&mut z);
        out.push((name, bits(&z)));
    };
    for activation in ACTIVATIONS {
        in_place(format!("{activation:?}"), &|z| (ops.activate)(activation, z));
        in_place(format!("glu {activation:?}"), &|z| (ops.glu)(activation, z, y));
    }
    in_place("add".into(), &|z| (ops.add)(z, y));
    in_place("mul".into(), &|z| (ops.mul)(z, y));
    in_place("add_scaled".into(), &|z| (ops.add_scaled)(z, y, 0.3));
    in_place("scale".into(), &|z| (ops.scale)(z, 1.7));
    in_place("exp".into(), &|z| (ops.exp)(z));
    in_place("softplus".into(), &|z| (ops.softplus)(z));
    in_place("soft_cap".into(), &|z| (ops.soft_cap)(z, 30.0));
    in_place("softmax".into(), &|z| (ops.softmax)(z));
    in_place("rms_norm".into(), &|z| (ops.rms_norm)(x, None, 1e-5, z));
    in_place("rms_norm weight".into(), &|z| (ops.rms_norm)(x, Some(y), 1e-5, z));
    in_place("layer_norm".into(), &|z| (ops.layer_norm)(x, None, None, 1e-5, z));
    in_place("layer_norm weight bias".into(), &|z| (ops.layer_norm)(x, Some(y), Some(y), 1e-5, z));
    for pairing in [RopePairing::Adjacent, RopePairing::Halves] {
        for (head_dim, n_rot) in [(16, 16), (64, 64), (80, 32)] {
            in_place(format!("rope {pairing:?} {head_dim} {n_rot}"), &|z| {
                let whole = z.len() / head_dim * head_dim;
                if whole > 0 {
                    (ops.rope)(&mut z[..whole], head_dim, &y[..n_rot.min(y.len()) / 2 * 2], pairing);
                }
            });
        }
    }
    let mut half = vec![0u16; x.len()];
    (ops.to_f16)(x, &mut half);
    out.push(("to_f16".into(), half.iter().map(|h| u32::from(*h)).collect()));
    let mut wide = vec![0.0; x.len()];
    (ops.from_f16)(&half, &mut wide);
    out.push(("from_f16".into(), bits(&wide)));
    out.push(("all_finite".into(), vec![u32::from((ops.all_finite)(x))]));
    out.push(("argmax".into(), vec![(ops.argmax)(x).map_or(u32::MAX, |i| i as u32)]));
    for kind in [ActKind::Q8x32, ActKind::Q8x256] {
        let units = x.len() / kind.unit();
        let len = units * kind.unit();
        let (mut q, mut d, mut sums) = (vec![1i8; len], vec![1.0f32; units], vec![1i16; len / 16]);
        let ok = (ops.quantize)(kind, &x[..len], &mut q, &mut d, &mut sums);
        let mut all = vec![u32::from(ok)];
        all.extend(q.iter().map(|q| *q as u32));
        all.extend(bits(&d));
        all.extend(sums.iter().map(|s| *s as u32));
        out.push((format!("quantize {kind:?}"), all));
    }
    out
}

#[test]
fn every_isa_gives_the_bits_of_scalar() {
    required_is_there();
    let scalar = Kernels::scalar();
    let mut failed = Vec::new();
    for kernels in accelerated() {
        let mut rng = Rng::new(1);
        for n in SIZES {
            for scale in [1e-30, 1e-3, 1.0, 20.0, 1e4] {
                let x: Vec<f32> = (0..n).map(|_| rng.normal() * scale).collect();
                let y: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
                let (expected, found) = (run_all(&scalar.ops, &x, &y), run_all(&kernels.ops, &x, &y));
                for ((name, expected), (_, found)) in expected.into_iter().zip(found) {
                    if expected != found {
                        failed.push(format!("{}: {name}, {n} values of scale {scale}", kernels.isa));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn special_values_give_the_bits_of_scalar() {
    let x: Vec<f32> =
        [0.0, -0.0, 1e-40, -1e-40, 87.0, 88.8, 89.0, -87.3, -87.4, -104.0, 1e30, -1e30, 65504.0, 65520.0]
            .into_iter()
            .cycle()
            .take(64)
            .collect();
    let scalar = Kernels::scalar();
    for kernels in accelerated() {
        let (expected, found) = (run_all(&scalar.ops, &x, &x), run_all(&kernels.ops, &x, &x));
        for ((name, expected), (_, found)) in expected.into_iter().zip(found) {
            // NaNs (infinity over infinity) have no promised bits
            let same =
                |(a, b): (&u32, &u32)| a == b || f32::from_bits(*a).is_nan() && f32::from_bits(*b).is_nan();
            assert!(
                expected.iter().zip(&found).all(same),
                "{}: {name}\n{expected:x?}\n{found:x?}",
                kernels.isa
            );
        }
    }
}

#[test]
fn quantize_has_the_bits_of_the_reference() {
    let mut all = vec![Kernels::scalar()];
    all.extend(accelerated());
    let mut rng = Rng::new(2);
    for case in 0..40 {
        let mut x: Vec<f32> = (0..1024).map(|_| rng.normal() * 10f32.powi(case - 20)).collect();
        if case % 4 == 0 {
            // ties
            for (i, x) in x.iter_mut().enumerate() {
                *x = if i % 32 == 0 { 127.0 } else { (i % 251) as f32 * 0.5 - 62.5 };
            }
        }
        if case == 39 {
            x[700] = f32::NAN;
        }
        for kernels in &all {
            for kind in [ActKind::Q8x32, ActKind::Q8x256] {
                let units = 1024 / kind.unit();
                let (mut q, mut d, mut sums) = (vec![0i8; 1024], vec![0.0f32; units], vec![0i16; 64]);
                let (mut rq, mut rd, mut rsums) = (q.clone(), d.clone(), sums.clone());
                let ok = (kernels.ops.quantize)(kind, &x, &mut q, &mut d, &mut sums);
                let mut out = RowMut { q: &mut rq, d: &mut rd, sums: &mut rsums };
                let expected = match kind {
                    ActKind::Q8x32 => quantize_row::<32, 2>(&x, &mut out),
                    _ => quantize_row::<256, 16>(&x, &mut out),
                };
                assert_eq!(ok, expected.is_ok(), "{} case {case}", kernels.isa);
                assert!(
                    q == rq && bits(&d) == bits(&rd) && sums == rsums,
                    "{} {kind:?} case {case}",
                    kernels.isa
                );
            }
        }
    }
}

/// Greatest error of `f` over a range, in units of `max(|true value|, least)` times 2^-24.
fn worst(f: impl Fn(&mut [f32]), truth: impl Fn(f64) -> f64, low: f32, high: f32, least: f64) -> f64 {
    let n = 200_000;
    let x: Vec<f32> = (0..n).map(|i| low + (high - low) * (i as f32 / n as f32)).collect();
    let mut y = x.clone();
    f(&mut y);
    x.iter().zip(&y).fold(0.0, |worst: f64, (x, y)| {
        let t = truth(f64::from(*x));
        let error = (f64::from(*y) - t).abs() / t.abs().max(least) * 2f64.powi(24);
        if error.is_nan() { f64::INFINITY } else { worst.max(error) }
    })
}

#[test]
fn functions_are_close_to_the_truth() {
    let ops = Kernels::scalar().ops;
    let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
    let gelu = |x: f64| {
        let u = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
        x * sigmoid(2.0 * u)
    };
    let erf = |x: f64| 0.5 * x * libm::erfc(-x / core::f64::consts::SQRT_2);
    let act = |a| move |x: &mut [f32]| (ops.activate)(a, x);
    // e^x by way of softmax over pairs would hide the polynomial; sigmoid(x) = e^x / (1 + e^x) shows it for x << 0
    let xielu = |x: f64| match x > 0.0 {
        true => 0.625 * x * x + 0.5 * x,
        false => 0.75 * (libm::expm1(x.min(f64::from(-1e-6f32))) - x) + 0.5 * x,
    };
    let softplus = |x: f64| libm::log1p(libm::exp(x));
    let cases: [(&str, f64, f64); 14] = [
        ("sigmoid", worst(act(Activation::Sigmoid), sigmoid, -80.0, 20.0, 0.0), 5.0),
        ("silu", worst(act(Activation::Silu), |x| x * sigmoid(x), -80.0, 20.0, 1e-30), 6.0),
        ("tanh", worst(act(Activation::Tanh), libm::tanh, -10.0, 10.0, 1e-30), 5.0),
        ("tanh near 0", worst(act(Activation::Tanh), libm::tanh, -0.7, 0.7, 1e-30), 5.0),
        ("gelu", worst(act(Activation::Gelu), gelu, -5.0, 8.0, 1e-3), 24.0),
        ("gelu erf", worst(act(Activation::GeluErf), erf, -5.0, 8.0, 1e-3), 24.0),
        ("gelu quick", worst(act(Activation::GeluQuick), |x| x * sigmoid(1.702 * x), -20.0, 8.0, 1e-3), 12.0),
        ("gelu far", worst(act(Activation::Gelu), gelu, -12.0, 12.0, 0.1), 10.0),
        ("gelu erf far", worst(act(Activation::GeluErf), erf, -12.0, 12.0, 0.1), 10.0),
        ("softplus", worst(|x| (ops.softplus)(x), softplus, -80.0, 30.0, 1e-30), 6.0),
        ("softplus near 0", worst(|x| (ops.softplus)(x), softplus, -3.0, 3.0, 1e-30), 6.0),
        ("xielu", worst(act(XIELU), xielu, -20.0, 20.0, 1.0), 8.0),
        ("xielu near 0", worst(act(XIELU), xielu, -0.7, 0.7, 1e-6), 8.0),
        (
            "soft cap",
            worst(|x| (ops.soft_cap)(x, 30.0), |x| 30.0 * libm::tanh(x / 30.0), -100.0, 100.0, 1e-30),
            6.0,
        ),
    ];
    let mut failed = Vec::new();
    for (name, error, bound) in cases {
        println!("{name}: {error:.2} half ulps, bound {bound}");
        if error > bound {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn norms_and_softmax_are_close_to_the_truth() {
    let ops = Kernels::scalar().ops;
    let mut rng = Rng::new(3);
    for n in SIZES.into_iter().filter(|n| *n > 0) {
        let x: Vec<f32> = (0..n).map(|_| rng.normal() * 3.0 + 0.5).collect();
        let w: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
        let f64s: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let mean = f64s.iter().sum::<f64>() / n as f64;
        let square = f64s.iter().map(|x| x * x).sum::<f64>() / n as f64;
        let variance = f64s.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
        let greatest = f64s.iter().fold(f64::MIN, |m, x| m.max(*x));
        let total: f64 = f64s.iter().map(|x| libm::exp(x - greatest)).sum();
        let close = |name: &str, found: &[f32], truth: &dyn Fn(usize) -> f64| {
            for (i, y) in found.iter().enumerate() {
                let error = (f64::from(*y) - truth(i)).abs();
                assert!(
                    error <= 2e-6 * truth(i).abs() + 2e-6,
                    "{name} of {n}: {y} at {i}, expected {}",
                    truth(i)
                );
            }
        };
        let mut y = vec![0.0; n];
        (ops.rms_norm)(&x, Some(&w), 1e-5, &mut y);
        close("rms_norm", &y, &|i| f64s[i] / libm::sqrt(square + 1e-5) * f64::from(w[i]));
        (ops.layer_norm)(&x, Some(&w), Some(&w), 1e-5, &mut y);
        close("layer_norm", &y, &|i| {
            ((f64s[i] - mean) / libm::sqrt(variance + 1e-5)) * f64::from(w[i]) + f64::from(w[i])
        });
        y.copy_from_slice(&x);
        (ops.softmax)(&mut y);
        close("softmax", &y, &|i| libm::exp(f64s[i] - greatest) / total);
    }
}

#[test]
fn finite_and_argmax_see_every_element() {
    let mut all = vec![Kernels::scalar()];
    all.extend(accelerated());
    for kernels in &all {
        for n in [1, 16, 17, 40] {
            for i in 0..n {
                let mut x = vec![-1.0f32; n];
                x[i] = 2.0;
                assert_eq!((kernels.ops.argmax)(&x), Some(i));
                assert!((kernels.ops.all_finite)(&x));
                for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                    x[i] = bad;
                    assert!(!(kernels.ops.all_finite)(&x), "{} {n} {i}", kernels.isa);
                }
            }
        }
        assert_eq!((kernels.ops.argmax)(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!((kernels.ops.argmax)(&[]), None);
    }
}

#[test]
fn f16_rounds_like_the_reference() {
    let mut all = vec![Kernels::scalar()];
    all.extend(accelerated());
    let _fp = FpEnv::enter();
    for kernels in &all {
        let halves: Vec<u16> = (0..=u16::MAX).filter(|h| h & 0x7C00 != 0x7C00).collect();
        let mut wide = vec![0.0; halves.len()];
        (kernels.ops.from_f16)(&halves, &mut wide);
        let mut back = vec![0; halves.len()];
        (kernels.ops.to_f16)(&wide, &mut back);
        assert_eq!(halves, back, "{}", kernels.isa);
        // halfway to the next, and a step to both sides
        for step in [-1i32, 0, 1] {
            let between: Vec<f32> = wide
                .iter()
                .zip(wide.iter().skip(1))
                .map(|(a, b)| f32::from_bits(((0.5 * (a + b)).to_bits() as i32).wrapping_add(step) as u32))
                .filter(|x| x.is_finite())
                .collect();
            let mut found = vec![0; between.len()];
            (kernels.ops.to_f16)(&between, &mut found);
            let expected: Vec<u16> =
                between.iter().map(|x| happy_tensor::f16::from_f32(*x).to_bits()).collect();
            assert_eq!(found, expected, "{}", kernels.isa);
        }
    }
}

#[test]
fn routing() {
    struct Case {
        name: &'static str,
        spec: RouteSpec,
        logits: [f32; 4],
        bias: Option<[f32; 4]>,
        ids: [u32; 2],
        weights: [f64; 2],
    }
    let spec = |gating, normalize, scale| RouteSpec { gating, normalize, scale, groups: None };
    let e = |x: f64| libm::exp(x);
    let sigmoid = |x: f64| 1.0 / (1.0 + e(-x));
    let total = e(1.0) + e(3.0) + e(2.0) + e(0.0);
    let logits = [1.0, 3.0, 2.0, 0.0];
    let cases = [
        Case {
            name: "softmax",
            spec: spec(Gating::Softmax, false, 1.0),
            logits,
            bias: None,
            ids: [1, 2],
            weights: [e(3.0) / total, e(2.0) / total],
        },
        Case {
            name: "softmax, normalized and scaled",
            spec: spec(Gating::Softmax, true, 2.0),
            logits,
            bias: None,
            ids: [1, 2],
            weights: [2.0 * sigmoid(1.0), 2.0 * sigmoid(-1.0)],
        },
        Case {
            name: "softmax after the choice",
            spec: spec(Gating::SoftmaxAfterTopK, false, 1.0),
            logits,
            bias: None,
            ids: [1, 2],
            weights: [sigmoid(1.0), sigmoid(-1.0)],
        },
        Case {
            name: "sigmoid after the choice, of logits whose sigmoids are equal",
            spec: spec(Gating::SigmoidAfterTopK, false, 1.0),
            logits: [20.0, 22.0, 21.0, 0.0],
            bias: None,
            ids: [1, 2],
            weights: [1.0, 1.0],
        },
        Case {
            name: "sigmoid with a bias of the choice",
            spec: spec(Gating::Sigmoid, false, 1.0),
            logits,
            bias: Some([0.0, -5.0, 0.0, 0.0]),
            ids: [2, 0],
            weights: [sigmoid(2.0), sigmoid(1.0)],
        },
        Case {
            name: "the best expert is not in the best group",
            spec: RouteSpec { groups: Some((2, 1)), ..spec(Gating::SoftmaxAfterTopK, false, 1.0) },
            logits: [1.0, 2.5, 3.0, 0.0],
            bias: None,
            ids: [1, 0],
            weights: [sigmoid(1.5), sigmoid(-1.5)],
        },
        Case {
            name: "groups by score and bias, the weights without the bias",
            spec: RouteSpec { groups: Some((2, 1)), ..spec(Gating::Sigmoid, false, 1.0) },
            logits: [1.0, 3.0, 2.0, 0.0],
            bias: Some([0.0, 0.0, 0.0, 1.0]),
            ids: [3, 2],
            weights: [sigmoid(0.0), sigmoid(2.0)],
        },
        Case {
            name: "groups of one expert",
            spec: RouteSpec { groups: Some((4, 2)), ..spec(Gating::SoftmaxAfterTopK, false, 1.0) },
            logits,
            bias: None,
            ids: [1, 2],
            weights: [sigmoid(1.0), sigmoid(-1.0)],
        },
        Case {
            name: "equal groups: the lower one",
            spec: RouteSpec { groups: Some((2, 1)), ..spec(Gating::SoftmaxAfterTopK, false, 1.0) },
            logits: [1.0, 2.0, 2.0, 1.0],
            bias: None,
            ids: [1, 0],
            weights: [sigmoid(1.0), sigmoid(-1.0)],
        },
        Case {
            name: "equal scores go to the lower id, zeros of both signs are equal",
            spec: spec(Gating::SoftmaxAfterTopK, false, 1.0),
            logits: [-1.0, -0.0, 0.0, -0.0],
            bias: None,
            ids: [1, 2],
            weights: [0.5, 0.5],
        },
    ];
    let mut all = vec![Kernels::scalar()];
    all.extend(accelerated());
    let mut failed = Vec::new();
    for c in &cases {
        for kernels in &all {
            let (mut logits, mut ids, mut weights) = (c.logits, [9; 2], [0.0; 2]);
            route(
                &kernels.ops,
                &c.spec,
                &mut logits,
                c.bias.as_ref().map(|b| &b[..]),
                &mut ids,
                &mut weights,
            );
            let close = weights.iter().zip(c.weights).all(|(w, t)| (f64::from(*w) - t).abs() < 1e-6);
            if ids != c.ids || !close {
                failed.push(format!("{} on {}: {ids:?} {weights:?}", c.name, kernels.isa));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
