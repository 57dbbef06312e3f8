//! The formats in which a reply consists of several messages, each with a header that says what it is.

use super::grammar::At::{Content, Header, Id, Json, Key, Message, Name, Objects, Open, Params, Plain};
use super::grammar::At::{Reasoning, Skip, Typed};
use super::grammar::{Grammar, Heading};

/// gpt-oss: `<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{..}<|call|>`
pub(super) static HARMONY: Grammar = Grammar {
    think: ("", ""),
    heading: harmony,
    ..Grammar::new(&[
        (Content, "<|start|>", Header),
        (Content, "<|channel|>", Header),
        (Header, "<|channel|>", Header),
        (Header, "<|constrain|>", Header),
        (Header, "<|message|>", Message),
        (Content, "<|end|>", Content),
        (Content, "<|return|>", Content),
        (Reasoning, "<|end|>", Content),
        (Open, "<|call|>", Content),
        (Open, "<|end|>", Content),
    ])
};

/// The recipient decides; without one, the channel does.
fn harmony(header: &str) -> Heading<'_> {
    let channel = header.rsplit_once("<|channel|>").map(|(_, words)| first_word(words));
    // A message to the user or to the model itself is not a call.
    let recipient = recipient(header).filter(|to| !matches!(*to, "assistant" | "user" | "all"));
    match (recipient, channel) {
        (Some(to), _) => Heading::Call(to.strip_prefix("functions.").unwrap_or(to)),
        (None, Some("analysis")) => Heading::Reasoning,
        (None, _) => Heading::Content,
    }
}

/// Returns the word after `to=`.
fn recipient(header: &str) -> Option<&str> {
    header.split_once("to=").map(|(_, to)| first_word(to))
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Muse Glimmer: messages to the user, to the model itself, or to a tool. The latter contain the call as tags.
pub(super) static ATEM: Grammar = Grammar {
    think: ("", ""),
    heading: |header| match recipient(header) {
        Some("self") => Heading::Reasoning,
        _ => Heading::Content,
    },
    ..Grammar::new(&[
        (Content, "<|start|>", Header),
        (Header, "<|message|>", Message),
        (Content, "<|eom|>", Content),
        (Content, "<|eot|>", Content),
        (Reasoning, "<|eom|>", Content),
        (Reasoning, "<|eot|>", Content),
        (Content, "<atem:function_calls>", Open),
        (Open, "<atem:invoke name=\"", Name),
        (Name, "\">", Params),
        (Params, "<atem:parameter name=\"", Key),
        (Key, "\">", Typed),
        (Typed, "</atem:parameter>", Params),
        (Params, "</atem:invoke>", Open),
        (Open, "</atem:function_calls>", Content),
    ])
};

/// GigaChat 3: an object in a message `function call`; since 3.1, an object after `<|function_call|>`.
pub(super) static GIGACHAT3: Grammar = Grammar {
    heading: |header| match header.ends_with("function call") {
        true => Heading::Object,
        false => Heading::Content,
    },
    ..Grammar::new(&[
        (Content, "<|message_sep|>", Header),
        (Header, "<|role_sep|>", Message),
        (Content, "<|function_call|>", Objects),
    ])
};

/// Functionary 3.2: `>>>f`, a line feed, and the arguments. `>>>all` begins a message to the user.
pub(super) static FUNCTIONARY32: Grammar = Grammar {
    heading: |header| match header.trim_start_matches('>').trim() {
        "all" => Heading::Content,
        name => Heading::Call(name),
    },
    ..Grammar::new(&[(Content, ">>>", Header), (Header, "\n", Message)])
};

/// Solar Open: `<|tool_calls|><|tool_call:begin|>id<|tool_call:name|>f<|tool_call:args|>{..}<|tool_call:end|><|calls|>`
pub(super) static SOLAR: Grammar = Grammar {
    think: ("<|think|>", "<|end|>"),
    ..Grammar::new(&[
        (Content, "<|begin|>", Header),
        (Header, "<|think|>", Reasoning),
        (Header, "<|content|>", Content),
        (Header, "<|tool_calls|>", Open),
        (Content, "<|content|>", Content),
        (Content, "<|end|>", Content),
        (Content, "<|tool_calls|>", Open),
        (Open, "<|tool_call:begin|>", Id),
        (Id, "<|tool_call:name|>", Name),
        (Name, "<|tool_call:args|>", Json),
        (Open, "<|tool_call:end|>", Open),
        (Open, "<|calls|>", Content),
    ])
};

/// Kimi K3: everything is an element, `<|open|>call tool="f" index="1"<|sep|>` .. `<|close|>call<|sep|>`. The arguments come one
/// by one with their types, or as one object.
pub(super) static KIMI_K3: Grammar = Grammar {
    think: ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ..Grammar::new(&[
        (Content, "<|open|>response<|sep|>", Content),
        (Content, "<|close|>response<|sep|>", Content),
        (Content, "<|close|>message<|sep|>", Content),
        (Content, "<|end_of_msg|>", Content),
        (Content, "<|open|>tools<|sep|>", Open),
        (Open, "<|open|>call tool=\"", Name),
        (Name, "\" index=\"", Skip),
        (Name, "\"<|sep|>", Params),
        (Skip, "\"<|sep|>", Params),
        (Params, "<|open|>argument key=\"", Key),
        (Key, "\" type=\"string\"<|sep|>", Plain),
        (Key, "\" type=\"number\"<|sep|>", Typed),
        (Key, "\" type=\"integer\"<|sep|>", Typed),
        (Key, "\" type=\"boolean\"<|sep|>", Typed),
        (Key, "\" type=\"null\"<|sep|>", Typed),
        (Key, "\" type=\"array\"<|sep|>", Typed),
        (Key, "\" type=\"object\"<|sep|>", Typed),
        (Plain, "<|close|>argument<|sep|>", Params),
        (Typed, "<|close|>argument<|sep|>", Params),
        (Params, "<|open|>json type=\"object\"<|sep|>", Json),
        (Open, "<|close|>json<|sep|>", Open),
        (Open, "<|close|>call<|sep|>", Open),
        (Params, "<|close|>call<|sep|>", Open),
        (Open, "<|close|>tools<|sep|>", Content),
    ])
};
