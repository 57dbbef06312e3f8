//! What Android's C library exports, and since which API level: `bionic.txt` as a table.
//!
//! The file is made by `cargo xtask bionic-symbols` from AOSP's map files (see [`super::maps`]). A heading names library,
//! API level and, where not both machines have them, the machine; the indented lines below hold symbols.

use super::image::Abi;
use happy_tool_kit::Result;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("bionic.txt");

/// 64-bit Android starts here; what was there from the start has this level.
pub(crate) const FIRST_API: u32 = 21;

/// Who exports a symbol, for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Export<'a> {
    /// `libc`, without `.so`.
    pub(crate) library: &'a str,
    /// The first API level that has it.
    pub(crate) api: u32,
    /// The only machine that has it; `None`: all.
    abi: Option<Abi>,
}

/// The symbols of libc, libm, libdl and liblog.
pub(crate) struct Bionic(BTreeMap<&'static str, Vec<Export<'static>>>);

impl Bionic {
    /// The table of this repository.
    ///
    /// # Errors
    /// A line of `bionic.txt` is neither heading nor symbols.
    pub(crate) fn load() -> Result<Self> {
        Self::parse(TABLE)
    }

    fn parse(table: &'static str) -> Result<Self> {
        let mut symbols = BTreeMap::<_, Vec<Export>>::new();
        let mut heading = None;
        for (number, line) in table.lines().enumerate() {
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            if !line.starts_with(' ') {
                heading = Some(read_heading(line).ok_or_else(|| {
                    format!("bionic.txt:{}: expected `LIBRARY API [ABI]`, found '{line}'", number + 1)
                })?);
                continue;
            }
            let export = heading
                .ok_or_else(|| format!("bionic.txt:{}: symbols before the first heading", number + 1))?;
            for name in line.split_whitespace() {
                symbols.entry(name).or_default().push(export);
            }
        }
        Ok(Self(symbols))
    }

    /// Every library that exports `name` on this machine, at any API level.
    pub(crate) fn find(&self, abi: Abi, name: &str) -> impl Iterator<Item = &Export<'static>> {
        let found = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        found.iter().filter(move |export| export.is_for(abi))
    }

    /// What `library` exports on this machine at API level `api`.
    pub(crate) fn exports(&self, abi: Abi, library: &str, api: u32) -> Vec<&'static str> {
        let has = |export: &Export| export.library == library && export.api <= api && export.is_for(abi);
        self.0.iter().filter(|(_, exports)| exports.iter().any(has)).map(|(name, _)| *name).collect()
    }
}

impl Export<'_> {
    fn is_for(&self, abi: Abi) -> bool {
        self.abi.is_none_or(|only| only == abi)
    }
}

fn read_heading(line: &'static str) -> Option<Export<'static>> {
    let mut words = line.split(' ');
    let (library, api) = (words.next()?, words.next()?.parse().ok()?);
    let abi = match words.next() {
        None => None,
        Some(name) => Some(Abi::ALL.into_iter().find(|abi| abi.name() == name)?),
    };
    words.next().is_none().then_some(Export { library, api, abi })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_when_symbols_came() {
        let bionic = Bionic::load().expect("the table reads");
        let mut failures = Vec::new();
        // Levels as in the headers of bionic (`__INTRODUCED_IN`).
        for (name, library, api) in [
            ("malloc", "libc", 21),
            ("__cxa_thread_atexit_impl", "libc", 23),
            ("preadv", "libc", 24),
            ("pthread_getname_np", "libc", 26),
            ("getrandom", "libc", 28),
            ("aligned_alloc", "libc", 28),
            ("reallocarray", "libc", 29),
            ("_Unwind_Resume", "libc", 30),
            ("memfd_create", "libc", 30),
            ("backtrace", "libc", 33),
            ("close_range", "libc", 34),
            ("fmaf", "libm", 21),
            ("dlsym", "libdl", 21),
            ("dlvsym", "libdl", 24),
            ("__android_log_write", "liblog", 21),
            ("__android_log_set_logger", "liblog", 30),
        ] {
            for abi in Abi::ALL {
                let found: Vec<_> = bionic.find(abi, name).map(|e| (e.library, e.api)).collect();
                if found != [(library, api)] {
                    failures.push(format!("{name} on {}: {found:?}, expected {library} {api}", abi.name()));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!(bionic.find(Abi::Arm64, "pthread_cancel").count(), 0, "bionic never had it");
        assert_eq!(bionic.find(Abi::X86_64, "__tls_get_addr").next().map(|e| e.api), Some(29));
        assert_eq!(bionic.find(Abi::Arm64, "__tls_get_addr").next().map(|e| e.api), Some(30));
    }

    #[test]
    fn exports_grow_with_the_level() {
        let bionic = Bionic::load().expect("the table reads");
        let has = |api| bionic.exports(Abi::Arm64, "libc", api).contains(&"getrandom");
        assert_eq!((has(27), has(28), has(36)), (false, true, true));
        assert!(!bionic.exports(Abi::Arm64, "libm", 36).contains(&"getrandom"));
    }

    #[test]
    fn a_broken_table_is_located() {
        for (table, expected) in [
            ("libc 21\n a\nlibc\n", "bionic.txt:3: expected"),
            ("libc new\n", "bionic.txt:1: expected"),
            ("libc 21 mips\n", "bionic.txt:1: expected"),
            ("# only\n a b\n", "bionic.txt:2: symbols before"),
        ] {
            match Bionic::parse(table) {
                Err(e) => assert!(e.starts_with(expected), "{e}"),
                Ok(_) => panic!("{table:?} was taken"),
            }
        }
    }
}
