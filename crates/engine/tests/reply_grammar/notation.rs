//! How models of each family write a call.

use happy_chat::ReplyFormat::{self, *};
use serde_json::{Map, Value, json};

/// How white space stands in JSON.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    Spaced,
    Tight,
    Lines,
}

fn json_text(value: &Value, style: Style) -> String {
    match style {
        Style::Tight => value.to_string(),
        Style::Lines => serde_json::to_string_pretty(value).unwrap(),
        Style::Spaced => spaced(value),
    }
}

/// JSON as Python writes it.
fn spaced(value: &Value) -> String {
    let join = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", join(items.iter().map(spaced).collect())),
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| format!("{}: {}", json!(key), spaced(value));
            format!("{{{}}}", join(map.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

fn python(value: &Value) -> String {
    match value {
        Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
        Value::Null => "None".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| format!("{}: {}", json!(key), python(value));
            format!("{{{}}}", map.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn gemma(value: &Value, quote: &str) -> String {
    match value {
        Value::String(text) => format!("{quote}{text}{quote}"),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|v| gemma(v, quote)).collect::<Vec<_>>().join(","))
        }
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| format!("{key}:{}", gemma(value, quote));
            format!("{{{}}}", map.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// Parameters one by one: begin, between key and value, end; strings without quotes.
fn tags(arguments: &Value, style: Style, begin: &str, middle: &str, end: &str) -> String {
    let value = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => json_text(other, style),
    };
    let members = arguments.as_object().unwrap().iter();
    members.map(|(key, v)| format!("{begin}{key}{middle}{}{end}\n", value(v))).collect()
}

/// A call of a tool as the models of a family write it.
pub(crate) fn call(format: ReplyFormat, name: &str, arguments: &Value, style: Style) -> String {
    let json = json_text(arguments, style);
    let colon = if style == Style::Tight { ":" } else { ": " };
    let comma = if style == Style::Tight { "," } else { ", " };
    let object = |name_key: &str, key: &str| {
        format!("{{\"{name_key}\"{colon}\"{name}\"{comma}\"{key}\"{colon}{json}}}")
    };
    let named = object("name", "arguments");
    let members = |value: fn(&Value) -> String| {
        let all = arguments.as_object().unwrap().iter();
        all.map(|(key, v)| format!("{key}={}", value(v))).collect::<Vec<_>>().join(", ")
    };
    match format {
        Hermes => format!("<tool_call>\n{named}\n</tool_call>"),
        ToolCalls => format!("<tool_calls>\n{named}\n</tool_calls>"),
        Nemotron => format!("<TOOLCALL>[{named}]</TOOLCALL>"),
        Llama3 => format!("<|python_tag|>{}", object("name", "parameters")),
        Granite3 => format!("<|tool_call|>[{named}]"),
        Phi4Mini => format!("<|tool_call|>[{named}]<|/tool_call|>"),
        Hunyuan => format!("<tool_calls>\n<tool_call>{name}<tool_sep>{json}</tool_call>\n</tool_calls>"),
        Cohere => {
            let rest = object("tool_name", "parameters");
            format!("<|START_ACTION|>[\n    {{\"tool_call_id\": \"0\", {}\n]<|END_ACTION|>", &rest[1..])
        }
        Apertus => format!("<|tools_prefix|>[{{\"{name}\"{colon}{json}}}]<|tools_suffix|>"),
        Functionary => format!("<function={name}>{json}</function>"),
        Mistral => format!("[TOOL_CALLS]{name}[ARGS]{json}"),
        DeepSeekR1 => format!(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{json}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        DeepSeekV31 => format!(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        KimiK2 => format!(
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{json}<|tool_call_end|><|tool_calls_section_end|>"
        ),
        Harmony => {
            format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{json}<|call|>")
        }
        Qwen3Coder => format!(
            "<tool_call>\n<function={name}>\n{}</function>\n</tool_call>",
            tags(arguments, style, "<parameter=", ">\n", "\n</parameter>")
        ),
        Seed => format!(
            "<seed:tool_call>\n<function={name}>\n{}</function>\n</seed:tool_call>",
            tags(arguments, style, "<parameter=", ">", "</parameter>")
        ),
        MiniMaxM2 => format!(
            "<minimax:tool_call>\n<invoke name=\"{name}\">\n{}</invoke>\n</minimax:tool_call>",
            tags(arguments, style, "<parameter name=\"", "\">", "</parameter>")
        ),
        MiniCpm5 => format!(
            "<function name=\"{name}\">{}</function>",
            tags(arguments, style, "<param name=\"", "\">", "</param>")
        ),
        DeepSeekV32 => {
            let one = |(key, value): (&String, &Value)| {
                let map: Map<String, Value> = [(key.clone(), value.clone())].into_iter().collect();
                let middle = format!("\" string=\"{}\">", value.is_string());
                let (begin, end) = ("<｜DSML｜parameter name=\"", "</｜DSML｜parameter>");
                tags(&Value::Object(map), style, begin, &middle, end)
            };
            let all: String = arguments.as_object().unwrap().iter().map(one).collect();
            format!(
                "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"{name}\">\n{all}</｜DSML｜invoke>\n</｜DSML｜function_calls>"
            )
        }
        Glm => format!(
            "<tool_call>{name}\n{}</tool_call>",
            tags(arguments, style, "<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>")
        ),
        Lfm2 => format!("<|tool_call_start|>[{name}({})]<|tool_call_end|>", members(python)),
        Olmo3 => format!("<function_calls>\n{name}({})\n</function_calls>", members(python)),
        FunctionGemma => {
            format!("<start_function_call>call:{name}{}<end_function_call>", gemma(arguments, "<escape>"))
        }
        Gemma4 => format!("<|tool_call>call:{name}{}<tool_call|>", gemma(arguments, "<|\"|>")),
        _ => panic!("{format} has no notation here"),
    }
}
