//! Draft heads: their logits are those of another program, with the same bits in any batch, and what they guessed can be taken back.

mod common;

use std::sync::atomic::AtomicBool;

use common::{Runner, batch, parse, plain, recipes, small_llama};
use happy_gguf::{GgufFile, GgufWriter};
use happy_kernels::{Ctx, Isa, Kernels};
use happy_model::arch::{Architecture, Params, find};
use happy_model::{BatchError, ForwardError, KvType, LoadError, LoadErrorKind, Loader, Model, ModelSpec};
use serde_json::Value;

/// Returns what `oracle/draft_head.py` computed in float64.
fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("oracle/draft_head.json")).unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn file(name: &str) -> GgufFile {
    recipes::build(&recipes::named(&[name])[0])
}

fn runner(file: &GgufFile, kernels: Kernels, threads: usize, head: bool) -> Runner {
    let loader = Loader::new(&kernels);
    let loader = if head { loader.draft_head() } else { loader };
    let model = loader.load(file).unwrap();
    Runner::of(model, kernels, threads, KvType::F32, 8)
}

/// A row's logits and hidden state.
type Row = (Vec<f32>, Vec<f32>);

/// Runs the next tokens of sequence 0, each with the hidden state before it if the model is a head.
fn run(r: &mut Runner, tokens: &[u32], hidden: &[f32]) -> Vec<Row> {
    let b = batch(tokens, r.kv.len(0) as u32, 0);
    let (cx, cancel) = (Ctx::new(&r.pool, &r.kernels), AtomicBool::new(false));
    let out = r.model.forward_after(cx, (&b, hidden), &mut r.kv, &mut r.scratch, &cancel).unwrap();
    (0..tokens.len()).map(|i| (out.logits(i).unwrap().to_vec(), out.hidden(i).unwrap().to_vec())).collect()
}

/// Returns the hidden states that belong to the tokens of a text: that of the token before each, and zeros for the first.
fn before(rows: &[Row]) -> Vec<f32> {
    let zeros = vec![0.0; rows[0].1.len()];
    let states = rows.iter().map(|(_, hidden)| hidden);
    std::iter::once(&zeros).chain(states).take(rows.len()).flatten().copied().collect()
}

fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    best.0 as u32
}

#[test]
fn logits_are_those_of_another_program() {
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let n = case["n_given"].as_u64().unwrap() as usize;
        let tokens: Vec<u32> = numbers(&case["tokens"]).iter().map(|t| *t as u32).collect();
        let file = file(name);
        let [mut model, mut head] =
            [false, true].map(|head| runner(&file, Kernels::detect().unwrap(), 2, head));
        let rows = run(&mut model, &tokens[..n], &[]);
        let mut found = run(&mut head, &tokens[..n], &before(&rows));
        // The first guess has the model's last hidden state, the others the head's.
        let (mut next, mut state) =
            rows.last().map(|(logits, hidden)| (best(logits), hidden.clone())).unwrap();
        for token in &tokens[n..] {
            assert_eq!(next, *token, "{name}: a guess");
            found.extend(run(&mut head, &[*token], &state));
            (next, state) = found.last().map(|(logits, hidden)| (best(logits), hidden.clone())).unwrap();
        }
        let kept = case["rows"].as_array().unwrap();
        assert_eq!(kept.len(), 7, "{name}");
        for row in kept {
            let (at, expected) = (row[0].as_u64().unwrap() as usize, numbers(&row[1]));
            let (mut error, mut norm) = (0.0, 0.0);
            for (a, b) in found[at].0.iter().zip(&expected) {
                error += (f64::from(*a) - b).powi(2);
                norm += b * b;
            }
            assert!(
                expected.len() == head.model.n_vocab() && error / norm <= 1e-10,
                "{name}, row {at}: {}",
                error / norm
            );
        }
    }
}

/// With every instruction set, any threads and pieces, after guesses that were taken back, and beside other sequences.
#[test]
fn bits_do_not_depend_on_the_batch() {
    for name in ["qwen35-array", "qwen35moe-nextn"] {
        let file = file(name);
        let tokens: Vec<u32> = (0..24).map(|i| (i * 37 + 5) % 128).collect();
        let rows = run(&mut runner(&file, Kernels::detect().unwrap(), 2, false), &tokens, &[]);
        let hidden = before(&rows);
        let width = rows[0].1.len();
        let expected = run(&mut runner(&file, Kernels::scalar(), 1, true), &tokens, &hidden);
        for (isa, threads) in Isa::ALL.into_iter().zip([1, 3].into_iter().cycle()) {
            let Ok(kernels) = Kernels::with_isa(isa) else { continue };
            let mut head = runner(&file, kernels, threads, true);
            let mut found = Vec::new();
            for (tokens, hidden) in tokens.chunks(7).zip(hidden.chunks(7 * width)) {
                found.extend(run(&mut head, tokens, hidden));
                // Two guesses, one of which is taken back at once.
                let (at, pages) = (head.kv.len(0), head.kv.free_pages());
                let state = found.last().unwrap().1.clone();
                let guess = run(&mut head, &[9], &state);
                run(&mut head, &[11], &guess[0].1);
                head.kv.truncate(0, at + 1).unwrap();
                assert_eq!(head.kv.truncate(0, at).unwrap(), at);
                assert_eq!((head.kv.len(0), head.kv.free_pages()), (at, pages), "{name}, {isa:?}");
            }
            assert!(found == expected, "{name}, {isa:?}, {threads} threads");
        }
    }
}

#[test]
fn a_file_without_a_head_is_refused() {
    let kernels = Kernels::scalar();
    let fails = |file: &GgufFile, part: &str| {
        let error = Loader::new(&kernels).draft_head().load(file).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.kind(), LoadErrorKind::Unsupported, "{error}");
    };
    fails(
        &small_llama(&plain),
        "a draft head of architecture llama: its file has no layer that predicts further tokens",
    );
    fails(&file("qwen35"), "a draft head of architecture qwen35: its file has no layer");
    let with = |architecture: &str, n: u32| {
        let key = format!("{architecture}.nextn_predict_layers");
        parse(GgufWriter::new().kv("general.architecture", architecture).kv(key, n).to_vec().unwrap())
    };
    fails(&with("glm4moe", 1), "a draft head of architecture glm4moe: this library has none for it");
    fails(&with("qwen35", 2), "several layers that predict further tokens, expected 1");
    // A drafter for Gemma 4, which would read the keys and values of another model.
    fails(&with("gemma4-assistant", 1), "architecture `gemma4-assistant`");
}

/// A caller's own architecture, whose head has a layer too many, or comes after too many.
struct Wrong(usize, usize);

impl Architecture for Wrong {
    fn name(&self) -> &'static str {
        "qwen35"
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        find("qwen35").unwrap().spec(params)
    }

    fn draft_head(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        let mut spec = find("qwen35").unwrap().draft_head(params)?;
        spec.layers = vec![spec.layers[0]; self.0];
        spec.draft_head.as_mut().unwrap().block = self.1;
        Ok(spec)
    }
}

#[test]
fn wrong_heads_and_wrong_batches_are_errors() {
    let kernels = Kernels::scalar();
    let recipe = &recipes::named(&["qwen35-nextn"])[0];
    let whole = recipes::build(recipe);
    for (layers, block, part) in
        [(2, 4, "a draft head of 2 layers"), (1, usize::MAX, "from block 18446744073709551615 on")]
    {
        let error = Loader::new(&kernels)
            .architectures(&[&Wrong(layers, block)])
            .draft_head()
            .load(&whole)
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    for missing in ["nextn.eh_proj", "nextn.enorm", "nextn.hnorm", "attn_q"] {
        let (mut recipe, name) = (recipe.clone(), format!("blk.4.{missing}.weight"));
        recipe["tensors"].as_array_mut().unwrap().retain(|t| t["name"] != *name);
        let error = Loader::new(&kernels).draft_head().load(&recipes::build(&recipe)).unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (LoadErrorKind::MissingTensor, Some(&*name)));
    }
    // A tensor of the head's layer that nothing uses, unlike one of a layer of the model.
    for (block, fails) in [(4, true), (3, false)] {
        let mut recipe = recipe.clone();
        let extra = serde_json::json!({"name": format!("blk.{block}.ffn_mystery.weight"), "shape": [32, 2], "type": "F32",
            "fill": ["affine", 0.0, 1.0]});
        recipe["tensors"].as_array_mut().unwrap().push(extra);
        let loaded = Loader::new(&kernels).draft_head().load(&recipes::build(&recipe));
        assert_eq!(loaded.is_err_and(|e| matches!(e, LoadError::ExtraTensor { .. })), fails, "block {block}");
    }

    let mut head = runner(&whole, Kernels::scalar(), 1, true);
    let n_embd = head.model.n_embd();
    let wrong = |found, expected| Err(ForwardError::Batch(BatchError::Hidden { found, expected }));
    assert_eq!(head.logits(&batch(&[1, 2], 0, 0)), wrong(0, 2 * n_embd));
    let run = |r: &mut Runner, hidden: &[f32]| {
        let (b, cx) = (batch(&[1, 2], 0, 0), Ctx::new(&r.pool, &r.kernels));
        let cancel = AtomicBool::new(false);
        let out = r.model.forward_after(cx, (&b, hidden), &mut r.kv, &mut r.scratch, &cancel);
        out.map(|_| Vec::<Vec<f32>>::new())
    };
    assert_eq!(run(&mut head, &vec![0.0; n_embd]), wrong(n_embd, 2 * n_embd));
    let mut model = runner(&whole, Kernels::scalar(), 1, false);
    assert_eq!(run(&mut model, &vec![0.0; 2 * n_embd]), wrong(2 * n_embd, 0));
    // A value that is not finite, and nothing changed.
    let mut hidden = vec![0.5; 2 * n_embd];
    hidden[n_embd + 3] = f32::NAN;
    assert_eq!(run(&mut head, &hidden), Err(ForwardError::NonFinite { layer: 0 }));
    assert_eq!(head.kv.len(0), 0);
    assert!(run(&mut head, &vec![0.5; 2 * n_embd]).is_ok());
}

/// A model loads as before where a file has a head, and doesn't name it as its own.
#[test]
fn the_model_has_no_part_of_its_head() {
    let kernels = Kernels::scalar();
    let file = file("qwen35-array");
    let (model, head) =
        (Model::load(&file, &kernels).unwrap(), Loader::new(&kernels).draft_head().load(&file).unwrap());
    assert_eq!((model.n_layers(), model.spec().draft_head), (5, None));
    assert_eq!((head.n_layers(), head.spec().first_block()), (1, 5));
    let unused = |name: &str| model.unused_tensors().iter().any(|unused| unused == name);
    assert!(
        unused("blk.5.nextn.eh_proj.weight")
            && unused("blk.5.attn_q.weight")
            && !unused("blk.4.attn_gate.weight")
    );
    assert_eq!(model.unused_reason("blk.5.attn_q.weight"), "blocks that predict further tokens");
    let unused = |name: &str| head.unused_tensors().iter().any(|unused| unused == name);
    assert!(unused("blk.0.attn_q.weight") && !unused("blk.5.attn_q.weight"));
    assert_eq!(head.unused_reason("blk.0.attn_q.weight"), "layers of the model, not of its draft head");
    assert!(unused("token_embd.weight") && unused("output.weight"), "the head has its own");
    assert!(head.bytes_per_token() < model.bytes_per_token());
}
