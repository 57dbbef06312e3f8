//! Small vocabularies of every kind, for the fuzz targets of happy-tokenizer.

use std::sync::LazyLock;

use happy_tokenizer::{CharsMap, Scores, Strings, TokenType, Tokenizer, TokenizerSpec};

/// A vocabulary, and what its tokens promise.
pub struct Vocabulary {
    /// Its kind, or of byte-level BPE the pre-tokenizer.
    pub name: &'static str,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Which texts come back from their tokens.
    pub gives_back: GivesBack,
    /// Encoding puts a space before the text, and decoding takes it away.
    pub space_prefix: bool,
}

/// Which texts come back.
pub enum GivesBack {
    /// All.
    Everything,
    /// All without these characters, which stand for something else.
    But(&'static [char]),
    /// The kind changes texts.
    Nothing,
}

/// One pre-tokenizer at least of each family.
const PRE_TOKENIZERS: [&str; 24] = [
    "default",
    "gpt-2",
    "smollm",
    "llama-bpe",
    "qwen2",
    "qwen35",
    "gpt-4o",
    "tekken",
    "deepseek-v3",
    "deepseek-llm",
    "deepseek-coder",
    "falcon",
    "bloom",
    "viking",
    "spark2_5",
    "afmoe",
    "tiny_aya",
    "youtu",
    "exaone-moe",
    "kimi-k2",
    "chameleon",
    "superbpe",
    "jais-2",
    "minicpm5",
];

/// Text that tokens are made of; all begin a chain of merges.
const WORDS: [&str; 22] = [
    "aa", "aaaa", "ab", " a", " ab", "  ", "    ", "\n\n", "é", "中", "中文", "文", "12", "123", "'s",
    "\r\n", "e\u{301}", "😀", " \n", "..", "abab", "the",
];

/// Control tokens and tokens that users added: in all vocabularies, one the beginning of another, one with a space.
const CONTROL: [&str; 3] = ["<|end|>", "<|end|>>", "<s>"];
const ADDED: [&str; 3] = ["[USER]", "[US", "a [b"];

/// The character that stands for a byte in byte-level vocabularies: itself where it prints, else U+0100 and on.
fn stand_in(byte: u8) -> char {
    let prints = |b: u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !prints(*b)).count() as u32;
    char::from_u32(0x100 + before).expect("below the surrogates")
}

/// Collects tokens with their types, scores and merges.
#[derive(Default)]
struct Builder {
    tokens: Vec<String>,
    types: Vec<TokenType>,
    merges: Vec<String>,
}

impl Builder {
    fn add(&mut self, token: impl Into<String>, of: TokenType) {
        let token = token.into();
        if !self.tokens.contains(&token) {
            self.tokens.push(token);
            self.types.push(of);
        }
    }

    fn all<'a>(&mut self, tokens: impl IntoIterator<Item = &'a str>, of: TokenType) {
        tokens.into_iter().for_each(|token| self.add(token, of));
    }

    fn bytes(&mut self) {
        (0..=255u8).for_each(|byte| self.add(format!("<0x{byte:02X}>"), TokenType::Byte));
    }

    /// A word, its characters from the left merged one by one.
    fn word(&mut self, word: &str, all_parts: bool) {
        let mut left = String::new();
        for c in word.chars() {
            if !left.is_empty() {
                let rule = format!("{left} {c}");
                if !self.merges.contains(&rule) {
                    self.merges.push(rule);
                }
            }
            left.push(c);
            if all_parts {
                self.add(left.clone(), TokenType::Normal);
            }
        }
        self.add(left, TokenType::Normal);
    }

    fn build(self, model: &str, change: impl FnOnce(&mut TokenizerSpec)) -> Tokenizer {
        let n = self.tokens.len();
        let mut spec = TokenizerSpec::new(model, Strings::from_list(&self.tokens).expect("short strings"));
        spec.token_types = self.types;
        spec.merges = Some(Strings::from_list(&self.merges).expect("short strings"));
        spec.scores = Some(Scores::from_list(&(0..n).map(|i| -((i * 7 % 5) as f32)).collect::<Vec<_>>()));
        change(&mut spec);
        Tokenizer::new(spec).expect("a whole description")
    }
}

fn byte_level(pre: &'static str) -> Vocabulary {
    let mut builder = Builder::default();
    (0..=255u8).for_each(|byte| builder.add(stand_in(byte), TokenType::Normal));
    for word in WORDS {
        builder.word(&word.bytes().map(stand_in).collect::<String>(), true);
    }
    builder.all(CONTROL, TokenType::Control);
    builder.all(ADDED, TokenType::UserDefined);
    let tokenizer = builder.build("gpt2", |spec| spec.pre = Some(pre.to_owned()));
    Vocabulary { name: pre, tokenizer, gives_back: GivesBack::Everything, space_prefix: false }
}

/// Bytes as fallback, words with U+2581 for spaces.
fn escaped(name: &'static str, space_prefix: bool) -> Vocabulary {
    let mut builder = Builder::default();
    builder.all(["<unk>"], TokenType::Unknown);
    builder.all(["<s>", "</s>", "<|end|>"], TokenType::Control);
    builder.bytes();
    for word in WORDS {
        // Merges lead to tokens, as in real vocabularies: else bytes of U+2581 would be left.
        builder.word(&word.replace(' ', "\u{2581}"), true);
    }
    builder.all(["\u{2581}", "a", "b", "\n"], TokenType::Normal);
    let model = if name == "gemma4" { name } else { "llama" };
    let tokenizer = builder.build(model, |spec| spec.add_space_prefix = Some(space_prefix));
    Vocabulary { name, tokenizer, gives_back: GivesBack::But(&['\u{2581}']), space_prefix }
}

fn plamo2() -> Vocabulary {
    let mut builder = Builder::default();
    builder.all(["<unk>"], TokenType::Unknown);
    builder.all(["<s>", "</s>", "<pad>"], TokenType::Control);
    builder.bytes();
    builder.all(WORDS, TokenType::Normal);
    builder.all(["a", "b", " ", "\n"], TokenType::Normal);
    let tokenizer = builder.build("plamo2", |_| {});
    Vocabulary { name: "plamo2", tokenizer, gives_back: GivesBack::But(&['\u{FEFF}']), space_prefix: false }
}

fn rwkv() -> Vocabulary {
    let mut builder = Builder::default();
    builder.add("<s>", TokenType::Control);
    (0..=255u8).for_each(|byte| builder.add(format!("\\x{byte:02x}"), TokenType::Normal));
    builder.all(["aa", "ab", " a", "\\n\\n", "\\xe4\\xb8", "é", "\\t\\'", "the "], TokenType::Normal);
    let tokenizer = builder.build("rwkv", |_| {});
    Vocabulary { name: "rwkv", tokenizer, gives_back: GivesBack::Everything, space_prefix: false }
}

fn bert() -> Vocabulary {
    let mut builder = Builder::default();
    builder.all(["[PAD]"], TokenType::Control);
    builder.all(["[UNK]"], TokenType::Unknown);
    builder.all(["[CLS]", "[SEP]", "[MASK]"], TokenType::Control);
    builder.all(
        ["\u{2581}a", "\u{2581}the", "b", "ab", "s", "\u{2581}中", "\u{2581}.", "1", "\u{2581}12"],
        TokenType::Normal,
    );
    let tokenizer = builder.build("bert", |spec| {
        (spec.special.bos, spec.special.sep, spec.special.unk) = (Some(2), Some(3), Some(1));
    });
    Vocabulary { name: "bert", tokenizer, gives_back: GivesBack::Nothing, space_prefix: false }
}

/// A double-array trie with the one string `Z`, which becomes `a b`.
fn charsmap() -> CharsMap {
    // The root's children lie at its offset (1) ^ byte, the value of `Z` at that place ^ its offset (1).
    let mut units = vec![0u32; 256];
    let at = 1 ^ usize::from(b'Z');
    units[0] = 1 << 10;
    units[at] = u32::from(b'Z') | 1 << 8 | 1 << 10;
    units[at ^ 1] = 1 << 31;
    let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(b"a b\0");
    let len = bytes.len();
    CharsMap::in_storage(std::sync::Arc::new(bytes), 0, len).expect("a whole map")
}

fn t5(name: &'static str, merge_spaces: bool) -> Vocabulary {
    let mut builder = Builder::default();
    builder.all(["<pad>", "</s>"], TokenType::Control);
    builder.all(["<unk>"], TokenType::Unknown);
    for word in WORDS {
        builder.add(word.replace(' ', "\u{2581}"), TokenType::Normal);
    }
    builder.all(["\u{2581}", "a", "b", "\u{2581}a"], TokenType::Normal);
    builder.all(["[USER]"], TokenType::UserDefined);
    let tokenizer = builder.build("t5", |spec| {
        (spec.add_space_prefix, spec.remove_extra_whitespaces) = (Some(merge_spaces), Some(merge_spaces));
        spec.charsmap = Some(charsmap());
    });
    Vocabulary { name, tokenizer, gives_back: GivesBack::Nothing, space_prefix: merge_spaces }
}

/// All vocabularies, made once.
pub static VOCABULARIES: LazyLock<Vec<Vocabulary>> = LazyLock::new(|| {
    let mut all: Vec<Vocabulary> = PRE_TOKENIZERS.into_iter().map(byte_level).collect();
    all.extend([
        escaped("llama", true),
        escaped("llama without a space before", false),
        escaped("gemma4", false),
        plamo2(),
        rwkv(),
        bert(),
        t5("t5", false),
        t5("t5 with spaces merged", true),
    ]);
    all
});

/// The vocabulary that a byte of the input chooses.
pub fn choose(byte: u8) -> &'static Vocabulary {
    &VOCABULARIES[usize::from(byte) % VOCABULARIES.len()]
}
