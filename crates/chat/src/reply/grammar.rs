//! What a format of replies is made of.

/// Where in a reply the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// In the answer's text.
    Content,
    /// In the thinking.
    Reasoning,
    /// In the words before a message that say what it is.
    Header,
    /// After a header, whose words decide what comes: a [`Heading`].
    Message,
    /// Beside calls: only white space and markers.
    Open,
    /// In a list of calls: the next character begins a name.
    List,
    /// In words that do not matter.
    Skip,
    /// In a call's id.
    Id,
    /// In a call's name.
    Name,
    /// Objects with name and arguments.
    Objects,
    /// The arguments, as one JSON object.
    Json,
    /// The arguments, as `key=value` in brackets.
    Literals,
    /// Between parameters.
    Params,
    /// In a parameter's name.
    Key,
    /// In a parameter's value, whose type the schema or its looks tell.
    Typed,
    /// In a parameter's value that is a string.
    Plain,
    /// In what is left of a block that holds no proper call.
    Failed,
}

/// In state `.0`, the text `.1` leads to state `.2`.
pub(super) type Rule = (At, &'static str, At);

/// What a string stands between: it ends with what it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) mark: &'static str,
    /// Whether a backslash in the string takes the next character along.
    pub(super) escapes: bool,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notation {
    /// What strings stand between: any of these.
    pub(super) quotes: &'static [Quote],
    /// Whether strings are JSON's, in which line feeds and escapes that JSON does not know are mended.
    pub(super) json: bool,
    /// What stands after a key.
    pub(super) key_end: char,
    /// What ends the arguments.
    pub(super) close: char,
}

const SINGLE: Quote = Quote { mark: "'", escapes: true };
const DOUBLE: Quote = Quote { mark: "\"", escapes: true };

impl Notation {
    pub(super) const JSON: Self = Notation { quotes: &[DOUBLE], json: true, key_end: ':', close: '}' };
    pub(super) const PYTHON: Self =
        Notation { quotes: &[SINGLE, DOUBLE], json: false, key_end: '=', close: ')' };
    /// Gemma's, with a quote of its own; its models write those of JSON and Python too.
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

/// How calls are written whose parameters are tags:
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
    /// The rules of such calls.
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
    /// What begins and ends thinking.
    pub(super) think: (&'static str, &'static str),
    /// What stands before and after the answer, in formats that mark it.
    pub(super) answer: (&'static str, &'static str),
    /// All other markers. None may begin with another one of the same state.
    pub(super) rules: &'static [Rule],
    /// Whether a reply may be a call without any marker: a JSON object from its first character on.
    pub(super) bare: bool,
    /// Whether an array or object of calls may stand where a name is expected.
    pub(super) objects_for_name: bool,
    /// Whether calls in a list may follow one another without a comma.
    pub(super) lines: bool,
    /// The name and the id in what stands where a name does.
    pub(super) name: fn(&str) -> (&str, Option<&str>),
    /// Whether models may leave out what ends a block.
    pub(super) optional_end: bool,
    /// Whether objects are `{name: arguments}`.
    pub(super) keyed: bool,
    /// The notation of `Literals`.
    pub(super) notation: Notation,
    /// What the words of a header mean, the marker that began it included.
    pub(super) heading: fn(&str) -> Heading<'_>,
}

impl Grammar {
    /// A format with `<think>` and JSON.
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

    /// The rules that hold in state `at`; of two with the same marker the first counts. `resting`: between calls, where
    /// the next block may begin without the end of the last one.
    pub(super) fn rules(&self, at: At, resting: bool) -> impl Iterator<Item = Rule> + '_ {
        let think = match at {
            At::Content => Some((At::Content, self.think.0, At::Reasoning)),
            At::Reasoning => Some((At::Reasoning, self.think.1, At::Content)),
            _ => None,
        };
        // Formats without thinking in tags have no such markers.
        let think = think.into_iter().filter(|rule| !rule.1.is_empty());
        let own = move |rule: &Rule| match at {
            At::Failed => opens(rule) || closes(rule),
            _ => rule.0 == at,
        };
        let next = move |rule: &Rule| resting && opens(rule);
        let rules = || self.rules.iter().copied();
        think.chain(rules().filter(own)).chain(rules().filter(next))
    }

    /// Whether calls stand in blocks with an end.
    pub(super) fn has_ends(&self) -> bool {
        self.rules.iter().any(closes)
    }

    /// All texts that have a meaning.
    pub(super) fn markers(&self) -> impl Iterator<Item = &'static str> + '_ {
        let think = [self.think.0, self.think.1].into_iter();
        let all = think
            .chain(self.rules.iter().map(|rule| rule.1))
            .chain(self.notation.quotes.iter().map(|q| q.mark));
        all.filter(|marker| !marker.is_empty())
    }
}

/// Whether a rule begins calls.
pub(super) fn opens(rule: &Rule) -> bool {
    rule.0 == At::Content && !matches!(rule.2, At::Content | At::Reasoning)
}

/// Whether a rule ends a block of calls.
pub(super) fn closes(rule: &Rule) -> bool {
    rule.2 == At::Content && !matches!(rule.0, At::Content | At::Reasoning | At::Header)
}
