//! The architectures of the corpus that this program refuses, each with the block that it lacks. A row whose
//! architecture loads, and an architecture that doesn't load and has no row, are failures. So the table stays true.

/// The missing block for which each architecture is refused. Sorted by name.
pub(crate) const MISSING: &[(&str, &str)] = &[
    ("deepseek32", "attention indexer"),
    ("deepseek4", "experiment"),
    ("dots3note", "experiment"),
    ("dream", "diffusion"),
    ("glm-dsa", "attention indexer"),
    ("glm5-next", "experiment"),
    ("hrm_text", "experiment"),
    ("hy_v4", "experiment"),
    ("kimi-k3", "experiment"),
    ("llada", "diffusion"),
    ("llada-moe", "diffusion"),
    ("minimax-m3", "experiment"),
    ("pockettts", "text to speech"),
    ("qwen3tts", "text to speech"),
    ("qwen4exp", "experiment"),
    ("rnd1", "diffusion"),
];

/// Returns the block that an architecture lacks, if the table has it.
pub(crate) fn block(architecture: &str) -> Option<&'static str> {
    MISSING.iter().find(|(name, _)| *name == architecture).map(|(_, block)| *block)
}

/// Recipes of `architectures` whose reference logits are wrong, each with the reason. Ours must differ from them.
const WRONG: &[(&str, &str)] = &[
    ("arwkv7", WKV7),
    ("arwkv7-plain", WKV7),
    ("grovemoe-moe", GROVE),
    ("grovemoe-moe-plain", GROVE),
    ("rwkv7", WKV7),
];

/// The right results come from `crates/model/tests/oracle`, which computes RWKV-7 in float64, with heads of 16, 32 and
/// 64.
const WKV7: &str =
    "llama.cpp's AVX-512 scan of RWKV-7 takes 64 elements at a time and reads past heads of 16 and 32";

/// The oracle computes GroveMoE like the original, with two experts for each small one.
const GROVE: &str =
    "llama.cpp's small experts of GroveMoE read the sum of the large ones, not what these read";

/// Returns why the reference logits of a recipe are wrong, if they are known to be.
pub(crate) fn wrong_reference(recipe: &str) -> Option<&'static str> {
    WRONG.iter().find(|(name, _)| *name == recipe).map(|(_, why)| *why)
}

/// Recipes of `embeddings` that are refused although their architecture loads, each with what is missing.
const EMBEDDINGS: &[(&str, &str)] = &[];

/// Returns the block that an embedding model lacks.
pub(crate) fn embedding(recipe: &str, architecture: &str) -> Option<&'static str> {
    let own = EMBEDDINGS.iter().find(|(name, _)| *name == recipe).map(|(_, block)| *block);
    own.or_else(|| block(architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
        let table = readme.split("| missing | architectures |").nth(1).expect("a table of what is missing");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let mut found: Vec<(&str, &str)> = rows
            .filter_map(|row| row.trim_matches(['|', ' ']).split_once(" | "))
            .flat_map(|(block, names)| names.split(", ").map(move |name| (name, block)))
            .collect();
        found.sort_unstable();
        assert_eq!(found, MISSING);
    }

    /// Each name must occur once, in the row of its kind.
    #[test]
    fn the_readme_names_every_architecture_that_runs() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
        let section = readme.split("## What runs").nth(1).expect("a section of what runs");
        let rows = section.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
        // After a semicolon come relatives of architectures that another row names.
        let cells = rows.take_while(|line| line.starts_with('|')).filter_map(|row| row.split('|').nth(2));
        let names = cells.flat_map(|cell| cell.split(';').next().unwrap_or("").split(", "));
        let mut found: Vec<&str> = names.filter_map(|name| name.split_whitespace().next()).collect();
        let mut expected: Vec<&str> = happy_model::arch::registry().iter().map(|a| a.name()).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn wrong_references_are_named_once() {
        let names: Vec<&str> = WRONG.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_table_is_sorted_and_names_no_architecture_that_loads() {
        let names: Vec<&str> = MISSING.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        let loads: Vec<&&str> = names.iter().filter(|name| happy_model::arch::find(name).is_some()).collect();
        assert!(loads.is_empty(), "{loads:?} load: remove their rows");
    }
}
