//! Strings: characters as JSON spells them, and automata over characters as rules.

use super::emit::{Compiler, Spelling};
use crate::charset::CharSet;
use crate::program::digit_ranges;
use crate::regular::Automaton;
use crate::rules::{Expr, RuleId};

/// Single-letter escapes.
const SHORT: [(char, char); 8] = [
    ('"', '"'),
    ('\\', '\\'),
    ('/', '/'),
    ('\u{8}', 'b'),
    ('\u{C}', 'f'),
    ('\n', 'n'),
    ('\r', 'r'),
    ('\t', 't'),
];

/// Characters that must be escaped in a string.
fn escaped() -> CharSet {
    CharSet::new([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
}

impl Compiler<'_> {
    /// One character of a set, in any spelling, or in the one that this crate would write.
    pub(super) fn character(&mut self, set: &CharSet, spelling: Spelling) -> RuleId {
        if let Some(&known) = self.characters.get(&(set.clone(), spelling)) {
            return known;
        }
        let mut ways = vec![Expr::Class(set.minus(&escaped()))];
        let mut short = String::new();
        for (c, letter) in SHORT {
            if set.contains(c as u32) && (spelling == Spelling::Any || escaped().contains(c as u32)) {
                short.push(letter);
            }
        }
        if !short.is_empty() {
            ways.push(Expr::Seq(vec![Expr::literal("\\"), Expr::Class(CharSet::of(&short))]));
        }
        let by_number = match spelling {
            Spelling::Any => set.clone(),
            // Control characters without a single-letter escape, in lower-case digits.
            Spelling::One => {
                let letters: String = SHORT.iter().map(|(c, _)| *c).collect();
                set.intersection(&escaped()).minus(&CharSet::of(&letters))
            }
        };
        for &(low, high) in by_number.ranges() {
            if low <= 0xFFFF {
                ways.extend(unicode_escapes(low, high.min(0xFFFF), spelling));
            }
            if high > 0xFFFF {
                let (low, high) = (low.max(0x1_0000) - 0x1_0000, high - 0x1_0000);
                // A surrogate pair: two digits of ten bits.
                for digits in digit_ranges(low, high, 10, 2) {
                    let half = |i: usize, base: u32| {
                        let (a, b) = digits[i];
                        Expr::Alt(unicode_escapes(base + a, base + b, spelling))
                    };
                    ways.push(Expr::Seq(vec![half(0, 0xD800), half(1, 0xDC00)]));
                }
            }
        }
        let rule = self.new_rule("char", Expr::Alt(ways));
        self.characters.insert((set.clone(), spelling), rule);
        rule
    }

    /// A quoted string that the automaton accepts.
    pub(super) fn string_automaton(&mut self, automaton: &Automaton, spelling: Spelling) -> Expr {
        let base = self.reserve(automaton.states.len());
        for (i, state) in automaton.states.iter().enumerate() {
            let mut ways = Vec::new();
            if state.accepting {
                ways.push(Expr::literal("\""));
            }
            for (set, to) in &state.next {
                let character = Expr::Rule(self.character(set, spelling));
                ways.push(Expr::Seq(vec![character, Expr::Rule(base + *to as RuleId)]));
            }
            self.set_rule(base + i as RuleId, Expr::Alt(ways));
        }
        Expr::Seq(vec![Expr::literal("\""), Expr::Rule(base)])
    }

    /// The characters of an automaton, without quotes and escapes.
    pub(super) fn plain_automaton(&mut self, automaton: &Automaton) -> Expr {
        let base = self.reserve(automaton.states.len());
        for (i, state) in automaton.states.iter().enumerate() {
            let mut ways = Vec::new();
            if state.accepting {
                ways.push(Expr::EMPTY);
            }
            for (set, to) in &state.next {
                ways.push(Expr::Seq(vec![Expr::Class(set.clone()), Expr::Rule(base + *to as RuleId)]));
            }
            self.set_rule(base + i as RuleId, Expr::Alt(ways));
        }
        Expr::Rule(base)
    }
}

/// `\uHHHH` for all numbers from `low` to `high`.
fn unicode_escapes(low: u32, high: u32, spelling: Spelling) -> Vec<Expr> {
    // Surrogates in between are not characters and not in the set; the halves of a pair are handled separately.
    let digit = |(a, b): (u32, u32)| {
        let lower = (a..=b).filter_map(|d| char::from_digit(d, 16));
        let upper = lower.clone().filter(|_| spelling == Spelling::Any).map(|c| c.to_ascii_uppercase());
        Expr::Class(CharSet::of(&lower.chain(upper).collect::<String>()))
    };
    let one = |digits: Vec<(u32, u32)>| {
        let digits = digits.into_iter().map(digit);
        Expr::Seq([Expr::literal("\\u")].into_iter().chain(digits).collect())
    };
    digit_ranges(low, high, 4, 4).into_iter().map(one).collect()
}
