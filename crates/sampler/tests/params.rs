//! [`Params`]: the usual chain, its order, its names and its errors.

use happy_sampler::steps;
use happy_sampler::{Mirostat, MirostatVersion, Params, Sampler, SamplerBuilder, StepKind};

fn rows() -> Vec<Vec<f32>> {
    let mut rng = happy_sampler::Rng::new(21);
    (0..20).map(|_| (0..500).map(|_| (rng.next_f64() * 16.0) as f32).collect()).collect()
}

fn repeat(repeat: f32) -> steps::Penalties {
    steps::Penalties { repeat, ..Default::default() }
}

/// Settings give the same tokens as a chain built by hand, over twenty rows.
#[test]
fn params_equal_the_chain() {
    use StepKind::*;
    type Set = fn(&mut Params);
    let b = Sampler::builder;
    let usual = |b: SamplerBuilder| b.top_k(40).top_p(0.95).min_p(0.05).temperature(0.8);
    let pieces = ["a", "b", "ab"];
    let cases: Vec<(&str, Set, SamplerBuilder)> = vec![
        ("default", |_| (), usual(b())),
        ("penalties", |p| p.penalties.repeat = 1.1, usual(b().penalties(repeat(1.1)))),
        (
            "all cuts, in the default order",
            |p| {
                p.logit_bias = vec![(3, 2.0)];
                p.penalties = steps::Penalties { last_n: 9, repeat: 1.0, frequency: 0.2, presence: 0.3 };
                (p.dry.multiplier, p.dry.allowed_length, p.dry.last_n) = (0.8, 1, 20);
                p.dry.breakers = vec![vec![4]];
                (p.top_n_sigma, p.typical, p.xtc.probability) = (2.5.into(), 0.9.into(), 0.5);
                (p.temperature.delta, p.temperature.exponent) = (0.3, 1.5);
            },
            b().logit_bias([(3, 2.0)])
                .penalties(steps::Penalties { last_n: 9, repeat: 1.0, frequency: 0.2, presence: 0.3 })
                .dry(steps::Dry {
                    multiplier: 0.8,
                    base: 1.75,
                    allowed_length: 1,
                    last_n: 20,
                    breakers: vec![vec![4]],
                })
                .top_n_sigma(2.5)
                .top_k(40)
                .typical(0.9)
                .top_p(0.95)
                .min_p(0.05)
                .xtc(steps::Xtc { probability: 0.5, threshold: 0.1, ..Default::default() })
                .temperature(steps::Temperature { t: 0.8, delta: 0.3, exponent: 1.5 }),
        ),
        (
            "a custom order",
            |p| p.order = vec![Temperature, MinP, TopK],
            b().temperature(0.8).min_p(0.05).top_k(40),
        ),
        ("an empty order", |p| p.order = vec![], b()),
        (
            "greedy",
            |p| (p.temperature.t, p.penalties.repeat) = (0.0, 1.5),
            b().penalties(repeat(1.5)).greedy(),
        ),
        (
            "greedy, but penalties after a cut",
            |p| {
                (p.temperature.t, p.penalties.repeat, p.top_k) = (0.0, 5.0, 2.into());
                p.order = vec![TopK, Penalties, Temperature];
            },
            b().top_k(2).penalties(repeat(5.0)).greedy(),
        ),
        (
            "greedy, but typical drops the best",
            |p| (p.temperature.t, p.typical.p) = (0.0, 0.3),
            b().top_k(40).typical(0.3).top_p(0.95).min_p(0.05).greedy(),
        ),
        (
            "mirostat",
            |p| (p.mirostat.version, p.penalties.repeat) = (MirostatVersion::V1, 2.0),
            b().temperature(0.8).mirostat(Mirostat { version: MirostatVersion::V1, ..Mirostat::default() }),
        ),
        (
            "mirostat 2",
            |p| p.mirostat = Mirostat { version: MirostatVersion::V2, tau: 3.0, eta: 0.2 },
            b().temperature(0.8).mirostat(Mirostat { version: MirostatVersion::V2, tau: 3.0, eta: 0.2 }),
        ),
        (
            "adaptive-p",
            |p| {
                p.adaptive_p.target = Some(0.4);
                p.order = vec![MinP, AdaptiveP];
            },
            b().min_p(0.05).adaptive_p(happy_sampler::AdaptiveP { target: Some(0.4), decay: 0.9 }),
        ),
        (
            "infill",
            |p| {
                p.infill = Some(steps::Infill::new(["a", "b", "ab"], [1], 1).unwrap());
                p.order = vec![TopK, Infill];
            },
            b().top_k(40).step(steps::Infill::new(pieces, [1], 1).unwrap()),
        ),
    ];
    let rows = rows();
    let mut wrong = Vec::new();
    for (name, set, chain) in cases {
        let mut p = Params::default();
        p.seed = 5;
        set(&mut p);
        let (mut a, mut b) = (p.build().unwrap(), chain.seed(5).build().unwrap());
        let draw = |s: &mut Sampler| rows.iter().map(|r| s.sample(r)).collect::<Vec<_>>();
        let (got, expect) = (draw(&mut a), draw(&mut b));
        if got != expect || got.iter().any(Result::is_err) {
            wrong.push(format!("{name}: {got:?}, expected {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names() {
    use StepKind::*;
    let all = [Penalties, Dry, TopNSigma, TopK, Typical, TopP, MinP, Xtc, Temperature, Infill, AdaptiveP];
    for (name, kind) in StepKind::NAMES.iter().zip(all) {
        assert_eq!(name.parse(), Ok(kind), "{name}");
        assert_eq!(name.replace('_', "-").to_uppercase().parse(), Ok(kind), "{name}");
    }
    for (name, kind) in [("nucleus", TopP), ("temp", Temperature), ("typical", Typical), (" topk ", TopK)] {
        assert_eq!(name.parse(), Ok(kind), "{name}");
    }
    for wrong in ["", "top", "top_k2", "mirostat"] {
        let said = wrong.parse::<StepKind>().unwrap_err().to_string();
        assert!(said.contains("unknown sampler") && said.contains("top_n_sigma"), "{said}");
    }
}

/// Settings are checked even if their step is not in the order.
#[test]
fn wrong_settings() {
    type Set = fn(&mut Params);
    let cases: [(Set, &str); 9] = [
        (|p| p.top_p.p = 2.0, "top_p: p must be in 0..=1, found 2"),
        (|p| (p.temperature.t, p.min_p.p) = (0.0, -1.0), "min_p: p must be in 0..=1, found -1"),
        (|p| (p.order, p.typical.p) = (vec![], f32::NAN), "typical: p must be in 0..=1, found NaN"),
        (
            |p| (p.mirostat.version, p.penalties.repeat) = (MirostatVersion::V1, 0.0),
            "penalties: repeat must be",
        ),
        (|p| (p.mirostat.version, p.mirostat.tau) = (MirostatVersion::V2, -1.0), "mirostat_v2: tau must be"),
        (|p| p.adaptive_p.target = Some(2.0), "adaptive_p: target must be in 0..=1, found 2"),
        (|p| p.order = vec![StepKind::AdaptiveP], "adaptive_p needs a target probability"),
        (|p| p.order = vec![StepKind::Infill], "infill needs the vocabulary's pieces"),
        (|p| p.logit_bias = vec![(0, f32::NAN)], "logit_bias: bias must be finite or -inf, found NaN"),
    ];
    let mut wrong = Vec::new();
    for (set, expect) in cases {
        let mut p = Params::default();
        set(&mut p);
        let said = p.build().err().map(|e| e.to_string()).unwrap_or_default();
        if !said.starts_with(expect) {
            wrong.push(format!("{said:?}, expected {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Command lines and bindings take their descriptions from `help`.
#[test]
fn every_parameter_has_a_description() {
    use steps::*;
    let helps = [
        Penalties::help("repeat"),
        Dry::help("base"),
        TopNSigma::help("n"),
        TopK::help("k"),
        Temperature::help("delta"),
        Xtc::help("threshold"),
        Mirostat::help("tau"),
    ];
    for help in helps {
        assert!(help.ends_with('.') && !help.starts_with(' '), "{help:?}");
    }
    assert_eq!(TopK::help("p"), "");
}

/// What changes a choice changes the fingerprint; the seed, which the state replaces, does not.
#[test]
fn fingerprints_tell_parameters_apart() {
    let fingerprint = |change: &dyn Fn(&mut Params)| {
        let mut params = Params::default();
        change(&mut params);
        params.build().unwrap().fingerprint()
    };
    let plain = fingerprint(&|_| {});
    assert_eq!(fingerprint(&|params| params.seed = 9), plain);
    let others = [
        fingerprint(&|params| params.temperature = 0.8000001.into()),
        fingerprint(&|params| params.temperature = 0.0.into()),
        fingerprint(&|params| params.top_k = 41.into()),
        fingerprint(&|params| params.order.reverse()),
        fingerprint(&|params| params.logit_bias = vec![(1, 0.5)]),
        fingerprint(&|params| params.logit_bias = vec![(1, 0.5), (2, 0.5)]),
        fingerprint(&|params| params.dry.multiplier = 0.5),
        fingerprint(&|params| (params.dry.multiplier, params.dry.breakers) = (0.5, vec![vec![1]])),
        fingerprint(&|params| params.mirostat.version = MirostatVersion::V1),
        fingerprint(&|params| params.mirostat.version = MirostatVersion::V2),
        fingerprint(&|params| params.adaptive_p.target = Some(0.5)),
    ];
    for (i, a) in others.iter().enumerate() {
        assert!(*a != plain && !others[..i].contains(a), "{i}");
    }
    assert_eq!(Sampler::greedy().fingerprint(), Sampler::builder().greedy().build().unwrap().fingerprint());
}
