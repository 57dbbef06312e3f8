//! The formats of replies by name, and how a template's format is recognized.

use std::fmt;
use std::str::FromStr;

use super::grammar::Grammar;
use super::{calls, messages, tagged};

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $grammar:expr;)*) => {
        /// The notation in which a family of models writes thinking and tool calls.
        ///
        /// [`of_template`](Self::of_template) recognizes the format of a chat template. Formats have names, which
        /// `FromStr` and `Display` use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ReplyFormat {
            $($(#[$doc])* $variant,)*
        }

        impl ReplyFormat {
            /// All formats.
            pub const ALL: &'static [ReplyFormat] = &[$(ReplyFormat::$variant,)*];

            /// Returns the name, which can be parsed.
            pub fn name(self) -> &'static str {
                match self {
                    $(ReplyFormat::$variant => $name,)*
                }
            }

            pub(super) fn grammar(self) -> &'static Grammar {
                match self {
                    $(ReplyFormat::$variant => &$grammar,)*
                }
            }
        }
    };
}

formats! {
    /// No calls; thinking in `<think>`.
    Plain, "plain", calls::PLAIN;
    /// Hermes, Qwen 2.5 and 3, Granite 4: JSON in `<tool_call>`.
    Hermes, "hermes", calls::HERMES;
    /// Qwen3-Coder, Nemotron 3: parameters as tags in `<tool_call>`.
    Qwen3Coder, "qwen3-coder", tagged::QWEN3_CODER;
    /// Llama 3.1 and later: JSON as the whole reply, or after `<|python_tag|>`.
    Llama3, "llama3", calls::LLAMA3;
    /// Functionary 3.1: JSON in `<function=name>`.
    Functionary, "functionary", calls::FUNCTIONARY;
    /// Mistral: `[TOOL_CALLS]`, both forms, and `[THINK]`.
    Mistral, "mistral", calls::MISTRAL;
    /// FunctionGemma: `<start_function_call>call:name{..}`.
    FunctionGemma, "function-gemma", tagged::FUNCTION_GEMMA;
    /// Gemma 4: `<|tool_call>call:name{..}`.
    Gemma4, "gemma4", tagged::GEMMA4;
    /// DeepSeek V3 and R1: `<｜tool▁call▁begin｜>function`, arguments in a fenced block.
    DeepSeekR1, "deepseek-r1", calls::DEEPSEEK_R1;
    /// DeepSeek V3.1: `<｜tool▁call▁begin｜>name`.
    DeepSeekV31, "deepseek-v3.1", calls::DEEPSEEK_V31;
    /// DeepSeek V3.2 and V4: tags with `｜DSML｜`.
    DeepSeekV32, "deepseek-v3.2", tagged::DEEPSEEK_V32;
    /// Granite 3: `<|tool_call|>` and an array.
    Granite3, "granite3", calls::GRANITE3;
    /// Phi-4-mini: `<|tool_call|>` or `functools` and an array.
    Phi4Mini, "phi4-mini", calls::PHI4_MINI;
    /// Hunyuan: JSON in `<tool_calls>`, the answer in `<answer>`.
    Hunyuan, "hunyuan", calls::HUNYUAN;
    /// Kimi K2: `<|tool_call_begin|>functions.name:0`.
    KimiK2, "kimi-k2", calls::KIMI_K2;
    /// OLMo 3: Python calls, one per line, in `<function_calls>`.
    Olmo3, "olmo3", tagged::OLMO3;
    /// LFM2: a list of Python calls.
    Lfm2, "lfm2", tagged::LFM2;
    /// gpt-oss: messages in channels.
    Harmony, "harmony", messages::HARMONY;
    /// GLM 4.5 and later: `<arg_key>` and `<arg_value>`.
    Glm, "glm", tagged::GLM;
    /// Seed-OSS: parameters as tags in `<seed:tool_call>`.
    Seed, "seed", tagged::SEED;
    /// MiniMax M2: `<invoke name="..">`.
    MiniMaxM2, "minimax-m2", tagged::MINIMAX_M2;
    /// MiniMax M1, Apriel: JSON in `<tool_calls>`.
    ToolCalls, "tool-calls", calls::TOOL_CALLS;
    /// Nemotron 2: JSON in `<TOOLCALL>`.
    Nemotron, "nemotron", calls::NEMOTRON;
    /// Apertus: objects whose key is the name, in `<|tools_prefix|>`.
    Apertus, "apertus", calls::APERTUS;
    /// Cohere Command R7B and Command A: JSON in `<|START_ACTION|>`.
    Cohere, "cohere", calls::COHERE;
    /// GigaChat 3: JSON in a message `function call`, or after `<|function_call|>`.
    GigaChat3, "gigachat3", messages::GIGACHAT3;
    /// Functionary 3.2: `>>>name`, followed by the arguments.
    Functionary32, "functionary-3.2", messages::FUNCTIONARY32;
    /// Kimi K3: elements between `<|open|>`, `<|sep|>` and `<|close|>`.
    KimiK3, "kimi-k3", messages::KIMI_K3;
    /// MiniCPM 5: `<function name="..">` and `<param name="..">`.
    MiniCpm5, "minicpm5", tagged::MINICPM5;
    /// Muse Glimmer: messages to recipients, with parameters as tags.
    Atem, "atem", messages::ATEM;
    /// Solar Open: `<|tool_call:begin|>`.
    Solar, "solar", messages::SOLAR;
}

/// Texts by which a template's format is recognized. The first line counts all of whose texts the template contains.
const SIGNS: &[(&[&str], ReplyFormat)] = &[
    (&["<atem:invoke"], ReplyFormat::Atem),
    (&["<|tool_calls_section_begin|>"], ReplyFormat::KimiK2),
    (&["<function_calls>"], ReplyFormat::Olmo3),
    (&["<|tool_call:begin|>"], ReplyFormat::Solar),
    (&["<|tools_prefix|>"], ReplyFormat::Apertus),
    (&["<|START_ACTION|>"], ReplyFormat::Cohere),
    (&["<|role_sep|>", "function call"], ReplyFormat::GigaChat3),
    (&["<|function_call|>"], ReplyFormat::GigaChat3),
    (&["<|open|>", "<|sep|>"], ReplyFormat::KimiK3),
    (&["<function name=", "<param name="], ReplyFormat::MiniCpm5),
    (&[">>>all", "<|start_header_id|>"], ReplyFormat::Functionary32),
    (&["<|channel|>", "<|start|>"], ReplyFormat::Harmony),
    (&["｜DSML｜"], ReplyFormat::DeepSeekV32),
    (&["<｜tool▁call▁begin｜>", "```json"], ReplyFormat::DeepSeekR1),
    (&["<｜tool▁call▁begin｜>"], ReplyFormat::DeepSeekV31),
    (&["<|tool_call>call:"], ReplyFormat::Gemma4),
    (&["<start_function_call>"], ReplyFormat::FunctionGemma),
    (&["<|tool_call_start|>"], ReplyFormat::Lfm2),
    (&["<|tool_list_start|>"], ReplyFormat::Lfm2),
    (&["[TOOL_CALLS]"], ReplyFormat::Mistral),
    (&["[THINK]"], ReplyFormat::Mistral),
    (&["<minimax:tool_call>"], ReplyFormat::MiniMaxM2),
    (&["<seed:tool_call>"], ReplyFormat::Seed),
    (&["<TOOLCALL>"], ReplyFormat::Nemotron),
    (&["<arg_key>"], ReplyFormat::Glm),
    (&["<tool_call>", "<function="], ReplyFormat::Qwen3Coder),
    (&["<tool_calls>", "<answer>"], ReplyFormat::Hunyuan),
    (&["<tool_calls>", "<tool_sep>"], ReplyFormat::Hunyuan),
    (&["<tool_calls>"], ReplyFormat::ToolCalls),
    (&["<tool_call>"], ReplyFormat::Hermes),
    (&["<think>", "<answer>"], ReplyFormat::Hunyuan),
    (&["<|tool|>", "<|/tool|>"], ReplyFormat::Phi4Mini),
    (&["functools["], ReplyFormat::Phi4Mini),
    (&["<|tool_call|>"], ReplyFormat::Granite3),
    (&["<function=", "<|start_header_id|>"], ReplyFormat::Functionary),
    (&["<|start_header_id|>", "ipython"], ReplyFormat::Llama3),
];

impl ReplyFormat {
    /// Recognizes the format of the models that a template is for, by the markers in the template's text. Returns
    /// [`ReplyFormat::Plain`] if it contains no known markers.
    pub fn of_template(source: &str) -> Self {
        let fits = |signs: &&(&[&str], ReplyFormat)| signs.0.iter().all(|sign| source.contains(sign));
        SIGNS.iter().find(fits).map_or(ReplyFormat::Plain, |signs| signs.1)
    }

    /// Returns the markers that begin and end thinking, or `None` if the format has no thinking or puts it into messages.
    pub fn thinking(self) -> Option<(&'static str, &'static str)> {
        Some(self.grammar().think).filter(|(open, _)| !open.is_empty())
    }

    /// Returns the texts that have a meaning in this format. Some of them are control tokens in most vocabularies: a decoder
    /// that drops control tokens must let these through.
    pub fn markers(self) -> impl Iterator<Item = &'static str> {
        self.grammar().markers()
    }
}

impl fmt::Display for ReplyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a string that is not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown reply format `{name}`, expected one of {}", ReplyFormat::ALL.iter().map(|f| f.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFormat {
    /// The unknown name.
    pub name: String,
}

impl FromStr for ReplyFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.iter().find(|format| format.name() == name);
        found.copied().ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::At;
    use super::*;

    #[test]
    fn names_are_parsed_and_unknown_ones_listed() {
        for format in ReplyFormat::ALL {
            assert_eq!(format.name().parse(), Ok(*format));
        }
        let error = "hermès".parse::<ReplyFormat>().unwrap_err().to_string();
        assert!(error.contains("`hermès`") && error.contains("qwen3-coder"), "{error}");
    }

    /// Texts like those in real templates that distinguish formats.
    #[test]
    fn templates_show_their_format() {
        let cases = [
            ("<|system|>{{ m.content }}<|tool|>{{ m.tools }}<|/tool|><|end|>", ReplyFormat::Phi4Mini),
            ("Here are functions: functools[{\"name\": ..}]", ReplyFormat::Phi4Mini),
            ("<|tool_call|>{{ call }}", ReplyFormat::Granite3),
            ("<|tool_calls_section_begin|><|tool_call_begin|>{{ id }}", ReplyFormat::KimiK2),
            ("<function_calls>{{ call }}</function_calls>", ReplyFormat::Olmo3),
            ("<think>{{ r }}</think><answer>{{ c }}</answer>", ReplyFormat::Hunyuan),
            ("<answer><tool_calls>{{ calls }}</tool_calls></answer>", ReplyFormat::Hunyuan),
            ("<tool_calls>{{ calls }}</tool_calls>", ReplyFormat::ToolCalls),
            ("<think><answer><tool_call>{{ call }}", ReplyFormat::Hermes),
            ("<｜DSML｜function_calls>", ReplyFormat::DeepSeekV32),
        ];
        for (source, format) in cases {
            assert_eq!(ReplyFormat::of_template(source), format, "{source}");
        }
    }

    /// Otherwise it would depend on the next piece which marker a text is.
    #[test]
    fn no_marker_begins_with_another_one() {
        use At::*;
        let states = [
            Content, Reasoning, Header, Message, Open, List, Skip, Id, Name, Objects, Json, Literals, Params,
            Key, Typed, Plain, Failed,
        ];
        let mut wrong = Vec::new();
        for format in ReplyFormat::ALL {
            for (at, resting) in states.into_iter().flat_map(|at| [(at, false), (at, true)]) {
                let rules: Vec<_> = format.grammar().rules(at, resting).collect();
                for (i, a) in rules.iter().enumerate() {
                    let clash = rules
                        .iter()
                        .skip(i + 1)
                        .find(|b| b.1 != a.1 && (b.1.starts_with(a.1) || a.1.starts_with(b.1)));
                    wrong.extend(clash.map(|b| format!("{format} {at:?}: {:?} {:?}", a.1, b.1)));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
