//! Properties over arbitrary logits: no panic, a valid token or an error, determinism, clone and reset.

use happy_sampler::{Candidates, Params, Sampler, SamplerError, Step, TokenId};
use proptest::prelude::*;

fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -40.0f32..40.0,
        2 => Just(f32::NEG_INFINITY),
        2 => Just(1.5f32),
        1 => any::<f32>().prop_filter("NaN and +inf are refused, tested apart", |x| *x < f32::INFINITY),
    ]
}

/// Appends step number `kind` with a parameter in 0..=1.
fn add(b: happy_sampler::SamplerBuilder, kind: u8, x: f32) -> happy_sampler::SamplerBuilder {
    match kind {
        0 => b.temperature(x * 2.0),
        1 => b.top_k((x * 50.0) as usize),
        2 => b.top_p(x),
        3 => b.min_p(x),
        4 => b.typical(x),
        5 => b.penalties(8, 0.5 + x, x - 0.5, x),
        6 => b.logit_bias([(0, x * 1e30), (3, f32::NEG_INFINITY), (7, -x)]),
        7 => b.dynamic_temperature(x, 0.5, 1.0),
        8 => b.top_n_sigma(x * 3.0),
        9 => b.dry(x, 1.0 + x, 1, 16, [vec![2], vec![3, 4]]),
        10 => b.temperature(x * 1e-40),
        _ => b.xtc(0.5, x * 0.5),
    }
}

proptest! {
    #[test]
    fn any_chain_on_any_logits(
        logits in proptest::collection::vec(logit(), 1..300),
        chain in proptest::collection::vec((0u8..12, 0.0f32..=1.0), 0..6),
        history in proptest::collection::vec(0u32..20, 0..30),
        seed in any::<u64>(),
    ) {
        let mut b = Sampler::builder().seed(seed);
        for (kind, x) in &chain {
            b = add(b, *kind, *x);
        }
        let mut s = b.build().unwrap();
        history.iter().for_each(|t| s.accept(*t));
        let mut twin = s.clone();
        let draws: Vec<_> = (0..4).map(|_| s.sample(&logits)).collect();
        let again: Vec<_> = (0..4).map(|_| twin.sample(&logits)).collect();
        prop_assert_eq!(&draws, &again);
        for t in draws {
            match t {
                Ok(t) => prop_assert!(logits[t as usize] > f32::NEG_INFINITY),
                Err(SamplerError::NoCandidate { .. }) => {}
                Err(e) => return Err(TestCaseError::fail(e.to_string())),
            }
        }
        s.reset();
        history.iter().for_each(|t| s.accept(*t));
        let first: Vec<_> = (0..4).map(|_| s.sample(&logits)).collect();
        prop_assert_eq!(&first, &again);
    }

    #[test]
    fn greedy_is_the_first_maximum(logits in proptest::collection::vec(logit(), 1..3000)) {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let expect = logits.iter().position(|&l| l == max && l > f32::NEG_INFINITY).map(|i| i as TokenId);
        for mut s in [
            Sampler::greedy(),
            Sampler::builder().top_k(0).greedy().build().unwrap(),
            Sampler::builder().top_k(1).build().unwrap(),
            Sampler::builder().temperature(0.0).build().unwrap(),
        ] {
            prop_assert_eq!(s.sample(&logits).ok(), expect);
        }
    }

    #[test]
    fn softmax_adds_up(logits in proptest::collection::vec(-40.0f32..40.0, 1..300)) {
        let mut c = Candidates::new();
        c.fill(&logits).unwrap();
        c.softmax();
        let sum: f64 = c.as_slice().iter().map(|x| f64::from(x.p)).sum();
        prop_assert!((sum - 1.0).abs() < 1e-5);
    }
}

#[test]
fn wrong_logits_are_errors() {
    for mut s in [Sampler::greedy(), Sampler::builder().build().unwrap()] {
        assert_eq!(s.sample(&[]), Err(SamplerError::Empty));
        let mut logits = vec![0.0; 2000];
        logits[1999] = f32::INFINITY;
        logits[1500] = f32::NAN;
        assert_eq!(
            s.sample(&logits).unwrap_err().to_string(),
            "logit of token 1500 must be finite or -inf, found NaN"
        );
        logits[1500] = 0.0;
        assert_eq!(s.sample(&logits), Err(SamplerError::NonFinite { id: 1999, value: f32::INFINITY }));
        assert_eq!(s.sample(&[f32::NEG_INFINITY; 3]), Err(SamplerError::NoCandidate { steps: 0 }));
        assert_eq!(s.sample(&[-3.0]), Ok(0));
    }
}

/// A step of the caller that breaks every rule must end in an error, not in a panic or a hang.
#[test]
fn hostile_step() {
    #[derive(Clone)]
    struct Fill(f32);
    impl Step for Fill {
        fn apply(&mut self, c: &mut Candidates) {
            c.map_logits(|id, _| if id % 2 == 0 { self.0 } else { f32::NAN });
        }
    }
    #[derive(Clone)]
    struct Clear;
    impl Step for Clear {
        fn apply(&mut self, c: &mut Candidates) {
            c.truncate(0);
        }
    }
    for kind in 0..12 {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut s = add(Sampler::builder().step(Fill(bad)), kind, 0.3).build().unwrap();
            assert!(s.sample(&[0.0; 3000]).is_err() || kind == 6, "{kind} {bad}");
        }
        let mut s = add(Sampler::builder().step(Clear), kind, 0.3).build().unwrap();
        assert_eq!(s.sample(&[0.0; 3000]), Err(SamplerError::NoCandidate { steps: 2 }));
    }
}

#[test]
fn wrong_parameters_are_errors() {
    let b = Sampler::builder;
    let nan = f32::NAN;
    let cases = [
        (b().temperature(-0.1), "temperature: t must be finite and at least 0, found -0.1"),
        (b().temperature(nan), "temperature: t must be finite and at least 0, found NaN"),
        (b().top_p(1.5), "top_p: p must be in 0..=1, found 1.5"),
        (b().min_p(-1.0), "min_p: p must be in 0..=1, found -1"),
        (b().typical(nan), "typical: p must be in 0..=1, found NaN"),
        (b().penalties(64, 0.0, 0.0, 0.0), "penalties: repeat must be finite and above 0, found 0"),
        (
            b().penalties(usize::MAX, 1.1, 0.0, 0.0),
            "penalties: last_n must be at most 1048576, found 18446744073709552000",
        ),
        (b().penalties(64, 1.0, nan, 0.0), "penalties: freq must be finite, found NaN"),
        (b().logit_bias([(1, f32::INFINITY)]), "logit_bias: bias must be finite or -inf, found inf"),
        (
            b().logit_bias([(1, 3e38), (1, 3e38)]),
            "logit_bias: sum of biases of a token must be finite or -inf, found inf",
        ),
        (b().top_n_sigma(-1.0), "top_n_sigma: n must be finite and at least 0, found -1"),
        (b().xtc(2.0, 0.1), "xtc: probability must be in 0..=1, found 2"),
        (b().dry(nan, 1.0, 1, 1, []), "dry: multiplier must be finite and at least 0, found NaN"),
        (b().top_p(2.0).min_p(2.0), "top_p: p must be in 0..=1, found 2"),
    ];
    for (builder, expect) in cases {
        // Floats are widened for the message: compare up to the digits of an f32.
        let got = builder.build().err().map(|e| e.to_string()).unwrap_or_default();
        assert!(got.starts_with(expect), "{got:?}, expected {expect:?}");
    }
}

/// Fixed results: the same on every platform, and a change here is a breaking change.
#[test]
fn golden_draws() {
    let logits: Vec<f32> =
        (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32 / 16.0).collect();
    let draw = |mut s: Sampler| (0..8).map(|_| s.sample(&logits).unwrap()).collect::<Vec<_>>();
    let chain = Sampler::builder().penalties(64, 1.3, 0.1, 0.1).top_k(40).top_p(0.95).temperature(1.2);
    let got = [draw(Sampler::builder().seed(1).build().unwrap()), draw(chain.seed(2).build().unwrap())];
    assert_eq!(got, GOLDEN);
}

const GOLDEN: [[TokenId; 8]; 2] =
    [[809, 754, 110, 754, 186, 595, 987, 521], [76, 254, 165, 199, 110, 597, 809, 220]];

#[test]
fn params_equal_the_chain() {
    let logits: Vec<f32> =
        (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 256.0).collect();
    let mut p = Params::default();
    p.seed = 5;
    p.repeat_penalty = 1.1;
    let mut chain = Sampler::builder().penalties(64, 1.1, 0.0, 0.0).top_k(40).top_p(0.95).min_p(0.05);
    chain = chain.temperature(0.8).seed(5);
    let (mut a, mut b) = (p.build().unwrap(), chain.build().unwrap());
    for _ in 0..20 {
        assert_eq!(a.sample(&logits), b.sample(&logits));
    }
    p.temperature = 0.0;
    let (mut a, mut b) =
        (p.build().unwrap(), Sampler::builder().penalties(64, 1.1, 0.0, 0.0).greedy().build().unwrap());
    for _ in 0..20 {
        assert_eq!(a.sample(&logits), b.sample(&logits));
    }
    p.top_p = 2.0;
    assert!(p.build().is_err());
}
