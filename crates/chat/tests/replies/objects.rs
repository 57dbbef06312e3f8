//! Formats whose calls are JSON objects.

use happy_chat::ReplyFormat::*;
use serde_json::json;

use crate::{Case, broken, case, weather};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        // No calls
        case(Plain, "", "", "", json!([])),
        case(Plain, " a <b> \n", " a <b> \n", "", json!([])),
        case(Plain, "<think>\nhm\n\nso\n</think>\n\nYes.\n", "Yes.\n", "hm\n\nso", json!([])),
        case(Plain, "<think>cut <of", "", "cut <of", json!([])),
        case(Plain, "a <thin", "a <thin", "", json!([])),
        // Thinking begins at the start of the reply. Later, its marker is a word.
        case(Plain, "<think>a</think> b <think>c</think> d", "b <think>c</think> d", "a", json!([])),
        case(Plain, "Put <think> first.", "Put <think> first.", "", json!([])),
        case(Plain, "\n<think>a</think><think> is a tag.", "<think> is a tag.", "a", json!([])),
        case(Mistral, "Write [THINK]x[/THINK].", "Write [THINK]x[/THINK].", "", json!([])),
        case(Seed, "Write <seed:think>.", "Write <seed:think>.", "", json!([])),
        case(
            Hermes,
            "<tool_call>{\"name\": \"a\"}</tool_call><think>b</think>c",
            "c",
            "b",
            json!([["a", {}]]),
        ),
        case(Plain, "<tool_call>{}</tool_call>", "<tool_call>{}</tool_call>", "", json!([])),
        // Hermes
        case(
            Hermes,
            "Ok.\n<tool_call>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>",
            "Ok.",
            "",
            weather(),
        ),
        // A closing brace or a comma that the model forgot or added.
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"city\":\"Zürich\"}</tool_call><tool_call>{\"arguments\":{\"city\":\"Zürich\"},\"name\":\"w\"",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["w", {"city": "Zürich"}]]),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"a\": [1, 2, ], \"b\": {\"c\": \",}\",\n},\n},}</tool_call>",
            "",
            "",
            json!([["w", {"a": [1, 2], "b": {"c": ",}"}}]]),
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"a\": [1,,2]}}</tool_call>",
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"a\": [1,,2]}}</tool_call>",
            "the arguments are not valid JSON: expected value at line 1 column 10",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"a\": 1</tool_call>",
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"a\": 1</tool_call>",
            "the reply ends inside of a call",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\":\"w\"</tool_call>",
            "<tool_call>{\"name\":\"w\"</tool_call>",
            "expected a comma or `}`, found `<`",
        ),
        case(
            Hermes,
            "<tool_call>{\"arguments\":{\"city\":\"Zürich\"},\"name\":\"w\"}</tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":\"{\\\"city\\\": \\\"Zürich\\\"}\"}</tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"city\":\"</tool_call>\"}}</tool_call>",
            "",
            "",
            json!([["w", {"city": "</tool_call>"}]]),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\": \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\", \"arguments\": null, \"id\": 7}</tool_call>",
            "",
            "",
            json!([["a", {}], ["b", {}, "7"]]),
        ),
        case(Hermes, "<tool_call>{\"name\": \"a\"} {\"name\": \"b\"}", "", "", json!([["a", {}], ["b", {}]])),
        case(
            Hermes,
            "<tool_call>{\"name\": \"a\"}\n<tool_call>{\"name\": \"b\"}</tool_call>x",
            "x",
            "",
            json!([["a", {}], ["b", {}]]),
        ),
        case(Hermes, "a <tool_call>{\"name\": \"a\"}</tool_call> b", "a\nb", "", json!([["a", {}]])),
        case(Hermes, "<tool_call>{\"name\": \"a\"} b", "b", "", json!([["a", {}]])),
        broken(
            Hermes,
            "a\n<tool_call>hello</tool_call> b",
            "a\n<tool_call>hello</tool_call> b",
            "expected a call, found `h`",
        ),
        broken(Hermes, "<tool_call></tool_call>", "<tool_call></tool_call>", "the block holds no call"),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\"",
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\"",
            "the reply ends inside of a call",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": [1]}</tool_call>",
            "<tool_call>{\"name\": \"w\", \"arguments\": [1]}</tool_call>",
            "the arguments are not a JSON object",
        ),
        broken(
            Hermes,
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "the call has no name",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"a\", \"name\": \"b\"}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"name\": \"b\"}</tool_call>",
            "the key \"name\" occurs twice",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"a\", \"arguments\": {\"a\": x}}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"arguments\": {\"a\": x}}</tool_call>",
            "the arguments are not valid JSON: expected value at line 1 column 7",
        ),
        Case {
            format: Hermes,
            text: "<tool_call>{\"name\" \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\"}</tool_call>",
            expect: json!([
                "<tool_call>{\"name\" \"a\"}</tool_call>",
                "",
                [["b", {}]],
                ["expected `:`, found `\"`"]
            ]),
        },
        // Llama 3
        case(Llama3, "{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}", "", "", weather()),
        case(
            Llama3,
            "\n<|python_tag|>{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}; {\"name\": \"g\"}",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(Llama3, "{\"name\": \"Bob\", \"age\": 3}\n", "{\"name\": \"Bob\", \"age\": 3}\n", "", json!([])),
        case(Llama3, "{\"city\": [1, {}]", "{\"city\": [1, {}]", "", json!([])),
        case(Llama3, "{curly} words", "{curly} words", "", json!([])),
        case(
            Llama3,
            "See {\"name\": \"w\", \"parameters\": {}}",
            "See {\"name\": \"w\", \"parameters\": {}}",
            "",
            json!([]),
        ),
        broken(
            Llama3,
            "{\"name\": \"w\", \"parameters\": {\"a\": 1}, oops",
            "{\"name\": \"w\", \"parameters\": {\"a\": 1}, oops",
            "expected a key or `}`, found `o`",
        ),
        broken(Llama3, "<|python_tag|>print(1)", "<|python_tag|>print(1)", "expected a call, found `p`"),
        // Functionary
        case(
            Functionary,
            "A<function=w>{\"city\": \"Zürich\"}</function><function=g>{}</function>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        // Mistral
        case(
            Mistral,
            "[THINK]hm[/THINK]A[TOOL_CALLS][{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}, \"id\": \"123456789\"}]",
            "A",
            "hm",
            json!([["w", {"city": "Zürich"}, "123456789"]]),
        ),
        case(
            Mistral,
            "[TOOL_CALLS]w[ARGS]{\"city\": \"Zürich\"}[TOOL_CALLS]g[CALL_ID]x1[ARGS]{}",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}, "x1"]]),
        ),
        case(Mistral, "[TOOL_CALLS] [{\"name\": \"g\"}] then", "then", "", json!([["g", {}]])),
        broken(
            Mistral,
            "[TOOL_CALLS]no such call",
            "[TOOL_CALLS]no such call",
            "a tool's name has white space: `no s`",
        ),
        broken(
            Mistral,
            "[TOOL_CALLS]w[ARGS]12",
            "[TOOL_CALLS]w[ARGS]12",
            "expected the arguments as a JSON object, found `1`",
        ),
        // DeepSeekR1
        case(
            DeepSeekR1,
            "<think>hm</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>w\n```json\n{\"city\": \"Zürich\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        // DeepSeekV31
        case(
            DeepSeekV31,
            "A<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>w<｜tool▁sep｜>{\"city\": \"Zürich\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        // Granite3
        case(
            Granite3,
            "<|tool_call|>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]",
            "",
            "",
            weather(),
        ),
        // ToolCalls
        case(
            ToolCalls,
            "<tool_calls>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n{\"name\": \"g\"}\n</tool_calls>",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        // Nemotron
        case(
            Nemotron,
            "<TOOLCALL>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]</TOOLCALL>",
            "",
            "",
            weather(),
        ),
        // Apertus
        case(
            Apertus,
            "<|inner_prefix|>hm<|inner_suffix|>A<|tools_prefix|>[{\"w\": {\"city\": \"Zürich\"}}, {\"g\": {}}]<|tools_suffix|>",
            "A",
            "hm",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(
            Apertus,
            "<|tools_prefix|>[{\"name\": {\"arguments\": 1}}]",
            "",
            "",
            json!([["name", {"arguments": 1}]]),
        ),
        broken(
            Apertus,
            "<|tools_prefix|>[{\"a\": {}, \"b\": {}}]<|tools_suffix|>",
            "<|tools_prefix|>[{\"a\": {}, \"b\": {}}]<|tools_suffix|>",
            "the key \"b\" occurs twice",
        ),
        broken(
            Apertus,
            "<|tools_prefix|>[{}]<|tools_suffix|>",
            "<|tools_prefix|>[{}]<|tools_suffix|>",
            "the call has no name",
        ),
        case(
            Granite3,
            "<think>hm</think><response>See <response>.</response>",
            "See <response>.",
            "hm",
            json!([]),
        ),
        case(Granite3, "<|tool_call|>[{\"name\": \"g\"}]<|/tool_call|>", "", "", json!([["g", {}]])),
        // Phi-4-mini
        case(
            Phi4Mini,
            "<|tool_call|>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}, {\"name\": \"g\"}]<|/tool_call|>",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(
            Phi4Mini,
            "A functools[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]",
            "A",
            "",
            weather(),
        ),
        case(Phi4Mini, "import functools\n", "import functools\n", "", json!([])),
        broken(Phi4Mini, "functools[0]", "functools[0]", "expected a call, found `0`"),
        // Hunyuan
        case(
            Hunyuan,
            "<think>\nhm\n</think>\n<answer>\nAn <answer> it is.\n</answer>",
            "An <answer> it is.",
            "hm",
            json!([]),
        ),
        case(
            Hunyuan,
            "<think>hm</think><answer><tool_calls>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]</tool_calls></answer>",
            "",
            "hm",
            weather(),
        ),
        case(
            Hunyuan,
            "<tool_calls>\n<tool_call>w<tool_sep>{\"city\": \"Zürich\"}</tool_call>\n<tool_call>g<tool_sep>{}</tool_call>\n</tool_calls>",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(Hunyuan, "Write </answer> last.", "Write </answer> last.", "", json!([])),
        broken(
            Hunyuan,
            "<tool_calls>no</tool_calls>",
            "<tool_calls>no</tool_calls>",
            "expected a call, found `n`",
        ),
        // Kimi K2
        case(
            KimiK2,
            "A<|tool_calls_section_begin|><|tool_call_begin|>functions.w:0<|tool_call_argument_begin|>{\"city\": \"Zürich\"}<|tool_call_end|><|tool_call_begin|> functions.a.b:11 <|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}, "functions.w:0"], ["a.b", {}, "functions.a.b:11"]]),
        ),
        case(
            KimiK2,
            "<|tool_call_begin|>g<|tool_call_argument_begin|>{}<|tool_call_end|>",
            "",
            "",
            json!([["g", {}]]),
        ),
        broken(
            KimiK2,
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.w:0<|tool_call_argument_begin|>1",
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.w:0<|tool_call_argument_begin|>1",
            "expected the arguments as a JSON object, found `1`",
        ),
        // What models get wrong in JSON
        case(
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"1\n2\t\u{1}\\'\\d\", \"b\\'\": [\"\r\"]}}</tool_call>",
            "",
            "",
            json!([["f", {"a": "1\n2\t\u{1}'\\d", "b'": ["\r"]}]]),
        ),
        case(Functionary, "<function=f>{\"a\": \"1\n2\"}}</function>", "", "", json!([["f", {"a": "1\n2"}]])),
        case(
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": \\\"1\\n2\\\"}\"}</tool_call>",
            "",
            "",
            json!([["f", {"a": "1\n2"}]]),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {}}}</tool_call>",
            "",
            "",
            json!([["f", {}]]),
        ),
        case(
            Hermes,
            "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}}</tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            ToolCalls,
            "<tool_calls>[{\"id\": \"x\", \"function\": {\"arguments\": \"{\\\"city\\\": \\\"Zürich\\\"}\", \"name\": \"w\"}}]</tool_calls>",
            "",
            "",
            json!([["w", {"city": "Zürich"}, "x"]]),
        ),
        broken(
            Hermes,
            "<tool_call>{\"function\": {\"function\": {\"function\": {}}}}</tool_call>",
            "<tool_call>{\"function\": {\"function\": {\"function\": {}}}}</tool_call>",
            "a function is nested in a function",
        ),
        // Cohere
        case(
            Cohere,
            "<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}\n]<|END_ACTION|>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}, "0"]]),
        ),
        case(Cohere, "<|START_RESPONSE|>Yes.<|END_RESPONSE|>", "Yes.", "", json!([])),
        case(Cohere, "<|START_TEXT|>Yes.<|END_TEXT|>", "Yes.", "", json!([])),
    ]
}
