//! Faults are planted and have to be found, by their names; files that are not references are refused.

use happy_engine::verify::{Difference, Part, Reference, ReferenceError};
use happy_engine::{Engine, EngineError, LoadOptions};
use happy_gguf::{GgmlType, GgufFile, GgufSetFile, GgufWriter, Limits, OwnedArray};
use happy_kernels::linear::{Acts, FewKernel, LinearKernel, Panel};
use happy_kernels::{Columns, Kernels};
use happy_tensor::DType;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";

/// A model of two layers whose matrices are Q8_0, the output matrix F16, and the tokens bytes.
struct Tiny {
    template: &'static str,
    add_space_prefix: bool,
    rope_base: f32,
    /// A tensor one bit of which is turned.
    flipped: &'static str,
}

const TINY: Tiny = Tiny { template: TEMPLATE, add_space_prefix: false, rope_base: 10_000.0, flipped: "" };

/// Bytes that look random, the same in every run.
fn noise(seed: u32) -> impl Iterator<Item = u8> {
    (seed..).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
}

impl Tiny {
    fn file(&self) -> GgufFile {
        let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
        tokens.extend((0..256).map(|b| format!("<0x{b:02X}>")));
        tokens.push("\u{2581}".to_owned());
        let mut types = vec![2i32, 3, 3];
        types.extend([6; 256]);
        types.push(1);
        let n = tokens.len();
        let file = GgufWriter::new()
            .kv("general.architecture", "llama")
            .kv("llama.context_length", 512u32)
            .kv("llama.embedding_length", 64u32)
            .kv("llama.block_count", 2u32)
            .kv("llama.feed_forward_length", 96u32)
            .kv("llama.attention.head_count", 4u32)
            .kv("llama.attention.head_count_kv", 2u32)
            .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
            .kv("llama.rope.freq_base", self.rope_base)
            .kv("tokenizer.ggml.model", "llama")
            .kv("tokenizer.ggml.tokens", OwnedArray::strings(tokens))
            .kv("tokenizer.ggml.scores", OwnedArray::packed(vec![0.0f32; n]))
            .kv("tokenizer.ggml.token_type", OwnedArray::packed(types))
            .kv("tokenizer.ggml.add_space_prefix", self.add_space_prefix)
            .kv("tokenizer.chat_template", self.template);
        let mut file = self.tensor(file, "token_embd", &[64, n as u64], GgmlType::Q8_0);
        file = self.tensor(file, "output_norm", &[64], GgmlType::F32);
        file = self.tensor(file, "output", &[64, n as u64], GgmlType::F16);
        for layer in 0..2 {
            let shapes: [(&str, &[u64]); 9] = [
                ("attn_norm", &[64]),
                ("attn_q", &[64, 64]),
                ("attn_k", &[64, 32]),
                ("attn_v", &[64, 32]),
                ("attn_output", &[64, 64]),
                ("ffn_norm", &[64]),
                ("ffn_gate", &[64, 96]),
                ("ffn_up", &[64, 96]),
                ("ffn_down", &[96, 64]),
            ];
            for (name, dims) in shapes {
                let ty = if name.contains("norm") { GgmlType::F32 } else { GgmlType::Q8_0 };
                file = self.tensor(file, &format!("blk.{layer}.{name}"), dims, ty);
            }
        }
        GgufFile::from_shared(Arc::new(file.to_vec().expect("a file")), &Limits::default()).expect("a model")
    }

    fn tensor(
        &self,
        file: GgufWriter<'static>,
        name: &str,
        dims: &[u64],
        ty: GgmlType,
    ) -> GgufWriter<'static> {
        let (n, seed) = (dims.iter().product::<u64>() as usize, name.len() as u32 * 31 + dims[0] as u32);
        let mut noise = noise(seed);
        let mut bytes: Vec<u8> = match ty {
            // a scale of 2^-8, then 32 weights
            GgmlType::Q8_0 => (0..n / 32)
                .flat_map(|_| [0x00, 0x1c].into_iter().chain(noise.by_ref().take(32)).collect::<Vec<_>>())
                .collect(),
            // 1 to 1.98, of either sign, times 2^-5
            GgmlType::F16 => noise.take(n).flat_map(|b| [b, 0x28 | b & 0x80]).collect(),
            _ => noise.take(n).flat_map(|b| (1.0 + f32::from(b) / 512.0).to_le_bytes()).collect(),
        };
        if name == self.flipped {
            bytes[n / 2] ^= 1;
        }
        file.tensor(format!("{name}.weight"), ty, dims, bytes)
    }

    fn engine(&self, kernels: Kernels) -> Engine {
        let options = LoadOptions { threads: Some(2), context: Some(64), ..LoadOptions::default() };
        let files = GgufSetFile::from_parts([("tiny", self.file())]).expect("a whole model");
        Engine::with_kernels(files, "tiny".to_owned(), kernels, &options).expect("a model")
    }
}

/// The kernels of the machine.
fn real() -> &'static Kernels {
    static REAL: OnceLock<Kernels> = OnceLock::new();
    REAL.get_or_init(|| Kernels::detect().expect("kernels"))
}

/// The kernels of the machine, with one for a format replaced.
fn with_linear(dtype: DType, change: impl FnOnce(LinearKernel) -> LinearKernel) -> Kernels {
    let mut kernels = *real();
    kernels.linear[dtype as usize] = Box::leak(Box::new(change(*real().linear(dtype))));
    kernels
}

fn with_ops(change: impl FnOnce(&mut happy_kernels::ops::Ops)) -> Kernels {
    let mut kernels = *real();
    change(&mut kernels.ops);
    kernels
}

fn wrong_gemm(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    (real().linear(DType::Q8_0).gemm)(w, x, y, panel);
    y.row_mut(x.rows - 1)[0] += 1e-3;
}

fn wrong_gemv(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    (real().linear(DType::Q8_0).gemv)(w, x, y);
    y[y.len() - 1] *= 1.001;
}

fn wrong_output(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    (real().linear(DType::F16).gemv)(w, x, y);
    y[0] += 1e-3;
}

fn infinite(_: &[u8], _: Acts<'_>, y: &mut Columns<'_>, _: &mut Panel) {
    (0..y.rows()).for_each(|i| y.row_mut(i).fill(f32::INFINITY));
}

fn reference() -> Reference {
    let reference = TINY.engine(Kernels::scalar()).reference(&mut |_| ControlFlow::Continue(()));
    let text = reference.expect("a reference").to_json().expect("a small file");
    Reference::from_json(text.as_bytes()).expect("what was written")
}

fn difference(engine: &Engine, reference: &Reference) -> Option<Difference> {
    engine.verify(reference, &mut |_| ControlFlow::Continue(())).expect("a result")
}

#[test]
fn the_same_model_is_the_same_on_other_kernels_and_options() {
    let reference = reference();
    assert_eq!((reference.texts(), reference.tensors(), reference.positions()), (13, 21, (96, 16)));
    // outside: token_embd, rope, output_norm, output; in each layer: 13
    assert_eq!(reference.values(), 3 * (4 + 2 * 13) + 1 + 3 + 16);
    assert_eq!(difference(&TINY.engine(*real()), &reference), None);
    let options =
        LoadOptions { threads: Some(1), batch: 8, kv: happy_model::KvType::F32, ..LoadOptions::default() };
    let engine = Engine::new(TINY.file(), "tiny".to_owned(), &options).unwrap();
    assert_eq!(difference(&engine, &reference), None);
    let again = engine.reference(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(again.to_json().unwrap(), reference.to_json().unwrap());
    let cancelled = engine.verify(&reference, &mut |share| match share < 0.6 {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    });
    assert!(matches!(cancelled, Err(EngineError::Cancelled)));
}

#[test]
fn planted_faults_are_found_and_named() {
    let reference = reference();
    let isa = real().isa.to_string();
    let q8 = real().linear(DType::Q8_0);
    let model = |tiny: Tiny| tiny.engine(*real());
    let linear = |change: fn(LinearKernel) -> LinearKernel| TINY.engine(with_linear(DType::Q8_0, change));
    let ops = |change: fn(&mut happy_kernels::ops::Ops)| TINY.engine(with_ops(change));
    let f16 = |kernel| LinearKernel { gemv: wrong_output, ..kernel };
    let few = FewKernel {
        name: "few_planted",
        min_tokens: 2,
        max_tokens: 3,
        multiply: |_, x, y| (0..x.rows).for_each(|t| y.row_mut(t).fill(0.5)),
    };
    let cases = [
        (model(Tiny { add_space_prefix: true, ..TINY }), Part::Tokenizer, "words", None),
        (
            model(Tiny { template: "{{ messages[0].content }}", ..TINY }),
            Part::Template,
            "tokenizer.chat_template, question",
            None,
        ),
        (
            model(Tiny {
                template: "{# other #}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}",
                ..TINY
            }),
            Part::Template,
            "tokenizer.chat_template",
            None,
        ),
        (model(Tiny { flipped: "blk.1.ffn_down", ..TINY }), Part::Weights, "blk.1.ffn_down.weight", None),
        (model(Tiny { flipped: "blk.0.attn_norm", ..TINY }), Part::Weights, "blk.0.attn_norm.weight", None),
        (model(Tiny { rope_base: 10_001.0, ..TINY }), Part::Layer, "rope", Some(&*isa)),
        (
            linear(|kernel| LinearKernel { gemm: wrong_gemm, ..kernel }),
            Part::Layer,
            "blk.0.attn_q",
            Some(q8.gemm_name),
        ),
        (
            linear(|kernel| LinearKernel { gemv: wrong_gemv, ..kernel }),
            Part::Layer,
            "blk.0.attn_q",
            Some(q8.gemv_name),
        ),
        (
            TINY.engine(with_linear(DType::Q8_0, |kernel| LinearKernel { few: Some(few), ..kernel })),
            Part::Layer,
            "blk.0.attn_q",
            Some("few_planted"),
        ),
        (
            linear(|kernel| LinearKernel { gemm: infinite, ..kernel }),
            Part::Layer,
            "blk.0.attn_q",
            Some(q8.gemm_name),
        ),
        (
            ops(|ops| ops.rms_norm = |x, w, eps, y| (real().ops.rms_norm)(x, w, eps * 1.01, y)),
            Part::Layer,
            "blk.0.attn_norm",
            Some(&*isa),
        ),
        (
            ops(|ops| {
                ops.quantize = |kind, x, q, d, sums| {
                    let ok = (real().ops.quantize)(kind, x, q, d, sums);
                    q[0] = q[0].wrapping_neg();
                    ok
                }
            }),
            Part::Layer,
            "blk.0.attn_q",
            Some(q8.gemm_name),
        ),
        (
            ops(|ops| {
                ops.rope = |x, dim, angles, pairing| {
                    (real().ops.rope)(x, dim, angles, pairing);
                    x[0] = -x[0];
                }
            }),
            Part::Layer,
            "blk.0.attn_q_rope",
            Some(&*isa),
        ),
        // keys and values are rounded as the cache keeps them: attention sees it first
        (
            ops(|ops| {
                ops.to_f16 = |x, y| {
                    (real().ops.to_f16)(x, y);
                    y[0] ^= 1;
                }
            }),
            Part::Layer,
            "blk.0.attn",
            Some(&*isa),
        ),
        (
            ops(|ops| {
                ops.add = |x, y| {
                    (real().ops.add)(x, y);
                    x[7] = 0.0;
                }
            }),
            Part::Layer,
            "blk.0.ffn_input",
            Some(&*isa),
        ),
        (
            ops(|ops| {
                ops.glu = |act, gate, up| {
                    (real().ops.glu)(act, gate, up);
                    gate[0] = 0.125;
                }
            }),
            Part::Layer,
            "blk.0.ffn_up",
            Some(q8.gemm_name),
        ),
        (
            TINY.engine(with_linear(DType::F16, f16)),
            Part::Logits,
            "output",
            Some(real().linear(DType::F16).gemv_name),
        ),
    ];
    let mut wrong = Vec::new();
    for (engine, part, name, kernel) in cases {
        let found = difference(&engine, &reference).map(|found| (found.part, found.name, found.kernel));
        let expected = Some((part, name.to_owned(), kernel.map(str::to_owned)));
        if found != expected {
            wrong.push(format!("{found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_no_references_are_refused() {
    let text = reference().to_json().unwrap();
    let said =
        |text: &str| Reference::from_json(text.as_bytes()).map(drop).map_err(|error| error.to_string());
    assert_eq!(said(&text), Ok(()));
    // Cut anywhere, it is an error and no panic.
    for cut in (0..text.len() - 2).step_by(97).filter(|cut| text.is_char_boundary(*cut)) {
        assert!(said(&text[..cut]).is_err(), "{cut}");
    }
    let changes = [
        ("\"happy-verify\"", "\"other\"", "is not the object of a verification file"),
        ("\"version\":1", "\"version\":2", "version 2, expected 1"),
        ("\"numerics\":", "\"numerics\":9", "of the numerics"),
        ("\"prompt\":[", "\"prompt\":[-1,", "`prompt of the file` is not a list of token ids"),
        ("\"generated\":[", "\"generated\":[0,", "`generated of the file` is not"),
        ("\"key\":", "\"keys\":", "`key of item 1 of templates of the file` is not there"),
        ("\"steps\":[", "\"steps\":[[\"a\",\"0\"],", "`item 1 of steps of the file` is not a hash"),
        ("\"steps\":[", "\"steps\":[[],", "`item 1 of steps of the file` is not a name"),
        ("\"weights\":[", "\"weights\":[7,", "`item 1 of weights of the file` is not an array"),
        ("\"logits\":[", "\"logits\":[[1e9,\"\"],", "is not a number"),
    ];
    for (from, to, expected) in changes {
        assert!(text.contains(from), "{from}");
        let message = said(&text.replacen(from, to, 1)).expect_err(from);
        assert!(message.contains(expected), "{message}, expected {expected}");
    }
    let deep = "[".repeat(100_000);
    assert!(said(&deep).unwrap_err().contains("JSON"));
    let large = vec![b' '; Reference::MAX_BYTES + 1];
    assert!(matches!(Reference::from_json(&large), Err(ReferenceError::Size { .. })));
    assert!(matches!(Reference::from_json(&[0xff]), Err(ReferenceError::Json(_))));
    // What fits the format may still not fit the model.
    let verify = |from: &str, to: &str| {
        let reference = Reference::from_json(text.replacen(from, to, 1).as_bytes()).unwrap();
        TINY.engine(*real()).verify(&reference, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
    };
    assert!(verify("\"llama\"", "\"qwen2\"").contains("architecture `qwen2`, expected `llama`"));
    assert!(verify("\"prompt\":[1,", "\"prompt\":[4000000000,").contains("token id 4000000000"));
    assert!(verify("\"blk.0.attn_q\"", "\"blk.0.other\"").contains("other steps"));
}
