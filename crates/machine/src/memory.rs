//! The memory that the process uses, and how much more it may use.
//!
//! ```text
//! left = the smallest of
//!   MemAvailable                                        of the machine
//!   limit - (usage - file pages that can be dropped)    of each level of the process's cgroup, versions 1 and 2
//!   RLIMIT_DATA - VmData                                of the process
//!   RLIMIT_AS - VmSize                                  of the process
//! ```
//! All of this needs Linux. Other systems report nothing.

mod cgroup;
mod limits;

use core::fmt;
use std::path::Path;

/// Resident memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Anonymous pages: memory that the process allocated and touched. Phones kill apps that have too much of it.
    pub anon_bytes: u64,
    /// Pages of mapped files, which the system can drop if they are clean.
    pub file_bytes: u64,
    /// The highest resident size so far, of both kinds together.
    pub peak_bytes: u64,
}

/// Returns the resident memory of this process, or `None` on systems without Linux's `/proc`.
pub fn usage() -> Option<MemoryUsage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(MemoryUsage {
        anon_bytes: field(&status, "RssAnon")?,
        file_bytes: field(&status, "RssFile")?,
        peak_bytes: field(&status, "VmHWM")?,
    })
}

/// What bounds a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// A limit that the caller set. This crate never returns it.
    Caller,
    /// The memory that the machine has free, or can free by dropping file pages (`MemAvailable`).
    Machine,
    /// The limit of the process's control group, or of a group that contains it.
    Cgroup,
    /// `RLIMIT_DATA` (`ulimit -d`).
    Data,
    /// `RLIMIT_AS` (`ulimit -v`).
    AddressSpace,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Caller => "the limit that was set",
            Bound::Machine => "what the machine has free",
            Bound::Cgroup => "what the limit of the process's control group leaves",
            Bound::Data => "what RLIMIT_DATA, `ulimit -d`, leaves",
            Bound::AddressSpace => "what RLIMIT_AS, `ulimit -v`, leaves",
        })
    }
}

/// An amount of anonymous memory that may be used, and what bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The amount in bytes.
    pub bytes: u64,
    /// What bounds it.
    pub bound: Bound,
}

/// Returns the number of bytes that new allocations can have without swapping and within the limits of this process, or `None` if
/// the system does not report it.
pub fn available() -> Option<u64> {
    Some(left(0)?.bytes)
}

/// Returns how much memory the machine, the control groups and the limits of this process leave, whichever is least, or `None` if
/// the system does not report it.
///
/// The limits of the process count address space, even if it is not used. `reserved` bytes are subtracted from what they leave. Pass
/// the size of the stacks of threads that will be started, or 0.
pub fn left(reserved: u64) -> Option<Budget> {
    left_under(Path::new("/"), reserved)
}

/// Does the same as [`left`] with another root for `/proc` and `/sys`.
fn left_under(root: &Path, reserved: u64) -> Option<Budget> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| field(&text, "MemAvailable"));
    let limits = read("proc/self/limits").zip(read("proc/self/status"));
    let process = |of: limits::Limit| {
        let (limits, status) = limits.as_ref()?;
        Some(of.left(limits, status)?.saturating_sub(reserved))
    };
    [
        (Bound::Machine, machine),
        (Bound::Cgroup, cgroup::left(root)),
        (Bound::Data, process(limits::DATA)),
        (Bound::AddressSpace, process(limits::ADDRESS_SPACE)),
    ]
    .into_iter()
    .filter_map(|(bound, bytes)| Some(Budget { bytes: bytes?, bound }))
    .min_by_key(|budget| budget.bytes)
}

/// Reads the value of a line like `RssAnon:      1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder with files that is removed after the test.
    pub(super) struct Root(pub(super) PathBuf);

    impl Root {
        pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("happy-machine-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn reads_the_format_of_proc() {
        let text = "VmHWM:\t   20 kB\nRssAnon:\t     104 kB\nRssFile: 3 kB\nThreads:\t2\n";
        assert_eq!(field(text, "RssAnon"), Some(104 * 1024));
        assert_eq!(field(text, "RssShmem"), None);
        assert_eq!(field(text, "Threads"), None);
        assert_eq!(field("RssAnon: 99999999999999999999 kB", "RssAnon"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory() {
        let now = usage().expect("/proc/self/status");
        assert!(now.anon_bytes > 0 && now.peak_bytes >= now.anon_bytes);
        assert!(available().is_some_and(|bytes| bytes > 0));
    }

    /// F18: the default budget was the machine's free memory, whatever the process's own limits.
    #[test]
    fn the_smallest_bound_decides() {
        const MIB: u64 = 1 << 20;
        let status = "VmSize:\t 102400 kB\nVmData:\t 20480 kB\n"; // 100 and 20 MiB
        let limits = |data: &str, space: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max data size             {data}            unlimited            bytes     \n\
                 Max address space         {space}           unlimited            bytes     \n"
            )
        };
        let (mb300, mb200) = ((300 * MIB).to_string(), (200 * MIB).to_string());
        let group = ("proc/self/cgroup", "0::/a\n");
        let mount = ("proc/self/mountinfo", "30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let max = ("sys/fs/cgroup/a/memory.max", "157286400\n"); // 150 MiB
        let current = ("sys/fs/cgroup/a/memory.current", "10485760\n"); // 10 MiB
        let meminfo = ("proc/meminfo", "MemFree: 1 kB\nMemAvailable:  1048576 kB\n"); // 1 GiB
        let free = limits("unlimited", "unlimited");
        let (data, space) = (limits(&mb200, "unlimited"), limits("unlimited", &mb300));
        let both = limits(&mb300, &mb200);
        let with =
            |text: &str| vec![("proc/self/limits", text.to_owned()), ("proc/self/status", status.into())];
        let group = [group, mount, max, current];
        type Case<'a> = (&'a str, Vec<(&'a str, String)>, bool, u64, Option<(u64, Bound)>);
        let cases: &[Case<'_>] = &[
            ("no files", vec![], false, 0, None),
            ("only free memory", with(&free), false, 0, Some((1024, Bound::Machine))),
            ("a control group", with(&free), true, 0, Some((140, Bound::Cgroup))),
            ("RLIMIT_DATA", with(&data), false, 0, Some((180, Bound::Data))),
            ("RLIMIT_DATA, with stacks", with(&data), false, 4 * MIB, Some((176, Bound::Data))),
            ("RLIMIT_AS", with(&space), false, 0, Some((200, Bound::AddressSpace))),
            ("both, and all of it is for stacks", with(&both), false, 500 * MIB, Some((0, Bound::Data))),
            ("all of them", with(&both), true, 0, Some((100, Bound::AddressSpace))),
        ];
        let mut failures = Vec::new();
        for (i, (what, files, in_group, reserved, expected)) in cases.iter().enumerate() {
            let mut all: Vec<(&str, &str)> =
                files.iter().map(|(path, text)| (*path, text.as_str())).collect();
            all.extend(if files.is_empty() { None } else { Some(meminfo) });
            all.extend(group.iter().filter(|_| *in_group));
            let root = Root::new(&format!("bounds-{i}"), &all);
            let found = left_under(&root.0, *reserved);
            let expected = expected.map(|(mib, bound)| Budget { bytes: mib * MIB, bound });
            if found != expected {
                failures.push(format!("{what}: {found:?}, expected {expected:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
