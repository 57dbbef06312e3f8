//! Tells of each line of standard input whether it satisfies a JSON schema (or matches a GBNF grammar):
//! `cargo run -p happy-grammar --example check_lines -- FILE < lines`.

use happy_grammar::{Grammar, Limits, Reading, Recognizer};
use std::error::Error;
use std::io::BufRead;

fn main() -> Result<(), Box<dyn Error>> {
    let path =
        std::env::args().nth(1).ok_or("usage: check_lines FILE < LINES (FILE: .gbnf or a JSON schema)")?;
    let text = std::fs::read_to_string(&path)?;
    let grammar = if path.ends_with(".gbnf") {
        Grammar::from_gbnf(&text)?
    } else {
        // For checking, everything that the specification allows; for generating, the default reading is better.
        Grammar::from_json_schema_with(&text, Reading::Specification, &Limits::default())?
    };
    for ignored in grammar.ignored() {
        eprintln!("warning: {ignored}");
    }

    let mut recognizer = Recognizer::new(&grammar)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        recognizer.reset();
        let mut place = None;
        for (i, byte) in line.bytes().enumerate() {
            recognizer.push(&[byte])?;
            if recognizer.is_dead() {
                place = Some(i);
                break;
            }
        }
        match place {
            Some(i) => println!("no, from byte {i}: {line}"),
            None if recognizer.is_complete() => println!("yes: {line}"),
            None => println!("no, it is incomplete: {line}"),
        }
    }
    Ok(())
}
