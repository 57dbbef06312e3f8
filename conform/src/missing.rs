//! The architectures of the corpus that this program refuses, each with the block that it lacks. A row whose architecture
//! loads, and an architecture without a row that doesn't, are failures: the table is true.

/// Why an architecture is refused: the block that is missing. Sorted by name.
pub(crate) const MISSING: &[(&str, &str)] = &[
    ("arwkv7", "RWKV 7"),
    ("bailingmoe3", "delta net per channel"),
    ("deepseek32", "attention indexer"),
    ("deepseek4", "experiment"),
    ("dots3note", "experiment"),
    ("dream", "diffusion"),
    ("glm-dsa", "attention indexer"),
    ("glm5-next", "experiment"),
    ("grovemoe", "experts of experts"),
    ("hrm_text", "experiment"),
    ("hy_v4", "experiment"),
    ("kimi-k3", "experiment"),
    ("kimi-linear", "delta net per channel"),
    ("llada", "diffusion"),
    ("llada-moe", "diffusion"),
    ("llama4", "chunked windows"),
    ("minimax-01", "lightning attention"),
    ("minimax-m3", "experiment"),
    ("mpt", "divisors of activations"),
    ("pockettts", "text to speech"),
    ("qwen3tts", "text to speech"),
    ("qwen4exp", "experiment"),
    ("rnd1", "diffusion"),
    ("rwkv7", "RWKV 7"),
    ("talkie", "skip connections from the embedding"),
];

/// The block that an architecture lacks, if the table has it.
pub(crate) fn block(architecture: &str) -> Option<&'static str> {
    MISSING.iter().find(|(name, _)| *name == architecture).map(|(_, block)| *block)
}

/// Recipes of `embeddings` that are refused although their architecture loads, each with what is missing.
const EMBEDDINGS: &[(&str, &str)] = &[];

/// The block that an embedding model lacks.
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

    #[test]
    fn the_table_is_sorted_and_names_no_architecture_that_loads() {
        let names: Vec<&str> = MISSING.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        let loads: Vec<&&str> = names.iter().filter(|name| happy_model::arch::find(name).is_some()).collect();
        assert!(loads.is_empty(), "{loads:?} load: remove their rows");
    }
}
