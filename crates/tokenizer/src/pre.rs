//! Pre-tokenizers by name (`tokenizer.ggml.pre`): the stages that split the text, and what else a name implies.
//!
//! The names are llama.cpp's (`src/llama-vocab.cpp`). A name that is not in the table is an error. A *missing* name
//! means `default`, which llama.cpp uses for files that are older than the key.

use crate::split::{Capitals, Cased, DeepSeek, Stage, Words};
use crate::unicode::{L, M, N, P, W, is};

/// A pre-tokenizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PreTokenizer {
    /// The stages, applied one after the other.
    pub(crate) stages: &'static [Stage],
    /// Decoding a whole text removes spaces before punctuation and some apostrophes.
    pub(crate) clean_spaces: bool,
    /// A piece that is a token becomes that token, whatever the merges would make of it.
    pub(crate) ignore_merges: bool,
    /// Begin the text with BOS unless the file says otherwise.
    pub(crate) add_bos: bool,
    /// Always begin the text with BOS, whatever the file says (Gemma 4, whose first files were wrong).
    pub(crate) always_bos: bool,
    /// There is no BOS unless the file names one.
    pub(crate) no_bos: bool,
    /// Two texts are separated by `sep`.
    pub(crate) add_sep: bool,
    /// Merging begins with characters instead of bytes.
    pub(crate) raw: bool,
    /// Spaces are spelled U+2581.
    pub(crate) escape: bool,
    /// A run of line ends that is a token becomes that token.
    pub(crate) line_ends: bool,
}

impl PreTokenizer {
    const fn plain(stages: &'static [Stage]) -> Self {
        PreTokenizer {
            stages,
            clean_spaces: false,
            ignore_merges: false,
            add_bos: false,
            always_bos: false,
            no_bos: false,
            add_sep: false,
            raw: false,
            escape: false,
            line_ends: false,
        }
    }
}

const QWEN2: Words = Words { digits: 1, contractions: true, word: L, line_ends: true, cascade: false };
const NUMBERS_ONE_BY_ONE: Stage = Stage::Each(|c| is(c, N));

const DEFAULT_STAGES: &[Stage] = &[
    Stage::Run(|c| is(c, P) || matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|')),
    Stage::Gpt2,
    Stage::Run(|c| is(c, N)),
    Stage::ThreeDigits,
];
const FALCON: &[Stage] = &[
    Stage::Run(|c| is(c, P) || matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|' | '`')),
    Stage::Gpt2,
    Stage::ThreeDigits,
];
const GPT2: &[Stage] = &[Stage::Gpt2];
const STARCODER: &[Stage] = &[NUMBERS_ONE_BY_ONE, Stage::Gpt2];
const LLAMA3: &[Stage] = &[Stage::Words(Words { digits: 3, ..QWEN2 })];
const QWEN2_STAGES: &[Stage] = &[Stage::Words(QWEN2)];
const QWEN35: &[Stage] = &[Stage::Words(Words { word: L | M, ..QWEN2 })];
const UFAKZEKA: &[Stage] = &[Stage::Words(Words { contractions: false, ..QWEN2 })];
const SEED_CODER: &[Stage] = &[Stage::Words(Words { line_ends: false, ..QWEN2 })];
const MINICPM5: &[Stage] = &[Stage::UpToThree(|c| is(c, N)), Stage::Words(Words { digits: 0, ..QWEN2 })];
const LAGUNA: &[Stage] = &[Stage::Lines, Stage::Words(QWEN2)];
const BLOOM: &[Stage] = &[Stage::BlankedRun(is_bloom_word)];
const VIKING: &[Stage] = &[Stage::BlankedRun(is_bloom_word), NUMBERS_ONE_BY_ONE];
const TEKKEN: &[Stage] =
    &[Stage::Cased(Cased { digits: 1, contractions: false, word: L, capitals: Capitals::Ascii })];
/// As in the original. llama.cpp cuts words at combining marks, which tears Indic, Arabic and Thai words apart.
const GPT4O: &[Stage] =
    &[Stage::Cased(Cased { digits: 3, contractions: true, word: L | M, capitals: Capitals::All })];
const GRANITE_EMBED: &[Stage] =
    &[Stage::Cased(Cased { digits: 3, contractions: true, word: L | M, capitals: Capitals::Ascii })];
const DEEPSEEK3: &[Stage] = &[
    Stage::UpToThree(|c| is(c, N)),
    Stage::Run(|c| matches!(c, '\u{4E00}'..='\u{9FA5}' | '\u{3040}'..='\u{30FF}')),
    Stage::DeepSeek(DeepSeek { line_ends: true }),
];
const SPARK: &[Stage] = &[
    Stage::UpToThree(|c| is(c, N)),
    Stage::Run(|c| matches!(c, '\u{4E00}'..='\u{9FA5}' | '\u{3040}'..='\u{30FF}')),
    Stage::DeepSeek(DeepSeek { line_ends: false }),
    NUMBERS_ONE_BY_ONE,
];
const AFMOE: &[Stage] =
    &[Stage::NumbersFromTheRight, Stage::Run(is_afmoe_asian), Stage::DeepSeek(DeepSeek { line_ends: true })];
const JAIS2: &[Stage] = &[Stage::Words(Words { digits: 3, cascade: true, ..QWEN2 })];
const EXAONE_MOE: &[Stage] = &[Stage::Phrases];
const KIMI: &[Stage] = &[Stage::Kimi];
const YOUTU: &[Stage] = &[
    Stage::RunOfOne(&[
        |c| matches!(c, '\u{AC00}'..='\u{D7A3}' | '\u{3131}'..='\u{318E}'),
        |c| {
            matches!(c, '！' | '…' | '“' | '”' | '‘' | '’' | '—' | '：' | '；' | '，')
                || matches!(c, '\u{3001}'..='\u{303F}' | '\u{FE30}'..='\u{FE4F}')
        },
        |c| matches!(c, '\u{3105}'..='\u{312F}'),
        |c| matches!(c, '\u{4E00}'..='\u{9FA5}' | '\u{3040}'..='\u{30FF}'),
    ]),
    Stage::Cased(Cased { digits: 1, contractions: true, word: L | M, capitals: Capitals::None }),
];
const TINY_AYA: &[Stage] = &[
    Stage::NumbersFromTheRight,
    Stage::Cased(Cased { digits: 3, contractions: true, word: L | M, capitals: Capitals::None }),
];
const CHAMELEON: &[Stage] = &[
    Stage::Sentinels,
    Stage::Images,
    Stage::Tabs,
    NUMBERS_ONE_BY_ONE,
    Stage::Each(|c| is(c, P) || c.is_ascii_punctuation()),
    Stage::Gpt2,
];
const SUPERBPE: &[Stage] = &[Stage::Run(|c| is(c, N)), Stage::BeforeThreeDigits];
const LINES: &[Stage] = &[Stage::Lines];
const WORDS: &[Stage] = &[Stage::Run(|c| !is(c, W))];
const DEEPSEEK_CODER: &[Stage] = &[
    Stage::Each(|c| matches!(c, '\r' | '\n')),
    Stage::SpacedRun(|c| is(c, L)),
    Stage::SpacedRun(|c| is(c, P)),
    Stage::Run(is_deepseek_asian),
    NUMBERS_ONE_BY_ONE,
];
const DEEPSEEK_LLM: &[Stage] = &[
    Stage::Each(|c| matches!(c, '\r' | '\n')),
    Stage::SpacedRun(is_deepseek_letter),
    Stage::SpacedRun(is_deepseek_punctuation),
    Stage::TrailingSpace,
    Stage::Run(is_deepseek_asian),
    Stage::Run(|c| is(c, N)),
];

/// `[^(\s|.,!?…。，、।۔،)]`
fn is_bloom_word(c: char) -> bool {
    !is(c, W)
        && !matches!(c, '(' | ')' | '|' | '.' | ',' | '!' | '?')
        && !matches!(c, '…' | '。' | '，' | '、' | '।' | '۔' | '،')
}

/// `[!-/:-~！-／：-～‘-‟　-。]`, except white space in that range.
fn is_deepseek_punctuation(c: char) -> bool {
    matches!(c, '!'..='/' | ':'..='~' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF5E}')
        || matches!(c, '\u{2018}'..='\u{201F}' | '\u{3001}'..='\u{3002}')
}

/// The Asian scripts that AFMoE cuts out. (The range from U+8C48 was meant to begin at U+F900, a character that
/// normalization turned into this one; llama.cpp has it like this.)
fn is_afmoe_asian(c: char) -> bool {
    matches!(c, '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{8C48}'..='\u{FAFF}')
        || matches!(c, '\u{3040}'..='\u{30FF}' | '\u{FF65}'..='\u{FF9F}' | '\u{2F00}'..='\u{2FDF}')
        || matches!(c, '\u{0E40}'..='\u{0EFF}' | '\u{1780}'..='\u{17FF}' | '\u{1000}'..='\u{109F}')
        || matches!(c, '\u{1100}'..='\u{11FF}')
}

/// `[一-龥ࠀ-一가-퟿]`, except white space in that range.
fn is_deepseek_asian(c: char) -> bool {
    matches!(c, '\u{0800}'..='\u{9FA5}' | '\u{AC00}'..='\u{D7FF}') && !is(c, W)
}

/// The letters that the original expression lists, in ascending ranges.
fn is_deepseek_letter(c: char) -> bool {
    let after = DEEPSEEK_LETTERS.partition_point(|&(first, _)| first <= c);
    DEEPSEEK_LETTERS.get(after.wrapping_sub(1)).is_some_and(|&(_, last)| c <= last)
}

/// One row of the table: names, and their meaning.
struct Row(&'static [&'static str], PreTokenizer);

const fn row(names: &'static [&'static str], stages: &'static [Stage]) -> Row {
    Row(names, PreTokenizer::plain(stages))
}

impl Row {
    const fn clean_spaces(self) -> Row {
        Row(self.0, PreTokenizer { clean_spaces: true, ..self.1 })
    }
    const fn ignore_merges(self) -> Row {
        Row(self.0, PreTokenizer { ignore_merges: true, ..self.1 })
    }
    const fn add_bos(self) -> Row {
        Row(self.0, PreTokenizer { add_bos: true, ..self.1 })
    }
    const fn no_bos(self) -> Row {
        Row(self.0, PreTokenizer { no_bos: true, ..self.1 })
    }
    const fn add_sep(self) -> Row {
        Row(self.0, PreTokenizer { add_sep: true, ..self.1 })
    }
    const fn raw(self) -> Row {
        Row(self.0, PreTokenizer { raw: true, ..self.1 })
    }
    const fn raw_escaped(self) -> Row {
        Row(self.0, PreTokenizer { raw: true, escape: true, ..self.1 })
    }
    /// Adds Gemma 4's two peculiarities.
    const fn gemma4(self) -> Row {
        Row(self.0, PreTokenizer { line_ends: true, always_bos: true, ..self.1 })
    }
}

const LLAMA3_NAMES: &[&str] = &[
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
];
const GPT2_NAMES: &[&str] = &[
    "gpt-2",
    "phi-2",
    "jina-es",
    "jina-de",
    "gigachat",
    "jina-v2-es",
    "jina-v2-de",
    "a.x-4.0",
    "mellum",
    "modern-bert",
    "mpt",
    "olmo",
    "jais",
    "exaone4",
];

static TABLE: &[Row] = &[
    row(&["default"], DEFAULT_STAGES).clean_spaces(),
    row(LLAMA3_NAMES, LLAMA3).clean_spaces().ignore_merges().add_bos(),
    row(&["dbrx", "smaug-bpe"], LLAMA3).clean_spaces(),
    row(&["chatglm-bpe"], LLAMA3).clean_spaces().no_bos(),
    row(&["glm4", "glm5"], LLAMA3).clean_spaces().ignore_merges().no_bos(),
    row(&["jais-2"], JAIS2).clean_spaces(),
    row(GPT2_NAMES, GPT2).clean_spaces(),
    row(&["jina-v1-en", "jina-v2-code", "roberta-bpe"], GPT2).clean_spaces().add_sep(),
    row(&["trillion", "granite-docling"], GPT2),
    row(&["starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"], STARCODER).clean_spaces(),
    row(&["smollm", "command-r"], STARCODER),
    row(&["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2"], QWEN2_STAGES),
    row(&["bailingmoe", "bailingmoe2", "llada-moe", "hunyuan", "grok-2", "solar-open"], QWEN2_STAGES),
    row(&["stablelm2", "megrez"], QWEN2_STAGES).clean_spaces(),
    row(&["qwen35"], QWEN35),
    row(&["ufakzeka"], UFAKZEKA),
    row(&["seed-coder"], SEED_CODER),
    row(&["minicpm5"], MINICPM5).clean_spaces().ignore_merges(),
    row(&["laguna"], LAGUNA),
    row(&["falcon"], FALCON).clean_spaces(),
    row(&["poro-chat"], BLOOM),
    row(&["bloom", "gpt3-finnish"], BLOOM).clean_spaces(),
    row(&["viking"], VIKING),
    row(&["tekken"], TEKKEN).ignore_merges().add_bos(),
    row(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], GPT4O),
    row(&["granite-embed-multi-97m"], GRANITE_EMBED).ignore_merges(),
    row(&["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"], DEEPSEEK3),
    row(&["spark2_5"], SPARK),
    row(&["afmoe"], AFMOE),
    row(&["youtu"], YOUTU).ignore_merges(),
    row(&["tiny_aya", "cohere2moe"], TINY_AYA),
    row(&["exaone-moe"], EXAONE_MOE).clean_spaces(),
    row(&["kimi-k2"], KIMI),
    row(&["chameleon"], CHAMELEON).add_bos(),
    row(&["superbpe"], SUPERBPE),
    row(&["gemma4", "granite-embed-multi-311m"], LINES).clean_spaces().raw_escaped().gemma4(),
    row(&["sarvam-moe"], LINES).raw_escaped(),
    row(&["whitespace"], WORDS).clean_spaces().raw(),
    row(&["deepseek-coder"], DEEPSEEK_CODER),
    row(&["deepseek-llm"], DEEPSEEK_LLM),
];

impl PreTokenizer {
    /// The pre-tokenizer with this name.
    pub(crate) fn by_name(name: &str) -> Option<PreTokenizer> {
        TABLE.iter().find(|row| row.0.contains(&name)).map(|row| row.1)
    }

    /// All names.
    #[cfg(test)]
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().flat_map(|row| row.0.iter().copied())
    }
}

#[rustfmt::skip]
static DEEPSEEK_LETTERS: &[(char, char)] = &[
    ('A', 'Z'), ('a', 'z'), ('\u{B5}', '\u{B5}'), ('\u{C0}', '\u{D6}'), ('\u{D8}', '\u{F6}'),
    ('\u{F8}', '\u{1BA}'), ('\u{1BC}', '\u{1BF}'), ('\u{1C4}', '\u{293}'), ('\u{295}', '\u{2AF}'),
    ('\u{370}', '\u{373}'), ('\u{376}', '\u{376}'), ('\u{377}', '\u{377}'), ('\u{37B}', '\u{37D}'),
    ('\u{37F}', '\u{37F}'), ('\u{386}', '\u{386}'), ('\u{388}', '\u{38A}'), ('\u{38C}', '\u{38C}'),
    ('\u{38E}', '\u{3A1}'), ('\u{3A3}', '\u{3F5}'), ('\u{3F7}', '\u{481}'), ('\u{48A}', '\u{52F}'),
    ('\u{531}', '\u{556}'), ('\u{10A0}', '\u{10C5}'), ('\u{13A0}', '\u{13F5}'), ('\u{13F8}', '\u{13FD}'),
    ('\u{1C90}', '\u{1CBA}'), ('\u{1CBD}', '\u{1CBF}'), ('\u{1D00}', '\u{1D2B}'), ('\u{1D6B}', '\u{1D77}'),
    ('\u{1D79}', '\u{1D9A}'), ('\u{1E00}', '\u{1F15}'), ('\u{1F18}', '\u{1F1D}'), ('\u{1F20}', '\u{1F45}'),
    ('\u{1F48}', '\u{1F4D}'), ('\u{1F50}', '\u{1F57}'), ('\u{1F59}', '\u{1F59}'), ('\u{1F5B}', '\u{1F5B}'),
    ('\u{1F5D}', '\u{1F5D}'), ('\u{1F5F}', '\u{1F7D}'), ('\u{1F80}', '\u{1FB4}'), ('\u{1FB6}', '\u{1FBC}'),
    ('\u{1FBE}', '\u{1FBE}'), ('\u{1FC2}', '\u{1FC4}'), ('\u{1FC6}', '\u{1FCC}'), ('\u{1FD0}', '\u{1FD3}'),
    ('\u{1FD6}', '\u{1FDB}'), ('\u{1FE0}', '\u{1FEC}'), ('\u{1FF2}', '\u{1FF4}'), ('\u{1FF6}', '\u{1FFC}'),
    ('\u{2102}', '\u{2102}'), ('\u{2107}', '\u{2107}'), ('\u{210A}', '\u{2113}'), ('\u{2115}', '\u{2115}'),
    ('\u{2119}', '\u{211D}'), ('\u{2124}', '\u{2124}'), ('\u{2126}', '\u{2126}'), ('\u{2128}', '\u{2128}'),
    ('\u{212A}', '\u{212D}'), ('\u{212F}', '\u{2134}'), ('\u{2139}', '\u{2139}'), ('\u{213C}', '\u{213F}'),
    ('\u{2145}', '\u{2149}'), ('\u{214E}', '\u{214E}'), ('\u{2183}', '\u{2183}'), ('\u{2184}', '\u{2184}'),
    ('\u{2C00}', '\u{2C7B}'), ('\u{2C7E}', '\u{2CE4}'), ('\u{2CEB}', '\u{2CEE}'), ('\u{2CF2}', '\u{2CF2}'),
    ('\u{2CF3}', '\u{2CF3}'), ('\u{A640}', '\u{A66D}'), ('\u{A680}', '\u{A69B}'), ('\u{A722}', '\u{A76F}'),
    ('\u{A771}', '\u{A787}'), ('\u{A78B}', '\u{A78E}'), ('\u{AB70}', '\u{ABBF}'), ('\u{FB00}', '\u{FB06}'),
    ('\u{FB13}', '\u{FB17}'), ('\u{FF21}', '\u{FF3A}'), ('\u{FF41}', '\u{FF5A}'),
    ('\u{10400}', '\u{1044F}'), ('\u{104B0}', '\u{104D3}'), ('\u{104D8}', '\u{104FB}'),
    ('\u{10C80}', '\u{10CB2}'), ('\u{10CC0}', '\u{10CF2}'), ('\u{118A0}', '\u{118DF}'),
    ('\u{1E900}', '\u{1E943}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let mut names: Vec<_> = PreTokenizer::names().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| PreTokenizer::by_name(name).is_some()));
        assert!(PreTokenizer::by_name("no-such").is_none() && PreTokenizer::by_name("").is_none());
    }

    #[test]
    fn letter_ranges_ascend() {
        assert!(DEEPSEEK_LETTERS.windows(2).all(|w| w[0].1 < w[1].0));
        assert!(is_deepseek_letter('A') && is_deepseek_letter('é') && !is_deepseek_letter('1'));
    }
}
