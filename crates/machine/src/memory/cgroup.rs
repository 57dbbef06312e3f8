//! The memory that the limits of control groups leave, for versions 1 and 2.
//!
//! ```text
//! /proc/self/cgroup      the group of the process in each hierarchy:  0::/a/b (version 2),  4:memory:/a/b (version 1)
//! /proc/self/mountinfo   where a hierarchy is mounted, and which of its groups is the mount's root
//! levels                 mount point + the group's path below that root, and every folder above, up to the mount point
//! left of a level        limit - (usage - file pages that can be dropped)
//! ```
//! The limit of a level is the smaller of `memory.max`, above which the kernel kills, and `memory.high`, above which it slows the
//! group down to a crawl. A group's usage includes file pages, but these are dropped before anything is killed, so they count as
//! free, as in `MemAvailable`. Dirty pages do not, since they have to be written first. In a container, the groups above the mount
//! cannot be seen. Version 1 reports the smallest of their limits (`hierarchical_memory_limit`); version 2 does not.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The names of a version's files and of the lines in its `memory.stat`.
struct Version {
    /// Files with a limit. `max` or a huge number means no limit.
    limits: &'static [&'static str],
    usage: &'static str,
    /// A limit in `memory.stat`.
    stat_limit: Option<&'static str>,
    droppable: &'static [&'static str],
    dirty: &'static [&'static str],
    /// Where the hierarchy usually is, if `mountinfo` cannot be read.
    usual: &'static str,
}

const V1: Version = Version {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    stat_limit: Some("hierarchical_memory_limit"),
    droppable: &["total_inactive_file", "total_active_file"],
    dirty: &["total_dirty", "total_writeback"],
    usual: "/sys/fs/cgroup/memory",
};

const V2: Version = Version {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    stat_limit: None,
    droppable: &["inactive_file", "active_file"],
    dirty: &["file_dirty", "file_writeback"],
    usual: "/sys/fs/cgroup",
};

/// Returns the bytes that the control groups of the process leave, or `None` if no level has a limit. `root` replaces `/`.
pub(super) fn left(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = std::fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let of = |version: &Version, group: Option<&str>| {
        let levels = levels(group?, &mounts, version);
        levels.iter().filter_map(|level| version.left(&under(root, level))).min()
    };
    [of(&V2, group(&groups, true)), of(&V1, group(&groups, false))].into_iter().flatten().min()
}

/// Moves an absolute path below another root.
fn under(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix("/").map_or_else(|_| path.to_owned(), |path| root.join(path))
}

/// Returns the process's group in the hierarchy of version 2 (`unified`), or in the one of version 1 that controls memory.
fn group(groups: &str, unified: bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let wanted =
            if unified { controllers.is_empty() } else { controllers.split(',').any(|c| c == "memory") };
        wanted.then_some(path)
    })
}

/// Returns the folders of a group and of all groups that contain it, as far as they can be seen.
fn levels(group: &str, mounts: &str, version: &Version) -> Vec<PathBuf> {
    let unified = version.stat_limit.is_none();
    let found: Vec<(PathBuf, PathBuf)> = mounts.lines().filter_map(|line| mount(line, unified)).collect();
    let below = |root: &Path| Path::new(group).strip_prefix(root).ok().filter(|below| plain(below));
    let (point, below) = match found.iter().find_map(|(root, point)| Some((point.clone(), below(root)?))) {
        Some((point, below)) => (point, below),
        // The mount shows another part of the hierarchy, as in some containers. Only its root can be seen.
        None => match found.into_iter().next() {
            Some((_, point)) => (point, Path::new("")),
            None => (PathBuf::from(version.usual), below(Path::new("/")).unwrap_or(Path::new(""))),
        },
    };
    below.ancestors().map(|part| point.join(part)).collect()
}

/// Returns whether a path has no `..`, so that it stays below its start.
fn plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Returns root and mount point of a line of `mountinfo`, if it mounts the hierarchy.
///
/// ```text
/// 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
///            root mount point        options, tags        type source  options of the hierarchy
/// ```
fn mount(line: &str, unified: bool) -> Option<(PathBuf, PathBuf)> {
    let (place, what) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut what = what.split(' ');
    let (kind, options) = (what.next()?, what.nth(1).unwrap_or_default());
    let wanted = match unified {
        true => kind == "cgroup2",
        false => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
    };
    wanted.then(|| (unescape(root), unescape(point)))
}

/// Decodes a path of `mountinfo`, in which spaces and other characters are written as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = OsString::from(parts.next().unwrap_or_default());
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                path.push(char::from(code).to_string());
                path.push(&part[3..]);
            }
            None => {
                path.push("\\");
                path.push(part);
            }
        }
    }
    path.into()
}

impl Version {
    /// Returns what the limit of a level leaves, or `None` if there is no limit or the usage cannot be read.
    fn left(&self, level: &Path) -> Option<u64> {
        let number = |name: &&str| std::fs::read_to_string(level.join(name)).ok()?.trim().parse::<u64>().ok();
        let stat = std::fs::read_to_string(level.join("memory.stat")).unwrap_or_default();
        let line = |name: &&str| -> Option<u64> {
            stat.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(' '))?.trim().parse().ok()
        };
        let sum = |names: &[&str]| names.iter().filter_map(line).fold(0, u64::saturating_add);
        let limit =
            self.limits.iter().filter_map(number).chain(self.stat_limit.as_ref().and_then(line)).min()?;
        let droppable = sum(self.droppable).saturating_sub(sum(self.dirty));
        Some(limit.saturating_sub(number(&self.usage)?.saturating_sub(droppable)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Root;
    use super::*;

    const MIB: u64 = 1 << 20;
    const V2_MOUNT: &str = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
    const V1_MOUNT: &str = "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n\
                            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    const HYBRID: &str = "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const NO_LIMIT: &str = "9223372036854771712\n";

    /// Returns what the groups in `files` leave, in MiB.
    fn mib(name: &str, groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let mut all = vec![("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
        all.extend_from_slice(files);
        let root = Root::new(&format!("cgroup-{name}"), &all);
        left(&root.0).map(|bytes| bytes / MIB)
    }

    #[test]
    fn every_level_counts() {
        let (m10, m50, m100, m300) = ("10485760", "52428800", "104857600", "314572800");
        type Case<'a> = (&'a str, &'a str, &'a str, Vec<(&'a str, &'a str)>, Option<u64>);
        let cases: Vec<Case<'_>> = vec![
            ("v2: no files", "0::/\n", V2_MOUNT, vec![], None),
            (
                "v2: no limit",
                "0::/a\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/a/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.current", m10)],
                None,
            ),
            (
                "v2: its own",
                "0::/a\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/a/memory.max", m300), ("sys/fs/cgroup/a/memory.current", m10)],
                Some(290),
            ),
            (
                "v2: the one above is nearer",
                "0::/a/b c\n",
                V2_MOUNT,
                vec![
                    ("sys/fs/cgroup/a/b c/memory.max", m300),
                    ("sys/fs/cgroup/a/b c/memory.current", m10),
                    ("sys/fs/cgroup/a/memory.max", m100),
                    ("sys/fs/cgroup/a/memory.current", m50),
                ],
                Some(50),
            ),
            (
                "v2: above by `high`",
                "0::/a/b\n",
                V2_MOUNT,
                vec![
                    ("sys/fs/cgroup/a/b/memory.max", "max"),
                    ("sys/fs/cgroup/a/b/memory.current", m10),
                    ("sys/fs/cgroup/a/memory.max", m300),
                    ("sys/fs/cgroup/a/memory.high", m100),
                    ("sys/fs/cgroup/a/memory.current", m50),
                ],
                Some(50),
            ),
            (
                "v2: file pages can be dropped, except for dirty ones",
                "0::/a\n",
                V2_MOUNT,
                vec![
                    ("sys/fs/cgroup/a/memory.max", m300),
                    ("sys/fs/cgroup/a/memory.current", m100),
                    (
                        "sys/fs/cgroup/a/memory.stat",
                        "anon 10485760\nfile 94371840\nfile_dirty 10485760\nfile_writeback 0\ninactive_file 52428800\nactive_file 41943040\n",
                    ),
                ],
                Some(280),
            ),
            (
                "v2: used up",
                "0::/a\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/a/memory.max", m10), ("sys/fs/cgroup/a/memory.current", m50)],
                Some(0),
            ),
            (
                "v2: a namespace, the limit is the mount's own",
                "0::/\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/memory.max", m300), ("sys/fs/cgroup/memory.current", m100)],
                Some(200),
            ),
            (
                "v2: a group outside of the namespace",
                "0::/../../x\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/memory.max", m300), ("sys/fs/cgroup/memory.current", m100)],
                Some(200),
            ),
            (
                "v1",
                "5:cpu:/z\n4:memory:/a/b\n0::/\n",
                V1_MOUNT,
                vec![
                    ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", m300),
                    ("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", m10),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT),
                    ("sys/fs/cgroup/memory/memory.usage_in_bytes", m300),
                ],
                Some(290),
            ),
            (
                "v1: the one above",
                "4:cpu,memory:/a/b\n",
                V1_MOUNT,
                vec![
                    ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", NO_LIMIT),
                    ("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", m10),
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", m100),
                    ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", m50),
                ],
                Some(50),
            ),
            (
                "v1: a limit above what can be seen",
                "4:memory:/docker/x\n",
                "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                vec![
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT),
                    ("sys/fs/cgroup/memory/memory.usage_in_bytes", m50),
                    ("sys/fs/cgroup/memory/memory.stat", "cache 0\nhierarchical_memory_limit 104857600\n"),
                ],
                Some(50),
            ),
            (
                "v1: the mount is of the container's group, the path of another",
                "4:memory:/docker/x\n",
                "35 31 0:32 /docker/y /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                vec![
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", m300),
                    ("sys/fs/cgroup/memory/memory.usage_in_bytes", m100),
                    ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 52428800\ninactive_file 1\n"),
                ],
                Some(250),
            ),
            (
                "hybrid: both versions",
                "4:memory:/a\n0::/b\n",
                HYBRID,
                vec![
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", m300),
                    ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", m10),
                    ("sys/fs/cgroup/unified/b/memory.max", m300),
                    ("sys/fs/cgroup/unified/b/memory.current", m50),
                ],
                Some(250),
            ),
            (
                "mounted at a place with a space",
                "0::/a\n",
                "1 1 0:1 / /my\\040groups rw shared:7 master:1 - cgroup2 none rw\n",
                vec![("my groups/a/memory.max", m100), ("my groups/a/memory.current", m10)],
                Some(90),
            ),
            (
                "mounts cannot be read",
                "0::/a\n",
                "",
                vec![("sys/fs/cgroup/a/memory.max", m100), ("sys/fs/cgroup/a/memory.current", m10)],
                Some(90),
            ),
            (
                "numbers that are not numbers",
                "0::/a\n",
                V2_MOUNT,
                vec![("sys/fs/cgroup/a/memory.max", "-1"), ("sys/fs/cgroup/a/memory.current", "?")],
                None,
            ),
            ("no lines of groups", "x\n0:\n::\n", V2_MOUNT, vec![], None),
        ];
        let mut failures = Vec::new();
        for (i, (what, groups, mounts, files, expected)) in cases.into_iter().enumerate() {
            let found = mib(&i.to_string(), groups, mounts, &files);
            if found != expected {
                failures.push(format!("{what}: {found:?} MiB, expected {expected:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
