//! The parts of a format of replies.

/// Where in a reply the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// In the answer's text.
    Content,
    /// In the thinking.
    Reasoning,
    /// In a header: the words before a message that say what it is.
    Header,
    /// After a header, whose words decide what follows: a [`Heading`].
    Message,
    /// Between calls: only white space and markers.
    Open,
    /// In a list of calls, where the next character begins a name.
    List,
    /// In text that does not matter.
    Skip,
    /// In a call's id.
    Id,
    /// In a call's name.
    Name,
    /// In objects with name and arguments.
    Objects,
    /// In the arguments, as one JSON object.
    Json,
    /// In the arguments, as `key=value` in brackets.
    Literals,
    /// Between parameters.
    Params,
    /// In a parameter's name.
    Key,
    /// In a parameter's value. Its type follows from the schema, or from the text itself.
    Typed,
    /// In a parameter's value that is a string.
    Plain,
    /// In the rest of a block that is not a proper call.
    Failed,
}

/// A rule: in state `.0`, the marker `.1` leads to state `.2`.
pub(super) type Rule = (At, &'static str, At);

/// The quote that begins a string, and ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) mark: &'static str,
    /// Whether a backslash in the string escapes the next character.
    pub(super) escapes: bool,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notation {
    /// The quotes that strings may have.
    pub(super) quotes: &'static [Quote],
    /// Whether strings are JSON's. Line feeds in them, and escapes that JSON does not know, are then corrected.
    pub(super) json: bool,
    /// The character after a key.
    pub(super) key_end: char,
    /// The character that ends the arguments.
    pub(super) close: char,
}

const SINGLE: Quote = Quote { mark: "'", escapes: true };
const DOUBLE: Quote = Quote { mark: "\"", escapes: true };

impl Notation {
    pub(super) const JSON: Self = Notation { quotes: &[DOUBLE], json: true, key_end: ':', close: '}' };
    pub(super) const PYTHON: Self =
        Notation { quotes: &[SINGLE, DOUBLE], json: false, key_end: '=', close: ')' };
    /// Gemma's notation, which has its own quote. The models also write the quotes of JSON and Python.
    pub(super) const GEMMA4: Self = Notation {
        quotes: &[Quote { mark: "<|\"|>", escapes: false }, DOUBLE, SINGLE],
        json: false,
        key_end: ':',
        close: '}',
    };
    pub(super) const FUNCTION_GEMMA: Self =
        Notation { quotes: &[Quote { mark: "<escape>", escapes: false }, DOUBLE, SINGLE], ..Self::GEMMA4 };
}

/// What a header says about its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heading<'a> {
    /// It is for the user.
    Content,
    /// It is thinking.
    Reasoning,
    /// It is the arguments of a call of this tool.
    Call(&'a str),
    /// It is a call as an object with name and arguments.
    Object,
}

/// The markers of a notation whose parameters are tags:
/// `block .. call f name_end .. parameter k key_end value value_end .. call_end .. block_end`
pub(super) struct Tags {
    pub(super) block: &'static str,
    pub(super) call: &'static str,
    pub(super) name_end: &'static str,
    pub(super) parameter: &'static str,
    pub(super) key_end: &'static str,
    pub(super) value_end: &'static str,
    pub(super) call_end: &'static str,
    pub(super) block_end: &'static str,
}

impl Tags {
    /// Returns the rules of such calls.
    pub(super) const fn rules(&self) -> [Rule; 8] {
        [
            (At::Content, self.block, At::Open),
            (At::Open, self.call, At::Name),
            (At::Name, self.name_end, At::Params),
            (At::Params, self.parameter, At::Key),
            (At::Key, self.key_end, At::Typed),
            (At::Typed, self.value_end, At::Params),
            (At::Params, self.call_end, At::Open),
            (At::Open, self.block_end, At::Content),
        ]
    }
}

/// A format of replies.
#[derive(Debug)]
pub(super) struct Grammar {
    /// The markers that begin and end thinking.
    pub(super) think: (&'static str, &'static str),
    /// The markers before and after the answer, in formats that mark it.
    pub(super) answer: (&'static str, &'static str),
    /// All other markers. No marker may begin with another one of the same state.
    pub(super) rules: &'static [Rule],
    /// Whether a reply may be a call without any marker: a JSON object from its first character on.
    pub(super) bare: bool,
    /// Whether an array or object of calls may come in place of a name.
    pub(super) objects_for_name: bool,
    /// Whether calls in a list may follow one another without a comma.
    pub(super) lines: bool,
    /// Splits the text in the place of a name into the name and the id.
    pub(super) name: fn(&str) -> (&str, Option<&str>),
    /// Whether models may leave out the marker that ends a block.
    pub(super) optional_end: bool,
    /// Whether objects are `{name: arguments}`.
    pub(super) keyed: bool,
    /// The notation of `Literals`.
    pub(super) notation: Notation,
    /// Interprets the words of a header, including the marker that began it.
    pub(super) heading: fn(&str) -> Heading<'_>,
}

impl Grammar {
    /// Makes a format with `<think>` and JSON.
    pub(super) const fn new(rules: &'static [Rule]) -> Self {
        Grammar {
            think: ("<think>", "</think>"),
            answer: ("", ""),
            rules,
            bare: false,
            objects_for_name: false,
            lines: false,
            name: |name| (name, None),
            optional_end: false,
            keyed: false,
            notation: Notation::JSON,
            heading: |_| Heading::Content,
        }
    }

    /// Returns the rules that apply in state `at`. If two have the same marker, the first counts. `resting` means between calls,
    /// where the next block may begin without the end of the last one.
    pub(super) fn rules(&self, at: At, resting: bool) -> impl Iterator<Item = Rule> + '_ {
        let think = match at {
            At::Content => Some((At::Content, self.think.0, At::Reasoning)),
            At::Reasoning => Some((At::Reasoning, self.think.1, At::Content)),
            _ => None,
        };
        // Formats without thinking in tags have empty markers.
        let think = think.into_iter().filter(|rule| !rule.1.is_empty());
        let own = move |rule: &Rule| match at {
            At::Failed => opens(rule) || closes(rule),
            _ => rule.0 == at,
        };
        let next = move |rule: &Rule| resting && opens(rule);
        let rules = || self.rules.iter().copied();
        think.chain(rules().filter(own)).chain(rules().filter(next))
    }

    /// Returns whether blocks of calls have an end marker.
    pub(super) fn has_ends(&self) -> bool {
        self.rules.iter().any(closes)
    }

    /// Returns all texts that have a meaning.
    pub(super) fn markers(&self) -> impl Iterator<Item = &'static str> + '_ {
        let think = [self.think.0, self.think.1].into_iter();
        let all = think
            .chain(self.rules.iter().map(|rule| rule.1))
            .chain(self.notation.quotes.iter().map(|q| q.mark));
        all.filter(|marker| !marker.is_empty())
    }
}

/// Returns whether a rule begins calls.
pub(super) fn opens(rule: &Rule) -> bool {
    rule.0 == At::Content && !matches!(rule.2, At::Content | At::Reasoning)
}

/// Returns whether a rule ends a block of calls.
pub(super) fn closes(rule: &Rule) -> bool {
    rule.2 == At::Content && !matches!(rule.0, At::Content | At::Reasoning | At::Header)
}
