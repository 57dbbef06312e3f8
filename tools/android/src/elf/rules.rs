//! What Android's loader, and a careful app, require of a library or a program: one function for each rule.
//!
//! Sources: bionic's `docs/status.md`, `docs/elf-tls.md` and `android-changes-for-ndk-developers.md`; Android's guide
//! "Support 16 KB page sizes".

use super::bionic::Bionic;
use super::image::Image;
use object::elf;
use std::collections::BTreeMap;

/// The requirements for a file.
pub(crate) struct Limits<'a> {
    /// The oldest API level that must be able to load it.
    pub(crate) platform: u32,
    /// Maximum size of the file in bytes.
    pub(crate) max_size: Option<u64>,
    /// The file's name without folders.
    pub(crate) name: &'a str,
    /// Prefixes of the names of exported symbols; not checked if empty.
    pub(crate) exports: &'a [String],
    /// Libraries that are shipped with it.
    pub(crate) beside: &'a [Image],
    pub(crate) bionic: &'a Bionic,
}

/// A rule's name, what it asks for, and the check: each violation as a sentence.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) asks: &'static str,
    pub(crate) check: fn(&Image, &Limits) -> Vec<String>,
}

/// All rules, in the order of the table that is printed.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "position", asks: "loadable at any address", check: position },
    Rule {
        name: "interpreter",
        asks: "a program names Android's linker, a library none",
        check: interpreter,
    },
    Rule { name: "soname", asks: "a library names itself as its file is named", check: soname },
    Rule {
        name: "needed",
        asks: "only libc, libm, libdl, liblog, and what is shipped with it",
        check: needed,
    },
    Rule { name: "imports", asks: "every symbol is there at the API level", check: imports },
    Rule { name: "exports", asks: "only the symbols of the interface", check: exports },
    Rule { name: "pages", asks: "segments are aligned for pages of 16 KiB", check: pages },
    Rule { name: "protection", asks: "nothing is writable and executable; RELRO", check: protection },
    Rule { name: "relocations", asks: "none in code; a form that the API level reads", check: relocations },
    Rule { name: "thread-local", asks: "no ELF TLS before API 29", check: thread_local },
    Rule { name: "search-path", asks: "none of its own", check: search_path },
    Rule { name: "stripped", asks: "nothing for debuggers", check: stripped },
    Rule { name: "size", asks: "at most as large as allowed", check: size },
];

const LINKER: &str = "/system/bin/linker64";
const NEEDED: &[&str] = &["libc.so", "libm.so", "libdl.so", "liblog.so"];
const PAGE: u64 = 16 << 10;
/// The first level whose loader supports ELF's thread-local storage in libraries.
const ELF_TLS_API: u32 = 29;
/// The first level that reads `DT_RELR`.
const RELR_API: u32 = 30;
/// The first level that reads `DT_ANDROID_RELA`.
const PACKED_API: u32 = 23;

fn position(image: &Image, _: &Limits) -> Vec<String> {
    if image.position_independent {
        return Vec::new();
    }
    vec!["its type is not ET_DYN: Android loads nothing at a fixed address".into()]
}

fn interpreter(image: &Image, limits: &Limits) -> Vec<String> {
    let is_library = limits.name.ends_with(".so");
    match &image.interpreter {
        Some(path) if is_library => vec![format!("a library with the interpreter {path}")],
        Some(path) if path != LINKER => vec![format!("the interpreter is {path}, expected {LINKER}")],
        None if !is_library => vec![format!("a program without an interpreter, expected {LINKER}")],
        _ => Vec::new(),
    }
}

fn soname(image: &Image, limits: &Limits) -> Vec<String> {
    if !limits.name.ends_with(".so") {
        return Vec::new();
    }
    match &image.soname {
        Some(name) if name == limits.name => Vec::new(),
        Some(name) => vec![format!("DT_SONAME is {name}, expected {}", limits.name)],
        None => vec![format!("no DT_SONAME, expected {}", limits.name)],
    }
}

fn needed(image: &Image, limits: &Limits) -> Vec<String> {
    let is_beside = |name: &str| limits.beside.iter().any(|library| library.soname.as_deref() == Some(name));
    let foreign = image.needed.iter().filter(|name| !NEEDED.contains(&name.as_str()) && !is_beside(name));
    foreign.map(|name| format!("needs {name}: expected some of {}", NEEDED.join(", "))).collect()
}

/// A weak symbol may be missing, since the code that uses it checks for it.
fn imports(image: &Image, limits: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    // Symbols of a system library that the file does not link to.
    let mut homeless = BTreeMap::<String, Vec<&str>>::new();
    let is_needed =
        |library: &&Image| library.soname.as_ref().is_some_and(|name| image.needed.contains(name));
    for import in image.imports.iter().filter(|import| !import.weak) {
        let name = &import.name;
        if limits.beside.iter().filter(is_needed).any(|library| library.exports.contains(name)) {
            continue;
        }
        let homes: Vec<_> = limits.bionic.find(image.abi, name).collect();
        let Some(oldest) = homes.iter().map(|home| home.api).min() else {
            found.push(format!("`{name}` is in none of {} at any API level", NEEDED.join(", ")));
            continue;
        };
        if oldest > limits.platform {
            found.push(format!("`{name}` needs API {oldest}, you asked for {}", limits.platform));
        } else if !homes.iter().any(|home| image.needed.contains(&format!("{}.so", home.library))) {
            let libraries: Vec<&str> = homes.iter().map(|home| home.library).collect();
            homeless.entry(libraries.join(" or ")).or_default().push(name);
        }
    }
    found.extend(homeless.into_iter().map(|(library, names)| {
        format!("`{}` is in {library}, which is not among the needed", names.join("`, `"))
    }));
    found
}

fn exports(image: &Image, limits: &Limits) -> Vec<String> {
    if limits.exports.is_empty() {
        return Vec::new();
    }
    if image.exports.is_empty() {
        return vec!["exports nothing".into()];
    }
    let is_foreign = |name: &&String| !limits.exports.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let prefixes = limits.exports.join(", ");
    let foreign = image.exports.iter().filter(is_foreign);
    foreign.map(|name| format!("exports `{name}`, whose name starts with none of {prefixes}")).collect()
}

fn pages(image: &Image, _: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    if image.segments_of(elf::PT_LOAD.0).next().is_none() {
        found.push("no segment to load".into());
    }
    for (i, load) in image.segments_of(elf::PT_LOAD.0).enumerate() {
        if load.align < PAGE || !load.align.is_power_of_two() {
            found.push(format!(
                "load segment {i} is aligned to {:#x}, expected {PAGE:#x} or a higher power of two",
                load.align
            ));
        } else if load.address % load.align != load.offset % load.align {
            found.push(format!(
                "load segment {i} lies at {:#x} in the file and {:#x} in memory, which differ modulo {:#x}",
                load.offset, load.address, load.align
            ));
        }
    }
    found
}

fn protection(image: &Image, _: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    let both = elf::PF_W.0 | elf::PF_X.0;
    if image.segments_of(elf::PT_LOAD.0).any(|load| load.flags & both == both) {
        found.push("a segment is writable and executable".into());
    }
    match image.segments_of(elf::PT_GNU_STACK.0).next() {
        Some(stack) if stack.flags & elf::PF_X.0 != 0 => found.push("asks for an executable stack".into()),
        Some(_) => {}
        None => found.push("no PT_GNU_STACK, which means an executable stack".into()),
    }
    if image.segments_of(elf::PT_GNU_RELRO.0).next().is_none() {
        found.push("no PT_GNU_RELRO: addresses stay writable after loading".into());
    }
    found
}

fn relocations(image: &Image, limits: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    if image.text_relocations {
        found.push("relocations in code (DT_TEXTREL), which Android refuses".into());
    }
    if image.packed_relocations && limits.platform < PACKED_API {
        found.push(format!("DT_ANDROID_RELA needs API {PACKED_API}, you asked for {}", limits.platform));
    }
    if image.compact_relocations && limits.platform < RELR_API {
        found.push(format!("DT_RELR needs API {RELR_API}, you asked for {}", limits.platform));
    }
    found
}

fn thread_local(image: &Image, limits: &Limits) -> Vec<String> {
    if limits.platform >= ELF_TLS_API || image.segments_of(elf::PT_TLS.0).next().is_none() {
        return Vec::new();
    }
    vec![format!("PT_TLS needs API {ELF_TLS_API}, you asked for {}", limits.platform)]
}

fn search_path(image: &Image, _: &Limits) -> Vec<String> {
    image.search_paths.iter().map(|path| format!("looks for libraries in {path}")).collect()
}

fn stripped(image: &Image, _: &Limits) -> Vec<String> {
    if image.debug_sections.is_empty() {
        return Vec::new();
    }
    vec![format!("not stripped: it has {}", image.debug_sections.join(", "))]
}

fn size(image: &Image, limits: &Limits) -> Vec<String> {
    match limits.max_size {
        Some(max) if image.size > max => vec![format!("{} bytes, at most {max}", image.size)],
        _ => Vec::new(),
    }
}
