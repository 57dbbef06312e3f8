//! Three phones of different kinds. The model has 1.5 billion weights of 4 bits, and reads about 1 GB per token.
//!
//! Sources, by letter:
//! - `[F]` freqbench (github.com/kdrag0n/freqbench, `results`): CoreMark and milliwatts per core by frequency, measured.
//! - `[D]` Linux's device trees (`arch/arm64/boot/dts`): frequencies, `capacity-dmips-mhz`.
//! - `[T]` thermal configuration of the device: Pixel 6 `thermal_info_config_oriole.json`, Pixel 2 XL `thermal-engine.conf` (taimen).
//! - `[S]` S25+ thermal model (github.com/DaSettingsPNGN/S25_THERMAL-): masses and time constants fitted to 152,000
//!   measurements; the fall by 50 % at 42 °C.
//! - `[G]` geometry: published size and mass, 0.9 J/(g K), and 10 W/(m² K) to the air, half of it radiation
//!   (arXiv 1410.0628: radiation counts from 1 dm² on). Cases are not at one temperature: the share that is warm is stated.
//! - `[A]` assumed: in the range of what is published, not measured on this phone.

use super::{CoreKind, Limit, Phone, Sensor, Step, Throttle};

/// Tensor G1's Cortex-X1, by `[F]`: 500 MHz to 2.85 GHz.
const GS101: &[(f64, f64)] = &[
    (0.175, 0.035),
    (0.388, 0.100),
    (0.555, 0.182),
    (0.719, 0.321),
    (0.842, 0.541),
    (0.923, 0.742),
    (1.0, 1.0),
];
/// Tensor G4's Cortex-X4, by `[F]`: 700 MHz to 3.1 GHz.
const ZUMAPRO: &[(f64, f64)] = &[
    (0.225, 0.052),
    (0.375, 0.094),
    (0.501, 0.155),
    (0.644, 0.249),
    (0.761, 0.380),
    (0.865, 0.569),
    (0.948, 0.815),
    (1.0, 1.0),
];
/// Snapdragon 835's Cortex-A73, by `[F]`: 300 MHz to 2.46 GHz.
const MSM8998: &[(f64, f64)] =
    &[(0.122, 0.04), (0.4, 0.13), (0.6, 0.25), (0.703, 0.352), (0.797, 0.556), (0.898, 0.683), (1.0, 1.0)];

/// Google Pixel 6: a power allocator that finds its balance.
pub fn pixel_6() -> Phone {
    Phone {
        name: "Pixel 6 (power allocator)",
        // [F]: CoreMark 26,494, 17,453 and 6,692 per core; 1.517, 0.400 and 0.237 W.
        cores: vec![
            CoreKind { speed: 1.0, watts: 1.517, count: 2 },
            CoreKind { speed: 0.659, watts: 0.400, count: 2 },
            CoreKind { speed: 0.253, watts: 0.237, count: 4 },
        ],
        power_curve: GS101,
        tokens_per_core: 9.0,   // [A]
        tokens_of_memory: 24.0, // [A]: LPDDR5, about half of 51 GB/s
        memory_joules: 0.03,    // [A]: 4 pJ per bit
        other_watts: 1.0,       // [A]
        c_soc: 20.0,            // [S], for chip and board
        r_soc: 1.25,            // [S]: 25 s / 20 J/K
        c_case: 166.0,          // [G]: 207 g, less the chip's
        r_case: 6.0,            // [G]: 0.028 m², 60 % of it warm
        ambient: 25.0,
        // [T], VIRTUAL-SKIN-CPU: 41 °C, 800 mW, K_P 400 mW/K, K_I 5, limit 300 mW, 0.8 to 10 W, every 7 s.
        throttle: Throttle::Allocator {
            set_point: 41.0,
            sustainable: 0.8,
            gain: 0.4,
            integral: 0.005,
            integral_limit: 0.3,
            least: 0.8,
            most: 10.0,
            period: 7.0,
        },
        sensor: Sensor::Case,
        severe: 45.0, // [T], VIRTUAL-SKIN
    }
}

/// Samsung Galaxy S25+: full speed up to a cliff, then half.
pub fn galaxy_s25() -> Phone {
    Phone {
        name: "Galaxy S25+ (cliff at 42 °C)",
        // [A]: scaled from [F] of Tensor G4 (3.03 and 0.86 W); speeds from Geekbench 6's ratio of the two kinds.
        cores: vec![
            CoreKind { speed: 1.0, watts: 3.4, count: 2 },
            CoreKind { speed: 0.72, watts: 1.3, count: 6 },
        ],
        power_curve: ZUMAPRO,
        tokens_per_core: 18.0,  // [A]
        tokens_of_memory: 52.0, // [A]: LPDDR5X, about 60 % of 85 GB/s
        memory_joules: 0.025,   // [A]
        other_watts: 1.0,       // [A]
        c_soc: 60.0,            // [S]: CPU_BIG and CPU_LITTLE
        r_soc: 0.58,            // [S]: 35 s / 60 J/K
        c_case: 150.0,          // [S]: battery 75, chassis 40, modem 35
        r_case: 2.5,            // [S]: chassis 100 s / 40 J/K
        ambient: 25.0,
        // [S]: half the performance at 42 °C, so memory too. [A]: given back at 40 °C.
        throttle: Throttle::Steps {
            steps: vec![Step { on: 42.0, off: 40.0, limit: Limit { clock: 0.5, memory: 0.5 } }],
            period: 2.0,
        },
        sensor: Sensor::Case,
        severe: 45.0, // [A], as Pixel 6
    }
}

/// Google Pixel 2 XL: three steps, by a sensor on the board.
pub fn pixel_2_xl() -> Phone {
    Phone {
        name: "Pixel 2 XL (steps)",
        // [F]: CoreMark 12,849 and 6,166 per core; 0.861 and 0.185 W.
        cores: vec![
            CoreKind { speed: 1.0, watts: 0.861, count: 4 },
            CoreKind { speed: 0.48, watts: 0.185, count: 4 },
        ],
        power_curve: MSM8998,
        tokens_per_core: 3.2,   // [A]
        tokens_of_memory: 12.0, // [A]: LPDDR4X, about 40 % of 30 GB/s
        memory_joules: 0.04,    // [A]
        other_watts: 1.0,       // [A]
        c_soc: 20.0,            // [S], for chip and board
        r_soc: 2.0,             // [A]: no vapor chamber
        c_case: 138.0,          // [G]: 175 g, less the chip's
        r_case: 4.5,            // [G]: 0.028 m² of aluminum, 80 % of it warm
        ambient: 25.0,
        // [T], SKIN-MID-FLOOR2 and the two below it: 1,804.8, 1,497.6 and 1,190.4 of 2,457.6 MHz, every 2 s.
        throttle: Throttle::Steps {
            steps: vec![
                Step { on: 38.0, off: 37.0, limit: Limit::NONE.at(0.734) },
                Step { on: 40.0, off: 39.0, limit: Limit::NONE.at(0.609) },
                Step { on: 45.0, off: 44.0, limit: Limit::NONE.at(0.484) },
            ],
            period: 2.0,
        },
        sensor: Sensor::Soc,
        severe: 45.0, // [A], as Pixel 6
    }
}

pub fn all() -> [Phone; 3] {
    [pixel_6(), galaxy_s25(), pixel_2_xl()]
}

/// The phone, and the phone with each constant multiplied by 0.7 and by 1.3.
pub fn variants(phone: &Phone) -> Vec<(String, Phone)> {
    type Constant = fn(&mut Phone) -> &mut f64;
    let constants: [(&str, Constant); 8] = [
        ("C soc", |phone| &mut phone.c_soc),
        ("R soc-case", |phone| &mut phone.r_soc),
        ("C case", |phone| &mut phone.c_case),
        ("R case-air", |phone| &mut phone.r_case),
        ("other power", |phone| &mut phone.other_watts),
        ("tokens of a core", |phone| &mut phone.tokens_per_core),
        ("tokens of memory", |phone| &mut phone.tokens_of_memory),
        ("memory power", |phone| &mut phone.memory_joules),
    ];
    let mut found = vec![("as it is".to_owned(), phone.clone())];
    for factor in [0.7, 1.3] {
        for (name, constant) in constants {
            let mut varied = phone.clone();
            *constant(&mut varied) *= factor;
            found.push((format!("{name} x {factor}"), varied));
        }
        // A factor makes no sense for a temperature. It changes by 30 % of the 17 K between the air and the case's limit.
        let mut varied = phone.clone();
        varied.ambient += 17.0 * (factor - 1.0);
        found.push((format!("air {:.1} °C", varied.ambient), varied));
        let mut varied = phone.clone();
        varied.cores.iter_mut().for_each(|core| core.watts *= factor);
        found.push((format!("core power x {factor}"), varied));
    }
    found
}
