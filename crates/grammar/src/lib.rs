//! Constrained output for language models: GBNF grammars and JSON Schema as a mask over tokens.
//!
//! * [`Grammar`]: compiled from GBNF or from a JSON schema, immutable, shared.
//! * [`Vocabulary`]: a model's tokens, prepared once.
//! * [`Matcher`]: follows a text token by token; [`Matcher::mask`] says which tokens may come next.
//! * [`Recognizer`]: the same for plain text, without a vocabulary.
//!
//! Nothing here panics on any grammar, schema or token, nothing loops, and what a grammar may cost stands in [`Limits`].
//!
//! # GBNF
//!
//! Everything that llama.cpp reads: rules, alternatives, literals and classes with escapes, `.`, groups, `*`, `+`, `?`,
//! `{m}`, `{m,}`, `{m,n}`, comments, and tokens as `<[id]>`, `<name>` and `!<..>`. Left recursion is refused, as there.
//!
//! # JSON Schema
//!
//! Draft 2020-12. What a grammar accepts, the schema allows; not everything that the schema allows is accepted:
//!
//! * Properties come in the order of the schema. With `properties` and without `additionalProperties` no other names are
//!   made; with `prefixItems` and without `items` no other items.
//! * A schema without `type` whose keywords are about one type makes documents of that type only.
//! * Numbers have at most 16 digits before and after the point (more where a bound has more), bounded ones no exponent;
//!   integers are written without a point. Whitespace is a space, or up to two line ends and 20 spaces or tabs.
//! * Listed values (`enum`, `const`) and names have one spelling; halves of surrogate pairs have none.
//!
//! Supported: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `patternProperties`,
//! `propertyNames`, `minProperties`, `maxProperties`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems` (strings,
//! integers, booleans, null, listed values), `minLength`, `maxLength`, `pattern`, `format` (date, time, date-time, duration,
//! uuid, ipv4, ipv6, email, hostname, uri, json-pointer), `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`,
//! `multipleOf` (whole numbers, 0.1, 0.01, ..), `allOf`, `anyOf`, `oneOf` (where its schemas visibly exclude each other),
//! `$ref` into the document. Other keywords that constrain documents are refused with their place; annotations and unknown
//! keywords are ignored, as the specification says.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod charset;
mod error;
mod gbnf;
mod grammar;
mod limits;
mod machine;
mod matcher;
mod program;
mod prune;
mod recognizer;
mod regular;
mod rules;
mod schema;
mod token_set;
mod vocabulary;

pub use error::{GrammarError, GrammarErrorKind, MatchError, SchemaError, SchemaErrorKind};
pub use grammar::{Grammar, Reading};
pub use limits::Limits;
pub use matcher::Matcher;
pub use recognizer::Recognizer;
pub use token_set::TokenSet;
pub use vocabulary::{Piece, Vocabulary, VocabularyError};
