//! Which tests run on an emulated processor: those whose results depend on its instruction set.

use happy_tool_kit::{Result, process};
use std::path::Path;

/// The test programs of these packages that run; of other packages all run. The rest of happy-model's tests are about
/// memory, files and errors, for which the instruction set does not matter, and take minutes under emulation.
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

/// Tests that would take most of an hour under emulation and only search with floats, which give the same results on
/// every machine. What they find is packed into the same bytes by the other tests of these formats.
pub(crate) const SLOW: &[&str] = &["searching_any_bits_does_not_panic", "lattice_blocks_are_close"];

/// Leaves such searches out of the corpus of formats.
const NO_SEARCH: (&str, &str) = ("HAPPY_NO_SEARCH", "1");

/// The number of random cases with which a property is tested; natively it is 256.
pub(crate) const FEW_CASES: (&str, &str) = ("PROPTEST_CASES", "16");

/// The environment of a test program that is emulated.
pub(crate) const LESS: [(&str, &str); 2] = [NO_SEARCH, FEW_CASES];

/// Returns arguments of a test program that leave out [`SLOW`].
pub(crate) fn without_slow() -> impl Iterator<Item = &'static str> {
    SLOW.iter().flat_map(|name| ["--skip", *name])
}

/// Returns arguments of `cargo test` that select these packages and, within them, the tests to run.
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

/// Returns whether a test program of a package was selected. cargo builds those of all packages that have a selected
/// name.
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
