//! Architectures that the caller provides: they load like built-in ones, and an impossible specification is an error.

mod common;

use common::{Runner, batch, bits, parse, plain, q4_0, small_llama, tokens};
use happy_gguf::{GgufFile, GgufWriter};
use happy_kernels::Kernels;
use happy_model::arch::{ADJACENT, Architecture, Params, decoder, find, mixture, rms};
use happy_model::spec::{
    AltUpSpec, AttentionGate, AttentionSpec, ExpertGroups, FfnInput, FfnKind, FfnSpec, FusedRows, GateWidth,
    GroupExpertsSpec, LatentForm, LatentSpec, LaurelSpec, Need, NormKind, PerLayerSpec, QkNormKind,
    QkNormSpec, RecurrentKind, RecurrentSpec, RopeParams, RouterInput, Rwkv7Spec,
};
use happy_model::{KvType, LoadError, LoadErrorKind, Loader, Model, ModelSpec};

/// Returns the small Llama with the architecture name `own`, also in its keys.
fn renamed(file: &GgufFile) -> GgufFile {
    let view = file.view();
    let mut w = GgufWriter::new().kv("general.architecture", "own");
    for (key, value) in view.metadata().iter() {
        if let Some(key) = key.strip_prefix("llama.") {
            w = w.kv(format!("own.{key}"), value);
        }
    }
    for t in view.tensors() {
        w = w.tensor(t.name, t.ty, &t.dims, view.data(&t).unwrap());
    }
    parse(w.to_vec().unwrap())
}

/// An architecture that changes the specification of a Llama as a test wants it.
struct Own<F>(F);

impl<F: Fn(&Params<'_>, &mut ModelSpec) -> Result<(), LoadError> + Sync> Architecture for Own<F> {
    fn name(&self) -> &'static str {
        "own"
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        let mut spec = decoder(params, rms(params)?, ADJACENT)?;
        (self.0)(params, &mut spec)?;
        Ok(spec)
    }
}

fn own(
    change: impl Fn(&Params<'_>, &mut ModelSpec) -> Result<(), LoadError> + Sync,
    file: &GgufFile,
) -> Result<Model, LoadError> {
    Loader::new(&Kernels::scalar()).architectures(&[&Own(change)]).load(file)
}

/// Returns the logits of a few tokens.
fn logits(model: Model) -> Vec<Vec<u32>> {
    let mut r = Runner::of(model, Kernels::scalar(), 2, KvType::F32, 4);
    bits(&r.logits(&batch(&tokens(9, 1), 0, 0)).unwrap())
}

#[test]
fn an_architecture_of_the_caller_runs() {
    for edit in [&plain as common::Edit<'static>, &q4_0] {
        let llama = small_llama(edit);
        let file = renamed(&llama);
        let unknown = Model::load(&file, &Kernels::scalar()).unwrap_err();
        assert_eq!(unknown.kind(), LoadErrorKind::Unsupported);
        assert!(unknown.to_string().contains("architecture `own`, expected one of llama,"), "{unknown}");

        let expected = logits(Model::load(&llama, &Kernels::scalar()).unwrap());
        let same = own(|_, _| Ok(()), &file).unwrap();
        assert_eq!(same.spec().architecture, "own");
        assert_eq!(logits(same), expected, "a llama under another name");

        let louder = own(
            |_, spec| {
                spec.logit_scale = Some(2.0);
                Ok(())
            },
            &file,
        );
        let halved: Vec<Vec<u32>> = logits(louder.unwrap())
            .iter()
            .map(|row| row.iter().map(|x| (f32::from_bits(*x) / 2.0).to_bits()).collect())
            .collect();
        assert_eq!(halved, expected, "logits times 2");
    }
}

/// A caller can use a built-in architecture under another name, or replace one by its own.
#[test]
fn built_in_architectures_can_be_varied_and_replaced() {
    struct Named(&'static str);
    impl Architecture for Named {
        fn name(&self) -> &'static str {
            self.0
        }
        fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
            let mut spec = find("llama").expect("a built-in architecture").spec(params)?;
            spec.n_ctx_train = 77;
            Ok(spec)
        }
    }
    let (kernels, llama) = (Kernels::scalar(), small_llama(&plain));
    let loader = Loader::new(&kernels);
    for (name, file) in [("own", &renamed(&llama)), ("llama", &llama)] {
        let named = Named(name);
        let list: [&dyn Architecture; 1] = [&named];
        let loader = loader.architectures(&list);
        assert_eq!(loader.outline(&file.view().into()).unwrap().spec().n_ctx_train, 77, "{name}");
        assert_eq!(loader.load(file).unwrap().n_ctx_train(), 77, "{name}");
    }
    assert_eq!(loader.load(&llama).unwrap().n_ctx_train(), 512);
}

/// A key that changes the result is refused if the architecture does not read it.
#[test]
fn keys_that_change_the_result_must_be_read() {
    struct Reads(bool);
    impl Architecture for Reads {
        fn name(&self) -> &'static str {
            "llama"
        }
        fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
            if self.0 {
                params.opt_u32("leading_dense_block_count")?;
            }
            find("llama").expect("a built-in architecture").spec(params)
        }
    }
    let base = small_llama(&plain);
    let view = base.view();
    let mut w = GgufWriter::new().kv("llama.leading_dense_block_count", 1u32);
    for (key, value) in view.metadata().iter() {
        w = w.kv(key, value);
    }
    for t in view.tensors() {
        w = w.tensor(t.name, t.ty, &t.dims, view.data(&t).unwrap());
    }
    let file = parse(w.to_vec().unwrap());
    let load =
        |reads| Loader::new(&Kernels::scalar()).architectures(&[&Reads(reads)]).load(&file).map(|_| ());
    assert_eq!(load(true), Ok(()));
    let error = load(false).unwrap_err();
    assert_eq!(error.to_string(), "unsupported: metadata key llama.leading_dense_block_count = u32 1");
    assert_eq!(error.key(), Some("llama.leading_dense_block_count"));
}

type Change = fn(&mut ModelSpec);

/// Returns the attention of a layer, which must have one.
fn attention(spec: &mut ModelSpec, layer: usize) -> &mut AttentionSpec {
    spec.layers[layer].attention.as_mut().expect("attention")
}

/// Returns the feed-forward half of a layer, which must have one.
fn ffn(spec: &mut ModelSpec, layer: usize) -> &mut FfnSpec {
    spec.layers[layer].ffn.as_mut().expect("a feed-forward half")
}

/// If these were not refused, each would divide by 0, index out of bounds or ask for endless memory.
#[test]
fn an_impossible_specification_is_an_error() {
    fn moe(spec: &mut ModelSpec, n_experts: usize, n_used: usize) {
        let FfnKind::Dense(dense) = ffn(spec, 0).kind else { return };
        ffn(spec, 0).kind = FfnKind::Moe(happy_model::spec::MoeSpec {
            n_experts,
            n_used,
            n_ff: dense.n_ff,
            router_input: RouterInput::Block,
            gating: happy_model::spec::Gating::Softmax,
            choice_bias: Need::Never,
            groups: None,
            normalize: true,
            weight_scale: 1.0,
            weigh_input: false,
            activation: dense.activation,
            gated: true,
            bias: dense.bias,
            post_norm: None,
            shared: None,
            of_groups: None,
        });
    }
    fn groups(spec: &mut ModelSpec, n_groups: usize, n_used: usize) {
        moe(spec, 4, 3);
        if let FfnKind::Moe(moe) = &mut ffn(spec, 0).kind {
            moe.groups = Some(ExpertGroups { n_groups, n_used });
        }
    }
    let cases: &[(&str, Change)] = &[
        ("keys and values of layer 0, expected those of an earlier layer", |s| {
            attention(s, 0).kv_from = Some(0)
        }),
        ("keys and values of layer 9", |s| attention(s, 1).kv_from = Some(9)),
        ("expected those of an earlier layer that has its own", |s| {
            attention(s, 1).kv_from = Some(0);
            attention(s, 0).head_dim_v /= 2;
        }),
        ("that is K of", |s| {
            attention(s, 0).v_is_k = true;
            attention(s, 0).head_dim_v /= 2;
        }),
        ("per-layer embeddings of 0 values", |s| {
            s.per_layer = Some(PerLayerSpec { width: 0, norm: s.output_norm });
        }),
        ("per-layer embeddings of", |s| {
            s.per_layer = Some(PerLayerSpec { width: usize::MAX, norm: s.output_norm });
        }),
        ("17 residual streams", |s| s.altup = Some(AltUpSpec { n_streams: 17, norm: s.output_norm })),
        ("a matrix of rank 0", |s| s.layers[1].laurel = Some(LaurelSpec { rank: 0, norm: s.output_norm })),
        ("latent attention whose cache has", |s| {
            let norm = s.output_norm;
            let latent = LatentSpec {
                q_rank: None,
                kv_rank: 32,
                head_dim_q: 32,
                n_rot: 16,
                head_dim_out: 16,
                norm,
                form: LatentForm::Absorbed,
            };
            attention(s, 0).latent = Some(latent);
        }),
        ("4 experts with a small one of width 16 for each 3", |s| {
            moe(s, 4, 2);
            if let FfnKind::Moe(moe) = &mut ffn(s, 0).kind {
                moe.of_groups = Some(GroupExpertsSpec { n_ff: 16, group: 3, scale: 1.0 });
            }
        }),
        ("divisors of the activations of a gated block", |s| {
            if let FfnKind::Dense(dense) = &mut ffn(s, 1).kind {
                dense.divisors = Need::Optional;
            }
        }),
        ("expected a norm before each half", |s| {
            s.normed_residual = Some(2.0);
            attention(s, 1).norm = None;
        }),
        ("a time mix that reads the values of an earlier one", |s| {
            let mix = Rwkv7Spec {
                n_heads: 4,
                head_size: s.n_embd / 4,
                decay_rank: 8,
                rate_rank: 8,
                value_rank: Some(8),
                gate_rank: None,
                norm_eps: None,
            };
            let (norm, kind) = (Some(s.output_norm), RecurrentKind::Rwkv7(mix));
            s.layers[0].attention = None;
            s.layers[0].recurrent =
                Some(RecurrentSpec { norm, norm_name: "attn_norm", kind, post_norm: None });
        }),
        ("0 layers, expected 1 to 1024", |s| s.layers.clear()),
        ("1025 layers", |s| s.layers = vec![s.layers[0]; 1025]),
        ("embedding length is 0", |s| s.n_embd = 0),
        ("embedding length is", |s| s.n_embd = usize::MAX),
        ("vocabulary has 0 tokens", |s| s.n_vocab = 0),
        ("vocabulary has", |s| s.n_vocab = usize::MAX),
        ("17 rotations, expected at most 16", |s| s.ropes = vec![s.ropes[0]; 17]),
        ("rope.dimension_count is", |s| s.ropes.push(RopeParams { n_rot: usize::MAX - 1, ..s.ropes[0] })),
        ("rope.dimension_count is 0", |s| s.ropes.push(RopeParams { n_rot: 0, ..s.ropes[0] })),
        ("rope.dimension_count 6, expected an even number from 2 to 4", |s| {
            attention(s, 1).head_dim_k = 4;
            s.ropes[0].n_rot = 6;
        }),
        ("rope.dimension_count 3, expected an even number", |s| s.ropes[0].n_rot = 3),
        ("3 rotated elements", |s| s.ropes.push(RopeParams { n_rot: 3, ..s.ropes[0] })),
        ("layer 1 has rotation 1, expected one below 1", |s| attention(s, 1).rope = Some(1)),
        ("theta base is 0", |s| s.ropes[0].theta = 0.0),
        ("0 heads", |s| attention(s, 0).n_heads = 0),
        ("0 key-value heads", |s| attention(s, 0).n_kv_heads = 0),
        ("4 attention heads and 3 key-value heads, expected a multiple", |s| {
            attention(s, 0).n_kv_heads = 3;
        }),
        ("heads", |s| attention(s, 0).n_heads = usize::MAX),
        ("elements", |s| attention(s, 0).head_dim_k = usize::MAX),
        ("elements", |s| attention(s, 0).head_dim_v = 0),
        ("window of 0 positions", |s| attention(s, 0).window = Some(0)),
        ("feed-forward length of [0, 1]", |s| {
            if let FfnKind::Dense(dense) = &mut ffn(s, 1).kind {
                dense.n_ff = 0;
            }
        }),
        ("norm `scales`, expected a name that ends in _norm", |s| ffn(s, 0).norm_name = "scales"),
        ("0 experts", |s| moe(s, 0, 0)),
        ("4097 experts", |s| moe(s, 4097, 1)),
        ("0 experts for a token, expected 1 to 4", |s| moe(s, 4, 0)),
        ("5 experts for a token, expected 1 to 4", |s| moe(s, 4, 5)),
        ("4 experts in 3 groups of which 1 are used", |s| groups(s, 3, 1)),
        ("4 experts in 0 groups", |s| groups(s, 0, 0)),
        ("4 experts in 2 groups of which 3 are used", |s| groups(s, 2, 3)),
        ("3 experts for a token, expected 1 to 2", |s| groups(s, 2, 1)),
        ("Q, K and V clamped to 0, expected a finite number above 0", |s| {
            attention(s, 0).clamp = Some(0.0);
        }),
        ("clamped to NaN", |s| attention(s, 0).clamp = Some(f32::NAN)),
        ("a norm of V with weights", |s| attention(s, 0).v_norm = Some(s.output_norm)),
        ("attention norm `scales`, expected a name that ends in _norm", |s| {
            attention(s, 0).norm_name = "scales";
        }),
        ("K and V at rows 64 and 95 of 200", |s| {
            attention(s, 0).fused_rows = Some(FusedRows { k: 64, v: 95, all: 200 });
        }),
        ("K and V at rows 64 and 96 of 127", |s| {
            attention(s, 0).fused_rows = Some(FusedRows { k: 64, v: 96, all: 127 });
        }),
        ("neither a mixer nor a feed-forward half", |s| {
            s.layers[1].attention = None;
            s.layers[1].ffn = None;
        }),
        ("a feed-forward half that reads what the mixer reads, and no mixer", |s| {
            s.layers[0].attention = None;
            ffn(s, 0).input = FfnInput::Attention;
        }),
        ("result times inf", |s| ffn(s, 0).scale = Some(f32::INFINITY)),
    ];
    let file = renamed(&small_llama(&plain));
    let mut failed = Vec::new();
    for (part, change) in cases {
        let result = own(
            |_, spec| {
                change(spec);
                Ok(())
            },
            &file,
        );
        match result {
            Err(e @ LoadError::Spec { architecture: "own", .. }) if e.to_string().contains(part) => {
                assert_eq!(e.kind(), LoadErrorKind::Metadata);
            }
            Err(e) => failed.push(format!("{part}: {e}")),
            Ok(_) => failed.push(format!("{part}: loaded")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Specifications that need other tensors than the file has, or that compute something odd, don't panic.
#[test]
fn a_specification_of_another_model_is_an_error_or_runs() {
    let cases: &[(&str, Change)] = &[
        ("blk.0.attn_q_norm.weight is missing", |s| {
            let norm = s.output_norm;
            let (kind, need) = (QkNormKind::WholeRow, Need::Required);
            attention(s, 0).qk_norm = Some(QkNormSpec { kind, norm, need, after_rope: false });
        }),
        ("blk.1.attn_sinks.weight is missing", |s| attention(s, 1).sinks = true),
        ("tensor token_embd.weight: expected shape 64 x 95, found 64 x 96", |s| s.n_vocab = 95),
        ("blk.0.attn_norm.weight has no part in architecture own", |s| attention(s, 0).norm = None),
        ("", |s| s.layers.truncate(1)),
        ("blk.0.attn_norm.weight has no part", |s| s.layers[0].attention = None),
        ("", |s| {
            s.layers[1].attention = None;
            s.layers[1].inert = &["attn_*"];
        }),
        ("", |s| {
            s.layers[0].ffn = None;
            s.layers[0].inert = &["ffn_*"];
        }),
        ("", |s| attention(s, 0).window = Some(1)),
        ("", |s| attention(s, 0).rope = None),
        ("", |s| attention(s, 1).scale = f32::NAN),
        ("", |s| s.output_norm.kind = NormKind::Layer),
        ("output_norm.weight has no part", |s| s.output_norm.weighted = false),
        ("", |s| {
            s.output_norm.weighted = false;
            s.inert = &["output_norm*"];
        }),
        ("blk.0.ffn_down.weight has no part", |s| {
            ffn(s, 0).kind = FfnKind::Elementwise(happy_model::spec::Activation::Silu);
            s.layers[0].inert = &["ffn_gate.weight", "ffn_u*"];
        }),
        ("", |s| {
            ffn(s, 0).kind = FfnKind::Elementwise(happy_model::spec::Activation::Silu);
            s.layers[0].inert = &["ffn_gate.weight", "ffn_u*", "ffn_down.weight"];
        }),
        ("blk.0.attn_gate.weight is missing", |s| {
            let (width, activation) = (GateWidth::PerHead, happy_model::spec::Activation::Sigmoid);
            attention(s, 0).gate = Some(AttentionGate { width, activation });
        }),
        ("blk.0.attn_sub_norm.weight is missing", |s| {
            attention(s, 0).sub_norm = Some(s.output_norm);
        }),
        ("", |s| ffn(s, 0).scale = Some(0.5)),
        ("", |s| attention(s, 0).clamp = Some(1.0)),
        ("", |s| ffn(s, 1).input = FfnInput::Layer(s.output_norm)),
        ("", |s| s.output_norm.eps = -1.0),
        ("", |s| s.n_ctx_train = 0),
        ("blk.0.ffn_norm.weight has no part", |s| ffn(s, 0).input = FfnInput::Attention),
    ];
    let file = renamed(&small_llama(&plain));
    let mut failed = Vec::new();
    for (i, (part, change)) in cases.iter().enumerate() {
        let model = own(
            |_, spec| {
                change(spec);
                Ok(())
            },
            &file,
        );
        match model {
            Ok(model) => {
                let mut r = Runner::of(model, Kernels::detect().unwrap(), 2, KvType::F16, 4);
                let _ = r.logits(&batch(&tokens(70, 1), 0, 0));
                if !part.is_empty() {
                    failed.push(format!("{i}: loaded, expected {part}"));
                }
            }
            Err(e) if part.is_empty() || !e.to_string().contains(part) => failed.push(format!("{i}: {e}")),
            Err(_) => {}
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The caller gets the errors that an architecture returns, and a program can tell which key caused them.
#[test]
fn errors_of_an_architecture_come_through() {
    type Read = fn(&Params<'_>, &mut ModelSpec) -> Result<(), LoadError>;
    let cases: &[(Read, &str, LoadErrorKind, &str)] = &[
        (
            |p, _| p.u32("gate_count").map(|_| ()),
            "own.gate_count",
            LoadErrorKind::Metadata,
            "metadata key own.gate_count is missing",
        ),
        (
            |p, _| Err(p.invalid("block_count", "an odd number")),
            "own.block_count",
            LoadErrorKind::Metadata,
            "metadata key own.block_count: expected an odd number, found u32 2",
        ),
        (
            |p, _| Err(p.unsupported("block_count", Some("3 or 5"))),
            "own.block_count",
            LoadErrorKind::Unsupported,
            "unsupported: metadata key own.block_count = u32 2, expected 3 or 5",
        ),
        (
            |p, _| p.opt_f32_per_layer("block_count", 2).map(|_| ()),
            "own.block_count",
            LoadErrorKind::Metadata,
            "metadata key own.block_count: expected a finite f32, found u32 2",
        ),
        (
            |p, _| p.unprefixed().f32("own.gate_scale").map(|_| ()),
            "own.gate_scale",
            LoadErrorKind::Metadata,
            "metadata key own.gate_scale is missing",
        ),
        (
            |p, spec| mixture(p, spec, &[1, 1]),
            "own.expert_count",
            LoadErrorKind::Metadata,
            "metadata key own.expert_count is missing",
        ),
    ];
    let file = renamed(&small_llama(&plain));
    for (read, key, kind, message) in cases {
        let error = own(read, &file).unwrap_err();
        assert_eq!((error.key(), error.kind(), error.tensor()), (Some(*key), *kind, None));
        assert_eq!(error.to_string(), *message);
    }
}
