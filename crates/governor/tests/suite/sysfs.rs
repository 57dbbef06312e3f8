//! Twelve phones as folders of files.

use happy_governor::{Config, Governor, Monitor, Sample, Source, Sysfs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Cores of one kind: how many, `capacity-dmips-mhz`, highest clock in kHz.
type Cluster = (usize, u32, u32);

/// A phone: clusters in the order of the cores' numbers, and how many cores are big: at least half of the largest capacity.
///
/// `capacity-dmips-mhz` is of Linux's device trees (`arch/arm64/boot/dts`, the file is named). Clocks are of freqbench's results
/// (github.com/kdrag0n/freqbench) where marked `f`, else the vendor's published ones.
const PHONES: [(&str, &[Cluster], usize); 12] = [
    ("Pixel 2 XL, Snapdragon 835, qcom/msm8998, f", &[(4, 1024, 1_900_800), (4, 1536, 2_457_600)], 8),
    ("Mi Mix 2S, Snapdragon 845, qcom/sdm845, f", &[(4, 611, 1_766_400), (4, 1024, 2_803_200)], 4),
    (
        "ZenFone 6, Snapdragon 855, qcom/sm8150, f",
        &[(4, 488, 1_785_600), (3, 1024, 2_419_200), (1, 1024, 2_841_600)],
        4,
    ),
    (
        "Mi 10T Pro, Snapdragon 865, qcom/sm8250, f",
        &[(4, 448, 1_804_800), (3, 1024, 2_419_200), (1, 1024, 2_841_600)],
        4,
    ),
    (
        "Galaxy S23, 8 Gen 2, qcom/sm8550",
        &[(3, 326, 2_016_000), (4, 693, 2_803_200), (1, 1024, 3_187_200)],
        5,
    ),
    (
        "Galaxy S24 Ultra, 8 Gen 3, qcom/sm8650",
        &[(2, 1024, 2_265_600), (5, 1792, 3_148_800), (1, 1894, 3_302_400)],
        6,
    ),
    (
        "Fairphone 5, QCM6490, qcom/kodiak",
        &[(4, 1024, 1_958_400), (3, 1946, 2_400_000), (1, 1985, 2_707_200)],
        4,
    ),
    ("Fairphone 4, Snapdragon 750G, qcom/sm6350, f", &[(6, 1024, 1_804_800), (2, 1894, 2_208_000)], 2),
    ("Redmi Note 9S, Snapdragon 720G, qcom/sc7180, f", &[(6, 415, 1_804_800), (2, 1024, 2_323_200)], 2),
    (
        "Pixel 6, Tensor G1, exynos/google/gs101, f",
        &[(4, 250, 1_803_000), (2, 620, 2_253_000), (2, 1024, 2_850_000)],
        2,
    ),
    (
        "Galaxy S22, Exynos 2200, exynos/exynos2200",
        &[(4, 260, 1_824_000), (3, 380, 2_515_000), (1, 488, 2_803_200)],
        4,
    ),
    ("Redmi Note 4X, Snapdragon 625, qcom/msm8953, f", &[(8, 1024, 2_016_000)], 8),
];

/// A folder that is removed in the end.
struct Fake(PathBuf);

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Fake {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("happy-governor-{}-{name}", std::process::id()));
        Self(root)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn allow(&self, list: &str) {
        self.write("proc/self/status", &format!("Name:\tapp\nCpus_allowed_list:\t{list}\n"));
    }

    /// The phone's files as its kernel has them: capacity is dmips times clock, the largest 1024.
    fn phone(name: &str, clusters: &[Cluster]) -> Self {
        let fake = Self::new(&name.replace(|c: char| !c.is_alphanumeric(), "-"));
        let raw = |(_, dmips, khz): Cluster| u64::from(dmips) * u64::from(khz);
        let largest = clusters.iter().copied().map(raw).max().expect("a cluster");
        let mut number = 0;
        for cluster in clusters {
            for _ in 0..cluster.0 {
                let cpu = format!("sys/devices/system/cpu/cpu{number}");
                fake.write(&format!("{cpu}/cpu_capacity"), &format!("{}\n", raw(*cluster) * 1024 / largest));
                fake.write(&format!("{cpu}/cpufreq/cpuinfo_max_freq"), &format!("{}\n", cluster.2));
                fake.write(&format!("{cpu}/cpufreq/scaling_max_freq"), &format!("{}\n", cluster.2));
                number += 1;
            }
        }
        fake.allow(&format!("0-{}", number - 1));
        fake
    }
}

#[test]
fn twelve_phones() {
    for (name, clusters, big) in PHONES {
        let fake = Fake::phone(name, clusters);
        let mut sysfs = Sysfs::new(&fake.0);
        let cores = sysfs.cores();
        assert_eq!(cores.len(), 8, "{name}");
        assert_eq!(cores.iter().map(|core| core.capacity).max(), Some(1024), "{name}");
        assert_eq!(cores[7].max_khz, clusters.last().map(|cluster| cluster.2), "{name}");
        let config = Config::for_cores(&cores);
        assert_eq!((config.max_threads, config.first_threads), (8, big), "{name}");
        assert!(config.capacities.is_sorted_by(|a, b| a >= b), "{name}");
        assert_eq!(sysfs.speed_limit(), Some(1.0), "{name}");

        // The strongest cores at half of their clock.
        let (count, _, khz) = *clusters.last().expect("a cluster");
        for number in 8 - count..8 {
            fake.write(
                &format!("sys/devices/system/cpu/cpu{number}/cpufreq/scaling_max_freq"),
                &(khz / 2).to_string(),
            );
        }
        let all: u32 = cores.iter().map(|core| core.capacity).sum();
        let expected = 1.0 - 512.0 * count as f64 / f64::from(all);
        let limit = sysfs.speed_limit().expect("clocks are known");
        assert!((limit - expected).abs() < 1e-3, "{name}: {limit}, expected {expected}");

        // An app in the background may use the first four cores only.
        fake.allow("0-3");
        let cores = sysfs.cores();
        assert_eq!(cores.iter().map(|core| core.number).collect::<Vec<_>>(), [0, 1, 2, 3], "{name}");
        assert_eq!(Config::for_cores(&cores).max_threads, 4, "{name}");
        govern(name, &fake, cores.len());
    }
}

/// Two seconds of tokens with readings from the files: threads that add nothing are not used.
fn govern(name: &str, fake: &Fake, most: usize) {
    let mut monitor = Monitor::new(Sysfs::new(&fake.0));
    let cores = monitor.source().cores();
    let mut governor = Governor::new(Config::for_cores(&cores)).expect("in range");
    let mut time = Duration::ZERO;
    for _ in 0..100 {
        let threads = governor.decision().threads;
        // Memory gives as much as two cores take.
        let busy = Duration::from_millis(if threads == 1 { 80 } else { 50 });
        time += busy;
        let readings = monitor.poll(time);
        governor.observe(&Sample { at: time, tokens: 1, busy, threads, readings, ..Sample::default() });
    }
    assert!(most >= 2 && governor.decision().threads == 2, "{name}: {:?}", governor.decision());
}

#[test]
fn missing_and_damaged_files_are_unknown() {
    // A kernel without capacities: the clocks stand for them.
    let (name, clusters, _) = PHONES[7];
    let fake = Fake::phone(&format!("old {name}"), clusters);
    std::fs::remove_file(fake.0.join("sys/devices/system/cpu/cpu0/cpu_capacity")).expect("a file");
    let capacities: Vec<u32> = Sysfs::new(&fake.0).cores().iter().map(|core| core.capacity).collect();
    assert_eq!(capacities, [837, 837, 837, 837, 837, 837, 1024, 1024]);
    // Nothing but the list of cores.
    std::fs::remove_dir_all(fake.0.join("sys")).expect("a folder");
    let mut sysfs = Sysfs::new(&fake.0);
    assert_eq!(
        sysfs.cores().iter().map(|core| (core.capacity, core.max_khz)).collect::<Vec<_>>(),
        [(1024, None); 8]
    );
    assert_eq!(sysfs.speed_limit(), None);
    // Files with nonsense in them.
    for text in ["", "x", "-1", "0", "99999999999999999999"] {
        for file in ["cpu_capacity", "cpufreq/cpuinfo_max_freq", "cpufreq/scaling_max_freq"] {
            fake.write(&format!("sys/devices/system/cpu/cpu3/{file}"), text);
        }
        let mut sysfs = Sysfs::new(&fake.0);
        assert_eq!(sysfs.cores().len(), 8, "{text:?}");
        assert_eq!(sysfs.speed_limit(), None, "{text:?}");
    }
    // No list either.
    fake.allow("none");
    assert!(Sysfs::new(&fake.0).cores().is_empty());
    assert_eq!(Config::for_cores(&Sysfs::new(&fake.0).cores()).max_threads, 1);
}
