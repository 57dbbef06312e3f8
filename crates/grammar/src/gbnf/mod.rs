//! GBNF, the grammar notation of llama.cpp (its `grammars/README.md`): text to rules.
//!
//! ```text
//! grammar     = { rule } ;
//! rule        = name "::=" alternates newline ;
//! alternates  = sequence { "|" sequence } ;          (* "|" may be followed by newlines *)
//! sequence    = { symbol [ "*" | "+" | "?" | "{" m [ "," [ n ] ] "}" ] } ;
//! symbol      = '"' chars '"' | "[" [ "^" ] { char [ "-" char ] } "]" | "." | name
//!             | "(" alternates ")"                    (* newlines are spaces in here *)
//!             | [ "!" ] "<" ( "[" id "]" | text ) ">" ;
//! escape      = \t \r \n \\ \" \[ \] \- \xHH \uHHHH \UHHHHHHHH ;
//! ```
//!
//! Two things that llama.cpp accepts are errors here: a rule that is defined twice, and an empty or reversed range.

mod parse;
mod scan;

pub(crate) use parse::parse;
