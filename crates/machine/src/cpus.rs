//! The default number of threads for a computation.
//!
//! ```text
//! CPUs that this process may use, each with the capacity that the kernel reports (1024: the strongest at its top speed)
//! some are weaker than others?  big = those with at least half of the largest capacity;  threads = big - 1
//! otherwise                     threads = all of them
//! ```
//! With work that is claimed in small pieces, a slow core costs little time, but it costs power. And if all big cores are busy, the
//! app's own threads, which draw the result, wait for one.

use std::path::Path;

/// A CPU that this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number, from 0.
    pub number: usize,
    /// Its capacity as the kernel reports it: 1024 is the strongest CPU at its top speed. `None` if the system does not report
    /// it.
    pub capacity: Option<u32>,
}

/// Returns the CPUs that this process may use. The list is empty on systems without Linux's `/proc`.
pub fn cpus() -> Vec<Cpu> {
    cpus_at(Path::new("/"))
}

/// Does the same as [`cpus`] with the files below a folder, such as a copy of a phone's `/proc` and `/sys`.
pub fn cpus_at(root: &Path) -> Vec<Cpu> {
    let allowed = std::fs::read_to_string(root.join("proc/self/status")).ok();
    let numbers = allowed.as_deref().and_then(allowed_list).unwrap_or_default();
    let folder = root.join("sys/devices/system/cpu");
    let cpu = |number| Cpu { number, capacity: capacity(&folder, number) };
    numbers.into_iter().map(cpu).collect()
}

/// Returns the default number of threads: all cores, or all big cores except one if some cores are weaker. It is at least 1.
pub fn default_threads() -> usize {
    let granted = std::thread::available_parallelism().map_or(1, usize::from);
    let capacities: Vec<Option<u32>> = cpus().iter().map(|cpu| cpu.capacity).collect();
    threads_for(&capacities, granted)
}

/// Returns [`default_threads`] for CPUs with these capacities, if the system grants the process the time of `granted` CPUs.
fn threads_for(capacities: &[Option<u32>], granted: usize) -> usize {
    let known: Option<Vec<u32>> = capacities.iter().copied().collect();
    let known = known.unwrap_or_default();
    let largest = known.iter().copied().max().unwrap_or(0);
    let differ = known.iter().any(|capacity| *capacity != largest);
    let big = known.iter().filter(|capacity| **capacity >= largest.div_ceil(2)).count();
    let wanted = if differ { big - 1 } else { granted };
    wanted.min(granted).max(1)
}

/// Reads the capacity of a CPU.
fn capacity(folder: &Path, number: usize) -> Option<u32> {
    let text = std::fs::read_to_string(folder.join(format!("cpu{number}/cpu_capacity"))).ok()?;
    text.trim().parse().ok().filter(|capacity| *capacity > 0)
}

/// Reads the CPUs in the line `Cpus_allowed_list: 0-3,6` of `/proc/self/status`.
fn allowed_list(status: &str) -> Option<Vec<usize>> {
    /// More CPUs than this are a mistake.
    const MOST: usize = 4096;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut numbers = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_by_capacities() {
        let cases: &[(&str, &[u32], usize, usize)] = &[
            ("a desktop: no capacities", &[], 8, 8),
            ("equal cores", &[1024; 4], 4, 4),
            ("equal cores, of which a quota grants two", &[1024; 4], 2, 2),
            ("four big, four little", &[250, 250, 250, 250, 1024, 1024, 1024, 1024], 8, 3),
            ("prime, three big, four little", &[325, 325, 325, 325, 828, 828, 828, 1024], 8, 3),
            ("two big, six little", &[280, 280, 280, 280, 280, 280, 1024, 1024], 8, 1),
            ("one big, three little", &[300, 300, 300, 1024], 4, 1),
            ("exactly half is big", &[512, 512, 1024, 1024], 4, 3),
            ("just below half is not", &[511, 511, 1023, 1023], 4, 1),
            ("only little ones are allowed", &[325, 325, 325], 3, 3),
            ("a quota below the big ones", &[300, 300, 1024, 1024, 1024, 1024], 2, 2),
            ("one core", &[1024], 1, 1),
            ("nothing", &[], 0, 1),
        ];
        let mut failures = Vec::new();
        for (what, capacities, granted, expected) in cases {
            let capacities: Vec<Option<u32>> = capacities.iter().map(|c| Some(*c)).collect();
            let found = threads_for(&capacities, *granted);
            if found != *expected {
                failures.push(format!("{what}: {found}, expected {expected}"));
            }
        }
        if threads_for(&[Some(1024), None, Some(300)], 3) != 3 {
            failures.push("a capacity that is not known: not all cores".into());
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn the_list_of_proc() {
        for (text, expected) in [
            ("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3,6\n", Some(vec![0, 1, 2, 3, 6])),
            ("Cpus_allowed_list:\t5\n", Some(vec![5])),
            ("Cpus_allowed_list:\t\n", None),
            ("Cpus_allowed_list:\t0-99999999\n", None),
            ("Cpus_allowed_list:\tx-3\n", None),
            ("", None),
        ] {
            assert_eq!(allowed_list(text), expected, "{text:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_may_use_a_cpu() {
        assert!(!cpus().is_empty());
        assert!((1..=std::thread::available_parallelism().unwrap().get()).contains(&default_threads()));
    }
}
