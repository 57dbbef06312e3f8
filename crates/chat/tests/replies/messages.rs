//! Formats in which a reply consists of several messages.

use happy_chat::ReplyFormat::*;
use serde_json::json;

use crate::{Case, broken, case, weather};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        // gpt-oss
        case(
            Harmony,
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            "Yes.",
            "hm",
            json!([]),
        ),
        case(
            Harmony,
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.w <|constrain|>json<|message|>{\"city\": \"Zürich\"}<|call|>",
            "",
            "hm",
            weather(),
        ),
        case(
            Harmony,
            "<|start|>assistant to=functions.w<|channel|>commentary json<|message|>{\"city\": \"Zürich\"}",
            "",
            "",
            weather(),
        ),
        case(
            Harmony,
            "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final<|message|>Last.",
            "First.\nLast.",
            "",
            json!([]),
        ),
        broken(Harmony, "<|channel|>final", "<|channel|>final", "the reply ends in the header of a message"),
        case(
            Harmony,
            "<|start|>functions.w to=assistant<|channel|>commentary<|message|>It rains.<|end|>",
            "It rains.",
            "",
            json!([]),
        ),
        // Muse Glimmer
        case(
            Atem,
            "<|start|>assistant to=self<|message|>hm<|eom|><|start|>assistant to=w<|message|><atem:function_calls>\n<atem:invoke name=\"w\">\n<atem:parameter name=\"city\">Zürich</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|><|start|>assistant to=user<|message|>Yes.<|eot|>",
            "Yes.",
            "hm",
            weather(),
        ),
        broken(
            Atem,
            "<|start|>assistant to",
            "<|start|>assistant to",
            "the reply ends in the header of a message",
        ),
        // GigaChat 3
        case(
            GigaChat3,
            "A<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}<|message_sep|>",
            "A",
            "",
            weather(),
        ),
        case(
            GigaChat3,
            "<|function_call|>{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}<|message_sep|>\n\n",
            "",
            "",
            weather(),
        ),
        case(
            GigaChat3,
            "A function call.<|message_sep|>\n\nuser<|role_sep|>\nB",
            "A function call.\nB",
            "",
            json!([]),
        ),
        broken(
            GigaChat3,
            "<|message_sep|>\n\nfunction call<|role_sep|>\nno",
            "<|message_sep|>\n\nfunction call<|role_sep|>\nno",
            "expected a call, found `n`",
        ),
        // Functionary 3.2
        case(
            Functionary32,
            ">>>all\nA\n>>>w\n{\"city\": \"Zürich\"}\n>>>g\n{}",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(Functionary32, "Yes.\n>>>", "Yes.", "", json!([])),
        broken(Functionary32, ">>>w\nno", ">>>w\nno", "expected the arguments as a JSON object, found `n`"),
        broken(Functionary32, ">>>\n{}", ">>>\n{}", "the call has no name"),
        // Solar
        case(
            Solar,
            "<|think|>hm<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>x1<|tool_call:name|>w<|tool_call:args|>{\"city\": \"Zürich\"}<|tool_call:end|><|tool_call:begin|><|tool_call:name|>g<|tool_call:args|>{}<|tool_call:end|><|calls|>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}, "x1"], ["g", {}]]),
        ),
        case(
            Solar,
            "<|begin|>assistant<|think|>hm<|end|><|begin|>assistant<|content|>Yes.<|end|>",
            "Yes.",
            "hm",
            json!([]),
        ),
        broken(
            Solar,
            "<|begin|>assistant<|tool_calls|><|calls|>",
            "<|begin|>assistant<|tool_calls|><|calls|>",
            "the block holds no call",
        ),
        // Kimi K3
        case(
            KimiK3,
            "<|open|>think<|sep|>hm<|close|>think<|sep|><|open|>response<|sep|>A<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool=\"f\" index=\"1\"<|sep|><|open|>argument key=\"s\" type=\"string\"<|sep|>1<|close|>argument<|sep|><|open|>argument key=\"n\" type=\"number\"<|sep|>1<|close|>argument<|sep|><|close|>call<|sep|><|open|>call tool=\"g\"<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>",
            "A",
            "hm",
            json!([["f", {"s": "1", "n": 1}], ["g", {}]]),
        ),
        case(
            KimiK3,
            "<|open|>tools<|sep|><|open|>call tool=\"w\" index=\"1\"<|sep|><|open|>json type=\"object\"<|sep|>{\"city\": \"Zürich\"}<|close|>json<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|end_of_msg|>",
            "",
            "",
            weather(),
        ),
        broken(
            KimiK3,
            "<|open|>tools<|sep|><|open|>call tool=\"w\" index=\"1\"<|sep|>no",
            "<|open|>tools<|sep|><|open|>call tool=\"w\" index=\"1\"<|sep|>no",
            "expected a call, found `n`",
        ),
    ]
}
