//! Traces: what the governor decides, given what others measured or what can go wrong.

use happy_governor::{Config, Decision, Goal, Governor, RateTable, Readings, Reason, Sample, ThermalStatus};
use std::time::Duration;

/// Tokens per second by number of threads, of a phone with four big and four little cores.
const RATES: [f64; 8] = [4.0, 7.6, 10.1, 11.2, 11.0, 10.9, 10.6, 9.4];

fn config(goal: Goal) -> Config {
    let capacities = vec![1024, 800, 800, 800, 300, 300, 300, 300];
    Config { max_threads: 8, first_threads: 4, capacities, goal, ..Config::for_cores(&[]) }
}

fn table() -> RateTable {
    let mut table = RateTable::new("phone", "1B");
    (1..).zip(RATES).for_each(|(threads, rate)| table.set_rate(threads, rate));
    table
}

struct Replay {
    governor: Governor,
    time: f64,
}

impl Replay {
    fn new(config: Config) -> Self {
        Self { governor: Governor::new(config).expect("settings in range"), time: 0.0 }
    }

    /// Generates for so many seconds at the rates times `speed`, under the decision in force.
    fn run(&mut self, seconds: f64, speed: f64, readings: Readings) -> Decision {
        let end = self.time + seconds;
        // On until a survey is over.
        while self.time < end || self.governor.decision().reason == Reason::Survey {
            let decision = self.governor.decision();
            let busy = 1.0 / (RATES[decision.threads - 1] * speed);
            let pause = decision.pause(1, Duration::from_secs_f64(busy)).as_secs_f64();
            self.time += busy + pause;
            self.governor.observe(&Sample {
                at: Duration::from_secs_f64(self.time),
                tokens: 1,
                busy: Duration::from_secs_f64(busy),
                threads: decision.threads,
                readings,
                ..Sample::default()
            });
        }
        self.governor.decision()
    }
}

fn headroom(headroom: f64) -> Readings {
    Readings { headroom: Some(headroom), ..Readings::default() }
}

#[test]
fn a_cold_start_measures_and_takes_the_fewest_threads_that_are_about_as_fast() {
    let mut replay = Replay::new(config(Goal::Fastest));
    assert_eq!(
        replay.governor.decision(),
        Decision { threads: 4, tokens_per_second_cap: None, reason: Reason::Start }
    );
    let decision = replay.run(4.0, 1.0, headroom(0.3));
    // 10.1 is less than 95 % of 11.2.
    assert_eq!(decision, Decision { threads: 4, tokens_per_second_cap: None, reason: Reason::Fastest });
    let mut patient = Replay::new(Config { tolerance: 0.1, ..config(Goal::Fastest) });
    assert_eq!(patient.run(4.0, 1.0, headroom(0.3)).threads, 3);
    // What was measured is kept, and used without measuring.
    let table: RateTable = replay.governor.table().to_string().parse().expect("a line");
    assert!((1..=5).all(|n| (table.rate(n).expect("measured") - RATES[n - 1]).abs() < 1e-6), "{table}");
    let warm = Governor::new(Config { table: Some(table), ..config(Goal::Fastest) }).expect("in range");
    assert_eq!(
        warm.decision(),
        Decision { threads: 4, tokens_per_second_cap: None, reason: Reason::Fastest }
    );
    assert_eq!(warm.expected_rate().map(|rate| (rate * 10.0).round()), Some(112.0));
}

#[test]
fn goals_are_kept_with_little_energy() {
    let with =
        |goal| Replay::new(Config { table: Some(table()), ..config(goal) }).run(5.0, 1.0, headroom(0.3));
    let rate = with(Goal::Rate(6.0));
    assert_eq!((rate.tokens_per_second_cap, rate.reason), (Some(6.0), Reason::Goal));
    assert!(RATES[rate.threads - 1] > 6.0, "{rate:?}");
    // More than the phone has: the fastest count.
    let most = with(Goal::Rate(100.0));
    assert_eq!((most.threads, most.tokens_per_second_cap), (4, Some(100.0)));
    let saving = with(Goal::Energy { slowdown: 0.25 });
    let cap = saving.tokens_per_second_cap.expect("a cap");
    assert!((cap - 0.75 * 11.2).abs() < 0.2 && saving.reason == Reason::Goal, "{saving:?}");
    // The battery saver is a goal too.
    let mut replay = Replay::new(Config { table: Some(table()), ..config(Goal::Fastest) });
    let saver = Readings { battery_saver: true, ..headroom(0.3) };
    let decision = replay.run(5.0, 1.0, saver);
    assert_eq!(decision.reason, Reason::BatterySaver);
    assert!((decision.tokens_per_second_cap.expect("a cap") - 0.7 * 11.2).abs() < 0.2, "{decision:?}");
    assert_eq!(replay.run(70.0, 1.0, headroom(0.3)).tokens_per_second_cap, None);
    // A goal can be changed, and a wrong one changes nothing.
    let mut governor = Replay::new(Config { table: Some(table()), ..config(Goal::Fastest) }).governor;
    governor.set_goal(Goal::Rate(5.0)).expect("in range");
    assert_eq!(governor.decision().tokens_per_second_cap, Some(5.0));
    assert!(governor.set_goal(Goal::Rate(-1.0)).is_err());
    assert_eq!(governor.decision().tokens_per_second_cap, Some(5.0));
}

#[test]
fn severe_heat_cuts_the_pace_whatever_the_goal() {
    for (status, most) in [
        (ThermalStatus::Severe, 5.6),
        (ThermalStatus::Critical, 2.8),
        (ThermalStatus::Emergency, 1.0),
        (ThermalStatus::Shutdown, 1.0),
    ] {
        for goal in [Goal::Fastest, Goal::Rate(9.0)] {
            let mut replay = Replay::new(Config { table: Some(table()), ..config(goal) });
            let readings = Readings { status: Some(status), ..headroom(1.1) };
            let decision = replay.run(10.0, 1.0, readings);
            let cap = decision.tokens_per_second_cap.expect("a cap");
            assert!(cap <= most + 0.1 && cap > 0.0, "{status:?} {goal:?}: {decision:?}");
            assert!(matches!(decision.reason, Reason::Status | Reason::Heat), "{decision:?}");
            assert!(status < ThermalStatus::Emergency || decision.threads == 1);
        }
    }
}

/// A Snapdragon 8 Gen 3 without a governor, published by mvpfactory.io ("Thermal throttling and sustained on-device LLM
/// inference on Android", table): minutes, clock of the big cores in GHz, tokens per second of 12.4, degrees.
const GEN_3: [(f64, f64, f64, f64); 5] = [
    (2.0, 3.3, 12.4, 38.0),
    (3.0, 2.8, 9.1, 44.0),
    (5.0, 2.2, 6.2, 51.0),
    (5.0, 1.8, 4.1, 55.0),
    (15.0, 1.8, 3.8, 56.0),
];

#[test]
fn a_published_trace_is_followed() {
    let mut replay = Replay::new(Config { table: Some(table()), ..config(Goal::Fastest) });
    let mut reasons = Vec::new();
    for (minutes, clock, tokens, degrees) in GEN_3 {
        let readings = Readings { speed_limit: Some(clock / 3.3), ..headroom((degrees - 30.0) / 30.0) };
        let decision = replay.run(minutes * 60.0, tokens / 12.4, readings);
        assert!((1..=8).contains(&decision.threads));
        // The system already slows down: nothing is taken on top but to cool down, and then never below a quarter.
        if let Some(cap) = decision.tokens_per_second_cap {
            assert!(cap >= RATES[decision.threads - 1] * tokens / 12.4 * 0.25, "{decision:?}");
        }
        reasons.push(decision.reason);
    }
    assert_eq!(reasons[0], Reason::Fastest);
    assert!(reasons[1..].iter().all(|reason| matches!(reason, Reason::Warm | Reason::Heat)), "{reasons:?}");
    // What was measured hot does not replace what was measured cool.
    assert!((replay.governor.table().rate(4).expect("measured") - 11.2).abs() < 1e-6);
}

#[test]
fn a_straggler_is_seen_by_the_wait_for_it() {
    let mut replay = Replay::new(Config { table: Some(table()), ..config(Goal::Fastest) });
    replay.run(10.0, 1.0, headroom(0.3));
    let mut surveyed = false;
    for i in 0..80 {
        let decision = replay.governor.decision();
        surveyed |= decision.reason == Reason::Survey;
        let busy = Duration::from_secs_f64(1.0 / RATES[decision.threads - 1]);
        // The speed is as ever, but the caller waits for a third of the time.
        replay.governor.observe(&Sample {
            at: Duration::from_secs_f64(20.0 + f64::from(i) * 0.1),
            tokens: 1,
            busy,
            stalled: busy / 3,
            threads: decision.threads,
            ..Sample::default()
        });
    }
    assert!(surveyed);
}

#[test]
fn nonsense_is_survived() {
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut next = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let odd =
        [0.0, -0.0, f64::NAN, f64::INFINITY, -f64::INFINITY, -1.0, 1e-300, 0.3, 0.85, 0.99, 1.0, 1.5, 1e300];
    for max_threads in [1, 2, 8, 256] {
        let goals = [Goal::Fastest, Goal::Rate(0.01), Goal::Rate(1e6), Goal::Energy { slowdown: 0.9 }];
        for goal in goals {
            let config = Config { max_threads, first_threads: 1, goal, ..Config::for_cores(&[]) };
            let mut governor = Governor::new(config).expect("in range");
            for _ in 0..4000 {
                let decision = governor.observe(&Sample {
                    // Clocks that jump in both directions, too.
                    at: Duration::from_millis(
                        [0, 1, 10, 1000, 100_000, u64::MAX / 4][next(6) as usize] + next(5000),
                    ),
                    tokens: [0, 1, 2, 1000, u32::MAX][next(5) as usize],
                    busy: Duration::from_nanos([0, 1, 1_000_000, 1_000_000_000, u64::MAX][next(5) as usize]),
                    stalled: Duration::from_nanos([0, 1_000_000, u64::MAX][next(3) as usize]),
                    threads: [governor.decision().threads, next(300) as usize][next(2) as usize],
                    readings: Readings {
                        headroom: Some(odd[next(13) as usize]),
                        status: ThermalStatus::from_number(next(9) as i32 - 1),
                        speed_limit: Some(odd[next(13) as usize]),
                        battery_saver: next(7) == 0,
                    },
                });
                assert!((1..=max_threads).contains(&decision.threads));
                assert!(
                    decision.tokens_per_second_cap.is_none_or(|cap| cap > 0.0 && cap.is_finite()),
                    "{decision:?}"
                );
            }
            assert_eq!(governor.table().to_string().parse().as_ref(), Ok(governor.table()));
        }
    }
}
