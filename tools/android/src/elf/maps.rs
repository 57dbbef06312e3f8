//! Makes `bionic.txt` from a checkout of bionic: `cargo xtask bionic-symbols DIR`.
//!
//! A map file lists the exports of a library, version by version. Comments say for which machines, and since which API
//! level:
//!
//! ```text
//! LIBC_Q { # introduced=29
//!   global:
//!     android_get_device_api_level;
//!     __tls_get_addr; # arm riscv64 x86_64
//!     malloc_backtrace; # apex llndk        for parts of the system only
//! } LIBC_P;
//! ```
//! A level at the symbol takes precedence over that of its version, and one for the machine over a general one. A
//! symbol without any is as old as 64-bit Android. The format is defined by `build/soong/cc/ndkstubgen` and
//! `symbolfile` of AOSP.

use super::bionic::FIRST_API;
use super::image::Abi;
use happy_tool_kit::{Result, paths};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `bionic-symbols`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkout of AOSP's platform/bionic
    bionic: PathBuf,
}

const LIBRARIES: [&str; 3] = ["libc", "libm", "libdl"];

/// liblog is in another repository and has the levels in its header: `android/log.h` of platform/system/logging.
const LIBLOG: &[(u32, &[&str])] = &[
    (
        FIRST_API,
        &[
            "__android_log_assert",
            "__android_log_buf_print",
            "__android_log_buf_write",
            "__android_log_print",
            "__android_log_vprint",
            "__android_log_write",
        ],
    ),
    (
        30,
        &[
            "__android_log_call_aborter",
            "__android_log_default_aborter",
            "__android_log_get_minimum_priority",
            "__android_log_is_loggable",
            "__android_log_is_loggable_len",
            "__android_log_logd_logger",
            "__android_log_set_aborter",
            "__android_log_set_default_tag",
            "__android_log_set_logger",
            "__android_log_set_minimum_priority",
            "__android_log_stderr_logger",
            "__android_log_write_log_message",
        ],
    ),
];

/// The tags that name machines. A symbol with such tags exists only on these machines.
const MACHINES: &[&str] = &["arm", "arm64", "mips", "mips64", "riscv64", "x86", "x86_64"];

/// Tags of symbols that are not for apps, or not yet.
const NOT_FOR_APPS: &[&str] = &["apex", "llndk", "systemapi", "platform-only", "future"];

/// `cargo xtask bionic-symbols`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut maps = Vec::new();
    for library in LIBRARIES {
        let path = args.bionic.join(library).join(format!("{library}.map.txt"));
        let text = std::fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e} (expected a checkout of bionic)", path.display()))?;
        maps.push((library, text));
    }
    let table = table(&maps);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/elf/bionic.txt");
    std::fs::write(&path, &table).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    println!("{}: {} lines", paths::short(&path), table.lines().count());
    Ok(())
}

/// Returns the whole table.
fn table(maps: &[(&str, String)]) -> String {
    // (library, level, machine) to symbols.
    let mut groups = BTreeMap::<(String, u32, &str), Vec<String>>::new();
    for (library, map) in maps {
        let [arm64, x86_64] = Abi::ALL.map(|abi| symbols(map, abi));
        for (name, api) in &arm64 {
            let machine = if x86_64.get(name) == Some(api) { "" } else { Abi::Arm64.name() };
            groups.entry((library.to_string(), *api, machine)).or_default().push(name.to_string());
        }
        for (name, api) in x86_64.iter().filter(|(name, api)| arm64.get(*name) != Some(*api)) {
            let key = (library.to_string(), *api, Abi::X86_64.name());
            groups.entry(key).or_default().push(name.to_string());
        }
    }
    for (api, names) in LIBLOG {
        let names = names.iter().map(|name| name.to_string()).collect();
        groups.insert(("liblog".into(), *api, ""), names);
    }
    let mut out = String::from(
        "# What Android's libraries export to apps, and since which API level. Made by `cargo xtask bionic-symbols`\n\
         # from the map files of AOSP's bionic; do not edit.\n",
    );
    for ((library, api, machine), names) in groups {
        out.push_str(format!("{library} {api} {machine}").trim_end());
        let mut width = usize::MAX;
        for name in names {
            if width.saturating_add(1 + name.len()) > 110 {
                out.push_str("\n ");
                width = 1;
            }
            out.push(' ');
            out.push_str(&name);
            width += 1 + name.len();
        }
        out.push('\n');
    }
    out
}

/// Returns the symbols that a map exports to apps on this machine, with their first API levels.
fn symbols(map: &str, abi: Abi) -> BTreeMap<&str, u32> {
    let mut found = BTreeMap::new();
    // The tags of the enclosing version; `None` if its symbols are not for apps.
    let mut version: Option<&str> = None;
    let mut global = false;
    for line in map.lines() {
        let (code, tags) = line.split_once('#').unwrap_or((line, ""));
        let code = code.trim();
        if let Some(name) = code.strip_suffix('{') {
            let private = name.trim().ends_with("_PRIVATE") || name.trim().ends_with("_PLATFORM");
            version = (!private && is_for(tags, abi)).then_some(tags);
            global = true;
        } else if code.starts_with('}') {
            version = None;
        } else if code.ends_with(':') {
            global = code == "global:";
        } else if let (Some(name), Some(around), true) = (code.strip_suffix(';'), version, global)
            && is_for(tags, abi)
        {
            let api = introduced(tags, abi).or_else(|| introduced(around, abi)).unwrap_or(FIRST_API);
            found.insert(name, api.max(FIRST_API));
        }
    }
    found
}

/// Returns whether a symbol with these tags is available to apps on this machine.
fn is_for(tags: &str, abi: Abi) -> bool {
    let mut machines = tags.split_whitespace().filter(|tag| MACHINES.contains(tag)).peekable();
    let on_machine = machines.peek().is_none() || machines.any(|machine| machine == tag_of(abi));
    on_machine && !tags.split_whitespace().any(|tag| NOT_FOR_APPS.contains(&tag))
}

fn introduced(tags: &str, abi: Abi) -> Option<u32> {
    let value = |key: &str| {
        let tag = tags.split_whitespace().find_map(|tag| tag.strip_prefix(key)?.strip_prefix('='))?;
        tag.parse().ok()
    };
    value(&format!("introduced-{}", tag_of(abi))).or_else(|| value("introduced"))
}

/// Returns the machine's name in map files.
fn tag_of(abi: Abi) -> &'static str {
    match abi {
        Abi::Arm64 => "arm64",
        Abi::X86_64 => "x86_64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
LIBC {
  global:
    malloc;
    old; # arm x86 introduced=21
    abs; # introduced-arm=19 introduced-arm64=22 introduced-x86_64=21
    ancient; # introduced=9
    var1; # var introduced=24
  local:
    *;
    hidden;
};
LIBC_Q { # introduced=29
  global:
    tls; # arm x86_64
    since_q;
    system_only; # apex llndk
    later; # introduced=31
} LIBC;
LIBC_R { # introduced=30
    tls; # arm64
} LIBC_Q;
LIBC_PRIVATE {
  global:
    private_thing;
} LIBC_R;
";

    #[test]
    fn levels_and_machines_are_read() {
        let expect = |abi, own: &[(&'static str, u32)]| {
            let mut all: BTreeMap<&str, u32> =
                [("malloc", 21), ("ancient", 21), ("var1", 24), ("since_q", 29), ("later", 31)].into();
            all.extend(own.iter().copied());
            assert_eq!(symbols(MAP, abi), all);
        };
        expect(Abi::Arm64, &[("abs", 22), ("tls", 30)]);
        expect(Abi::X86_64, &[("abs", 21), ("tls", 29)]);
    }

    #[test]
    fn the_table_groups_and_wraps() {
        let long: String = (0..20).map(|i| format!("symbol_{i:02};\n")).collect();
        let table = table(&[("libc", MAP.into()), ("libm", format!("LIBM {{\n{long}}};\n"))]);
        for part in [
            "\nlibc 21\n  ancient malloc\n",
            "\nlibc 21 x86_64\n  abs\n",
            "\nlibc 22 arm64-v8a\n  abs\n",
            "\nlibc 29\n  since_q\n",
            "\nliblog 30\n  __android_log_call_aborter",
            "\nlibm 21\n  symbol_00",
        ] {
            assert!(table.contains(part), "{part:?} is missing in:\n{table}");
        }
        assert!(table.lines().all(|line| line.len() <= 111), "{table}");
    }
}
