//! The memory that a tokenizer will take, computed from the metadata before anything is built.

use crate::{Tokenizer, hash, special, trie, vocab};
use happy_gguf::{Array, Metadata, ValueType};

/// What is allocated for any file: the kinds' fixed tables, warnings, and allocations below a kilobyte.
const FIXED: u64 = 64 << 10;

/// The maximum number of tokens that become special by their well-known strings, and their maximum size in bytes.
const ROLES: (u64, u64) = (128, 4096);

impl Tokenizer {
    /// Returns the maximum heap size in bytes while a file's tokenizer is built and afterwards, in addition to the file's own
    /// bytes.
    ///
    /// Reads the lengths of the tokens' texts and their types, and allocates nothing. Metadata that cannot be built
    /// into a tokenizer also gives a bound; a file without a tokenizer gives 0.
    pub fn planned_bytes(metadata: &Metadata<'_>) -> u64 {
        let array = |key: &str| metadata.optional::<Array<'_>>(key).ok().flatten();
        let count = |array: &Option<Array<'_>>| array.as_ref().map_or(0, |array| array.len() as u64);
        let text = |key: &str| metadata.optional::<&str>(key).ok().flatten().unwrap_or("");
        let Some(tokens) = array("tokenizer.ggml.tokens").filter(|a| a.element_type() == ValueType::String)
        else {
            return 0;
        };
        let types = array("tokenizer.ggml.token_type");
        let (n, merges) = (tokens.len() as u64, count(&array("tokenizer.ggml.merges")));
        let bytes = (tokens.raw().len() as u64).saturating_sub(8 * n);
        let model = text("tokenizer.ggml.model");
        let names = ["tokenizer.ggml.pre", "general.architecture", "general.name"];
        let mut planned = FIXED + model.len() as u64;
        planned += names.iter().map(|key| text(key).len() as u64).sum::<u64>();
        planned += 4 * (n + 1) + vocab::planned_bytes(n) + count(&types);
        planned += special_bytes(&tokens, types.as_ref());
        planned += match model {
            "bert" | "t5" | "plamo2" => trie::planned_bytes(n, bytes),
            // The strings without their escapes, and their lengths.
            "rwkv" => trie::planned_bytes(n, bytes) + bytes + 4 * n + 4 * (n + 1),
            _ => 0,
        };
        planned
            + 4 * (merges + 1)
            + hash::planned_bytes(merges)
            + 4 * count(&array("tokenizer.ggml.eos_token_ids"))
    }
}

/// The size of the search for special tokens.
fn special_bytes(tokens: &Array<'_>, types: Option<&Array<'_>>) -> u64 {
    let special = |i: usize| {
        let number = |array: &Array<'_>| array.get(i).and_then(|value| value.as_integer());
        types.and_then(number).is_some_and(|number| matches!(number, 2..=4))
    };
    let (mut n, mut bytes) = ROLES;
    let mut rest = tokens.raw();
    for i in 0..tokens.len() {
        let Some((length, after)) = rest.split_first_chunk::<8>() else { break };
        let length = u64::from_le_bytes(*length);
        rest = usize::try_from(length).ok().and_then(|length| after.get(length..)).unwrap_or(&[]);
        if special(i) {
            (n, bytes) = (n + 1, bytes + length.min(after.len() as u64));
        }
    }
    special::planned_bytes(n, bytes)
}
