//! Checks a specification. It comes from a file's metadata or from an architecture of the caller, so everything that
//! the loader and the forward pass rely on is checked here.

use happy_kernels::ops::scan::MAX_CONV;

use super::decoder::{MAX_EXPERTS, MAX_LAYERS, MAX_WIDTH};
use crate::error::LoadError;
use crate::names::is_norm;
use crate::spec::*;

/// Maximum number of rotations in a model. Each has its own tables.
const MAX_ROPES: usize = 16;

/// Maximum number of f32 values in the recurrent state of a layer: 1 GiB.
const MAX_STATE: usize = 1 << 28;

/// Checks the numbers that the loader and the forward pass rely on.
pub(super) fn check(spec: &ModelSpec) -> Result<(), LoadError> {
    match problem(spec) {
        Some(problem) => Err(LoadError::Spec { architecture: spec.architecture, problem }),
        None => Ok(()),
    }
}

fn width(n: usize) -> bool {
    (1..=MAX_WIDTH).contains(&n)
}

fn problem(spec: &ModelSpec) -> Option<String> {
    let (n_layers, n_ropes) = (spec.layers.len(), spec.ropes.len());
    if !(1..=MAX_LAYERS as usize).contains(&n_layers) {
        return Some(format!("{n_layers} layers, expected 1 to {MAX_LAYERS}"));
    }
    if !width(spec.n_embd) {
        return Some(format!("the embedding length is {}, expected 1 to {MAX_WIDTH}", spec.n_embd));
    }
    if spec.n_vocab == 0 || u32::try_from(spec.n_vocab).is_err() {
        return Some(format!("the vocabulary has {} tokens, expected 1 to {}", spec.n_vocab, u32::MAX));
    }
    if n_ropes > MAX_ROPES {
        return Some(format!("{n_ropes} rotations, expected at most {MAX_ROPES}"));
    }
    if let Some(rope) = spec.ropes.iter().find(|rope| !width(rope.n_rot)) {
        return Some(format!("rope.dimension_count is {}, expected 1 to {MAX_WIDTH}", rope.n_rot));
    }
    if let Some(PerLayerSpec { width, .. }) = spec.per_layer
        && !(self::width(width) && self::width(width.saturating_mul(n_layers)))
    {
        return Some(format!(
            "per-layer embeddings of {width} values, expected 1 to {MAX_WIDTH} for all layers"
        ));
    }
    if let Some(AltUpSpec { n_streams, .. }) = spec.altup.filter(|a| !(2..=16).contains(&a.n_streams)) {
        return Some(format!("{n_streams} residual streams, expected 2 to 16"));
    }
    if let Some(DraftHeadSpec { block, .. }) = spec.draft_head
        && (n_layers != 1 || block > MAX_LAYERS as usize || !width(spec.n_embd.saturating_mul(2)))
    {
        return Some(format!(
            "a draft head of {n_layers} layers from block {block} on, expected 1 from a block up to {MAX_LAYERS}, and an \
             embedding length of at most {}",
            MAX_WIDTH / 2
        ));
    }
    let mut values = 0;
    spec.layers.iter().enumerate().find_map(|(i, layer)| {
        if let Some(problem) = first_value(layer, &mut values).or_else(|| normed_residual(spec, layer)) {
            return Some(format!("layer {i} has {problem}"));
        }
        let mixer = |a| attention(a, &spec.ropes).or_else(|| latent(a, &spec.ropes));
        let mixer = layer.attention.as_ref().and_then(mixer);
        let shared = || layer.attention.as_ref().and_then(|a| shared_kv(spec, i, a));
        let ffn = || layer.ffn.as_ref().and_then(feed_forward).or_else(|| channel_mix(spec.n_embd, layer));
        let found = mixer
            .or_else(shared)
            .or_else(|| recurrent(spec.n_embd, layer))
            .or_else(|| laurel(layer))
            .or_else(ffn);
        found.map(|problem| format!("layer {i} has {problem}"))
    })
}

/// Checks that a layer which reads the first layer's values comes after a layer that has values of its own. `values` is the number of such
/// layers so far.
fn first_value(layer: &LayerSpec, values: &mut usize) -> Option<String> {
    let RecurrentKind::Rwkv7(s) = layer.recurrent?.kind else { return None };
    match s.value_rank {
        None => *values += 1,
        Some(_) if *values == 0 => {
            return Some(
                "a time mix that reads the values of an earlier one, expected an earlier one with values of its own"
                    .to_owned(),
            );
        }
        Some(_) => {}
    }
    None
}

/// Checks that, if halves add to their normed input, each of them has a norm of the residual stream to read.
fn normed_residual(spec: &ModelSpec, layer: &LayerSpec) -> Option<String> {
    let factor = spec.normed_residual?;
    let mixer = match (&layer.attention, &layer.recurrent) {
        (Some(a), _) => a.norm.is_some(),
        (None, r) => r.is_none_or(|r| r.norm.is_some()),
    };
    let fits = mixer && layer.ffn.is_none_or(|f| matches!(f.input, FfnInput::Norm(_))) && factor.is_finite();
    (!fits).then(|| {
        format!("halves that add to their normed input times {factor}, expected a norm before each half")
    })
}

/// Checks a layer without attention, or with a recurrent mixer.
fn recurrent(n_embd: usize, layer: &LayerSpec) -> Option<String> {
    if let Some(r) = &layer.recurrent {
        return mixer(n_embd, r, layer.attention.is_some());
    }
    if layer.attention.is_some() {
        return None;
    }
    match layer.ffn.map(|ffn| ffn.input) {
        None => Some("neither a mixer nor a feed-forward half, expected at least one".to_owned()),
        Some(FfnInput::Attention | FfnInput::NormOrAttention(_) | FfnInput::Layer(_)) => {
            Some("a feed-forward half that reads what the mixer reads, and no mixer".to_owned())
        }
        Some(FfnInput::Norm(_) | FfnInput::Residual) => None,
    }
}

/// Checks the sizes of a recurrent mixer.
fn mixer(n_embd: usize, r: &RecurrentSpec, beside_attention: bool) -> Option<String> {
    if !is_norm(r.norm_name) {
        return Some(format!("a mixer's norm `{}`, expected a name that ends in _norm", r.norm_name));
    }
    if beside_attention && (r.norm.is_some() || r.post_norm.is_some()) {
        return Some("norms of a mixer beside attention, expected attention's alone".to_owned());
    }
    let divides = |a: usize, b: usize| a > 0 && b.is_multiple_of(a);
    let (sizes, whole) = match r.kind {
        RecurrentKind::ShortConv(s) => ([s.n_channels, s.n_channels.saturating_mul(3), 1, 1], true),
        RecurrentKind::Mamba(s) => ([s.d_inner.saturating_mul(2), s.d_state, s.dt_rank, s.d_inner], true),
        RecurrentKind::Mamba2(s) => (
            [s.in_dim(), s.d_state, s.n_heads, s.d_inner],
            divides(s.n_heads, s.d_inner) && divides(s.n_groups, s.n_heads) && divides(s.n_groups, s.d_inner),
        ),
        RecurrentKind::DeltaNet(s) => {
            ([s.conv_dim(), s.head_dim_k, s.head_dim_v, s.n_k_heads], divides(s.n_k_heads, s.n_v_heads))
        }
        RecurrentKind::Plamo2(s) => {
            ([s.d_inner.saturating_mul(2), s.d_state, s.dt_rank, s.n_heads], divides(s.n_heads, s.d_inner))
        }
        RecurrentKind::Rwkv6(s) => (
            [s.width().saturating_mul(5), s.mix_rank.saturating_mul(5), s.decay_rank, s.head_size],
            divides(s.n_kv_heads, s.n_heads) && s.width() == n_embd && s.decay_rank <= n_embd,
        ),
        RecurrentKind::Rwkv7(s) => {
            let ranks = [s.rate_rank, s.value_rank.unwrap_or(1), s.gate_rank.unwrap_or(1)];
            let fits = ranks.into_iter().all(|rank| (1..=n_embd).contains(&rank));
            let sizes = [s.width().saturating_mul(6), s.n_heads, s.decay_rank, s.head_size];
            (sizes, fits && s.width() == n_embd && s.decay_rank <= n_embd)
        }
        RecurrentKind::Kda(s) => {
            let bound = s.lower_bound.is_none_or(|bound| bound.is_finite() && bound < 0.0);
            ([s.conv_dim(), s.n_heads, s.head_dim, s.rank.unwrap_or(1)], bound)
        }
        RecurrentKind::Lightning(s) => {
            ([s.width().saturating_mul(3), s.n_heads, s.head_dim, 1], s.strength.is_finite())
        }
    };
    if !sizes.into_iter().all(width) || !whole || r.state_elements() > MAX_STATE {
        return Some(format!("a mixer of impossible sizes: {:?}", r.kind));
    }
    let (kernel, _) = r.conv();
    let fits = (1..=MAX_CONV).contains(&kernel);
    (!fits).then(|| format!("a convolution over {kernel} positions, expected 1 to {MAX_CONV}"))
}

fn attention(a: &AttentionSpec, ropes: &[RopeParams]) -> Option<String> {
    let dims = [a.head_dim_k, a.head_dim_v, a.n_heads, a.n_kv_heads];
    if !dims.into_iter().all(width) || !width(a.q_dim()) || !width(a.out_dim()) {
        return Some(format!(
            "{} heads and {} key-value heads of {} and {} elements, expected 1 to {MAX_WIDTH}",
            a.n_heads, a.n_kv_heads, a.head_dim_k, a.head_dim_v
        ));
    }
    if !a.n_heads.is_multiple_of(a.n_kv_heads) {
        return Some(format!(
            "{} attention heads and {} key-value heads, expected a multiple",
            a.n_heads, a.n_kv_heads
        ));
    }
    if !is_norm(a.norm_name) {
        return Some(format!("an attention norm `{}`, expected a name that ends in _norm", a.norm_name));
    }
    if let Some(FusedRows { k, v, all }) = a.fused_rows
        && (k < a.q_dim() || v < k.saturating_add(a.k_dim()) || all < v.saturating_add(a.v_dim()))
    {
        return Some(format!(
            "K and V at rows {k} and {v} of {all}, expected Q, K and V one after the other"
        ));
    }
    if a.gate.is_some_and(|gate| gate.width == GateWidth::BesideQ) && a.head_dim_k != a.head_dim_v {
        return Some(format!(
            "gates beside queries of {} elements for values of {}, expected equal sizes",
            a.head_dim_k, a.head_dim_v
        ));
    }
    if let Some(clamp) = a.clamp.filter(|c| !c.is_finite() || *c <= 0.0) {
        return Some(format!("Q, K and V clamped to {clamp}, expected a finite number above 0"));
    }
    if let Some(scale) = a.out_scale.filter(|scale| !scale.is_finite()) {
        return Some(format!("an attention result times {scale}, expected a finite number"));
    }
    if a.v_norm.is_some_and(|norm| norm.weighted || norm.bias != Need::Never) {
        return Some("a norm of V with weights or a bias, expected neither".to_owned());
    }
    if a.window == Some(0) {
        return Some("a window of 0 positions, expected at least 1".to_owned());
    }
    match a.position_bias {
        Some(PositionBiasSpec::Alibi { max }) if !max.is_finite() || max <= 0.0 => {
            return Some(format!("ALiBi slopes down to 2^-{max}, expected a finite number above 0"));
        }
        Some(PositionBiasSpec::Relative { n_buckets }) if !(4..=1024).contains(&n_buckets) => {
            return Some(format!("{n_buckets} buckets of distances, expected 4 to 1024"));
        }
        _ => {}
    }
    let rope = a.rope?;
    match ropes.get(rope) {
        None => Some(format!("rotation {rope}, expected one below {}", ropes.len())),
        Some(RopeParams { n_rot, .. }) if *n_rot > a.head_dim_k || n_rot % 2 != 0 || *n_rot == 0 => {
            Some(format!("rope.dimension_count {n_rot}, expected an even number from 2 to {}", a.head_dim_k))
        }
        Some(_) => None,
    }
}

/// Checks latent attention, which decides the sizes of the heads in the cache.
fn latent(a: &AttentionSpec, ropes: &[RopeParams]) -> Option<String> {
    let l = a.latent.as_ref()?;
    let sizes = [l.kv_rank, l.head_dim_q, l.n_rot, l.head_dim_out, l.q_rank.unwrap_or(1), l.row()];
    let heads = [l.head_dim_q, l.head_dim_out, l.head_dim_expanded()].map(|n| n.saturating_mul(a.n_heads));
    if !sizes.into_iter().chain(heads).all(width) || l.n_rot > l.head_dim_q {
        return Some(format!("latent attention of these sizes: {l:?}, expected 1 to {MAX_WIDTH}"));
    }
    if l.form == LatentForm::Absorbed && l.head_dim_plain() == 0 {
        return Some("latent attention whose queries are rotated as a whole, expected attn_kv_b".to_owned());
    }
    let rotated = a.rope.map_or(Some(l.n_rot), |rope| ropes.get(rope).map(|rope| rope.n_rot));
    let cached = (a.n_kv_heads, a.head_dim_k, a.head_dim_v);
    if cached != l.cached(a.n_heads) || rotated != Some(l.n_rot) || a.kv_from.is_some() {
        return Some(format!(
            "latent attention whose cache has {cached:?}, expected {:?}",
            l.cached(a.n_heads)
        ));
    }
    let gates = a.gate.is_some_and(|gate| gate.width != GateWidth::PerHead);
    let other = a.clamp.is_some() || a.qk_norm.is_some() || a.v_norm.is_some() || gates;
    (other || a.sub_norm.is_some() || a.v_is_k || a.qkv_bias == Need::Required).then(|| {
        "latent attention with biases, norms of heads, clamps or gates of elements, expected none".to_owned()
    })
}

/// Checks a layer with a low-rank matrix beside its attention.
fn laurel(layer: &LayerSpec) -> Option<String> {
    let LaurelSpec { rank, .. } = layer.laurel?;
    let fits = width(rank) && layer.attention.is_some();
    (!fits).then(|| {
        format!("a matrix of rank {rank} beside the attention, expected 1 to {MAX_WIDTH} and attention")
    })
}

/// Checks a channel mix, which needs a time mix because it uses the buffers of the layer's mixer.
fn channel_mix(n_embd: usize, layer: &LayerSpec) -> Option<String> {
    let Some(FfnKind::ChannelMix(mix)) = layer.ffn.map(|ffn| ffn.kind) else { return None };
    let kind = layer.recurrent.map(|r| r.kind);
    let time_mix = matches!(kind, Some(RecurrentKind::Rwkv6(_) | RecurrentKind::Rwkv7(_)));
    let fits = mix.width == n_embd && time_mix;
    (!fits).then(|| format!("a channel mix of width {}, expected {n_embd} and a time mix", mix.width))
}

/// Checks a layer that reads the keys and values of another layer.
fn shared_kv(spec: &ModelSpec, layer: usize, a: &AttentionSpec) -> Option<String> {
    if a.v_is_k && (a.k_dim(), a.fused_rows) != (a.v_dim(), None) {
        return Some(format!("V of {} elements that is K of {}, expected equal sizes", a.v_dim(), a.k_dim()));
    }
    let from = a.kv_from?;
    let sizes = |a: &AttentionSpec| (a.n_kv_heads, a.head_dim_k, a.head_dim_v, a.window, a.chunked);
    let owner = spec.layers.get(from).and_then(|l| l.attention.as_ref()).filter(|_| from < layer);
    let fits = owner.is_some_and(|owner| owner.kv_from.is_none() && sizes(owner) == sizes(a));
    (!fits).then(|| {
        format!(
            "the keys and values of layer {from}, expected those of an earlier layer that has its own, with the same sizes \
             and window"
        )
    })
}

fn feed_forward(ffn: &FfnSpec) -> Option<String> {
    if !is_norm(ffn.norm_name) {
        return Some(format!("a feed-forward norm `{}`, expected a name that ends in _norm", ffn.norm_name));
    }
    if let Some(scale) = ffn.scale.filter(|scale| !scale.is_finite()) {
        return Some(format!("a feed-forward result times {scale}, expected a finite number"));
    }
    let n_ff = match &ffn.kind {
        FfnKind::Elementwise(_) => return None,
        FfnKind::Dense(d) => [d.n_ff, 1],
        FfnKind::ChannelMix(m) => [m.n_ff, 1],
        FfnKind::Moe(m) => [m.n_ff, m.shared.map_or(1, |s| s.n_ff)],
    };
    let small = match &ffn.kind {
        FfnKind::Moe(m) => m.of_groups.map(|g| (m.n_experts, g)),
        _ => None,
    };
    if let Some((n, g)) = small
        && (g.group == 0 || !n.is_multiple_of(g.group) || !width(g.n_ff) || !g.scale.is_finite())
    {
        return Some(format!(
            "{n} experts with a small one of width {} for each {}, expected a divisor of {n}, a width from 1 to {MAX_WIDTH} \
             and a finite scale",
            g.n_ff, g.group
        ));
    }
    if !n_ff.into_iter().all(width) {
        return Some(format!("a feed-forward length of {n_ff:?}, expected 1 to {MAX_WIDTH}"));
    }
    if let FfnKind::Dense(DenseSpec { divisors: Need::Optional | Need::Required, gated: true, .. }) =
        &ffn.kind
    {
        return Some("divisors of the activations of a gated block, expected one without gates".to_owned());
    }
    if let FfnKind::Dense(DenseSpec { sparsity: Some(m), gated, .. }) = &ffn.kind
        && (!gated || !m.is_finite())
    {
        return Some(format!(
            "sparse gates above {m} deviations, expected a finite number and a gated block"
        ));
    }
    let FfnKind::Moe(moe) = &ffn.kind else { return None };
    if !(1..=MAX_EXPERTS as usize).contains(&moe.n_experts) {
        return Some(format!("{} experts, expected 1 to {MAX_EXPERTS}", moe.n_experts));
    }
    if !(1..=moe.n_experts).contains(&moe.n_used) {
        return Some(format!("{} experts for a token, expected 1 to {}", moe.n_used, moe.n_experts));
    }
    if !moe.weight_scale.is_finite() {
        return Some(format!("expert weights times {}, expected a finite number", moe.weight_scale));
    }
    let ExpertGroups { n_groups, n_used } = moe.groups?;
    if n_groups == 0 || !moe.n_experts.is_multiple_of(n_groups) || !(1..=n_groups).contains(&n_used) {
        let n = moe.n_experts;
        return Some(format!(
            "{n} experts in {n_groups} groups of which {n_used} are used, expected a divisor of {n}, and 1 to {n_groups} used"
        ));
    }
    let choice = n_used * (moe.n_experts / n_groups);
    (moe.n_used > choice).then(|| format!("{} experts for a token, expected 1 to {choice}", moe.n_used))
}
