//! A published embedding model, converted: its vectors are near those of an independent program in f64, of each type as near
//! as docs/embeddings.md says. `fixtures/minilm.txt` has the texts that lose most of 200.
//!
//! The weights are where `cargo xtask fetch-models` puts them, or in `HAPPY_MODELS`; release builds only.

mod support;

use std::process::Command;
use support::{Folder, output};

const CONFIG: &str = r#"{"architectures":["BertModel"],"hidden_act":"gelu","hidden_size":384,"intermediate_size":1536,"layer_norm_eps":1e-12,
    "max_position_embeddings":512,"num_attention_heads":12,"num_hidden_layers":6,"pad_token_id":0,
    "position_embedding_type":"absolute","type_vocab_size":2,"vocab_size":30522}"#;
const POOLING: &str = r#"{"word_embedding_dimension":384,"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true,
    "pooling_mode_max_tokens":false,"pooling_mode_mean_sqrt_len_tokens":false}"#;
const MODULES: &str = r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
    {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#;

fn succeed(args: &[&str]) {
    let done = output(Command::new(env!("CARGO_BIN_EXE_happy")).args(args), b"");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn each_type_keeps_the_vectors_that_the_documentation_says() {
    if cfg!(debug_assertions) {
        return happy_testkit::skip("real models are tested in release builds");
    }
    let Some(weights) = happy_testkit::model("all-MiniLM-L6-v2.safetensors") else { return };
    let fixture = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/minilm.txt"));
    let fixture = fixture.expect("fixtures/minilm.txt");
    let lines: Vec<&str> = fixture.lines().filter(|line| !line.starts_with('#')).collect();
    let texts: Vec<&[&str]> = lines.chunks_exact(3).collect();
    assert_eq!(texts.len(), 12);

    let folder = Folder::new();
    let model = folder.path("minilm");
    std::fs::create_dir_all(format!("{model}/1_Pooling")).expect("a folder");
    for (name, text) in
        [("config.json", CONFIG), ("modules.json", MODULES), ("1_Pooling/config.json", POOLING)]
    {
        folder.file(&format!("minilm/{name}"), text);
    }
    // The ids are given: of the vocabulary only the size matters.
    let special = [(0, "[PAD]"), (100, "[UNK]"), (101, "[CLS]"), (102, "[SEP]"), (103, "[MASK]")];
    let token = |i: usize| {
        let special = special.iter().find(|(id, _)| *id == i);
        special.map_or_else(|| format!("token{i}\n"), |(_, name)| format!("{name}\n"))
    };
    folder.file("minilm/vocab.txt", (0..30_522).map(token).collect::<String>());
    std::fs::copy(weights, format!("{model}/model.safetensors")).expect("the weights");
    let cases: String = texts.iter().map(|text| format!("{}\n", text[1])).collect();
    let cases = folder.file("cases.txt", cases);
    let (file, out) = (folder.path("minilm.gguf"), folder.path("vectors.bin"));
    for (kind, least) in [("f32", 0.999_999_999), ("f16", 0.999_999), ("q8_0", 0.9994)] {
        succeed(&["convert", "--type", kind, "--force", "-o", &file, &model]);
        succeed(&["embed", "-m", &file, "--tokens", &cases, "--out", &out]);
        let bytes = std::fs::read(&out).expect("vectors");
        let vectors = floats(&bytes[8..]);
        assert_eq!(vectors.len(), texts.len() * 384);
        for (vector, text) in vectors.chunks_exact(384).zip(&texts) {
            let expected = floats(&happy_testkit::base64(text[2]).expect("base64"));
            let found = cosine(vector, &expected);
            assert!(
                found >= least,
                "{kind}: the cosine of {:?} is {found}, expected at least {least}",
                text[0]
            );
        }
    }
}
