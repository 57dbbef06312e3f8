//! Puts a charge in front of the operators and filters whose cost minijinja does not know (weight.rs).
//!
//! ```text
//! a == b, a in b, a ~ b           ->  a|__walk == b|__walk
//! a + b, a * b                    ->  a|__flat + b|__flat
//! a[1:]                           ->  a[1:]|__flat
//! a[b], {b: c}                    ->  a[b|__walk], {b|__walk: c}              keys are hashed
//! a|f(b), a is t(b), a.m(b)       ->  a|__walk|f(b|__walk) ..
//! ```
//! Both filters return what they are given, and a filter binds tighter than any operator: whatever operand they end up
//! on, the expression means what it meant. An operand ends where its last name, literal or bracket does.
//!
//! Operators are looked at by segments: what stands between commas, brackets and `if`, `else`, `and`, `or`. If any
//! operator of a segment walks, all of its operands are charged for, so that precedence does not matter. Nothing is put
//! where a plain literal on one side keeps the operation cheap (`role == 'user'`, `i + 1`), which is nearly always so in
//! real templates.

use super::expression::{Kind, Token, ends_operand, is_separator, tokens};

/// Filters that do not walk into the values they are given, or charge for it themselves.
const CHEAP_FILTERS: [&str; 21] = [
    "length",
    "count",
    "first",
    "last",
    "default",
    "d",
    "items",
    "list",
    "reverse",
    "safe",
    "tojson",
    "from_json",
    "fromjson",
    "string",
    "join",
    "indent",
    "truncate",
    "wordcount",
    "trim",
    "format",
    "sort",
];

/// Tests that look at the value itself only.
const CHEAP_TESTS: [&str; 21] = [
    "defined",
    "undefined",
    "none",
    "safe",
    "escaped",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "sameas",
    "true",
    "false",
    "callable",
];

/// What the operators between two separators do.
#[derive(Debug, Default, Clone, Copy)]
struct Segment {
    /// All operands are walked over, whatever the operators are.
    forced: bool,
    /// `==`, `<` ..
    compares: bool,
    /// `in`: the left operand is searched for in the right one.
    searches: bool,
    /// `~` and tests that walk.
    walks: bool,
    adds: bool,
    repeats: bool,
    /// `-`, `/` ..: their operands are numbers, or they fail.
    computes: bool,
    operators: usize,
    /// Whether an operand is a string, number, boolean or none as it stands there; whether that is the first one.
    literal: bool,
    literal_first: bool,
    literal_text: bool,
}

impl Segment {
    /// The filter that the segment's operands go through.
    fn guard(&self) -> Option<&'static str> {
        let single = self.operators <= 1;
        let cheap = single && self.literal;
        // A key like `i - 1` is a number.
        let forced = self.forced && !self.computes && !(self.adds && cheap);
        if forced
            || self.walks
            || (self.compares && !cheap)
            || (self.searches && !(single && self.literal_first))
        {
            Some("|__walk")
        } else if (self.adds && !cheap) || (self.repeats && !(single && self.literal_text)) {
            Some("|__flat")
        } else {
            None
        }
    }
}

/// An open bracket.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// The segment to go on with behind it.
    outer: usize,
    /// Whether all arguments inside are walked over.
    forced: bool,
    /// `a[`.
    subscript: bool,
    /// `{`: what stands before a colon is a key.
    map: bool,
    slice: bool,
}

/// What the first pass finds out.
struct Analysis<'a> {
    significant: &'a [Token<'a>],
    segments: Vec<Segment>,
    /// The segment of each significant token.
    of: Vec<usize>,
    /// Closing brackets of slices.
    slices: Vec<bool>,
    open: Vec<Open>,
    at: usize,
}

impl<'a> Analysis<'a> {
    fn text(&self, i: usize) -> &'a str {
        self.significant.get(i).map_or("", |t| t.text)
    }

    fn before(&self, i: usize, n: usize) -> &'a str {
        i.checked_sub(n).map_or("", |j| self.text(j))
    }

    /// Whether an operand ends right before the token.
    fn is_behind_operand(&self, i: usize) -> bool {
        i.checked_sub(1).is_some_and(|j| ends_operand(self.significant, j))
    }

    fn is_filter_name(&self, i: usize) -> bool {
        self.before(i, 1) == "|" || (i == 1 && self.text(0) == "filter")
    }

    fn is_test_name(&self, i: usize) -> bool {
        self.before(i, 1) == "is" || (self.before(i, 1) == "not" && self.before(i, 2) == "is")
    }

    /// Whether the arguments of the bracket at `i` are walked over by what is called.
    fn walks_over_arguments(&self, i: usize) -> bool {
        let Some(name) = i.checked_sub(1) else { return false };
        if self.significant.get(name).is_none_or(|t| t.kind != Kind::Word) {
            return false;
        }
        let filter = self.is_filter_name(name) && !CHEAP_FILTERS.contains(&self.text(name));
        let test = self.is_test_name(name) && !CHEAP_TESTS.contains(&self.text(name));
        filter || test || self.before(name, 1) == "."
    }

    fn begin(&mut self, forced: bool) {
        self.at = self.segments.len();
        self.segments.push(Segment { forced, ..Segment::default() });
    }

    /// Takes the next significant token.
    fn token(&mut self, i: usize) {
        let Some(t) = self.significant.get(i) else { return };
        let behind = self.is_behind_operand(i);
        self.slices.push(false);
        match (t.kind, t.text) {
            (Kind::Symbol, "(" | "[" | "{") => {
                self.of.push(self.at);
                let subscript = t.text == "[" && behind;
                let forced = t.text == "(" && self.walks_over_arguments(i);
                let map = t.text == "{";
                self.open.push(Open { outer: self.at, forced, subscript, map, slice: false });
                self.begin(forced || subscript || map);
            }
            (Kind::Symbol, ")" | "]" | "}") => {
                if let Some(open) = self.open.pop() {
                    self.at = open.outer;
                    if let Some(last) = self.slices.last_mut() {
                        *last = open.slice;
                    }
                }
                self.of.push(self.at);
            }
            (Kind::Symbol, "," | ":" | "=") => {
                self.of.push(self.at);
                let mut forced = false;
                if let Some(open) = self.open.last_mut() {
                    // The bounds of a slice are numbers; behind a colon in a map stands a value, behind a comma a key.
                    open.slice |= open.subscript && t.text == ":";
                    forced = open.forced || (open.map && t.text == ",");
                }
                self.begin(forced);
            }
            (Kind::Word, word) if self.is_separator(i, word) => {
                self.of.push(self.at);
                let forced = self.segments.get(self.at).is_some_and(|segment| segment.forced);
                self.begin(forced);
            }
            _ => {
                self.of.push(self.at);
                self.operator_or_literal(i, t, behind);
            }
        }
    }

    /// Words that end a segment; the `in` of a loop is one, and no operator.
    fn is_separator(&self, i: usize, word: &str) -> bool {
        let attribute = matches!(self.before(i, 1), "." | "|") || self.is_test_name(i);
        let of_loop = word == "in" && self.text(0) == "for" && self.open.is_empty() && {
            let earlier = self.significant.iter().take(i);
            earlier.filter(|t| t.text == "in").count() == 0
        };
        !attribute && (of_loop || is_separator(word))
    }

    fn operator_or_literal(&mut self, i: usize, t: &Token<'a>, behind: bool) {
        let literal = self.is_literal(i);
        let test = match t.text {
            "is" if self.text(i + 1) == "not" => self.text(i + 2),
            "is" => self.text(i + 1),
            _ => "",
        };
        let negated = is_negated(self.significant, i);
        let Some(segment) = self.segments.get_mut(self.at) else { return };
        if literal {
            segment.literal = true;
            segment.literal_text |= t.kind == Kind::String;
            segment.literal_first |= segment.operators == 0;
            return;
        }
        let operator = behind && t.kind != Kind::String;
        match t.text {
            "==" | "!=" | "<" | "<=" | ">" | ">=" if operator => segment.compares = true,
            "in" if operator || negated => segment.searches = true,
            "~" if operator => segment.walks = true,
            "+" if operator => segment.adds = true,
            "*" if operator => segment.repeats = true,
            "-" | "/" | "//" | "%" | "**" if operator => segment.computes = true,
            "is" if operator && !CHEAP_TESTS.contains(&test) => segment.walks = true,
            _ => return,
        }
        segment.operators += 1;
    }

    /// Whether the token alone is an operand that is a plain literal.
    fn is_literal(&self, i: usize) -> bool {
        let Some(t) = self.significant.get(i) else { return false };
        let plain = match t.kind {
            Kind::String | Kind::Number => true,
            Kind::Word => matches!(t.text, "true" | "false" | "none" | "True" | "False" | "None"),
            _ => false,
        };
        plain
            && !matches!(self.before(i, 1), "." | "|" | "is")
            && !self.is_test_name(i)
            && !matches!(self.text(i + 1), "." | "(" | "[" | "|")
    }

    /// What to put behind the token.
    fn guard(&self, i: usize) -> &'static str {
        let next = self.text(i + 1);
        // Before `=` stands a name that is given a value.
        if !ends_operand(self.significant, i) || matches!(next, "." | "(" | "[" | "=") || self.is_literal(i) {
            return "";
        }
        if next == "|" {
            let name = self.text(i + 2);
            return if name.starts_with("__") || CHEAP_FILTERS.contains(&name) { "" } else { "|__walk" };
        }
        let segment = self.of.get(i).and_then(|at| self.segments.get(*at));
        let slice = self.slices.get(i).is_some_and(|slice| *slice);
        segment.and_then(Segment::guard).unwrap_or(if slice { "|__flat" } else { "" })
    }
}

/// `not in`.
fn is_negated(significant: &[Token<'_>], i: usize) -> bool {
    i.checked_sub(2).is_some_and(|operand| {
        significant.get(i - 1).is_some_and(|t| t.text == "not") && ends_operand(significant, operand)
    })
}

/// The inside of a tag or expression, with the charges.
pub(super) fn guarded(source: &str) -> String {
    let all = tokens(source);
    let significant: Vec<Token<'_>> = all.iter().copied().filter(|t| t.kind != Kind::Space).collect();
    let mut analysis = Analysis {
        significant: &significant,
        segments: vec![Segment::default()],
        of: Vec::with_capacity(significant.len()),
        slices: Vec::with_capacity(significant.len()),
        open: Vec::new(),
        at: 0,
    };
    for i in 0..significant.len() {
        analysis.token(i);
    }
    let mut out = String::with_capacity(source.len() + 16);
    let mut i = 0;
    for t in &all {
        out.push_str(t.text);
        if t.kind != Kind::Space {
            out.push_str(analysis.guard(i));
            i += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_stand_where_they_are_needed() {
        let cases = [
            // Plain literals keep an operation cheap.
            ("m.role == 'user' and i + 1 < 3", "m.role == 'user' and i|__walk + 1 < 3"),
            ("'a' + m['content'] + 'b'", "'a' + m['content']|__flat + 'b'"),
            ("loop.index0 + 1", "loop.index0 + 1"),
            ("'x' in content or content in 'x'", "'x' in content or content|__walk in 'x'"),
            ("'  ' * n", "'  ' * n"),
            ("x is defined and x is not none", "x is defined and x is not none"),
            ("x|length - 1", "x|length - 1"),
            ("f(a, b=c)[0].d", "f(a, b=c)[0].d"),
            // Everything else is charged for.
            ("a == b", "a|__walk == b|__walk"),
            ("a not in b", "a|__walk not in b|__walk"),
            ("a ~ 'b' ~ c.d()", "a|__walk ~ 'b' ~ c.d()|__walk"),
            ("a + b == c if d else e + f", "a|__walk + b|__walk == c|__walk if d else e|__flat + f|__flat"),
            ("(a + b) * 3", "(a|__flat + b|__flat)|__flat * 3"),
            ("f(*a, **b)", "f(*a, **b)"),
            ("-a * -b.c[0]", "-a|__flat * -b.c[0]|__flat"),
            ("a[b]", "a[b|__walk]"),
            ("a[i - 1]", "a[i - 1]"),
            ("a[1:]", "a[1:]|__flat"),
            ("a[1:]|length", "a[1:]|length"),
            ("{a: b, 'c': d, e: f}", "{a|__walk: b, 'c': d, e|__walk: f}"),
            ("a|upper", "a|__walk|upper"),
            ("a|map('x', b)|join(c)", "a|__walk|map('x', b|__walk)|join(c)"),
            ("a.b(c, d='e', f=g)", "a.b(c|__walk, d='e', f=g|__walk)"),
            ("a is eq b", "a|__walk is eq b|__walk"),
            ("a is in(b)", "a|__walk is in(b|__walk)|__walk"),
            ("for a in b if a == c", "for a in b if a|__walk == c|__walk"),
            ("for a, b in c + d", "for a, b in c|__flat + d|__flat"),
            ("set a, b = c + d, 1", "set a, b = c|__flat + d|__flat, 1"),
            ("filter replace(a, b)", "filter replace(a|__walk, b|__walk)"),
            ("set a | replace(b, c)", "set a|__walk | replace(b|__walk, c|__walk)"),
            ("macro f(a, b=[])", "macro f(a, b=[])"),
            ("a + 'b' * c|e", "a|__flat + 'b' * c|__walk|e|__flat"),
        ];
        let found = cases.map(|(source, expect)| (guarded(source), expect));
        let wrong: Vec<_> = found.iter().filter(|(found, expect)| found != expect).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
