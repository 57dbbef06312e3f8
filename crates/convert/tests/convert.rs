//! Tiny folders become files with the right names, types, values and metadata. Errors say what is wrong with a folder, and where.

use happy_convert::{Checkpoint, Conversion, ConvertErrorKind, ConvertOptions, OutputType, RunOptions};
use happy_gguf::{Gguf, GgufFile};
use happy_testkit::{Values, tiny_bert, tiny_llama};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("happy-convert-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn try_convert(dir: &Path, output_type: OutputType) -> Result<Vec<u8>, happy_convert::ConvertError> {
    let checkpoint = Checkpoint::open(dir)?;
    let options = ConvertOptions { output_type, ..ConvertOptions::default() };
    let conversion = Conversion::plan(&checkpoint, &options)?;
    let mut out = Vec::new();
    let written = conversion.write_to(&mut out, &RunOptions::default())?;
    assert_eq!((written, conversion.file_len()?), (out.len() as u64, out.len() as u64));
    Ok(out)
}

fn convert(dir: &Path, output_type: OutputType) -> Vec<u8> {
    try_convert(dir, output_type).unwrap_or_else(|e| panic!("{e}"))
}

/// Returns the kind and message for a folder that cannot be converted.
fn refused(dir: &Path) -> (ConvertErrorKind, String) {
    let error = try_convert(dir, OutputType::F32).expect_err("an error");
    (error.kind(), error.to_string())
}

fn floats(gguf: &Gguf<'_>, name: &str) -> Vec<f32> {
    let tensor = gguf.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
    let bytes = gguf.data(&tensor).expect("its bytes");
    assert_eq!(tensor.ty.to_string(), "F32", "{name}");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn values<'t>(tensors: &'t [Values], name: &str) -> &'t Values {
    tensors.iter().find(|t| t.name == name).expect("a tensor of the checkpoint")
}

#[test]
fn a_bert_keeps_its_values() {
    let folder = Folder::new();
    let tensors = tiny_bert(&folder.0);
    let bytes = convert(&folder.0, OutputType::F32);
    let gguf = Gguf::parse(&bytes).expect("a file");
    gguf.check_strict().expect("no deviations");
    for (to, from) in [
        ("token_embd.weight", "embeddings.word_embeddings.weight"),
        ("position_embd.weight", "embeddings.position_embeddings.weight"),
        ("token_types.weight", "embeddings.token_type_embeddings.weight"),
        ("token_embd_norm.bias", "embeddings.LayerNorm.bias"),
        ("blk.0.attn_q.weight", "encoder.layer.0.attention.self.query.weight"),
        ("blk.1.attn_k.bias", "encoder.layer.1.attention.self.key.bias"),
        ("blk.1.ffn_up.weight", "encoder.layer.1.intermediate.dense.weight"),
        ("blk.1.ffn_down.weight", "encoder.layer.1.output.dense.weight"),
        ("blk.0.layer_output_norm.weight", "encoder.layer.0.output.LayerNorm.weight"),
        ("blk.0.attn_output_norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight"),
    ] {
        assert_eq!(floats(&gguf, to), values(&tensors, from).values, "{to}");
    }
    assert_eq!(gguf.tensors().count(), 5 + 2 * 16);
    let dims = gguf.tensor("blk.0.ffn_up.weight").map(|t| t.dims.to_vec());
    assert_eq!(dims, Some(vec![32, 64]));

    let metadata = gguf.metadata();
    let number = |key: &str| metadata.require::<u32>(key).ok();
    assert_eq!(metadata.require::<&str>("general.architecture").ok(), Some("bert"));
    assert_eq!(number("bert.pooling_type"), Some(1));
    assert_eq!(number("bert.attention.head_count"), Some(4));
    assert_eq!(metadata.require::<bool>("bert.attention.causal").ok(), Some(false));
    assert_eq!(number("tokenizer.ggml.bos_token_id"), Some(2));
    assert_eq!(number("tokenizer.ggml.seperator_token_id"), Some(3));
    assert_eq!(metadata.require::<bool>("tokenizer.ggml.normalizer.lowercase").ok(), Some(true));
    let tokens = metadata.require::<happy_gguf::Array<'_>>("tokenizer.ggml.tokens").expect("tokens");
    let tokens: Vec<String> = tokens.strings().expect("strings").map(|s| s.to_string()).collect();
    assert_eq!(tokens[2..9], ["[CLS]", "[SEP]", "[MASK]", "\u{2581}a", "b", "\u{2581}c", "c"]);
}

#[test]
fn matrices_get_the_requested_type() {
    let folder = Folder::new();
    tiny_bert(&folder.0);
    for (output_type, name) in
        [(OutputType::F16, "F16"), (OutputType::BF16, "BF16"), (OutputType::Q8_0, "Q8_0")]
    {
        let bytes = convert(&folder.0, output_type);
        let gguf = Gguf::parse(&bytes).expect("a file");
        let type_of = |name: &str| gguf.tensor(name).map(|t| t.ty.to_string()).unwrap_or_default();
        assert_eq!(type_of("blk.0.ffn_down.weight"), name);
        assert_eq!(type_of("token_embd.weight"), name);
        for vector in
            ["blk.0.attn_q.bias", "token_embd_norm.weight", "position_embd.weight", "token_types.weight"]
        {
            assert_eq!(type_of(vector), "F32", "{vector}");
        }
        assert_eq!(output_type.to_string(), name);
        assert_eq!(name.to_lowercase().parse::<OutputType>().ok(), Some(output_type));
    }
    assert!("q4_0".parse::<OutputType>().is_err());
}

/// The matrices that matter most for a text's vector stay F16; `crates/cli/tests/minilm.rs` has the figures.
#[test]
fn an_encoder_of_8_bits_keeps_its_sensitive_matrices() {
    let types = |make: fn(&Path) -> Vec<Values>, names: &[&str]| -> Vec<String> {
        let folder = Folder::new();
        make(&folder.0);
        let bytes = convert(&folder.0, OutputType::Q8_0);
        let gguf = Gguf::parse(&bytes).expect("a file");
        assert_eq!(gguf.metadata().require::<u32>("general.file_type").ok(), Some(7));
        names.iter().map(|name| gguf.tensor(name).map(|t| t.ty.to_string()).unwrap_or_default()).collect()
    };
    let names = [
        "blk.0.attn_q.weight",
        "blk.0.attn_k.weight",
        "blk.1.attn_v.weight",
        "blk.1.ffn_up.weight",
        "blk.0.ffn_up.weight",
        "blk.1.ffn_down.weight",
        "blk.1.attn_output.weight",
        "token_embd.weight",
    ];
    assert_eq!(types(tiny_bert, &names), ["F16", "F16", "F16", "F16", "Q8_0", "Q8_0", "Q8_0", "Q8_0"]);
    assert_eq!(types(tiny_llama, &names), ["Q8_0"; 8]);
}

#[test]
fn rows_of_q_and_k_are_interleaved() {
    let folder = Folder::new();
    let tensors = tiny_llama(&folder.0);
    let bytes = convert(&folder.0, OutputType::F32);
    let gguf = Gguf::parse(&bytes).expect("a file");
    gguf.check_strict().expect("no deviations");
    // Two heads of 16 rows. The two halves of each are interleaved.
    let half = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];
    let order: Vec<usize> = half.into_iter().chain(half.map(|row| row + 16)).collect();
    for (to, from, rows) in [
        ("blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight", &order[..]),
        ("blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight", &half),
    ] {
        let from = &values(&tensors, from).values;
        let expected: Vec<f32> = rows.iter().flat_map(|row| from[row * 32..][..32].to_vec()).collect();
        assert_eq!(floats(&gguf, to), expected, "{to}");
    }
    let v = "model.layers.0.self_attn.v_proj.weight";
    assert_eq!(floats(&gguf, "blk.0.attn_v.weight"), values(&tensors, v).values);
    assert!(gguf.tensor("output.weight").is_none());

    let factors = floats(&gguf, "rope_freqs.weight");
    assert_eq!((factors.len(), factors[0], factors[7]), (8, 1.0, 8.0));
    assert!(factors.is_sorted());
    let metadata = gguf.metadata();
    assert_eq!(metadata.require::<&str>("tokenizer.ggml.pre").ok(), Some("gpt-2"));
    assert_eq!(metadata.require::<u32>("tokenizer.ggml.eos_token_id").ok(), Some(257));
    assert!(metadata.require::<&str>("tokenizer.chat_template").is_ok_and(|t| t.contains("messages")));
}

#[test]
fn one_is_added_to_the_norms_of_gemma() {
    let folder = Folder::new();
    let mut tensors = tiny_llama(&folder.0);
    let config = r#"{"architectures":["Gemma3ForCausalLM"],"hidden_size":32,"intermediate_size":64,"num_attention_heads":2,
        "num_key_value_heads":1,"head_dim":16,"num_hidden_layers":2,"sliding_window":8,"rope_local_base_freq":10000.0}"#;
    fs::write(folder.0.join("config.json"), config).expect("a file");
    for layer in 0..2 {
        for name in ["pre_feedforward_layernorm", "post_feedforward_layernorm"] {
            tensors.push(Values::new(format!("model.layers.{layer}.{name}.weight"), &[32]));
        }
        for name in ["q_norm", "k_norm"] {
            tensors.push(Values::new(format!("model.layers.{layer}.self_attn.{name}.weight"), &[16]));
        }
    }
    fs::remove_file(folder.0.join("model.safetensors.index.json")).expect("a file");
    fs::write(folder.0.join("model.safetensors"), happy_testkit::safetensors(&tensors)).expect("a file");
    let bytes = convert(&folder.0, OutputType::F32);
    let gguf = Gguf::parse(&bytes).expect("a file");
    for (to, from) in [
        ("output_norm.weight", "model.norm.weight"),
        ("blk.1.attn_k_norm.weight", "model.layers.1.self_attn.k_norm.weight"),
        ("blk.0.post_attention_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
        ("blk.0.ffn_norm.weight", "model.layers.0.pre_feedforward_layernorm.weight"),
    ] {
        let expected: Vec<f32> = values(&tensors, from).values.iter().map(|x| x + 1.0).collect();
        assert_eq!(floats(&gguf, to), expected, "{to}");
    }
    let q = "model.layers.0.self_attn.q_proj.weight";
    assert_eq!(floats(&gguf, "blk.0.attn_q.weight"), values(&tensors, q).values);
    assert_eq!(gguf.metadata().require::<u32>("gemma3.attention.key_length").ok(), Some(16));
}

#[test]
fn errors_name_the_file_and_the_place() {
    let cases: [(&str, &str, &str, &str); 8] = [
        ("config.json", "BertModel", "TapasModel", "architecture `TapasModel` is not converted"),
        (
            "config.json",
            "\"gelu\"",
            "\"relu\"",
            "key `hidden_act`: \"relu\" is not converted, expected \"gelu\"",
        ),
        ("config.json", "\"hidden_size\":32,", "", "no key `hidden_size`"),
        (
            "config.json",
            "\"num_hidden_layers\":2",
            "\"num_hidden_layers\":3",
            "tensor `encoder.layer.2.attention.self.query.weight`",
        ),
        ("config.json", "\"num_hidden_layers\":2", "\"num_hidden_layers\":1", "tensor `encoder.layer.1."),
        (
            "config.json",
            "\"intermediate_size\":64",
            "\"intermediate_size\":-1",
            "expected an unsigned integer of 32 bits, found -1",
        ),
        ("modules.json", "\"1_Pooling\"", "\"../x\"", "path `../x`: expected a folder within this one"),
        ("1_Pooling/config.json", "true", "false", "expected one of the pooling modes"),
    ];
    for (file, from, to, expected) in cases {
        let folder = Folder::new();
        tiny_bert(&folder.0);
        folder.replace(file, from, to);
        let (_, said) = refused(&folder.0);
        assert!(said.contains(expected) && !said.contains('\n'), "{said}");
    }
    let folder = Folder::new();
    tiny_llama(&folder.0);
    folder.replace("model.safetensors.index.json", "model-00002-of-00002", "model-00001-of-00002");
    let (kind, said) = refused(&folder.0);
    assert_eq!(kind, ConvertErrorKind::InvalidFile);
    assert!(said.contains("not in `model-00001-of-00002.safetensors`, although the index says so"), "{said}");
    folder.replace("model.safetensors.index.json", "model-00001-of-00002", "../model-00001-of-00002");
    assert!(refused(&folder.0).1.contains("expected a name without folders"));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for (value, output_type, expected) in [
        (65_520.0, OutputType::F16, Some("element 33 is 65520, expected a number that F16 can hold")),
        (65_519.0, OutputType::F16, None),
        (f32::NAN, OutputType::F32, Some("element 33 is NaN")),
        (f32::MAX, OutputType::BF16, Some("that BF16 can hold")),
        (1e30, OutputType::Q8_0, Some("that Q8_0 can hold")),
        (1e30, OutputType::BF16, None),
    ] {
        let folder = Folder::new();
        let mut tensors = tiny_bert(&folder.0);
        let t =
            tensors.iter_mut().find(|t| t.name.ends_with("0.intermediate.dense.weight")).expect("a tensor");
        t.values[33] = value;
        fs::write(folder.0.join("model.safetensors"), happy_testkit::safetensors(&tensors)).expect("a file");
        let said = try_convert(&folder.0, output_type).err().map(|e| (e.kind(), e.to_string()));
        match (expected, said) {
            (None, None) => {}
            (Some(expected), Some((kind, said))) => {
                assert_eq!(kind, ConvertErrorKind::OutOfRange);
                assert!(
                    said.starts_with("tensor `blk.0.ffn_up.weight`: ") && said.contains(expected),
                    "{said}"
                );
            }
            (expected, said) => panic!("{value}: {expected:?}, {said:?}"),
        }
    }
}

#[test]
fn a_file_appears_when_it_is_complete() {
    let folder = Folder::new();
    tiny_bert(&folder.0);
    let checkpoint = Checkpoint::open(&folder.0).expect("a checkpoint");
    let conversion = Conversion::plan(&checkpoint, &ConvertOptions::default()).expect("a plan");
    let out = folder.0.join("out.gguf");
    let stop = RunOptions { cancelled: &|| true, ..RunOptions::default() };
    let error = conversion.write_file(&out, &stop).expect_err("cancelled");
    assert_eq!(error.kind(), ConvertErrorKind::Cancelled);
    assert!(!out.exists());
    let done = std::sync::atomic::AtomicU64::new(0);
    let progress = |n| done.store(n, Ordering::Relaxed);
    conversion
        .write_file(&out, &RunOptions { progress: &progress, ..RunOptions::default() })
        .expect("a file");
    assert_eq!(done.into_inner(), conversion.elements());
    assert!(GgufFile::read(&out).is_ok());
}
