//! Which tests run where a processor is emulated: those whose results its instruction set decides.

use happy_tool_kit::{Result, process};
use std::path::Path;

/// Programs of these packages' tests; of other packages all run. The rest of happy-model's tests are about memory, files and errors, in
/// which the instruction set has no part, and which emulated take minutes.
const CHOSEN: &[(&str, &[&str])] = &[
    (
        "happy-model",
        &[
            "adapters_of_blocks",
            "architectures",
            "blocks",
            "draft_head",
            "oracle",
            "recipes_same_bits",
            "same_bits",
            "scales",
            "unrouted_experts",
        ],
    ),
    ("happy-conform", &["corpora"]),
];

/// Tests that would take most of an hour emulated, and that do nothing but search with floats, which are the same on every
/// machine: what they find is packed into the same bytes by the other tests of these formats.
pub(crate) const SLOW: &[&str] = &["searching_any_bits_does_not_panic", "lattice_blocks_are_close"];

/// Leaves such searches out of the corpus of formats.
const NO_SEARCH: (&str, &str) = ("HAPPY_NO_SEARCH", "1");

/// How many random cases a property is tried with, natively 256.
pub(crate) const FEW_CASES: (&str, &str) = ("PROPTEST_CASES", "16");

/// The environment of a test program that is emulated.
pub(crate) const LESS: [(&str, &str); 2] = [NO_SEARCH, FEW_CASES];

/// Arguments of a test program that leave out [`SLOW`].
pub(crate) fn without_slow() -> impl Iterator<Item = &'static str> {
    SLOW.iter().flat_map(|name| ["--skip", *name])
}

/// Arguments of `cargo test` that choose these packages, and of them what decides.
pub(crate) fn arguments(packages: &[&str]) -> Result<Vec<String>> {
    let metadata = process::metadata(&["--no-deps"])?;
    let mut arguments = Vec::new();
    for name in packages {
        let package = metadata.packages.iter().find(|package| package.name == *name);
        let package = package.ok_or_else(|| format!("the workspace has no package {name}"))?;
        let mut tests: Vec<&str> =
            package.targets.iter().filter(|target| target.is_test()).map(|target| &*target.name).collect();
        if let Some((_, chosen)) = CHOSEN.iter().find(|(package, _)| package == name) {
            if let Some(missing) = chosen.iter().find(|test| !tests.contains(test)) {
                return Err(format!("{name} has no test {missing}, which runs emulated"));
            }
            tests = chosen.to_vec();
        }
        arguments.extend(["--package".into(), (*name).into()]);
        arguments.extend(tests.into_iter().flat_map(|test| ["--test".into(), test.into()]));
    }
    Ok(arguments)
}

/// Returns whether a program of a package's tests was meant: cargo builds those of all packages that have a chosen name.
pub(crate) fn is_meant(package: &Path, program: &str) -> bool {
    let of_package = CHOSEN.iter().find(|(name, _)| package.ends_with(name.trim_start_matches("happy-")));
    // Unit tests are named after the library.
    of_package.is_none_or(|(_, chosen)| chosen.contains(&program) || program.starts_with("happy_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_there_and_the_kernels_are_whole() {
        let found = arguments(&["happy-kernels", "happy-model", "happy-conform"]).unwrap();
        for test in ["attention_suite", "linear_suite", "same_bits", "corpora"] {
            assert!(found.windows(2).any(|pair| pair == ["--test", test]), "{test}: {found:?}");
        }
        assert!(!found.iter().any(|test| test == "recipes_memory"), "{found:?}");
        for (package, program, meant) in
            [("model", "cancel", false), ("model", "same_bits", true), ("kernels", "cancel", true)]
        {
            assert_eq!(
                is_meant(&Path::new("/x/crates").join(package), program),
                meant,
                "{package}, {program}"
            );
        }
        assert!(arguments(&["happy-nothing"]).unwrap_err().contains("happy-nothing"));
    }
}
