//! Formats whose calls are tags or lists of literals.

use happy_chat::ReplyFormat::*;
use serde_json::json;

use crate::{Case, broken, case, weather};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        // Qwen3-Coder
        case(
            Qwen3Coder,
            "<tool_call>\n<function=f>\n<parameter=a>\nx\ny\n</parameter>\n<parameter=n>\n2\n</parameter>\n<parameter=b>True</parameter>\n</function>\n</tool_call>",
            "",
            "",
            json!([["f", {"a": "x\ny", "n": 2, "b": true}]]),
        ),
        case(Qwen3Coder, "Hi\n<function=f>\n</function>", "Hi", "", json!([["f", {}]])),
        broken(
            Qwen3Coder,
            "<tool_call><function=f>x</function></tool_call>",
            "<tool_call><function=f>x</function></tool_call>",
            "expected a call, found `x`",
        ),
        broken(
            Qwen3Coder,
            "<tool_call><function=f><parameter=a>1",
            "<tool_call><function=f><parameter=a>1",
            "the reply ends inside of a call",
        ),
        broken(
            Qwen3Coder,
            "<tool_call><function= ></function></tool_call>",
            "<tool_call><function= ></function></tool_call>",
            "the call has no name",
        ),
        // FunctionGemma
        case(
            FunctionGemma,
            "<start_function_call>call:w{city:<escape>Zürich<escape>}<end_function_call>",
            "",
            "",
            weather(),
        ),
        // Gemma4
        case(
            Gemma4,
            "<|channel>thought\nhm\n<channel|><|tool_call>call:w{city:<|\"|>Zürich<|\"|>}<tool_call|><|tool_call>call:f{n:1,o:{a:[true]}}<tool_call|>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}], ["f", {"n": 1, "o": {"a": [true]}}]]),
        ),
        broken(
            Gemma4,
            "<|tool_call>call:w{city:Zürich}<tool_call|>!",
            "<|tool_call>call:w{city:Zürich}<tool_call|>!",
            "`Zürich` is not a value",
        ),
        // In other quotes than its own
        case(
            Gemma4,
            "<|tool_call>call:f{\"a\": \"x } y\", 'b': ['c', {\"d\": {\"e,\": 'it\\'s'}}], o:{<|\"|>k<|\"|>:<|\"|>say \"hi\"<|\"|>}}<tool_call|>",
            "",
            "",
            json!([["f", {"a": "x } y", "b": ["c", {"d": {"e,": "it's"}}], "o": {"k": "say \"hi\""}}]]),
        ),
        case(
            FunctionGemma,
            "<start_function_call>call:f{a:\"x, y\",b:{\"c\":<escape>it's<escape>}}<end_function_call>",
            "",
            "",
            json!([["f", {"a": "x, y", "b": {"c": "it's"}}]]),
        ),
        // DeepSeekV32
        case(
            DeepSeekV32,
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"s\" string=\"true\">2</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            "",
            "",
            json!([["f", {"s": "2", "n": 2}]]),
        ),
        // Lfm2
        case(
            Lfm2,
            "A<|tool_call_start|>[w(city=\"Zürich\"), g()]<|tool_call_end|>B",
            "A\nB",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        broken(
            Lfm2,
            "<|tool_call_start|>[w(\"Zürich\")]<|tool_call_end|>",
            "<|tool_call_start|>[w(\"Zürich\")]<|tool_call_end|>",
            "an argument has no name",
        ),
        broken(
            Lfm2,
            "<|tool_call_start|>[]<|tool_call_end|>",
            "<|tool_call_start|>[]<|tool_call_end|>",
            "the block holds no call",
        ),
        case(
            Lfm2,
            "<|tool_call_start|>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}, {\"name\": \"g\"}]<|tool_call_end|>B",
            "B",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(Lfm2, "<|tool_call_start|>{\"name\": \"g\"}<|tool_call_end|>", "", "", json!([["g", {}]])),
        // OLMo 3
        case(
            Olmo3,
            "A\n<function_calls>\nw(city=\"Zürich\")\nf(n=-1, b=true, x=None)\n</function_calls>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["f", {"n": -1, "b": true, "x": null}]]),
        ),
        case(Olmo3, "<function_calls>[g(), g()]</function_calls>", "", "", json!([["g", {}], ["g", {}]])),
        broken(
            Olmo3,
            "<function_calls>\nw(\"Zürich\")\n</function_calls>",
            "<function_calls>\nw(\"Zürich\")\n</function_calls>",
            "an argument has no name",
        ),
        // Glm
        case(
            Glm,
            "\n<think></think>\nA\n<tool_call>w\n<arg_key>city</arg_key>\n<arg_value>Zürich</arg_value>\n</tool_call><tool_call>g</tool_call>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        broken(
            Glm,
            "<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value><arg_value>2</arg_value></tool_call>",
            "<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value><arg_value>2</arg_value></tool_call>",
            "a value has no name",
        ),
        // Seed
        case(
            Seed,
            "<seed:think>hm</seed:think><seed:tool_call>\n<function=w>\n<parameter=city>Zürich</parameter>\n</function>\n</seed:tool_call>",
            "",
            "hm",
            weather(),
        ),
        // MiniMaxM2
        case(
            MiniMaxM2,
            "<minimax:tool_call>\n<invoke name=\"w\">\n<parameter name=\"city\">Zürich</parameter>\n</invoke>\n</minimax:tool_call>",
            "",
            "",
            weather(),
        ),
        // MiniCPM 5
        case(
            MiniCpm5,
            "A\n<function name=\"w\"><param name=\"city\">Zürich</param></function>\n<function name=\"f\"><param name=\"o\">{'a': True}</param><param name=\"s\"><![CDATA[</param>\n<b>]]></param></function>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["f", {"o": {"a": true}, "s": "</param>\n<b>"}]]),
        ),
        case(MiniCpm5, "<function name=\"g\"></function>", "", "", json!([["g", {}]])),
        broken(
            MiniCpm5,
            "<function name=\"f\"><param name=\"s\">a<![CDATA[b]]></param></function>",
            "<function name=\"f\"><param name=\"s\">a<![CDATA[b]]></param></function>",
            "a value begins twice: `a`",
        ),
    ]
}
