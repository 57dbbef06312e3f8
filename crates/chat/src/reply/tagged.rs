//! The formats whose arguments are not one JSON object: tags, and lists of literals.

use super::grammar::At::{Content, Key, List, Literals, Name, Objects, Open, Params, Plain, Typed};
use super::grammar::{Grammar, Notation, Rule, Tags};

/// ```text
/// <tool_call><function=f><parameter=k>
/// value
/// </parameter></function></tool_call>
/// ```
pub(super) static QWEN3_CODER: Grammar = Grammar::new(&[
    (Content, "<tool_call>", Open),
    (Content, "<function=", Name),
    (Open, "<function=", Name),
    (Name, ">", Params),
    (Params, "<parameter=", Key),
    (Key, ">", Typed),
    (Typed, "</parameter>", Params),
    (Params, "</function>", Open),
    (Open, "</tool_call>", Content),
]);

/// The same notation in `<seed:tool_call>`.
pub(super) static SEED: Grammar =
    Grammar { think: ("<seed:think>", "</seed:think>"), ..Grammar::new(&SEED_RULES) };

const SEED_RULES: [Rule; 8] = Tags {
    block: "<seed:tool_call>",
    call: "<function=",
    name_end: ">",
    parameter: "<parameter=",
    key_end: ">",
    value_end: "</parameter>",
    call_end: "</function>",
    block_end: "</seed:tool_call>",
}
.rules();

/// `<minimax:tool_call><invoke name="f"><parameter name="k">value</parameter></invoke></minimax:tool_call>`
pub(super) static MINIMAX_M2: Grammar = Grammar::new(&MINIMAX_M2_RULES);

const MINIMAX_M2_RULES: [Rule; 8] = Tags {
    block: "<minimax:tool_call>",
    call: "<invoke name=\"",
    name_end: "\">",
    parameter: "<parameter name=\"",
    key_end: "\">",
    value_end: "</parameter>",
    call_end: "</invoke>",
    block_end: "</minimax:tool_call>",
}
.rules();

/// MiniCPM 5: `<function name="f"><param name="k">value</param></function>`. Values that contain markup are CDATA.
pub(super) static MINICPM5: Grammar = Grammar::new(&[
    (Content, "<function name=\"", Name),
    (Name, "\">", Params),
    (Params, "<param name=\"", Key),
    (Key, "\">", Typed),
    (Typed, "<![CDATA[", Plain),
    (Plain, "]]></param>", Params),
    (Typed, "</param>", Params),
    (Params, "</function>", Content),
]);

/// DeepSeek V3.2 and V4: similar tags with other names, and the value's type beside the key.
pub(super) static DEEPSEEK_V32: Grammar = Grammar::new(&[
    (Content, "<｜DSML｜function_calls>", Open),
    (Content, "<｜DSML｜tool_calls>", Open),
    (Open, "<｜DSML｜invoke name=\"", Name),
    (Name, "\">", Params),
    (Params, "<｜DSML｜parameter name=\"", Key),
    (Key, "\" string=\"true\">", Plain),
    (Key, "\" string=\"false\">", Typed),
    (Plain, "</｜DSML｜parameter>", Params),
    (Typed, "</｜DSML｜parameter>", Params),
    (Params, "</｜DSML｜invoke>", Open),
    (Open, "</｜DSML｜function_calls>", Content),
    (Open, "</｜DSML｜tool_calls>", Content),
]);

/// `<tool_call>f<arg_key>k</arg_key><arg_value>value</arg_value></tool_call>`
pub(super) static GLM: Grammar = Grammar::new(&[
    (Content, "<tool_call>", Name),
    (Name, "<arg_key>", Key),
    (Name, "</tool_call>", Content),
    (Key, "</arg_key>", Params),
    (Params, "<arg_value>", Typed),
    (Typed, "</arg_value>", Params),
    (Params, "<arg_key>", Key),
    (Params, "</tool_call>", Content),
]);

/// `<|tool_call_start|>[f(k="value"), g(n=1)]<|tool_call_end|>`, or `[{"name": "f", "arguments": {..}}]` between the markers
pub(super) static LFM2: Grammar = Grammar {
    notation: Notation::PYTHON,
    objects_for_name: true,
    ..Grammar::new(&[
        (Content, "<|tool_call_start|>", List),
        (List, "[", List),
        (List, "]", Open),
        (Name, "(", Literals),
        (Open, ",", List),
        (Open, "]", Open),
        (List, "<|tool_call_end|>", Content),
        (Open, "<|tool_call_end|>", Content),
        (Objects, "<|tool_call_end|>", Content),
    ])
};

/// OLMo 3: `<function_calls>`, a call `f(k="value")` on each line, `</function_calls>`
pub(super) static OLMO3: Grammar = Grammar {
    notation: Notation::PYTHON,
    objects_for_name: true,
    lines: true,
    ..Grammar::new(&[
        (Content, "<function_calls>", List),
        (List, "[", List),
        (List, "]", Open),
        (Name, "(", Literals),
        (Open, ",", List),
        (Open, "]", Open),
        (List, "</function_calls>", Content),
        (Open, "</function_calls>", Content),
        (Objects, "</function_calls>", Content),
    ])
};

/// `<start_function_call>call:f{k:<escape>value<escape>,n:1}<end_function_call>`
pub(super) static FUNCTION_GEMMA: Grammar = Grammar {
    notation: Notation::FUNCTION_GEMMA,
    ..Grammar::new(&[
        (Content, "<start_function_call>", Open),
        (Open, "call:", Name),
        (Name, "{", Literals),
        (Open, "<end_function_call>", Content),
    ])
};

/// `<|tool_call>call:f{k:<|"|>value<|"|>,n:1}<tool_call|>`
pub(super) static GEMMA4: Grammar = Grammar {
    think: ("<|channel>thought", "<channel|>"),
    notation: Notation::GEMMA4,
    ..Grammar::new(&[
        (Content, "<|tool_call>", Open),
        (Open, "call:", Name),
        (Name, "{", Literals),
        (Open, "<tool_call|>", Content),
    ])
};
