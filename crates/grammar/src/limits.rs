//! Bounds on the cost of a grammar.

/// Bounds on a grammar and on the machine that runs it. An error names the bound that was exceeded.
///
/// The defaults fit grammars written by people. A server that accepts grammars from untrusted clients may lower them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of a grammar's or schema's text in bytes (default 1 MiB).
    pub text_bytes: usize,
    /// Maximum nesting of groups (GBNF, regular expressions) or schemas (default 100).
    pub nesting: usize,
    /// Maximum `m` of `{m}`, `{m,}` and `{m,n}`, of `minItems` and of `minLength` (default 2,000).
    pub min_repetitions: u32,
    /// Maximum `n` of `{m,n}`, of `maxItems` and of `maxLength` (default 100,000).
    pub max_repetitions: u32,
    /// Maximum number of symbols in the grammar with every repetition written out (default 1,000,000).
    pub expanded_symbols: u64,
    /// Maximum number of nodes in the compiled program (default 1,000,000).
    pub nodes: usize,
    /// Maximum size of one regular expression in bytes (default 2,000).
    pub pattern_bytes: usize,
    /// Maximum number of states of one regular expression, including what `allOf` and similar keywords add to it (default 10,000).
    pub pattern_states: usize,
    /// Maximum number of alternatives at one place of a schema, from combinations of `anyOf`, `oneOf` and lists of
    /// types (default 1,000).
    pub schema_branches: usize,
    /// Maximum number of values in one `enum` (default 5,000).
    pub schema_values: usize,
    /// Maximum number of states that a machine may create (default 200,000).
    pub states: usize,
    /// Maximum number of grammar positions in one state (ambiguity) (default 20,000).
    pub state_items: usize,
    /// Maximum size of the mask cache in bytes. When it is full, it is cleared. Default 16 MiB.
    pub mask_cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 1 << 20,
            nesting: 100,
            min_repetitions: 2_000,
            max_repetitions: 100_000,
            expanded_symbols: 1_000_000,
            nodes: 1_000_000,
            pattern_bytes: 2_000,
            pattern_states: 10_000,
            schema_branches: 1_000,
            schema_values: 5_000,
            states: 200_000,
            state_items: 20_000,
            mask_cache_bytes: 16 << 20,
        }
    }
}
