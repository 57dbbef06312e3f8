//! What the process takes of the machine's memory, and what the machine has left.

/// Resident memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Anonymous pages: what the process allocated and touched. This is what a phone kills apps for.
    pub anon_bytes: u64,
    /// Pages of mapped files: clean, shared, evictable.
    pub file_bytes: u64,
    /// The highest resident size so far, both kinds together.
    pub peak_bytes: u64,
}

/// Resident memory of this process; `None` where the system does not tell (it needs Linux's `/proc`).
pub fn usage() -> Option<MemoryUsage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(MemoryUsage {
        anon_bytes: field(&status, "RssAnon")?,
        file_bytes: field(&status, "RssFile")?,
        peak_bytes: field(&status, "VmHWM")?,
    })
}

/// Memory that new allocations can have without swapping; `None` where the system does not tell.
pub fn available() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// The value of a line like `RssAnon:      1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
