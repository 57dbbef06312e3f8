//! The formats whose calls are JSON, with the name inside of it or not.

use super::grammar::At::{Content, Id, Json, List, Literals, Name, Objects, Open, Skip};
use super::grammar::{Grammar, Notation};

/// No calls.
pub(super) static PLAIN: Grammar = Grammar::new(&[]);

/// `<tool_call>{"name": "f", "arguments": {..}}</tool_call>`
pub(super) static HERMES: Grammar =
    Grammar::new(&[(Content, "<tool_call>", Objects), (Objects, "</tool_call>", Content)]);

/// `<tool_calls>[{"name": "f", "arguments": {..}}, ..]</tool_calls>`; the brackets may be missing.
pub(super) static TOOL_CALLS: Grammar =
    Grammar::new(&[(Content, "<tool_calls>", Objects), (Objects, "</tool_calls>", Content)]);

/// `<TOOLCALL>[{"name": "f", "arguments": {..}}, ..]</TOOLCALL>`
pub(super) static NEMOTRON: Grammar =
    Grammar::new(&[(Content, "<TOOLCALL>", Objects), (Objects, "</TOOLCALL>", Content)]);

/// `{"name": "f", "parameters": {..}}` as the whole reply, or after `<|python_tag|>`.
pub(super) static LLAMA3: Grammar =
    Grammar { bare: true, ..Grammar::new(&[(Content, "<|python_tag|>", Objects)]) };

/// `<function=f>{..}</function>`
pub(super) static FUNCTIONARY: Grammar = Grammar::new(&[
    (Content, "<function=", Name),
    (Name, ">", Json),
    (Open, "</function>", Content),
    (Content, "<|python_tag|>", Objects),
]);

/// `<|tool_call|>[{"name": "f", "arguments": {..}}, ..]`, with an end marker or without; Granite 3.3 marks the answer.
pub(super) static GRANITE3: Grammar = Grammar {
    answer: ("<response>", "</response>"),
    optional_end: true,
    ..Grammar::new(&[
        (Content, "<|tool_call|>", Objects),
        (Objects, "<|/tool_call|>", Content),
        (Content, "<response>", Content),
        (Content, "</response>", Content),
    ])
};

/// Phi-4-mini: `<|tool_call|>[{"name": "f", "arguments": {..}}, ..]<|/tool_call|>`, or `functools[..]`
pub(super) static PHI4_MINI: Grammar = Grammar::new(&[
    (Content, "<|tool_call|>", Objects),
    (Objects, "<|/tool_call|>", Content),
    (Content, "functools[", Objects),
]);

/// Hunyuan: `<tool_calls>[{"name": "f", "arguments": {..}}, ..]</tool_calls>`, or with `<tool_call>f<tool_sep>{..}`; the
/// answer and the calls may be in `<answer>`.
pub(super) static HUNYUAN: Grammar = Grammar {
    answer: ("<answer>", "</answer>"),
    ..Grammar::new(&[
        (Content, "<answer>", Content),
        (Content, "</answer>", Content),
        (Content, "<tool_calls>", Objects),
        (Objects, "<tool_call>", Name),
        (Open, "<tool_call>", Name),
        (Name, "<tool_sep>", Json),
        (Open, "</tool_call>", Open),
        (Open, "</tool_calls>", Content),
        (Objects, "</tool_calls>", Content),
    ])
};

/// Kimi K2: `<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{..}<|tool_call_end|>`, in a section of calls. of calls.
pub(super) static KIMI_K2: Grammar = Grammar {
    name: |id| {
        let name = id.strip_prefix("functions.").unwrap_or(id);
        match name.rsplit_once(':').filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            Some((name, _)) => (name, Some(id)),
            None => (name, None),
        }
    },
    ..Grammar::new(&[
        (Content, "<|tool_calls_section_begin|>", Open),
        (Content, "<|tool_call_begin|>", Name),
        (Open, "<|tool_call_begin|>", Name),
        (Name, "<|tool_call_argument_begin|>", Json),
        (Open, "<|tool_call_end|>", Open),
        (Open, "<|tool_calls_section_end|>", Content),
    ])
};

/// The calls that small models write instead of their format, without the text around them.
pub(super) static LOOSE: Grammar = Grammar {
    notation: Notation::PYTHON,
    objects_for_name: true,
    ..Grammar::new(&[
        (List, "[", List),
        (Name, "(", Literals),
        (Name, ">", Json),
        (Open, ",", List),
        (Open, "]", Open),
    ])
};

/// `[TOOL_CALLS][{"name": "f", "arguments": {..}, "id": ".."}, ..]`, and since 2025 `[TOOL_CALLS]f[ARGS]{..}`, optionally with
/// `[CALL_ID]..` before `[ARGS]`.
pub(super) static MISTRAL: Grammar = Grammar {
    think: ("[THINK]", "[/THINK]"),
    objects_for_name: true,
    ..Grammar::new(&[
        (Content, "[TOOL_CALLS]", Name),
        (Name, "[CALL_ID]", Id),
        (Name, "[ARGS]", Json),
        (Id, "[ARGS]", Json),
    ])
};

const CALLS: &str = "<｜tool▁calls▁begin｜>";
const CALLS_END: &str = "<｜tool▁calls▁end｜>";
const CALL: &str = "<｜tool▁call▁begin｜>";
const CALL_END: &str = "<｜tool▁call▁end｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";

/// DeepSeek R1 and V3: `function<｜tool▁sep｜>f`, and the arguments in a fenced block.
pub(super) static DEEPSEEK_R1: Grammar = Grammar::new(&[
    (Content, CALLS, Open),
    (Content, CALL, Skip),
    (Skip, SEPARATOR, Name),
    (Name, "```json", Json),
    (Open, "```", Open),
    (Open, CALL_END, Open),
    (Open, CALL, Skip),
    (Open, CALLS_END, Content),
]);

/// DeepSeek V3.1: `f<｜tool▁sep｜>{..}`.
pub(super) static DEEPSEEK_V31: Grammar = Grammar::new(&[
    (Content, CALLS, Open),
    (Content, CALL, Name),
    (Name, SEPARATOR, Json),
    (Open, CALL_END, Open),
    (Open, CALL, Name),
    (Open, CALLS_END, Content),
]);

/// Apertus: `<|tools_prefix|>[{"f": {..}}, ..]<|tools_suffix|>`
pub(super) static APERTUS: Grammar = Grammar {
    think: ("<|inner_prefix|>", "<|inner_suffix|>"),
    keyed: true,
    ..Grammar::new(&[
        (Content, "<|tools_prefix|>", Objects),
        (Objects, "<|tools_suffix|>", Content),
        (Content, "<|assistant_end|>", Content),
    ])
};

/// Cohere Command R7B, Command A: `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {..}}]`. The answer
/// has markers of its own.
pub(super) static COHERE: Grammar = Grammar {
    think: ("<|START_THINKING|>", "<|END_THINKING|>"),
    ..Grammar::new(&[
        (Content, "<|START_ACTION|>", Objects),
        (Objects, "<|END_ACTION|>", Content),
        (Content, "<|START_TEXT|>", Content),
        (Content, "<|END_TEXT|>", Content),
        (Content, "<|START_RESPONSE|>", Content),
        (Content, "<|END_RESPONSE|>", Content),
    ])
};
