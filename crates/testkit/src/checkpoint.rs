//! Tiny models in Hugging Face's form, for tests of what reads them.

use crate::weights::le_bytes;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A tensor to write: name, shape, and values as F32.
#[derive(Clone, Debug)]
pub struct Values {
    /// The name.
    pub name: String,
    /// The dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// The values, row after row.
    pub values: Vec<f32>,
}

impl Values {
    /// Makes a tensor of small, different values that depend on the name.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        let name = name.into();
        let seed = name.bytes().fold(7u32, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as f32;
        let values = (0..shape.iter().product()).map(|i| value(i) / 65_536.0 - 0.5).collect();
        Self { name, shape: shape.to_vec(), values }
    }
}

/// Returns a safetensors file of F32 tensors.
pub fn safetensors(tensors: &[Values]) -> Vec<u8> {
    let (mut header, mut data) = (String::from("{\"__metadata__\":{\"format\":\"pt\"}"), Vec::new());
    for t in tensors {
        let begin = data.len();
        data.extend(le_bytes(t.values.iter().copied()));
        let (name, shape, end) = (&t.name, &t.shape, data.len());
        let entry =
            format!(",\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{begin},{end}]}}");
        header.push_str(&entry);
    }
    header.push('}');
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// Writes a BERT with two layers, mean pooling and the tokens of [`BERT_TOKENS`] into `dir`. Returns its tensors.
pub fn tiny_bert(dir: &Path) -> Vec<Values> {
    const WIDTH: usize = 32;
    const FF: usize = 64;
    let mut tensors = vec![
        Values::new("embeddings.word_embeddings.weight", &[BERT_TOKENS.len(), WIDTH]),
        Values::new("embeddings.position_embeddings.weight", &[16, WIDTH]),
        Values::new("embeddings.token_type_embeddings.weight", &[2, WIDTH]),
        Values::new("embeddings.LayerNorm.weight", &[WIDTH]),
        Values::new("embeddings.LayerNorm.bias", &[WIDTH]),
        Values::new("pooler.dense.weight", &[WIDTH, WIDTH]),
    ];
    for layer in 0..2 {
        let mut add = |name: &str, shape: &[usize]| {
            let name = format!("encoder.layer.{layer}.{name}");
            tensors.push(Values::new(format!("{name}.weight"), shape));
            tensors.push(Values::new(format!("{name}.bias"), &shape[..1]));
        };
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            add(&format!("attention.{name}"), &[WIDTH, WIDTH]);
        }
        add("attention.output.LayerNorm", &[WIDTH]);
        add("intermediate.dense", &[FF, WIDTH]);
        add("output.dense", &[WIDTH, FF]);
        add("output.LayerNorm", &[WIDTH]);
    }
    write(dir, "model.safetensors", safetensors(&tensors));
    write(
        dir,
        "config.json",
        r#"{"architectures":["BertModel"],"model_type":"bert","hidden_act":"gelu","hidden_size":32,"intermediate_size":64,
            "layer_norm_eps":1e-12,"max_position_embeddings":16,"num_attention_heads":4,"num_hidden_layers":2,
            "type_vocab_size":2,"vocab_size":12}"#,
    );
    write(
        dir,
        "modules.json",
        r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
            {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#,
    );
    fs::create_dir_all(dir.join("1_Pooling")).expect("a folder");
    write(
        dir,
        "1_Pooling/config.json",
        r#"{"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true}"#,
    );
    write(dir, "vocab.txt", BERT_TOKENS.join("\n") + "\n");
    tensors
}

/// The vocabulary of [`tiny_bert`].
pub const BERT_TOKENS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "c", "##c", "ab", ".", "e"];

/// Writes a llama with two layers, two heads of Q and one of K and V, tied embeddings, and a byte-level tokenizer with
/// one merge into `dir`. Its tensors are in two files. Returns them.
pub fn tiny_llama(dir: &Path) -> Vec<Values> {
    const WIDTH: usize = 32;
    const FF: usize = 64;
    const TOKENS: usize = 258;
    let mut tensors = vec![
        Values::new("model.embed_tokens.weight", &[TOKENS, WIDTH]),
        Values::new("model.norm.weight", &[WIDTH]),
    ];
    for layer in 0..2 {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push(Values::new(format!("model.layers.{layer}.{name}.weight"), shape));
        };
        add("input_layernorm", &[WIDTH]);
        add("self_attn.q_proj", &[WIDTH, WIDTH]);
        add("self_attn.k_proj", &[WIDTH / 2, WIDTH]);
        add("self_attn.v_proj", &[WIDTH / 2, WIDTH]);
        add("self_attn.o_proj", &[WIDTH, WIDTH]);
        add("post_attention_layernorm", &[WIDTH]);
        add("mlp.gate_proj", &[FF, WIDTH]);
        add("mlp.up_proj", &[FF, WIDTH]);
        add("mlp.down_proj", &[WIDTH, FF]);
    }
    let mut map = String::new();
    for (number, half) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", number + 1);
        write(dir, &file, safetensors(half));
        for t in half {
            let _ = write!(map, "{}\"{}\":\"{file}\"", if map.is_empty() { "" } else { "," }, t.name);
        }
    }
    write(dir, "model.safetensors.index.json", format!("{{\"metadata\":{{}},\"weight_map\":{{{map}}}}}"));
    write(
        dir,
        "config.json",
        r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","hidden_size":32,
            "intermediate_size":64,"max_position_embeddings":64,"num_attention_heads":2,"num_key_value_heads":1,
            "num_hidden_layers":2,"rms_norm_eps":1e-5,"rope_theta":10000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,
            "low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32},
            "tie_word_embeddings":true,"vocab_size":258,"bos_token_id":257,"eos_token_id":257}"#,
    );
    // GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on.
    let (mut vocab, mut next) = (String::new(), 256);
    for byte in 0..256u32 {
        let is_printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if is_printable { byte } else { next };
        next += u32::from(!is_printable);
        let text = char::from_u32(code).expect("a character").to_string();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = write!(vocab, "\"{text}\":{byte},");
    }
    let tokenizer = format!(
        r#"{{"added_tokens":[{{"id":257,"content":"<|end|>","special":true}}],
            "pre_tokenizer":{{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}},
            "post_processor":{{"type":"ByteLevel"}},
            "model":{{"type":"BPE","vocab":{{{vocab}"ab":256}},"merges":["a b"]}}}}"#
    );
    write(dir, "tokenizer.json", tokenizer);
    write(
        dir,
        "tokenizer_config.json",
        r#"{"eos_token":"<|end|>","chat_template":"{% for m in messages %}{{ m.content }}{% endfor %}"}"#,
    );
    tensors
}

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(dir.join(name), bytes).expect("a file of a tiny model");
}
