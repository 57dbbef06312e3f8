//! Corpus `lora`: adapters for models of the corpus `architectures`, and the logits that they must give. Each case is
//! computed twice, as in that corpus. Scales of 0 must give the bits of the model alone.

use crate::architectures::{PIECE, bits, error_of};
use crate::data;
use crate::recipe::{Entry, Recipe, Tensor, build, logits};
use crate::report::Report;
use crate::runner::Runner;
use happy_gguf::GgufFile;
use happy_kernels::Kernels;
use happy_model::KvType;
use happy_testkit::{Corpus, Files};
use serde::Deserialize;

/// A file of the corpus.
#[derive(Deserialize)]
struct Lora {
    name: String,
    /// The model's recipe.
    base: String,
    adapters: Vec<Adapter>,
    tokens: Vec<u32>,
    n_vocab: usize,
    /// The positions that have logits, ascending; all of them if it is absent.
    positions: Option<Vec<usize>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Adapter {
    seed: u64,
    metadata: Vec<Entry>,
    tensors: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Case {
    scales: Vec<f32>,
    logits_f32le_base64: String,
}

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let (files, models) = (corpus.open("lora")?, corpus.open("architectures")?);
    let mut worst = (0.0, String::new());
    for path in files.list("")?.iter().filter(|path| path.ends_with(".json")) {
        let lora: Lora = data::json(&files, path)?;
        let prepared = Prepared::new(&lora, &models);
        // Each case, and the model without its adapters.
        report.holds(lora.cases.len() + 1);
        for case in &lora.cases {
            let name = format!("{} {:?}", lora.name, case.scales);
            report.case(&name, || {
                let prepared = prepared.as_ref().map_err(String::clone);
                let nmse = prepared.and_then(|prepared| prepared.judge(&lora, case));
                let found = nmse.map(|nmse| {
                    if nmse >= worst.0 {
                        worst = (nmse, name.clone());
                    }
                });
                found.into()
            });
        }
        report.case(&format!("{} without", lora.name), || {
            let prepared = prepared.as_ref().map_err(String::clone);
            prepared.and_then(|prepared| prepared.without(&lora)).into()
        });
    }
    report.notes.push(format!("greatest error of those that passed: {:.1e} ({})", worst.0, worst.1));
    Ok(())
}

/// The files of a model and of its adapters.
struct Prepared {
    model: GgufFile,
    adapters: Vec<GgufFile>,
}

impl Prepared {
    fn new(lora: &Lora, models: &Files) -> Result<Self, String> {
        let base: Recipe = data::json(models, &format!("{}.json", lora.base))?;
        let adapters = lora.adapters.iter().map(|a| build(a.seed, &a.metadata, &a.tensors));
        Ok(Self { model: base.build()?, adapters: adapters.collect::<Result<_, _>>()? })
    }

    /// Returns the logits of all tokens, computed in one piece with the best kernels, and in small pieces with scalar
    /// code.
    fn both(&self, lora: &Lora, scales: Option<&[f32]>) -> Result<[Vec<Vec<f32>>; 2], String> {
        let n = lora.tokens.len();
        let mut best = Runner::best(&self.model, KvType::F32, n)?;
        let mut scalar = Runner::on_all_cores(&self.model, Kernels::scalar(), KvType::F32, n)?;
        if let Some(scales) = scales {
            best.use_adapters(&self.adapters, scales)?;
            scalar.use_adapters(&self.adapters, scales)?;
        }
        Ok([best.rows(&lora.tokens, n)?, scalar.rows(&lora.tokens, PIECE)?])
    }

    fn judge(&self, lora: &Lora, case: &Case) -> Result<f64, String> {
        let n = lora.tokens.len();
        let theirs = logits(&case.logits_f32le_base64, lora.positions.as_deref(), n, lora.n_vocab)?;
        let [ours, pieces] = self.both(lora, Some(&case.scales))?;
        let nmse = error_of(&ours, &theirs)?;
        if bits(&ours) != bits(&pieces) {
            return Err("pieces of 7 tokens and scalar code give other bits".into());
        }
        Ok(nmse)
    }

    /// Checks that adapters with scales of 0 change nothing.
    fn without(&self, lora: &Lora) -> Result<(), String> {
        let zeros = vec![0.0; self.adapters.len()];
        let [alone, _] = self.both(lora, None)?;
        let [with, pieces] = self.both(lora, Some(&zeros))?;
        if bits(&alone) != bits(&with) || bits(&alone) != bits(&pieces) {
            return Err("scales of 0 give other bits than the model alone".into());
        }
        Ok(())
    }
}
