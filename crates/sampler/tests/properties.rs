//! Properties for arbitrary logits: no panic, a valid token or an error, determinism, clone and reset.

use happy_sampler::steps::{
    Dry, Infill, LogitBias, MinP, Penalties, Temperature, TopK, TopNSigma, TopP, Typical, Xtc,
};
use happy_sampler::{
    AdaptiveP, Candidates, LogProbs, Mirostat, MirostatVersion, Sampler, SamplerBuilder, SamplerError, Step,
    StepSpec, TokenId,
};
use proptest::prelude::*;

fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -40.0f32..40.0,
        2 => Just(f32::NEG_INFINITY),
        2 => Just(1.5f32),
        1 => any::<f32>().prop_filter("NaN and +inf are refused, tested separately", |x| *x < f32::INFINITY),
    ]
}

fn mirostat(version: MirostatVersion, tau: f32, eta: f32) -> Mirostat {
    Mirostat { version, tau, eta }
}

/// The number of steps and picks that [`add`] knows.
const KINDS: u8 = 17;

/// Appends a step (or sets a pick) by number, with a parameter in 0..=1.
fn add(b: SamplerBuilder, kind: u8, x: f32) -> SamplerBuilder {
    match kind {
        0 => b.temperature(x * 2.0),
        1 => b.top_k((x * 50.0) as usize),
        2 => b.top_p(x),
        3 => b.min_p(x),
        4 => b.typical(x),
        5 => b.penalties(Penalties { last_n: 8, repeat: 0.5 + x, frequency: x - 0.5, presence: x }),
        6 => b.logit_bias([(0, x * 1e30), (3, f32::NEG_INFINITY), (7, -x)]),
        7 => b.temperature(Temperature { t: x, delta: 0.5, exponent: 1.0 }),
        8 => b.top_n_sigma(x * 3.0),
        9 => b.dry(Dry {
            multiplier: x,
            base: 1.0 + x,
            allowed_length: 1,
            last_n: 16,
            breakers: vec![vec![2], vec![3, 4]],
        }),
        10 => b.temperature(x * 1e-40),
        11 => b.xtc(Xtc { probability: 0.5, threshold: x * 0.5, ..Xtc::default() }),
        12 => b.step(Infill::new((0..300u32).map(|i| (i % 20).to_string()), [5, 17, 400], 5).unwrap()),
        13 => b.mirostat(mirostat(MirostatVersion::V1, x * 8.0, x)),
        14 => b.mirostat(mirostat(MirostatVersion::V2, x * 8.0, x)),
        15 => b.adaptive_p(AdaptiveP { target: Some(x), decay: x * 0.99 }),
        _ => b.greedy(),
    }
}

/// Any number at all.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => any::<f32>(),
        2 => -2.0f32..2.0,
        1 => proptest::sample::select(vec![
            0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45,
        ]),
    ]
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..70, 1 => any::<usize>()]
}

/// Any step with any parameters.
fn spec() -> impl Strategy<Value = StepSpec> {
    let ids = || 0u32..12;
    let breakers = || proptest::collection::vec(proptest::collection::vec(ids(), 0..4), 0..4);
    prop_oneof![
        count().prop_map(|k| StepSpec::TopK(TopK { k })),
        (number(), count()).prop_map(|(p, min_keep)| StepSpec::TopP(TopP { p, min_keep })),
        (number(), count()).prop_map(|(p, min_keep)| StepSpec::MinP(MinP { p, min_keep })),
        (number(), count()).prop_map(|(p, min_keep)| StepSpec::Typical(Typical { p, min_keep })),
        (number(), number(), number()).prop_map(|(t, delta, exponent)| StepSpec::Temperature(Temperature {
            t,
            delta,
            exponent
        })),
        (number(), number(), count(), any::<u64>()).prop_map(|(probability, threshold, min_keep, seed)| {
            StepSpec::Xtc(Xtc { probability, threshold, min_keep, seed })
        }),
        number().prop_map(|n| StepSpec::TopNSigma(TopNSigma { n })),
        (count(), number(), number(), number()).prop_map(|(last_n, repeat, frequency, presence)| {
            StepSpec::Penalties(Penalties { last_n, repeat, frequency, presence })
        }),
        ((number(), number(), count(), count()), breakers()).prop_map(|(numbers, breakers)| {
            let (multiplier, base, allowed_length, last_n) = numbers;
            StepSpec::Dry(Dry { multiplier, base, allowed_length, last_n, breakers })
        }),
        proptest::collection::vec((ids(), number()), 0..5)
            .prop_map(|bias| StepSpec::LogitBias(LogitBias { bias })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Steps are refused or work. They leave a subset of the row, whose probabilities are all 0 or add up to 1.
    #[test]
    fn any_parameters_on_any_logits(
        logits in proptest::collection::vec(prop_oneof![3 => logit(), 1 => number()], 0..300),
        specs in proptest::collection::vec(spec(), 0..6),
        history in proptest::collection::vec(0u32..12, 0..40),
    ) {
        let mut c = Candidates::new();
        let filled = c.fill(&logits);
        let usable = !logits.is_empty() && logits.iter().all(|l| *l < f32::INFINITY);
        prop_assert_eq!(filled.is_ok(), usable);
        let mut steps: Vec<_> = specs.iter().filter_map(|s| s.build().ok()).collect();
        for t in &history {
            steps.iter_mut().for_each(|s| s.accept(*t));
        }
        steps.iter_mut().for_each(|s| s.apply(&mut c));
        c.softmax();
        let left = c.as_slice().to_vec();
        let mut ids: Vec<TokenId> = left.iter().map(|x| x.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), left.len());
        prop_assert!(ids.last().is_none_or(|id| (*id as usize) < logits.len()));
        prop_assert!(left.iter().all(|x| x.p == 0.0 || logits[x.id as usize] > f32::NEG_INFINITY));
        let sum: f64 = left.iter().map(|x| f64::from(x.p)).sum();
        prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-4, "{} of {:?}", sum, left);
    }

    #[test]
    fn log_probabilities_are_of_the_best(
        logits in proptest::collection::vec(prop_oneof![9 => logit(), 1 => number()], 0..300),
        n in 0usize..400,
    ) {
        let mut log_probs = LogProbs::new();
        let Ok(best) = log_probs.best(&logits, n) else {
            let none = logits.iter().all(|l| *l == f32::NEG_INFINITY);
            prop_assert!(none || logits.iter().any(|l| l.is_nan() || *l == f32::INFINITY));
            return Ok(());
        };
        let mut ids: Vec<TokenId> = (0..logits.len() as TokenId).collect();
        ids.sort_by(|a, b| logits[*b as usize].partial_cmp(&logits[*a as usize]).unwrap().then(a.cmp(b)));
        prop_assert!(best.iter().map(|b| b.id).eq(ids.into_iter().take(n)));
        prop_assert!(best.iter().all(|b| b.ln_p <= 1e-6));
    }

    #[test]
    fn any_chain_on_any_logits(
        logits in proptest::collection::vec(logit(), 1..300),
        chain in proptest::collection::vec((0..KINDS, 0.0f32..=1.0), 0..6),
        history in proptest::collection::vec(0u32..20, 0..30),
        seed in any::<u64>(),
    ) {
        let build = |seed| {
            let begun = Sampler::builder().seed(seed);
            chain.iter().fold(begun, |b, (kind, x)| add(b, *kind, *x)).build().unwrap()
        };
        let mut s = build(seed);
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

        // In another process, which knows the tokens and the state.
        let (state, mut other) = (s.state().unwrap(), build(!seed));
        history.iter().chain(first.iter().flatten()).for_each(|t| other.accept(*t));
        prop_assert!(other.set_state(&state));
        prop_assert_eq!(other.fingerprint(), s.fingerprint());
        for _ in 0..4 {
            prop_assert_eq!(other.sample(&logits), s.sample(&logits));
        }
        prop_assert_eq!(other.state().unwrap(), s.state().unwrap());
        // What is no state of it leaves it as it was built.
        let too_many = [&state[..], &[1]].concat();
        for wrong in [&too_many[..], &state[..state.len().saturating_sub(1)]] {
            prop_assert_eq!(other.set_state(wrong), wrong == state);
        }
        let zeros = vec![0; state.len()];
        prop_assert_eq!(other.set_state(&zeros), zeros.is_empty());
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

/// A custom step that breaks every rule leads to an error, not to a panic or a hang.
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
    for kind in 0..KINDS {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut s = add(Sampler::builder().step(Fill(bad)), kind, 0.3).build().unwrap();
            let sampled = s.sample(&[0.0; 3000]);
            // Infinity becomes the greatest finite number, which each even token then has.
            let even = sampled.as_ref().is_ok_and(|t| t % 2 == 0);
            assert!(kind == 6 || if bad == f32::INFINITY { even } else { sampled.is_err() }, "{kind} {bad}");
        }
        let mut s = add(Sampler::builder().step(Clear), kind, 0.3).build().unwrap();
        // Infill may put its end token into an empty list.
        let sampled = s.sample(&[0.0; 3000]);
        assert!(matches!(sampled, Err(SamplerError::NoCandidate { .. })) || (kind == 12 && sampled == Ok(5)));
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
        (
            b().penalties(Penalties { repeat: 0.0, ..Penalties::default() }),
            "penalties: repeat must be finite and above 0, found 0",
        ),
        (
            b().penalties(Penalties { last_n: usize::MAX, repeat: 1.1, ..Penalties::default() }),
            "penalties: last_n must be at most 1048576, found 18446744073709552000",
        ),
        (
            b().penalties(Penalties { frequency: nan, ..Penalties::default() }),
            "penalties: frequency must be finite, found NaN",
        ),
        (b().logit_bias([(1, f32::INFINITY)]), "logit_bias: bias must be finite or -inf, found inf"),
        (
            b().logit_bias([(1, 3e38), (1, 3e38)]),
            "logit_bias: sum of biases of a token must be finite or -inf, found inf",
        ),
        (b().top_n_sigma(-1.0), "top_n_sigma: n must be finite and at least 0, found -1"),
        (b().xtc(Xtc { probability: 2.0, ..Xtc::default() }), "xtc: probability must be in 0..=1, found 2"),
        (
            b().dry(Dry { multiplier: nan, ..Dry::default() }),
            "dry: multiplier must be finite and at least 0, found NaN",
        ),
        (
            b().mirostat(mirostat(MirostatVersion::V1, -1.0, 0.1)),
            "mirostat: tau must be finite and at least 0, found -1",
        ),
        (
            b().mirostat(mirostat(MirostatVersion::V2, 5.0, nan)),
            "mirostat_v2: eta must be finite and at least 0, found NaN",
        ),
        (
            b().adaptive_p(AdaptiveP { target: Some(1.5), decay: 0.9 }),
            "adaptive_p: target must be in 0..=1, found 1.5",
        ),
        (
            b().adaptive_p(AdaptiveP { target: Some(0.5), decay: 1.0 }),
            "adaptive_p: decay must be in 0..=0.99, found 1",
        ),
        (b().top_p(2.0).min_p(2.0), "top_p: p must be in 0..=1, found 2"),
    ];
    for (builder, expect) in cases {
        // Floats are widened for the message, so compare up to the digits of an f32.
        let got = builder.build().err().map(|e| e.to_string()).unwrap_or_default();
        assert!(got.starts_with(expect), "{got:?}, expected {expect:?}");
    }
}

/// Fixed results, the same on every platform. A change here is a breaking change.
#[test]
fn golden_draws() {
    let logits: Vec<f32> =
        (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32 / 16.0).collect();
    let draw = |mut s: Sampler| (0..8).map(|_| s.sample(&logits).unwrap()).collect::<Vec<_>>();
    let chain = Sampler::builder()
        .penalties(Penalties { last_n: 64, repeat: 1.3, frequency: 0.1, presence: 0.1 })
        .top_k(40)
        .top_p(0.95)
        .temperature(1.2);
    let got = [draw(Sampler::builder().seed(1).build().unwrap()), draw(chain.seed(2).build().unwrap())];
    assert_eq!(got, GOLDEN);
}

const GOLDEN: [[TokenId; 8]; 2] =
    [[809, 754, 110, 754, 186, 595, 987, 521], [76, 254, 165, 199, 110, 597, 809, 220]];
