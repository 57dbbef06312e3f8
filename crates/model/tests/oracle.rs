//! Small models that compute things that no recipe of the conformance corpus has. `oracle/oracle.py` computed their logits, in float64.

mod common;

use common::{Runner, batch, recipes};
use happy_kernels::Kernels;
use happy_model::arch::{ADJACENT, Architecture, Params, decoder, rms};
use happy_model::spec::{Need, NormSpec};
use happy_model::{KvType, LoadError, Loader, ModelSpec};

/// A Llama with a norm of V, which no built-in architecture has in this form.
struct Own;

impl Architecture for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        let norm = rms(params)?;
        let mut spec = decoder(params, norm, ADJACENT)?;
        let v_norm = NormSpec { weighted: false, bias: Need::Never, ..norm };
        spec.each_attention(|a| a.v_norm = Some(v_norm));
        Ok(spec)
    }
}

#[test]
fn models_without_a_recipe_give_the_logits_of_another_program() {
    let models: Vec<serde_json::Value> = serde_json::from_str(include_str!("oracle/oracle.json")).unwrap();
    let mut failed = Vec::new();
    for model in &models {
        let name = model["name"].as_str().unwrap();
        let numbers = |key: &str| {
            let list = model[key].as_array().unwrap();
            list.iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>()
        };
        let (tokens, expected) = (numbers("tokens"), numbers("logits"));
        let tokens: Vec<u32> = tokens.iter().map(|t| *t as u32).collect();
        let kernels = Kernels::detect().unwrap();
        let loaded = Loader::new(&kernels).architectures(&[&Own]).load(&recipes::build(model));
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(e) => {
                failed.push(format!("{name}: {e}"));
                continue;
            }
        };
        let mut r = Runner::of(loaded, kernels, 2, KvType::F32, 4);
        let logits = r.logits(&batch(&tokens, 0, 0)).unwrap();
        let (mut error, mut norm) = (0.0, 0.0);
        for (a, b) in logits[tokens.len() - 1].iter().zip(&expected) {
            error += (f64::from(*a) - b).powi(2);
            norm += b * b;
        }
        let nmse = error / norm;
        if nmse.is_nan() || nmse > 1e-10 {
            failed.push(format!("{name}: error {nmse:.1e}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
