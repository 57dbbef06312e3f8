//! The parser: recursive descent with bounded depth.

use super::scan::Scanner;
use crate::charset::{CharSet, MOST_RANGES};
use crate::error::{GrammarError, GrammarErrorKind, Place};
use crate::halt::{Halt, Meter, copied_text, push};
use crate::limits::Limits;
use crate::rules::{Expr, Rule, RuleId, Rules, TokenRef};
use std::collections::HashMap;

/// How many repetition marks may follow one another, as in `a*+?`. More add no meaning, but each adds depth.
const REPETITIONS_IN_A_ROW: usize = 8;

/// Turns the text of a grammar into rules. Texts start from the rule named `root`.
///
/// `outside` has the names of rules that are defined elsewhere. They become the first rules, and match nothing here.
pub(crate) fn parse<'a>(
    text: &'a str,
    root: &str,
    outside: &[&'a str],
    limits: &'a Limits,
    meter: &'a Meter<'a>,
) -> Result<Rules, GrammarError> {
    if text.len() > limits.text_bytes {
        let message = format!(
            "the grammar has {} bytes, more than {} (Limits::text_bytes)",
            text.len(),
            limits.text_bytes
        );
        return Err(GrammarError::new(GrammarErrorKind::Limit, None, message));
    }
    let mut parser =
        Parser { at: Scanner::new(text), limits, meter, names: HashMap::new(), rules: Vec::new() };
    for name in outside {
        let id = parser.id(name, Place { line: 1, column: 1 })? as usize;
        if parser.rules[id].defined.is_some() {
            let message = format!("the part '{name}' is given twice");
            return Err(GrammarError::new(GrammarErrorKind::DuplicateRule, None, message));
        }
        parser.rules[id].defined = Some((None, Expr::Alt(Vec::new())));
    }
    parser.at.spaces(true);
    while parser.at.peek().is_some() {
        parser.rule()?;
    }
    parser.finish(root)
}

/// A rule that was mentioned and, once that is known, what it matches.
struct Entry<'a> {
    name: &'a str,
    /// Where the rule was first mentioned.
    used: Place,
    defined: Option<(Option<Place>, Expr)>,
}

struct Parser<'a> {
    at: Scanner<'a>,
    limits: &'a Limits,
    meter: &'a Meter<'a>,
    names: HashMap<&'a str, RuleId>,
    rules: Vec<Entry<'a>>,
}

impl<'a> Parser<'a> {
    /// The number of the rule that is mentioned here.
    fn id(&mut self, name: &'a str, used: Place) -> Result<RuleId, Halt> {
        self.meter.step(1)?;
        self.names.try_reserve(1)?;
        self.rules.try_reserve(1)?;
        Ok(*self.names.entry(name).or_insert_with(|| {
            self.rules.push(Entry { name, used, defined: None });
            (self.rules.len() - 1) as RuleId
        }))
    }

    fn rule(&mut self) -> Result<(), GrammarError> {
        let place = self.at.place();
        let name = self.at.name()?;
        let id = self.id(name, place)? as usize;
        self.at.spaces(false);
        self.at.expect("::=", "'::='")?;
        self.at.spaces(true);
        let expr = self.alternates(0)?;
        if let Some((first, _)) = &self.rules[id].defined {
            let first = first.map_or("as a part".to_owned(), |first| format!("in line {}", first.line));
            let message = format!("rule '{name}' is defined twice, first {first}");
            return Err(GrammarError::new(GrammarErrorKind::DuplicateRule, Some(place), message));
        }
        self.rules[id].defined = Some((Some(place), expr));
        if !matches!(self.at.peek(), None | Some('\r' | '\n')) {
            return Err(self.at.expected("a symbol, '|' or the end of the line"));
        }
        self.at.spaces(true);
        Ok(())
    }

    /// Parses alternatives, up to the first symbol that cannot belong to them. In groups (`depth > 0`) a line end
    /// counts as a space.
    fn alternates(&mut self, depth: usize) -> Result<Expr, GrammarError> {
        if depth > self.limits.nesting {
            let message =
                format!("groups are nested more than {} deep (Limits::nesting)", self.limits.nesting);
            return Err(GrammarError::new(GrammarErrorKind::Limit, Some(self.at.place()), message));
        }
        let mut alternatives = vec![self.sequence(depth)?];
        while self.at.take("|") {
            self.at.spaces(true);
            let sequence = self.sequence(depth)?;
            push(&mut alternatives, sequence)?;
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Expr::Alt(alternatives) })
    }

    fn sequence(&mut self, depth: usize) -> Result<Expr, GrammarError> {
        let mut symbols = Vec::new();
        while let Some(symbol) = self.symbol(depth)? {
            self.at.spaces(depth > 0);
            let symbol = self.repetition(symbol, depth)?;
            push(&mut symbols, symbol)?;
            self.meter.step(4)?;
        }
        Ok(if symbols.len() == 1 { symbols.remove(0) } else { Expr::Seq(symbols) })
    }

    fn symbol(&mut self, depth: usize) -> Result<Option<Expr>, GrammarError> {
        let place = self.at.place();
        Ok(Some(match self.at.peek() {
            Some('"') => self.literal()?,
            Some('[') => self.class()?,
            Some('<' | '!') => self.token()?,
            Some('.') => {
                self.at.next();
                Expr::Class(CharSet::any())
            }
            Some('(') => {
                self.at.next();
                self.at.spaces(true);
                let group = self.alternates(depth + 1)?;
                self.at.expect(")", "')'")?;
                group
            }
            Some(c) if c.is_ascii_alphanumeric() || c == '-' => {
                let name = self.at.name()?;
                Expr::Rule(self.id(name, place)?)
            }
            _ => return Ok(None),
        }))
    }

    fn literal(&mut self) -> Result<Expr, GrammarError> {
        self.at.next();
        let mut text = String::new();
        while !self.at.take("\"") {
            let character = self.at.character("the literal ('\"')")?;
            text.try_reserve(4).map_err(Halt::from)?;
            text.push(character);
            self.meter.step(1)?;
        }
        Ok(Expr::Literal(text))
    }

    fn class(&mut self) -> Result<Expr, GrammarError> {
        const WHAT: &str = "the character class (']')";
        let start = self.at.place();
        self.at.next();
        let negated = self.at.take("^");
        let mut ranges = Vec::new();
        while !self.at.take("]") {
            let place = self.at.place();
            let low = self.at.character(WHAT)?;
            let mut high = low;
            if self.at.peek() == Some('-') && self.at.peek_second() != Some(']') {
                self.at.next();
                high = self.at.character(WHAT)?;
            }
            if high < low {
                let (low, high) = (low.escape_debug(), high.escape_debug());
                let message = format!("expected a range that ascends, found {low}-{high}");
                return Err(GrammarError::new(GrammarErrorKind::Syntax, Some(place), message));
            }
            if ranges.len() == MOST_RANGES {
                let message = format!(
                    "a class of more than {MOST_RANGES} characters and ranges: write two alternatives"
                );
                return Err(GrammarError::new(GrammarErrorKind::Limit, Some(start), message));
            }
            // Reserved all at once, so that it does not grow beyond what is needed.
            if ranges.capacity() == 0 {
                ranges.try_reserve_exact(self.at.class_length().min(MOST_RANGES)).map_err(Halt::from)?;
            }
            push(&mut ranges, (low as u32, high as u32))?;
            self.meter.step(1)?;
        }
        if ranges.is_empty() {
            let message = "expected characters in the class, found none";
            return Err(GrammarError::new(GrammarErrorKind::Syntax, Some(start), message));
        }
        let set = CharSet::new(ranges);
        Ok(Expr::Class(if negated { set.complement() } else { set }))
    }

    /// `<[id]>`, `<text>`, or either with a leading `!`.
    fn token(&mut self) -> Result<Expr, GrammarError> {
        let place = self.at.place();
        let negated = self.at.take("!");
        self.at.expect("<", "'<' of a token")?;
        let token = if self.at.take("[") {
            let id = self.at.number()?;
            self.at.expect("]", "']' after the token's number")?;
            TokenRef::Id(id)
        } else {
            let text = self.at.run(|c| c != '>' && c != '\n' && c != '\r');
            TokenRef::Text(format!("<{text}>"))
        };
        self.at.expect(">", "'>' after the token")?;
        Ok(Expr::Token { token, negated, place: Some(place) })
    }

    /// Parses the repetitions after a symbol: `*`, `+`, `?`, `{..}`, or several of them.
    fn repetition(&mut self, symbol: Expr, depth: usize) -> Result<Expr, GrammarError> {
        let mut expr = symbol;
        for _ in 0..=REPETITIONS_IN_A_ROW {
            let (min, max) = match self.at.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    self.at.next();
                    let bounds = self.bounds()?;
                    expr = Expr::repeat(expr, bounds.0, bounds.1);
                    self.at.spaces(depth > 0);
                    continue;
                }
                _ => return Ok(expr),
            };
            self.at.next();
            expr = Expr::repeat(expr, min, max);
            self.at.spaces(depth > 0);
        }
        let message = format!("more than {REPETITIONS_IN_A_ROW} repetitions in a row");
        Err(GrammarError::new(GrammarErrorKind::Limit, Some(self.at.place()), message))
    }

    /// Parses `m}`, `m,}` or `m,n}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), GrammarError> {
        self.at.spaces(false);
        let place = self.at.place();
        let min = self.at.number()?;
        self.at.spaces(false);
        let mut max = Some(min);
        if self.at.take(",") {
            self.at.spaces(false);
            max = if self.at.peek() == Some('}') { None } else { Some(self.at.number()?) };
            self.at.spaces(false);
        }
        self.at.expect("}", "'}' after the number of repetitions")?;
        let limits = self.limits;
        let wrong = if max.is_some_and(|max| max < min) {
            format!(
                "expected at least {min} for the second number of the repetition, found {}",
                max.unwrap_or(0)
            )
        } else if min > limits.min_repetitions {
            format!(
                "at least {min} repetitions are more than {} (Limits::min_repetitions)",
                limits.min_repetitions
            )
        } else if max.is_some_and(|max| max > limits.max_repetitions) {
            let max = max.unwrap_or(0);
            format!(
                "up to {max} repetitions are more than {} (Limits::max_repetitions)",
                limits.max_repetitions
            )
        } else {
            return Ok((min, max));
        };
        Err(GrammarError::new(GrammarErrorKind::Limit, Some(place), wrong))
    }

    fn finish(self, root: &str) -> Result<Rules, GrammarError> {
        let Some(&id) = self.names.get(root) else {
            let message = format!("no rule is called '{root}', where texts begin");
            return Err(GrammarError::new(GrammarErrorKind::MissingRoot, None, message));
        };
        let mut all = Vec::new();
        all.try_reserve_exact(self.rules.len()).map_err(Halt::from)?;
        let rules = self.rules.into_iter().map(|Entry { name, used, defined }| match defined {
            Some((place, expr)) => Ok(Rule { name: copied_text(name)?, expr, place }),
            None => {
                let message = format!("rule '{name}' is used and not defined");
                Err(GrammarError::new(GrammarErrorKind::UndefinedRule, Some(used), message))
            }
        });
        for rule in rules {
            all.push(rule?);
        }
        Ok(Rules { rules: all, root: id, plans: Vec::new(), left_out: Vec::new(), ignored: Vec::new() })
    }
}
