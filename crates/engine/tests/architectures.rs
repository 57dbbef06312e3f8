//! Architectures that a program brings.

mod common;

use common::{Folder, TEMPLATE, file_bytes};
use happy_engine::model::arch::{ADJACENT, Architecture, Params, decoder, rms};
use happy_engine::model::{Architectures, LoadError, ModelSpec};
use happy_engine::{Engine, LoadOptions};

/// Llama, with logits of twice the size.
struct LoudLlama;

impl Architecture for LoudLlama {
    fn name(&self) -> &'static str {
        "llama"
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        let mut spec = decoder(params, rms(params)?, ADJACENT)?;
        spec.logit_scale = Some(2.0);
        Ok(spec)
    }
}

#[test]
fn an_engine_runs_an_architecture_of_the_programs_own() {
    let folder = Folder::new("architectures");
    let path = folder.file("model.gguf", &file_bytes(TEMPLATE, &[]));
    let logits = |architectures| {
        let options = LoadOptions { architectures, threads: Some(1), ..LoadOptions::default() };
        let engine = Engine::open(&path, &options).expect("a model");
        engine.context().expect("memory").prefill(0, &[1, 80, 81]).expect("logits").to_vec()
    };
    let (plain, loud) = (logits(Architectures::default()), logits(Architectures(&[&LoudLlama])));
    assert!(plain.iter().any(|x| *x != 0.0));
    let doubled: Vec<f32> = plain.iter().map(|x| 2.0 * x).collect();
    assert_eq!(loud, doubled);
}
