#![doc = include_str!("../README.md")]
//!
//! ## GBNF
//!
//! Everything that llama.cpp reads: rules, alternatives, literals and classes with escapes, `.`, groups, `*`, `+`, `?`,
//! `{m}`, `{m,}`, `{m,n}`, comments, and tokens as `<[id]>`, `<name>` and `!<..>`. Left recursion is refused, as in
//! llama.cpp.
//!
//! [`Grammar::from_parts`] takes GBNF in which some rules are defined outside its text, as [`Part`]s: JSON schemas, other
//! grammars, and text up to the first of some strings.
//!
//! ## Cancellation, memory, stack
//!
//! The `.._cancellable` forms of long operations call `cancelled` about once per millisecond, and return an error of the kind
//! `Cancelled` soon after it returns true. Lists that grow with a grammar, a schema, a vocabulary or a text are reserved
//! fallibly; if memory is refused, the error has the kind `OutOfMemory`. The exceptions are single values of a schema (one
//! array or object with thousands of members, while its text is read). Nothing recurses along its input, so a stack of
//! 256 KiB is enough.
//!
//! ## What a schema's grammar leaves out
//!
//! A grammar does not accept every document that its schema allows. [`Reading`] decides what happens where a schema says
//! nothing. By default, it is what the schema's writer means:
//!
//! * With `properties` and without `additionalProperties`, no other names are accepted; with `prefixItems` and without
//!   `items`, no other items.
//! * A schema without `type` whose keywords are about one type accepts documents of that type only.
//! * Numbers have at most 16 digits before and after the point (more if a bound has more), numbers with bounds have no
//!   exponent, and integers have no point. Whitespace is one space, or up to two line ends and 20 spaces or tabs, and
//!   a document has none around it.
//!
//! In both readings:
//!
//! * Properties come in the order of the schema, and before others.
//! * Strings of `enum` and `const`, and names, have one spelling; halves of surrogate pairs cannot be written.
//! * Items of `uniqueItems` have one spelling, without spaces inside, and at most one member with an unlisted name. An item is
//!   only started if it can become a new one. Arrays that must differ inside such items are refused.
//! * Members with unlisted names may repeat a name, but as many as `minProperties` requires differ. If a schema that must
//!   fail requires such a member, it is the only one with an unlisted name.
//! * Formats leave out rare spellings (leap seconds, quoted local parts of addresses, zones of IPv6).
//! * `unevaluatedProperties` and `unevaluatedItems` take into account the alternatives that were taken, not others that also
//!   happen to hold.
#![forbid(unsafe_code)]

mod charset;
mod error;
mod gbnf;
mod grammar;
mod halt;
mod json;
mod limits;
mod machine;
mod matcher;
mod parts;
mod program;
mod prune;
mod recognizer;
mod regular;
mod rules;
mod schema;
mod token_set;
mod until;
mod vocabulary;

pub use error::{GrammarError, GrammarErrorKind, MatchError, PartsError, SchemaError, SchemaErrorKind};
pub use grammar::{Grammar, Reading};
pub use limits::Limits;
pub use matcher::Matcher;
pub use parts::Part;
pub use recognizer::Recognizer;
pub use token_set::TokenSet;
pub use vocabulary::{Piece, Vocabulary, VocabularyError};
