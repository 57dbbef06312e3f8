//! Short names: the one table of models that are useful on phones.
//!
//! Repository, file and size are as the publisher showed them in 2026. They are not trusted: during a pull, the server reports the size
//! and the SHA-256, and the header is judged before the download. Licenses are those of the model cards; read them there.

/// A short name for a file of the Hugging Face Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alias {
    /// The short name, in lower case.
    pub name: &'static str,
    /// The repository, `owner/repo`.
    pub repo: &'static str,
    /// The path of the file within the repository.
    pub file: &'static str,
    /// The file's size in bytes, as published.
    pub bytes: u64,
    /// The license that the model card names.
    pub license: &'static str,
}

impl Alias {
    /// Finds an entry by name, in upper or lower case.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALIASES.iter().find(|alias| alias.name.eq_ignore_ascii_case(name))
    }

    /// Returns the memory in bytes of the smallest usual device (3, 4, 6, 8, 12 or 16 GiB) on which the model is worth a try.
    ///
    /// Its file is at most a third of that memory, because the system and other apps need more than half; models that are too large
    /// for 12 GiB count as 16. This is a rule of thumb for lists. The plan that an engine makes from the header decides.
    pub fn min_ram(&self) -> u64 {
        const USUAL_GIB: [u64; 5] = [3, 4, 6, 8, 12];
        let usual = USUAL_GIB.into_iter().map(|gib| gib << 30);
        usual.into_iter().find(|ram| self.bytes <= ram / 3).unwrap_or(16 << 30)
    }
}

const fn alias(
    name: &'static str,
    repo: &'static str,
    file: &'static str,
    bytes: u64,
    license: &'static str,
) -> Alias {
    Alias { name, repo, file, bytes, license }
}

/// All short names, small files first.
#[rustfmt::skip]
pub const ALIASES: &[Alias] = &[
    alias("lfm2.5-350m", "LiquidAI/LFM2.5-350M-GGUF", "LFM2.5-350M-Q4_K_M.gguf", 229_312_224, "lfm1.0"),
    alias("qwen3-0.6b", "bartowski/Qwen_Qwen3-0.6B-GGUF", "Qwen_Qwen3-0.6B-Q4_K_M.gguf", 484_220_320, "apache-2.0"),
    alias("lfm2.5-1.2b", "LiquidAI/LFM2.5-1.2B-Instruct-GGUF", "LFM2.5-1.2B-Instruct-Q4_K_M.gguf", 730_895_168, "lfm1.0"),
    alias("gemma3-1b", "ggml-org/gemma-3-1b-it-GGUF", "gemma-3-1b-it-Q4_K_M.gguf", 806_058_240, "gemma"),
    alias("llama3.2-1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q4_K_M.gguf", 807_694_464, "llama3.2"),
    alias("qwen3-1.7b", "bartowski/Qwen_Qwen3-1.7B-GGUF", "Qwen_Qwen3-1.7B-Q4_K_M.gguf", 1_282_439_584, "apache-2.0"),
    alias("lfm2-2.6b", "LiquidAI/LFM2-2.6B-GGUF", "LFM2-2.6B-Q4_K_M.gguf", 1_563_668_704, "lfm1.0"),
    alias("smollm3-3b", "bartowski/HuggingFaceTB_SmolLM3-3B-GGUF", "HuggingFaceTB_SmolLM3-3B-Q4_0.gguf", 1_811_455_808, "apache-2.0"),
    alias("smollm2-1.7b", "bartowski/SmolLM2-1.7B-Instruct-GGUF", "SmolLM2-1.7B-Instruct-Q8_0.gguf", 1_820_414_944, "apache-2.0"),
    alias("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q8_0.gguf", 1_894_532_128, "apache-2.0"),
    alias("ministral3-3b", "bartowski/mistralai_Ministral-3-3B-Instruct-2512-GGUF", "mistralai_Ministral-3-3B-Instruct-2512-Q4_0.gguf", 2_046_375_904, "apache-2.0"),
    alias("phi4-mini", "bartowski/microsoft_Phi-4-mini-instruct-GGUF", "microsoft_Phi-4-mini-instruct-Q4_0.gguf", 2_331_442_560, "mit"),
    alias("gemma3-4b", "unsloth/gemma-3-4b-it-GGUF", "gemma-3-4b-it-Q4_0.gguf", 2_370_065_536, "gemma"),
    alias("llama3.2-3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", "Llama-3.2-3B-Instruct-Q6_K.gguf", 2_643_853_856, "llama3.2"),
    alias("gemma4-e2b", "unsloth/gemma-4-E2B-it-GGUF", "gemma-4-E2B-it-Q4_0.gguf", 3_041_376_384, "apache-2.0"),
    alias("lfm2.5-8b-a1b", "LiquidAI/LFM2.5-8B-A1B-GGUF", "LFM2.5-8B-A1B-Q4_0.gguf", 4_844_678_368, "lfm1.0"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safe;

    #[test]
    fn the_table_is_sorted_and_plain() {
        assert!(ALIASES.windows(2).all(|pair| pair[0].bytes < pair[1].bytes), "by size");
        for (i, alias) in ALIASES.iter().enumerate() {
            assert_eq!(
                (safe::repo(alias.repo), safe::file_path(alias.file)),
                (Ok(()), Ok(())),
                "{}",
                alias.name
            );
            assert!(
                alias.file.ends_with(".gguf") && alias.name == alias.name.to_ascii_lowercase(),
                "{}",
                alias.name
            );
            assert!(ALIASES[..i].iter().all(|other| other.name != alias.name), "{} occurs twice", alias.name);
            assert!((alias.bytes * 3..=16 << 30).contains(&alias.min_ram()), "{}", alias.name);
        }
        assert_eq!(Alias::find("Gemma3-1B").map(|alias| alias.min_ram() >> 30), Some(3));
        assert_eq!(Alias::find("gemma3-2b"), None);
    }
}
