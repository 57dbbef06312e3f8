//! The memory that `RLIMIT_DATA` and `RLIMIT_AS` leave a process, read from `/proc/self`.

/// A limit: its name in `limits`, and the line of `status` that counts against it.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    name: &'static str,
    used: &'static str,
}

/// Private writable mappings: the heap, and the stacks of threads.
pub(super) const DATA: Limit = Limit { name: "Max data size", used: "VmData" };
/// All mappings, including those of files.
pub(super) const ADDRESS_SPACE: Limit = Limit { name: "Max address space", used: "VmSize" };

impl Limit {
    /// Returns the bytes up to the soft limit, or `None` without a limit. `limits` and `status` are the texts of the files in
    /// `/proc/self`.
    pub(super) fn left(self, limits: &str, status: &str) -> Option<u64> {
        let line = limits.lines().find_map(|line| line.strip_prefix(self.name))?;
        let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(soft.saturating_sub(super::field(status, self.used)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limits_minus_usage() {
        let status = "VmSize:\t    4096 kB\nVmData:\t    1024 kB\n";
        let cases = [
            (
                "Max data size             2097152              unlimited            bytes     \n",
                Some(1 << 20),
            ),
            ("Max data size             1000                 2000                 bytes     \n", Some(0)),
            ("Max data size             unlimited            unlimited            bytes     \n", None),
            ("Max data size\n", None),
            ("Max address space         2097152              unlimited            bytes     \n", None),
            ("", None),
        ];
        for (limits, expected) in cases {
            assert_eq!(DATA.left(limits, status), expected, "{limits:?}");
        }
        assert_eq!(DATA.left(cases[0].0, "VmSize:\t 1 kB\n"), None, "a status without the line");
        assert_eq!(ADDRESS_SPACE.left("Max address space  4195328 unlimited bytes", status), Some(1024));
    }
}
