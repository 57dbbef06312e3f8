//! Reads Linux's and Android's files about cores.

use super::{Core, Source};
use std::path::{Path, PathBuf};

/// Reads the affinity mask, capacities, clocks and their limits from `/proc` and `/sys`, which Android's apps may do.
///
/// | file | for |
/// |---|---|
/// | `/proc/self/status`, `Cpus_allowed_list` | the cores that the process may use |
/// | `/sys/devices/system/cpu/cpu*/cpu_capacity` | capacities. Kernels before 4.14 lack it; the highest clocks are then used instead |
/// | `.../cpufreq/cpuinfo_max_freq` | the highest clock of the hardware |
/// | `.../cpufreq/scaling_max_freq` | the highest clock that is allowed now, which thermal throttling lowers |
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
    cores: Vec<Core>,
}

impl Sysfs {
    /// Makes a source that reads below `root`: `/`, or a folder with a copy of these files.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let mut sysfs = Self { root: root.into(), cores: Vec::new() };
        sysfs.cores = sysfs.read_cores();
        sysfs
    }

    fn read_cores(&self) -> Vec<Core> {
        let cpus = happy_machine::cpus_at(&self.root);
        let clock = |number| self.number(number, "cpuinfo_max_freq");
        let capacities: Option<Vec<u32>> = cpus.iter().map(|cpu| cpu.capacity).collect();
        let clocks: Option<Vec<u32>> = cpus.iter().map(|cpu| clock(cpu.number)).collect();
        let highest = clocks.as_ref().and_then(|clocks| clocks.iter().copied().max()).unwrap_or(0);
        let capacity = |i: usize| match (&capacities, &clocks) {
            (Some(capacities), _) => capacities[i],
            // At most 1024, since no clock exceeds the highest.
            (None, Some(clocks)) => (u64::from(clocks[i]) * 1024 / u64::from(highest.max(1))) as u32,
            (None, None) => 1024,
        };
        let core = |(i, cpu): (usize, &happy_machine::Cpu)| Core {
            number: cpu.number,
            capacity: capacity(i),
            max_khz: clock(cpu.number),
        };
        cpus.iter().enumerate().map(core).collect()
    }

    fn number(&self, core: usize, file: &str) -> Option<u32> {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/{file}");
        let text = std::fs::read_to_string(self.root.join(Path::new(&path))).ok()?;
        text.trim().parse().ok().filter(|khz| *khz > 0)
    }
}

impl Source for Sysfs {
    /// Reads the files each time, since a process is moved between sets of cores when its app comes to the foreground or leaves it.
    fn cores(&mut self) -> Vec<Core> {
        self.cores = self.read_cores();
        self.cores.clone()
    }

    /// Averages over all cores, weighted by capacity, because threads run on the strongest cores first. It is unknown if no core
    /// reports both clocks.
    fn speed_limit(&mut self) -> Option<f64> {
        let (mut allowed, mut full) = (0.0, 0.0);
        for core in &self.cores {
            let (Some(most), Some(now)) = (core.max_khz, self.number(core.number, "scaling_max_freq")) else {
                continue;
            };
            let capacity = f64::from(core.capacity);
            allowed += capacity * (f64::from(now) / f64::from(most)).min(1.0);
            full += capacity;
        }
        (full > 0.0).then(|| allowed / full)
    }
}
