//! What a grammar may cost.

/// Bounds on a grammar and on the machine that runs it. What goes beyond one is refused with an error that names it.
///
/// The defaults fit grammars that people write; a server that takes grammars from strangers may lower them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a grammar's or a schema's text.
    pub text_bytes: usize,
    /// Groups (GBNF, regular expressions) or schemas inside one another.
    pub nesting: usize,
    /// The largest `m` of `{m}`, `{m,}` and `{m,n}`, of `minItems` and of `minLength`.
    pub min_repetitions: u32,
    /// The largest `n` of `{m,n}`, of `maxItems` and of `maxLength`.
    pub max_repetitions: u32,
    /// Symbols of the grammar when every repetition of a rule is written out as often as its bound says.
    pub expanded_symbols: u64,
    /// Nodes of the compiled program.
    pub nodes: usize,
    /// Bytes of one regular expression.
    pub pattern_bytes: usize,
    /// States of one regular expression, after `allOf` and the like are worked in.
    pub pattern_states: usize,
    /// Alternatives that `anyOf`, `oneOf` and lists of types make together at one place of a schema.
    pub schema_branches: usize,
    /// Values of one `enum`.
    pub schema_values: usize,
    /// States that a machine may meet.
    pub states: usize,
    /// Positions in the grammar that one state may hold at once (ambiguity).
    pub state_items: usize,
    /// Bytes of remembered masks; when they are full, all are forgotten.
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
