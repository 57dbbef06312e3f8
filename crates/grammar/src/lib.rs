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
//! [`Grammar::from_parts`] takes GBNF in which some rules are defined outside, by [`Part`]: JSON schemas, other grammars, and text
//! up to the first of some strings.
//!
//! # Stopping, memory, stack
//!
//! The `.._cancellable` forms of long work ask their flag about once per millisecond, and end in an error of the kind `Cancelled`
//! as soon as it is raised. Lists that grow with a grammar, a schema, a vocabulary or a text are reserved fallibly and end in an
//! error of the kind `OutOfMemory`; single values of a schema (one array or object of thousands of members, while its text is
//! read) are not yet. Nothing recurses along its input: a stack of 256 KiB is enough.
//!
//! # JSON Schema
//!
//! Draft 2020-12. What a grammar accepts, the schema allows; not everything that the schema allows is accepted. Where a schema
//! is silent, [`Reading`] says what is made; by default what its writer means:
//!
//! * With `properties` and without `additionalProperties` no other names are made; with `prefixItems` and without `items` no
//!   other items.
//! * A schema without `type` whose keywords are about one type makes documents of that type only.
//! * Numbers have at most 16 digits before and after the point (more where a bound has more), bounded ones no exponent;
//!   integers are written without a point. Whitespace is a space, or up to two line ends and 20 spaces or tabs, and none
//!   around the document.
//!
//! In both readings:
//!
//! * Properties come in the order of the schema, and before others.
//! * Strings of `enum` and `const`, and names, have one spelling; halves of surrogate pairs have none.
//! * Items of `uniqueItems` have one spelling, without spaces inside, and at most one member that is not named. They are begun
//!   only where they can become new ones. Arrays that must differ inside of such items are refused.
//! * Members that are not named may repeat a name, but as many as `minProperties` asks for differ. One that a schema that must
//!   fail asks for is the only one that is not named.
//! * Formats leave out rare spellings (leap seconds, quoted local parts of addresses, zones of IPv6).
//! * `unevaluatedProperties` and `unevaluatedItems` allow what the alternatives taken speak of, not what others that happen to
//!   hold would add.
//!
//! Supported: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `patternProperties`,
//! `propertyNames`, `minProperties`, `maxProperties`, `dependentRequired`, `dependentSchemas`, `dependencies` (of older drafts),
//! `unevaluatedProperties`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`, `contains`, `minContains`,
//! `maxContains`, `unevaluatedItems`, `minLength`, `maxLength`, `pattern`, `format` (date, time, date-time, duration, uuid, ipv4,
//! ipv6, email, hostname, uri, json-pointer), `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf` (up to
//! 1000000 without the point), `allOf`, `anyOf`, `oneOf`, `not`, `if`, `then`, `else`, `$ref` into the document (by pointer,
//! `$id` and `$anchor`). Other formats are annotations, which [`Grammar::ignored`] names. In a schema that must not hold, `format`, `uniqueItems`, `dependencies` and the unevaluated keywords are
//! refused, as are `$dynamicRef`, references that lead outside, and more alternatives than [`Limits`] allows. What is refused is
//! named with its place, and so is what was not looked at where nothing was found; annotations and unknown keywords are ignored, as the specification says.
#![doc = include_str!("../README.md")]
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
