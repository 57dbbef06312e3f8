//! Texts and their ids, conversations and what templates make of them.

use super::hash::Hash;
use crate::chat::{ChatTemplate, LocalTime, TemplateError, TemplateInput};
use crate::conversation::template_input;
use crate::reserve::{copied_text, reserve};
use crate::{Engine, EngineError, ModelFile};
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};
use serde_json::{Value as Json, json};

/// A text with its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) ids: Vec<TokenId>,
    /// Of the text that the ids become.
    pub(super) decoded: Hash,
}

/// A chat template, and what it renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The key of its text in the model's metadata.
    pub(super) key: String,
    /// Of its text.
    pub(super) source: Hash,
    /// The names of conversations, and what they become; `None`: it refuses the conversation.
    pub(super) renderings: Vec<(String, Option<String>)>,
}

/// The texts, each for some rules of a tokenizer, with names that say which.
const TEXTS: &[(&str, &str)] = &[
    ("words", "The quick brown fox jumps over the lazy dog, unbelievably. Antidisestablishmentarianism!"),
    ("numbers", "7 42 123 1234 12345678 1,234.56 3.14159 0x1F 2026-11-30 1st H2O 4K"),
    ("white space", "a\n\nb\r\n\r\n\tc   d \u{a0}e\u{3000}f\n    g   "),
    ("contractions", "I'm you're he'd WE'LL don't o'clock 'tis they\u{2019}ve"),
    ("accents", "Ça déjà vu, naïve Größe, São Paulo, Łódź, e\u{301} A\u{30a}"),
    ("scripts", "Привет, мир. 你好，世界。こんにちは 안녕하세요 مرحبا नमस्ते สวัสดี ქართული"),
    ("symbols", "€ £ → ∑ © ½ ² ﬁ “quotes” – — … <tag attr=\"x\"/> {\"json\": [1, 2]} a_b-c#d@e.f/g\\h"),
    ("emoji", "👍🏽 👩‍👩‍👧 🇩🇪 😀!"),
    ("code", "fn main() {\n    let x: Vec<u8> = vec![1u8; 16]; // comment\n\treturn x?.len() >= 2;\n}\n"),
    ("case", "camelCase SNAKE_CASE iPhone ABCdef McDonald ALLCAPS"),
    (
        "control tokens",
        "<s>a</s> <|im_start|>user\nb<|im_end|> <bos><start_of_turn>c<eos> [INST] d [/INST] <|endoftext|>",
    ),
    ("nothing", ""),
];

/// The text that is computed.
const PROMPT_TEXT: &str = "A phone computes a language model one token at a time: it reads every weight once, adds what it \
    knows, and chooses. Café No. 12 opens at 8:30; fn f(x) { x + 1 } returns 你好, мир and 42. Is the answer the same on \
    every device? It has to be: the order of every sum is fixed, so the last bit agrees, and not only the words that are \
    printed. Paris is the capital of France, Tokyo that of Japan, and the list goes on with";

/// The ids of the text that is computed; none without a tokenizer.
pub(super) fn prompt_ids(engine: &Engine) -> Result<Vec<TokenId>, EngineError> {
    let ids = engine.tokenizer().map(|tokenizer| tokenizer.encode(PROMPT_TEXT, EncodeOptions::default()));
    Ok(ids.transpose()?.unwrap_or_default())
}

fn of_text(tokenizer: &Tokenizer, text: &str) -> Result<(Vec<TokenId>, Hash), EngineError> {
    let ids = tokenizer.encode(text, EncodeOptions::default())?;
    let decoded = decoded(tokenizer, &ids)?;
    Ok((ids, decoded))
}

fn decoded(tokenizer: &Tokenizer, ids: &[TokenId]) -> Result<Hash, EngineError> {
    Ok(Hash::of(&tokenizer.decode_bytes(ids, DecodeOptions::default())?))
}

/// The texts with the ids that they become here; none without a tokenizer.
pub(super) fn texts(engine: &Engine) -> Result<Vec<Text>, EngineError> {
    let mut texts = Vec::new();
    let Some(tokenizer) = engine.tokenizer() else { return Ok(texts) };
    reserve(&mut texts, TEXTS.len() + 1, "texts")?;
    for (name, text) in TEXTS.iter().chain([&("prompt", PROMPT_TEXT)]) {
        let (ids, decoded) = of_text(tokenizer, text)?;
        texts.push(Text { name: (*name).to_owned(), text: (*text).to_owned(), ids, decoded });
    }
    Ok(texts)
}

/// The name of the first text that becomes other ids, or whose ids become another text.
pub(super) fn compare_texts(engine: &Engine, expected: &[Text]) -> Result<Option<String>, EngineError> {
    for text in expected {
        let same = match engine.tokenizer() {
            None => false,
            Some(tokenizer) => of_text(tokenizer, &text.text)? == (text.ids.clone(), text.decoded),
        };
        if !same {
            return Ok(Some(copied_text(&text.name, "the name of a text")?));
        }
    }
    Ok(None)
}

/// Conversations: templates ask for roles, for whose turn it is, and for tools.
fn conversations() -> [(&'static str, TemplateInput); 4] {
    let message = |role: &str, content: &str| json!({ "role": role, "content": content });
    let (system, user) = (message("system", "Be brief."), message("user", " What is 2 + 2? "));
    let (answer, next) = (message("assistant", "4."), message("user", "And 3 + 3?\nIn words."));
    let parameters =
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let tool = json!({ "type": "function", "function": {
        "name": "weather", "description": "The weather of a city", "parameters": parameters } });
    let with_tools = TemplateInput { tools: Some(vec![tool]), ..TemplateInput::new([user.clone()]) };
    let unanswered = TemplateInput {
        add_generation_prompt: false,
        ..TemplateInput::new([user.clone(), answer.clone(), next.clone()])
    };
    [
        ("question", TemplateInput::new([user.clone()])),
        ("system", TemplateInput::new([system, user, answer, next])),
        ("turns", unanswered),
        ("tools", with_tools),
    ]
}

/// The template at a key, or why it cannot be used.
fn at_key(file: &ModelFile, key: &str) -> Result<Option<ChatTemplate>, TemplateError> {
    match key.strip_prefix(KEY).and_then(|rest| rest.strip_prefix('.')) {
        Some(name) => file.named_template(name),
        None => file.chat_template(),
    }
}

const KEY: &str = "tokenizer.chat_template";

/// What a template renders; `None`: it is not valid, or refuses the conversation.
fn rendered(
    template: &Result<Option<ChatTemplate>, TemplateError>,
    tokens: &TemplateInput,
    input: TemplateInput,
) -> Result<Option<String>, EngineError> {
    let Ok(Some(template)) = template else { return Ok(None) };
    let (bos_token, eos_token) = (tokens.bos_token.clone(), tokens.eos_token.clone());
    // a day that is the same everywhere
    let now = LocalTime::new(2026, 3, 14, 9, 26, 53);
    match template.render(&TemplateInput { bos_token, eos_token, now, ..input }) {
        Ok(text) => Ok(Some(text)),
        Err(error @ (TemplateError::OutOfMemory { .. } | TemplateError::Cancelled)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn tokens(engine: &Engine) -> TemplateInput {
    engine.tokenizer().map(template_input).unwrap_or_default()
}

fn of_key(engine: &Engine, key: &str) -> Result<Template, EngineError> {
    let file = engine.file();
    let template = at_key(file, key);
    let source = file.view().metadata().optional::<&str>(key).ok().flatten().unwrap_or_default();
    let (tokens, mut renderings) = (tokens(engine), Vec::new());
    for (name, input) in conversations() {
        reserve(&mut renderings, 1, "renderings")?;
        renderings.push((name.to_owned(), rendered(&template, &tokens, input)?));
    }
    Ok(Template {
        key: copied_text(key, "the key of a template")?,
        source: Hash::of(source.as_bytes()),
        renderings,
    })
}

/// The templates of the file, with what they render here.
pub(super) fn templates(engine: &Engine) -> Result<Vec<Template>, EngineError> {
    let mut templates = Vec::new();
    let names = engine.file().template_names()?;
    reserve(&mut templates, names.len().saturating_add(1), "chat templates")?;
    if engine.file().view().metadata().contains(KEY) {
        templates.push(of_key(engine, KEY)?);
    }
    for name in names {
        templates.push(of_key(engine, &format!("{KEY}.{name}"))?);
    }
    Ok(templates)
}

/// The first rendering or template that is not the same: `tokenizer.chat_template, tools`.
pub(super) fn compare_templates(
    engine: &Engine,
    expected: &[Template],
) -> Result<Option<String>, EngineError> {
    for template in expected {
        let found = of_key(engine, &template.key)?;
        for (name, rendering) in &template.renderings {
            let same = found.renderings.iter().any(|(found, text)| found == name && text == rendering);
            if !same {
                return Ok(Some(format!("{}, {name}", template.key)));
            }
        }
        if found.source != template.source {
            return Ok(Some(copied_text(&template.key, "the key of a template")?));
        }
    }
    let keys = |templates: &[Template], key: &str| templates.iter().any(|template| template.key == key);
    let added = templates(engine)?.into_iter().find(|found| !keys(expected, &found.key));
    Ok(added.map(|template| template.key))
}

/// Returns a rendering as JSON.
pub(super) fn rendering_json(text: &Option<String>) -> Json {
    text.as_deref().map_or(Json::Null, Json::from)
}
